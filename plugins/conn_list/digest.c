/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Posts kept for the next issue, and the issue when it is due. */
#include <postbus/mailbox.h>
#include <postbus/message.h>
#include "digest.h"

#define FOLDER PB_STR("Digest")
enum { POSTS_MAX = 100, PRIORITY_BULK = -5 };

/* ---- the folder ---- */

struct box {
	struct pb_mailbox *mb;
	struct pb_folder *f;
};

static void box_close(struct box *b)
{
	pb_folder_close(b->f);
	pb_mailbox_close(b->mb);
	*b = (struct box){ 0 };
}

int digest_keep(struct post *p, struct pb_str message, struct pb_error *err)
{
	struct pb_spool *spool;
	struct box b;
	int rc = list_folder(p->all, p->list, FOLDER, true, &b.mb, &b.f, err);

	if (rc)
		return rc;
	spool = pb_spool_begin(p->all->host, 0, err);
	if (spool) {
		pb_spool_write(spool, message.ptr, message.len);
		rc = pb_folder_append(b.f, spool, &(struct pb_append){ .token = pb_strz(pb_item_id(p->item)), .over_quota = true }, NULL, NULL, err);
	} else {
		rc = err ? err->code : PB_EUNAVAILABLE;
	}
	box_close(&b);
	return rc;
}

/* ---- the row ---- */

static void row_key(struct pb_buf *key, const struct list *l)
{
	pb_buf_addstr(key, l->id);
	pb_buf_addc(key, '\0');
	pb_buf_addz(key, "digest");
}

static json_t *row_read(struct lists *all, const struct list *l)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);
	json_t *row = NULL;

	row_key(&key, l);
	if (!pb_table_get(all->counts, pb_buf_str(&key), &value, NULL))
		row = json_loadb(value.ptr, value.len, 0, NULL);
	return row ? row : json_object();
}

static int row_write(struct lists *all, const struct list *l, const json_t *row, struct pb_error *err)
{
	char *text = json_dumps(row, JSON_COMPACT);
	PB_AUTOBUF(key);
	int rc;

	row_key(&key, l);
	rc = pb_table_apply(all->counts, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_strz(text) }, 1, err);
	free(text);
	return rc;
}

/* ---- an issue ---- */

static bool add_reader(void *arg, const struct member *m)
{
	struct pb_envelope **envelopes = arg;

	if (!m->stopped && (m->delivery == DELIVERY_MIME || m->delivery == DELIVERY_PLAIN))
		pb_envelope_rcpt(envelopes[m->delivery == DELIVERY_PLAIN], m->address);
	return true;
}

static struct pb_envelope *envelope_of(const struct list *l)
{
	struct pb_envelope *env = pb_envelope_new();
	PB_AUTOBUF(bounces);

	list_door(&bounces, l, "bounces");
	pb_envelope_sender(env, pb_buf_str(&bounces));
	env->priority = PRIORITY_BULK;
	env->eightbit = true;
	set_text(env->notes, "list", l->address);
	json_object_set_new(env->notes, "filtered", json_true());
	json_object_set_new(env->notes, "footer", json_true());
	if (setting_number(l->settings, "verp"))
		json_object_set_new(env->notes, "verp", json_true());
	return env;
}

static int enter(struct lists *all, const struct list *l, const struct issue *issue, bool plain, const struct pb_envelope *env, struct pb_error *err)
{
	struct pb_spool *spool;
	unsigned char random[12];
	char id[PB_ID_MAX];
	PB_AUTOBUF(boundary);
	PB_AUTOBUF(out);
	PB_AUTOBUF(token);

	if (!env->nrcpts)
		return 0;
	if (plain) {
		issue_plain(&out, issue);
	} else {
		pb_random(random, sizeof random);
		pb_buf_addz(&boundary, "digest-");
		pb_hex_encode(&boundary, pb_str((char *)random, sizeof random));
		issue_mime(&out, issue, pb_buf_z(&boundary));
	}
	spool = pb_spool_begin(all->host, 0, err);
	if (!spool)
		return err ? err->code : PB_EUNAVAILABLE;
	pb_buf_addf(&token, "digest/%.*s/%lld/%s", PB_FMT(l->id), (long long)issue->number, plain ? "plain" : "mime");
	pb_spool_name(spool, pb_buf_str(&token));
	pb_spool_write(spool, out.ptr, out.len);
	return pb_queue_accept(all->host, env, spool, id, err);
}

