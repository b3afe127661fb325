/* SPDX-License-Identifier: GPL-3.0-or-later */
/* list bounces: what is known of members that mail does not reach. */
#include "list.h"

static bool show_one(void *arg, const struct member *m)
{
	const json_t *known = json_object_get(member_row(m), "bounces");
	json_t *o;

	if (!known)
		return true;
	o = json_object();
	set_text(o, "address", m->address);
	set_text(o, "stopped", member_text(m, "stopped"));
	json_object_set_new(o, "score", json_integer(number_of(known, "score")));
	json_object_set_new(o, "last", json_integer(number_of(known, "last") / PB_SECOND));
	json_object_set_new(o, "probed", json_boolean(json_object_get(known, "probed") != NULL));
	json_object_set_new(o, "warned", json_integer(number_of(known, "warned")));
	set_text(o, "reason", pb_text_of(known, "reason"));
	json_array_append_new(arg, o);
	return json_array_size(arg) < 10000;
}

METHOD(list_bounces)
{
	struct lists *all = self;
	json_t *list = json_array();
	struct list l;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (!rc) {
		rc = members_each(all, &l, PB_NOSTR, PB_NOSTR, show_one, list, err);
		list_close(&l);
	}
	if (rc)
		json_decref(list);
	else
		*ret_result = json_pack("{s:o}", "members", list);
	return rc;
}
