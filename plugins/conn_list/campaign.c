/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Results of tracked posts: begun, taken from the queue's reports, removed in time. */
#include <postbus/address.h>
#include <postbus/message.h>
#include "campaign.h"
#include "serve.h"

const char *const result_names[RESULTS] = { "delivered", "relayed", "failed", "delayed" };
static const char letters[] = "drfl";

enum { ROWS_AT_ONCE = 500, PATH_TOKEN = 10 };

enum result result_of(struct pb_str value)
{
	for (enum result r = 0; value.len && r < RESULTS; r++)
		if (value.ptr[0] == letters[r])
			return r;
	return RESULTS;
}

static void key_of(struct pb_buf *key, const struct list *l, struct pb_str post)
{
	pb_buf_addstr(key, l->id);
	pb_buf_addc(key, '\0');
	pb_buf_addstr(key, post);
}

/* ---- a post ---- */

struct pb_str campaign_id(const struct post *p)
{
	struct pb_str whole = pb_text_of(json_object_get(pb_item_envelope(p->item)->notes, "list_part"), "post");

	return whole.len ? whole : pb_strz(pb_item_id(p->item));
}

/* What its return paths say of it: nobody who did not get it knows it, so nobody else can say what became of it. */
static int token_of(struct lists *all, const struct list *l, struct pb_str post, struct pb_buf *token, struct pb_error *err)
{
	const struct pb_str words[] = { PB_STR("campaign"), l->id, post };
	int rc = token_make(all, words, sizeof words / sizeof *words, token, err);

	if (!rc)
		token->ptr[token->len = PATH_TOKEN] = '\0';
	return rc;
}

static void path_key(struct pb_buf *key, const struct list *l, struct pb_str token)
{
	pb_buf_addstr(key, l->id);
	pb_buf_addz(key, CAMPAIGN_PATHS);
	for (size_t i = 0; i < token.len; i++)
		pb_buf_addc(key, (char)pb_lower((unsigned char)token.ptr[i]));
}

int campaign_bounces(const struct post *p, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(token);
	PB_AUTOBUF(door);
	int rc = setting_flag(p->list->settings, "track") ? token_of(p->all, p->list, campaign_id(p), &token, err) : 0;

	if (rc)
		return rc;
	pb_buf_addz(&door, "bounces");
	if (token.len && p->list->local.len + door.len + 2 + token.len <= PB_LOCAL_MAX)
		pb_buf_addf(&door, "+%s", pb_buf_z(&token));
	list_door(out, p->list, pb_buf_z(&door));
	return 0;
}

int campaign_begin(struct post *p, size_t recipients, struct pb_error *err)
{
	int64_t now = pb_now(p->all->host);
	struct pb_str value = PB_NOSTR;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(key);
	PB_AUTOBUF(token);
	PB_AUTOBUF(path);
	json_t *row;
	char *text;
	int rc;

	if (!setting_flag(p->list->settings, "track"))
		return 0;
	rc = token_of(p->all, p->list, campaign_id(p), &token, err);
	if (rc)
		return rc;
	if (pb_header_find(p->header, PB_STR("Subject"), &value))
		pb_words_decode(&subject, pb_str_head(value, 1000));
	row = json_pack("{s:I, s:I, s:I}", "at", (json_int_t)now, "until", (json_int_t)(now + setting_number(p->list->settings, "track_keep") * PB_SECOND), "recipients",
			(json_int_t)recipients);
	set_text(row, "subject", pb_buf_str(&subject));
	set_text(row, "post", campaign_id(p));
	text = json_dumps(row, JSON_COMPACT);
	json_decref(row);
	key_of(&key, p->list, campaign_id(p));
	path_key(&path, p->list, pb_buf_str(&token));
	rc = pb_table_apply(p->all->campaigns,
			    (struct pb_change[]){ { PB_PUT, pb_buf_str(&key), pb_strz(text) }, { PB_PUT, pb_buf_str(&path), pb_strz(text) } }, 2, err);
	free(text);
	return rc;
}

void campaign_mark(const struct post *p, struct pb_envelope *env)
{
	struct pb_str id = campaign_id(p);

	if (!setting_flag(p->list->settings, "track"))
		return;
	json_object_set_new(env->notes, "track", json_true());
	json_object_set_new(env->notes, "list_post", json_stringn(id.ptr, id.len));
}

