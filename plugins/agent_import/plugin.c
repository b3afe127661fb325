/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agent's descriptor and its life. */
#include <stdlib.h>
#include "import.h"

static const struct pb_method methods[] = {
	{ "import.open", import_open },
	{ "import.folder", import_folder },
	{ "import.known", import_known },
	{ "import.data", import_data },
	{ "import.message", import_message },
	{ "import.flush", import_flush },
	{ NULL, NULL }
};

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct import *in = pb_alloc(sizeof *in);

	(void)err;
	in->host = host;
	in->fresh = json_object();
	pthread_mutex_init(&in->lock, NULL);
	*ret_self = in;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct import *in = self;

	return pb_table_open(in->host, "done", &in->done, err);
}

static void write_down(struct import *in)
{
	struct pb_error err = { 0 };

	if (in->done && keys_flush(in, &err))
		pb_log(in->host, PB_WARNING, "import.unwritten", "reason=%s", pb_logq(pb_strz(err.text)));
}

static void tick(void *self)
{
	uploads_expire(self, false);
	write_down(self);
}

static const struct pb_agent agent = { .tick = tick };

static void drain(void *self)
{
	write_down(self);
}

static void unload(void *self)
{
	struct import *in = self;

	if (!in)
		return;
	uploads_expire(in, true);
	write_down(in);
	pb_table_close(in->done);
	json_decref(in->fresh);
	pthread_mutex_destroy(&in->lock);
	free(in);
}

PB_PLUGIN(agent_import) = {
	PB_PLUGIN_HEAD("agent_import"),
	.load = load,
	.start = start,
	.drain = drain,
	.unload = unload,
	.methods = methods,
	.agent = &agent,
};
