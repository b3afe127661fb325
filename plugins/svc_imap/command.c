/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the wire to one stretch of memory: a command line and the literals in it, synchronizing or not (RFC 3501 4.3, RFC 7888).
 * Every size is tested before it is read; the tokens in it are parse.c's.
 */
#include "imap.h"

enum { COMMAND_MAX_BEFORE_LOGIN = 8192, DISCARD_BEFORE_LOGIN = 1 << 20 };

static uint64_t command_max(struct pb_session *s)
{
	uint64_t max = imap_plugin_of(s)->command_max;

	return pb_session_state(s) == IMAP_NOT_AUTH && max > COMMAND_MAX_BEFORE_LOGIN ? COMMAND_MAX_BEFORE_LOGIN : max;
}

/* A message that is refused may come all the same; twice the largest that is taken is read for good manners' sake. */
static uint64_t discard_max(struct pb_session *s)
{
	return pb_session_state(s) == IMAP_NOT_AUTH ? DISCARD_BEFORE_LOGIN : 2 * imap_plugin_of(s)->append_max + IMAP_LINE_MAX;
}

bool imap_discard_literals(struct pb_session *s, struct pb_str line)
{
	uint64_t size, left = discard_max(s);
	size_t at;
	bool sync;

	while (parse_literal_tail(line, &size, &sync, &at) && !sync) {
		if (size > left) {
			pb_putz(s, "* BYE [TOOBIG] Literal too big\r\n");
			pb_flush(s);
			/* What stays unread makes a reset of the end, and the client would see that and no BYE. */
			pb_read_spool(s, NULL, left);
			return false;
		}
		left -= size;
		if (pb_read_spool(s, NULL, size) != 0)
			return false;
		if (pb_read_line(s, IMAP_LINE_MAX, &line) != 0)
			return !pb_session_is_dead(s);
	}
	return true;
}

/* Refuse a command because of its literal; what comes of it anyway is thrown away. */
static int refuse_literal(struct pb_session *s, struct pb_str line, const char *text)
{
	return imap_discard_literals(s, line) ? imap_bad(s, text) : PB_CLOSE;
}

/* Read one literal and the line behind it onto buf, which ends in the literal's head. *ret_more: the length of buf before that line. */
static int read_literal(struct pb_session *s, struct pb_buf *buf, uint64_t size, bool sync, size_t *ret_line, int *ret_result)
{
	struct pb_str rest;
	int rc;

	if (sync) {
		pb_putz(s, "+ OK\r\n");
		pb_flush(s);
	}
	pb_buf_addz(buf, "\r\n");
	*ret_result = PB_CLOSE;
	if (pb_read_buf(s, buf, size) != 0)
		return PB_ECLOSED;
	rc = pb_read_line(s, IMAP_LINE_MAX, &rest);
	if (rc == PB_ETOOBIG) {
		*ret_result = imap_bad(s, "Command line too long");
		return PB_EINVALID;
	}
	if (rc != 0)
		return PB_ECLOSED;
	*ret_line = buf->len;
	pb_buf_addstr(buf, rest);
	return 0;
}

/* one: stop before a literal that is not the very first token (APPEND's message). */
static int gather(struct pb_session *s, struct pb_str args, bool append, struct pb_str *ret, struct literal *ret_literal, int *ret_result)
{
	PB_AUTOBUF(buf);
	struct pb_str line = args;
	uint64_t size;
	size_t at, from = 0;
	bool sync;
	int rc;

	while (parse_literal_tail(line, &size, &sync, &at)) {
		if (append && (from > 0 || at > 0)) {
			*ret_literal = (struct literal){ .size = size, .sync = sync, .there = true };
			if (!buf.len)
				pb_buf_addstr(&buf, args);
			buf.len = from + at;
			break;
		}
		if (size > command_max(s) || buf.len + line.len + size > command_max(s)) {
			*ret_result = refuse_literal(s, line, "[TOOBIG] Literal too big");
			return PB_EINVALID;
		}
		if (!buf.len)
			pb_buf_addstr(&buf, args);
		rc = read_literal(s, &buf, size, sync, &from, ret_result);
		if (rc != 0)
			return rc;
		line = pb_str(buf.ptr + from, buf.len - from);
	}
	*ret = buf.ptr ? pb_arena_str(pb_session_arena(s), pb_buf_str(&buf)) : args;
	return 0;
}

int imap_gather(struct pb_session *s, struct pb_str args, struct pb_str *ret, int *ret_result)
{
	return gather(s, args, false, ret, NULL, ret_result);
}

int imap_gather_append(struct pb_session *s, struct pb_str args, struct pb_str *ret, struct literal *ret_literal, int *ret_result)
{
	*ret_literal = (struct literal){ 0 };
	return gather(s, args, true, ret, ret_literal, ret_result);
}
