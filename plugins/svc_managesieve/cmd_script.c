/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Commands on scripts (RFC 5804 2.5 to 2.12), each as one call to agent_filter on behalf of the mailbox that is logged in: these commands come in no other
 * state, and whose scripts are meant is never the client's to say.
 */
#include "managesieve.h"

enum { NAME_MAX_BYTES = 512 };		/* agent_filter's, and RFC 5804 1.6: 128 characters */

static bool is_too_long(const json_t *name)
{
	return json_string_length(name) > NAME_MAX_BYTES;
}

/* Steals params, which get the session's own mailbox. */
static int call(struct pb_session *s, const char *method, json_t *params, json_t **ret, struct pb_error *err)
{
	struct pb_str mailbox = pb_session_user(s)->mailbox;
	int rc;

	json_object_set_new(params, "mailbox", json_stringn(mailbox.ptr, mailbox.len));
	if (is_too_long(json_object_get(params, "name")) || is_too_long(json_object_get(params, "to")))
		rc = pb_fail(err, PB_EINVALID, "a script's name has at most %d bytes", NAME_MAX_BYTES);
	else
		rc = pb_call(pb_session_host(s), method, params, ret, err);
	json_decref(params);
	return rc;
}

static json_t *text(struct pb_str v)
{
	return json_stringn(v.len ? v.ptr : "", v.len);
}

/* n strings and nothing else: 0, or it was answered. */
static int take(struct pb_session *s, struct pb_str args, struct pb_str *ret, size_t n, int *ret_result)
{
	struct parse p;
	int rc = ms_gather(s, args, &p, ret_result);

	if (rc == 0 && !(n ? parse_strings(&p, ret, n) : parse_end(&p))) {
		*ret_result = ms_bad(s, p.error);
		rc = PB_EINVALID;
	}
	return rc;
}

/* No room: is it their number? */
static bool has_all_scripts(struct pb_session *s)
{
	json_t *found = NULL;
	bool has = call(s, "script.list", json_object(), &found, NULL) == 0 &&
		   (json_int_t)json_array_size(json_object_get(found, "scripts")) >= json_integer_value(json_object_get(found, "limit"));

	json_decref(found);
	return has;
}

/* "problems" or "warnings" of a script, a line each; how many there are. */
static size_t report(struct pb_session *s, struct pb_str script, const char *what, struct pb_buf *lines)
{
	json_t *found = NULL, *one;
	size_t i, n = 0;

	if (call(s, "script.check", json_pack("{s:o, s:b}", "text", text(script), "report", 1), &found, NULL) == 0)
		n = json_array_size(json_object_get(found, what));
	json_array_foreach(json_object_get(found, what), i, one)
		pb_buf_addf(lines, "%sline %lld, column %lld: %s", i ? "\r\n" : "", (long long)json_integer_value(json_object_get(one, "line")),
			    (long long)json_integer_value(json_object_get(one, "column")), json_string_value(json_object_get(one, "text")));
	json_decref(found);
	return n;
}

/* All faults of a script; false where there is no more than the error tells. */
static bool tell_faults(struct pb_session *s, struct pb_str script)
{
	PB_AUTOBUF(lines);

	if (report(s, script, "problems", &lines) < 2)
		return false;
	ms_no(s, NULL, pb_buf_z(&lines));
	return true;
}

static int good(struct pb_session *s, struct pb_str script, const char *otherwise)
{
	PB_AUTOBUF(lines);

	return report(s, script, "warnings", &lines) ? ms_ok_warnings(s, pb_buf_z(&lines)) : ms_ok(s, otherwise);
}

static int refused(struct pb_session *s, const char *what, const struct pb_error *err)
{
	pb_count(pb_session_host(s), "scripts_refused", 1);
	if (err->code == PB_EQUOTA && has_all_scripts(s))
		return ms_no(s, "QUOTA/MAXSCRIPTS", "There are as many scripts as there may be");
	return ms_failed(s, what, err);
}

int ms_havespace(struct pb_session *s, struct pb_str args)
{
	struct pb_error err = { 0 };
	struct pb_str name;
	struct parse p;
	uint32_t size;
	int result;

	if (ms_gather(s, args, &p, &result) != 0)
		return result;
	if (!parse_string(&p, &name) || !parse_space(&p) || !parse_number(&p, &size) || !parse_end(&p))
		return ms_bad(s, p.error);
	if (call(s, "script.space", json_pack("{s:o, s:I}", "name", text(name), "size", (json_int_t)size), NULL, &err) != 0)
		return refused(s, "HAVESPACE", &err);
	return ms_ok(s, "There is room");
}

