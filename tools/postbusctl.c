/* SPDX-License-Identifier: GPL-3.0-or-later */
/* postbusctl: the administrator's tool. Its commands are the methods that plugins and kernel describe; only what works on a home from outside is its own. */
#include "config.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tools/client.h"
#include "tools/command.h"
#include "tools/import.h"
#include "tools/offline.h"
#include "tools/show.h"

static const char usage[] =
    "Usage: postbusctl [-c FILE] [--json] COMMAND [WORD...] [--OPTION VALUE...]\n"
    "  -c, --config FILE  postbus.json of the home (or POSTBUS_CONFIG)\n"
    "      --json         answers and errors as JSON\n"
    "  postbusctl help [COMMAND]    what there is\n"
    "  postbusctl init DIR [--hostname H] [--port-base N] [--listen ADDR]... [--demo [--password PW]]\n"
    "  postbusctl backup [--without-keys] DIR\n"
    "                               a copy of store and keys, while the server runs; what DIR has already is not copied again\n"
    "  postbusctl import KIND DIR   mail of another server: maildir, mbox, mailenable; lists: mlmmj, mailman\n"
    "  postbusctl restore DIR       such a copy back into an empty home\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 denied, 5 exists already, 6 invalid, 7 unavailable, 8 busy or conflict, 9 full or over quota.\n";

