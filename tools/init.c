/* SPDX-License-Identifier: GPL-3.0-or-later */
/* postbusctl init: a home with postbus.json, a self-signed certificate, an empty store, and a demo post office on request. */
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <postbus/address.h>
#include "tools/client.h"
#include "tools/offline.h"

enum { LISTEN_MAX = 32 };

struct wish {
	char *dir;
	char hostname[256], password[256];
	const char *listen[LISTEN_MAX];
	size_t nlisten;
	long port_base;
	bool demo;
	bool made;			/* the directory */
};

static const char usage[] = "Usage: postbusctl init DIR [--hostname H] [--port-base N] [--listen ADDR]... [--demo [--password PW]]\n";

static int parse(int argc, char **argv, struct wish *w, bool json)
{
	static const struct option options[] = {
		{ "hostname", required_argument, NULL, 'h' }, { "port-base", required_argument, NULL, 'p' }, { "listen", required_argument, NULL, 'l' },
		{ "demo", no_argument, NULL, 'd' },	      { "password", required_argument, NULL, 'w' },  { NULL, 0, NULL, 0 },
	};
	char *end, text[120];
	int c;

	optind = 0;
	if (gethostname(w->hostname, sizeof w->hostname - 1) || !w->hostname[0])
		snprintf(w->hostname, sizeof w->hostname, "localhost");
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			snprintf(w->hostname, sizeof w->hostname, "%s", optarg);
			break;
		case 'p':
			w->port_base = strtol(optarg, &end, 10);
			if (*end || w->port_base < 0 || w->port_base > 64000) {
				snprintf(text, sizeof text, "--port-base: found %.60s, allowed is 0 to 64000", optarg);
				return wrong_usage(usage, text, json);
			}
			break;
		case 'l':
			if (w->nlisten == LISTEN_MAX) {
				snprintf(text, sizeof text, "--listen: at most %d addresses", LISTEN_MAX);
				return wrong_usage(usage, text, json);
			}
			w->listen[w->nlisten++] = optarg;
			break;
		case 'd':
			w->demo = true;
			break;
		case 'w':
			if (strlen(optarg) >= sizeof w->password) {
				snprintf(text, sizeof text, "--password: at most %zu bytes", sizeof w->password - 1);
				return wrong_usage(usage, text, json);
			}
			memcpy(w->password, optarg, strlen(optarg) + 1);
			break;
		default:
			return wrong_option(usage, argv, json);
		}
	}
	if (optind + 1 != argc || (w->password[0] && !w->demo))
		return wrong_usage(usage, optind + 1 != argc ? "init takes one directory" : "--password goes with --demo", json);
	w->dir = argv[optind];
	return 0;
}

/* All that the daemon would refuse, before anything is made. */
static int check_wish(const struct wish *w, struct pb_error *err)
{
	unsigned char address[16];

	if (pb_domain_check(pb_strz(w->hostname), 0, err))
		return pb_because(err, "--hostname \"%s\"", w->hostname);
	for (size_t i = 0; i < w->nlisten; i++)
		if (inet_pton(AF_INET, w->listen[i], address) != 1 && inet_pton(AF_INET6, w->listen[i], address) != 1)
			return pb_fail(err, PB_EINVALID, "--listen: found \"%s\", allowed is an IPv4 or IPv6 address", w->listen[i]);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	return at->level ? remove(path) : 0;
}

/* The directory was empty before: all that is in it was made here. */
static void remove_what_was_made(const struct wish *w)
{
	nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (w->made)
		rmdir(w->dir);
}

static int make_dirs(struct wish *w, struct pb_error *err)
{
	char path[PATH_MAX];

	w->made = mkdir(w->dir, 0700) == 0;
	if (!w->made && errno != EEXIST)
		return pb_fail_errno(err, errno, "%s", w->dir);
	snprintf(path, sizeof path, "%s/postbus.json", w->dir);
	if (!access(path, F_OK))
		return pb_fail(err, PB_EEXISTS, "%s is there already; init makes new homes only", path);
	if (!is_empty(w->dir))
		return pb_fail(err, PB_EEXISTS, "%s is not empty; init makes new homes only", w->dir);
	if (chmod(w->dir, 0700))
		return pb_fail_errno(err, errno, "%s", w->dir);
	snprintf(path, sizeof path, "%s/tls", w->dir);
	if (mkdir(path, 0700) && errno != EEXIST)
		return pb_fail_errno(err, errno, "%s", path);
	return 0;
}

