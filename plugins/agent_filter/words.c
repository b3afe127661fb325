/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading sentences and writing Sieve: words, quotes, strings that stay strings whatever stands in them, and the frame of a rule. */
#include "words.h"

/* In the order of enum need. */
static const char *const extensions[] = {
	"body", "copy", "date", "editheader", "envelope", "fileinto", "foreverypart", "imap4flags", "mailbox", "mime", "regex", "reject", "relational", "replace",
	"variables", "virustest", "vnd.postbus.item", "vnd.postbus.do", "comparator-i;ascii-numeric", "comparator-i;unicode-casemap",
};

/* ---- reading ---- */

bool sentence_word(struct sentence *s, struct pb_str *ret)
{
	return pb_str_word(&s->rest, ret);
}

bool sentence_take(struct sentence *s, const char *phrase)
{
	struct pb_str rest = s->rest, wanted = pb_strz(phrase), a, b;

	while (pb_str_word(&wanted, &a))
		if (!pb_str_word(&rest, &b) || !pb_str_ieq(a, b))
			return false;
	s->rest = rest;
	return true;
}

struct pb_str sentence_said(const struct sentence *s)
{
	return pb_str_head(pb_str_trim(pb_str(s->all.ptr, s->all.len - s->rest.len)), 60);
}

int sentence_end(const struct sentence *s, struct pb_error *err)
{
	struct pb_str left = pb_str_trim(s->rest);

	return left.len ? pb_fail(err, PB_EINVALID, "nothing may stand behind '%.*s', but '%.*s' does", PB_FMT(sentence_said(s)), PB_FMT(pb_str_head(left, 60))) : 0;
}

/* A text in quotes from the front of *rest. */
static int take_quoted(struct writing *w, struct pb_str *rest, struct text *ret, struct pb_error *err)
{
	char *out = pb_arena_alloc(w->arena, rest->len);
	size_t n = 0, i = 1;

	for (; i < rest->len && rest->ptr[i] != '"'; i++) {
		i += rest->ptr[i] == '\\' && i + 1 < rest->len && (rest->ptr[i + 1] == '"' || rest->ptr[i + 1] == '\\');
		out[n++] = rest->ptr[i];
	}
	if (i == rest->len)
		return pb_fail(err, PB_EINVALID, "the quote of %.*s does not end", PB_FMT(pb_str_head(*rest, 60)));
	*rest = pb_str_trim(pb_str_skip(*rest, i + 1));
	*ret = (struct text){ pb_str(out, n), true };
	return 0;
}

static int missing(const struct sentence *s, struct pb_error *err)
{
	return pb_fail(err, PB_EINVALID, "'%.*s' wants something behind it", PB_FMT(pb_str_head(pb_str_trim(s->all), 60)));
}

int sentence_text(struct writing *w, struct sentence *s, struct text *ret, struct pb_error *err)
{
	struct pb_str rest = pb_str_trim(s->rest);

	if (!rest.len)
		return missing(s, err);
	if (rest.ptr[0] != '"') {
		*ret = (struct text){ rest, false };
		return 0;
	}
	if (take_quoted(w, &rest, ret, err))
		return err->code;
	return rest.len ? pb_fail(err, PB_EINVALID, "'%.*s' stands behind the closing quote", PB_FMT(pb_str_head(rest, 60))) : 0;
}

/* Where the next word "or" begins; -1: there is none. */
static long find_or(struct pb_str s)
{
	for (size_t i = 1; i + 3 < s.len; i++)
		if (pb_is_blank(s.ptr[i - 1]) && pb_str_istarts(pb_str_skip(s, i), PB_STR("or")) && pb_is_blank(s.ptr[i + 2]))
			return (long)i;
	return -1;
}

int sentence_texts(struct writing *w, struct sentence *s, struct text *list, size_t *ret_n, struct pb_error *err)
{
	struct pb_str rest = pb_str_trim(s->rest);
	size_t n = 0;

	while (rest.len) {
		long at;

		if (n == VALUES_MAX)
			return pb_fail(err, PB_EINVALID, "more than %d values in one sentence", VALUES_MAX);
		if (rest.ptr[0] == '"') {
			if (take_quoted(w, &rest, &list[n++], err))
				return err->code;
			if (!rest.len)
				break;
			if (!pb_str_istarts(rest, PB_STR("or ")))
				return pb_fail(err, PB_EINVALID, "'%.*s' stands behind the closing quote, where only 'or' may", PB_FMT(pb_str_head(rest, 60)));
			at = 0;
		} else {
			at = find_or(rest);
			list[n++] = (struct text){ pb_str_trim(at < 0 ? rest : pb_str_head(rest, (size_t)at)), false };
			if (at < 0)
				break;
		}
		rest = pb_str_trim(pb_str_skip(rest, (size_t)at + 2));
		if (!rest.len)
			return missing(s, err);
	}
	*ret_n = n;
	return n ? 0 : missing(s, err);
}

/* What may follow the first word, where that begins phrases but none of them stands here. */
static void add_ways_on(struct pb_buf *out, const char *(*phrase)(size_t index), struct pb_str first)
{
	for (size_t i = 0; phrase(i); i++) {
		struct pb_str rest = pb_strz(phrase(i)), word;

		if (pb_str_word(&rest, &word) && pb_str_ieq(word, first) && rest.len)
			pb_buf_addf(out, "%s'%.*s'", out->len ? ", " : "", PB_FMT(pb_str_trim(rest)));
	}
}

