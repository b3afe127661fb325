/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The header of a post as members get it: what is taken out, changed, put in. */
#include <postbus/address.h>
#include <postbus/date.h>
#include <postbus/message.h>
#include "campaign.h"

/* Words to the list, or to whoever had it before; and requests for receipts, which hundreds would answer. */
static const char *const taken_out[] = { "Return-Path",	 "Delivered-To", "X-Original-To", "Return-Receipt-To", "Disposition-Notification-To", "X-Confirm-Reading-To",
					 "Errors-To", "Precedence", "List-Unsubscribe-Post", "Bcc", "Resent-Bcc" };
/* What tells who an anonymous poster is. */
static const char *const telling[] = { "From", "Sender", "Reply-To", "Received", "X-Originating-IP", "X-Sender", "User-Agent", "X-Mailer", "Organization", "X-Envelope-From",
				       "Message-ID",				       "DKIM-Signature", "Authentication-Results", "Received-SPF", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "Resent-From",
				       "Resent-Sender", "Autocrypt", "X-Face", "Face" };

static bool is_among(struct pb_str name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pb_str_ieq(name, pb_strz(names[i])))
			return true;
	return false;
}

static bool is_dressed(const struct post *p)
{
	return setting_text(p->list->settings, "prefix").len || setting_text(p->list->settings, "suffix").len;
}

/* The From is the list's and answers go to somebody else: then Cc alone still shows who wrote it, and answers to all reach him, as they would have. */
static bool has_poster_in_cc(const struct post *p, enum mitigation from)
{
	const json_t *set = p->list->settings;

	return from == FROM_REWRITTEN && p->from.len && !setting_flag(set, "anonymous") && !setting_is(set, "reply_to", "untouched") && !setting_is(set, "reply_to", "sender");
}

static bool goes(const struct post *p, enum mitigation from, struct pb_str name)
{
	const json_t *set = p->list->settings;

	if (is_among(name, taken_out, sizeof taken_out / sizeof *taken_out) || is_approval(name))
		return true;
	if (setting_flag(set, "list_headers") && pb_str_istarts(name, PB_STR("List-")))
		return true;
	if (setting_flag(set, "anonymous") && is_among(name, telling, sizeof telling / sizeof *telling))
		return true;
	if (pb_str_ieq(name, PB_STR("From")))
		return from != FROM_KEPT;
	if (pb_str_ieq(name, PB_STR("Reply-To")))
		return !setting_is(set, "reply_to", "untouched") || from != FROM_KEPT;
	if (pb_str_ieq(name, PB_STR("Cc")))
		return has_poster_in_cc(p, from);
	return pb_str_ieq(name, PB_STR("Subject")) && is_dressed(p);
}

/* ---- what is put in ---- */

/* Without a name the local part is one: an address of another domain in a display name looks like a forgery to filters. */
void post_from_list(struct post *p, struct pb_buf *out)
{
	struct pb_str poster = pb_buf_str(&p->from_name), domain;
	PB_AUTOBUF(name);

	if (!poster.len && !pb_address_split(pb_buf_str(&p->from), &poster, &domain))
		poster = p->list->local;

	if (setting_flag(p->list->settings, "anonymous"))
		pb_buf_addstr(&name, setting_text(p->list->settings, "description").len ? setting_text(p->list->settings, "description") : p->list->local);
	else
		pb_buf_addf(&name, "%.*s via %.*s", PB_FMT(poster), PB_FMT(p->list->local));
	pb_address_print(out, pb_buf_str(&name), p->list->address);
}

static void add_subject(struct post *p, int64_t count, struct pb_buf *out)
{
	struct pb_str value = PB_NOSTR;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(dressed);

	if (!is_dressed(p))
		return;
	pb_header_find(p->header, PB_STR("Subject"), &value);
	pb_words_decode(&subject, value);
	subject_dress(&dressed, pb_buf_str(&subject), setting_text(p->list->settings, "prefix"), setting_text(p->list->settings, "suffix"), count);
	pb_header_add(out, "Subject", pb_buf_str(&dressed), pb_facts_flags(p->facts) & PB_FACTS_HEADER_8BIT);
}

/* The poster's own answers address, where answers are to reach him: his Reply-To, or his From. */
static void add_poster(struct post *p, struct pb_buf *value)
{
	struct pb_str given;

	if (pb_header_find(p->header, PB_STR("Reply-To"), &given) && pb_str_trim(given).len)
		pb_unfold(value, given);
	else if (p->from.len)
		pb_address_print(value, pb_buf_str(&p->from_name), pb_buf_str(&p->from));
}

void post_reply_to(struct post *p, enum mitigation from, struct pb_buf *out)
{
	const json_t *set = p->list->settings;
	bool anonymous = setting_flag(set, "anonymous");
	PB_AUTOBUF(value);

	if (setting_is(set, "reply_to", "list"))
		pb_buf_addstr(&value, p->list->address);
	else if (setting_is(set, "reply_to", "owner"))
		list_door(&value, p->list, "owner");
	else if (setting_is(set, "reply_to", "address"))
		pb_buf_addstr(&value, setting_text(set, "reply_to_address"));
	else if (!anonymous && (from != FROM_KEPT || setting_is(set, "reply_to", "sender")))
		add_poster(p, &value);
	if (value.len)
		pb_header_add_raw(out, "Reply-To", pb_buf_str(&value));
}

