/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Letters about bounces: the probe, warnings to a member who was stopped, words to the owners. */
#include "bounce.h"
#include "serve.h"

enum { PROBE_DAYS = 14 };

int bounce_probe(struct lists *all, const struct list *l, struct pb_str member, struct pb_error *err)
{
	unsigned char random[TOKEN_LEN / 2];
	json_t *row;
	char *value;
	PB_AUTOBUF(token);
	PB_AUTOBUF(text);
	int rc;

	pb_random(random, sizeof random);
	pb_hex_encode(&token, pb_str((char *)random, sizeof random));
	row = json_pack("{s:s%, s:s%, s:I}", "list", l->address.ptr, l->address.len, "member", member.ptr, member.len, "until",
			(json_int_t)(pb_now(all->host) + PROBE_DAYS * PB_DAY));
	value = json_dumps(row, JSON_COMPACT);
	json_decref(row);
	rc = pb_table_apply(all->probes, &(struct pb_change){ PB_PUT, pb_buf_str(&token), pb_strz(value) }, 1, err);
	free(value);
	if (rc)
		return rc;
	pb_buf_addf(&text,
		    "Mail of the list %.*s to your address %.*s came back several times.\n\nThis letter finds out whether your address works. You need not do anything: if it "
		    "reaches you, all is well.\nIf it comes back too, you get no more posts.\n",
		    PB_FMT(l->address), PB_FMT(member));
	return letter_send(all, l, NULL, &(struct note_letter){ .to = member, .subject = PB_STR("Does your address work?"), .text = pb_buf_str(&text), .probe = pb_buf_str(&token) },
			   err);
}

int bounce_warn(struct lists *all, const struct list *l, const json_t *row, struct pb_error *err)
{
	struct pb_str reason = pb_text_of(json_object_get(row, "bounces"), "reason");
	PB_AUTOBUF(request);
	PB_AUTOBUF(leave);
	PB_AUTOBUF(text);

	list_door(&request, l, "request");
	list_door(&leave, l, "unsubscribe");
	pb_buf_addf(&text,
		    "You get no posts of the list %.*s at the moment, since mail to your address came back. The last reason was:\n\n  %.*s\n\n"
		    "To get posts again, write \"set mail on\" to %s.\nTo leave "
		    "the list, write to %s.\nWithout an answer you are taken off the list after some letters like this.\n",
		    PB_FMT(l->address), PB_FMT(reason.len ? reason : PB_STR("(none was given)")), pb_buf_z(&request), pb_buf_z(&leave));
	return letter_send(all, l, NULL,
			   &(struct note_letter){ .to = pb_text_of(row, "address"), .subject = PB_STR("You get no more posts of this list"), .text = pb_buf_str(&text) }, err);
}

int bounce_tell(struct lists *all, const struct list *l, struct pb_str subject, struct pb_str text, struct pb_error *err)
{
	return setting_flag(l->settings, "bounce_tell_owners") ? letter_to_owners(all, l, NULL, subject, text, PB_NOSTR, err) : 0;
}
