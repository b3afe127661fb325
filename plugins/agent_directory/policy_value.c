/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values of settings from the words that people write, checked, and what is said to wrong ones. Knows types, no key by name.
 */
#include <stdlib.h>
#include <postbus/address.h>
#include <postbus/date.h>
#include "policy.h"

static void list_words(struct pb_buf *out, const char *const *words)
{
	for (size_t i = 0; words[i]; i++)
		pb_buf_addf(out, "%s%s", i ? ", " : "", words[i]);
}

void policy_allowed(struct pb_buf *out, const struct policy_key *k)
{
	long long min = k->min, max = k->max;

	switch (k->type) {
	case POLICY_INTEGER:
		pb_buf_addf(out, "an integer from %lld to %lld", min, max);
		break;
	case POLICY_BOOLEAN:
		pb_buf_addz(out, "yes or no");
		break;
	case POLICY_SECONDS:
		pb_buf_addf(out, "a time like 90, 15m, 2h or 5d, from %lld to %lld seconds", min, max);
		break;
	case POLICY_BYTES:
		pb_buf_addz(out, "a size like 1048576, 64K, 10M or 2G");
		break;
	case POLICY_LINE:
		pb_buf_addf(out, "a line of %lld to %lld bytes", min, max);
		break;
	case POLICY_TEXT:
		pb_buf_addf(out, "a text of at most %lld bytes", max);
		break;
	case POLICY_ADDRESS:
		pb_buf_addz(out, "a mail address, or nothing");
		break;
	case POLICY_PATH:
		pb_buf_addz(out, "an absolute path, or nothing");
		break;
	case POLICY_MOMENT:
		pb_buf_addz(out, "a time like 2026-12-24 or 2026-12-24T17:00:00Z, or nothing");
		break;
	case POLICY_HOURS:
		pb_buf_addz(out, "hours like 'Mon-Fri 18:00-08:00; Sat-Sun', or nothing");
		break;
	case POLICY_ENUM:
		pb_buf_addz(out, "one of ");
		list_words(out, k->words);
		break;
	case POLICY_WORDS:
		pb_buf_addz(out, "some of ");
		list_words(out, k->words);
		pb_buf_addz(out, " with commas between them, or none");
		break;
	case POLICY_NUMBERS:
		pb_buf_addf(out, "integers from %lld to %lld with commas between them, or none", min, max);
		break;
	case POLICY_MAP:
		pb_buf_addf(out, "at most %lld pairs NAME=VALUE with commas between them or a JSON object, each VALUE ", max);
		policy_allowed(out, k->fields);
		break;
	case POLICY_OBJECT:
		pb_buf_addz(out, "FIELD=VALUE with commas between them, or a JSON object, of ");
		for (const struct policy_key *f = k->fields; f->name; f++)
			pb_buf_addf(out, "%s%s", f == k->fields ? "" : ", ", f->name);
		break;
	}
}

static int refuse(const struct policy_key *k, const char *name, struct pb_str word, struct pb_error *err)
{
	PB_AUTOBUF(allowed);

	policy_allowed(&allowed, k);
	return pb_fail(err, PB_EINVALID, "%s: found '%.*s', allowed is %s", name, PB_FMT(pb_str_head(word, 40)), pb_buf_z(&allowed));
}

/* ---- numbers ---- */

static int64_t unit_of(struct pb_str suffix, bool seconds)
{
	static const struct {
		const char *suffix;
		bool seconds;
		int64_t unit;
	} units[] = {
		{ "s", true, 1 },	   { "m", true, 60 },	      { "h", true, 3600 },	{ "d", true, 86400 },	       { "w", true, 604800 },
		{ "B", false, 1 },	   { "K", false, 1 << 10 },   { "k", false, 1 << 10 },	{ "M", false, 1 << 20 },       { "G", false, 1 << 30 },
		{ "KiB", false, 1 << 10 }, { "MiB", false, 1 << 20 }, { "GiB", false, 1 << 30 }, { "T", false, INT64_C(1) << 40 },
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (units[i].seconds == seconds && pb_str_eq(suffix, pb_strz(units[i].suffix)))
			return units[i].unit;
	return suffix.len ? 0 : 1;
}

static bool parse_number(const struct policy_key *k, struct pb_str word, int64_t *ret)
{
	bool units = k->type == POLICY_SECONDS || k->type == POLICY_BYTES;
	size_t digits = 0;
	int64_t unit, value;
	uint64_t n;

	word = pb_str_trim(word);
	while (digits < word.len && pb_is_digit((unsigned char)word.ptr[digits]))
		digits++;
	unit = units ? unit_of(pb_str_skip(word, digits), k->type == POLICY_SECONDS) : digits == word.len;
	if (!unit || pb_str_u64(pb_str_head(word, digits), INT64_MAX, &n) || __builtin_mul_overflow((int64_t)n, unit, &value))
		return false;
	*ret = value;
	return value >= k->min && value <= k->max;
}

/* ---- strings ---- */

static bool is_clean(struct pb_str text, bool lines)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == 127 || (c < ' ' && !(lines && (c == '\n' || c == '\r' || c == '\t'))))
			return false;
	}
	return pb_utf8_valid(text);
}

