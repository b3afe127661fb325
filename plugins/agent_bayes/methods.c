/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bayes.*: for the administrator of a post office. Export is a page of lines "hash spam ham", so that a large memory fits into answers of bounded size. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <postbus/message.h>
#include "methods.h"

enum { PAGE = 1000, HASH = 8 };

/* The post office that is meant, as the directory writes it; an administrator has his own alone. */
static int office_of(struct bayes *b, const struct pb_caller *who, const json_t *params, struct pb_buf *out, struct pb_error *err)
{
	struct pb_str given = pb_text_of(params, "postoffice");
	json_t *ask, *found = NULL;
	int rc;

	if (who->role == PB_ROLE_ADMIN && (!given.len || pb_str_eq(given, who->postoffice))) {
		pb_buf_addstr(out, who->postoffice);
		return 0;
	}
	if (who->role != PB_ROLE_SYSTEM)
		return pb_fail(err, PB_EDENIED, "another post office is not yours");
	ask = json_pack("{s:s%}", "name", given.ptr, given.len);
	rc = ask ? pb_call(b->host, "postoffice.show", ask, &found, err) : pb_fail(err, PB_EINVALID, "no name of a post office");
	if (!rc)
		pb_buf_addstr(out, pb_text_of(found, "name"));
	json_decref(ask);
	json_decref(found);
	return rc;
}

static int message_of(const json_t *params, struct pb_buf *bytes, struct pb_buf *facts, struct pb_error *err)
{
	if (pb_base64_decode(bytes, pb_text_of(params, "message")))
		return pb_fail(err, PB_EINVALID, "the message is not base64");
	pb_facts_make(pb_buf_str(bytes), facts);
	return 0;
}

METHOD(bayes_learn)
{
	struct bayes *b = self;
	PB_AUTOBUF(office);
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(facts);
	bool fresh;
	int rc = office_of(b, who, params, &office, err);

	if (!rc)
		rc = message_of(params, &bytes, &facts, err);
	if (!rc)
		rc = learn(b, pb_buf_str(&office), pb_buf_str(&bytes), pb_buf_str(&facts),
			   pb_str_eq(pb_text_of(params, "as"), PB_STR("spam")) ? LEARNT_SPAM : LEARNT_HAM, &fresh, err);
	if (!rc)
		*ret_result = json_pack("{s:b}", "new", fresh);
	return rc;
}

METHOD(bayes_judge)
{
	struct bayes *b = self;
	PB_AUTOBUF(office);
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(facts);
	double p;
	int rc = office_of(b, who, params, &office, err);

	if (!rc)
		rc = message_of(params, &bytes, &facts, err);
	if (rc)
		return rc;
	rc = judge(b, pb_buf_str(&office), pb_buf_str(&bytes), pb_buf_str(&facts), &p, err);
	if (rc && rc != PB_ENOTFOUND)
		return rc;
	*ret_result = json_pack("{s:i}", "percent", (int)(p * 100));
	return 0;
}

METHOD(bayes_show)
{
	struct bayes *b = self;
	struct counts all;
	PB_AUTOBUF(office);
	int rc = office_of(b, who, params, &office, err);

	if (!rc)
		rc = words_totals(b, pb_buf_str(&office), &all, err);
	if (!rc)
		*ret_result = json_pack("{s:s, s:I, s:I, s:b}", "postoffice", pb_buf_z(&office), "spam", (json_int_t)all.spam, "ham", (json_int_t)all.ham, "judges",
					all.spam >= b->least && all.ham >= b->least);
	return rc;
}

METHOD(bayes_forget)
{
	struct bayes *b = self;
	PB_AUTOBUF(office);
	int rc = office_of(b, who, params, &office, err);

	return rc ? rc : forget(b, pb_buf_str(&office), err);
}

/* ---- taking along ---- */

struct listing {
	json_t *lines;
	size_t prefix;
	char last[40];
};

static uint64_t hash_get(struct pb_str key)
{
	uint64_t h = 0;

	for (size_t i = 0; i < HASH; i++)
		h = h << 8 | (unsigned char)key.ptr[i];
	return h;
}

static bool add_line(void *arg, struct pb_str key, struct pb_str value)
{
	struct listing *l = arg;
	struct pb_str hash = pb_str_skip(key, l->prefix);
	const unsigned char *v = (const unsigned char *)value.ptr;
	char line[64];

	if (hash.len != HASH || value.len != 8)
		return true;
	snprintf(l->last, sizeof l->last, "%016" PRIx64, hash_get(hash));
	snprintf(line, sizeof line, "%s %u %u", l->last, (unsigned)v[0] << 24 | v[1] << 16 | v[2] << 8 | v[3], (unsigned)v[4] << 24 | v[5] << 16 | v[6] << 8 | v[7]);
	json_array_append_new(l->lines, json_string(line));
	return true;
}

