/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The message as members get it: the header of fields.c, the body with the list's header and footer; or the post wrapped into a message of the list. */
#include <postbus/address.h>
#include <postbus/letter.h>
#include <postbus/message.h>
#include "notices/footer.h"
#include "campaign.h"

/* ---- header and footer ---- */

static json_t *values_of(const struct list *l, const json_t *personal)
{
	json_t *values = json_object();
	PB_AUTOBUF(owner);
	PB_AUTOBUF(leave);

	list_door(&owner, l, "owner");
	list_door(&leave, l, "unsubscribe");
	set_text(values, "list", l->address);
	set_text(values, "description", setting_text(l->settings, "description"));
	set_text(values, "owner", pb_buf_str(&owner));
	set_text(values, "unsubscribe", pb_buf_str(&leave));
	if (personal)
		json_object_update(values, (json_t *)personal);
	return values;
}

/* What people chose themselves goes into HTML as text. */
static json_t *escaped(const json_t *values)
{
	json_t *o = json_object(), *one;
	const char *key;

	json_object_foreach ((json_t *)values, key, one) {
		struct pb_str s = pb_text_of(values, key);
		PB_AUTOBUF(text);

		for (size_t i = 0; i < s.len; i++) {
			const char *name = s.ptr[i] == '<' ? "&lt;" : s.ptr[i] == '>' ? "&gt;" : s.ptr[i] == '&' ? "&amp;" : s.ptr[i] == '"' ? "&quot;" : NULL;

			if (name)
				pb_buf_addz(&text, name);
			else
				pb_buf_addc(&text, s.ptr[i]);
		}
		set_text(o, key, pb_buf_str(&text));
	}
	return o;
}

/* message becomes itself with header and footer; signed and encrypted mail stays as it is. */
static void add_texts(const struct list *l, const json_t *personal, struct pb_buf *message)
{
	static const char *const names[] = { "footer_text", "header_text", "footer_html", "header_html" };
	struct pb_buf filled[4] = { PB_BUF, PB_BUF, PB_BUF, PB_BUF };
	json_t *values, *html;
	bool any = false;

	for (int i = 0; i < 4; i++)
		any |= setting_text(l->settings, names[i]).len > 0;
	if (!any)
		return;
	values = values_of(l, personal);
	html = escaped(values);
	for (int i = 0; i < 4; i++)
		pb_letter_fill(&filled[i], setting_text(l->settings, names[i]), i < 2 ? values : html);
	const struct footer footer = { pb_buf_str(&filled[0]), pb_buf_str(&filled[2]), pb_buf_str(&filled[1]), pb_buf_str(&filled[3]), true };
	PB_AUTOBUF(facts);
	PB_AUTOBUF(out);

	pb_facts_make(pb_buf_str(message), &facts);
	if (footer_add(&out, pb_buf_str(message), pb_buf_str(&facts), &footer)) {
		pb_buf_reset(message);
		pb_buf_addstr(message, pb_buf_str(&out));
	}
	for (int i = 0; i < 4; i++)
		pb_buf_free(&filled[i]);
	json_decref(values);
	json_decref(html);
}

/* ---- the two forms ---- */

static void add_plain(struct post *p, enum mitigation from, const json_t *personal, int64_t count, struct pb_buf *out)
{
	post_fields(p, from, personal, count, out);
	pb_buf_addz(out, "\r\n");
	post_body(p, out);
	add_texts(p->list, personal, out);
}

/* Of the post, as it has them. */
static void add_kept(const struct post *p, struct pb_buf *out)
{
	static const char *const kept[] = { "Date", "Cc", "In-Reply-To", "References" };
	struct pb_str value;

	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		PB_AUTOBUF(line);

		if (!pb_header_find(p->header, pb_strz(kept[i]), &value) || !pb_str_trim(value).len)
			continue;
		pb_unfold(&line, pb_str_trim(value));
		pb_header_add_raw(out, kept[i], pb_buf_str(&line));
	}
}

/* The post as it would have been, inside a message of the list's. */
static void add_wrapped(struct post *p, const json_t *personal, int64_t count, struct pb_buf *out)
{
	struct pb_str subject = PB_NOSTR, date, whole = campaign_id(p);
	bool eightbit = pb_facts_flags(p->facts) & PB_FACTS_8BIT;
	PB_AUTOBUF(from);
	PB_AUTOBUF(id);
	PB_AUTOBUF(words);
	PB_AUTOBUF(dressed);

	post_from_list(p, &from);
	pb_header_add_raw(out, "From", pb_buf_str(&from));
	pb_header_add_raw(out, "To", p->list->address);
	post_reply_to(p, FROM_WRAPPED, out);
	pb_header_find(p->header, PB_STR("Subject"), &subject);
	pb_words_decode(&words, subject);
	subject_dress(&dressed, pb_buf_str(&words), setting_text(p->list->settings, "prefix"), setting_text(p->list->settings, "suffix"), count);
	pb_header_add(out, "Subject", pb_buf_str(&dressed), pb_facts_flags(p->facts) & PB_FACTS_HEADER_8BIT);
	add_kept(p, out);
	if (!pb_header_find(p->header, PB_STR("Date"), &date))
		post_date(p, out);
	pb_buf_addf(&id, "<%.*s.wrap@%.*s>", PB_FMT(whole), PB_FMT(p->list->domain));
	pb_header_add_raw(out, "Message-ID", pb_buf_str(&id));
	post_list_fields(p->list, personal, out);
	pb_buf_addf(out, "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: %s\r\n\r\n", eightbit ? "8bit" : "7bit");
	post_fields(p, FROM_KEPT, personal, count, out);
	pb_buf_addz(out, "\r\n");
	post_body(p, out);
}

int post_transform(struct post *p, struct pb_buf *out, const json_t *personal, struct pb_error *err)
{
	int64_t count = number_of(pb_item_envelope(p->item)->notes, "list_count");
	enum mitigation from;
	int rc = post_mitigation(p, &from, err);

	if (rc)
		return rc;
	if (from == FROM_WRAPPED)
		add_wrapped(p, personal, count, out);
	else
		add_plain(p, from, personal, count, out);
	return 0;
}
