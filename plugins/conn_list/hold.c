/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What waits for a moderator: kept, shown to those who decide, told to who wrote it. What becomes of it is decide.c's. */
#include <stdio.h>
#include <postbus/address.h>
#include <postbus/mailbox.h>
#include <postbus/message.h>
#include "notices/automatic.h"
#include "serve.h"

#define FOLDER PB_STR("Held")

/* ---- rows ---- */

static void key_of(struct pb_buf *key, const struct list *l, struct pb_str token)
{
	pb_buf_addstr(key, l->id);
	pb_buf_addc(key, '\0');
	for (size_t i = 0; i < token.len && i < TOKEN_LEN; i++)
		pb_buf_addc(key, (char)pb_lower(token.ptr[i]));
}

int held_get(struct lists *all, const struct list *l, struct pb_str token, json_t **ret_row, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);
	int rc;

	key_of(&key, l, token);
	rc = token_is(token) ? pb_table_get(all->held, pb_buf_str(&key), &value, err) : PB_ENOTFOUND;
	if (rc)
		return rc == PB_ENOTFOUND ? pb_fail(err, rc, "nothing of %.*s waits under that token", PB_FMT(l->address)) : rc;
	*ret_row = json_loadb(value.ptr, value.len, 0, NULL);
	return *ret_row ? 0 : pb_fail(err, PB_ECORRUPT, "the row of what waits is damaged");
}

int held_put(struct lists *all, const struct list *l, struct pb_str token, const json_t *row, struct pb_error *err)
{
	char *text = json_dumps(row, JSON_COMPACT);
	PB_AUTOBUF(key);
	int rc;

	key_of(&key, l, token);
	rc = text ? pb_table_apply(all->held, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_strz(text) }, 1, err) : pb_fail(err, PB_EINVALID, "what waits is no JSON");
	free(text);
	return rc;
}

struct walk {
	json_t *rows;
	bool waiting;
	size_t prefix, n;
	struct pb_buf from;
};

static bool step(void *arg, struct pb_str key, struct pb_str value)
{
	struct walk *w = arg;
	json_t *row = json_loadb(value.ptr, value.len, 0, NULL);

	w->n++;
	pb_buf_reset(&w->from);
	pb_buf_addstr(&w->from, key);
	pb_buf_addc(&w->from, '\0');
	if (row && (!w->waiting || pb_str_eq(pb_text_of(row, "state"), PB_STR("held")))) {
		set_text(row, "token", pb_str_skip(key, w->prefix));
		json_array_append(w->rows, row);
	}
	json_decref(row);
	return true;
}

int held_all(struct lists *all, const struct list *l, bool waiting, json_t **ret, struct pb_error *err)
{
	struct walk w = { .rows = json_array(), .waiting = waiting, .from = PB_BUF };
	PB_AUTOBUF(end);
	int rc;

	key_of(&w.from, l, PB_NOSTR);
	w.prefix = w.from.len;
	key_of(&end, l, PB_NOSTR);
	end.ptr[end.len - 1] = 1;	/* behind the NUL */
	do {
		w.n = 0;
		rc = pb_table_scan(all->held, pb_buf_str(&w.from), pb_buf_str(&end), 0, step, &w, err);
	} while (!rc && w.n);
	pb_buf_free(&w.from);
	if (rc)
		json_decref(w.rows);
	else
		*ret = w.rows;
	return rc;
}

/* ---- bodies ---- */

int held_body(struct lists *all, const struct list *l, const json_t *row, struct pb_body **ret, struct pb_error *err)
{
	struct pb_mailbox *mb;
	struct pb_folder *f;
	struct pb_view *v;
	uint32_t seq;
	int rc = list_folder(all, l, FOLDER, false, &mb, &f, err);

	if (rc)
		return rc;
	rc = pb_folder_view(f, &v, err);
	if (!rc) {
		seq = pb_view_find(v, (uint32_t)number_of(row, "uid"));
		rc = seq ? pb_view_body(v, seq, ret, err) : pb_fail(err, PB_ENOTFOUND, "the message that waited is gone");
		pb_view_release(v);
	}
	pb_folder_close(f);
	pb_mailbox_close(mb);
	return rc;
}

