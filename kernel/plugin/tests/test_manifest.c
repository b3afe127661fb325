/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Manifests: what is refused, with which words; and that every manifest of this tree fits its own description and everybody's "provides". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "kernel/config/guard.h"
#include "kernel/config/schema.h"
#include "kernel/host.h"
#include "kernel/plugin/manifest.h"

#define HEAD "\"name\": \"conn_x\", \"kind\": \"connector\", \"version\": \"1\", \"sdk\": \"1.0\", \"summary\": \"s\""

static char dir[] = "/tmp/postbus-manifest-XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[80];

	(void)state;
	snprintf(path, sizeof path, "%s/conn_x.json", dir);
	unlink(path);
	return rmdir(dir);
}

static int read_text(const char *text, struct manifest **ret, struct pb_error *err)
{
	char path[80];
	FILE *f;

	snprintf(path, sizeof path, "%s/conn_x.json", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return manifest_read(path, geteuid(), ret, err);
}

static void wrong_manifests_are_refused_with_file_key_and_what_is_allowed(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "{" HEAD ", \"requries\": []}", "unknown key \"requries\"; did you mean \"requires\"?" },
		{ "{" HEAD ", \"kind\": \"x\"}", "duplicate" },
		{ "{\"name\": \"conn_y\", \"kind\": \"connector\", \"version\": \"1\", \"sdk\": \"1.0\", \"summary\": \"s\"}", "name: found \"conn_y\", but the file is called conn_x.json" },
		{ "{\"name\": \"conn_x\", \"kind\": \"conector\", \"version\": \"1\", \"sdk\": \"1.0\", \"summary\": \"s\"}", "kind: found \"conector\", allowed is \"connector\"" },
		{ "{\"name\": \"conn_x\", \"kind\": \"connector\", \"version\": \"1\", \"sdk\": \"2.0\", \"summary\": \"s\"}", "it was written for SDK 2.0, this release offers 1.0" },
		{ "{\"name\": \"conn_x\", \"kind\": \"connector\", \"version\": \"1\", \"sdk\": \"one\", \"summary\": \"s\"}", "sdk: found \"one\", allowed is \"major.minor\"" },
		{ "{" HEAD ", \"config\": {\"k\": {\"type\": \"strnig\"}}}", "config.k: found type \"strnig\"" },
		{ "{" HEAD ", \"provides\": {\"methods\": {\"x.y\": {\"summary\": \"s\", \"params\": {\"p\": {}}}}}}", "x.y: params.p: \"type\" is missing" },
		{ "{" HEAD ", \"listens\": [{\"name\": \"x\", \"protocol\": \"x\", \"port\": 70000}]}", "listens[0].port: found 70000" },
		{ "{" HEAD ", \"hooks\": {\"smtp.rcpt\": {\"on_failure\": \"panic\"}}}", "hooks.smtp.rcpt.on_failure: found \"panic\"" },
		{ "not json", "line 1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pb_error err = { 0 };
		struct manifest *m;

		assert_int_not_equal(read_text(cases[i].text, &m, &err), 0);
		if (!strstr(err.text, cases[i].want) || !strstr(err.text, "conn_x.json"))
			fail_msg("'%s' says '%s', not '%s'", cases[i].text, err.text, cases[i].want);
	}
}

static void requires_is_split_into_rights_and_methods(void **state)
{
	struct pb_error err;
	struct manifest *m;

	(void)state;
	assert_int_equal(read_text("{" HEAD ", \"requires\": [\"mail.read\", \"directory.resolve\"], \"optional\": [\"dns.mx\"]}", &m, &err), 0);
	assert_int_equal(m->rights, RIGHT_MAIL_READ);
	assert_true(json_is_true(json_object_get(m->calls, "directory.resolve")));
	assert_true(json_is_false(json_object_get(m->calls, "dns.mx")));
	assert_null(json_object_get(m->calls, "mail.read"));
	manifest_free(m);
}