static void add_from(struct post *p, enum mitigation from, struct pb_buf *out)
{
	struct pb_str given;
	PB_AUTOBUF(value);

	if (from == FROM_KEPT && !setting_flag(p->list->settings, "anonymous"))
		return;
	post_from_list(p, &value);
	pb_header_add_raw(out, "From", pb_buf_str(&value));
	pb_buf_reset(&value);
	if (setting_flag(p->list->settings, "anonymous")) {
		pb_message_id_make(&value, p->list->domain, pb_now(p->all->host));
		pb_header_add_raw(out, "Message-ID", pb_buf_str(&value));
	} else if (pb_header_find(p->header, PB_STR("From"), &given)) {
		pb_unfold(&value, given);
		pb_header_add_raw(out, "X-Original-From", pb_buf_str(&value));
	}
}

static void add_cc(struct post *p, enum mitigation from, struct pb_buf *out)
{
	struct pb_str rest = p->header;
	struct pb_field f;
	PB_AUTOBUF(value);

	if (!has_poster_in_cc(p, from))
		return;
	while (pb_header_next(&rest, &f)) {
		if (!pb_str_ieq(f.name, PB_STR("Cc")) || !pb_str_trim(f.value).len)
			continue;
		if (value.len)
			pb_buf_addz(&value, ", ");
		pb_unfold(&value, pb_str_trim(f.value));
	}
	if (pb_str_isearch(pb_buf_str(&value), pb_buf_str(&p->from), 0) < 0) {
		if (value.len)
			pb_buf_addz(&value, ", ");
		pb_address_print(&value, pb_buf_str(&p->from_name), pb_buf_str(&p->from));
	}
	pb_header_add_raw(out, "Cc", pb_buf_str(&value));
}

void post_date(struct post *p, struct pb_buf *out)
{
	char date[PB_DATE_MAX];

	pb_date_format(date, pb_item_envelope(p->item)->received, 0);
	pb_header_add_raw(out, "Date", pb_strz(date));
}

/* What RFC 5322 3.6 asks for, where the poster left it out; the same at each attempt. */
static void add_missing(struct post *p, struct pb_buf *out)
{
	struct pb_str value;
	PB_AUTOBUF(id);

	if (!pb_header_find(p->header, PB_STR("Date"), &value))
		post_date(p, out);
	if (!pb_header_find(p->header, PB_STR("Message-ID"), &value) && !setting_flag(p->list->settings, "anonymous")) {
		struct pb_str post = campaign_id(p);

		pb_buf_addf(&id, "<%.*s.post@%.*s>", PB_FMT(post), PB_FMT(p->list->domain));
		pb_header_add_raw(out, "Message-ID", pb_buf_str(&id));
	}
}

static void add_mailto(struct pb_buf *out, const char *name, const struct list *l, const char *door)
{
	PB_AUTOBUF(value);

	pb_buf_addz(&value, "<mailto:");
	list_door(&value, l, door);
	pb_buf_addc(&value, '>');
	pb_header_add_raw(out, name, pb_buf_str(&value));
}

/* RFC 2919 and 2369; and RFC 8058 where the message is for one member (unsubscribe_url among personal). */
void post_list_fields(const struct list *l, const json_t *personal, struct pb_buf *out)
{
	struct pb_str url = pb_text_of(personal, "unsubscribe_url");
	PB_AUTOBUF(id);
	PB_AUTOBUF(leave);

	pb_header_add_raw(out, POST_BEEN_THERE, l->address);
	if (!setting_flag(l->settings, "list_headers"))
		return;
	pb_buf_addf(&id, "<%.*s.%.*s>", PB_FMT(l->local), PB_FMT(l->domain));
	if (setting_text(l->settings, "description").len) {
		PB_AUTOBUF(line);

		/* The phrase as an address would have it, and the id in its angles. */
		pb_address_print(&line, setting_text(l->settings, "description"), PB_STR("x"));
		pb_buf_addstr(&line, PB_NOSTR);
		line.len -= 3;
		pb_buf_addstr(&line, pb_buf_str(&id));
		pb_header_add_raw(out, "List-Id", pb_buf_str(&line));
	} else {
		pb_header_add_raw(out, "List-Id", pb_buf_str(&id));
	}
	if (setting_flag(l->settings, "announce"))
		pb_header_add_raw(out, "List-Post", PB_STR("NO"));
	else
		add_mailto(out, "List-Post", l, "");
	add_mailto(out, "List-Help", l, "help");
	add_mailto(out, "List-Subscribe", l, "subscribe");
	pb_buf_addz(&leave, "<mailto:");
	list_door(&leave, l, "unsubscribe");
	pb_buf_addc(&leave, '>');
	if (url.len)
		pb_buf_addf(&leave, ", <%.*s>", PB_FMT(url));
	pb_header_add_raw(out, "List-Unsubscribe", pb_buf_str(&leave));
	if (url.len)
		pb_header_add_raw(out, "List-Unsubscribe-Post", PB_STR("List-Unsubscribe=One-Click"));
	add_mailto(out, "List-Owner", l, "owner");
	pb_header_add_raw(out, "Precedence", PB_STR("list"));
}

void post_fields(struct post *p, enum mitigation from, const json_t *personal, int64_t count, struct pb_buf *out)
{
	struct pb_str rest = p->header;
	struct pb_field f;

	while (pb_header_next(&rest, &f))
		if (!goes(p, from, f.name))
			pb_buf_addstr(out, f.raw);
	if (out->len && out->ptr[out->len - 1] != '\n')
		pb_buf_addz(out, "\r\n");
	add_from(p, from, out);
	add_subject(p, count, out);
	post_reply_to(p, from, out);
	add_cc(p, from, out);
	add_missing(p, out);
	post_list_fields(p->list, personal, out);
}
