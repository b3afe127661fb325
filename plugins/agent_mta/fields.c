/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Header fields that others decide about: hooks have some taken out, and whoever provides dkim.outgoing has some put in front of what leaves the house. Those
 * stand in the note "front", beside the body: it is neither copied nor changed for them.
 */
#include <postbus/message.h>
#include "mta.h"

static bool is_named(const json_t *list, json_int_t index)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (json_integer_value(one) == index)
			return true;
	return false;
}

static int rewrite(struct mta *mta, struct pb_item *item, const json_t *list, struct pb_error *err)
{
	struct pb_str head, bytes, rest;
	struct pb_spool *spool;
	struct pb_field field;
	const char *kept;
	int rc = pb_body_parts(pb_item_body(item), &head, &bytes, err);

	if (rc)
		return rc;
	spool = pb_spool_begin(mta->host, 0, err);
	if (!spool)
		return err->code;
	rest = bytes;
	kept = bytes.ptr;
	for (json_int_t i = 0; pb_header_next(&rest, &field); i++) {
		if (!is_named(list, i))
			continue;
		pb_spool_write(spool, kept, (size_t)(field.raw.ptr - kept));
		kept = field.raw.ptr + field.raw.len;
	}
	pb_spool_write(spool, kept, bytes.len - (size_t)(kept - bytes.ptr));
	return pb_item_set_body(item, spool, err);
}

int remove_fields(struct mta *mta, struct pb_item *item, json_t *notes, struct pb_error *err)
{
	const json_t *list = json_object_get(notes, "remove_fields");
	int rc = json_array_size(list) ? rewrite(mta, item, list, err) : 0;

	if (rc)
		return pb_because(err, "taking fields out of the header");
	if (json_array_size(list))
		pb_item_note(item, "header.removed", "%zu fields that a hook does not believe", json_array_size(list));
	json_object_del(notes, "remove_fields");
	return 0;
}

/* An unsigned message is better than none. */
void sign_message(struct passage *p)
{
	const struct pb_envelope *env = pb_item_envelope(p->item);
	struct pb_subject about = { .id = pb_strz(pb_item_id(p->item)), .envelope = env, .body = pb_item_body(p->item) };
	struct pb_str connector, lines;
	json_t *params, *answer = NULL;
	struct pb_error err = { 0 };
	int rc;

	if (!is_leaving(p))
		return;
	connector = connector_of(p->item);
	params = json_pack("{s:s%}", "connector", connector.ptr, connector.len);
	rc = pb_call_about(p->mta->host, &about, "dkim.outgoing", params, &answer, &err);
	json_decref(params);
	lines = pb_text_of(answer, "headers");
	json_object_del(env->notes, "front");		/* of an earlier passage */
	if (rc && rc != PB_EUNAVAILABLE)
		pb_item_note(p->item, "dkim.fault", "%s", err.text);
	if (lines.len)
		json_object_set_new(env->notes, "front", json_stringn(lines.ptr, lines.len));
	json_decref(answer);
}
