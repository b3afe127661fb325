/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sieve's notify by mail (RFC 5436): "mailto:bob@example.org?subject=News". What a message is about never makes another notification: those of a program get
 * none, and an address gets one for a message.
 */
#include <postbus/letter.h>
#include <postbus/message.h>
#include "notices/automatic.h"
#include "notices/mailto.h"
#include "postoffice.h"

enum { RECIPIENTS_MAX = 10 };	/* of one notification, as of redirections: a message that comes in is no multiplier */

/* RFC 5436 2.7: "X-Priority" as mail programs know it. */
static const char *importance_of(int64_t importance)
{
	return importance == 1 ? "X-Priority: 1\r\nImportance: high\r\n" : importance == 3 ? "X-Priority: 5\r\nImportance: low\r\n" : "";
}

static void write_notification(struct delivery *d, const json_t *a, const struct mailto *m, struct pb_str own, struct pb_str to, struct pb_str header, struct pb_buf *out)
{
	struct pb_str value;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	PB_AUTOBUF(from);

	if (pb_header_find(header, PB_STR("Subject"), &value))
		pb_words_decode(&subject, value);
	if (pb_header_find(header, PB_STR("From"), &value))
		pb_words_decode(&from, value);
	/* RFC 5436 2.3, 2.4: the script's message is the subject, or the text where the URI has a subject. */
	if (m->subject.len || pb_text_of(a, "text").len) {
		PB_AUTOBUF(was);

		pb_buf_addstr(&was, pb_buf_str(&subject));
		pb_buf_reset(&subject);
		pb_buf_addstr(&subject, m->subject.len ? m->subject : pb_text_of(a, "text"));
		pb_buf_addf(&text, "%.*s", PB_FMT(m->subject.len ? pb_text_of(a, "text") : m->body));
		if (!text.len)
			pb_buf_addf(&text, "A message from %.*s\nSubject: %.*s\n", PB_FMT(pb_buf_str(&from)), PB_FMT(pb_buf_str(&was)));
	} else {
		pb_buf_addf(&text, "A message from %.*s\nSubject: %.*s\n", PB_FMT(pb_buf_str(&from)), PB_FMT(pb_buf_str(&subject)));
		if (!subject.len)
			pb_buf_addz(&subject, "A message has come");
	}
	const struct pb_letter letter = {
		.from = own.len ? own : d->address,
		.to = to,
		.subject = pb_buf_str(&subject),
		.text = pb_buf_str(&text),
		.submitted = "auto-notified",
		.fields = pb_strz(importance_of(json_integer_value(json_object_get(a, "importance")))),
	};
	pb_letter_print(d->po->host, out, &letter);
}

int send_notify(struct delivery *d, const json_t *a, struct pb_error *err)
{
	struct pb_str head, bytes, header, rest, to, own;
	unsigned left = RECIPIENTS_MAX;
	struct pb_arena *arena;
	struct mailto m;
	int rc = pb_body_parts(pb_item_body(d->item), &head, &bytes, err);

	if (rc)
		return rc;
	header = pb_str_head(bytes, pb_header_size(bytes));
	if (automatic_is(header)) {	/* RFC 5436 2.7.1: no notification about a notification */
		pb_item_note(d->item, "notify.none", "the message came from a program");
		return 0;
	}
	arena = pb_arena_new();
	mailto_parse(&m, pb_text_of(a, "method"), arena);
	rest = m.to;
	own = from_of(d, a);
	while (!rc && left && pb_str_cut(&rest, ',', &to)) {
		PB_AUTOBUF(out);

		to = pb_str_trim(to);
		if (!to.len)
			continue;
		left--;
		write_notification(d, a, &m, own, to, header, &out);
		rc = send_written(d, "notify", to, pb_buf_str(&out), err);
		if (!rc)
			file_copy(d, a, pb_buf_str(&out));
		pb_item_note(d->item, "notify", "to=<%.*s>", PB_FMT(to));
		pb_count(d->po->host, "notified", 1);
	}
	pb_arena_free(arena);
	return rc;
}