int held_drop_body(struct lists *all, const struct list *l, const json_t *row, struct pb_error *err)
{
	struct pb_mailbox *mb;
	struct pb_folder *f;
	uint32_t uid = (uint32_t)number_of(row, "uid");
	int rc = uid ? list_folder(all, l, FOLDER, false, &mb, &f, err) : PB_ENOTFOUND;

	if (rc)
		return rc == PB_ENOTFOUND ? 0 : rc;
	rc = pb_folder_expunge(f, &uid, 1, false, err);
	pb_folder_close(f);
	pb_mailbox_close(mb);
	return rc;
}

int held_remove_all(struct lists *all, const struct list *l, struct pb_error *err)
{
	json_t *rows, *one;
	size_t i;
	PB_AUTOBUF(id);
	int rc = held_all(all, l, false, &rows, err);

	if (rc)
		return rc;
	json_array_foreach (rows, i, one) {
		PB_AUTOBUF(key);

		key_of(&key, l, pb_text_of(one, "token"));
		if (!rc)
			rc = pb_table_apply(all->held, &(struct pb_change){ PB_DELETE, pb_buf_str(&key), PB_NOSTR }, 1, err);
	}
	json_decref(rows);
	pb_buf_addf(&id, "list-%.*s", PB_FMT(l->id));
	if (!rc)
		rc = pb_mailbox_destroy(all->host, pb_buf_str(&id), err);
	return rc == PB_ENOTFOUND ? 0 : rc;
}

static int keep_body(struct post *p, struct pb_str token, uint32_t *ret_uid, struct pb_error *err)
{
	struct pb_mailbox *mb;
	struct pb_folder *f;
	int rc = list_folder(p->all, p->list, FOLDER, true, &mb, &f, err);

	if (rc)
		return rc;
	rc = pb_folder_deliver(f, pb_item_body(p->item), PB_NOSTR, &(struct pb_append){ .token = token, .over_quota = true }, ret_uid, err);
	pb_folder_close(f);
	pb_mailbox_close(mb);
	return rc;
}

/* ---- those who decide ---- */

static const json_t *readers_of(const struct list *l)
{
	const json_t *moderators = setting_list(l->settings, "moderators");

	return json_array_size(moderators) ? moderators : setting_list(l->settings, "owners");
}

void held_links(struct pb_buf *out, const struct list *l, struct pb_str token)
{
	for (int i = 0; i <= DECIDE_DISCARD; i++)
		pb_buf_addf(out, "  %-8s <mailto:%.*s-moderate+%.*s@%.*s?subject=%s>\n", decision_names[i], PB_FMT(l->local), PB_FMT(token), PB_FMT(l->domain), decision_names[i]);
}

int held_ask(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str token, struct pb_str subject, struct pb_str text, struct pb_str attached,
	     struct pb_error *err)
{
	const json_t *readers = readers_of(l);
	PB_AUTOBUF(to);

	if (!json_array_size(readers)) {
		pb_log(all->host, PB_WARNING, "list.unmoderated", "list=%.*s token=%.*s", PB_FMT(l->address), PB_FMT(token));
		return 0;
	}
	list_door(&to, l, "owner");
	return letter_send(all, l, item, &(struct note_letter){ .to_name = PB_STR("Moderators"), .to = pb_buf_str(&to), .readers = readers, .door = "moderate", .rest = token,
								.subject = subject, .text = text, .attached = attached, .name = token }, err);
}

/* What moderators see of the post: a large one without its text, which "list held" shows. */
static struct pb_str seen(const struct post *p, struct pb_buf *room)
{
	const struct pb_str names[] = { PB_STR("From"), PB_STR("To"), PB_STR("Cc"), PB_STR("Subject"), PB_STR("Date"), PB_STR("Message-ID") };

	if (p->message.len <= HELD_ATTACH_MOST)
		return p->message;
	pb_header_pick(room, p->header, names, sizeof names / sizeof *names, false);
	pb_buf_addf(room, "[The text is left out here: the post has %zu bytes.]\r\n", p->message.len);
	return pb_buf_str(room);
}

