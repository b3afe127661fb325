/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_cleanup: empties what post offices do not want to keep, and keeps what users deleted for as long as they want. Its life and its table of methods. */
#include <stdlib.h>
#include "cleanup.h"

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct cleanup *c = pb_alloc(sizeof *c);

	(void)err;
	c->host = host;
	*ret_self = c;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct cleanup *c = self;

	return pb_table_open(c->host, "ages", &c->ages, err);
}

static void unload(void *self)
{
	struct cleanup *c = self;

	if (c)
		pb_table_close(c->ages);
	free(c);
}

static void tick(void *self)
{
	struct swept swept;

	sweep_all(self, &swept);
}

METHOD(cleanup_run)
{
	struct swept swept;

	(void)who;
	(void)err;
	sweep_all(self, &swept);
	*ret_result = json_pack("{s:I, s:I, s:I}", "mailboxes", (json_int_t)swept.mailboxes, "messages", (json_int_t)swept.messages, "days_forgotten", (json_int_t)swept.forgotten);
	return 0;
}

static const struct pb_agent agent = { .tick = tick };

static const struct pb_method methods[] = {
	{ "cleanup.run", method_cleanup_run }, { "deleted.list", method_deleted_list }, { "deleted.restore", method_deleted_restore }, { 0 },
};

PB_PLUGIN(agent_cleanup) = {
	PB_PLUGIN_HEAD("agent_cleanup"),
	.load = load,
	.start = start,
	.unload = unload,
	.agent = &agent,
	.methods = methods,
};