static int hash_parse(struct pb_str hex, struct pb_buf *out, struct pb_error *err)
{
	char text[17] = "";
	uint64_t h;

	if (hex.len == 16)
		memcpy(text, hex.ptr, 16);
	h = strtoull(text, NULL, 16);
	if (strspn(text, "0123456789abcdefABCDEF") != 16)
		return pb_fail(err, PB_EINVALID, "a word is 16 hexadecimal digits");
	for (int i = 0; i < HASH; i++)
		pb_buf_addc(out, (char)(h >> (56 - 8 * i)));
	return 0;
}

METHOD(bayes_export)
{
	struct bayes *b = self;
	struct listing l = { 0 };
	struct counts all;
	PB_AUTOBUF(office);
	PB_AUTOBUF(from);
	PB_AUTOBUF(to);
	int rc = office_of(b, who, params, &office, err);

	if (!rc)
		rc = words_totals(b, pb_buf_str(&office), &all, err);
	if (rc)
		return rc;
	pb_buf_addstr(&from, pb_buf_str(&office));
	pb_buf_addstr(&to, pb_buf_str(&office));
	pb_buf_addc(&from, '\0');
	pb_buf_addc(&to, '\1');
	l.prefix = from.len;
	l.lines = json_array();
	if (pb_text_of(params, "after").len)
		rc = hash_parse(pb_text_of(params, "after"), &from, err);
	pb_buf_addc(&from, '\0');
	if (!rc)
		rc = pb_table_scan(b->words, pb_buf_str(&from), pb_buf_str(&to), PAGE, add_line, &l, err);
	if (rc) {
		json_decref(l.lines);
		return rc;
	}
	*ret_result = json_pack("{s:I, s:I, s:o}", "spam", (json_int_t)all.spam, "ham", (json_int_t)all.ham, "words", l.lines);
	if (json_array_size(l.lines) == PAGE)
		json_object_set_new(*ret_result, "next", json_string(l.last));
	return 0;
}

static bool read_line(const json_t *line, struct pb_str *ret_hex, uint64_t *ret_spam, uint64_t *ret_ham)
{
	struct pb_str rest = json_is_string(line) ? pb_str(json_string_value(line), json_string_length(line)) : PB_NOSTR, spam, ham;

	return pb_str_word(&rest, ret_hex) && pb_str_word(&rest, &spam) && pb_str_word(&rest, &ham) && !pb_str_trim(rest).len &&
	       pb_str_u64(spam, UINT32_MAX, ret_spam) == 0 && pb_str_u64(ham, UINT32_MAX, ret_ham) == 0;
}

/* Lines as export gives them; messages once, with the first page. Replaces words that are known. */
static int take_lines(struct bayes *b, struct pb_str office, const json_t *lines, struct pb_error *err)
{
	struct pb_arena *arena = pb_arena_new();
	struct pb_change *changes = pb_arena_alloc(arena, (json_array_size(lines) + 1) * sizeof *changes);
	const json_t *line;
	size_t i, n = 0;
	int rc = 0;

	json_array_foreach(lines, i, line) {
		uint64_t spam, ham;
		struct pb_str hex;
		unsigned char *value = pb_arena_alloc(arena, 8);
		PB_AUTOBUF(key);

		pb_buf_addstr(&key, office);
		pb_buf_addc(&key, '\0');
		if (!read_line(line, &hex, &spam, &ham))
			rc = pb_fail(err, PB_EINVALID, "line %zu is not 'word spam ham'", i + 1);
		else
			rc = hash_parse(hex, &key, err);
		if (rc)
			break;
		for (int k = 0; k < 4; k++) {
			value[k] = (unsigned char)(spam >> (24 - 8 * k));
			value[4 + k] = (unsigned char)(ham >> (24 - 8 * k));
		}
		changes[n++] = (struct pb_change){ PB_PUT, pb_arena_str(arena, pb_buf_str(&key)), pb_str((char *)value, 8) };
	}
	if (!rc && n)
		rc = pb_table_apply(b->words, changes, n, err);
	pb_arena_free(arena);
	return rc;
}

static int take_totals(struct bayes *b, struct pb_str office, const json_t *params, struct pb_error *err)
{
	uint32_t all[2] = { (uint32_t)json_integer_value(json_object_get(params, "spam")), (uint32_t)json_integer_value(json_object_get(params, "ham")) };
	char value[8];
	PB_AUTOBUF(key);

	if (!json_object_get(params, "spam") && !json_object_get(params, "ham"))
		return 0;
	for (int i = 0; i < 8; i++)
		value[i] = (char)(all[i / 4] >> (24 - 8 * (i % 4)));
	pb_buf_addstr(&key, office);
	pb_buf_addc(&key, '\0');
	return pb_table_apply(b->words, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_str(value, 8) }, 1, err);
}

METHOD(bayes_import)
{
	struct bayes *b = self;
	PB_AUTOBUF(office);
	int rc = office_of(b, who, params, &office, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&b->learning);
	rc = take_lines(b, pb_buf_str(&office), json_object_get(params, "words"), err);
	if (!rc)
		rc = take_totals(b, pb_buf_str(&office), params, err);
	pthread_mutex_unlock(&b->learning);
	return rc;
}
