/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ends of commands: tagged OK, NO and BAD, and the one table from store errors to response codes (RFC 3501 7.1, RFC 5530).
 * Untagged news of the selected folder are view.c's.
 */
#include "imap.h"
#include "utf7.h"
#include "view.h"

static const struct {
	int code;
	const char *response, *text;
} codes[] = {
	{ PB_ENOTFOUND, "[NONEXISTENT] ", "No such mailbox" },
	{ PB_EEXISTS, "[ALREADYEXISTS] ", "Mailbox exists already" },
	{ PB_EDENIED, "[NOPERM] ", "Permission denied" },
	{ PB_EINVALID, "[CANNOT] ", "The server cannot do this" },
	{ PB_ETOOBIG, "[LIMIT] ", "Over a limit of the server" },
	{ PB_EQUOTA, "[OVERQUOTA] ", "Quota exceeded" },
	{ PB_EFULL, "[UNAVAILABLE] ", "No room on the server, try again later" },
	{ PB_EBUSY, "[INUSE] ", "In use, try again later" },
	{ PB_ECONFLICT, "[INUSE] ", "Somebody else was first, try again" },
	{ PB_ETIMEOUT, "[UNAVAILABLE] ", "Took too long, try again later" },
	{ PB_ECLOSED, "[UNAVAILABLE] ", "Not available, try again later" },
	{ PB_EUNAVAILABLE, "[UNAVAILABLE] ", "Not available, try again later" },
	{ PB_ECORRUPT, "[CORRUPTION] ", "Stored data is damaged, the administrator was told" },
	{ PB_EINTERNAL, "[SERVERBUG] ", "Internal error, the administrator was told" },
};

static size_t find_code(int code)
{
	size_t i = 0;

	while (i < sizeof codes / sizeof *codes - 1 && codes[i].code != code)
		i++;
	return i;
}

const char *imap_code(int code)
{
	return codes[find_code(code)].response;
}

static void tagged(struct pb_session *s, const char *condition, const char *text)
{
	struct imap *im = imap_of(s);
	size_t n = strlen(condition), len = strlen(text);
	char *room;

	if (len > 4000 || im->tag_len > 4000) {
		pb_put(s, im->tag, im->tag_len);
		pb_putf(s, "%s%s\r\n", condition, text);
		return;
	}
	room = pb_put_room(s, im->tag_len + n + len + 2);
	if (!room)
		return;
	if (im->tag_len)
		memcpy(room, im->tag, im->tag_len);
	memcpy(room + im->tag_len, condition, n);
	memcpy(room + im->tag_len + n, text, len);
	memcpy(room + im->tag_len + n + len, "\r\n", 2);
	pb_put_done(s, im->tag_len + n + len + 2);
}

int imap_ok(struct pb_session *s, const char *text)
{
	tagged(s, " OK ", text);
	return PB_NEXT;
}

int imap_no(struct pb_session *s, const char *text)
{
	tagged(s, " NO ", text);
	return PB_NEXT;
}

int imap_count_error(struct pb_session *s)
{
	if (!pb_session_error_over(s, pb_login_setting(imap_login_of(s), PB_LOGIN_ERRORS_MAX)))
		return PB_NEXT;
	pb_putz(s, "* BYE Too many bad commands\r\n");
	return PB_CLOSE;
}

int imap_bad(struct pb_session *s, const char *text)
{
	struct imap *im = imap_of(s);

	if (im->tag_len)
		tagged(s, " BAD ", text);
	else
		pb_putf(s, "* BAD %s\r\n", text);
	return imap_count_error(s);
}

static void log_failure(struct pb_session *s, const char *what, const struct pb_error *err)
{
	switch (err->code) {
	case PB_EFULL:
	case PB_ECORRUPT:
	case PB_EINTERNAL:
	case PB_EUNAVAILABLE:
		pb_session_log(s, PB_ERROR, "command.failed", "command=%s code=%s reason=%s", what, pb_code_name(err->code), pb_logq(pb_strz(err->text)));
		break;
	default:
		break;
	}
}

/* What is wrong with what the client wants, in the words of whoever found it, where they may stand in a line. */
static const char *said_of(size_t i, const struct pb_error *err)
{
	if (err->code != PB_EINVALID || !err->text[0])
		return codes[i].text;
	for (const char *c = err->text; *c; c++)
		if (*c < ' ' || *c > '~')
			return codes[i].text;
	return err->text;
}

int imap_failed(struct pb_session *s, const char *what, const struct pb_error *err)
{
	size_t i = find_code(err->code);

	log_failure(s, what, err);
	return imap_no(s, pb_arena_printf(pb_session_arena(s), "%s%s", codes[i].response, said_of(i, err)));
}

void imap_warn(struct pb_session *s, const char *what, const struct pb_error *err)
{
	size_t i = find_code(err->code);

	log_failure(s, what, err);
	pb_putf(s, "* NO %s%s\r\n", codes[i].response, codes[i].text);
}

int imap_done(struct pb_session *s, bool expunge, const char *text)
{
	if (!view_sync(s, expunge, NULL)) {
		pb_putz(s, "* BYE The selected mailbox was deleted\r\n");
		return PB_CLOSE;
	}
	return imap_ok(s, text);
}

void imap_put_string(struct pb_session *s, struct pb_str v)
{
	bool literal = v.len > 1000;

	if (!v.ptr) {
		pb_putz(s, "NIL");
		return;
	}
	for (size_t i = 0; i < v.len && !literal; i++) {
		unsigned char c = (unsigned char)v.ptr[i];

		literal = c >= 0x7F || c < ' ' || c == '"' || c == '\\';
	}
	if (literal)
		pb_putf(s, "{%zu}\r\n", v.len);
	else
		pb_put(s, "\"", 1);
	pb_putstr(s, v);
	if (!literal)
		pb_put(s, "\"", 1);
}

void imap_put_mailbox(struct pb_session *s, struct pb_str name)
{
	PB_AUTOBUF(wire);
	bool atom = name.len > 0 && name.len < 1000;

	utf7_encode(&wire, name);
	for (size_t i = 0; i < wire.len && atom; i++)
		atom = pb_is_alnum(wire.ptr[i]) || strchr("-_/.&,+$!#", wire.ptr[i]);
	if (atom && !pb_str_ieq(pb_buf_str(&wire), PB_STR("NIL")))
		pb_put(s, wire.ptr, wire.len);
	else
		imap_put_string(s, pb_str(pb_buf_z(&wire), wire.len));
}
