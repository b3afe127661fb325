/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_public: a post office's public folders. Its life and its table of methods. */
#include <stdlib.h>
#include "public.h"

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct public *p = pb_alloc(sizeof *p);

	(void)err;
	p->host = host;
	pthread_mutex_init(&p->making, NULL);
	*ret_self = p;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct public *p = self;

	return pb_table_open(p->host, "offices", &p->offices, err);
}

static void unload(void *self)
{
	struct public *p = self;

	if (!p)
		return;
	pb_table_close(p->offices);
	pthread_mutex_destroy(&p->making);
	free(p);
}

static int at_office_delete(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)v;
	return public_forget(self, pb_text_of(q->facts, "postoffice"), err);
}

static const struct pb_hook hooks[] = { { "postoffice.delete", at_office_delete }, { 0 } };

static const struct pb_method methods[] = {
	{ "public.mailbox", method_public_mailbox }, { "public.rights", method_public_rights }, { "public.list", method_public_list },
	{ "public.create", method_public_create },   { "public.delete", method_public_delete }, { "public.rename", method_public_rename },
	{ "public.hidden", method_public_hidden },   { "public.claim", method_public_claim },
	{ 0 },
};

PB_PLUGIN(agent_public) = {
	PB_PLUGIN_HEAD("agent_public"),
	.load = load,
	.start = start,
	.unload = unload,
	.hooks = hooks,
	.methods = methods,
};
