/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * postbusd: the order of life, nothing else.
 *	the process for programs parted, manifests read, config checked, ports bound, privileges dropped, files confined, store recovered, plugins loaded and started,
 *	system calls confined, control socket open, ready; and the same backwards.
 */
#include "config.h"
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kernel/broker.h"
#include "kernel/bus/bus.h"
#include "kernel/check.h"
#include "kernel/clock/clock.h"
#include "kernel/config/config.h"
#include "kernel/control/control.h"
#include "kernel/entrance.h"
#include "kernel/log/log.h"
#include "kernel/plugin/plugins.h"
#include "kernel/queue/queue.h"
#include "kernel/sandbox.h"
#include "kernel/session/sessions.h"
#include "kernel/store/mailstore.h"
#include "kernel/store/timeline.h"

#define DRAIN_TIME (10 * PB_SECOND)
#define LOST_TIME_SECONDS 20	/* for the end, when the store is lost */
#define END_TIME_SECONDS 30	/* for the end, whatever hangs */

enum mode { RUN, CHECK, OFFLINE };

static const char usage[] = "Usage: postbusd -c FILE [--check | --offline]\n"
			    "  -c, --config FILE  postbus.json of the home to serve\n"
			    "      --check        check file and manifests, then end\n"
			    "      --offline      no ports, no lanes: control requests on standard input, answers on standard output\n"
			    "  -V, --version      print the version\n";

static const char *config_file;

/* SIGHUP's work. */
static struct {
	pthread_t thread;
	bool begun;
	atomic_bool busy;
} rereading;

static enum mode parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, 'k' },   { "offline", no_argument, NULL, 'o' },
		{ "version", no_argument, NULL, 'V' },	    { "help", no_argument, NULL, 'h' },	   { NULL, 0, NULL, 0 },
	};
	enum mode mode = RUN;
	int c;

	config_file = getenv("POSTBUS_CONFIG");
	while ((c = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			config_file = optarg;
			break;
		case 'k':
			mode = CHECK;
			break;
		case 'o':
			mode = OFFLINE;
			break;
		case 'V':
			puts("postbusd " PACKAGE_VERSION);
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind != argc || !config_file) {
		fputs(usage, stderr);
		exit(2);
	}
	return mode;
}

static enum pb_level level_of(const struct config *c)
{
	const char *word = json_string_value(json_object_get(json_object_get(c->doc, "log"), "level"));

	return !word || !strcmp(word, "info") ? PB_INFO : !strcmp(word, "debug") ? PB_DEBUG : !strcmp(word, "warning") ? PB_WARNING : PB_ERROR;
}

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* ---- an end, whatever hangs ---- */

static void on_alarm(int number)
{
	(void)number;
	_exit(1);
}

/* A process that a stranger's code hangs in is not taken apart. What was acknowledged is on the disk, as after any crash. Whoever should read the log may hang too. */
static _Noreturn void end_at_once(struct kernel *k, const char *reason)
{
	signal(SIGALRM, on_alarm);
	alarm(1);
	log_line(k->log, PB_ERROR, NULL, "end.forced", "reason=%s help=\"what was acknowledged is on the disk\"", pb_logq(pb_strz(reason)));
	_exit(1);
}

static struct {
	struct kernel *kernel;
	unsigned seconds;
} end;

static void *watch_the_end(void *arg)
{
	(void)arg;
	sleep(end.seconds);
	end_at_once(end.kernel, "something hangs");
}

static void limit_the_end(struct kernel *k, unsigned seconds)
{
	pthread_t thread;

	end.kernel = k;
	end.seconds = seconds;
	if (pthread_create(&thread, NULL, watch_the_end, NULL) == 0)
		pthread_detach(thread);
}

/* Plugins take part in the start, so that one may hang in it; nobody takes signals before it is over. */
static struct {
	struct kernel *kernel;
	pthread_t thread;
	int told, over;		/* descriptors: readable once a signal to stop waits, and once the start is over */
} start;

static void *watch_the_start(void *arg)
{
	struct pollfd either[] = { { .fd = start.told, .events = POLLIN }, { .fd = start.over, .events = POLLIN } };

	(void)arg;
	while (poll(either, 2, -1) < 0)
		;
	if (either[1].revents)
		return NULL;
	queue_ending(start.kernel->queue);
	if (poll(&either[1], 1, END_TIME_SECONDS * 1000) == 0)
		end_at_once(start.kernel, "it was told to stop while it started, and something hangs");
	return NULL;
}

static int watch_begin(struct kernel *k, struct pb_error *err)
{
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	start.kernel = k;
	start.told = signalfd(-1, &stop, SFD_CLOEXEC);	/* only looked at: the signal waits for serve */
	start.over = eventfd(0, EFD_CLOEXEC);
	if (start.told < 0 || start.over < 0 || pthread_create(&start.thread, NULL, watch_the_start, NULL))
		return pb_fail_errno(err, errno, "watching the start");
	return 0;
}

