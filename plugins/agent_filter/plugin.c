/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_filter: keeps Sieve scripts and runs them for whoever asks. Its life and its table of methods. */
#include <stdlib.h>
#include "filter.h"

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct filter *f = pb_alloc(sizeof *f);

	(void)err;
	f->host = host;
	pthread_mutex_init(&f->changes, NULL);
	f->limits = (struct sieve_limits){
		.steps = (uint64_t)pb_config_int(host, "steps"),
		.memory = (size_t)pb_config_int(host, "memory"),
		.actions = (unsigned)pb_config_int(host, "actions"),
		.redirects = (unsigned)pb_config_int(host, "redirects"),
	};
	f->script_max = (size_t)pb_config_int(host, "script_max");
	f->quota = (size_t)pb_config_int(host, "quota");
	f->scripts_max = pb_config_int(host, "scripts_max");
	f->rules_max = pb_config_int(host, "rules_max");
	f->nothing = json_pack("{s:b, s:b}", "ran", 0, "keep", 1);
	f->programs = programs_new((size_t)pb_config_int(host, "cached"));
	*ret_self = f;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct filter *f = self;
	int rc = pb_table_open(f->host, "scripts", &f->scripts, err);

	return rc ? rc : pb_table_open(f->host, "seen", &f->seen, err);
}

static void unload(void *self)
{
	struct filter *f = self;

	if (!f)
		return;
	programs_free(f->programs);
	json_decref(f->nothing);
	pb_table_close(f->scripts);
	pb_table_close(f->seen);
	pthread_mutex_destroy(&f->changes);
	free(f);
}

static void tick(void *self)
{
	struct filter *f = self;

	pb_table_forget(f->seen, pb_now(f->host), NULL);
}

static int at_office_delete(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct owner o;
	int rc = owner_office(&o, pb_text_of(q->facts, "postoffice"), err);

	(void)v;
	return rc ? rc : scripts_forget(self, owner_str(&o), err);
}

static const struct pb_hook hooks[] = { { "postoffice.delete", at_office_delete }, { 0 } };
static const struct pb_agent agent = { .tick = tick };

static const struct pb_method methods[] = {
	{ "script.put", method_script_put },
	{ "script.get", method_script_get },
	{ "script.list", method_script_list },
	{ "script.delete", method_script_delete },
	{ "script.rename", method_script_rename },
	{ "script.activate", method_script_activate },
	{ "script.check", method_script_check },
	{ "script.space", method_script_space },
	{ "filter.run", method_filter_run },
	{ "filter.test", method_filter_test },
	{ "filter.add", method_filter_add },
	{ "filter.list", method_filter_list },
	{ "filter.show", method_filter_show },
	{ "filter.enable", method_filter_enable },
	{ "filter.disable", method_filter_disable },
	{ "filter.move", method_filter_move },
	{ "filter.delete", method_filter_delete },
	{ 0 },
};

PB_PLUGIN(agent_filter) = {
	PB_PLUGIN_HEAD("agent_filter"),
	.load = load,
	.start = start,
	.unload = unload,
	.agent = &agent,
	.hooks = hooks,
	.methods = methods,
};
