/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be asked of a message: "[not] FIELD OPERATOR VALUE", each a row of the table of fields, written as a Sieve test. */
#include <postbus/address.h>
#include "words.h"
#include "sieve/sieve.h"

enum { OP_IS, OP_CONTAINS, OP_MATCHES, OP_REGEX, OP_BEGINS, OP_ENDS };

struct field {
	const char *phrase;
	int (*write)(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err);
	const char *test, *args;		/* Sieve before and behind the match type */
	unsigned needs;
	const char *choices;			/* words that may stand as the value */
};

/* ---- texts ---- */

static const struct { const char *word, *tag; } operators[] = {
	[OP_IS] = { "is", ":is" }, [OP_CONTAINS] = { "contains", ":contains" }, [OP_MATCHES] = { "matches", ":matches" },
	[OP_REGEX] = { "regex", ":regex" }, [OP_BEGINS] = { "begins with", ":matches" }, [OP_ENDS] = { "ends with", ":matches" },
};

static const char *operator_phrase(size_t i)
{
	return i < sizeof operators / sizeof *operators ? operators[i].word : NULL;
}

/* "is not" is how people say it. */
static int take_operator(struct sentence *s, bool *ret_not, struct pb_error *err)
{
	struct pb_str rest = s->rest, word;
	int op;

	*ret_not = sentence_take(s, "is not");
	if (*ret_not)
		return OP_IS;
	if (!pb_str_word(&rest, &word)) {
		pb_fail(err, PB_EINVALID, "behind '%.*s' comes one of: is, contains, matches, regex, begins with, ends with", PB_FMT(sentence_said(s)));
		return -1;
	}
	op = phrase_find(s, operator_phrase, "is not how a text is compared; allowed are is, contains, matches, regex, begins with, ends with", err);
	return op;
}

/* For :matches: what has a meaning there is escaped, but for stars where they are meant. */
static struct pb_str wildcards(struct writing *w, struct pb_str text, bool stars, const char *before, const char *behind)
{
	PB_AUTOBUF(out);

	pb_buf_addz(&out, before);
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '?' || text.ptr[i] == '\\' || (text.ptr[i] == '*' && !stars))
			pb_buf_addc(&out, '\\');
		pb_buf_addc(&out, text.ptr[i]);
	}
	pb_buf_addz(&out, behind);
	return pb_arena_str(w->arena, pb_buf_str(&out));
}

static bool has_star(const struct text *t)
{
	return !t->quoted && pb_str_find(t->text, '*', 0) >= 0;
}

static bool is_ascii(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 127)
			return false;
	return true;
}

static void make_keys(struct writing *w, int op, const struct text *texts, size_t n, struct pb_str *keys, bool *ret_starred)
{
	*ret_starred = false;
	for (size_t i = 0; i < n; i++)
		*ret_starred |= op == OP_IS && has_star(&texts[i]);
	for (size_t i = 0; i < n; i++) {
		struct pb_str text = texts[i].text;

		if (*ret_starred)
			keys[i] = wildcards(w, text, has_star(&texts[i]), "", "");
		else if (op == OP_BEGINS || op == OP_ENDS)
			keys[i] = wildcards(w, text, false, op == OP_ENDS ? "*" : "", op == OP_BEGINS ? "*" : "");
		else
			keys[i] = text;
	}
}

static int take_texts(struct writing *w, struct sentence *s, int op, struct text *texts, size_t *ret_n, struct pb_error *err)
{
	if (op != OP_REGEX)
		return sentence_texts(w, s, texts, ret_n, err);
	*ret_n = 1;
	if (sentence_text(w, s, texts, err))
		return err->code;
	return sieve_regex_valid(texts[0].text) ? 0 : pb_fail(err, PB_EINVALID, "'%.*s' is no regular expression", PB_FMT(pb_str_head(texts[0].text, 100)));
}

