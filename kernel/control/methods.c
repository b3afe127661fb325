/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel's own methods: each a few lines over the room that does the work. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "config.h"
#include <postbus/date.h>
#include "kernel/bus/bus.h"
#include "kernel/clock/clock.h"
#include "kernel/config/config.h"
#include "kernel/control/methods.h"
#include "kernel/log/log.h"
#include "kernel/plugin/plugins.h"
#include "kernel/queue/queue.h"
#include "kernel/session/sessions.h"
#include "kernel/store/mailstore.h"
#include "kernel/store/timeline.h"

#define METHOD(name) \
	static int name(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err)
#define KERNEL struct kernel *k = self; (void)k, (void)who, (void)params, (void)err

static const json_t *specs(void)
{
	static struct builtin_json specs = {
		.what = "methods",
		.text =
#include "kernel/control/kernel_json.h"
	};

	return builtin_json(&specs);
}

static const char *word(const json_t *params, const char *key)
{
	return json_string_value(json_object_get(params, key));
}

static struct pb_str text(const json_t *params, const char *key)
{
	return pb_strz(word(params, key));
}

/* ---- plugins, config ---- */

METHOD(plugin_list)
{
	KERNEL;
	return plugins_list(k->plugins, ret);
}

METHOD(plugin_show)
{
	KERNEL;
	return plugins_show(k->plugins, word(params, "name"), ret, err);
}

METHOD(plugin_enable)
{
	KERNEL;
	return plugins_enable(k->plugins, word(params, "name"), true, ret, err);
}

METHOD(plugin_disable)
{
	KERNEL;
	return plugins_enable(k->plugins, word(params, "name"), false, ret, err);
}

METHOD(plugin_reload)
{
	KERNEL;
	return plugins_reload(k->plugins, word(params, "name"), ret, err);
}

METHOD(config_show)
{
	KERNEL;
	return plugins_config_show(k->plugins, word(params, "plugin"), ret, err);
}

METHOD(config_set)
{
	KERNEL;
	return plugins_config_set(k->plugins, word(params, "plugin"), word(params, "key"), json_object_get(params, "value"), ret, err);
}

METHOD(config_unset)
{
	KERNEL;
	return plugins_config_set(k->plugins, word(params, "plugin"), word(params, "key"), NULL, ret, err);
}

METHOD(config_check)
{
	KERNEL;
	return plugins_reread(k->plugins, true, ret, err);
}

METHOD(config_reload)
{
	KERNEL;
	return plugins_reread(k->plugins, false, ret, err);
}

/* ---- queue, trace ---- */

METHOD(do_queue_list)
{
	KERNEL;
	return queue_list(k->queue, params, ret, err);
}

METHOD(do_queue_show)
{
	KERNEL;
	return queue_show(k->queue, word(params, "id"), ret, err);
}

METHOD(do_queue_hold)
{
	KERNEL;
	return queue_hold(k->queue, params, ret, err);
}

METHOD(do_queue_release)
{
	KERNEL;
	return queue_release(k->queue, params, ret, err);
}

METHOD(do_queue_retry)
{
	KERNEL;
	return queue_retry(k->queue, params, ret, err);
}

METHOD(do_queue_delete)
{
	KERNEL;
	return queue_delete(k->queue, params, ret, err);
}

METHOD(do_queue_counts)
{
	KERNEL;
	return queue_counts(k->queue, ret, err);
}

/* "2h" ago, or a date; microseconds, 0: the beginning. */
static int parse_since(struct pb_str since, int64_t now, int64_t *ret, struct pb_error *err)
{
	static const struct {
		char suffix;
		int64_t unit;
	} units[] = { { 's', PB_SECOND }, { 'm', PB_MINUTE }, { 'h', PB_HOUR }, { 'd', PB_DAY } };
	char copy[40];
	uint64_t n;

	*ret = 0;
	if (!since.len)
		return 0;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (since.ptr[since.len - 1] == units[i].suffix && !pb_str_u64(pb_str_head(since, since.len - 1), 100000000, &n)) {
			*ret = now - (int64_t)n * units[i].unit;
			return 0;
		}
	}
	if (!pb_date_iso_parse(since, ret))
		return 0;
	snprintf(copy, sizeof copy, "%.*s", PB_FMT(since));
	return pb_fail(err, PB_EINVALID, "since: found \"%s\", allowed are 90s, 15m, 2h, 3d, 2026-01-31 and 2026-01-31T12:00:00Z", copy);
}

METHOD(do_trace)
{
	KERNEL;
	int64_t since;
	json_t *messages;

	if (parse_since(text(params, "since"), clock_now(k->clock), &since, err))
		return err->code;
	if (!text(params, "id").len && !text(params, "from").len && !text(params, "to").len && !since)
		return pb_fail(err, PB_EINVALID, "trace needs an id, or one of from, to and since");
	timeline_flush(k->timeline);
	if (timeline_find(k->timeline, text(params, "id"), text(params, "from"), text(params, "to"), since,
			  (size_t)json_integer_value(json_object_get(params, "limit")), &messages, err))
		return err->code;
	if (text(params, "id").len && !json_array_size(messages)) {
		json_decref(messages);
		return pb_fail(err, PB_ENOTFOUND, "nothing is known of a message %s", word(params, "id"));
	}
	*ret = json_pack("{s:o}", "messages", messages);
	return 0;
}

/* ---- store ---- */

static void find_one(void *arg, const char *finding)
{
	json_array_append_new(arg, json_string(finding));
}