unsigned campaign_notify(const struct post *p)
{
	return setting_flag(p->list->settings, "track") ? PB_NOTIFY_SUCCESS | PB_NOTIFY_FAILURE | PB_NOTIFY_DELAY : 0;
}

/* ---- a report ---- */

static enum result kind_of(const struct pb_question *q)
{
	struct pb_str kind = pb_text_of(q->facts, "kind");
	enum result r = 0;

	while (r < RESULTS && !pb_str_eq(kind, pb_strz(result_names[r])))
		r++;
	return r;
}

static void write_row(struct pb_buf *value, enum result r, const json_t *one, int64_t now)
{
	json_t *row = json_object();
	char *text;

	set_text(row, "address", pb_text_of(one, "address"));
	set_text(row, "reason", pb_str_head(pb_text_of(one, "reason"), 500));
	set_text(row, "remote", pb_str_head(pb_text_of(one, "remote"), 300));
	json_object_set_new(row, "at", json_integer((json_int_t)now));
	text = json_dumps(row, JSON_COMPACT);
	pb_buf_addc(value, letters[r]);
	pb_buf_addz(value, text);
	free(text);
	json_decref(row);
}

struct writing {
	struct pb_change changes[ROWS_AT_ONCE];
	struct pb_buf keys[ROWS_AT_ONCE], values[ROWS_AT_ONCE];
	size_t n;
};

static void forget(struct writing *w)
{
	for (size_t i = 0; i < w->n; i++) {
		pb_buf_free(&w->keys[i]);
		pb_buf_free(&w->values[i]);
	}
	w->n = 0;
}

static int flush(struct lists *all, struct writing *w, struct pb_error *err)
{
	int rc = w->n ? pb_table_apply(all->results, w->changes, w->n, err) : 0;

	forget(w);
	return rc;
}

/* What is known for good is not followed by a delay; and a bounce may be here before the queue says that the other server took it. */
static bool is_news(struct lists *all, struct pb_str key, enum result r)
{
	PB_AUTOBUF(value);
	enum result known = pb_table_get(all->results, key, &value, NULL) ? RESULT_DELAYED : result_of(pb_buf_str(&value));

	return r == RESULT_FAILED || known == RESULT_DELAYED || (r != RESULT_DELAYED && known != RESULT_FAILED);
}

static int take_all(struct lists *all, struct pb_str front, const json_t *recipients, enum result r, struct pb_error *err)
{
	struct writing *w = pb_alloc(sizeof *w);
	int64_t now = pb_now(all->host);
	const json_t *one;
	size_t i;
	int rc = 0;

	json_array_foreach ((json_t *)recipients, i, one) {
		struct pb_buf *key = &w->keys[w->n], *value = &w->values[w->n];

		pb_buf_addstr(key, front);
		pb_buf_addc(key, '\0');
		if (pb_address_key(key, pb_text_of(one, "address"), NULL) || !is_news(all, pb_buf_str(key), r)) {
			pb_buf_free(key);
			continue;
		}
		write_row(value, r, one, now);
		w->changes[w->n] = (struct pb_change){ PB_PUT, pb_buf_str(key), pb_buf_str(value) };
		if (++w->n == ROWS_AT_ONCE && (rc = flush(all, w, err)) != 0)
			break;
	}
	if (!rc)
		rc = flush(all, w, err);
	forget(w);
	free(w);
	return rc;
}

/* Rows without their campaign would be removed by nobody: the two are looked at and written in one go, seen from the tick. */
int campaign_take(struct lists *all, const struct list *l, const struct pb_question *q, struct pb_error *err)
{
	struct pb_str post = pb_text_of(q->envelope->notes, "list_post");
	enum result r = kind_of(q);
	PB_AUTOBUF(front);
	PB_AUTOBUF(value);
	int rc;

	if (!post.len || r == RESULTS)
		return 0;
	key_of(&front, l, post);
	pthread_rwlock_rdlock(&all->tracking);
	rc = pb_table_get(all->campaigns, pb_buf_str(&front), &value, err);
	if (!rc)
		rc = take_all(all, pb_buf_str(&front), json_object_get(q->facts, "recipients"), r, err);
	pthread_rwlock_unlock(&all->tracking);
	return rc == PB_ENOTFOUND ? 0 : rc;
}