static int write_match(struct writing *w, const struct field *f, int op, struct sentence *s, struct pb_error *err)
{
	struct text texts[VALUES_MAX];
	struct pb_str keys[VALUES_MAX];
	bool starred, ascii = true;
	size_t n;

	if (take_texts(w, s, op, texts, &n, err))
		return err->code;
	make_keys(w, op, texts, n, keys, &starred);
	for (size_t i = 0; i < n; i++)
		ascii &= is_ascii(keys[i]);
	w->needs |= f->needs | (op == OP_REGEX ? NEED_REGEX : 0) | (ascii ? 0 : NEED_UNICODE);
	put_plain(w, f->test);
	put_plain(w, " ");
	put_plain(w, starred ? ":matches" : operators[op].tag);
	if (!ascii)
		put_plain(w, " :comparator \"i;unicode-casemap\"");
	put_plain(w, " ");
	put_plain(w, f->args);
	if (*f->args)
		put_plain(w, " ");
	put_texts(w, keys, n);
	return 0;
}

static int write_text(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	bool no;
	int op = take_operator(s, &no, err);

	if (op < 0)
		return err->code;
	put_plain(w, no ? "not " : "");
	return write_match(w, f, op, s, err);
}

/* Whole addresses are compared as addresses; parts of them are looked for in all that the field says, names too. */
static int write_address(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	struct field whole = *f;
	bool no;
	int op = take_operator(s, &no, err);

	if (op < 0)
		return err->code;
	put_plain(w, no ? "not " : "");
	if (op == OP_CONTAINS || op == OP_REGEX)
		whole.test = "header";
	return write_match(w, &whole, op, s, err);
}

static int write_header(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	struct writing quoted = *w;
	struct field named = *f;
	struct pb_str name = PB_NOSTR;
	PB_AUTOBUF(args);

	sentence_word(s, &name);
	if (!field_name_valid(name))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no name of a header field", PB_FMT(pb_str_head(name, 60)));
	quoted.out = &args;
	put_text(&quoted, name);
	w->dollar = quoted.dollar;
	if (sentence_take(s, "exists")) {
		put_plain(w, "exists ");
		put_plain(w, pb_buf_z(&args));
		return sentence_end(s, err);
	}
	named.args = pb_buf_z(&args);
	return write_text(w, &named, s, err);
}

/* ---- words of a list ---- */

/* choices: "word=keys" with a blank between; keys are Sieve strings. Without "=" the word is its own key. */
static bool choose(const char *choices, struct pb_str word, struct pb_str *ret_keys)
{
	struct pb_str rest = pb_strz(choices), one, name;

	while (pb_str_word(&rest, &one)) {
		pb_str_cut(&one, '=', &name);
		if (pb_str_ieq(name, word)) {
			*ret_keys = one.ptr ? one : name;
			return true;
		}
	}
	return false;
}

static int no_choice(const struct field *f, struct pb_str word, struct pb_error *err)
{
	struct pb_str rest = pb_strz(f->choices), one, name;
	PB_AUTOBUF(all);

	while (pb_str_word(&rest, &one)) {
		pb_str_cut(&one, '=', &name);
		pb_buf_addf(&all, "%s%.*s", all.len ? ", " : "", PB_FMT(name));
	}
	return pb_fail(err, PB_EINVALID, "'%.*s' cannot be a value of %s; allowed are %s", PB_FMT(pb_str_head(word, 40)), f->phrase, pb_buf_z(&all));
}

static int write_choice(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	struct pb_str keys[VALUES_MAX], word;
	size_t n = 0;
	bool no = sentence_take(s, "is not");

	if (!no)
		sentence_take(s, "is");		/* "direction in" says as much */
	do {
		struct pb_str found, key;

		word = PB_NOSTR;
		sentence_word(s, &word);
		if (!choose(f->choices, word, &found))
			return no_choice(f, word, err);
		while (pb_str_cut(&found, ',', &key))
			if (n < VALUES_MAX)
				keys[n++] = key;
	} while (sentence_take(s, "or"));
	w->needs |= f->needs;
	put_plain(w, no ? "not " : "");
	put_plain(w, f->test);
	put_plain(w, " ");
	put_texts(w, keys, n);
	return sentence_end(s, err);
}

