/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this room share: one plugin, the list of them. Nobody else includes it. */
#ifndef KERNEL_PLUGIN_PLUGIN_H
#define KERNEL_PLUGIN_PLUGIN_H

#include <ltdl.h>
#include <pthread.h>
#include <stdatomic.h>
#include "kernel/host.h"
#include "kernel/plugin/manifest.h"
#include "kernel/plugin/plugins.h"
#include "kernel/session/running.h"

/* STUCK: told to stop, but its code still runs; it stays in memory, and cannot start again before that ends. */
enum plugin_state { PLUGIN_DISABLED, PLUGIN_FAILED, PLUGIN_READY, PLUGIN_RUNNING, PLUGIN_STUCK };

enum { LISTENERS_MAX = 32 };

#define DRAIN_TIME (10 * PB_SECOND)	/* for sessions, items and calls in hand of a plugin that is stopped */
#define CHANGE_TIME_SECONDS 20		/* for somebody else's change to end */

/* What a plugin listens on. While the next set is made, used says which of these it goes on with, rests whose ports it tries. */
struct listening {
	struct listener *listeners[LISTENERS_MAX];
	bool used[LISTENERS_MAX], rests[LISTENERS_MAX];
	size_t n;
	json_t *wishes;			/* list as listen_wishes gives it: one for each listener */
	json_t *bound;			/* list of { name, address, port, tls } */
};

struct plugin {
	struct pb_host host;		/* first in spirit: what the plugin holds; its name is a copy that stays */
	struct plugin *next;
	struct manifest *manifest;
	enum plugin_state state;
	char reason[240];		/* why FAILED or STUCK */
	lt_dlhandle object;
	int copy;			/* descriptor of the copy that object is, while it is loaded */
	struct pb_plugin desc;		/* a copy: fields its SDK did not know are NULL */
	_Atomic(json_t *) config;	/* checked values */
	json_t *retired;		/* list of earlier configs: views into them stay valid until unload */
	struct listening listening;
	struct listening *coming;	/* while a new configuration is taken over */
	struct consumer *courier, *agent;
	struct attachment *attachment;
	struct repeat *tick;
	int64_t interval;		/* of tick, seconds */
	json_t *metrics;		/* name: the metric's address */
	struct running working;		/* pb_work jobs that wait or run */
	char *_Atomic dir;		/* pb_plugin_dir, once asked for */
	bool loaded;			/* not merely opened: its own code was asked to load */
	bool rests;			/* it was told to end, and no new work comes to it */
};

struct plugins {
	struct kernel *kernel;
	/* Two locks, both recursive, taken in this order. Who changes anything holds changing from beginning to end, plugins' code and waiting for it included, so it
	 * is asked for with a limit. lock is held for moments, around each change of what others show, never while a plugin's code runs or is waited for. */
	pthread_mutex_t changing, lock;
	char doing[120];		/* what the change is; lock */
	bool ended;			/* no more changes; changing */
	struct plugin *first;		/* in dependency order after plugins_start */
	json_t *settings;
	json_t *refused;		/* path of a manifest or directory: why the last search left it out; changing */
	bool offline, running;
};

struct plugin *plugin_find(struct plugins *all, const char *name);
/* One change at a time. PB_EBUSY: another, which is named, did not end within CHANGE_TIME. what: "plugin disable". */
int change_begin(struct plugins *all, const char *what, const char *name, struct pb_error *err);
void change_end(struct plugins *all);
void plugin_state_set(struct plugins *all, struct plugin *p, enum plugin_state state, const char *reason);
/* Reads the manifests of the plugin directories that are not known yet. */
void plugins_search(struct plugins *all);
/* The same while running: what was installed since the start, or mended, is known from now on, with values; it does not run yet. */
void plugins_discover(struct plugins *all);

/* What of its hooks its policies answer while it does not run: all if it is enabled, else NULL. */
const json_t *plugin_hooks_kept(struct plugins *all, const struct plugin *p);
void plugin_leave_out(struct plugins *all, struct plugin *p, const char *reason);
/* Names of plugins and their listeners in a file. */
int plugins_check_file(struct plugins *all, const struct config *c, struct pb_error *err);

/* order.c: leaves out those of READY that miss what nobody provides, and circles; then the order of their start, under the lock once others look. */
void order_check(struct plugins *all);
/* The same for one that is to start beside those that run. PB_EUNAVAILABLE says what it misses, or the circle. */
int order_admit(struct plugins *all, const struct plugin *p, struct pb_error *err);
void order_sort(struct plugins *all);

