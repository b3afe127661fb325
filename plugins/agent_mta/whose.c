/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may see and release which recipient of a message in quarantine. */
#include "quarantine.h"

static bool may(const struct pb_caller *who, const json_t *rcpt)
{
	switch (who->role) {
	case PB_ROLE_SYSTEM:
		return true;
	case PB_ROLE_ADMIN:
		return who->postoffice.len && pb_str_eq(pb_text_of(rcpt, "postoffice"), who->postoffice);
	case PB_ROLE_USER:
		return who->mailbox.len && pb_str_eq(pb_text_of(rcpt, "mailbox"), who->mailbox);
	default:
		return false;
	}
}

json_t *whose_addresses(const struct pb_caller *who, const json_t *row)
{
	const json_t *rcpt, *list = json_object_get(row, "recipients");
	json_t *ret = json_array();
	size_t i;

	json_array_foreach(list, i, rcpt)
		if (may(who, rcpt))
			json_array_append(ret, json_object_get(rcpt, "address"));
	return ret;
}

bool whose_has(const json_t *addresses, const json_t *rcpt)
{
	const json_t *one;
	size_t i;

	json_array_foreach(addresses, i, one)
		if (json_equal(one, json_object_get(rcpt, "address")))
			return true;
	return false;
}

json_t *whose_rest(const json_t *row, const json_t *addresses)
{
	json_t *rcpt, *list = json_object_get(row, "recipients"), *ret = json_array();
	size_t i;

	json_array_foreach(list, i, rcpt)
		if (!whose_has(addresses, rcpt))
			json_array_append(ret, rcpt);
	return ret;
}
