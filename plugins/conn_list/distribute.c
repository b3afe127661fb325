/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A post to its members. One message, with one body and all members as recipients, enters the queue in the batch that settles the post: after a crash either all of
 * them have it before them or none, so each is served once. It is bulk mail, which the MTA keeps in a lane of its own, so no other mail waits for it.
 *
 * A personal post is parted first: items with the post itself and a range of members each (to NAME-part@, with the note list_part), and each part enters one message
 * for each of its members in the batch that settles it.
 */
#include <postbus/address.h>
#include <postbus/message.h>
#include "archive.h"
#include "campaign.h"
#include "digest.h"
#include "serve.h"

enum { PART_READERS = 200, PRIORITY_BULK = -5 };

/* ---- signed ---- */

static int ask_signer(struct post *p, const char *method, struct pb_spool *spool, struct pb_buf *front, struct pb_error *err)
{
	struct pb_subject about = { .id = pb_strz(pb_item_id(p->item)), .envelope = pb_item_envelope(p->item), .body = pb_item_body(p->item), .changed = spool };
	json_t *params = json_pack("{s:s%, s:s%}", "domain", p->list->domain.ptr, p->list->domain.len, "front", front->len ? front->ptr : "", front->len), *found = NULL;
	int rc = params ? pb_call_about(p->all->host, &about, method, params, &found, err) : pb_fail(err, PB_EINVALID, "the header is no UTF-8");
	PB_AUTOBUF(all);

	if (!rc) {
		pb_buf_addstr(&all, pb_text_of(found, "headers"));
		pb_buf_addstr(&all, pb_buf_str(front));
		pb_buf_reset(front);
		pb_buf_addstr(front, pb_buf_str(&all));
	}
	json_decref(params);
	json_decref(found);
	return rc == PB_ENOTFOUND || rc == PB_EUNAVAILABLE ? 0 : rc;	/* no key, or nobody who signs: it goes as it is */
}

static struct pb_spool *spool_of(struct post *p, struct pb_str front, struct pb_str message, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(p->all->host, 0, err);

	if (!spool)
		return NULL;
	pb_spool_write(spool, front.ptr, front.len);
	pb_spool_write(spool, message.ptr, message.len);
	if (pb_spool_check(spool, err)) {
		pb_spool_discard(spool);
		return NULL;
	}
	return spool;
}

/* The message in a spool, with signature and seal in front. */
static int finish(struct post *p, struct pb_str message, struct pb_spool **ret, struct pb_error *err)
{
	PB_AUTOBUF(front);
	int rc = 0;

	*ret = spool_of(p, PB_NOSTR, message, err);
	if (!*ret)
		return err ? err->code : PB_EUNAVAILABLE;
	if (!setting_flag(p->list->settings, "sign"))
		return 0;
	rc = ask_signer(p, "dkim.sign", *ret, &front, err);
	if (!rc)
		rc = ask_signer(p, "arc.seal", *ret, &front, err);
	if (rc || front.len) {
		pb_spool_discard(*ret);
		*ret = rc ? NULL : spool_of(p, pb_buf_str(&front), message, err);
	}
	return rc ? rc : *ret ? 0 : err ? err->code : PB_EUNAVAILABLE;
}

/* ---- envelopes ---- */

/* From the list, bulk, and past the server's filters, which the post has met. */
static struct pb_envelope *envelope_of(struct post *p)
{
	const struct pb_envelope *was = pb_item_envelope(p->item);
	struct pb_envelope *env = pb_envelope_new();

	env->eightbit = was->eightbit;
	env->smtputf8 = was->smtputf8;
	env->requiretls = was->requiretls;
	env->priority = PRIORITY_BULK;
	json_object_set_new(env->notes, "list", json_stringn(p->list->address.ptr, p->list->address.len));
	json_object_set_new(env->notes, "hops", json_integer((json_int_t)number_of(was->notes, "hops") + 1));
	json_object_set_new(env->notes, "filtered", json_true());
	json_object_set_new(env->notes, "footer", json_true());
	campaign_mark(p, env);
	return env;
}

static bool uses_verp(const struct post *p)
{
	int64_t every = setting_number(p->list->settings, "verp");

	return every == 1 || (every && number_of(pb_item_envelope(p->item)->notes, "list_count") % every == 0);
}

/* ---- one message for all ---- */