/* ---- what has no value ---- */

static int write_plain(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	w->needs |= f->needs;
	put_plain(w, f->test);
	return sentence_end(s, err);
}

/* ---- numbers ---- */

static int take_relation(struct sentence *s, bool *ret_over, struct pb_error *err)
{
	struct pb_str word = PB_NOSTR;

	*ret_over = sentence_take(s, "over");
	if (*ret_over || sentence_take(s, "under"))
		return 0;
	sentence_word(s, &word);
	return pb_fail(err, PB_EINVALID, "'%.*s' is not how a number is compared; allowed are over, under", PB_FMT(pb_str_head(word, 40)));
}

/* "10M", "10 MB". */
static int take_bytes(struct sentence *s, uint64_t *ret, struct pb_error *err)
{
	struct pb_str all = pb_str_trim(s->rest), unit;
	size_t digits = 0;

	while (digits < all.len && pb_is_digit(all.ptr[digits]))
		digits++;
	unit = pb_str_trim(pb_str_skip(all, digits));
	if (pb_str_u64(pb_str_head(all, digits), 1 << 30, ret))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no size: 10M is one, 200K and 1G are", PB_FMT(pb_str_head(all, 40)));
	if (pb_str_ieq(unit, PB_STR("K")) || pb_str_ieq(unit, PB_STR("KB")))
		*ret <<= 10;
	else if (pb_str_ieq(unit, PB_STR("M")) || pb_str_ieq(unit, PB_STR("MB")))
		*ret <<= 20;
	else if (pb_str_ieq(unit, PB_STR("G")) || pb_str_ieq(unit, PB_STR("GB")))
		*ret <<= 30;
	else if (unit.len)
		return pb_fail(err, PB_EINVALID, "'%.*s' is no unit of a size; allowed are K, M, G", PB_FMT(pb_str_head(unit, 40)));
	return 0;
}

static int write_size(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	uint64_t bytes;
	bool over;

	if (take_relation(s, &over, err) || take_bytes(s, &bytes, err))
		return err->code;
	pb_buf_addf(w->out, "%s :%s %llu", f->test, over ? "over" : "under", (unsigned long long)bytes);
	return 0;
}

static int write_count(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	struct pb_str word = PB_NOSTR;
	uint64_t n;
	bool over;

	if (take_relation(s, &over, err))
		return err->code;
	sentence_word(s, &word);
	if (pb_str_u64(word, 1000000, &n))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no number up to 1000000", PB_FMT(pb_str_head(word, 40)));
	w->needs |= f->needs;
	pb_buf_addf(w->out, "%s :value \"%s\" :comparator \"i;ascii-numeric\" %s \"%llu\"", f->test, over ? "gt" : "lt", f->args, (unsigned long long)n);
	return sentence_end(s, err);
}

/* "-1.5": a sign, up to six digits, and three behind a point. */
static bool is_decimal(struct pb_str s)
{
	struct pb_str rest = s.len && s.ptr[0] == '-' ? pb_str_skip(s, 1) : s, whole;
	uint64_t n;

	pb_str_cut(&rest, '.', &whole);
	return pb_str_u64(whole, 999999, &n) == 0 && (!rest.ptr || (rest.len <= 3 && pb_str_u64(rest, 999, &n) == 0));
}

static int write_score(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	struct pb_str word = PB_NOSTR;
	bool over;

	if (take_relation(s, &over, err))
		return err->code;
	sentence_word(s, &word);
	if (!is_decimal(word))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no score: 5 is one, 4.5 and -1 are", PB_FMT(pb_str_head(word, 40)));
	w->needs |= f->needs;
	pb_buf_addf(w->out, "%s \"%s:%.*s\" \"yes\"", f->test, over ? "spam_over" : "spam_under", PB_FMT(word));
	return sentence_end(s, err);
}

