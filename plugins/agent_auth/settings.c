/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the administrator set, as one picture that is held while a message is worked on: a change makes a new one, and no mail goes by unchecked meanwhile. */
#include "auth_agent.h"
#include <stdlib.h>
#include <postbus/address.h>

/* A list of the manifest as words; empty: otherwise. */
static char *words_of(struct pb_host *host, const char *key, const char *otherwise)
{
	const json_t *list = pb_config_json(host, key), *one;
	PB_AUTOBUF(out);
	size_t i;

	json_array_foreach(list, i, one) {
		if (out.len)
			pb_buf_addc(&out, ' ');
		pb_buf_addz(&out, json_string_value(one));
	}
	return pb_str_dup(out.len ? pb_buf_str(&out) : pb_strz(otherwise));
}

static void settings_free(struct settings *set)
{
	networks_free(&set->trusted);
	json_decref(set->sealers);
	json_decref(set->own);
	free(set->host);
	free(set->signed_fields);
	free(set->sealed_fields);
	free(set);
}

int settings_make(struct pb_host *host, struct settings **ret, struct pb_error *err)
{
	struct pb_str action = pb_config_str(host, "dmarc_action"), name = pb_config_str(host, "host");
	struct settings *set = pb_alloc(sizeof *set);

	atomic_init(&set->refs, 1);
	set->host = pb_str_dup(name.len ? name : pb_hostname(host));
	set->signed_fields = words_of(host, "signed_fields", dkim_names);
	set->sealed_fields = words_of(host, "sealed_fields", dkim_sealed);
	set->sealers = json_deep_copy(pb_config_json(host, "trusted_sealers"));
	set->own = json_deep_copy(pb_config_json(host, "sign_own"));
	set->most = pb_str_eq(action, PB_STR("reject")) ? DMARC_REJECT : pb_str_eq(action, PB_STR("quarantine")) ? DMARC_QUARANTINE : DMARC_NONE;
	set->dkim.signatures = (unsigned)pb_config_int(host, "signatures");
	set->dkim.partial = pb_config_bool(host, "partial");
	canon_parse(pb_config_str(host, "canonicalization"), &set->header_form, &set->body_form);
	if (networks_parse(pb_config_json(host, "trusted"), &set->trusted, err)) {
		settings_free(set);
		return pb_because(err, "trusted");
	}
	*ret = set;
	return 0;
}

struct settings *settings_get(struct agent *a)
{
	struct settings *set;

	pthread_mutex_lock(&a->lock);
	set = a->set;
	atomic_fetch_add(&set->refs, 1);
	pthread_mutex_unlock(&a->lock);
	return set;
}

void settings_put(struct settings *set)
{
	if (set && atomic_fetch_sub(&set->refs, 1) == 1)
		settings_free(set);
}

int settings_change(void *self, struct pb_error *err)
{
	struct agent *a = self;
	struct settings *fresh, *old;
	int rc = settings_make(a->host, &fresh, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&a->lock);
	old = a->set;
	a->set = fresh;
	pthread_mutex_unlock(&a->lock);
	settings_put(old);
	return 0;
}