/* object.c: the shared object. */
int object_open(struct plugin *p, struct pb_error *err);
/* What can be told about the file without loading it: there, whole, and nobody else's to change. */
int object_check(const struct plugin *p, struct pb_error *err);
void object_close(struct plugin *p);
/* copy.c: descriptor of a copy in memory, whole and of a file that nobody else (own: guard.h) can change, or a code. follow: path may be a symbolic link. */
int object_copy(const char *path, const char *name, uid_t own, bool follow, struct pb_error *err);

/* values.c: config of one plugin from manifest, file and settings. */
int values_compute(const struct plugin *p, const json_t *file_plugins, const json_t *settings, const char *path, json_t **ret, struct pb_error *err);
bool values_enabled(const struct plugin *p, const json_t *file_plugins, const json_t *settings);
json_t *values_show(const struct plugin *p, const json_t *file_plugins, const json_t *settings);
/* Appends what postbus.json says about a plugin besides its config: whether it runs, and its listeners. */
void values_show_place(const struct plugin *p, const struct config *c, const json_t *settings, json_t *list);
void values_install(struct plugin *p, json_t *values);		/* steals; the old ones retire until its stop */
/* "workers": 8 or "config:workers". */
int64_t values_number(const struct plugin *p, const json_t *number);
const json_t *values_refer(const struct plugin *p, const json_t *value);

/* listen.c: what plugins listen on by the whole of postbus.json (doc). */
/* Names, addresses and networks under plugins.X.listen. PB_EINVALID names path and key. */
int listen_check(const struct plugin *p, const json_t *doc, const char *path, struct pb_error *err);
/* List of { name, protocol, tls, address, port, connections, proxies }. PB_EINVALID, PB_ETOOBIG. */
int listen_wishes(const struct plugin *p, const json_t *doc, json_t **ret, struct pb_error *err);
int plugin_bind(struct plugins *all, struct plugin *p, struct pb_error *err);
void plugin_unbind(struct plugins *all, struct plugin *p);
void listening_free(struct listening *l);
/* Binds what doc wishes beyond what is bound, accepting nothing yet; an error names plugin, listener, address, port and reason, and nothing has changed.
 * Then one of the two: back to what was, or on with it: what is gone is closed, while its sessions go on. */
int listen_prepare(struct plugins *all, const json_t *doc, struct pb_error *err);
void listen_drop(struct plugins *all);
void listen_commit(struct plugins *all);

/* trial.c: a plugin's own check of values that it would be given; it need not run, or be loaded. PB_EINVALID names path and key; 0 if it cannot be asked. */
int plugin_try_values(struct plugin *p, json_t *values, const char *path, struct pb_error *err);

/* change.c: what the commands and a new file share. */
/* New values, stolen, are tried on the plugin; if it refuses, the old ones are put back and it is told so. anyway: one that can reconfigure is told even
 * when they are the same. */
int plugin_take_over(struct plugins *all, struct plugin *p, json_t *values, bool anyway, struct pb_error *err);
int plugin_ensure_running(struct plugins *all, struct plugin *p, struct pb_error *err);

/* life.c: start and stop of one plugin. The start has two halves: there for others, hooks and methods; then what makes it work by itself, lanes, ticks and
 * sessions. At the start of the server no second half begins before all first ones are over, so that no message passes a hook that is not there yet.
 * Before both its object is opened, if it is not yet. */
int plugin_open(struct plugins *all, struct plugin *p, struct pb_error *err);
int plugin_load(struct plugins *all, struct plugin *p, struct pb_error *err);
int plugin_attach(struct plugins *all, struct plugin *p, struct pb_error *err);
int plugin_start(struct plugins *all, struct plugin *p, struct pb_error *err);
/* Its config was taken over while it runs: what the manifest refers to ("config:workers") counts from now on. */
void plugin_retune(struct plugins *all, struct plugin *p);
/* The second half backwards: it still answers others. */
void plugin_rest(struct plugin *p, int64_t timeout);
bool plugin_is_at_rest(const struct plugin *p);
/* PB_EBUSY: after timeout microseconds its code still runs: it is STUCK, and says where. A later stop goes on with it. */
int plugin_stop(struct plugins *all, struct plugin *p, int64_t timeout, struct pb_error *err);

#endif