/* ---- the client ---- */

/* An item whose name has the value in it, for each value. */
static int write_each(struct writing *w, const struct field *f, struct sentence *s, bool (*valid)(struct pb_str value), const char *example, struct pb_error *err)
{
	struct text list[VALUES_MAX];
	size_t n;

	if (sentence_texts(w, s, list, &n, err))
		return err->code;
	put_plain(w, n > 1 ? "anyof (" : "");
	for (size_t i = 0; i < n; i++) {
		if (!valid(list[i].text))
			return pb_fail(err, PB_EINVALID, "'%.*s' is %s", PB_FMT(pb_str_head(list[i].text, 60)), example);
		pb_buf_addf(w->out, "%svnd_postbus_item \"%s:%.*s\" \"yes\"", i ? ", " : "", f->args, PB_FMT(list[i].text));
	}
	put_plain(w, n > 1 ? ")" : "");
	w->needs |= f->needs;
	return 0;
}

static int write_network(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	static const struct field text = { .test = "vnd_postbus_item", .args = "\"client\"", .needs = NEED_ITEM };
	bool no = sentence_take(s, "is not");

	if (!no && !sentence_take(s, "is"))
		return write_text(w, &text, s, err);
	put_plain(w, no ? "not " : "");
	return write_each(w, f, s, network_valid, "no address and no network: 192.0.2.0/24 is one", err);
}

static bool zone_valid(struct pb_str zone)
{
	return zone.len <= 150 && pb_domain_check(zone, 0, NULL) == 0;
}

static int write_dnsbl(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	return write_each(w, f, s, zone_valid, "no zone of a DNSBL: zen.example would be one", err);
}

/* ---- moments ---- */

static int write_date(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	(void)f;
	return date_write(w, s, err);
}

static int write_time(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	(void)f;
	return time_write(w, s, err);
}

static int write_weekday(struct writing *w, const struct field *f, struct sentence *s, struct pb_error *err)
{
	(void)f;
	return weekday_write(w, s, err);
}

/* ---- the table: longer phrases before those that they begin with ---- */

#define ATTACHED "[\"Content-Disposition\", \"Content-Type\"]"
#define VERDICTS "pass fail softfail neutral none policy temperror permerror"