static void watch_over(void)
{
	if (eventfd_write(start.over, 1) == 0)
		pthread_join(start.thread, NULL);
	close(start.told);
	close(start.over);
}

/* ---- up ---- */

static int open_store(struct kernel *k, struct pb_error *err)
{
	const json_t *store = json_object_get(k->config->doc, "store");
	char *dir = config_path(k->config, "store"), *days = config_path(k->config, "timeline");
	const struct engine_options options = { .dir = dir, .cache_bytes = (uint64_t)number(store, "cache") };
	bool memory = !strcmp(json_string_value(json_object_get(store, "engine")), "memory");
	int rc;

	(void)((rc = (memory ? engine_memory_open : engine_bdb_open)(&options, &k->engine, err)) ||
	       (rc = timeline_open(days, k->clock, (unsigned)number(k->config->doc, "timeline_days"), &k->timeline, err)) ||
	       (rc = mailstore_open(k->engine, k->clock, k->log, (uint64_t)number(store, "folder_cache"), &k->mailstore, err)) || (rc = queue_open(k, &k->queue, err)));
	free(dir);
	free(days);
	return rc;
}

/* What opening had to mend is said once. */
static void tell_notice(struct kernel *k)
{
	struct engine_stats stats;

	engine_stats(k->engine, &stats);
	if (stats.notice[0])
		log_line(k->log, PB_WARNING, NULL, "store.mended", "text=%s", pb_logq(pb_strz(stats.notice)));
}

static int confine_files(struct kernel *k, struct pb_error *err)
{
	int on = 0;

	if (!json_is_true(json_object_get(k->config->doc, "sandbox")))
		return 0;
	if (sandbox_confine_files(k->config, PLUGINDIR, &on, err))
		return err->code;
	log_line(k->log, on ? PB_DEBUG : PB_WARNING, NULL, "sandbox.files", "landlock=%s", on ? "on" : "\"not offered by this kernel\"");
	return 0;
}

static int start_plugins(struct kernel *k, enum mode mode, struct pb_error *err)
{
	int rc;

	if (mode != RUN)
		return plugins_start(k->plugins, true, err);
	if (watch_begin(k, err))
		return err->code;
	rc = plugins_start(k->plugins, false, err);
	watch_over();
	return rc;
}

static int go_up(struct kernel *k, enum mode mode, struct pb_error *err)
{
	int root = 0;

	/* Landlock holds for threads made afterwards: it must come before entrance_open, which makes some. Binding needs no file rights. */
	if (sandbox_lock_home(k->home, k->user, mode == OFFLINE, err) || confine_files(k, err) || entrance_open(k, err) || (mode == RUN && plugins_bind(k->plugins, err)) ||
	    sandbox_drop_privileges(k->config, &root, err))
		return err->code;
	if (root && mode == RUN)
		log_line(k->log, PB_WARNING, NULL, "privileges.kept", "user=root help=\"set user in postbus.json\"");
	run_sweep(k->home);
	if (open_store(k, err))
		return err->code;
	tell_notice(k);
	if (bus_open(k, &k->bus, err) || control_open(k, &k->control, err) || start_plugins(k, mode, err))
		return err->code;
	if (json_is_true(json_object_get(k->config->doc, "sandbox")) && sandbox_confine_calls(err))
		return err->code;
	return mode == RUN ? control_serve(k->control, err) : 0;
}

/* Plugins have a say in their values: their code runs with no more rights than in a server. */
static int check(struct kernel *k, struct pb_error *err)
{
	int root;

	return sandbox_drop_privileges(k->config, &root, err) ? err->code : plugins_check_values(k->plugins, err);
}

/* ---- down ---- */

static void go_down(struct kernel *k)
{
	struct pb_error err = { 0 };

	if (k->queue)
		queue_ending(k->queue);
	if (k->plugins && plugins_stop(k->plugins, DRAIN_TIME, &err)) {
		if (k->timeline)
			timeline_flush(k->timeline);
		if (rereading.begun && !atomic_load(&rereading.busy))
			pthread_join(rereading.thread, NULL);
		end_at_once(k, err.text);
	}
	if (rereading.begun)	/* it finds that no change is begun any more */
		pthread_join(rereading.thread, NULL);
	control_close(k->control);
	bus_close(k->bus);
	if (k->queue)
		queue_close(k->queue);
	if (k->mailstore)
		mailstore_close(k->mailstore);
	if (k->timeline)
		timeline_close(k->timeline);
	if (k->sessions)
		sessions_close(k->sessions);
	free(k->certificates);
	engine_close(k->engine);
	plugins_close(k->plugins);
	broker_end(k->broker, k->broker_pid);
}

/* ---- ready ---- */

static void say_ready(struct kernel *k)
{
	PB_AUTOBUF(ports);

	plugins_ports(k->plugins, &ports);
	log_set_level(k->log, PB_INFO);		/* whoever waits for this line gets it, whatever else is written */
	log_line(k->log, PB_INFO, NULL, "ready", "pid=%d %s", (int)getpid(), pb_buf_z(&ports));
	log_set_level(k->log, level_of(k->config));
	sandbox_notify("READY=1");
}

