/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The config, read once into a struct that sessions and deliveries share. What the keys mean stands in the manifest. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "smtp.h"

static enum tls_policy tls_policy(struct pb_str word)
{
	if (pb_str_eq(word, PB_STR("none")))
		return TLS_NONE;
	if (pb_str_eq(word, PB_STR("encrypt")))
		return TLS_ENCRYPT;
	return pb_str_eq(word, PB_STR("verify")) ? TLS_VERIFY : TLS_MAY;
}

static char *postmaster(struct pb_str set, const char *hostname)
{
	PB_AUTOBUF(address);

	if (set.len)
		return pb_str_dup(set);
	pb_buf_addz(&address, "postmaster@");
	pb_buf_addz(&address, hostname);
	return pb_str_dup(pb_buf_str(&address));
}

static void read_inbound(struct settings *set, struct pb_host *h)
{
	set->hostname = pb_str_dup(pb_hostname(h));
	set->banner = pb_str_dup(pb_config_str(h, "banner"));
	set->postmaster = postmaster(pb_config_str(h, "postmaster"), set->hostname);
	set->size_max = (uint64_t)pb_config_int(h, "size_max");
	set->header_max = (size_t)pb_config_int(h, "header_max");
	set->recipients_max = (unsigned)pb_config_int(h, "recipients_max");
	set->messages_max = (unsigned)pb_config_int(h, "messages_max");
	set->errors_max = (unsigned)pb_config_int(h, "errors_max");
	set->refusals_max = (unsigned)pb_config_int(h, "refusals_max");
	set->logins_max = (unsigned)pb_config_int(h, "logins_max");
	set->hops_max = (unsigned)pb_config_int(h, "hops_max");
	set->auth_on_smtp = pb_config_bool(h, "auth_on_smtp");
	set->check_from = pb_config_bool(h, "check_from");
}

static void read_outbound(struct settings *set, struct pb_host *h)
{
	set->routes = json_deep_copy(pb_config_json(h, "routes"));
	set->smart_host = pb_str_dup(pb_config_str(h, "smart_host"));
	set->smart_user = pb_str_dup(pb_config_str(h, "smart_host_user"));
	set->smart_password = pb_str_dup(pb_config_str(h, "smart_host_password"));
	set->smart_tls = tls_policy(pb_config_str(h, "smart_host_tls"));
	set->tls = tls_policy(pb_config_str(h, "tls"));
	set->trust = pb_str_dup(pb_config_str(h, "trust"));
	set->bind = pb_str_dup(pb_config_str(h, "bind"));
	set->port = (uint16_t)pb_config_int(h, "port");
	set->hosts_max = (unsigned)pb_config_int(h, "hosts_max");
	set->batch_max = (unsigned)pb_config_int(h, "batch_max");
	set->idle_seconds = (unsigned)pb_config_int(h, "idle_seconds");
	set->reuse_max = (unsigned)pb_config_int(h, "reuse_max");
	set->connect_timeout = pb_config_int(h, "connect_timeout") * PB_SECOND;
	set->greeting_timeout = pb_config_int(h, "greeting_timeout") * PB_SECOND;
	set->command_timeout = pb_config_int(h, "command_timeout") * PB_SECOND;
	set->data_timeout = pb_config_int(h, "data_timeout") * PB_SECOND;
	set->block_timeout = pb_config_int(h, "block_timeout") * PB_SECOND;
	set->dot_timeout = pb_config_int(h, "dot_timeout") * PB_SECOND;
}

int settings_read(struct pb_host *host, struct settings **ret, struct pb_error *err)
{
	struct settings *set = pb_alloc(sizeof *set);

	atomic_init(&set->refs, 1);
	read_inbound(set, host);
	read_outbound(set, host);
	if (networks_parse(pb_config_json(host, "relay_networks"), &set->relays, err)) {
		settings_put(set);
		return pb_because(err, "relay_networks");
	}
	*ret = set;
	return 0;
}

struct settings *settings_get(struct smtp *smtp)
{
	struct settings *set;

	pthread_mutex_lock(&smtp->lock);
	set = smtp->settings;
	atomic_fetch_add(&set->refs, 1);
	pthread_mutex_unlock(&smtp->lock);
	return set;
}

void settings_put(struct settings *set)
{
	if (!set || atomic_fetch_sub(&set->refs, 1) > 1)
		return;
	networks_free(&set->relays);
	json_decref(set->routes);
	if (set->smart_password)
		pb_wipe(set->smart_password, strlen(set->smart_password));
	free(set->smart_password);
	free(set->smart_user);
	free(set->smart_host);
	free(set->bind);
	free(set->trust);
	free(set->hostname);
	free(set->banner);
	free(set->postmaster);
	free(set);
}
