/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Administration that shows: lists, single messages, counts. Finding is admin_find.c's. */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/clock/clock.h"
#include "kernel/queue/admin.h"

enum { LIST_LIMIT = 100, LIST_MAX = 10000, LIST_RCPTS = 20 };

static const char *state_name(struct queue *q, const struct found *f)
{
	const char *name;
	struct entry *e;

	if (f->state != STATE_ACTIVE)
		return f->state == STATE_HELD ? "held" : "dead";
	pthread_mutex_lock(&q->lock);
	e = entry_find(q, f->id, f->sub);
	name = e && e->place == LEASED ? "leased" : e || f->due <= clock_now(q->kernel->clock) ? "ready" : "deferred";
	pthread_mutex_unlock(&q->lock);
	return name;
}

/* JSON takes UTF-8 alone. */
static json_t *text(struct pb_str s)
{
	json_t *v = json_stringn(s.len ? s.ptr : "", s.len);
	char *plain;

	if (v)
		return v;
	plain = pb_str_dup(s);
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)plain[i] > 126)
			plain[i] = '?';
	v = json_stringn(plain, s.len);
	free(plain);
	return v;
}

static json_t *head_json(struct queue *q, const struct found *f, const struct row *row)
{
	static const char *const kinds[] = { "message", "failure", "delay", "success" };
	char item[20];
	json_t *o = json_object();

	snprintf(item, sizeof item, "%016llx", (unsigned long long)f->sub);
	json_object_set_new(o, "id", json_string(f->id));
	json_object_set_new(o, "item", json_string(item));
	json_object_set_new(o, "lane", json_string(f->lane->name));
	json_object_set_new(o, "kind", json_string(kinds[row->kind]));
	json_object_set_new(o, "state", json_string(state_name(q, f)));
	json_object_set_new(o, "due", json_integer(f->due));
	json_object_set_new(o, "received", json_integer(row->env.received));
	json_object_set_new(o, "destination", text(pb_strz(row->destination)));
	json_object_set_new(o, "sender", text(row->env.sender));
	json_object_set_new(o, "size", json_integer((json_int_t)row->body.size));
	json_object_set_new(o, "attempts", json_integer(row->attempts));
	json_object_set_new(o, "errors", json_integer(row->errors));
	return o;
}

/* A row that cannot be read is shown as far as its key goes. */
static json_t *damaged_json(struct queue *q, const struct found *f, const struct pb_error *why)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:s}", "id", f->id, "lane", f->lane->name, "state", state_name(q, f), "due", (json_int_t)f->due, "reason", why->text);
}

/* Without a daemon no plugin is attached, and nobody knows who will be. */
static bool is_unserved(struct queue *q, const struct lane *lane)
{
	bool is;

	pthread_mutex_lock(&q->lock);
	is = !lane->consumer && q->consumers;
	pthread_mutex_unlock(&q->lock);
	return is;
}

/* It waits for a plugin, whatever its last attempt met. */
static void say_unserved(struct queue *q, const struct found *f, json_t *item)
{
	if (f->state == STATE_ACTIVE && is_unserved(q, f->lane))
		json_object_set_new(item, "reason", json_string(LANE_UNSERVED));
}

static json_t *list_json(struct queue *q, const struct found *f)
{
	struct pb_error err = { 0 };
	struct rcpt_state to;
	struct row row;
	json_t *o, *list = json_array();
	struct pb_str reason = PB_NOSTR;

	if (item_decode(&row, f->value, &err)) {
		json_decref(list);
		return damaged_json(q, f, &err);
	}
	o = head_json(q, f, &row);
	json_object_set_new(o, "nrecipients", json_integer((json_int_t)row.nrcpts));
	for (size_t i = 0; i < row.nrcpts && i < LIST_RCPTS && row_rcpt_get(&row, &to, NULL) == 0; i++) {
		json_array_append_new(list, text(to.rcpt.address));
		reason = reason.len ? reason : to.reason;
	}
	json_object_set_new(o, "recipients", list);
	json_object_set_new(o, "reason", text(reason));
	say_unserved(q, f, o);
	row_free(&row);
	return o;
}

static json_t *rcpt_json(const struct rcpt_state *to)
{
	json_t *o = json_object();

	json_object_set_new(o, "address", text(to->rcpt.address));
	json_object_set_new(o, "target", text(to->rcpt.target));
	json_object_set_new(o, "attempts", json_integer(to->attempts));
	json_object_set_new(o, "due", json_integer(to->due));
	json_object_set_new(o, "tried", json_integer(to->tried));
	json_object_set_new(o, "remote", text(to->remote));
	json_object_set_new(o, "reason", text(to->reason));
	return o;
}

struct showing {
	struct queue *q;
	json_t *items;
};

static int show_one(void *arg, const struct found *f)
{
	struct showing *s = arg;
	struct pb_error err = { 0 };
	json_t *o, *list;
	struct rcpt_state to;
	struct row row;

	if (item_decode(&row, f->value, &err)) {
		json_array_append_new(s->items, damaged_json(s->q, f, &err));
		return 0;
	}
	o = head_json(s->q, f, &row);
	json_object_set_new(o, "client", text(row.env.client));
	json_object_set_new(o, "helo", text(row.env.helo));
	json_object_set_new(o, "user", text(row.env.user));
	json_object_set_new(o, "notes", json_incref(row.env.notes));
	list = json_array();
	for (size_t i = 0; i < row.nrcpts && row_rcpt_get(&row, &to, NULL) == 0; i++)
		json_array_append_new(list, rcpt_json(&to));
	json_object_set_new(o, "recipients", list);
	say_unserved(s->q, f, o);
	json_array_append_new(s->items, o);
	row_free(&row);
	return 0;
}

