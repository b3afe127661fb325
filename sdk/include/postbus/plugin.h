/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin is: one const descriptor, exported as <name>_LTX_pb_plugin, and what every plugin may do with its host.
 * What it provides, requires and listens on stands in its manifest <name>.json, which is read before the object is opened.
 *
 *	load	once, config checked; reads config, no I/O, no calls
 *	start	after every plugin it requires has started; may call, open tables, start timers
 *	drain	take no new work by itself; sessions and items in hand are finished. Others may still call and ask, who finish theirs
 *	unload	last; self may be NULL when load failed
 *
 * All structs of this header and of those it includes grow at the end only. A plugin never sees the inside of an opaque handle.
 */
#ifndef POSTBUS_PLUGIN_H
#define POSTBUS_PLUGIN_H

#include <jansson.h>
#include <postbus/str.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PB_ABI_MAJOR 1
#define PB_ABI_MINOR 0

struct pb_host;		/* this plugin's door to the kernel: its identity, rights, config */
struct pb_protocol;	/* session.h */
struct pb_courier;	/* queue.h */
struct pb_agent;	/* queue.h */
struct pb_method;	/* bus.h */
struct pb_hook;		/* bus.h */
struct pb_listener;	/* bus.h */

struct pb_plugin {
	uint32_t size;			/* sizeof this struct where the plugin was built: later fields are absent */
	uint16_t abi_major, abi_minor;	/* major equal to the kernel's, minor not newer */
	const char *name;		/* as in the manifest */

	int (*load)(struct pb_host *host, void **ret_self, struct pb_error *err);
	int (*start)(void *self, struct pb_error *err);
	void (*drain)(void *self);
	void (*unload)(void *self);

	const struct pb_protocol *const *protocols;	/* line protocols it serves, NULL-terminated (session.h) */
	const struct pb_courier *courier;		/* connectors: deliver leased items (queue.h) */
	const struct pb_agent *agent;			/* agents: process leased items, and a timer (queue.h) */
	const struct pb_method *methods;		/* what it provides on the bus (bus.h) */
	const struct pb_hook *hooks;			/* decision points it takes part in (bus.h) */
	const struct pb_listener *listeners;		/* facts it wants to hear (bus.h) */
	/* Its running config or the host's name was changed and checked; take it over or refuse it (then the old one stays). May be NULL: for a new config it
	 * is stopped and started instead. */
	int (*reconfigure)(void *self, struct pb_error *err);
	/* What the manifest cannot say about config: pb_config_str and its like give values that may come into force. Called before load, by config check and
	 * before each change, also while the plugin is not loaded or runs with others: no self, no I/O, nothing but pb_config_* and pb_hostname. An error begins
	 * with the key. May be NULL. */
	int (*check)(struct pb_host *host, struct pb_error *err);
};

/* At file scope: PB_PLUGIN(conn_hello) = { PB_PLUGIN_HEAD("conn_hello"), .load = load, ... }; */
#define PB_PLUGIN(name) \
	extern const struct pb_plugin name##_LTX_pb_plugin; \
	__attribute__((visibility("default"))) const struct pb_plugin name##_LTX_pb_plugin
#define PB_PLUGIN_HEAD(id) .size = sizeof(struct pb_plugin), .abi_major = PB_ABI_MAJOR, .abi_minor = PB_ABI_MINOR, .name = id

/* ---- config: the manifest's "config" gives type, default and limits; a value of another type can never be read ---- */

/* Dotted key as in the manifest ("greeting"). Views stay valid until the plugin's config changes (reconfigure) or it is unloaded.
 * A key that the manifest does not declare, or one of another type, ends the process: it is a bug of the plugin, found by its first test. */
struct pb_str pb_config_str(struct pb_host *host, const char *key);	/* string, address, host, path (absolute), enum */
int64_t pb_config_int(struct pb_host *host, const char *key);		/* integer; seconds in seconds; bytes in bytes */
bool pb_config_bool(struct pb_host *host, const char *key);
const json_t *pb_config_json(struct pb_host *host, const char *key);	/* list, object, or any; borrowed */

/* What the whole server is called: postbus.json "hostname". A reload may change it: ask when it is needed, or keep it until reconfigure is called.
 * The view stays valid until the plugin is unloaded. */
struct pb_str pb_hostname(struct pb_host *host);
/* A directory for this plugin's files, inside the home, mode 0700, made on first use; absolute, NUL-terminated. */
struct pb_str pb_plugin_dir(struct pb_host *host);

/* ---- JSON ---- */

/* The text of an object's member, a view that stays valid as the member does; PB_NOSTR: it has none of this name, or another type. o may be NULL. */
static inline struct pb_str pb_text_of(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? pb_str(json_string_value(v), json_string_length(v)) : PB_NOSTR;
}

/* ---- log: one event, one line, logfmt ---- */

enum pb_level { PB_DEBUG, PB_INFO, PB_WARNING, PB_ERROR };

/* event is a stable name ("login.failed"); fmt gives the rest as key=value words; "plugin=" is put before it. No newlines. */
void pb_log(struct pb_host *host, enum pb_level level, const char *event, const char *fmt, ...) PB_PRINTF(4, 5);
/* A value that may hold blanks, quotes or control bytes, made safe for logfmt; lives in one of a few per-thread slots: for the same log line only. */
const char *pb_logq(struct pb_str value);

/* Add to a counter, or observe a value in a histogram, which the manifest's "metrics" declares; free of locks. */
void pb_count(struct pb_host *host, const char *metric, int64_t n);

/* ---- clock ---- */

/* Microseconds since 1970, UTC; and monotonic microseconds. Tests turn both by hand. */
int64_t pb_now(struct pb_host *host);
int64_t pb_ticks(struct pb_host *host);
#define PB_SECOND INT64_C(1000000)
#define PB_MINUTE (60 * PB_SECOND)
#define PB_HOUR (60 * PB_MINUTE)
#define PB_DAY (24 * PB_HOUR)

/* ---- background work ---- */

/* Run job(self, arg) on a worker of the kernel's pool; done before unload. PB_EBUSY when this plugin has too many waiting already. */
int pb_work(struct pb_host *host, void (*job)(void *self, void *arg), void *arg, struct pb_error *err);

#ifdef __cplusplus
}
#endif
#endif