static int enter_both(struct lists *all, const struct list *l, int64_t number, const struct pb_str *posts, size_t n, struct pb_error *err)
{
	struct pb_envelope *envelopes[2] = { envelope_of(l), envelope_of(l) };
	PB_AUTOBUF(owner);
	PB_AUTOBUF(leave);
	PB_AUTOBUF(fields);
	int rc = members_each(all, l, PB_NOSTR, PB_NOSTR, add_reader, envelopes, err);

	list_door(&owner, l, "owner");
	list_door(&leave, l, "unsubscribe");
	post_list_fields(l, NULL, &fields);
	const struct issue issue = { l->address, setting_text(l->settings, "description"), pb_buf_str(&owner), pb_buf_str(&leave), l->domain, number, pb_now(all->host), posts, n,
		pb_buf_str(&fields) };

	for (int plain = 0; plain < 2; plain++) {
		if (!rc)
			rc = enter(all, l, &issue, plain, envelopes[plain], err);
		pb_envelope_free(envelopes[plain]);
	}
	return rc;
}

/* The posts of an issue, up to a UID, and their end. */
static int send_upto(struct lists *all, const struct list *l, struct box *b, struct pb_view *v, json_t *row, size_t *ret_posts, struct pb_error *err)
{
	struct pb_body *bodies[POSTS_MAX];
	struct pb_str posts[POSTS_MAX];
	uint32_t uids[POSTS_MAX];
	size_t n = 0;
	int rc = 0;

	for (uint32_t seq = 1; seq <= pb_view_count(v) && n < POSTS_MAX && pb_view_row(v, seq)->uid <= (uint32_t)number_of(row, "upto"); seq++) {
		uids[n] = pb_view_row(v, seq)->uid;
		if (pb_view_body(v, seq, &bodies[n], NULL))
			continue;	/* damaged: the others are no worse for it */
		if (pb_body_view(bodies[n], &posts[n], NULL))
			pb_body_release(bodies[n]);
		else
			n++;
	}
	if (n)
		rc = enter_both(all, l, number_of(row, "issue"), posts, n, err);
	for (size_t i = 0; i < n; i++)
		pb_body_release(bodies[i]);
	if (!rc && n)
		rc = pb_folder_expunge(b->f, uids, n, false, err);
	if (rc)
		return rc;
	*ret_posts = n;
	json_object_del(row, "sending");
	return row_write(all, l, row, err);
}

static bool is_due(struct lists *all, const struct list *l, struct box *b, struct pb_view *v)
{
	struct pb_folder_status s;
	int64_t every = setting_number(l->settings, "digest_every") * PB_SECOND;

	if (!pb_view_count(v) || pb_folder_status(b->f, &s, NULL))
		return false;
	return s.bytes >= (uint64_t)setting_number(l->settings, "digest_size") || (every && pb_now(all->host) - pb_view_row(v, 1)->date >= every);
}

static int send_box(struct lists *all, const struct list *l, struct box *b, bool now, size_t *ret_posts, struct pb_error *err)
{
	json_t *row = row_read(all, l);
	struct pb_view *v = NULL;
	uint32_t last;
	int rc = pb_folder_view(b->f, &v, err);

	if (!rc && !flag_of(row, "sending") && pb_view_count(v) && (now || is_due(all, l, b, v))) {
		last = pb_view_count(v) < POSTS_MAX ? pb_view_count(v) : POSTS_MAX;
		json_object_set_new(row, "issue", json_integer((json_int_t)number_of(row, "issue") + 1));
		json_object_set_new(row, "upto", json_integer(pb_view_row(v, last)->uid));
		json_object_set_new(row, "sending", json_true());
		rc = row_write(all, l, row, err);
	}
	if (!rc && flag_of(row, "sending"))
		rc = send_upto(all, l, b, v, row, ret_posts, err);
	pb_view_release(v);
	json_decref(row);
	return rc;
}

int digest_send(struct lists *all, const struct list *l, bool now, size_t *ret_posts, struct pb_error *err)
{
	struct box b;
	int rc;

	*ret_posts = 0;
	pthread_mutex_lock(&all->digesting);
	rc = list_folder(all, l, FOLDER, false, &b.mb, &b.f, err);
	if (!rc) {
		rc = send_box(all, l, &b, now, ret_posts, err);
		box_close(&b);
	}
	pthread_mutex_unlock(&all->digesting);
	return rc == PB_ENOTFOUND ? 0 : rc;
}

static bool look_after(void *arg, struct list *l)
{
	struct lists *all = arg;
	struct pb_error err = { 0 };
	size_t n;

	if (setting_flag(l->settings, "digest") && digest_send(all, l, false, &n, &err))
		pb_log(all->host, PB_WARNING, "list.fault", "id=digest list=%.*s error=%s", PB_FMT(l->address), pb_logq(pb_strz(err.text)));
	return true;
}

void digest_tick(struct lists *all)
{
	lists_each(all, PB_NOSTR, look_after, all, NULL);
}

METHOD(list_digest)
{
	struct lists *all = self;
	struct list l;
	size_t n;
	int rc = list_open_for(all, who, pb_text_of(params, "list"), &l, err);

	if (rc)
		return rc;
	rc = digest_send(all, &l, true, &n, err);
	list_close(&l);
	if (!rc)
		*ret_result = json_pack("{s:I}", "posts", (json_int_t)n);
	return rc;
}
