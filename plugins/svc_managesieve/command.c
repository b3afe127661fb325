/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the wire to one stretch of memory: a command line and the literals in it, which the client sends without waiting (RFC 5804 4, literal-c2s).
 * Every size is tested before it is read. What a literal that is refused holds is never taken for commands: it is thrown away, or the session ends.
 */
#include "managesieve.h"

enum { STRANGER_MAX = 16384, DISCARD_MAX = 8 << 20 };

static uint64_t command_max(struct pb_session *s)
{
	uint64_t max = ms_plugin_of(s)->command_max;

	return pb_session_state(s) == MS_STRANGER && max > STRANGER_MAX ? STRANGER_MAX : max;
}

bool ms_discard(struct pb_session *s, struct pb_str line)
{
	uint64_t size, left = pb_session_state(s) == MS_STRANGER ? 64 * STRANGER_MAX : DISCARD_MAX;

	while (parse_literal_tail(line, &size)) {
		if (size > left) {
			ms_bye(s, NULL, "Literal too big");
			pb_flush(s);
			/* What stays unread makes a reset of the end, and the client would see that and no BYE. */
			pb_read_spool(s, NULL, left);
			return false;
		}
		left -= size;
		if (pb_read_spool(s, NULL, size) != 0 || pb_read_line(s, MS_LINE_MAX, &line) != 0)
			return false;
	}
	return true;
}

static int too_big(struct pb_session *s, struct pb_str line)
{
	return ms_discard(s, line) ? ms_no(s, "QUOTA/MAXSIZE", "Larger than this server takes") : PB_CLOSE;
}

int ms_gather(struct pb_session *s, struct pb_str args, struct parse *ret, int *ret_result)
{
	PB_AUTOBUF(buf);
	struct pb_str line = args, rest;
	uint64_t size;

	while (parse_literal_tail(line, &size)) {
		if (!buf.len)
			pb_buf_addstr(&buf, args);
		if (size > command_max(s) || buf.len + size > command_max(s)) {
			*ret_result = too_big(s, line);
			return PB_ETOOBIG;
		}
		pb_buf_addz(&buf, "\r\n");
		*ret_result = PB_CLOSE;
		if (pb_read_buf(s, &buf, size) != 0)
			return PB_ECLOSED;
		/* A line that is too long, or no line, would leave it open where the next command begins. */
		if (pb_read_line(s, MS_LINE_MAX, &rest) != 0) {
			*ret_result = ms_bye(s, NULL, "The line behind a literal is malformed");
			return PB_EINVALID;
		}
		size = buf.len;
		pb_buf_addstr(&buf, rest);
		line = pb_str(buf.ptr + size, buf.len - size);
	}
	*ret = parse_start(pb_arena_str(pb_session_arena(s), buf.len ? pb_buf_str(&buf) : args), pb_session_arena(s));
	return 0;
}
