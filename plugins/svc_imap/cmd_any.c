/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Commands that are the same in every state, and those that only tell what the server is: CAPABILITY, NOOP, LOGOUT, ID, ENABLE, NAMESPACE, and the
 * fork in UID commands.
 */
#include "event.h"
#include "imap.h"
#include "public.h"
#include "view.h"

int imap_no_args(struct pb_session *s, struct pb_str args, int *ret_result)
{
	if (!pb_str_trim(args).len)
		return 0;
	if (imap_discard_literals(s, pb_arena_str(pb_session_arena(s), args)))
		*ret_result = imap_bad(s, "This command takes no arguments");
	else
		*ret_result = PB_CLOSE;
	return PB_EINVALID;
}

static void put_mechanisms(struct pb_session *s)
{
	PB_AUTOBUF(names);

	if (!pb_login_is_allowed(imap_login_of(s), s)) {
		pb_putz(s, " LOGINDISABLED");
		return;
	}
	pb_exchange_list(s, "AUTH=", &names);
	pb_putf(s, " %s", pb_buf_z(&names));
}

void imap_put_capability(struct pb_session *s)
{
	if (pb_session_state(s) == IMAP_NOT_AUTH) {
		pb_putz(s, "CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE");
		if (pb_session_can_tls(s))
			pb_putz(s, " STARTTLS");
		put_mechanisms(s);
		return;
	}
	pb_putf(s, "CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE SPECIAL-USE CREATE-SPECIAL-USE "
		   "LIST-EXTENDED LIST-STATUS STATUS=SIZE ESEARCH METADATA OBJECTID APPENDLIMIT=%llu", (unsigned long long)imap_plugin_of(s)->append_max);
	event_put_capability(s);
}

int imap_capability(struct pb_session *s, struct pb_str args)
{
	int result;

	if (imap_no_args(s, args, &result) != 0)
		return result;
	pb_putz(s, "* ");
	imap_put_capability(s);
	pb_putz(s, "\r\n");
	return imap_done(s, true, "CAPABILITY completed");
}

int imap_noop(struct pb_session *s, struct pb_str args)
{
	int result;

	return imap_no_args(s, args, &result) != 0 ? result : imap_done(s, true, "NOOP completed");
}

int imap_logout(struct pb_session *s, struct pb_str args)
{
	int result;

	if (imap_no_args(s, args, &result) != 0)
		return result;
	pb_putz(s, "* BYE Until next time\r\n");
	imap_ok(s, "LOGOUT completed");
	return PB_CLOSE;
}

/* RFC 2971: at most 30 pairs; what the client says is only read. */
static bool parse_id(struct parse *p)
{
	struct pb_str v;
	bool nil;

	if (parse_word(p, "NIL"))
		return parse_end(p);
	if (!parse_need(p, '('))
		return false;
	for (unsigned n = 0; !parse_take(p, ')'); n++)
		if ((n > 0 && !parse_space(p)) || !parse_string(p, &v) || !parse_space(p) || !parse_nstring(p, &v, &nil) ||
		    (n >= 30 && !parse_fail(p, "Too many fields")))
			return false;
	return parse_end(p);
}

int imap_id(struct pb_session *s, struct pb_str args)
{
	struct pb_str text;
	struct parse p;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_id(&p))
		return imap_bad(s, p.error);
	pb_putz(s, "* ID (\"name\" \"Postbus\")\r\n");
	return imap_done(s, true, "ID completed");
}

int imap_enable(struct pb_session *s, struct pb_str args)
{
	struct parse p;
	struct pb_str name, text;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	do {
		if (!parse_atom(&p, &name))
			return imap_bad(s, p.error);
	} while (parse_take(&p, ' '));
	if (!parse_end(&p))
		return imap_bad(s, p.error);
	pb_putz(s, "* ENABLED\r\n");	/* nothing that this server knows has to be switched on */
	return imap_done(s, true, "ENABLE completed");
}

static bool nothing(void *arg, const struct pb_folder_info *info)
{
	(void)arg;
	(void)info;
	return false;
}

int imap_namespace(struct pb_session *s, struct pb_str args)
{
	int result;

	if (imap_no_args(s, args, &result) != 0)
		return result;
	pb_putf(s, "* NAMESPACE ((\"\" \"/\")) NIL %s\r\n", public_list(s, nothing, NULL) ? "((\"" PUBLIC_PREFIX "\" \"/\"))" : "NIL");
	return imap_done(s, true, "NAMESPACE completed");
}

int imap_uid(struct pb_session *s, struct pb_str args)
{
	struct pb_str verb = args, rest;
	size_t n = 0;

	while (n < args.len && args.ptr[n] != ' ')
		n++;
	verb = pb_str_head(args, n);
	rest = pb_str_skip(args, n + 1);
	if (pb_str_ieq(verb, PB_STR("FETCH")))
		return imap_run_fetch(s, rest, true);
	if (pb_str_ieq(verb, PB_STR("STORE")))
		return imap_run_store(s, rest, true);
	if (pb_str_ieq(verb, PB_STR("SEARCH")))
		return imap_run_search(s, rest, true);
	if (pb_str_ieq(verb, PB_STR("COPY")))
		return imap_run_copy(s, rest, true, false);
	if (pb_str_ieq(verb, PB_STR("MOVE")))
		return imap_run_copy(s, rest, true, true);
	if (pb_str_ieq(verb, PB_STR("EXPUNGE")))
		return imap_uid_expunge(s, rest);
	if (!imap_discard_literals(s, pb_arena_str(pb_session_arena(s), args)))
		return PB_CLOSE;
	return imap_bad(s, "Unknown UID command");
}
