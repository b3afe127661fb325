/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The connector's descriptor, and its life. */
#include <stdlib.h>
#include "popretr.h"

static const struct pb_method methods[] = {
	{ "retrieve.add", retrieve_add },
	{ "retrieve.set", retrieve_set },
	{ "retrieve.list", retrieve_list },
	{ "retrieve.show", retrieve_show },
	{ "retrieve.run", retrieve_run },
	{ "retrieve.pause", retrieve_pause },
	{ "retrieve.resume", retrieve_resume },
	{ "retrieve.test", retrieve_test },
	{ "retrieve.delete", retrieve_delete },
	{ NULL, NULL },
};

static const struct pb_hook hooks[] = { { "report.due", failed_hook }, { NULL, NULL } };

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct retr *r = pb_alloc(sizeof *r);
	pthread_condattr_t attr;

	(void)err;
	r->host = host;
	r->watch = watch_new();
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->change, NULL);
	pthread_mutex_init(&r->vault_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	*ret_self = r;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct retr *r = self;
	int rc = pb_table_open(r->host, "accounts", &r->accounts_table, err);

	if (!rc)
		rc = pb_table_open(r->host, "state", &r->state_table, err);
	if (!rc)
		rc = pb_table_open(r->host, "ids", &r->ids_table, err);
	if (!rc)
		rc = pb_table_open(r->host, "failed", &r->failed_table, err);
	if (!rc)
		rc = accounts_load(r, err);
	return rc ? rc : vault_open(r, err);
}

static void tick(void *self)
{
	schedule_tick(self);
}

static const struct pb_agent agent = { .tick = tick };

static void drain(void *self)
{
	schedule_drain(self);
}

static void unload(void *self)
{
	struct retr *r = self;

	if (!r)
		return;
	watch_close(r);
	watch_free(r->watch);
	accounts_free(r);
	pb_table_close(r->accounts_table);
	pb_table_close(r->state_table);
	pb_table_close(r->ids_table);
	pb_table_close(r->failed_table);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->change);
	pthread_mutex_destroy(&r->vault_lock);
	pb_wipe(r->key, sizeof r->key);
	free(r);
}

PB_PLUGIN(conn_popretr) = {
	PB_PLUGIN_HEAD("conn_popretr"),
	.load = load,
	.start = start,
	.drain = drain,
	.unload = unload,
	.methods = methods,
	.hooks = hooks,
	.agent = &agent,
};