static bool is_clock(struct pb_str text)
{
	uint64_t hour, minute;

	return text.len == 5 && text.ptr[2] == ':' && pb_str_u64(pb_str_head(text, 2), 24, &hour) == 0 && pb_str_u64(pb_str_skip(text, 3), 59, &minute) == 0 &&
	       hour * 60 + minute <= 24 * 60;
}

static bool is_span(struct pb_str text, bool (*is_end)(struct pb_str), bool alone)
{
	struct pb_str from;

	if (pb_str_find(text, '-', 0) < 0)
		return alone && is_end(text);
	return pb_str_cut(&text, '-', &from) && is_end(from) && is_end(text);
}

static bool is_day(struct pb_str text)
{
	static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

	for (size_t i = 0; i < 7; i++)
		if (pb_str_ieq(text, pb_strz(days[i])))
			return true;
	return false;
}

/* "Mon-Fri 18:00-08:00; Sat-Sun; 12:00-13:00": days, hours, or both. */
static bool is_hours(struct pb_str text)
{
	struct pb_str one, word, rest;

	while (pb_str_cut(&text, ';', &one)) {
		rest = pb_str_trim(one);
		if (!pb_str_word(&rest, &word))
			return false;
		if (is_span(word, is_clock, false) ? pb_str_trim(rest).len : !is_span(word, is_day, true))
			return false;
		if (pb_str_word(&rest, &word) && (!is_span(word, is_clock, false) || pb_str_trim(rest).len))
			return false;
	}
	return true;
}

static bool is_string(const struct policy_key *k, struct pb_str word)
{
	int64_t moment;
	struct name n;

	if ((int64_t)word.len < k->min || (int64_t)word.len > k->max || !is_clean(word, k->type == POLICY_TEXT))
		return false;
	if (!word.len)
		return true;
	switch (k->type) {
	case POLICY_ADDRESS:
		return name_parse(&n, word, NULL) == 0;
	case POLICY_PATH:
		return word.ptr[0] == '/' && word.ptr[word.len - 1] != '/' && pb_str_search(word, PB_STR("/../"), 0) < 0;
	case POLICY_MOMENT:
		return pb_date_iso_parse(word, &moment) == 0;
	case POLICY_HOURS:
		return is_hours(word);
	default:
		return true;
	}
}

static bool is_among(const char *const *words, struct pb_str word)
{
	for (size_t i = 0; words[i]; i++)
		if (pb_str_eq(word, pb_strz(words[i])))
			return true;
	return false;
}

/* ---- lists ---- */

static bool is_none(struct pb_str word)
{
	return !word.len || pb_str_eq(word, PB_STR("none"));
}

static bool has(const json_t *list, const json_t *one)
{
	const json_t *v;
	size_t i;

	json_array_foreach ((json_t *)list, i, v)
		if (json_equal(v, one))
			return true;
	return false;
}

/* Numbers stay in order. */
static void insert(json_t *list, json_t *one)
{
	size_t at = json_is_integer(one) ? 0 : json_array_size(list);

	while (at < json_array_size(list) && json_integer_value(json_array_get(list, at)) < json_integer_value(one))
		at++;
	json_array_insert_new(list, at, one);
}

static int parse_list(const struct policy_key *k, const char *name, struct pb_str word, json_t **ret, struct pb_error *err)
{
	struct pb_str rest = word, part;
	json_t *list = json_array(), *one;
	int64_t n;

	while (!is_none(word) && pb_str_cut(&rest, ',', &part)) {
		part = pb_str_trim(part);
		one = NULL;
		if (k->type == POLICY_WORDS && is_among(k->words, part))
			one = json_stringn(part.ptr, part.len);
		else if (k->type == POLICY_NUMBERS && json_array_size(list) < 20 && parse_number(k, part, &n))
			one = json_integer(n);
		if (!one) {
			json_decref(list);
			return refuse(k, name, part, err);
		}
		if (has(list, one))
			json_decref(one);
		else
			insert(list, one);
	}
	*ret = list;
	return 0;
}