int ms_putscript(struct pb_session *s, struct pb_str args)
{
	struct pb_error err = { 0 };
	struct pb_str words[2];
	int result;

	if (take(s, args, words, 2, &result) != 0)
		return result;
	if (call(s, "script.put", json_pack("{s:o, s:o}", "name", text(words[0]), "text", text(words[1])), NULL, &err) != 0)
		return err.code == PB_EINVALID && tell_faults(s, words[1]) ? PB_NEXT : refused(s, "PUTSCRIPT", &err);
	return good(s, words[1], "Kept");
}

int ms_checkscript(struct pb_session *s, struct pb_str args)
{
	struct pb_error err = { 0 };
	struct pb_str script;
	int result;

	if (take(s, args, &script, 1, &result) != 0)
		return result;
	if (call(s, "script.check", json_pack("{s:o}", "text", text(script)), NULL, &err) != 0)
		return err.code == PB_EINVALID && tell_faults(s, script) ? PB_NEXT : refused(s, "CHECKSCRIPT", &err);
	return good(s, script, "No fault was found");
}

int ms_listscripts(struct pb_session *s, struct pb_str args)
{
	json_t *found = NULL, *one;
	struct pb_error err = { 0 };
	int result;
	size_t i;

	if (take(s, args, NULL, 0, &result) != 0)
		return result;
	if (call(s, "script.list", json_object(), &found, &err) != 0)
		return ms_failed(s, "LISTSCRIPTS", &err);
	json_array_foreach(json_object_get(found, "scripts"), i, one) {
		const json_t *name = json_object_get(one, "name");

		ms_put_string(s, pb_str(json_string_value(name), json_string_length(name)));
		pb_putz(s, json_is_true(json_object_get(one, "active")) ? " ACTIVE\r\n" : "\r\n");
	}
	json_decref(found);
	return ms_ok(s, "That is all");
}

int ms_setactive(struct pb_session *s, struct pb_str args)
{
	struct pb_error err = { 0 };
	struct pb_str name;
	int result;

	if (take(s, args, &name, 1, &result) != 0)
		return result;
	if (call(s, "script.activate", json_pack("{s:o}", "name", text(name)), NULL, &err) != 0)
		return ms_failed(s, "SETACTIVE", &err);
	return ms_ok(s, name.len ? "It runs" : "None runs");
}

int ms_getscript(struct pb_session *s, struct pb_str args)
{
	const json_t *script;
	json_t *found = NULL;
	struct pb_error err = { 0 };
	struct pb_str name;
	int result;

	if (take(s, args, &name, 1, &result) != 0)
		return result;
	if (call(s, "script.get", json_pack("{s:o}", "name", text(name)), &found, &err) != 0)
		return ms_failed(s, "GETSCRIPT", &err);
	script = json_object_get(found, "text");
	pb_putf(s, "{%zu}\r\n", json_string_length(script));
	pb_put(s, json_string_value(script), json_string_length(script));
	pb_put(s, "\r\n", 2);
	json_decref(found);
	return ms_ok(s, "That is it");
}

int ms_deletescript(struct pb_session *s, struct pb_str args)
{
	struct pb_error err = { 0 };
	struct pb_str name;
	int result;

	if (take(s, args, &name, 1, &result) != 0)
		return result;
	switch (call(s, "script.delete", json_pack("{s:o}", "name", text(name)), NULL, &err)) {
	case 0:
		return ms_ok(s, "Deleted");
	case PB_EBUSY:
		return ms_no(s, "ACTIVE", "The script runs: make another one active first, or none");
	default:
		return ms_failed(s, "DELETESCRIPT", &err);
	}
}

int ms_renamescript(struct pb_session *s, struct pb_str args)
{
	struct pb_error err = { 0 };
	struct pb_str words[2];
	int result;

	if (take(s, args, words, 2, &result) != 0)
		return result;
	if (call(s, "script.rename", json_pack("{s:o, s:o}", "name", text(words[0]), "to", text(words[1])), NULL, &err) != 0)
		return ms_failed(s, "RENAMESCRIPT", &err);
	return ms_ok(s, "Renamed");
}
