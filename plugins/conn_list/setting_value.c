/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is given for a setting, as the value that is kept. */
#include <stdlib.h>
#include <crypt.h>
#include <postbus/address.h>
#include <postbus/error.h>
#include <postbus/secret.h>
#include "setting.h"

enum { LINE_MAX_LEN = 500, BLOCK_MAX_LEN = 32768, ENTRIES_MAX = 10000 };

static const char *const kind_names[] = {
	[SETTING_FLAG] = "yes or no", [SETTING_NUMBER] = "number",   [SETTING_SECONDS] = "time", [SETTING_BYTES] = "size",	    [SETTING_WORD] = "word",
	[SETTING_TEXT] = "line",      [SETTING_BLOCK] = "text",      [SETTING_SECRET] = "secret", [SETTING_ADDRESSES] = "addresses", [SETTING_TOPICS] = "topics",
	[SETTING_ADDRESS] = "address", [SETTING_URL] = "URL",
};

const char *setting_kind_name(enum setting_kind kind)
{
	return kind_names[kind];
}

static int parse_flag(const struct setting *s, struct pb_str word, json_t **ret, struct pb_error *err)
{
	static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };

	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
		if (pb_str_ieq(word, pb_strz(yes[i])) || pb_str_ieq(word, pb_strz(no[i]))) {
			*ret = json_boolean(pb_str_ieq(word, pb_strz(yes[i])));
			return 0;
		}
	}
	return pb_fail(err, PB_EINVALID, "%s is yes or no, not '%.*s'", s->name, PB_FMT(pb_str_head(word, 60)));
}

/* 12, 12k, 7d: digits and a letter that multiplies them. */
static int parse_count(const struct setting *s, struct pb_str word, const char *letters, const int64_t *factors, json_t **ret, struct pb_error *err)
{
	const char *found = word.len ? strchr(letters, pb_lower((unsigned char)word.ptr[word.len - 1])) : NULL;
	int64_t factor = found && *found ? factors[found - letters] : 1;
	struct pb_str digits = found && *found ? pb_str_head(word, word.len - 1) : word;
	uint64_t n;

	if (pb_str_u64(digits, INT64_MAX / 2, &n) || n > (uint64_t)(INT64_MAX / 2 / factor))
		return pb_fail(err, PB_EINVALID, "%s is a %s (%s), not '%.*s'", s->name, setting_kind_name(s->kind),
			       s->kind == SETTING_SECONDS ? "90, 15m, 12h, 7d" : s->kind == SETTING_BYTES ? "40000, 40k, 10m" : "digits", PB_FMT(pb_str_head(word, 60)));
	if ((int64_t)n * factor < s->min || (int64_t)n * factor > s->max)
		return pb_fail(err, PB_EINVALID, "%s lies between %lld and %lld, not '%.*s'", s->name, (long long)s->min, (long long)s->max, PB_FMT(pb_str_head(word, 60)));
	*ret = json_integer((json_int_t)((int64_t)n * factor));
	return 0;
}

static int parse_word(const struct setting *s, struct pb_str word, json_t **ret, struct pb_error *err)
{
	struct pb_str rest = pb_strz(s->words), one;

	while (pb_str_word(&rest, &one)) {
		if (!pb_str_ieq(one, word))
			continue;
		*ret = json_stringn(one.ptr, one.len);
		return 0;
	}
	return pb_fail(err, PB_EINVALID, "%s is one of: %s; not '%.*s'", s->name, s->words, PB_FMT(pb_str_head(word, 60)));
}

static bool is_line(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 127)
			return false;
	return pb_utf8_valid(s);
}

static int parse_text(const struct setting *s, struct pb_str word, json_t **ret, struct pb_error *err)
{
	if (s->kind == SETTING_TEXT && (word.len > LINE_MAX_LEN || !is_line(word)))
		return pb_fail(err, PB_EINVALID, "%s is one line of UTF-8 with at most %d octets", s->name, LINE_MAX_LEN);
	if (word.len > BLOCK_MAX_LEN || !pb_utf8_valid(word) || memchr(word.len ? word.ptr : "", 0, word.len))
		return pb_fail(err, PB_EINVALID, "%s is UTF-8 with at most %d octets", s->name, BLOCK_MAX_LEN);
	*ret = json_stringn(word.len ? word.ptr : "", word.len);
	return 0;
}

static int parse_one_address(const struct setting *s, struct pb_str word, json_t **ret, struct pb_error *err)
{
	struct pb_error why = { 0 };

	if (word.len && (pb_address_parse(word, PB_PATH_UTF8, NULL, &why) || !pb_utf8_valid(word)))
		return pb_fail(err, PB_EINVALID, "%s is an address, not '%.*s': %s", s->name, PB_FMT(pb_str_head(word, 60)), why.text);
	return parse_text(s, word, ret, err);
}

/* It comes into a field between angles, with commas between such: what would end it there is none. */
static int parse_url(const struct setting *s, struct pb_str word, json_t **ret, struct pb_error *err)
{
	bool is = pb_str_istarts(word, PB_STR("https://")) || pb_str_istarts(word, PB_STR("http://"));

	for (size_t i = 0; i < word.len; i++)
		is &= (unsigned char)word.ptr[i] > ' ' && (unsigned char)word.ptr[i] < 127 && !strchr("<>,\"", word.ptr[i]);
	if (word.len && (!is || word.len > LINE_MAX_LEN))
		return pb_fail(err, PB_EINVALID, "%s is a URL, https://..., not '%.*s'", s->name, PB_FMT(pb_str_head(word, 60)));
	return parse_text(s, word, ret, err);
}