/* Plugins take part in it, so that it may take long, and the end must not wait for it. */
static void *reread(void *arg)
{
	struct kernel *k = arg;
	struct pb_error err;
	json_t *changes = NULL;

	sandbox_notify("RELOADING=1");
	if (plugins_reread(k->plugins, false, &changes, &err)) {
		log_line(k->log, PB_ERROR, NULL, "reload.refused", "reason=%s help=\"the running configuration stays in force\"", pb_logq(pb_strz(err.text)));
	} else {
		char *text = json_dumps(changes, JSON_COMPACT);

		log_line(k->log, PB_INFO, NULL, "reload.done", "result=%s", pb_logq(pb_strz(text)));
		free(text);
		json_decref(changes);
	}
	sandbox_notify("READY=1");
	atomic_store(&rereading.busy, false);
	return NULL;
}

/* False: the one before is not done yet. */
static bool begin_reread(struct kernel *k)
{
	if (rereading.begun && atomic_load(&rereading.busy))
		return false;
	if (rereading.begun)
		pthread_join(rereading.thread, NULL);
	atomic_store(&rereading.busy, true);
	rereading.begun = pthread_create(&rereading.thread, NULL, reread, k) == 0;
	return true;
}

/* After a failed flush nobody knows what is on the disk: only a new start finds out, and the supervisor makes one. */
static bool store_is_lost(struct kernel *k)
{
	struct engine_stats stats;

	engine_stats(k->engine, &stats);
	if (!stats.failed)
		return false;
	log_line(k->log, PB_ERROR, NULL, "store.failed", "reason=%s help=\"the daemon ends; a new start recovers what was acknowledged\"", pb_logq(pb_strz(stats.why)));
	return true;
}

/* 0: it was told to stop; 1: the store failed. */
static int serve(struct kernel *k, const sigset_t *signals)
{
	const struct timespec look = { .tv_sec = 1 };
	bool reread_asked = false;
	int code = 0;

	say_ready(k);
	for (;;) {
		int got = sigtimedwait(signals, NULL, &look);

		reread_asked |= got == SIGHUP;
		if ((got > 0 && got != SIGHUP) || (code = store_is_lost(k)) != 0)
			break;
		if (reread_asked && begin_reread(k))
			reread_asked = false;
	}
	limit_the_end(k, code ? LOST_TIME_SECONDS : END_TIME_SECONDS);	/* what waits for a lost store must not keep the process */
	sandbox_notify("STOPPING=1");
	log_line(k->log, PB_INFO, NULL, "stopping", "pid=%d", (int)getpid());
	return code;
}

/* Whoever asks offline reads standard output, and has asked something: this is his answer. */
static void say_why_not(enum mode mode, const struct pb_error *err)
{
	json_t *answer;

	if (mode != OFFLINE) {
		fprintf(stderr, "postbusd: %s\n", err->text);
		return;
	}
	answer = json_pack("{s:{s:s s:s}}", "error", "code", pb_code_name(err->code), "text", err->text);
	json_dumpf(answer, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(answer);
}

/* One who does not exist is refused with a sentence, later. */
static uid_t user_to_be(const struct config *c)
{
	const char *name = json_string_value(json_object_get(c->doc, "user"));
	const struct passwd *user = name && geteuid() == 0 ? getpwnam(name) : NULL;

	return user ? user->pw_uid : geteuid();
}

int main(int argc, char **argv)
{
	enum mode mode = parse(argc, argv);
	struct kernel k = { .clock = clock_system() };
	struct pb_error err = { 0 };
	sigset_t signals;
	int code = 0;

	umask(077);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (mode == RUN)
		sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);

	if (config_read(config_file, &k.config, &err)) {
		say_why_not(mode, &err);
		return 1;
	}
	k.home = k.config->home;
	k.user = user_to_be(k.config);
	/* A tool that asks offline wants to hear of trouble only. */
	k.log = log_new(2, mode == OFFLINE && level_of(k.config) == PB_INFO ? PB_ERROR : level_of(k.config), getenv("JOURNAL_STREAM") != NULL);
	if ((mode == RUN && broker_start(k.config, &k.broker, &k.broker_pid, &err)) || plugins_open(&k, &k.plugins, &err) ||
	    (mode != OFFLINE && check_config(k.config, &err)) || (mode == CHECK ? check(&k, &err) : go_up(&k, mode, &err))) {
		say_why_not(mode, &err);
		if (mode != CHECK) {
			limit_the_end(&k, END_TIME_SECONDS);
			go_down(&k);
		}
		config_free(k.config);
		log_free(k.log);
		return 1;
	}
	if (mode == RUN)
		code = serve(&k, &signals);
	else if (mode == OFFLINE)
		control_pipe(k.control, 0, 1);
	go_down(&k);
	config_free(k.config);
	log_free(k.log);
	return code;
}