int queue_show(struct queue *q, const char *id, json_t **ret, struct pb_error *err)
{
	struct showing s = { .q = q };
	int rc;

	if (!queue_id_valid(pb_strz(id)))
		return pb_fail(err, PB_EINVALID, "'%.64s' is no queue id", id ? id : "");
	s.items = json_array();
	rc = found_by_id(q, id, show_one, &s, err);
	if (!rc && json_array_size(s.items) == 0)
		rc = pb_fail(err, PB_ENOTFOUND, "nothing of '%s' is queued", id);
	if (rc) {
		json_decref(s.items);
		return rc;
	}
	*ret = json_pack("{s:s, s:o}", "id", id, "items", s.items);
	return 0;
}

/* ---- listing ---- */

struct listing {
	struct queue *q;
	struct pb_str state;
	size_t limit;
	json_t *items;
	struct pb_buf after;		/* the last one that was listed */
};

static int list_one(void *arg, const struct found *f)
{
	struct listing *l = arg;
	struct key key;

	if (l->state.len && !pb_str_eq(l->state, pb_strz(state_name(l->q, f))))
		return 0;
	json_array_append_new(l->items, list_json(l->q, f));
	if (json_array_size(l->items) < l->limit)
		return 0;
	key_row(&key, f->state, pb_str(f->lane->name, f->lane->len), f->due, f->id, f->sub);
	pb_buf_addf(&l->after, "%u", f->shard);
	pb_hex_encode(&l->after, key_str(&key));
	return 1;
}

static bool parse_after(struct pb_str after, unsigned *ret_shard, struct key *ret)
{
	static const char digits[] = "0123456789abcdef";

	ret->len = 0;
	if (after.len < 3 || after.len % 2 == 0 || after.len > 2 * KEY_MAX || after.ptr[0] < '0' || after.ptr[0] >= '0' + SHARDS)
		return false;
	*ret_shard = (unsigned)(after.ptr[0] - '0');
	for (size_t i = 1; i < after.len; i += 2) {
		const char *a = strchr(digits, pb_lower(after.ptr[i])), *b = strchr(digits, pb_lower(after.ptr[i + 1]));

		if (!a || !b || !*a || !*b)
			return false;
		ret->bytes[ret->len++] = (char)((a - digits) * 16 + (b - digits));
	}
	return true;
}

int queue_list(struct queue *q, const json_t *params, json_t **ret, struct pb_error *err)
{
	static const enum state states[] = { STATE_ACTIVE, STATE_HELD, STATE_DEAD };
	struct found_filter filter = found_filter(params);
	json_int_t limit = json_integer_value(json_object_get(params, "limit"));
	struct listing l = { .q = q, .state = found_param(params, "state"), .limit = limit > 0 && limit <= LIST_MAX ? (size_t)limit : LIST_LIMIT };
	struct pb_str after = found_param(params, "after");
	struct key key = { .len = 0 };
	unsigned first = 0;
	int rc = 0;

	if (after.len && !parse_after(after, &first, &key))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no cursor of an earlier answer", PB_FMT(pb_str_head(after, 64)));
	rc = found_lane_check(q, filter.lane, err);
	if (rc)
		return rc;
	l.items = json_array();
	for (unsigned s = first; s < SHARDS && !rc; s++)
		for (size_t i = 0; i < 3 && !rc; i++) {
			bool here = s == first && key.len;

			if (here && states[i] < (enum state)key.bytes[0])
				continue;
			rc = found_walk(q, s, states[i], here && states[i] == (enum state)key.bytes[0] ? key_str(&key) : PB_NOSTR, &filter, list_one, &l, err);
		}
	if (rc < 0) {
		json_decref(l.items);
		pb_buf_free(&l.after);
		return rc;
	}
	*ret = json_pack("{s:o}", "items", l.items);
	if (rc > 0)
		json_object_set_new(*ret, "after", json_string(pb_buf_z(&l.after)));
	pb_buf_free(&l.after);
	return 0;
}

/* ---- counting ---- */

static int64_t positive(int64_t n)
{
	return n > 0 ? n : 0;
}

int queue_counts(struct queue *q, json_t **ret, struct pb_error *err)
{
	json_t *lanes = json_array();
	size_t n;

	(void)err;
	pthread_mutex_lock(&q->lock);
	n = q->nlanes;
	pthread_mutex_unlock(&q->lock);
	for (size_t i = 0; i < n; i++) {
		int64_t sum[COUNTS] = { 0 }, leased, here;
		struct lane *lane;

		for (unsigned s = 0; s < SHARDS; s++) {
			pthread_mutex_lock(&q->shards[s].lock);
			for (int c = 0; c < COUNTS && i < q->shards[s].ncounts; c++)
				sum[c] += q->shards[s].counts[i].n[c];
			pthread_mutex_unlock(&q->shards[s].lock);
		}
		pthread_mutex_lock(&q->lock);
		lane = q->lanes[i];
		leased = (int64_t)lane->leased;
		here = (int64_t)lane->deferred_here;
		pthread_mutex_unlock(&q->lock);
		json_array_append_new(lanes, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "lane", lane->name, "ready",
						       (json_int_t)positive(sum[COUNT_FRESH] + here - leased), "deferred",
						       (json_int_t)positive(sum[COUNT_DEFERRED] - here), "held", (json_int_t)positive(sum[COUNT_HELD]), "leased",
						       (json_int_t)leased, "dead", (json_int_t)positive(sum[COUNT_DEAD])));
		if (sum[COUNT_FRESH] + sum[COUNT_DEFERRED] > 0 && is_unserved(q, lane))
			json_object_set_new(json_array_get(lanes, i), "note", json_string(LANE_UNSERVED));
	}
	*ret = json_pack("{s:o}", "lanes", lanes);
	return 0;
}