int report(const struct pb_error *err, bool json)
{
	if (json) {
		json_t *out = json_pack("{s:{s:s s:s}}", "error", "code", pb_code_name(err->code), "text", err->text);

		json_dumpf(out, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(out);
	} else {
		fprintf(stderr, "postbusctl: %s\n", err->text);
	}
	switch (err->code) {
	case PB_ENOTFOUND:
		return 3;
	case PB_EDENIED:
		return 4;
	case PB_EEXISTS:
		return 5;
	case PB_EINVALID:
	case PB_ETOOBIG:
		return 6;
	case PB_EUNAVAILABLE:
	case PB_ECLOSED:
	case PB_ETIMEOUT:
		return 7;
	case PB_EBUSY:
	case PB_ECONFLICT:
		return 8;
	case PB_EFULL:
	case PB_EQUOTA:
		return 9;
	default:
		return 1;
	}
}

int wrong_usage(const char *usage_text, const char *text, bool json)
{
	struct pb_error err;

	pb_fail(&err, PB_EINVALID, "%s", text ? text : "wrong usage");
	if (text || json)
		report(&err, json);
	if (!json)
		fputs(usage_text, stderr);
	return 2;
}

int wrong_option(const char *usage_text, char **argv, bool json)
{
	char text[160];

	snprintf(text, sizeof text, "unknown option, or one without its value or with one too many: %.80s", argv[optind - 1]);
	return wrong_usage(usage_text, text, json);
}

static void put_json(json_t *out)
{
	json_dumpf(out, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(out);
}

/* What the daemon says of its methods: of one, of those that begin with a word, of all. */
static int help_json(const json_t *methods, int argc, char **argv)
{
	int used = 0;
	const char *method = argc ? command_find(methods, argc, argv, &used) : NULL, *name;
	json_t *out = json_object(), *spec;
	struct pb_error err;

	json_object_foreach ((json_t *)methods, name, spec) {
		size_t n = argc ? strlen(argv[0]) : 0;
		bool wanted = method ? !strcmp(name, method) : !n || (!strncmp(name, argv[0], n) && (name[n] == '.' || !name[n]));

		if (wanted && !json_is_false(json_object_get(spec, "cli")))
			json_object_set(out, name, spec);
	}
	if (json_object_size(out)) {
		put_json(json_pack("{s:o}", "commands", out));
		return 0;
	}
	json_decref(out);
	pb_fail(&err, PB_EINVALID, "there is no command '%s'", argv[0]);
	report(&err, true);
	return 2;
}

static int help(const json_t *methods, int argc, char **argv)
{
	const char *method;
	int used = 0;

	if (!argc) {
		fputs(usage, stdout);
		puts("Commands:");
		command_list(methods, NULL);
		return 0;
	}
	method = command_find(methods, argc, argv, &used);
	if (method) {
		command_help(method, json_object_get(methods, method));
		return 0;
	}
	if (command_list(methods, argv[0]))
		return 0;
	fprintf(stderr, "postbusctl: there is no command '%s'\n", argv[0]);
	return 2;
}

/* Without a running daemon there is nothing to show of these, and an offline one would only pretend. */
static bool needs_daemon(const char *word)
{
	return !strcmp(word, "status") || !strcmp(word, "metrics") || !strcmp(word, "session");
}

static int no_such_command(const json_t *methods, int argc, char **argv, bool json)
{
	const char *second = argc > 1 ? argv[1] : "", *blank = argc > 1 ? " " : "";
	struct pb_error err;

	if (json) {
		pb_fail(&err, PB_EINVALID, "there is no command '%s%s%s'", argv[0], blank, second);
		report(&err, true);
		return 2;
	}
	fprintf(stderr, "postbusctl: there is no command '%s%s%s'; this is near:\n", argv[0], blank, second);
	fflush(stderr);
	if (!command_list(methods, argv[0]))
		fputs("  (nothing; see postbusctl help)\n", stdout);
	return 2;
}

static bool is_secret_key(struct client *c, const char *plugin, const char *key)
{
	json_t *params = json_pack("{s:s}", "plugin", plugin), *result = NULL, *one;
	struct pb_error ignored;	/* setting the value says what is wrong */
	bool secret = false;
	size_t i;

	if (!client_call(c, "config.show", params, &result, &ignored))
		json_array_foreach (json_object_get(result, "config"), i, one)
			if (!strcmp(json_string_value(json_object_get(one, "plugin")), plugin) && !strcmp(json_string_value(json_object_get(one, "key")), key))
				secret = json_is_true(json_object_get(one, "secret"));
	json_decref(result);
	json_decref(params);
	return secret;
}

/* A new reference to the method's description. Whether the value of config set is asked for, depends on the key that is set. */
static json_t *describe(struct client *c, const char *method, const json_t *spec, int argc, char **argv)
{
	json_t *own;

	if (strcmp(method, "config.set") || argc < 2 || !is_secret_key(c, argv[0], argv[1]))
		return json_incref((json_t *)spec);
	own = json_deep_copy(spec);
	json_object_set_new(json_object_get(json_object_get(own, "params"), "value"), "secret", json_true());
	return own;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--help"))
			return true;
	return false;
}

static int call_method(struct client *c, const char *method, const json_t *spec, json_t *params, bool json)
{
	struct pb_error err = { 0 };
	json_t *result = NULL;
	int rc = client_call(c, method, params, &result, &err) ? report(&err, json) : 0;

	if (!rc && json) {
		json_dumpf(result, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (!rc) {
		show_result(result, json_object_get(spec, "returns"));
	}
	if (!rc && json_is_false(json_object_get(result, "ok")))
		rc = 1;		/* a check that found something */
	json_decref(result);
	return rc;
}

static int run_method(struct client *c, const json_t *methods, int argc, char **argv, bool json)
{
	struct pb_error err = { 0 };
	json_t *params = NULL, *spec;
	int used = 0, rc;
	const char *method = command_find(methods, argc, argv, &used);

	if (!method)
		return no_such_command(methods, argc, argv, json);
	if (wants_help(argc - used, argv + used)) {
		command_help(method, json_object_get(methods, method));
		return 0;
	}
	spec = describe(c, method, json_object_get(methods, method), argc - used, argv + used);
	if (command_params(spec, argc - used, argv + used, &params, &err)) {
		report(&err, json);
		rc = 2;
	} else {
		rc = call_method(c, method, spec, params, json);
	}
	json_decref(params);
	json_decref(spec);
	return rc;
}

/* config check must speak about a file that no daemon can start with. */
static int check_file(const char *config_file, bool json)
{
	struct pb_error err = { 0 };
	int status = 1, ends[2];
	PB_AUTOBUF(said);
	pid_t child;
	ssize_t n;

	if (pipe(ends))
		return report(&(struct pb_error){ PB_EINTERNAL, "no pipe" }, json);
	child = fork();
	if (child == 0) {
		dup2(ends[1], 2);
		execl(client_daemon(), "postbusd", "-c", config_file, "--check", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	do {
		pb_buf_reserve(&said, 4096);
		n = read(ends[0], said.ptr + said.len, 4095);
		if (n > 0)
			said.len += (size_t)n;
	} while (n > 0);
	close(ends[0]);
	waitpid(child, &status, 0);
	if (!json)
		fwrite(said.ptr, 1, said.len, stderr);
	if (WIFEXITED(status) && !WEXITSTATUS(status)) {
		if (json)
			puts("{\"changes\":[]}");
		return 0;
	}
	while (said.len && said.ptr[said.len - 1] == '\n')
		said.len--;
	pb_fail(&err, PB_EINVALID, "%.*s", PB_FMT(pb_buf_str(&said)));
	return json ? report(&err, true) : 6;
}

struct line {
	const char *config_file;
	int argc;			/* the words behind the options */
	char **argv;
	bool json;
};

static bool asks_for_json(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

/* False: *ret is the exit status. */
static bool parse(int argc, char **argv, struct line *l, int *ret)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "json", no_argument, NULL, 'j' }, { "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },	    { NULL, 0, NULL, 0 },
	};
	int c, wish = 0;

	*ret = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+c:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			l->config_file = optarg;
			break;
		case 'j':
			l->json = true;
			break;
		case 'V':
		case 'h':
			wish = c;
			break;
		default:
			*ret = wrong_option(usage, argv, l->json || asks_for_json(argc, argv));
			return false;
		}
	}
	l->argc = argc - optind;
	l->argv = argv + optind;
	for (int i = 0; i < l->argc; i++) {	/* --json is welcome anywhere */
		if (strcmp(l->argv[i], "--json"))
			continue;
		l->json = true;
		memmove(l->argv + i, l->argv + i + 1, (size_t)(l->argc - i) * sizeof *l->argv);
		l->argc--;
	}
	if (l->argc && !wish)
		return true;
	*ret = wish ? 0 : 2;
	if (wish == 'V' && l->json)
		put_json(json_pack("{s:s}", "version", PACKAGE_VERSION));
	else if (wish == 'V')
		puts("postbusctl " PACKAGE_VERSION);
	else if (l->json && !wish)
		report(&(struct pb_error){ PB_EINVALID, "no command" }, true);
	else if (l->json)
		put_json(json_pack("{s:s}", "usage", usage));
	else
		fputs(usage, wish ? stdout : stderr);
	return false;
}

static bool is_word(const struct line *l, int at, const char *word)
{
	return at < l->argc && !strcmp(l->argv[at], word);
}

/* names: NULL for all. A daemon that began to start while one offline was asked for has the home: then it is the one to ask. */
static int ask_methods(const struct line *l, struct client **client, json_t *names, json_t **ret, struct pb_error *err)
{
	json_t *params = names ? json_pack("{s:O}", "names", names) : NULL;
	int rc = client_call(*client, "control.describe", params, ret, err);

	if ((rc == PB_ECLOSED || rc == PB_EBUSY) && client_is_offline(*client)) {
		client_close(*client);
		*client = NULL;
		rc = client_open(l->config_file, false, client, err);
		rc = rc ? rc : client_call(*client, "control.describe", params, ret, err);
	}
	json_decref(params);
	return rc;
}

/* The method that the words name, alone; all, where they name none or help is asked for. A daemon of before knows no names. */
static int describe_wanted(const struct line *l, struct client **client, json_t **ret, struct pb_error *err)
{
	json_t *names = command_names(l->argc, l->argv);
	int used, rc = is_word(l, 0, "help") ? PB_EINVALID : ask_methods(l, client, names, ret, err);

	json_decref(names);
	if (!rc && command_find(json_object_get(*ret, "methods"), l->argc, l->argv, &used))
		return 0;
	if (rc && rc != PB_EINVALID)
		return rc;
	json_decref(*ret);
	*ret = NULL;
	return ask_methods(l, client, NULL, ret, err);
}

/* The methods, from the daemon or, where it does not run, from one that serves this question alone. */
static int run(const struct line *l)
{
	struct pb_error err = { 0 };
	struct client *client;
	json_t *all = NULL;
	int rc;

	if (client_open(l->config_file, !needs_daemon(l->argv[0]) && !is_word(l, 0, "config"), &client, &err)) {
		if (is_word(l, 0, "config") && is_word(l, 1, "check") && err.code == PB_EUNAVAILABLE)
			return check_file(l->config_file, l->json);
		if (!is_word(l, 0, "config") || err.code != PB_EUNAVAILABLE || client_open(l->config_file, true, &client, &err))
			return report(&err, l->json);
	}
	if (describe_wanted(l, &client, &all, &err))
		rc = report(&err, l->json);
	else if (is_word(l, 0, "help"))
		rc = (l->json ? help_json : help)(json_object_get(all, "methods"), l->argc - 1, l->argv + 1);
	else
		rc = run_method(client, json_object_get(all, "methods"), l->argc, l->argv, l->json);
	json_decref(all);
	client_close(client);
	return rc;
}

int main(int argc, char **argv)
{
	struct line l = { .config_file = getenv("POSTBUS_CONFIG") };
	int rc;

	if (!parse(argc, argv, &l, &rc))
		return rc;
	if (is_word(&l, 0, "init"))
		return init_command(l.argc, l.argv, l.json);
	if (!l.config_file && is_word(&l, 0, "help")) {
		if (l.json)
			put_json(json_pack("{s:s}", "usage", usage));
		else
			fputs(usage, stdout);
		return 0;
	}
	if (!l.config_file) {
		report(&(struct pb_error){ PB_EINVALID, "name the home's postbus.json with -c FILE or POSTBUS_CONFIG" }, l.json);
		return 2;
	}
	if (is_word(&l, 0, "backup"))
		return backup_command(l.config_file, l.argc, l.argv, l.json);
	if (is_word(&l, 0, "import"))
		return import_command(l.config_file, l.argc, l.argv, l.json);
	if (is_word(&l, 0, "restore"))
		return restore_command(l.config_file, l.argc, l.argv, l.json);
	return run(&l);
}