static int ask_about_post(struct post *p, struct pb_str token, const json_t *row, struct pb_error *err)
{
	PB_AUTOBUF(attached);
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);

	pb_buf_addf(&subject, "%.*s: a post of %.*s waits: %.*s", PB_FMT(p->list->local), PB_FMT(pb_text_of(row, "poster")), PB_FMT(pb_str_head(pb_text_of(row, "subject"), 200)));
	pb_buf_addf(&text, "A post to %.*s waits for a decision.\n\n  From:    %.*s\n  Subject: %.*s\n  Size:    %lld bytes\n  Reason:  %.*s\n\n", PB_FMT(p->list->address),
		    PB_FMT(pb_text_of(row, "poster")), PB_FMT(pb_text_of(row, "subject")), (long long)number_of(row, "size"), PB_FMT(pb_text_of(row, "reason")));
	pb_buf_addz(&text, "Answer this letter with one of the words approve, reject, discard as the first in\nyour text; what follows reject is told to the poster. Or send an empty "
			   "letter to one of\n\n");
	held_links(&text, p->list, token);
	pb_buf_addz(&text, "\nThe first answer counts. The post is attached.\n");
	return held_ask(p->all, p->list, p->item, token, pb_buf_str(&subject), pb_buf_str(&text), seen(p, &attached), err);
}

static int tell_poster(struct post *p, struct pb_str token, const json_t *row, struct pb_error *err)
{
	struct pb_str id = PB_NOSTR;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);

	if (!setting_flag(p->list->settings, "hold_tell_poster") || automatic_why_not(pb_item_envelope(p->item)->sender, p->header) ||
	    !letter_may(p->all, "held", pb_buf_str(&p->from), pb_config_int(p->all->host, "answers"), pb_strz(pb_item_id(p->item))))
		return 0;
	pb_header_find(p->header, PB_STR("Message-ID"), &id);
	pb_buf_addf(&subject, "Your post to %.*s waits for a moderator", PB_FMT(p->list->address));
	pb_buf_addf(&text, "Your post\n\n  %.*s\n\nto %.*s waits until a moderator has looked at it, since %.*s.\n\nEither it goes to the members then, or you hear what was decided.\n",
		    PB_FMT(pb_text_of(row, "subject")), PB_FMT(p->list->address), PB_FMT(pb_text_of(row, "reason")));
	return letter_send(p->all, p->list, p->item,
			   &(struct note_letter){ .to = pb_buf_str(&p->from), .to_name = pb_buf_str(&p->from_name), .door = "owner", .subject = pb_buf_str(&subject),
						  .text = pb_buf_str(&text), .references = pb_str_head(pb_str_trim(id), 500), .submitted = "auto-replied", .name = token },
			   err);
}

/* ---- held ---- */

static void set_utf8(json_t *o, const char *key, struct pb_str s)
{
	while (s.len && !pb_utf8_valid(s))	/* cut in the middle of a letter, or no text at all */
		s.len--;
	set_text(o, key, s);
}

/* What the post came with, for when it goes on. */
static json_t *envelope_json(const struct pb_envelope *env, struct pb_str address)
{
	json_t *o = json_object();

	set_utf8(o, "sender", env->sender);
	set_utf8(o, "recipient", address);
	set_utf8(o, "client", env->client);
	set_utf8(o, "helo", env->helo);
	set_utf8(o, "user", env->user);
	set_utf8(o, "mailbox", env->mailbox);
	json_object_set_new(o, "eightbit", json_boolean(env->eightbit));
	json_object_set_new(o, "smtputf8", json_boolean(env->smtputf8));
	json_object_set_new(o, "requiretls", json_boolean(env->requiretls));
	json_object_set_new(o, "notes", json_deep_copy(env->notes));
	return o;
}

static json_t *new_row(struct lists *all, const char *kind, struct pb_str poster, struct pb_str name, struct pb_str why)
{
	json_t *row = json_pack("{s:s, s:s, s:I}", "kind", kind, "state", "held", "since", (json_int_t)pb_now(all->host));

	json_object_set_new(row, "reminded", json_integer((json_int_t)pb_now(all->host)));
	set_utf8(row, "poster", poster);
	set_utf8(row, "poster_name", name);
	set_utf8(row, "reason", why);
	return row;
}