static void every_manifest_of_this_tree_is_right_and_satisfiable(void **state)
{
	json_t *provided = json_object();
	glob_t found;

	(void)state;
	assert_int_equal(glob(SRCDIR "/plugins/*/*.json", 0, NULL, &found), 0);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			struct pb_error err = { 0 };
			struct manifest *m;
			const char *method;
			json_t *spec;

			if (manifest_read(found.gl_pathv[i], geteuid(), &m, &err))
				fail_msg("%s", err.text);
			if (pass == 0)
				json_object_foreach (json_object_get(json_object_get(m->doc, "provides"), "methods"), method, spec) {
					if (json_object_get(provided, method))
						fail_msg("%s provides %s, which another plugin provides too", m->name, method);
					json_object_set_new(provided, method, json_true());
				}
			else
				json_object_foreach (m->calls, method, spec)
					if (json_is_true(spec) && !json_object_get(provided, method))
						fail_msg("%s requires %s, which nobody provides", m->name, method);
			manifest_free(m);
		}
	}
	globfree(&found);
	json_decref(provided);
}

static void a_manifest_belongs_to_those_who_may_change_the_daemon(void **state)
{
	char path[80];
	struct pb_error err = { 0 };
	struct manifest *m;

	(void)state;
	if (geteuid())
		skip();
	assert_int_equal(read_text("{" HEAD "}", &m, &err), 0);
	manifest_free(m);
	snprintf(path, sizeof path, "%s/conn_x.json", dir);
	assert_int_equal(chown(path, 4711, (gid_t)-1), 0);
	assert_int_equal(manifest_read(path, 4711, &m, &err), 0);	/* whom the daemon becomes */
	manifest_free(m);
	assert_int_equal(manifest_read(path, 4712, &m, &err), PB_EDENIED);
	assert_non_null(strstr(err.text, "conn_x.json: belongs to user 4711, who can change it"));
	assert_int_equal(guard_code_directory("/nowhere", dir, 4711, &err), 0);
	assert_int_equal(chown(dir, 4711, (gid_t)-1), 0);
	assert_int_equal(guard_code_directory("/nowhere", dir, 4711, &err), 0);
	assert_int_equal(guard_code_directory("/nowhere", dir, 0, &err), PB_EDENIED);
	assert_int_equal(chown(dir, 0, (gid_t)-1) || unlink(path), 0);
}

/* The home's own are looked at on the way up to it, those of the system only themselves. */
static void directories_of_plugins_belong_to_them_too(void **state)
{
	char home[80], middle[90], own[100];
	struct pb_error err = { 0 };

	(void)state;
	snprintf(home, sizeof home, "/tmp/postbus-guard-XXXXXX");
	assert_non_null(mkdtemp(home));
	snprintf(middle, sizeof middle, "%s/plugins", home);
	snprintf(own, sizeof own, "%s/third", middle);
	assert_int_equal(mkdir(middle, 0700) || mkdir(own, 0700), 0);
	assert_int_equal(guard_code_directory(home, own, 0, &err), 0);
	assert_int_equal(chmod(middle, 0777), 0);
	assert_int_equal(guard_code_directory(home, own, 0, &err), PB_EDENIED);
	assert_non_null(strstr(err.text, "/plugins: anybody may write to it"));
	assert_int_equal(guard_code_directory("/nowhere", own, 0, &err), 0);
	assert_int_equal(rmdir(own) || rmdir(middle) || rmdir(home), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_manifests_are_refused_with_file_key_and_what_is_allowed),
		cmocka_unit_test(a_manifest_belongs_to_those_who_may_change_the_daemon),
		cmocka_unit_test(directories_of_plugins_belong_to_them_too),
		cmocka_unit_test(requires_is_split_into_rights_and_methods),
		cmocka_unit_test(every_manifest_of_this_tree_is_right_and_satisfiable),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