int phrase_find(struct sentence *s, const char *(*phrase)(size_t index), const char *unknown, struct pb_error *err)
{
	struct pb_str rest = s->rest, first = PB_NOSTR;
	PB_AUTOBUF(ways);

	for (size_t i = 0; phrase(i); i++)
		if (sentence_take(s, phrase(i)))
			return (int)i;
	pb_str_word(&rest, &first);
	add_ways_on(&ways, phrase, first);
	if (ways.len)
		pb_fail(err, PB_EINVALID, "behind '%.*s' one of these is wanted: %s", PB_FMT(pb_str_head(first, 20)), pb_buf_z(&ways));
	else
		pb_fail(err, PB_EINVALID, "'%.*s' %s", PB_FMT(pb_str_head(first, 20)), unknown);
	return -1;
}

bool field_name_valid(struct pb_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':')
			return false;
	return name.len > 0 && name.len <= 70;
}

/* ---- writing ---- */

void put_plain(struct writing *w, const char *sieve)
{
	pb_buf_addz(w->out, sieve);
}

/* Another rule may require "variables", so that "${" is never left as it stands. A value of a variable is not read again. */
void put_text(struct writing *w, struct pb_str text)
{
	pb_buf_addc(w->out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			pb_buf_addc(w->out, '\\');
		if (text.ptr[i] == '$' && i + 1 < text.len && text.ptr[i + 1] == '{') {
			pb_buf_addz(w->out, "${dollar}");
			w->dollar = true;
		} else {
			pb_buf_addc(w->out, text.ptr[i]);
		}
	}
	pb_buf_addc(w->out, '"');
}

void put_texts(struct writing *w, const struct pb_str *list, size_t n)
{
	if (n != 1)
		pb_buf_addc(w->out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			pb_buf_addz(w->out, ", ");
		put_text(w, list[i]);
	}
	if (n != 1)
		pb_buf_addc(w->out, ']');
}

/* ---- a rule ---- */

/* Whatever a sentence holds ends up in a string of one line, or is a word of the tables. */
static int sentence_of(const json_t *v, struct sentence *ret, struct pb_error *err)
{
	struct pb_str s = json_is_string(v) ? pb_str(json_string_value(v), json_string_length(v)) : PB_NOSTR;

	if (!pb_str_trim(s).len)
		return pb_fail(err, PB_EINVALID, "a sentence is empty");
	if (s.len > SENTENCE_MAX)
		return pb_fail(err, PB_ETOOBIG, "a sentence has more than %d bytes: '%.*s...'", SENTENCE_MAX, PB_FMT(pb_str_head(s, 60)));
	if (!pb_utf8_valid(s))
		return pb_fail(err, PB_EINVALID, "a sentence is no UTF-8");
	for (size_t i = 0; i < s.len; i++)
		if (((unsigned char)s.ptr[i] < 32 && s.ptr[i] != '\t') || s.ptr[i] == 127)
			return pb_fail(err, PB_EINVALID, "a sentence has a control character behind '%.*s'", PB_FMT(pb_str_head(s, i < 60 ? i : 60)));
	*ret = (struct sentence){ s, s };
	return 0;
}

static int write_conditions(struct writing *w, const json_t *when, bool any, struct pb_error *err)
{
	size_t n = json_array_size(when);

	if (!n || n > CONDITIONS_MAX)
		return pb_fail(err, PB_EINVALID, "a rule has 1 to %d conditions; 'always' is one for every message", CONDITIONS_MAX);
	put_plain(w, n == 1 ? "if " : any ? "if anyof (" : "if allof (");
	for (size_t i = 0; i < n; i++) {
		struct sentence s;

		if (sentence_of(json_array_get(when, i), &s, err))
			return err->code;
		put_plain(w, i ? ",\n\t" : "");
		if (condition_write(w, &s, err))
			return err->code;
	}
	put_plain(w, n == 1 ? " {\n" : ") {\n");
	return 0;
}

static int write_deeds(struct writing *w, const json_t *deeds, struct pb_error *err)
{
	struct deeds d = { .first = PB_BUF, .middle = PB_BUF };
	size_t n = json_array_size(deeds);
	struct pb_buf *out = w->out;
	struct sentence s;
	int rc = n && n <= DEEDS_MAX ? 0 : pb_fail(err, PB_EINVALID, "a rule has 1 to %d things to do", DEEDS_MAX);

	for (size_t i = 0; i < n && !rc; i++) {
		rc = sentence_of(json_array_get(deeds, i), &s, err);
		if (!rc)
			rc = deed_write(w, &s, &d, err);
	}
	if (!rc && d.refuses && d.keeps)
		rc = pb_fail(err, PB_EINVALID, "what is rejected cannot be moved, copied, kept or sent on by the same rule");
	w->out = out;
	if (!rc) {
		pb_buf_addstr(out, pb_buf_str(&d.first));
		pb_buf_addstr(out, pb_buf_str(&d.middle));
		put_plain(w, d.stops ? "\tstop;\n}\n" : "}\n");
	}
	pb_buf_free(&d.first);
	pb_buf_free(&d.middle);
	return rc;
}

int words_rule(const json_t *when, bool any, const json_t *deeds, enum rule_scope scope, struct pb_buf *sieve, json_t **ret_needs, struct pb_error *err)
{
	PB_AUTOBUF(command);
	struct writing w = { .arena = pb_arena_new(), .out = &command, .scope = scope };
	int rc = write_conditions(&w, when, any, err);

	if (!rc)
		rc = write_deeds(&w, deeds, err);
	pb_arena_free(w.arena);
	if (rc)
		return rc;
	if (w.dollar) {
		w.needs |= NEED_VARIABLES;
		pb_buf_addz(sieve, "set \"dollar\" \"$\";\n");
	}
	pb_buf_addstr(sieve, pb_buf_str(&command));
	*ret_needs = json_array();
	for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
		if (w.needs & 1u << i)
			json_array_append_new(*ret_needs, json_string(extensions[i]));
	return 0;
}
