/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What holds for whom: the settings of a domain and of a mailbox, from rows in memory. Where nothing is set everybody shares one object.
 */
#include "policy.h"

enum { ANSWER_POLICY = 'P' };

json_t *policy_defaults(void)
{
	json_t *all = json_object(), *value;
	const struct policy_key *k;

	for (size_t i = 0; (k = policy_key(i)) != NULL; i++)
		if (policy_parse(k, k->name, pb_strz(k->initial), &value, NULL) == 0)
			json_object_set_new(all, k->name, value);
	return all;
}

/* all as it is, or another one with what this row sets. Steals all. */
static json_t *with_row(json_t *all, const json_t *row)
{
	json_t *own = json_object_get(row, "policy"), *more;

	if (!json_object_size(own))
		return all;
	more = json_copy(all);
	json_object_update(more, own);
	json_decref(all);
	return more;
}

int policy_of_domain(struct directory *d, struct pb_str domain, json_t **ret, struct pb_error *err)
{
	unsigned long long made;
	json_t *all = answer_take(d, ANSWER_POLICY, domain, &made);
	ROW(row);
	ROW(office);
	ROW(server);
	int rc;

	if (all) {
		*ret = all;
		return 0;
	}
	rc = row_read(d, 'd', domain, PB_NOSTR, &row, err);
	if (!rc)
		rc = row_read(d, 's', PB_STR("server"), PB_NOSTR, &server, err);
	if (!rc && row->value)
		rc = row_read(d, 'p', pb_text_of(row->value, "postoffice"), PB_NOSTR, &office, err);
	if (rc)
		return rc;
	all = with_row(json_incref(d->policy), server->value);
	if (office)
		all = with_row(all, office->value);
	all = with_row(all, row->value);
	answer_offer(d, ANSWER_POLICY, domain, made, all);
	*ret = all;
	return 0;
}

int policy_of_mailbox(struct directory *d, const json_t *mailbox, json_t **ret, struct pb_error *err)
{
	struct pb_str address = pb_text_of(mailbox, "address");
	long at = pb_str_find(address, '@', 0);
	json_t *all;
	int rc = policy_of_domain(d, pb_str_skip(address, at < 0 ? address.len : (size_t)at + 1), &all, err);

	if (!rc)
		*ret = with_row(all, mailbox);
	return rc;
}

int policy_has_service(struct directory *d, const json_t *mailbox, struct pb_str service, bool *ret, struct pb_error *err)
{
	json_t *all, *list, *one;
	bool known = false, on = false;
	size_t i;
	int rc = policy_of_mailbox(d, mailbox, &all, err);

	*ret = false;
	if (rc)
		return rc;
	json_array_foreach (json_object_get(d->policy, "services"), i, one)
		known |= pb_str_eq(service, pb_strz(json_string_value(one)));
	list = json_object_get(all, "services");
	json_array_foreach (list, i, one)
		on |= pb_str_eq(service, pb_strz(json_string_value(one)));
	json_decref(all);
	*ret = on || !known;
	return 0;
}
