/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows and keys as bytes: versioned, binary, big-endian where they sort. Leaves what they mean to the rest of the queue. */
#include <stdlib.h>
#include "kernel/queue/private.h"
#include "kernel/store/pack.h"

enum { ROW_VERSION = 2, COUNT_BYTES = 4 };
enum { ENV_RET_HEADERS = 1, ENV_EIGHTBIT = 2, ENV_SMTPUTF8 = 4, ENV_REQUIRETLS = 8 };

/* ---- keys ---- */

static void key_add(struct key *k, const void *ptr, size_t len)
{
	if (len > KEY_MAX - (size_t)k->len)
		len = KEY_MAX - (size_t)k->len;
	memcpy(k->bytes + k->len, ptr, len);
	k->len = (uint8_t)(k->len + len);
}

static void key_add64(struct key *k, uint64_t n)
{
	uint64_t big = __builtin_bswap64(n);

	key_add(k, &big, sizeof big);
}

void key_from(struct key *out, enum state state, struct pb_str lane, int64_t due)
{
	out->len = 1;
	out->bytes[0] = (char)state;
	key_add(out, lane.ptr, lane.len);
	key_add(out, "", 1);
	key_add64(out, due > 0 ? (uint64_t)due : 0);
}

void key_row(struct key *out, enum state state, struct pb_str lane, int64_t due, const char *id, uint64_t sub)
{
	key_from(out, state, lane, due);
	key_add(out, id, strlen(id) + 1);
	key_add64(out, sub);
}

void key_index(struct key *out, const char *id, uint64_t sub)
{
	out->len = 1;
	out->bytes[0] = 'm';
	key_add(out, id, strlen(id) + 1);
	key_add64(out, sub);
}

static uint64_t get64(const char *ptr)
{
	uint64_t big;

	memcpy(&big, ptr, sizeof big);
	return __builtin_bswap64(big);
}

bool key_parse(struct pb_str key, enum state *state, struct pb_str *lane, int64_t *due, char *id, uint64_t *sub)
{
	long end = pb_str_find(key, '\0', 1);
	struct pb_str rest;
	size_t idlen;

	if (end < 0 || (key.ptr[0] != STATE_ACTIVE && key.ptr[0] != STATE_HELD && key.ptr[0] != STATE_DEAD))
		return false;
	rest = pb_str_skip(key, (size_t)end + 1);
	if (rest.len < 8 + 1 + 1 + 8 || rest.len > 8 + PB_ID_MAX + 8)
		return false;
	idlen = rest.len - 8 - 1 - 8;
	if (rest.ptr[8 + idlen] != '\0')
		return false;
	*state = (enum state)key.ptr[0];
	*lane = pb_str(key.ptr + 1, (size_t)end - 1);
	*due = (int64_t)get64(rest.ptr);
	memcpy(id, rest.ptr + 8, idlen + 1);
	*sub = get64(rest.ptr + 8 + idlen + 1);
	return true;
}

/* ---- writing ---- */

static void put_number(struct pb_buf *out, uint64_t n)
{
	char bytes[10];
	size_t len = 0;

	do
		bytes[len++] = (char)((n & 127) | (n > 127 ? 128 : 0));
	while (n >>= 7);
	pb_buf_add(out, bytes, len);
}

static void put_str(struct pb_buf *out, struct pb_str s)
{
	put_number(out, s.len);
	pb_buf_addstr(out, s);
}

/* Zigzag, so that small negative numbers stay short. */
static void put_signed(struct pb_buf *out, int64_t n)
{
	put_number(out, (uint64_t)n << 1 ^ (uint64_t)(n >> 63));
}

static void put_notes(struct pb_buf *out, const json_t *notes)
{
	char *text = json_object_size(notes) ? json_dumps(notes, JSON_COMPACT) : NULL;

	put_str(out, pb_strz(text));
	free(text);
}