/* ---- objects ---- */

/* The word that stands for a value of JSON. */
static void word_of(struct pb_buf *out, const json_t *v)
{
	const json_t *one;
	size_t i;

	if (json_is_string(v))
		pb_buf_add(out, json_string_value(v), json_string_length(v));
	else if (json_is_integer(v))
		pb_buf_addf(out, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		pb_buf_addz(out, json_is_true(v) ? "yes" : "no");
	json_array_foreach ((json_t *)v, i, one) {
		if (i)
			pb_buf_addc(out, ',');
		word_of(out, one);
	}
}

static int add_pair(const struct policy_key *k, const char *name, json_t *object, struct pb_str key, struct pb_str word, struct pb_error *err)
{
	const struct policy_key *field;
	char called[300], *folder;
	json_t *value;
	int rc;

	if (!key.len || key.len > 200 || !is_clean(key, false) || (k->type == POLICY_MAP && (int64_t)json_object_size(object) >= k->max))
		return refuse(k, name, key, err);
	rc = policy_field(k, key, &field, err);
	snprintf(called, sizeof called, "%s.%.*s", name, PB_FMT(pb_str_head(key, 200)));
	if (!rc)
		rc = policy_parse(field, called, word, &value, err);
	if (rc)
		return rc;
	folder = pb_str_dup(key);
	json_object_set_new(object, folder, value);
	free(folder);
	return 0;
}

static int take_json(const struct policy_key *k, const char *name, struct pb_str word, json_t *object, struct pb_error *err)
{
	json_t *given = json_loadb(word.ptr, word.len, JSON_REJECT_DUPLICATES, NULL), *v;
	const char *key;
	int rc = 0;

	if (!json_is_object(given))
		rc = refuse(k, name, word, err);
	else
		json_object_foreach (given, key, v) {
			PB_AUTOBUF(text);

			word_of(&text, v);
			rc = add_pair(k, name, object, pb_strz(key), pb_buf_str(&text), err);
			if (rc)
				break;
		}
	json_decref(given);
	return rc;
}

static int parse_object(const struct policy_key *k, const char *name, struct pb_str word, json_t **ret, struct pb_error *err)
{
	json_t *object = json_object();
	struct pb_str rest = word, pair, key;
	int rc = 0;

	if (word.len && word.ptr[0] == '{') {
		rc = take_json(k, name, word, object, err);
	} else {
		while (!rc && !is_none(word) && pb_str_cut(&rest, ',', &pair)) {
			rc = pb_str_find(pair, '=', 0) < 0 ? refuse(k, name, pair, err) : 0;
			if (!rc && pb_str_cut(&pair, '=', &key))
				rc = add_pair(k, name, object, pb_str_trim(key), pair, err);
		}
	}
	if (rc)
		json_decref(object);
	else
		*ret = object;
	return rc;
}

int policy_parse(const struct policy_key *k, const char *name, struct pb_str word, json_t **ret, struct pb_error *err)
{
	bool yes = pb_str_eq(word, PB_STR("yes")) || pb_str_eq(word, PB_STR("true")) || pb_str_eq(word, PB_STR("on"));
	bool no = pb_str_eq(word, PB_STR("no")) || pb_str_eq(word, PB_STR("false")) || pb_str_eq(word, PB_STR("off"));
	int64_t n;

	switch (k->type) {
	case POLICY_INTEGER:
	case POLICY_SECONDS:
	case POLICY_BYTES:
		if (!parse_number(k, word, &n))
			return refuse(k, name, word, err);
		*ret = json_integer(n);
		return 0;
	case POLICY_BOOLEAN:
		if (!yes && !no)
			return refuse(k, name, word, err);
		*ret = json_boolean(yes);
		return 0;
	case POLICY_WORDS:
	case POLICY_NUMBERS:
		return parse_list(k, name, word, ret, err);
	case POLICY_MAP:
	case POLICY_OBJECT:
		return parse_object(k, name, word, ret, err);
	default:
		if (k->type == POLICY_ENUM ? !is_among(k->words, word) : !is_string(k, word))
			return refuse(k, name, word, err);
		*ret = json_stringn(word.len ? word.ptr : "", word.len);
		return 0;
	}
}
