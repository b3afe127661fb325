/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Automatic answers: Sieve's vacation (RFC 5230, 6131) and a mailbox's own autoreply are the same thing with other words. Who gets none, and that nobody gets
 * two, is RFC 3834's. The table "replies" remembers mailbox, handle and sender, by the id of the message.
 */
#include <stdio.h>
#include <postbus/address.h>
#include <postbus/letter.h>
#include <postbus/message.h>
#include "notices/automatic.h"
#include "postoffice.h"

/* ---- who gets an answer ---- */

/* Letters, digits and what dot-atoms have besides: such an address is its own key, but for case. */
static bool is_plain(struct pb_str address)
{
	for (size_t i = 0; i < address.len; i++)
		if (!pb_is_alnum((unsigned char)address.ptr[i]) && !memchr("@.-_+=", address.ptr[i], 6))
			return false;
	return pb_str_isearch(address, PB_STR("xn--"), 0) < 0;
}

static bool same_address(struct pb_str a, struct pb_str b)
{
	if (pb_str_ieq(a, b))
		return true;
	if (is_plain(a) && is_plain(b))
		return false;

	PB_AUTOBUF(one);
	PB_AUTOBUF(two);

	return pb_address_key(&one, a, NULL) == 0 && pb_address_key(&two, b, NULL) == 0 && pb_str_eq(pb_buf_str(&one), pb_buf_str(&two));
}

static bool is_in(const json_t *list, struct pb_str address)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (same_address(pb_str(json_string_value(one), json_string_length(one)), address))
			return true;
	return false;
}

static bool is_own(const struct delivery *d, const json_t *more, struct pb_str address)
{
	return same_address(d->address, address) || same_address(pb_recipient_rcpt(d->to)->address, address) || is_in(json_object_get(d->mailbox, "aliases"), address) ||
	       is_in(more, address);
}

/* RFC 5230 4.5: only where one of the mailbox's own addresses stands in the header. */
static bool is_addressed(const struct delivery *d, const json_t *more, struct pb_str header)
{
	static const char *const names[] = { "To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc", NULL };
	struct pb_field field;
	bool found = false;

	while (!found && pb_header_next(&header, &field)) {
		struct pb_addrs list = PB_ADDRS(field.value);
		struct pb_addr one;
		unsigned most = 1000;
		size_t i = 0;

		while (names[i] && !pb_str_ieq(field.name, pb_strz(names[i])))
			i++;
		while (names[i] && !found && most-- && pb_addrs_next(&list, &one)) {
			PB_AUTOBUF(address);

			if (one.kind != PB_ADDR_MAILBOX || !one.domain.len)
				continue;
			pb_buf_addf(&address, "%.*s@%.*s", PB_FMT(one.local), PB_FMT(one.domain));
			found = is_own(d, more, pb_buf_str(&address));
		}
		pb_addrs_free(&list);
	}
	return found;
}

static const char *why_not(const struct delivery *d, const json_t *more, struct pb_str header)
{
	struct pb_str sender = pb_item_envelope(d->item)->sender;

	const char *why = automatic_why_not(sender, header);

	if (why)
		return why;
	if (is_own(d, more, sender))
		return "the sender is this mailbox";
	if (d->junk)
		return "the message is junk";
	return is_addressed(d, more, header) ? NULL : "no address of this mailbox stands in To or Cc";
}

/* ---- once for a while ---- */

/* Notes it as answered, and says whether it may be: a delivery that is tried again may answer again, since nothing went out before. */
static int claim(const struct delivery *d, struct pb_str handle, int64_t seconds, bool *ret_may, struct pb_error *err)
{
	struct pb_str sender = pb_item_envelope(d->item)->sender, id = pb_strz(pb_item_id(d->item));
	int64_t now = pb_now(d->po->host);
	PB_AUTOBUF(key);

	*ret_may = true;
	if (!seconds)		/* RFC 6131: an answer to each message */
		return 0;
	pb_buf_addstr(&key, d->id);
	pb_buf_addc(&key, '\0');
	pb_buf_addstr(&key, handle);
	pb_buf_addc(&key, '\0');
	if (pb_address_key(&key, sender, NULL))
		pb_buf_addstr(&key, sender);
	*ret_may = !pb_table_remembers(d->po->replies, pb_buf_str(&key), now, id);
	return *ret_may ? pb_table_remember(d->po->replies, pb_buf_str(&key), now + seconds * PB_SECOND, id, err) : 0;
}