void row_begin(struct pb_buf *out, const struct row *head, const struct pb_envelope *env)
{
	unsigned flags = (env->ret_headers ? ENV_RET_HEADERS : 0) | (env->eightbit ? ENV_EIGHTBIT : 0) | (env->smtputf8 ? ENV_SMTPUTF8 : 0) |
			 (env->requiretls ? ENV_REQUIRETLS : 0);
	char id[ID_PACKED_MAX];

	pb_buf_reset(out);
	pb_buf_reserve(out, 400 + head->destination_len + env->sender.len);
	pb_buf_addc(out, ROW_VERSION);
	pb_buf_add(out, "\0\0\0", COUNT_BYTES);
	put_str(out, pb_str(head->destination, head->destination_len));
	pb_buf_addc(out, '\0');
	pb_buf_addc(out, (char)head->kind);
	pb_buf_add(out, id, (size_t)(pack_id(id, &head->body) - id));
	put_number(out, head->attempts);
	put_number(out, head->errors);
	put_number(out, flags);
	put_signed(out, env->priority);
	put_signed(out, env->received);
	put_str(out, env->sender);
	put_str(out, env->envid);
	put_str(out, env->client);
	put_str(out, env->helo);
	put_str(out, env->user);
	put_str(out, env->mailbox);
	put_notes(out, env->notes);
}

enum { RCPT_NOTICED = 1, RCPT_TRIED = 2 };

void row_rcpt_put(struct pb_buf *out, const struct rcpt_state *to)
{
	bool tried = to->due || to->tried || to->attempts || to->reason.len || to->remote.len;

	pb_buf_addc(out, (char)((to->noticed ? RCPT_NOTICED : 0) | (tried ? RCPT_TRIED : 0)));
	put_str(out, to->rcpt.address);
	put_str(out, to->rcpt.orcpt);
	put_number(out, to->rcpt.notify);
	put_str(out, to->rcpt.target);
	if (!tried)
		return;
	put_signed(out, to->due);
	put_signed(out, to->tried);
	put_number(out, to->attempts);
	put_str(out, to->reason);
	put_str(out, to->remote);
}

void row_turn_now(struct rcpt_state *to)
{
	if (to->due && to->attempts)
		to->attempts--;
	to->due = 0;
}

void row_end(struct pb_buf *out, size_t nrcpts)
{
	uint32_t n = (uint32_t)nrcpts;

	memcpy(out->ptr + 1, &n, COUNT_BYTES);
}

/* ---- reading: nothing is taken for granted, a damaged row gives PB_ECORRUPT ---- */

static bool get_number(struct pb_str *in, uint64_t *ret)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < in->len && i < 10; i++) {
		unsigned char c = (unsigned char)in->ptr[i];

		n |= (uint64_t)(c & 127) << (7 * i);
		if (!(c & 128)) {
			*in = pb_str_skip(*in, i + 1);
			*ret = n;
			return true;
		}
	}
	return false;
}

static bool get_unsigned(struct pb_str *in, unsigned *ret)
{
	uint64_t n;

	if (!get_number(in, &n) || n > UINT32_MAX)
		return false;
	*ret = (unsigned)n;
	return true;
}

