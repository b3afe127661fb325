/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Authentication-Results (RFC 8601 2.2): a reader of its grammar with comments and quoted strings wherever they may stand, and a writer. */
#include "mailauth/results.h"

struct reader {
	struct pb_arena *arena;
	struct pb_str rest;
};

/* ---- words ---- */

/* White space and comments, which nest. False: a comment without an end. */
static bool skip(struct reader *r)
{
	size_t i = 0, depth = 0;

	for (; i < r->rest.len; i++) {
		char c = r->rest.ptr[i];

		if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (c == '\\' && depth)
			i++;
		else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			break;
	}
	r->rest = pb_str_skip(r->rest, i);
	return !depth;
}

static bool take(struct reader *r, char c)
{
	if (!skip(r) || !r->rest.len || r->rest.ptr[0] != c)
		return false;
	r->rest = pb_str_skip(r->rest, 1);
	return true;
}

static bool take_quoted(struct reader *r, struct pb_str *ret)
{
	PB_AUTOBUF(out);

	for (size_t i = 1; i < r->rest.len; i++) {
		char c = r->rest.ptr[i];

		if (c == '"') {
			r->rest = pb_str_skip(r->rest, i + 1);
			*ret = pb_arena_str(r->arena, pb_buf_str(&out));
			return true;
		}
		if (c == '\\' && i + 1 < r->rest.len)
			c = r->rest.ptr[++i];
		if (c != '\r' && c != '\n')
			pb_buf_addc(&out, c);
	}
	return false;
}

/* RFC 2045 5.1 token; more: characters that count too. */
static bool is_token(char c, const char *more)
{
	return (unsigned char)c > ' ' && c != 127 && (!strchr("()<>@,;:\\\"/[]?=", c) || (*more && strchr(more, c)));
}

/* A token, or with quoted a string too. */
static bool take_word(struct reader *r, const char *more, bool quoted, struct pb_str *ret)
{
	size_t i = 0;

	if (!skip(r))
		return false;
	if (quoted && r->rest.len && r->rest.ptr[0] == '"')
		return take_quoted(r, ret);
	while (i < r->rest.len && r->rest.ptr[i] && is_token(r->rest.ptr[i], more))
		i++;
	*ret = pb_arena_str(r->arena, pb_str_head(r->rest, i));
	r->rest = pb_str_skip(r->rest, i);
	return i > 0;
}

/* RFC 8601: value, or [ local-part ] "@" domain; and what the world writes besides: URIs, "b=" with base64. */
static bool take_value(struct reader *r, struct pb_str *ret)
{
	struct pb_str domain = PB_NOSTR;

	if (!take_word(r, "@/:=+[]", true, ret))
		return false;
	if (r->rest.len && r->rest.ptr[0] == '@' && take(r, '@')) {	/* "quoted local part"@domain */
		if (!take_word(r, "", false, &domain))
			return false;
		*ret = pb_strz(pb_arena_printf(r->arena, "\"%.*s\"@%.*s", PB_FMT(*ret), PB_FMT(domain)));
	}
	return true;
}

/* ---- one result ---- */

static void lower(struct pb_str s)
{
	char *c = (char *)(uintptr_t)s.ptr;

	for (size_t i = 0; i < s.len; i++)
		c[i] = (char)pb_lower((unsigned char)c[i]);
}

static bool at_end(struct reader *r)
{
	return skip(r) && (!r->rest.len || r->rest.ptr[0] == ';');
}

static bool read_property(struct reader *r, struct result *one, struct pb_str type)
{
	struct pb_str name, value;

	if (!take(r, '.') || !take_word(r, "", false, &name) || !take(r, '=') || !take_value(r, &value) || one->nproperties == RESULT_PROPERTIES_MAX)
		return false;
	one->properties[one->nproperties].type = type;
	one->properties[one->nproperties].name = name;
	one->properties[one->nproperties++].value = value;
	return true;
}

/* A dot ends the type of a property. */
static bool take_type(struct reader *r, struct pb_str *ret)
{
	size_t i = 0;

	if (!skip(r))
		return false;
	while (i < r->rest.len && (pb_is_alnum((unsigned char)r->rest.ptr[i]) || r->rest.ptr[i] == '-'))
		i++;
	*ret = pb_arena_str(r->arena, pb_str_head(r->rest, i));
	r->rest = pb_str_skip(r->rest, i);
	return i > 0;
}

