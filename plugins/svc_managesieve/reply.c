/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ends of commands, OK, NO and BYE, and the one table from errors to response codes (RFC 5804 1.3); the capabilities.
 */
#include "managesieve.h"

enum { QUOTED_MAX = 1024 };	/* RFC 5804 4, quoted: at most so many octets */

void ms_put_string(struct pb_session *s, struct pb_str v)
{
	bool is_literal = v.len > QUOTED_MAX;
	size_t from = 0;

	for (size_t i = 0; i < v.len && !is_literal; i++)
		is_literal = v.ptr[i] == '\r' || v.ptr[i] == '\n' || v.ptr[i] == '\0';
	if (is_literal) {
		pb_putf(s, "{%zu}\r\n", v.len);
		pb_putstr(s, v);
		return;
	}
	pb_put(s, "\"", 1);
	for (size_t i = 0; i < v.len; i++) {
		if (v.ptr[i] != '"' && v.ptr[i] != '\\')
			continue;
		pb_put(s, v.ptr + from, i - from);
		pb_put(s, "\\", 1);
		from = i;
	}
	pb_putstr(s, pb_str_skip(v, from));
	pb_put(s, "\"", 1);
}

static void answer(struct pb_session *s, const char *word, const char *code, struct pb_str text)
{
	pb_putz(s, word);
	if (code)
		pb_putf(s, " (%s)", code);
	pb_put(s, " ", 1);
	ms_put_string(s, text);
	pb_put(s, "\r\n", 2);
}

int ms_ok(struct pb_session *s, const char *text)
{
	answer(s, "OK", NULL, pb_strz(text));
	return PB_NEXT;
}

int ms_ok_warnings(struct pb_session *s, const char *text)
{
	answer(s, "OK", "WARNINGS", pb_strz(text));
	return PB_NEXT;
}

int ms_no(struct pb_session *s, const char *code, const char *text)
{
	answer(s, "NO", code, pb_strz(text));
	return PB_NEXT;
}

int ms_bye(struct pb_session *s, const char *code, const char *text)
{
	answer(s, "BYE", code, pb_strz(text));
	return PB_CLOSE;
}

int ms_bad(struct pb_session *s, const char *text)
{
	ms_no(s, NULL, text);
	if (!pb_session_error_over(s, pb_login_setting(ms_login_of(s), PB_LOGIN_ERRORS_MAX)))
		return PB_NEXT;
	return ms_bye(s, NULL, "Too many bad commands");
}

/* What an error quotes may have been cut within a character. */
static int explain(struct pb_session *s, const char *text)
{
	char *copy = pb_arena_printf(pb_session_arena(s), "%s", text);

	for (char *c = copy; !pb_utf8_valid(pb_strz(text)) && *c; c++)
		*c = (unsigned char)*c < 0x80 ? *c : '?';
	return ms_no(s, NULL, copy);
}

int ms_failed(struct pb_session *s, const char *what, const struct pb_error *err)
{
	switch (err->code) {
	case PB_EINVALID:	/* a script's fault, or a name's: who wrote it reads why */
		return explain(s, err->text);
	case PB_ENOTFOUND:
		return ms_no(s, "NONEXISTENT", "There is no script of this name");
	case PB_EEXISTS:
		return ms_no(s, "ALREADYEXISTS", "There is a script of this name already");
	case PB_EQUOTA:
		return ms_no(s, "QUOTA", "The scripts would be larger together than they may be");
	case PB_ETOOBIG:
		return ms_no(s, "QUOTA/MAXSIZE", "The script is larger than one may be");
	case PB_EBUSY:
	case PB_ECONFLICT:
	case PB_ETIMEOUT:
		return ms_no(s, "TRYLATER", "Busy, try again later");
	default:
		pb_session_log(s, PB_ERROR, "command.failed", "command=%s code=%s reason=%s", what, pb_code_name(err->code), pb_logq(pb_strz(err->text)));
		return ms_no(s, "TRYLATER", "The server cannot do this now, the administrator was told");
	}
}

static void put_capability(struct pb_session *s, const char *name, struct pb_str value)
{
	pb_putf(s, "\"%s\" ", name);
	ms_put_string(s, value);
	pb_put(s, "\r\n", 2);
}

int ms_put_capabilities(struct pb_session *s, struct pb_error *err)
{
	const struct pb_user *user = pb_session_user(s);
	json_t *ask = json_pack("{s:s}", "text", ""), *found = NULL;
	int rc = pb_call(pb_session_host(s), "script.check", ask, &found, err);
	PB_AUTOBUF(mechanisms);

	json_decref(ask);
	if (rc != 0)
		return rc;
	put_capability(s, "IMPLEMENTATION", PB_STR("Postbus"));
	if (!user && pb_login_is_allowed(ms_login_of(s), s))
		pb_exchange_list(s, "", &mechanisms);
	put_capability(s, "SASL", pb_buf_str(&mechanisms));
	put_capability(s, "SIEVE", pb_strz(json_string_value(json_object_get(found, "extensions"))));
	put_capability(s, "NOTIFY", pb_strz(json_string_value(json_object_get(found, "notify"))));
	pb_putf(s, "\"MAXREDIRECTS\" \"%lld\"\r\n", (long long)json_integer_value(json_object_get(found, "redirects")));
	if (!user && pb_session_can_tls(s))
		pb_putz(s, "\"STARTTLS\"\r\n");
	pb_putz(s, "\"LANGUAGE\" \"en\"\r\n\"UNAUTHENTICATE\"\r\n");
	if (user)
		put_capability(s, "OWNER", user->address);
	put_capability(s, "VERSION", PB_STR("1.0"));
	json_decref(found);
	return 0;
}
