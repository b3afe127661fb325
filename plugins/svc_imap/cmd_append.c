/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * APPEND: a message from the client into a folder, streamed into a spool (RFC 3501 6.3.11, RFC 4315 APPENDUID, RFC 7889 limit).
 * Lines end with CRLF once it is stored, whatever the client ended them with: sizes are then the same by IMAP and POP3.
 */
#include "event.h"
#include "imap.h"
#include "public.h"
#include "quota.h"
#include "view.h"

struct appending {
	struct pb_str name;
	struct pb_str *flags;
	size_t nflags;
	int64_t date;
};

static bool parse_append(struct parse *p, struct appending *a)
{
	if (!parse_mailbox(p, &a->name) || !parse_space(p))
		return false;
	if (parse_peek(p, '(') && (!parse_flag_list(p, &a->flags, &a->nflags) || !parse_space(p)))
		return false;
	if (parse_peek(p, '"')) {
		if (!parse_date_time(p, &a->date) || !parse_space(p))
			return false;
		/* The store takes 0 for now; a microsecond later is the same second. */
		a->date = a->date ? a->date : 1;
	}
	return p->p == p->end || parse_fail(p, "Expected a literal");
}

/* The message will not be taken: read what comes anyway. False: too much of it. */
static bool discard(struct pb_session *s, const struct literal *lit)
{
	return !lit->there || lit->sync || imap_discard_literals(s, pb_strz(pb_arena_printf(pb_session_arena(s), "{%llu+}", (unsigned long long)lit->size)));
}

static int refuse(struct pb_session *s, const struct literal *lit, const char *text)
{
	return discard(s, lit) ? imap_no(s, text) : PB_CLOSE;
}

static int refuse_bad(struct pb_session *s, const struct literal *lit, const char *text)
{
	return discard(s, lit) ? imap_bad(s, text) : PB_CLOSE;
}

static int refuse_error(struct pb_session *s, const struct literal *lit, const struct pb_error *err)
{
	if (err->code == PB_ENOTFOUND)
		return refuse(s, lit, "[TRYCREATE] No such mailbox");
	return discard(s, lit) ? imap_failed(s, "APPEND", err) : PB_CLOSE;
}

/* The literal, and the empty rest of the line behind it. */
static int receive(struct pb_session *s, const struct literal *lit, struct pb_spool *spool)
{
	struct pb_str rest;

	if (lit->sync) {
		pb_putz(s, "+ OK\r\n");
		pb_flush(s);
	}
	if (pb_read_spool(s, spool, lit->size) != 0)
		return PB_ECLOSED;
	if (pb_read_line(s, IMAP_LINE_MAX, &rest) != 0)
		return PB_ECLOSED;
	return pb_str_trim(rest).len ? PB_EINVALID : 0;
}

/* The first LF from at on that no CR stands before; the length where there is none. */
static size_t bare_lf(struct pb_str s, size_t at)
{
	const char *lf;

	while (at < s.len && (lf = memchr(s.ptr + at, '\n', s.len - at)) != NULL) {
		size_t i = (size_t)(lf - s.ptr);

		if (i == 0 || s.ptr[i - 1] != '\r')
			return i;
		at = i + 1;
	}
	return s.len;
}

/* Another spool with CRLF for every bare LF. */
static int end_lines(struct pb_session *s, struct pb_spool **spool, struct pb_str bytes, size_t lf, struct pb_error *err)
{
	struct pb_spool *with = pb_spool_begin(pb_session_host(s), imap_plugin_of(s)->append_max, err);

	if (!with)
		return err->code;
	for (size_t at = 0; at < bytes.len; lf = bare_lf(bytes, at)) {
		pb_spool_write(with, bytes.ptr + at, lf - at);
		if (lf < bytes.len)
			pb_spool_write(with, "\r\n", 2);
		at = lf + 1;
	}
	pb_spool_discard(*spool);
	*spool = with;
	return pb_spool_check(with, err);
}

/* A NUL could never be sent back: no literal may have one (RFC 3501 9, CHAR8). */
static int check(struct pb_session *s, struct pb_spool **spool, struct pb_error *err)
{
	struct pb_str bytes;
	size_t lf;
	int rc = pb_spool_check(*spool, err);

	if (rc == 0)
		rc = pb_spool_view(*spool, &bytes, err);
	if (rc != 0)
		return rc;
	if (memchr(bytes.ptr, '\0', bytes.len))
		return pb_fail(err, PB_EINVALID, "the message has a NUL");
	lf = bare_lf(bytes, 0);
	return lf < bytes.len ? end_lines(s, spool, bytes, lf, err) : 0;
}

static int store(struct pb_session *s, struct pb_folder *folder, struct pb_spool *spool, const struct appending *a)
{
	struct pb_usage usage;
	struct pb_append how = { .date = a->date, .usage = &usage };
	uint32_t uid, uidvalidity;
	struct pb_error err;
	struct quota quota;
	uint64_t size = 0;
	int rc = check(s, &spool, &err);
	bool full;

	if (rc == 0)
		rc = quota_begin(s, folder, a->name, &quota, &err);
	if (rc == 0)
		rc = flags_resolve(folder, a->flags, a->nflags, true, &how.flags, &err);
	full = rc == PB_EQUOTA;
	if (rc != 0)
		pb_spool_discard(spool);
	else
		size = pb_spool_size(spool);
	if (rc == 0)
		rc = pb_folder_append(folder, spool, &how, &uid, &uidvalidity, &err);
	pb_folder_close(folder);
	if (full)
		return imap_no(s, "[LIMIT] Too many keywords in this mailbox");
	if (rc != 0)
		return imap_failed(s, "APPEND", &err);
	quota_appended(s, &quota, &usage, size);
	event_arrived(s, EVENT_APPEND, a->name, &uid, 1);
	return imap_done(s, true, pb_arena_printf(pb_session_arena(s), "[APPENDUID %u %u] APPEND completed", uidvalidity, uid));
}

int imap_append(struct pb_session *s, struct pb_str args)
{
	struct appending a = { 0 };
	uint64_t max = imap_plugin_of(s)->append_max;
	struct pb_folder *folder;
	struct pb_spool *spool;
	struct literal lit;
	struct pb_str text;
	struct pb_error err;
	struct parse p;
	int result, rc;

	if (imap_gather_append(s, args, &text, &lit, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_append(&p, &a) || (!lit.there && !parse_fail(&p, "Expected a literal")))
		return refuse_bad(s, &lit, p.error);
	if (lit.size > max)
		return refuse(s, &lit, "[TOOBIG] Message too big");
	if (lit.size == 0)
		return refuse_bad(s, &lit, "An empty message cannot be appended");
	if (folder_open_to_write(s, a.name, &folder, &err) != 0)
		return refuse_error(s, &lit, &err);
	spool = pb_spool_begin(pb_session_host(s), max, &err);
	if (!spool) {
		pb_folder_close(folder);
		return refuse_error(s, &lit, &err);
	}
	rc = receive(s, &lit, spool);
	if (rc == 0)
		return store(s, folder, spool, &a);
	pb_spool_discard(spool);
	pb_folder_close(folder);
	return rc == PB_EINVALID ? imap_bad(s, "Unexpected text behind the message") : PB_CLOSE;
}
