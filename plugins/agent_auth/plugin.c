/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_auth: who sent a message, and signatures on what this house sends. Its life and its tables. */
#include "auth_agent.h"
#include <stdlib.h>
#include <postbus/address.h>

static int check_names(struct pb_host *host, const char *key, struct pb_error *err)
{
	const json_t *list = pb_config_json(host, key), *one;
	size_t i;

	json_array_foreach(list, i, one) {
		struct pb_str name = pb_strz(json_string_value(one));

		for (size_t k = 0; k < name.len; k++)
			if ((unsigned char)name.ptr[k] <= ' ' || (unsigned char)name.ptr[k] >= 127 || strchr(":;", name.ptr[k]))
				return pb_fail(
				    err, PB_EINVALID, "%s: found '%.*s', allowed are names of header fields, with a * at their end", key, PB_FMT(name));
		if (!name.len)
			return pb_fail(err, PB_EINVALID, "%s: an empty name", key);
	}
	return 0;
}

static int check_domains(struct pb_host *host, struct pb_error *err)
{
	const json_t *list = pb_config_json(host, "trusted_sealers"), *one;
	struct pb_str name = pb_config_str(host, "host");
	size_t i;

	json_array_foreach(list, i, one)
		if (pb_domain_check(pb_strz(json_string_value(one)), PB_PATH_UTF8, NULL))
			return pb_fail(err, PB_EINVALID, "trusted_sealers: '%s' is no domain", json_string_value(one));
	if (name.len && pb_domain_check(name, 0, NULL))
		return pb_fail(err, PB_EINVALID, "host: '%.*s' is no name of a host", PB_FMT(name));
	return 0;
}

static int check(struct pb_host *host, struct pb_error *err)
{
	struct settings *set = NULL;
	int rc = check_names(host, "signed_fields", err);

	if (!rc)
		rc = check_names(host, "sealed_fields", err);
	if (!rc)
		rc = check_domains(host, err);
	if (!rc)
		rc = settings_make(host, &set, err);
	settings_put(set);
	return rc;
}

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct agent *a = pb_alloc(sizeof *a);

	a->host = host;
	pthread_rwlock_init(&a->keys.lock, NULL);
	pthread_mutex_init(&a->lock, NULL);
	*ret_self = a;
	return settings_make(host, &a->set, err);
}

static int start(void *self, struct pb_error *err)
{
	struct agent *a = self;

	return keyring_open(&a->keys, a->host, err);
}

static void unload(void *self)
{
	struct agent *a = self;

	if (!a)
		return;
	keyring_close(&a->keys);
	pthread_rwlock_destroy(&a->keys.lock);
	pthread_mutex_destroy(&a->lock);
	settings_put(a->set);
	free(a);
}

static const struct pb_method methods[] = {
	{ "dkim.key.create", method_dkim_key_create },
	{ "dkim.key.list", method_dkim_key_list },
	{ "dkim.key.show", method_dkim_key_show },
	{ "dkim.key.activate", method_dkim_key_activate },
	{ "dkim.key.delete", method_dkim_key_delete },
	{ "dkim.sign", method_dkim_sign },
	{ "dkim.outgoing", method_dkim_outgoing },
	{ "arc.seal", method_arc_seal },
	{ "dmarc.policy", method_dmarc_policy },
	{ "auth.check", method_auth_check },
	{ 0 },
};

/* Whoever has this domain next does not sign with the keys of the one before. */
static int at_domain_delete(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct agent *a = self;

	(void)v;
	return keyring_forget(&a->keys, pb_text_of(q->facts, "domain"), err);
}

static const struct pb_hook hooks[] = { { "message.accepted", hook_accepted }, { "domain.delete", at_domain_delete }, { 0 } };

PB_PLUGIN(agent_auth) = {
	PB_PLUGIN_HEAD("agent_auth"),
	.load = load,
	.start = start,
	.unload = unload,
	.reconfigure = settings_change,
	.check = check,
	.methods = methods,
	.hooks = hooks,
};
