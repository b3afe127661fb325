/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done with a post. First what no list takes (loops, answers of programs); then who may post, in the order: password, the settings that name addresses, roles,
 * membership, the way of posting; last what makes a moderator look at a post that was allowed.
 */
#include <stdlib.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "list.h"
#include "post.h"

/* ---- what no list takes ---- */

/* Our own mark or List-Id: it was here already. */
static bool was_here(const struct post *p)
{
	struct pb_str rest = p->header;
	struct pb_field f;
	PB_AUTOBUF(id);

	pb_buf_addf(&id, "<%.*s.%.*s>", PB_FMT(p->list->local), PB_FMT(p->list->domain));
	while (pb_header_next(&rest, &f)) {
		if (pb_str_ieq(f.name, PB_STR("List-Id")) && pb_str_isearch(f.value, pb_buf_str(&id), 0) >= 0)
			return true;
		if (pb_str_ieq(f.name, PB_STR(POST_BEEN_THERE)) && pb_str_ieq(pb_str_trim(f.value), p->list->address))
			return true;
	}
	return false;
}

/* Answers of programs and reports; what a program sends of its own accord (auto-generated) may be what the list is for. */
static bool is_answer(const struct post *p)
{
	struct pb_str value;

	if (!pb_item_envelope(p->item)->sender.len)
		return true;
	if (pb_header_find(p->header, PB_STR("Auto-Submitted"), &value) && pb_str_ieq(pb_value_main(value), PB_STR("auto-replied")))
		return true;
	if (pb_header_find(p->header, PB_STR("Precedence"), &value) && pb_str_ieq(pb_str_trim(value), PB_STR("auto_reply")))
		return true;
	return pb_header_find(p->header, PB_STR("X-Autoreply"), &value) || pb_header_find(p->header, PB_STR("X-Autorespond"), &value) ||
	       (pb_header_find(p->header, PB_STR("Content-Type"), &value) && pb_str_ieq(pb_value_main(value), PB_STR("multipart/report")));
}

/* ---- who may ---- */

static enum judgement say(struct pb_buf *why, enum judgement j, const char *text)
{
	pb_buf_addz(why, text);
	return j;
}

static enum judgement others(const struct post *p, struct pb_buf *why, const char *text)
{
	struct pb_str word = setting_text(p->list->settings, "others");

	if (pb_str_eq(word, PB_STR("accept")))
		return JUDGE_ACCEPT;
	if (pb_str_eq(word, PB_STR("reject")))
		return say(why, JUDGE_REJECT, text);
	return say(why, pb_str_eq(word, PB_STR("discard")) ? JUDGE_DISCARD : JUDGE_HOLD, text);
}

static bool has_role(const struct post *p)
{
	return list_names(p->list, "owners", pb_buf_str(&p->from)) || list_names(p->list, "moderators", pb_buf_str(&p->from));
}

static enum judgement by_way(struct post *p, struct pb_buf *why)
{
	const json_t *set = p->list->settings;

	if (setting_flag(set, "announce") || setting_is(set, "posting", "moderators"))
		return has_role(p) ? JUDGE_ACCEPT : others(p, why, "only moderators may post to this list");
	if (setting_is(set, "posting", "owners"))
		return list_names(p->list, "owners", pb_buf_str(&p->from)) ? JUDGE_ACCEPT : others(p, why, "only owners may post to this list");
	if (setting_is(set, "posting", "password"))
		return others(p, why, "posts to this list need its password");
	if (setting_is(set, "posting", "script"))
		return post_ask_script(p, why);
	if (setting_is(set, "posting", "members"))
		return p->member || has_role(p) ? JUDGE_ACCEPT : others(p, why, "only members may post to this list");
	return JUDGE_ACCEPT;
}

/* ---- what a moderator should see ---- */

static unsigned readers(const struct post *p, bool *ret_named)
{
	struct pb_str rest = p->header;
	struct pb_field f;
	struct pb_addr a;
	unsigned n = 0;

	*ret_named = false;
	while (pb_header_next(&rest, &f)) {
		struct pb_addrs list = PB_ADDRS(f.value);

		if (!pb_str_ieq(f.name, PB_STR("To")) && !pb_str_ieq(f.name, PB_STR("Cc")))
			continue;
		while (pb_addrs_next(&list, &a)) {
			n += a.kind == PB_ADDR_MAILBOX;
			*ret_named |= pb_str_ieq(a.local, p->list->local) && pb_domain_eq(a.domain, p->list->domain);
		}
		pb_addrs_free(&list);
	}
	return n;
}

static enum judgement by_look(struct post *p, struct pb_buf *why)
{
	const json_t *set = p->list->settings;
	int64_t size = setting_number(set, "max_size"), most = setting_number(set, "max_recipients");
	bool named;
	unsigned n = readers(p, &named);

	if (size && p->message.len > (uint64_t)size) {
		pb_buf_addf(why, "the post has %zu bytes, and %lld are allowed without a moderator's word", p->message.len, (long long)size);
		return JUDGE_HOLD;
	}
	if (most && n >= (uint64_t)most) {
		pb_buf_addf(why, "the post has %u addresses in To and Cc", n);
		return JUDGE_HOLD;
	}
	if (setting_flag(set, "named") && !named)
		return say(why, JUDGE_HOLD, "the post does not name the list in To or Cc");
	return JUDGE_ACCEPT;
}

enum judgement post_judge(struct post *p, struct pb_buf *why)
{
	const struct list *l = p->list;
	struct pb_str from = pb_buf_str(&p->from);
	enum judgement j;

	if (was_here(p))
		return say(why, JUDGE_DISCARD, "it has been through this list already");
	if (is_answer(p))
		return say(why, JUDGE_DISCARD, "it is a program's answer or a report");
	if (post_is_approved(p))
		return post_shows_password(p) ? say(why, JUDGE_HOLD, "its password stands where it cannot be taken out") : JUDGE_ACCEPT;
	if (list_names(l, "discard_from", from))
		return say(why, JUDGE_DISCARD, "this sender's posts are dropped");
	if (list_names(l, "reject_from", from))
		return say(why, JUDGE_REJECT, "you may not post to this list");
	if (setting_flag(l->settings, "emergency"))
		return say(why, JUDGE_HOLD, "every post is held at the moment");
	if (list_names(l, "hold_from", from))
		return say(why, JUDGE_HOLD, "this sender's posts are held");
	if (p->member && flag_of(p->member, "moderated") && !has_role(p))
		return say(why, JUDGE_HOLD, "posts of this member are held");
	j = list_names(l, "accept_from", from) ? JUDGE_ACCEPT : by_way(p, why);
	return j == JUDGE_ACCEPT ? by_look(p, why) : j;
}
