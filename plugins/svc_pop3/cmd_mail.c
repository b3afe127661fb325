/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The TRANSACTION and UPDATE states of RFC 1939: looking at messages, marking them, and QUIT, which is the only one that changes the mailbox.
 */
#include <stdlib.h>
#include "pop3.h"

static unsigned marks_of(const struct pop3 *pop, uint32_t seq)
{
	return pop->marks ? pop->marks[seq] : 0;
}

static void mark(struct pop3 *pop, uint32_t seq, unsigned bit)
{
	if (!pop->marks)
		pop->marks = pb_alloc((size_t)pb_view_count(pop->view) + 1);
	pop->marks[seq] |= (unsigned char)bit;
}

/* A message number that is there and not deleted: 0, or answered. */
static int number(struct pb_session *s, struct pb_str word, uint32_t *ret, int *ret_result)
{
	struct pop3 *pop = pop3_of(s);
	uint64_t n;

	if (pb_str_u64(word, UINT32_MAX, &n) != 0) {
		*ret_result = pop3_bad(s, "Expected a message number");
		return PB_EINVALID;
	}
	if (n == 0 || n > pb_view_count(pop->view) || (marks_of(pop, (uint32_t)n) & MARK_DELETED)) {
		*ret_result = pop3_err(s, "No such message");
		return PB_ENOTFOUND;
	}
	*ret = (uint32_t)n;
	return 0;
}

/* Call for each message that is not marked as deleted. */
static void each(struct pb_session *s, void (*visit)(void *arg, uint32_t seq, const struct pb_row *row), void *arg)
{
	struct pop3 *pop = pop3_of(s);
	uint32_t count = pb_view_count(pop->view), many;

	for (uint32_t seq = 1; seq <= count;) {
		const struct pb_row *row = pb_view_run(pop->view, seq, &many);

		for (; many; many--, seq++, row++)
			if (!(marks_of(pop, seq) & MARK_DELETED))
				visit(arg, seq, row);
		if (pb_session_is_dead(s))
			return;
	}
}

struct totals {
	uint32_t messages;
	uint64_t octets;
};

static void add(void *arg, uint32_t seq, const struct pb_row *row)
{
	struct totals *t = arg;

	(void)seq;
	t->messages++;
	t->octets += row->size;
}

int pop3_stat(struct pb_session *s, struct pb_str args)
{
	struct totals t = { 0 };

	if (args.len)
		return pop3_bad(s, "STAT takes no argument");
	each(s, add, &t);
	pb_putf(s, "+OK %u %llu\r\n", t.messages, (unsigned long long)t.octets);
	return PB_NEXT;
}

/* ---- listings: written into the stream's buffer, for there may be many lines ---- */

static char *put_number(char *to, uint64_t n)
{
	char digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	memcpy(to, digits + i, sizeof digits - i);
	return to + (sizeof digits - i);
}

static char *put_hex(char *to, uint32_t n)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		*to++ = "0123456789abcdef"[n >> shift & 15];
	return to;
}

enum { LISTING_LINE = 64, LISTING_ROOM = 4096 };

struct listing {
	struct pb_session *s;
	char *room, *p;
	bool dead;
	uint32_t uidvalidity;
};

static char *line_room(struct listing *l)
{
	if (l->room && LISTING_ROOM - (l->p - l->room) >= LISTING_LINE)
		return l->p;
	if (l->room)
		pb_put_done(l->s, (size_t)(l->p - l->room));
	l->room = l->p = pb_put_room(l->s, LISTING_ROOM);
	l->dead = !l->room;
	return l->room;
}

static char *line_end(char *p)
{
	*p++ = '\r';
	*p++ = '\n';
	return p;
}

static void put_size(void *arg, uint32_t seq, const struct pb_row *row)
{
	struct listing *l = arg;
	char *p = l->dead ? NULL : line_room(l);

	if (!p)
		return;
	p = put_number(p, seq);
	*p++ = ' ';
	l->p = line_end(put_number(p, row->size));
}

/* UIDVALIDITY and UID: together they never name another message (RFC 1939 7). */
static void put_id(void *arg, uint32_t seq, const struct pb_row *row)
{
	struct listing *l = arg;
	char *p = l->dead ? NULL : line_room(l);

	if (!p)
		return;
	p = put_number(p, seq);
	*p++ = ' ';
	l->p = line_end(put_hex(put_hex(p, l->uidvalidity), row->uid));
}

static int list(struct pb_session *s, struct pb_str args, void (*put)(void *arg, uint32_t seq, const struct pb_row *row), const char *head)
{
	struct pop3 *pop = pop3_of(s);
	struct listing l = { .s = s, .uidvalidity = pb_view_uidvalidity(pop->view) };
	uint32_t seq;
	int result;

	if (args.len) {
		if (number(s, pb_str_trim(args), &seq, &result) != 0)
			return result;
		pb_putz(s, "+OK ");
		put(&l, seq, pb_view_row(pop->view, seq));
	} else {
		pop3_ok(s, head);
		each(s, put, &l);
	}
	if (l.room)
		pb_put_done(s, (size_t)(l.p - l.room));
	if (!args.len)
		pb_putz(s, ".\r\n");
	return PB_NEXT;
}