static int parse_secret(const struct setting *s, struct pb_str word, json_t **ret, struct pb_error *err)
{
	char salt[CRYPT_GENSALT_OUTPUT_SIZE], *plain;
	struct crypt_data *work;
	const char *hash;

	if (!word.len) {
		*ret = json_string("");
		return 0;
	}
	if (word.len > 128 || !is_line(word))
		return pb_fail(err, PB_EINVALID, "%s is one line of UTF-8 with at most 128 octets", s->name);
	if (!crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof salt))
		return pb_fail(err, PB_EINTERNAL, "no salt for a hash");
	plain = pb_str_dup(word);
	work = pb_alloc(sizeof *work);
	hash = crypt_rn(plain, salt, work, (int)sizeof *work);
	*ret = hash && *hash == '$' ? json_string(hash) : NULL;
	pb_wipe(plain, word.len);
	pb_wipe(work, sizeof *work);
	free(plain);
	free(work);
	return *ret ? 0 : pb_fail(err, PB_EINTERNAL, "no hash of a password");
}

/* ---- lists ---- */

static int parse_address(const struct setting *s, struct pb_str word, json_t *list, struct pb_error *err)
{
	PB_AUTOBUF(normal);
	struct pb_error why = { 0 };

	if (pb_str_starts(word, PB_STR("*@"))) {
		pb_buf_addz(&normal, "*@");
		if (pb_domain_ascii(&normal, pb_str_skip(word, 2), &why))
			return pb_fail(err, PB_EINVALID, "%s: '%.*s': %s", s->name, PB_FMT(pb_str_head(word, 100)), why.text);
	} else if (pb_address_parse(word, PB_PATH_UTF8, NULL, &why) || pb_address_normal(&normal, word, &why)) {
		return pb_fail(err, PB_EINVALID, "%s: '%.*s': %s", s->name, PB_FMT(pb_str_head(word, 100)), why.text);
	}
	json_array_append_new(list, json_stringn(normal.ptr, normal.len));
	return 0;
}

static bool is_topic(struct pb_str word)
{
	struct pb_str pattern = word, name;

	return word.len <= LINE_MAX_LEN && is_line(word) && pb_str_find(word, '=', 0) > 0 && pb_str_cut(&pattern, '=', &name) && pb_str_trim(name).len && pb_str_trim(pattern).len;
}

static int parse_list(const struct setting *s, const json_t *words, json_t **ret, struct pb_error *err)
{
	json_t *list = json_array(), *one;
	size_t i;
	int rc = 0;

	if (json_array_size(words) > ENTRIES_MAX)
		rc = pb_fail(err, PB_ETOOBIG, "%s has more than %d entries", s->name, ENTRIES_MAX);
	json_array_foreach ((json_t *)words, i, one) {
		struct pb_str word = json_is_string(one) ? pb_str(json_string_value(one), json_string_length(one)) : PB_NOSTR;

		if (rc)
			break;
		if (!word.len)
			continue;
		if (s->kind == SETTING_ADDRESSES)
			rc = parse_address(s, word, list, err);
		else if (!is_topic(word))
			rc = pb_fail(err, PB_EINVALID, "%s are NAME=PATTERN, lines of UTF-8 with at most %d octets; not '%.*s'", s->name, LINE_MAX_LEN, PB_FMT(pb_str_head(word, 60)));
		else
			json_array_append(list, one);
	}
	if (rc)
		json_decref(list);
	else
		*ret = list;
	return rc;
}

int setting_parse(const struct setting *s, const json_t *words, json_t **ret, struct pb_error *err)
{
	static const int64_t seconds[] = { 1, 60, 3600, 86400, 604800 }, bytes[] = { 1024, 1 << 20, 1 << 30 };
	const json_t *first = json_array_get(words, 0);
	struct pb_str word = json_is_string(first) ? pb_str(json_string_value(first), json_string_length(first)) : PB_NOSTR;

	if (s->kind == SETTING_ADDRESSES || s->kind == SETTING_TOPICS)
		return parse_list(s, words, ret, err);
	if (json_array_size(words) != 1)
		return pb_fail(err, PB_EINVALID, "%s has one value", s->name);
	switch (s->kind) {
	case SETTING_FLAG:
		return parse_flag(s, word, ret, err);
	case SETTING_NUMBER:
		return parse_count(s, word, "", NULL, ret, err);
	case SETTING_SECONDS:
		return parse_count(s, word, "smhdw", seconds, ret, err);
	case SETTING_BYTES:
		return parse_count(s, word, "kmg", bytes, ret, err);
	case SETTING_WORD:
		return parse_word(s, word, ret, err);
	case SETTING_ADDRESS:
		return parse_one_address(s, word, ret, err);
	case SETTING_URL:
		return parse_url(s, word, ret, err);
	case SETTING_SECRET:
		return parse_secret(s, word, ret, err);
	default:
		return parse_text(s, word, ret, err);
	}
}