/* Recipients of a domain side by side: the queue keeps them in rows of so many, and each row goes to each of its domains by itself. */
static int by_domain(const void *a, const void *b)
{
	const struct reader *r = a, *other = b;
	int order = pb_str_icmp(r->domain, other->domain);

	return order ? order : pb_str_cmp(r->key, other->key);
}

static void sort_by_domain(struct audience *a)
{
	struct pb_str local;

	for (size_t i = 0; i < a->n; i++)
		pb_address_split(a->readers[i].address, &local, &a->readers[i].domain);
	qsort(a->readers, a->n, sizeof *a->readers, by_domain);
}

static int send_to_all(struct post *p, struct audience *a, struct pb_error *err)
{
	struct pb_envelope *env;
	struct pb_spool *spool;
	PB_AUTOBUF(message);
	PB_AUTOBUF(bounces);
	PB_AUTOBUF(token);
	int rc = post_transform(p, &message, NULL, err);

	if (!rc)
		rc = campaign_bounces(p, &bounces, err);
	if (!rc)
		rc = finish(p, pb_buf_str(&message), &spool, err);
	if (rc)
		return rc;
	pb_buf_addf(&token, "list/%.*s/%s", PB_FMT(p->list->id), pb_item_id(p->item));
	pb_spool_name(spool, pb_buf_str(&token));
	env = envelope_of(p);
	pb_envelope_sender(env, pb_buf_str(&bounces));
	if (uses_verp(p))
		json_object_set_new(env->notes, "verp", json_true());
	sort_by_domain(a);
	for (size_t i = 0; i < a->n; i++)
		pb_envelope_rcpt(env, a->readers[i].address)->notify = campaign_notify(p);
	pb_item_note(p->item, "list.posted", "%.*s: to %zu members as %s", PB_FMT(p->list->address), a->n, pb_spool_id(spool));
	pb_log(p->all->host, PB_INFO, "list.posted", "id=%s list=%.*s members=%zu as=%s", pb_item_id(p->item), PB_FMT(p->list->address), a->n, pb_spool_id(spool));
	rc = pb_item_inject(p->item, env, spool, err);
	pb_envelope_free(env);
	return rc;
}

/* ---- one message each ---- */

static int send_part(struct post *p, const struct audience *a, size_t from, struct pb_error *err)
{
	struct pb_envelope *env = pb_envelope_dup(pb_item_envelope(p->item), false);
	size_t end = from + PART_READERS;
	json_t *part = json_pack("{s:s%, s:s}", "from", a->readers[from].key.ptr, a->readers[from].key.len, "post", pb_item_id(p->item));
	PB_AUTOBUF(door);
	int rc;

	if (end < a->n)
		json_object_set_new(part, "to", json_stringn(a->readers[end].key.ptr, a->readers[end].key.len));
	json_object_set_new(env->notes, "list_part", part);
	json_object_set_new(env->notes, "filtered", json_true());
	env->priority = PRIORITY_BULK;
	list_door(&door, p->list, "part");
	pb_envelope_rcpt(env, pb_buf_str(&door))->notify = PB_NOTIFY_NEVER;
	rc = pb_item_redirect(p->item, env, err);
	pb_envelope_free(env);
	return rc;
}

static int send_in_parts(struct post *p, const struct audience *a, struct pb_error *err)
{
	int rc = 0;

	for (size_t from = 0; from < a->n && !rc; from += PART_READERS)
		rc = send_part(p, a, from, err);
	pb_item_note(p->item, "list.posted", "%.*s: one message each to %zu members", PB_FMT(p->list->address), a->n);
	pb_log(p->all->host, PB_INFO, "list.posted", "id=%s list=%.*s members=%zu", pb_item_id(p->item), PB_FMT(p->list->address), a->n);
	return rc;
}

static json_t *personal_of(struct post *p, const struct reader *r)
{
	json_t *o = json_object();
	PB_AUTOBUF(url);

	set_text(o, "address", r->address);
	set_text(o, "name", r->name);
	json_object_set_new(o, "delivery", json_string(delivery_names[r->delivery]));
	if (!one_click_url(p->all, p->list, r->key, &url, NULL) && url.len)
		set_text(o, "unsubscribe_url", pb_buf_str(&url));
	return o;
}

