# SPDX-License-Identifier: GPL-3.0-or-later
"""Small plugins that misbehave on demand, compiled where a test runs: what a stranger's plugin may do to the server."""
import json, os, shutil, subprocess, tempfile
import postbus

SOURCE = r"""
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <postbus/plugin.h>
#include <postbus/bus.h>
#include <postbus/queue.h>
#include <postbus/run.h>
static struct pb_host *door;

/* Whoever comes in waits as long as the file is there, and says so. */
static void held(const char *file, const char *mark)
{
	if (access(file, F_OK) == 0 && door)
		pb_log(door, PB_INFO, "held", "at=%s", mark);
	while (access(file, F_OK) == 0)
		poll(NULL, 0, 10);
}
static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	door = host;
	*ret_self = &door;
	held(HOLD ".load", "load");
	return access(HOLD ".fail", F_OK) ? 0 : pb_fail(err, PB_EINVALID, "it was told to fail");
}
/* As it starts it calls the method that a file names, with the name of a plugin. */
static int start(void *self, struct pb_error *err)
{
	FILE *words = fopen(HOLD ".start", "r");
	char method[100], name[100];
	struct pb_error why;
	json_t *params;

	(void)self, (void)err;
	if (!words)
		return 0;
	if (fscanf(words, "%99s %99s", method, name) == 2) {
		params = json_pack("{s:s}", "name", name);
		pb_log(door, PB_INFO, "called", "method=%s rc=%d", method, pb_call(door, method, params, NULL, &why));
		json_decref(params);
	}
	fclose(words);
	return 0;
}
static void unload(void *self)
{
	if (self)
		held(HOLD ".unload", "unload");
}
static void drain(void *self)
{
	(void)self;
	held(HOLD ".drain", "drain");
}
static int call(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err)
{
	(void)self, (void)who, (void)err, (void)params;
	held(HOLD ".call", "call");
	if (access(HOLD ".open", F_OK) == 0) {		/* what it may open of the files that are named there */
		char name[200], all[4000] = "";
		FILE *list = fopen(HOLD ".open", "r");

		while (fgets(name, sizeof name, list)) {
			name[strcspn(name, "\n")] = 0;
			FILE *one = fopen(name, "r");
			if (one) {
				strcat(strcat(all, name), " ");
				fclose(one);
			}
		}
		fclose(list);
		*ret = json_pack("{s:s}", "answer", all);
		return 0;
	}
	*ret = json_loads(ANSWER_JSON, 0, NULL);
	return 0;
}
static int ask(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)err;
	held(HOLD ".ask", "ask");
#if RUNS
	static const char *const words[] = { "/bin/true", NULL };
	struct pb_run run = { .argv = words, .timeout = 60 * PB_SECOND };
	struct pb_ran ran = PB_RAN;
	int rc = pb_run(door, &run, &ran, err);

	pb_ran_free(&ran);
	if (rc)
		return rc;
#endif
	if (json_object_get(q->facts, "sender"))
		pb_verdict_note(v, "sender", json_deep_copy(json_object_get(q->facts, "sender")));
	return 0;
}
static int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	struct pb_recipient *to;

	(void)self, (void)err;
	held(HOLD ".deliver", "deliver");
	while ((to = pb_item_next(item)) != NULL)
		pb_delivered(to, PB_NOSTR, "kept");
	return 0;
}
static const struct pb_method methods[] = { { NAME ".call", call }, { 0 } };
static const struct pb_hook hooks[] = {
#ifdef POINT
	{ POINT, ask },
#endif
	{ 0 }
};
static const struct pb_courier courier = { deliver };
const struct pb_plugin SYMBOL __attribute__((visibility("default"))) = {
	PB_PLUGIN_HEAD(NAME), .load = load, .start = start, .drain = drain, .unload = unload, .methods = methods, .hooks = hooks,
#if COURIER
	.courier = &courier,
#endif
};
"""


def directory():
    if not shutil.which("cc"):
        raise postbus.Skip("no C compiler")
    return tempfile.mkdtemp(prefix="pb-probe-")


def hold(where, name, moment):
    """The plugin does not come back from this moment (load, drain, unload, call, ask, deliver) until release. And "fail": its load fails."""
    open(os.path.join(where, f"{name}.{moment}"), "w").close()


def release(where, name, moment):
    os.unlink(os.path.join(where, f"{name}.{moment}"))


def build(where, name, answer='{}', hooks=None, into=None, runs=False, **manifest):
    """hooks: one; runs: it runs a program to answer. into: a name for the object other than its own. One of the kind connector delivers what is routed to it."""
    doc = {"name": name, "kind": "agent", "version": "1.0.0", "sdk": "1.0", "summary": "Probes",
           "provides": {"methods": {name + ".call": {"summary": "Call", "role": "admin", "params": {}, "returns": {"answer": {"type": "string", "doc": "Its answer."}}}}}}
    if hooks:
        doc["hooks"] = hooks
    if runs:
        doc["requires"] = ["exec"]
    doc.update(manifest)
    with open(os.path.join(where, name + ".json"), "w") as f:
        json.dump(doc, f)
    root = os.environ.get("POSTBUS_BIN")
    include = os.path.join(os.path.dirname(root), "include") if root else os.path.join(postbus.TOP, "sdk", "include")
    lib = os.path.join(os.path.dirname(root), "lib") if root else os.path.join(postbus.BUILD, ".libs")
    point = f"#define POINT \"{next(iter(hooks))}\"\n" if hooks else ""
    source, made = os.path.join(where, name + ".c"), into or os.path.join(where, name + ".so")
    with open(source, "w") as f:
        f.write(f"#define NAME \"{name}\"\n#define SYMBOL {name}_LTX_pb_plugin\n#define HOLD {json.dumps(os.path.join(where, name))}\n"
                f"#define ANSWER_JSON {json.dumps(answer)}\n{point}#define RUNS {int(runs)}\n#define COURIER {1 if doc['kind'] == 'connector' else 0}\n" + SOURCE)
    subprocess.run(["cc", "-std=gnu11", "-w", "-g", "-fPIC", "-shared", "-I", include, "-o", made, source, "-L", lib, "-lpostbus", "-ljansson"], check=True)
    return made


def others():
    """The directory of the plugins of this release."""
    root = os.environ.get("POSTBUS_BIN")
    return os.path.join(os.path.dirname(root), "lib", "postbus", "plugins") if root else postbus.plugin_dir()