static int write_config(const struct wish *w, struct pb_error *err)
{
	json_t *doc = json_object(), *listen = json_array();
	char path[PATH_MAX];
	int rc = 0;

	for (size_t i = 0; i < w->nlisten; i++)
		json_array_append_new(listen, json_string(w->listen[i]));
	if (!w->nlisten && w->port_base) {
		json_array_append_new(listen, json_string("127.0.0.1"));
	} else if (!w->nlisten) {
		json_array_append_new(listen, json_string("0.0.0.0"));
		json_array_append_new(listen, json_string("::"));
	}
	json_object_set_new(doc, "version", json_integer(1));
	json_object_set_new(doc, "hostname", json_string(w->hostname));
	json_object_set_new(doc, "listen", listen);
	json_object_set_new(doc, "port_base", json_integer(w->port_base));
	json_object_set_new(doc, "certificates", json_pack("[{s:s s:s}]", "cert", "tls/cert.pem", "key", "tls/key.pem"));
	if (geteuid() == 0 && getpwnam("postbus"))
		json_object_set_new(doc, "user", json_string("postbus"));
	snprintf(path, sizeof path, "%s/postbus.json", w->dir);
	if (json_dump_file(doc, path, JSON_INDENT(2)) || chmod(path, 0600))
		rc = pb_fail_errno(err, errno, "%s", path);
	json_decref(doc);
	return rc;
}

static int call(struct client *c, const char *method, json_t *params, struct pb_error *err)
{
	json_t *result = NULL;
	int rc = client_call(c, method, params, &result, err);

	json_decref(params);
	json_decref(result);
	return rc ? pb_because(err, "%s", method) : 0;
}

static int fill_demo(struct client *c, const struct wish *w, struct pb_error *err)
{
	static const struct { const char *address, *role; } people[] = { { "alice@demo.example", "admin" }, { "bob@demo.example", "user" } };
	int rc;

	(void)((rc = call(c, "postoffice.create", json_pack("{s:s}", "name", "demo"), err)) ||
	       (rc = call(c, "domain.create", json_pack("{s:s s:s}", "domain", "demo.example", "postoffice", "demo"), err)));
	for (size_t i = 0; !rc && i < 2; i++)
		(void)((rc = call(c, "mailbox.create", json_pack("{s:s s:s}", "address", people[i].address, "role", people[i].role), err)) ||
		       (rc = call(c, "mailbox.password", json_pack("{s:s s:s}", "mailbox", people[i].address, "password", w->password), err)));
	return rc;
}

/* The store is made by the daemon itself; what was made as root for a user is given to him afterwards. */
static int make_store(const struct wish *w, struct pb_error *err)
{
	struct client *c;
	char path[PATH_MAX];
	json_t *result = NULL;
	int rc;

	snprintf(path, sizeof path, "%s/postbus.json", w->dir);
	if (client_open(path, true, &c, err))
		return err->code;
	rc = client_call(c, "plugin.list", NULL, &result, err);
	json_decref(result);
	if (!rc && w->demo)
		rc = fill_demo(c, w, err);
	client_close(c);
	return rc;
}

static void give_to_user(const struct wish *w)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam("postbus") : NULL;
	static const char *const parts[] = { "", "/postbus.json", "/tls", "/tls/cert.pem", "/tls/key.pem" };

	for (size_t i = 0; user && i < sizeof parts / sizeof *parts; i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof path, "%s%s", w->dir, parts[i]);
		if (lchown(path, user->pw_uid, user->pw_gid))
			fprintf(stderr, "postbusctl: %s cannot be given to user postbus: %s\n", path, strerror(errno));
	}
}

static void invent_password(struct wish *w)
{
	static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
	unsigned char random[16];

	pb_random(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		w->password[i] = letters[random[i] % (sizeof letters - 1)];
	w->password[sizeof random] = '\0';
}

int init_command(int argc, char **argv, bool json)
{
	struct wish w = { 0 };
	struct pb_error err = { 0 };
	char cert[PATH_MAX], key[PATH_MAX], *home;
	bool invented = false;
	int rc = parse(argc, argv, &w, json);

	if (rc)
		return rc;
	if (w.demo && !w.password[0]) {
		invent_password(&w);
		invented = true;
	}
	umask(077);
	snprintf(cert, sizeof cert, "%s/tls/cert.pem", w.dir);
	snprintf(key, sizeof key, "%s/tls/key.pem", w.dir);
	if (check_wish(&w, &err) || make_dirs(&w, &err))
		return report(&err, json);
	rc = certificate_make(w.hostname, cert, key, &err);
	rc = rc ? rc : write_config(&w, &err);
	if (!rc)
		give_to_user(&w);
	rc = rc ? rc : make_store(&w, &err);
	if (rc) {
		remove_what_was_made(&w);
		return report(&err, json);
	}
	home = realpath(w.dir, NULL);
	if (json) {
		json_t *out = json_pack("{s:s s:s}", "home", home, "hostname", w.hostname);

		if (w.demo)
			json_object_set_new(out, "demo", json_pack("{s:[s,s] s:s}", "mailboxes", "alice@demo.example", "bob@demo.example", "password", w.password));
		json_dumpf(out, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(out);
	} else {
		printf("Made %s for %s.\nStart it with: postbusd -c %s/postbus.json\n", home, w.hostname, home);
		if (w.demo)
			printf("Demo mailboxes: alice@demo.example and bob@demo.example%s%s\n", invented ? ", password " : "", invented ? w.password : "");
	}
	free(home);
	return 0;
}
