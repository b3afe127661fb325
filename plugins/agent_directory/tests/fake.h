/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A host for the directory alone: a table in memory, mailboxes as names with quotas, and switches that make a step fail once.
 */
#ifndef AGENT_DIRECTORY_FAKE_H
#define AGENT_DIRECTORY_FAKE_H

#include <jansson.h>
#include <postbus/bus.h>
#include <postbus/plugin.h>

struct fake;

/* Loads and starts the plugin over a new, empty store; config: a value for each key that differs from the manifest's default. */
struct fake *fake_start(json_t *config);
/* Unload and start again over the same store, as after a crash. */
void fake_restart(struct fake *f);
void fake_stop(struct fake *f);
/* The host's name, "mail.demo.example" at first, and the value of a config key; both count at once. */
void fake_set_hostname(struct fake *f, const char *hostname);
void fake_set_config(struct fake *f, const char *key, json_t *value);

/* Calls a method; the result is owned by the fake and lives until the next call. Gives the code; error() the text. */
int fake_call(struct fake *f, const struct pb_caller *who, const char *method, json_t *params);
const json_t *fake_result(struct fake *f);
const char *fake_error(struct fake *f);

/* How many mailboxes the store has; the quota of one (-1: it is not there). */
size_t fake_mailboxes(struct fake *f);
long long fake_quota_bytes(struct fake *f, const char *mailbox);
/* Rows of the table whose keys begin so. */
size_t fake_rows(struct fake *f, const char *prefix);
/* The nth call from now on of "create", "destroy", "quota", "apply" or "get" fails with code; of "ask": is rejected. */
void fake_fail(struct fake *f, const char *what, int nth, int code);
/* What somebody else does at the same moment. Runs once: inside the next apply, before its guards are looked at; or inside the nth get from now on,
 * after it has read. */
void fake_interfere(struct fake *f, void (*act)(struct fake *f));
void fake_interfere_get(struct fake *f, int nth, void (*act)(struct fake *f));
/* Like fake_call, from any thread: *ret is the caller's. The switches above are for one thread. */
int fake_call_from_thread(struct fake *f, const char *method, json_t *params, json_t **ret, struct pb_error *err);
/* Beside conn_smtp this connector is installed, in this state; until then there is no kernel to ask. */
void fake_plugin(struct fake *f, const char *name, const char *state);
/* How often the table was read. */
unsigned fake_reads(struct fake *f);
/* How often the sessions of a mailbox were ended. */
unsigned fake_ended(struct fake *f);

#endif