int pop3_list(struct pb_session *s, struct pb_str args)
{
	return list(s, args, put_size, "Scan listing follows");
}

int pop3_uidl(struct pb_session *s, struct pb_str args)
{
	return list(s, args, put_id, "Unique ids follow");
}

/* ---- messages ---- */

static int put_message(struct pb_session *s, uint32_t seq, int64_t lines, const char *what)
{
	struct pop3 *pop = pop3_of(s);
	struct pb_body *body;
	struct pb_error err;

	if (pb_view_body(pop->view, seq, &body, &err) != 0)
		return pop3_failed(s, what, &err);
	if (lines < 0)
		pb_putf(s, "+OK %u octets\r\n", pb_view_row(pop->view, seq)->size);
	else
		pop3_ok(s, "Top of message follows");
	pb_put_body_dot(s, body, lines);
	pb_body_release(body);
	return PB_NEXT;
}

int pop3_retr(struct pb_session *s, struct pb_str args)
{
	struct pop3 *pop = pop3_of(s);
	uint32_t seq;
	int result;

	if (number(s, pb_str_trim(args), &seq, &result) != 0)
		return result;
	if (pop3_plugin_of(s)->mark_seen && !(pb_view_row(pop->view, seq)->flags & PB_SEEN))
		mark(pop, seq, MARK_READ);
	return put_message(s, seq, -1, "RETR");
}

int pop3_top(struct pb_session *s, struct pb_str args)
{
	struct pb_str first, second;
	uint64_t lines;
	uint32_t seq;
	int result;

	if (!pb_str_word(&args, &first) || !pb_str_word(&args, &second) || pb_str_trim(args).len)
		return pop3_bad(s, "TOP takes a message number and a number of lines");
	if (pb_str_u64(second, INT32_MAX, &lines) != 0)
		return pop3_bad(s, "Expected a number of lines");
	if (number(s, first, &seq, &result) != 0)
		return result;
	return put_message(s, seq, (int64_t)lines, "TOP");
}

int pop3_dele(struct pb_session *s, struct pb_str args)
{
	uint32_t seq;
	int result;

	if (number(s, pb_str_trim(args), &seq, &result) != 0)
		return result;
	mark(pop3_of(s), seq, MARK_DELETED);
	return pop3_ok(s, "Marked as deleted");
}

int pop3_noop(struct pb_session *s, struct pb_str args)
{
	return args.len ? pop3_bad(s, "NOOP takes no argument") : pop3_ok(s, "Nothing done");
}

int pop3_rset(struct pb_session *s, struct pb_str args)
{
	struct pop3 *pop = pop3_of(s);

	if (args.len)
		return pop3_bad(s, "RSET takes no argument");
	for (uint32_t seq = 1; pop->marks && seq <= pb_view_count(pop->view); seq++)
		pop->marks[seq] &= (unsigned char)~MARK_DELETED;
	return pop3_ok(s, "Nothing is marked as deleted");
}

/* ---- UPDATE ---- */

/* UIDs of the messages whose marks are exactly these, ascending, in the arena. */
static size_t marked(struct pb_session *s, unsigned mask, unsigned want, uint32_t **ret)
{
	struct pop3 *pop = pop3_of(s);
	uint32_t count = pb_view_count(pop->view);
	size_t n = 0;

	*ret = NULL;
	if (!pop->marks)
		return 0;
	for (uint32_t seq = 1; seq <= count; seq++)
		n += (pop->marks[seq] & mask) == want;
	if (!n)
		return 0;
	*ret = pb_arena_alloc(pb_session_arena(s), n * sizeof **ret);
	n = 0;
	for (uint32_t seq = 1; seq <= count; seq++)
		if ((pop->marks[seq] & mask) == want)
			(*ret)[n++] = pb_view_row(pop->view, seq)->uid;
	return n;
}

int pop3_quit(struct pb_session *s, struct pb_str args)
{
	struct pop3 *pop = pop3_of(s);
	struct pb_error err;
	uint32_t *uids;
	size_t n;
	int rc = 0;

	if (args.len)
		return pop3_bad(s, "QUIT takes no argument");
	if (pb_session_state(s) == POP3_AUTHORIZATION) {
		pop3_ok(s, "Until next time");
		return PB_CLOSE;
	}
	n = marked(s, MARK_DELETED | MARK_READ, MARK_READ, &uids);
	if (n && pb_folder_store(pop->folder, uids, n, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err) != 0)
		pb_session_log(s, PB_WARNING, "seen.failed", "reason=%s", pb_logq(pb_strz(err.text)));
	n = marked(s, MARK_DELETED, MARK_DELETED, &uids);
	if (n)
		rc = pb_folder_discard(pb_session_host(s), pop->folder, uids, n, false, pb_login_retention(s), &err);
	pop3_close_maildrop(s);	/* before the answer: who reads it may log in again */
	if (rc != 0)
		pop3_failed(s, "QUIT", &err);
	else
		pop3_ok(s, "Until next time");
	return PB_CLOSE;
}