static int send_one(struct post *p, const struct reader *r, struct pb_error *err)
{
	json_t *personal = personal_of(p, r);
	struct pb_envelope *env;
	struct pb_spool *spool;
	PB_AUTOBUF(message);
	PB_AUTOBUF(bounces);
	PB_AUTOBUF(sender);
	PB_AUTOBUF(token);
	int rc = post_transform(p, &message, personal, err);

	json_decref(personal);
	if (!rc)
		rc = campaign_bounces(p, &bounces, err);
	if (!rc)
		rc = finish(p, pb_buf_str(&message), &spool, err);
	if (rc)
		return rc;
	pb_buf_addf(&token, "list/%.*s/%s/%.*s", PB_FMT(p->list->id), pb_item_id(p->item), PB_FMT(r->key));
	pb_spool_name(spool, pb_buf_str(&token));
	env = envelope_of(p);
	if (!uses_verp(p) || pb_verp_make(&sender, pb_buf_str(&bounces), r->address, NULL))
		pb_envelope_sender(env, pb_buf_str(&bounces));
	else
		pb_envelope_sender(env, pb_buf_str(&sender));
	pb_envelope_rcpt(env, r->address)->notify = campaign_notify(p);
	rc = pb_item_inject(p->item, env, spool, err);
	pb_envelope_free(env);
	return rc;
}

int post_distribute_part(struct post *p, struct pb_error *err)
{
	json_t *part = json_object_get(pb_item_envelope(p->item)->notes, "list_part");
	struct audience a = { 0 };
	int rc;

	if (!part) {	/* from outside: nobody who writes here needs an answer */
		pb_dropped(p->to, "no part of a post");
		return 0;
	}
	rc = post_read(p, err);
	if (!rc)
		rc = audience_gather(p, pb_text_of(part, "from"), pb_text_of(part, "to"), &a, err);
	for (size_t i = 0; i < a.n && !rc; i++)
		rc = send_one(p, &a.readers[i], err);
	pb_count(p->all->host, "copies", (int64_t)a.n);
	audience_end(&a);
	post_end(p);
	if (!rc)
		pb_dropped(p->to, "sent to its part of the members");
	return rc;
}

static int keep_for_digest(struct post *p, struct pb_error *err)
{
	PB_AUTOBUF(message);
	int rc = post_transform(p, &message, NULL, err);

	return rc ? rc : digest_keep(p, pb_buf_str(&message), err);
}

/* ---- */

/* He asked to be told. */
static int acknowledge(struct post *p, struct pb_error *err)
{
	struct pb_str value = PB_NOSTR, id = PB_NOSTR;
	PB_AUTOBUF(title);
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);

	if (!p->member || !flag_of(p->member, "ack"))
		return 0;
	if (pb_header_find(p->header, PB_STR("Subject"), &value))
		pb_words_decode(&title, pb_str_head(value, 1000));
	pb_header_find(p->header, PB_STR("Message-ID"), &id);
	pb_buf_addf(&subject, "Your post to %.*s went out", PB_FMT(p->list->address));
	pb_buf_addf(&text, "Your post\n\n  %.*s\n\nwent to the members of %.*s.\n", PB_FMT(pb_buf_str(&title)), PB_FMT(p->list->address));
	return letter_send(p->all, p->list, p->item,
			   &(struct note_letter){ .to = pb_text_of(p->member, "address"), .door = "owner", .subject = pb_buf_str(&subject), .text = pb_buf_str(&text),
						  .references = pb_str_head(pb_str_trim(id), 500), .submitted = "auto-replied", .name = pb_strz(pb_item_id(p->item)) },
			   err);
}

int post_distribute(struct post *p, struct pb_error *err)
{
	bool personal = setting_flag(p->list->settings, "personal");
	struct audience a;
	int rc = audience_gather(p, PB_NOSTR, PB_NOSTR, &a, err);

	if (!rc)
		rc = post_number(p, err);
	if (!rc && a.digests && setting_flag(p->list->settings, "digest"))
		rc = keep_for_digest(p, err);
	if (!rc)
		rc = archive_keep(p, err);
	if (!rc && a.n)
		rc = campaign_begin(p, a.n, err);
	if (!rc && a.n)
		rc = personal ? send_in_parts(p, &a, err) : send_to_all(p, &a, err);
	if (!rc)
		rc = acknowledge(p, err);
	if (!rc) {
		pb_delivered(p->to, PB_NOSTR, "250 2.1.5 The list has taken the post");
		pb_count(p->all->host, "posts", 1);
		pb_count(p->all->host, "copies", personal ? 0 : (int64_t)a.n);
	}
	audience_end(&a);
	return rc;
}