/* ret_row: what is there. True: somebody decided already, and this is a message that was cut off behind that. */
static int enter(struct lists *all, const struct list *l, struct pb_str token, json_t **row, bool *ret_over, struct pb_error *err)
{
	json_t *known;
	int rc;

	pthread_mutex_lock(&all->deciding);
	rc = held_get(all, l, token, &known, err);
	*ret_over = !rc && !pb_str_eq(pb_text_of(known, "state"), PB_STR("held"));
	if (!rc || rc == PB_ENOTFOUND) {
		if (!rc)
			json_decref(known);
		rc = *ret_over ? 0 : held_put(all, l, token, *row, err);
	}
	pthread_mutex_unlock(&all->deciding);
	return rc;
}

static json_t *row_of_post(struct post *p, struct pb_str why)
{
	struct pb_str value;
	json_t *row = new_row(p->all, "post", pb_buf_str(&p->from), pb_buf_str(&p->from_name), why);
	PB_AUTOBUF(subject);

	if (pb_header_find(p->header, PB_STR("Subject"), &value))
		pb_words_decode(&subject, pb_str_head(value, 2000));
	set_utf8(row, "subject", pb_str_head(pb_buf_str(&subject), 500));
	json_object_set_new(row, "size", json_integer((json_int_t)p->message.len));
	json_object_set_new(row, "envelope", envelope_json(pb_item_envelope(p->item), pb_recipient_rcpt(p->to)->address));
	return row;
}

int post_hold(struct post *p, struct pb_str why, struct pb_error *err)
{
	const struct pb_str words[] = { p->list->id, PB_STR("held"), pb_strz(pb_item_id(p->item)), pb_recipient_rcpt(p->to)->address };
	json_t *row = row_of_post(p, why);
	uint32_t uid = 0;
	bool over = false;
	PB_AUTOBUF(token);
	int rc = token_make(p->all, words, sizeof words / sizeof *words, &token, err);

	if (!rc)
		rc = keep_body(p, pb_buf_str(&token), &uid, err);
	json_object_set_new(row, "uid", json_integer(uid));
	if (!rc)
		rc = enter(p->all, p->list, pb_buf_str(&token), &row, &over, err);
	if (!rc && !over)
		rc = ask_about_post(p, pb_buf_str(&token), row, err);
	if (!rc && !over)
		rc = tell_poster(p, pb_buf_str(&token), row, err);
	json_decref(row);
	if (rc)
		return rc;
	pb_count(p->all->host, "held", 1);
	pb_item_note(p->item, "list.held", "%.*s: %.*s", PB_FMT(p->list->address), PB_FMT(why));
	pb_log(p->all->host, PB_INFO, "list.held", "id=%s list=%.*s reason=%s", pb_item_id(p->item), PB_FMT(p->list->address), pb_logq(why));
	pb_delivered(p->to, PB_NOSTR, "250 2.1.5 The post waits for a moderator");
	return 0;
}

int hold_subscription(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str address, struct pb_str name, struct pb_str delivery, struct pb_str letter_name,
		      struct pb_error *err)
{
	const struct pb_str words[] = { l->id, PB_STR("held"), address, letter_name };
	json_t *row = new_row(all, "subscription", address, name, PB_STR("new members are decided about"));
	bool over;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	PB_AUTOBUF(token);
	int rc = token_make(all, words, sizeof words / sizeof *words, &token, err);

	set_utf8(row, "delivery", delivery);
	set_text(row, "subject", PB_STR("wants to subscribe"));
	if (!rc)
		rc = enter(all, l, pb_buf_str(&token), &row, &over, err);
	json_decref(row);
	if (rc || over)
		return rc;
	pb_buf_addf(&subject, "%.*s: %.*s wants to subscribe", PB_FMT(l->local), PB_FMT(address));
	pb_buf_addf(&text, "%.*s wants to be a member of %.*s.\n\nAnswer this letter with one of the words approve, reject, discard as the first in\nyour text; what follows "
			   "reject is told to who asks. Or send an empty letter to one of\n\n", PB_FMT(address), PB_FMT(l->address));
	held_links(&text, l, pb_buf_str(&token));
	return held_ask(all, l, item, pb_buf_str(&token), pb_buf_str(&subject), pb_buf_str(&text), PB_NOSTR, err);
}