/* ---- the answer ---- */

static void subject_of(struct pb_buf *out, struct pb_str given, struct pb_str header)
{
	struct pb_str value;

	if (given.len) {
		pb_buf_addstr(out, given);
		return;
	}
	pb_buf_addz(out, "Auto: ");
	if (pb_header_find(header, PB_STR("Subject"), &value))
		pb_words_decode(out, value);
	else
		pb_buf_addz(out, "your message");
}

/* RFC 5322 3.6.4 */
static void references_of(struct pb_buf *out, struct pb_str header, struct pb_str message_id)
{
	struct pb_str value;

	if (pb_header_find(header, PB_STR("References"), &value) || pb_header_find(header, PB_STR("In-Reply-To"), &value))
		pb_unfold(out, pb_str_head(value, 4000));
	if (out->len && message_id.len)
		pb_buf_addc(out, ' ');
	pb_buf_addstr(out, message_id);
}

static void write_answer(struct delivery *d, const struct answer *a, struct pb_str header, struct pb_buf *out)
{
	struct pb_str id = PB_NOSTR;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(references);

	pb_header_find(header, PB_STR("Message-ID"), &id);
	id = pb_str_head(pb_str_trim(id), 500);
	subject_of(&subject, a->subject, header);
	references_of(&references, header, id);
	const struct pb_letter letter = {
		.from = a->from.len ? a->from : pb_recipient_rcpt(d->to)->address,
		.from_name = a->from.len ? PB_NOSTR : pb_text_of(d->mailbox, "name"),
		.to = pb_item_envelope(d->item)->sender,
		.subject = pb_buf_str(&subject),
		.text = a->text,
		.html = a->html,
		.entity = a->is_entity,
		.submitted = "auto-replied",
		.references = id,
		.thread = pb_buf_str(&references),
		.fields = PB_STR("Precedence: bulk\r\nX-Auto-Response-Suppress: All\r\n"),
	};
	pb_letter_print(d->po->host, out, &letter);
}

int send_written(struct delivery *d, const char *what, struct pb_str to, struct pb_str bytes, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(d->po->host, 0, err);
	struct pb_envelope *env;
	PB_AUTOBUF(token);
	int rc;

	if (!spool)
		return err->code;
	pb_buf_addf(&token, "%s/%s/%.*s/%.*s", what, pb_item_id(d->item), PB_FMT(d->id), PB_FMT(to));
	pb_spool_name(spool, pb_buf_str(&token));
	pb_spool_write(spool, bytes.ptr, bytes.len);
	env = pb_envelope_new();	/* RFC 3834 3.3: no sender, so that nothing answers it */
	pb_envelope_rcpt(env, to)->notify = PB_NOTIFY_NEVER;
	if (json_object_get(json_object_get(d->mailbox, "policy"), "archive_to"))	/* it is mail of this post office, though no login sent it */
		json_object_set(env->notes, "archive_to", json_object_get(json_object_get(d->mailbox, "policy"), "archive_to"));
	rc = pb_item_inject(d->item, env, spool, err);
	pb_envelope_free(env);
	return rc;
}

int answer_sender(struct delivery *d, const struct answer *a, struct pb_error *err)
{
	struct pb_str head, bytes, header, sender = pb_item_envelope(d->item)->sender;
	const char *why;
	PB_AUTOBUF(out);
	bool may;
	int rc = pb_body_parts(pb_item_body(d->item), &head, &bytes, err);

	if (rc)
		return rc;
	header = pb_str_head(bytes, pb_header_size(bytes));
	why = why_not(d, a->addresses, header);
	if (why) {
		pb_item_note(d->item, "autoreply.none", "%s", why);
		return 0;
	}
	rc = claim(d, a->handle, a->seconds, &may, err);
	if (rc || !may) {
		if (!rc)
			pb_item_note(d->item, "autoreply.none", "%.*s had an answer not long ago", PB_FMT(sender));
		return rc;
	}
	write_answer(d, a, header, &out);
	rc = send_written(d, "autoreply", sender, pb_buf_str(&out), err);
	if (!rc) {
		pb_item_note(d->item, "autoreply", "to=<%.*s>", PB_FMT(sender));
		pb_count(d->po->host, "answered", 1);
		if (a->fcc)
			file_copy(d, a->fcc, pb_buf_str(&out));
	}
	return rc;
}