/* ---- a bounce ---- */

static int write_bounce(struct lists *all, struct pb_str front, struct pb_str address, bool certain, struct pb_str reason, struct pb_error *err)
{
	json_t *one = json_pack("{s:s%, s:s%}", "address", address.len ? address.ptr : "", address.len, "reason", reason.len ? reason.ptr : "", reason.len);
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);
	PB_AUTOBUF(known);
	int rc = one ? 0 : PB_EINVALID;

	pb_buf_addstr(&key, front);
	pb_buf_addc(&key, '\0');
	if (!rc)
		rc = pb_address_key(&key, address, err);
	if (!rc)
		rc = pb_table_get(all->results, pb_buf_str(&key), &known, err);
	if (!rc || (rc == PB_ENOTFOUND && certain)) {
		write_row(&value, RESULT_FAILED, one, pb_now(all->host));
		rc = pb_table_apply(all->results, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_buf_str(&value) }, 1, err);
	}
	json_decref(one);
	return rc;
}

int campaign_bounced(struct lists *all, const struct list *l, struct pb_str token, struct pb_str address, bool certain, struct pb_str reason, struct pb_error *err)
{
	json_t *row = NULL;
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);
	PB_AUTOBUF(front);
	int rc;

	if (token.len != PATH_TOKEN)
		return 0;
	path_key(&key, l, token);
	pthread_rwlock_rdlock(&all->tracking);
	rc = pb_table_get(all->campaigns, pb_buf_str(&key), &value, err);
	if (!rc) {
		row = json_loadb(value.ptr, value.len, 0, NULL);
		key_of(&front, l, pb_text_of(row, "post"));
		rc = write_bounce(all, pb_buf_str(&front), address, certain, reason, err);
	}
	pthread_rwlock_unlock(&all->tracking);
	json_decref(row);
	return rc == PB_ENOTFOUND || rc == PB_EINVALID ? 0 : rc;
}

/* ---- in the course of time ---- */

struct past {
	int64_t now;
	json_t *keys;
	struct pb_buf next;
	size_t n;
};

static bool is_past(void *arg, struct pb_str key, struct pb_str value)
{
	struct past *p = arg;
	json_t *row = json_loadb(value.ptr, value.len, 0, NULL);

	p->n++;
	if (number_of(row, "until") <= p->now)
		json_array_append_new(p->keys, json_stringn(key.ptr, key.len));
	json_decref(row);
	pb_buf_reset(&p->next);
	pb_buf_addstr(&p->next, key);
	pb_buf_addc(&p->next, '\0');
	return true;
}

/* Its results before itself, so that what is cut off is gone on with. */
static int remove_one(struct lists *all, struct pb_str campaign, struct pb_error *err)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(end);
	int rc;

	pb_buf_addstr(&from, campaign);
	pb_buf_addc(&from, '\0');
	pb_buf_addstr(&end, campaign);
	pb_buf_addc(&end, '\1');
	rc = pb_table_clear(all->results, pb_buf_str(&from), pb_buf_str(&end), err);
	return rc ? rc : pb_table_apply(all->campaigns, &(struct pb_change){ PB_DELETE, campaign, PB_NOSTR }, 1, err);
}

int campaign_tick(struct lists *all, struct pb_error *err)
{
	struct past p = { pb_now(all->host), json_array(), PB_BUF, 0 };
	json_t *one;
	size_t i;
	int rc;

	do {
		p.n = 0;
		rc = pb_table_scan(all->campaigns, pb_buf_str(&p.next), PB_NOSTR, 0, is_past, &p, err);
	} while (!rc && p.n);
	json_array_foreach (p.keys, i, one) {
		if (rc)
			break;
		pthread_rwlock_wrlock(&all->tracking);
		rc = remove_one(all, pb_str(json_string_value(one), json_string_length(one)), err);
		pthread_rwlock_unlock(&all->tracking);
	}
	json_decref(p.keys);
	pb_buf_free(&p.next);
	return rc;
}
