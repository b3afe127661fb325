/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * agent_directory: who is who. Its life and its table of methods; each method stands beside its noun.
 */
#include <stdlib.h>
#include <unistd.h>
#include <postbus/secret.h>
#include "policy.h"

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct directory *d = pb_alloc(sizeof *d);
	struct pb_str separator = pb_config_str(host, "subaddress_separator");
	int64_t at_once = pb_config_int(host, "hash_workers"), waiting = pb_config_int(host, "hash_waiting");

	(void)err;
	if (!at_once)
		at_once = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? sysconf(_SC_NPROCESSORS_ONLN) : 1;
	d->host = host;
	d->separator = separator.len ? separator.ptr[0] : 0;
	d->cache = cache_new((size_t)pb_config_int(host, "cache_entries"));
	d->logins = logins_new((size_t)pb_config_int(host, "remembered_logins"));
	d->hashers = hashers_new((unsigned)at_once, (unsigned)waiting, pb_config_int(host, "hash_patience") * PB_SECOND);
	d->policy = policy_defaults();
	pthread_mutex_init(&d->quota_lock, NULL);
	*ret_self = d;
	return 0;
}

static int start(void *self, struct pb_error *err)
{
	struct directory *d = self;
	int rc = pb_table_open(d->host, "directory", &d->table, err);

	if (!rc)
		rc = hash_nobody((int)pb_config_int(d->host, "hash_cost"), d->nobody, sizeof d->nobody, err);
	if (!rc)
		rc = scram_start(d, err);
	if (!rc)
		rc = mailbox_settle_all(d, err);
	return rc;
}

static void unload(void *self)
{
	struct directory *d = self;

	if (!d)
		return;
	pb_table_close(d->table);
	cache_free(d->cache);
	logins_free(d->logins);
	hashers_free(d->hashers);
	json_decref(d->policy);
	pthread_mutex_destroy(&d->quota_lock);
	pb_wipe(d->scram_secret, sizeof d->scram_secret);
	free(d);
}

static const struct pb_method methods[] = {
	{ "postoffice.create", postoffice_create },
	{ "postoffice.list", postoffice_list },
	{ "postoffice.show", postoffice_show },
	{ "postoffice.set", postoffice_set },
	{ "postoffice.delete", postoffice_delete },
	{ "domain.create", domain_create },
	{ "domain.list", domain_list },
	{ "domain.show", domain_show },
	{ "domain.set", domain_set },
	{ "domain.delete", domain_delete },
	{ "mailbox.create", mailbox_create },
	{ "mailbox.list", mailbox_list },
	{ "mailbox.show", mailbox_show },
	{ "mailbox.set", mailbox_set },
	{ "mailbox.delete", mailbox_delete },
	{ "mailbox.password", mailbox_password },
	{ "group.create", group_create },
	{ "group.list", group_list },
	{ "group.show", group_show },
	{ "group.set", group_set },
	{ "group.delete", group_delete },
	{ "group.add", group_add },
	{ "group.remove", group_remove },
	{ "address-map.create", map_create },
	{ "address-map.list", map_list },
	{ "address-map.show", map_show },
	{ "address-map.set", map_set },
	{ "address-map.delete", map_delete },
	{ "policy.set", policy_set },
	{ "policy.unset", policy_unset },
	{ "policy.show", policy_show },
	{ "policy.list", policy_list },
	{ "directory.resolve", directory_resolve },
	{ "directory.members", directory_members },
	{ "directory.mailbox", directory_mailbox },
	{ "directory.domain", directory_domain },
	{ "directory.may_send", directory_may_send },
	{ "directory.may_receive", directory_may_receive },
	{ "auth.verify", auth_verify },
	{ "auth.scram", auth_scram },
	{ "auth.scram_verify", auth_scram_verify },
	{ 0 }
};

PB_PLUGIN(agent_directory) = {
	PB_PLUGIN_HEAD("agent_directory"),
	.load = load,
	.start = start,
	.unload = unload,
	.methods = methods,
};
