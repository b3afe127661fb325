/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message to a list's own address: read, judged, and what follows from that. */
#include <stdio.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "list.h"
#include "serve.h"

static void read_author(struct post *p)
{
	struct pb_str sender = pb_item_envelope(p->item)->sender, value;
	struct pb_addr a;

	if (pb_header_find(p->header, PB_STR("From"), &value)) {
		struct pb_addrs list = PB_ADDRS(value);

		while (!p->from.len && pb_addrs_next(&list, &a)) {
			PB_AUTOBUF(given);

			if (a.kind != PB_ADDR_MAILBOX || !a.local.len || !a.domain.len)
				continue;
			pb_buf_addf(&given, "%.*s@%.*s", PB_FMT(a.local), PB_FMT(a.domain));
			if (pb_address_normal(&p->from, pb_buf_str(&given), NULL))
				pb_buf_reset(&p->from);
			else
				pb_words_decode(&p->from_name, a.name);
		}
		pb_addrs_free(&list);
	}
	if (!p->from.len)
		pb_buf_addstr(&p->from, sender);
}

int post_find_member(struct post *p, struct pb_error *err)
{
	struct pb_str sender = pb_item_envelope(p->item)->sender;
	int rc;

	json_decref(p->member);
	p->member = NULL;
	rc = p->from.len ? member_get(p->all, p->list, pb_buf_str(&p->from), &p->member, err) : PB_ENOTFOUND;
	if (rc && sender.len && !pb_str_eq(sender, pb_buf_str(&p->from)))
		rc = member_get(p->all, p->list, sender, &p->member, err);
	return rc == PB_ENOTFOUND || rc == PB_EINVALID ? 0 : rc;
}

int post_read(struct post *p, struct pb_error *err)
{
	struct pb_str head;
	int rc = pb_body_parts(pb_item_body(p->item), &head, &p->message, err);

	if (!rc)
		rc = pb_body_facts(pb_item_body(p->item), &p->facts, err);
	if (rc)
		return rc;
	p->header = pb_str_head(p->message, pb_header_size(p->message));
	read_author(p);
	return post_find_member(p, err);
}

void post_end(struct post *p)
{
	pb_buf_free(&p->from);
	pb_buf_free(&p->from_name);
	json_decref(p->member);
	p->member = NULL;
}

int post_to_owners(struct post *p, struct pb_error *err)
{
	struct pb_envelope *env = pb_envelope_dup(pb_item_envelope(p->item), false);
	json_t *one;
	size_t i;
	PB_AUTOBUF(bounces);
	int rc;

	list_door(&bounces, p->list, "bounces");
	pb_envelope_sender(env, env->sender.len ? pb_buf_str(&bounces) : PB_NOSTR);
	json_array_foreach ((json_t *)setting_list(p->list->settings, "owners"), i, one)
		pb_envelope_rcpt(env, pb_str(json_string_value(one), json_string_length(one)))->notify = PB_NOTIFY_NEVER;
	rc = pb_item_redirect(p->item, env, err);
	pb_envelope_free(env);
	return rc;
}

/* ---- what becomes of it ---- */

static int discard(struct post *p, struct pb_str why)
{
	pb_log(p->all->host, PB_INFO, "list.discarded", "id=%s list=%.*s reason=%s", pb_item_id(p->item), PB_FMT(p->list->address), pb_logq(why));
	pb_count(p->all->host, "discarded", 1);
	pb_item_note(p->item, "list.discarded", "%.*s: %.*s", PB_FMT(p->list->address), PB_FMT(why));
	pb_dropped(p->to, "dropped by the list");
	return 0;
}

static int reject(struct post *p, struct pb_str why)
{
	char reply[500];

	snprintf(reply, sizeof reply, "550 5.7.1 <%.*s>: %.*s", PB_FMT(p->list->address), PB_FMT(pb_str_head(why, 300)));
	pb_count(p->all->host, "refused", 1);
	pb_failed(p->to, PB_NOSTR, reply);
	return 0;
}

static int act(struct post *p, struct pb_error *err)
{
	PB_AUTOBUF(why);
	int rc = 0;

	switch (post_judge(p, &why)) {
	case JUDGE_ACCEPT:
		return post_distribute(p, err);
	case JUDGE_HOLD:
		rc = post_hold(p, pb_buf_str(&why), err);
		break;
	case JUDGE_REJECT:
		return reject(p, pb_buf_str(&why));
	case JUDGE_DISCARD:
		return discard(p, pb_buf_str(&why));
	}
	return rc;
}

/* It was held, and somebody approved it: the note is the list's own, and so is the token in it. */
static bool was_approved(const struct post *p)
{
	struct pb_str token = pb_text_of(pb_item_envelope(p->item)->notes, "list_approved");
	json_t *row;
	bool yes;

	if (!token.len || held_get(p->all, p->list, token, &row, NULL))
		return false;
	yes = pb_str_eq(pb_text_of(row, "decision"), pb_strz(decision_names[DECIDE_APPROVE]));
	json_decref(row);
	return yes;
}

int post_deliver(struct post *p, struct pb_error *err)
{
	int rc;

	if (was_approved(p))
		return post_approve(p, err);
	rc = post_read(p, err);
	if (!rc)
		rc = act(p, err);
	post_end(p);
	return rc;
}

int post_approve(struct post *p, struct pb_error *err)
{
	int rc = post_read(p, err);

	if (!rc)
		rc = post_distribute(p, err);
	post_end(p);
	return rc;
}
