/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Confinement. Leaves the decision whether to confine to postbus.json ("sandbox") and to main. */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <poll.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include "kernel/config/config.h"
#include "kernel/config/guard.h"
#include "kernel/sandbox.h"

enum { LOCK_WAIT_MS = 30000, LOCK_STEP_MS = 20 };

/* ---- the home ---- */

/* The home belongs to whoever has flock() on the file. A daemon has this mark on it besides; who only answers one question without a daemon has not, and is done in a
 * moment. A mark that is a lock too is never left over from somebody who is gone, as words in the file would be. */
static const struct flock daemon_mark = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

static bool daemon_has_it(int fd)
{
	struct flock other = daemon_mark;

	return !fcntl(fd, F_OFD_GETLK, &other) && other.l_type != F_UNLCK;
}

static bool wait_for_lock(int fd)
{
	for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB); ms += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK || ms >= LOCK_WAIT_MS || daemon_has_it(fd))
			return false;
		poll(NULL, 0, LOCK_STEP_MS);
	}
	return true;
}

/* Only what was made here is given away: a name that was there may be a link to somebody else's file. */
static int open_lock(const char *path, uid_t own)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && own != geteuid() && fchown(fd, own, (gid_t)-1) && errno != EPERM) {
		close(fd);
		return -1;
	}
	return fd;
}

int sandbox_lock_home(const char *home, uid_t own, bool offline, struct pb_error *err)
{
	static const char *const inside[] = { "store", "spool", "timeline", "state", "backup" };
	char path[4096];
	struct stat st;
	int fd;

	if (guard_directory(home, err))
		return err->code;
	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
		snprintf(path, sizeof path, "%s/%s", home, inside[i]);
		if (!lstat(path, &st) && !S_ISDIR(st.st_mode))
			return pb_fail(err, PB_EINVALID, "%s: must be a directory of the home, not a %s", path, S_ISLNK(st.st_mode) ? "symbolic link" : "file");
		if (!lstat(path, &st) && (st.st_mode & 077))
			chmod(path, 0700);	/* mail is nobody else's; where this may not be done, opening says so */
	}
	snprintf(path, sizeof path, "%s/postbusd.lock", home);
	fd = open_lock(path, own);
	if (fd < 0)
		return pb_fail_errno(err, errno, "%s", path);
	if (!wait_for_lock(fd)) {
		close(fd);
		return pb_fail(err, PB_EBUSY, "%s: another postbusd runs on this home", home);
	}
	if (!offline && fcntl(fd, F_OFD_SETLK, &daemon_mark)) {
		pb_fail_errno(err, errno, "%s", path);
		close(fd);
		return err->code;
	}
	return 0;	/* the descriptor stays open: it is the lock */
}

/* ---- the user ---- */

int sandbox_drop_privileges(const struct config *c, int *ret_root, struct pb_error *err)
{
	const char *name = json_string_value(json_object_get(c->doc, "user"));
	struct passwd *user;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	*ret_root = geteuid() == 0;
	if (geteuid() != 0)
		return 0;
	if (!name) {	/* root on its own wish: what it needs to open its files and bind ports, no more */
		capng_clear(CAPNG_SELECT_BOTH);
		capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_BIND_SERVICE, CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER, CAP_KILL, -1);
		return capng_apply(CAPNG_SELECT_BOTH) ? pb_fail(err, PB_EINTERNAL, "capabilities cannot be dropped") : 0;
	}
	user = getpwnam(name);
	if (!user)
		return pb_fail(err, PB_EINVALID, "%s: user: there is no user \"%s\"", c->path, name);
	capng_clear(CAPNG_SELECT_BOUNDS);	/* while there is the right to: who becomes somebody else has none afterwards */
	if (capng_apply(CAPNG_SELECT_BOUNDS))
		return pb_fail(err, PB_EINTERNAL, "the capability bounding set cannot be dropped");
	if (initgroups(name, user->pw_gid) || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) || setresuid(user->pw_uid, user->pw_uid, user->pw_uid))
		return pb_fail_errno(err, errno, "becoming user %s", name);
	capng_clear(CAPNG_SELECT_CAPS);
	if (capng_apply(CAPNG_SELECT_CAPS))
		return pb_fail(err, PB_EINTERNAL, "capabilities cannot be dropped");
	if (access(c->home, R_OK | W_OK | X_OK))
		return pb_fail_errno(err, errno, "user %s cannot write to %s", name, c->home);
	*ret_root = 0;
	return 0;
}