static bool get_signed(struct pb_str *in, int64_t *ret)
{
	uint64_t n;

	if (!get_number(in, &n))
		return false;
	*ret = (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
	return true;
}

static bool get_str(struct pb_str *in, struct pb_str *ret)
{
	uint64_t n;

	if (!get_number(in, &n) || n > in->len)
		return false;
	*ret = pb_str(in->ptr, (size_t)n);
	*in = pb_str_skip(*in, (size_t)n);
	return true;
}

static bool get_notes(struct pb_str *in, json_t **ret)
{
	struct pb_str text;

	if (!get_str(in, &text))
		return false;
	*ret = text.len ? json_loadb(text.ptr, text.len, 0, NULL) : json_object();
	return *ret != NULL;
}

/* Version and count, then the destination; gives what follows. */
static bool open_row(struct pb_str bytes, uint32_t *ret_n, struct pb_str *ret_destination, struct pb_str *rest)
{
	if (bytes.len < 1 + COUNT_BYTES || bytes.ptr[0] != ROW_VERSION)
		return false;
	memcpy(ret_n, bytes.ptr + 1, COUNT_BYTES);
	*rest = pb_str_skip(bytes, 1 + COUNT_BYTES);
	if (!get_str(rest, ret_destination) || rest->len == 0 || rest->ptr[0] != '\0')
		return false;
	*rest = pb_str_skip(*rest, 1);
	return true;
}

struct pb_str row_destination(struct pb_str bytes)
{
	struct pb_str destination, rest;
	uint32_t n;

	return open_row(bytes, &n, &destination, &rest) ? destination : PB_NOSTR;
}

static bool get_head(struct row *r, struct pb_str *in)
{
	if (!in->len || (unsigned char)in->ptr[0] > PB_ITEM_SUCCESS)
		return false;
	r->kind = (enum pb_item_kind)in->ptr[0];
	*in = pb_str_skip(*in, 1);
	return unpack_id(in, &r->body) && get_unsigned(in, &r->attempts) && get_unsigned(in, &r->errors);
}

bool row_is_bulk(struct pb_str bytes)
{
	struct pb_str destination, rest;
	struct row head;
	unsigned flags;
	int64_t priority;
	uint32_t n;

	return open_row(bytes, &n, &destination, &rest) && get_head(&head, &rest) && get_unsigned(&rest, &flags) && get_signed(&rest, &priority) && priority < 0;
}

static bool get_envelope(struct pb_envelope *env, struct pb_str *in)
{
	unsigned flags;
	int64_t priority;

	if (!get_unsigned(in, &flags) || !get_signed(in, &priority) || !get_signed(in, &env->received) || !get_str(in, &env->sender) ||
	    !get_str(in, &env->envid) || !get_str(in, &env->client) || !get_str(in, &env->helo) || !get_str(in, &env->user) ||
	    !get_str(in, &env->mailbox) || !get_notes(in, &env->notes))
		return false;
	env->ret_headers = flags & ENV_RET_HEADERS;
	env->eightbit = flags & ENV_EIGHTBIT;
	env->smtputf8 = flags & ENV_SMTPUTF8;
	env->requiretls = flags & ENV_REQUIRETLS;
	env->priority = (int)priority;
	return true;
}

int item_decode(struct row *ret, struct pb_str bytes, struct pb_error *err)
{
	struct row r = { .kind = PB_ITEM_MESSAGE };
	struct pb_str destination, in;
	uint32_t n;

	if (!open_row(bytes, &n, &destination, &in))
		return bytes.len && bytes.ptr[0] > ROW_VERSION ? pb_fail(err, PB_ECORRUPT, "queue row of version %d: written by a newer release", bytes.ptr[0])
							       : pb_fail(err, PB_ECORRUPT, "queue row is damaged");
	if (!get_head(&r, &in) || !get_envelope(&r.env, &in)) {
		row_free(&r);
		return pb_fail(err, PB_ECORRUPT, "queue row is damaged");
	}
	if (n > in.len / 5) {		/* a recipient takes five bytes at least */
		row_free(&r);
		return pb_fail(err, PB_ECORRUPT, "queue row names %u recipients and has no room for them", (unsigned)n);
	}
	r.destination = destination.ptr;
	r.destination_len = destination.len;
	r.nrcpts = n;
	r.rest = in;
	*ret = r;
	return 0;
}

int row_rcpt_get(struct row *row, struct rcpt_state *ret, struct pb_error *err)
{
	struct rcpt_state to = { .due = 0 };
	struct pb_str in = row->rest;
	unsigned char flags;

	if (in.len == 0)
		return pb_fail(err, PB_ECORRUPT, "queue row ends early");
	flags = (unsigned char)in.ptr[0];
	in = pb_str_skip(in, 1);
	to.noticed = flags & RCPT_NOTICED;
	if (!get_str(&in, &to.rcpt.address) || !get_str(&in, &to.rcpt.orcpt) || !get_unsigned(&in, &to.rcpt.notify) || !get_str(&in, &to.rcpt.target))
		return pb_fail(err, PB_ECORRUPT, "queue row: a recipient is damaged");
	if ((flags & RCPT_TRIED) && (!get_signed(&in, &to.due) || !get_signed(&in, &to.tried) || !get_unsigned(&in, &to.attempts) ||
				     !get_str(&in, &to.reason) || !get_str(&in, &to.remote)))
		return pb_fail(err, PB_ECORRUPT, "queue row: a recipient's history is damaged");
	row->rest = in;
	*ret = to;
	return 0;
}

void row_free(struct row *row)
{
	json_decref(row->env.notes);
	row->env.notes = NULL;
}