static bool read_result(struct reader *r, struct result *one)
{
	struct pb_str type, version;

	if (!take_type(r, &one->method) || (skip(r) && r->rest.len && r->rest.ptr[0] == '/' && (!take(r, '/') || !take_word(r, "", false, &version))))
		return false;
	if (!take(r, '=') || !take_word(r, "", false, &one->result))
		return false;
	lower(one->method);
	lower(one->result);
	while (!at_end(r)) {
		if (!take_type(r, &type))
			return false;
		if (pb_str_ieq(type, PB_STR("reason")) && skip(r) && r->rest.len && r->rest.ptr[0] == '=') {
			if (!take(r, '=') || !take_value(r, &one->reason))
				return false;
		} else if (!read_property(r, one, type)) {
			return false;
		}
	}
	return true;
}

/* ---- all of it ---- */

static bool is_none(struct reader *r)
{
	struct reader try = *r;
	struct pb_str word;

	if (!take_word(&try, "", false, &word) || !pb_str_ieq(word, PB_STR("none")) || !at_end(&try))
		return false;
	*r = try;
	return true;
}

static bool read_host(struct reader *r, struct pb_str *ret)
{
	struct pb_str version;

	if (!take_word(r, ":[]", true, ret))
		return false;
	return at_end(r) || take_word(r, "", false, &version);
}

int results_parse(struct pb_arena *arena, struct pb_str value, struct results *ret, struct pb_error *err)
{
	struct reader r = { arena, value };
	struct results all = { 0 };
	bool none = false;

	if (value.len > RESULTS_FIELD_MAX)
		return pb_fail(err, PB_ETOOBIG, "the field has more than %d octets", RESULTS_FIELD_MAX);
	if (!read_host(&r, &all.host))
		return pb_fail(err, PB_EINVALID, "the field does not say who found the results");
	all.list = pb_arena_alloc(arena, RESULTS_MAX * sizeof *all.list);
	while (take(&r, ';')) {
		if (at_end(&r) && !r.rest.len && all.n)
			break;			/* the world ends with ";" */
		if (!all.n && !none && is_none(&r)) {
			none = true;
			continue;
		}
		if (none)
			return pb_fail(err, PB_EINVALID, "something stands behind 'none'");
		if (all.n == RESULTS_MAX)
			return pb_fail(err, PB_ETOOBIG, "there are more than %d results", RESULTS_MAX);
		if (!read_result(&r, &all.list[all.n++]))
			return pb_fail(err, PB_EINVALID, "result %zu is malformed", all.n);
	}
	if (!skip(&r) || r.rest.len)
		return pb_fail(err, PB_EINVALID, "'%.*s' belongs to nothing", PB_FMT(pb_str_head(r.rest, 40)));
	*ret = all;
	return 0;
}

bool results_host(struct pb_arena *arena, struct pb_str value, struct pb_str *ret)
{
	struct reader r = { arena, pb_str_head(value, RESULTS_FIELD_MAX) };

	return take_word(&r, ":[]@/=+?,<>", true, ret);
}

/* ---- written ---- */

static void add_quoted(struct pb_buf *out, struct pb_str text, char open, char end)
{
	pb_buf_addc(out, open);
	for (size_t i = 0; i < text.len && i < 300; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c < ' ' || c == 127)
			c = '?';
		if (c == '\\' || c == (unsigned char)open || c == (unsigned char)end)
			pb_buf_addc(out, '\\');
		pb_buf_addc(out, (char)c);
	}
	pb_buf_addc(out, end);
}

void results_add(struct pb_buf *out, const char *method, enum auth_result r, const char *comment)
{
	pb_buf_addf(out, "%s%s=%s", out->len ? "; " : "", method, auth_result_name(r));
	if (!*comment)
		return;
	pb_buf_addc(out, ' ');
	add_quoted(out, pb_strz(comment), '(', ')');
}

void results_property(struct pb_buf *out, const char *type, const char *name, struct pb_str value)
{
	bool plain = true;

	if (!value.len)
		return;
	pb_buf_addf(out, " %s.%s=", type, name);
	for (size_t i = 0; i < value.len; i++)
		plain &= is_token(value.ptr[i], "@") && (unsigned char)value.ptr[i] < 127;
	if (plain && value.len <= 300)
		pb_buf_addstr(out, value);
	else
		add_quoted(out, value, '"', '"');
}