static const struct field fields[] = {
	{ .phrase = "to-or-cc", .write = write_address, .test = "address", .args = "[\"to\", \"cc\"]" },
	{ .phrase = "to", .write = write_address, .test = "address", .args = "\"to\"" },
	{ .phrase = "cc", .write = write_address, .test = "address", .args = "\"cc\"" },
	{ .phrase = "from", .write = write_address, .test = "address", .args = "\"from\"" },
	{ .phrase = "reply-to", .write = write_address, .test = "address", .args = "\"reply-to\"" },
	{ .phrase = "sender authenticated", .write = write_plain, .test = "vnd_postbus_item \"authenticated\" \"yes\"", .needs = NEED_ITEM },
	{ .phrase = "sender is authenticated", .write = write_plain, .test = "vnd_postbus_item \"authenticated\" \"yes\"", .needs = NEED_ITEM },
	{ .phrase = "sender not authenticated", .write = write_plain, .test = "not vnd_postbus_item \"authenticated\" \"yes\"", .needs = NEED_ITEM },
	{ .phrase = "sender is not authenticated", .write = write_plain, .test = "not vnd_postbus_item \"authenticated\" \"yes\"", .needs = NEED_ITEM },
	{ .phrase = "sender", .write = write_text, .test = "envelope", .args = "\"from\"", .needs = NEED_ENVELOPE },
	{ .phrase = "recipients", .write = write_count, .test = "vnd_postbus_item", .args = "\"recipients\"", .needs = NEED_ITEM | NEED_RELATIONAL | NEED_NUMERIC },
	{ .phrase = "recipient", .write = write_text, .test = "envelope", .args = "\"to\"", .needs = NEED_ENVELOPE },
	{ .phrase = "subject", .write = write_text, .test = "header", .args = "\"subject\"" },
	{ .phrase = "header", .write = write_header, .test = "header" },
	{ .phrase = "any header", .write = write_text, .test = "vnd_postbus_item", .args = "\"any_header\"", .needs = NEED_ITEM },
	{ .phrase = "body", .write = write_text, .test = "body :text", .args = "", .needs = NEED_BODY },
	{ .phrase = "priority", .write = write_choice, .test = "vnd_postbus_item \"priority\"", .needs = NEED_ITEM, .choices = "high=1,2 normal=3 low=4,5" },
	{ .phrase = "size", .write = write_size, .test = "size" },
	{ .phrase = "has attachment", .write = write_plain, .test = "vnd_postbus_item \"has_attachment\" \"yes\"", .needs = NEED_ITEM },
	{ .phrase = "has no attachment", .write = write_plain, .test = "not vnd_postbus_item \"has_attachment\" \"yes\"", .needs = NEED_ITEM },
	{ .phrase = "attachment name", .write = write_text, .test = "header :mime :anychild :param [\"filename\", \"name\"]", .args = ATTACHED, .needs = NEED_MIME },
	{ .phrase = "spf", .write = write_choice, .test = "vnd_postbus_item \"spf\"", .needs = NEED_ITEM, .choices = VERDICTS },
	{ .phrase = "dkim", .write = write_choice, .test = "vnd_postbus_item \"dkim\"", .needs = NEED_ITEM, .choices = VERDICTS },
	{ .phrase = "dmarc", .write = write_choice, .test = "vnd_postbus_item \"dmarc\"", .needs = NEED_ITEM, .choices = VERDICTS },
	{ .phrase = "spam score", .write = write_score, .test = "vnd_postbus_item", .needs = NEED_ITEM },
	{ .phrase = "virus found", .write = write_plain, .test = "virustest \"5\"", .needs = NEED_VIRUS },
	{ .phrase = "virus", .write = write_text, .test = "vnd_postbus_item", .args = "\"virus\"", .needs = NEED_ITEM },
	{ .phrase = "client address", .write = write_network, .args = "client_in", .needs = NEED_ITEM },
	{ .phrase = "client in dnsbl", .write = write_dnsbl, .args = "dnsbl", .needs = NEED_ITEM },
	{ .phrase = "client has no ptr", .write = write_plain, .test = "vnd_postbus_item \"ptr\" \"no\"", .needs = NEED_ITEM },
	{ .phrase = "client has ptr", .write = write_plain, .test = "vnd_postbus_item \"ptr\" \"yes\"", .needs = NEED_ITEM },
	{ .phrase = "character set", .write = write_text, .test = "header :mime :anychild :param \"charset\"", .args = "\"Content-Type\"", .needs = NEED_MIME },
	{ .phrase = "direction", .write = write_choice, .test = "vnd_postbus_item \"direction\"", .needs = NEED_ITEM, .choices = "in out local" },
	{ .phrase = "connector", .write = write_text, .test = "vnd_postbus_item", .args = "\"connector\"", .needs = NEED_ITEM },
	{ .phrase = "date", .write = write_date },
	{ .phrase = "time", .write = write_time },
	{ .phrase = "weekday", .write = write_weekday },
	{ .phrase = "always", .write = write_plain, .test = "true" },
};

static const char *field_phrase(size_t i)
{
	return i < sizeof fields / sizeof *fields ? fields[i].phrase : NULL;
}

int condition_write(struct writing *w, struct sentence *s, struct pb_error *err)
{
	bool no = sentence_take(s, "not");
	int i = phrase_find(s, field_phrase,
			    "begins no condition; allowed: to cc to-or-cc from reply-to sender recipient subject header any body priority size has attachment spf dkim "
			    "dmarc spam virus client character direction connector date time weekday always", err);

	if (i < 0)
		return err->code;
	put_plain(w, no ? "not " : "");
	return fields[i].write(w, &fields[i], s, err);
}