/* ---- Landlock ---- */

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define EXECUTE LANDLOCK_ACCESS_FS_EXECUTE
#define WRITE \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO)
#define HANDLED \
	(READ | EXECUTE | WRITE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static void allow(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	struct stat st;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return;		/* what is not there needs no rule */
	if (!fstat(rule.parent_fd, &st) && !S_ISDIR(st.st_mode))
		rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
	syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

/* The directory of a file and, where it is a link, that of what it points to: renewed certificates appear there. */
static void allow_around(int ruleset, const struct config *c, const char *file)
{
	char *path = config_path(c, file), *real = realpath(path, NULL), *both[] = { path, real };

	for (int i = 0; i < 2; i++) {
		char *slash = both[i] ? strrchr(both[i], '/') : NULL;

		if (slash && slash > both[i]) {
			*slash = '\0';
			allow(ruleset, both[i], READ);
		}
	}
	free(path);
	free(real);
}

/* A user may read what /etc shows to all. Root that stays root, which could read the rest too, gets what names, clocks and certificates of others need. */
static void allow_etc(int ruleset, const struct config *c)
{
	static const char *const needed[] = { "resolv.conf", "hosts", "host.conf", "nsswitch.conf", "gai.conf", "services", "protocols", "localtime", "timezone", "passwd",
					      "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki", "gnutls",
					      "crypto-policies", "unbound" };
	char path[64];

	if (geteuid() != 0 || json_object_get(c->doc, "user"))
		allow(ruleset, "/etc", READ | EXECUTE);
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
		snprintf(path, sizeof path, "/etc/%s", needed[i]);
		allow(ruleset, path, READ);
	}
}

int sandbox_confine_files(const struct config *c, const char *plugindir, int *ret_on, struct pb_error *err)
{
	static const char *const readable[] = { "/usr", "/lib", "/lib64", "/bin", "/proc", "/sys/devices/system/cpu", "/run/systemd/resolve", "/var/lib/unbound" };
	struct landlock_ruleset_attr attr = { .handled_access_fs = HANDLED };
	const json_t *one;
	size_t i;
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);

	*ret_on = 0;
	if (ruleset < 0)
		return 0;	/* this kernel has none; main says so */
	for (i = 0; i < sizeof readable / sizeof *readable; i++)
		allow(ruleset, readable[i], READ | EXECUTE);
	allow_etc(ruleset, c);
	allow(ruleset, "/dev", READ | LANDLOCK_ACCESS_FS_WRITE_FILE);
	allow(ruleset, plugindir, READ | EXECUTE);
	if (secure_getenv("POSTBUS_PLUGIN_PATH"))
		allow(ruleset, secure_getenv("POSTBUS_PLUGIN_PATH"), READ | EXECUTE);
	json_array_foreach (json_object_get(c->doc, "plugin_path"), i, one) {
		char *path = config_path(c, json_string_value(one));

		allow(ruleset, path, READ | EXECUTE);
		free(path);
	}
	json_array_foreach (json_object_get(c->doc, "certificates"), i, one) {
		allow_around(ruleset, c, json_string_value(json_object_get(one, "cert")));
		allow_around(ruleset, c, json_string_value(json_object_get(one, "key")));
	}
	allow_around(ruleset, c, c->path);
	allow(ruleset, c->home, READ | EXECUTE | WRITE);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, ruleset, 0)) {
		close(ruleset);
		return pb_fail_errno(err, errno, "Landlock");
	}
	close(ruleset);
	*ret_on = 1;
	return 0;
}

/* ---- seccomp ---- */

/* LeakSanitizer stops the threads by ptrace before it looks for what nobody refers to any more. */
#ifdef PB_SANITIZED
#define NOT_LOOKING_FOR_LEAKS(call) (strcmp(call, "ptrace") != 0)
#else
#define NOT_LOOKING_FOR_LEAKS(call) true
#endif

int sandbox_confine_calls(struct pb_error *err)
{
	static const char *const never[] = {
		"acct",		 "add_key",	  "bpf",	   "chroot",	   "clock_adjtime",    "clock_settime", "delete_module",     "finit_module",
		"init_module",	 "ioperm",	  "iopl",	   "kcmp",	   "kexec_file_load",  "kexec_load",	"keyctl",	     "lookup_dcookie",
		"mount",	 "move_mount",	  "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree",	"perf_event_open",   "personality",
		"pivot_root",	 "process_vm_readv", "process_vm_writev", "ptrace",  "quotactl",       "reboot",	"request_key",	     "setdomainname",
		"sethostname",	 "setns",	  "settimeofday",  "swapoff",	   "swapon",	       "sysfs",		"syslog",	     "umount2",
		"unshare",	 "uselib",	  "userfaultfd",   "vhangup",
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc = 0;

	if (!filter)
		return pb_fail(err, PB_EUNAVAILABLE, "seccomp: no filter can be made");
	for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
		int call = seccomp_syscall_resolve_name(never[i]);

		if (call != __NR_SCMP_ERROR && NOT_LOOKING_FOR_LEAKS(never[i]))
			seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
	}
	seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(execve), 0);	/* programs are run by broker.h's process */
	seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(execveat), 0);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc ? pb_fail_errno(err, -rc, "seccomp") : 0;
}

/* ---- systemd ---- */

void sandbox_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n < 2 || n >= sizeof to.sun_path)
		return;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		fprintf(stderr, "postbusd: the service manager cannot be told: %s\n", strerror(errno));
	close(fd);
}