METHOD(store_verify)
{
	KERNEL;
	json_t *findings = json_array();
	uint64_t records = 0, bad = 0, worse = 0;

	if (engine_verify(k->engine, find_one, findings, &records, &bad, err) || mailstore_verify(k->mailstore, find_one, findings, &worse, err)) {
		json_decref(findings);
		return err->code;
	}
	*ret = json_pack("{s:I s:b s:o}", "records", (json_int_t)records, "ok", bad + worse == 0, "findings", findings);
	return 0;
}

METHOD(store_compact)
{
	KERNEL;
	bool more = true;
	int steps = 0;

	while (more && steps++ < 10000)
		if (engine_compact(k->engine, &more, err))
			return err->code;
	*ret = json_pack("{s:i}", "steps", steps);
	return 0;
}

/* The daemon writes inside its home only; postbusctl carries the copy away. */
METHOD(backup_prepare)
{
	KERNEL;
	char dir[4096];

	snprintf(dir, sizeof dir, "%s/backup", k->home);
	if (engine_backup(k->engine, dir, err))
		return pb_because(err, "backup");
	timeline_flush(k->timeline);
	*ret = json_pack("{s:s}", "dir", dir);
	return 0;
}

METHOD(backup_release)
{
	KERNEL;
	*ret = json_object();
	return 0;
}

/* ---- the whole ---- */

METHOD(status)
{
	KERNEL;
	struct engine_stats s;
	json_t *lanes = NULL, *sessions = NULL, *plugins = NULL;

	engine_stats(k->engine, &s);
	if (queue_counts(k->queue, &lanes, err))
		return err->code;
	sessions_list(k->sessions, &sessions);
	plugins_list(k->plugins, &plugins);
	*ret = json_pack("{s:s s:s s:i s:o s:o s:o s:i s:{s:I s:I s:I s:I s:I s:I s:b}}", "version", PACKAGE_VERSION, "home", k->home, "pid", (int)getpid(), "listeners",
			 plugins_listeners(k->plugins), "plugins", json_incref(json_object_get(plugins, "plugins")), "lanes",
			 json_incref(json_object_get(lanes, "lanes") ? json_object_get(lanes, "lanes") : lanes), "sessions",
			 (int)json_array_size(json_object_get(sessions, "sessions") ? json_object_get(sessions, "sessions") : sessions), "store", "bodies", (json_int_t)s.bodies,
			 "body_bytes", (json_int_t)s.body_bytes, "dead_bytes", (json_int_t)s.dead_bytes, "segments", (json_int_t)s.segments, "flushes", (json_int_t)s.flushes,
			 "bytes_written", (json_int_t)s.bytes_written, "readonly", s.readonly);
	json_decref(lanes);
	json_decref(sessions);
	json_decref(plugins);
	return 0;
}

static void store_metrics(struct kernel *k)
{
	struct engine_stats s;

	engine_stats(k->engine, &s);
	metric_set(metric_declare(k->log, METRIC_COUNTER, "store_flushes_total", "", "Flushes of the store."), (int64_t)s.flushes);
	metric_set(metric_declare(k->log, METRIC_COUNTER, "store_written_bytes_total", "", "Bytes written by the store."), (int64_t)s.bytes_written);
	metric_set(metric_declare(k->log, METRIC_GAUGE, "store_bodies", "", "Bodies."), (int64_t)s.bodies);
	metric_set(metric_declare(k->log, METRIC_GAUGE, "store_body_bytes", "", "Bytes of live bodies."), (int64_t)s.body_bytes);
	metric_set(metric_declare(k->log, METRIC_GAUGE, "store_dead_bytes", "", "Bytes that compaction can give back."), (int64_t)s.dead_bytes);
}

METHOD(metrics)
{
	KERNEL;
	PB_AUTOBUF(out);

	store_metrics(k);
	metrics_print(k->log, &out);
	*ret = json_pack("{s:s}", "text", pb_buf_z(&out));
	return 0;
}

METHOD(session_list)
{
	KERNEL;
	json_t *list = NULL;

	sessions_list(k->sessions, &list);
	*ret = json_is_array(list) ? json_pack("{s:o}", "sessions", list) : list;
	return 0;
}

METHOD(describe)
{
	KERNEL;
	*ret = bus_describe(k->bus, json_object_get(params, "names"));
	return 0;
}

static const struct pb_method methods[] = {
	{ "plugin.list", plugin_list },
	{ "plugin.show", plugin_show },
	{ "plugin.enable", plugin_enable },
	{ "plugin.disable", plugin_disable },
	{ "plugin.reload", plugin_reload },
	{ "config.show", config_show },
	{ "config.set", config_set },
	{ "config.unset", config_unset },
	{ "config.check", config_check },
	{ "config.reload", config_reload },
	{ "queue.list", do_queue_list },
	{ "queue.show", do_queue_show },
	{ "queue.hold", do_queue_hold },
	{ "queue.release", do_queue_release },
	{ "queue.retry", do_queue_retry },
	{ "queue.delete", do_queue_delete },
	{ "queue.counts", do_queue_counts },
	{ "trace", do_trace },
	{ "status", status },
	{ "metrics", metrics },
	{ "session.list", session_list },
	{ "backup.prepare", backup_prepare },
	{ "backup.release", backup_release },
	{ "store.verify", store_verify },
	{ "store.compact", store_compact },
	{ "control.describe", describe },
	{ NULL, NULL },
};

int methods_register(struct kernel *kernel, struct pb_host *host, struct pb_error *err)
{
	for (const struct pb_method *m = methods; m->name; m++)
		if (bus_provide(kernel->bus, host, m, json_object_get(specs(), m->name), err))
			return err->code;
	return 0;
}
