/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arguments of one word against its row in the table: tags into slots, what is left into S_1 to S_4. */
#include "sieve/compile.h"

struct filling {
	struct emitter *e;
	const struct word *word;
	bool used[SLOTS];
	const char *used_by[SLOTS];
	unsigned n;
	int match, comparator;		/* as given, or -1 */
	struct place match_at;
};

static void begin_slot(struct filling *f, enum slot slot, const char *by)
{
	f->used[slot] = true;
	f->used_by[slot] = by;
	f->n++;
	pb_buf_addc(&f->e->code, (char)slot);
}

static void put_number_slot(struct filling *f, enum slot slot, const char *by, uint64_t n)
{
	begin_slot(f, slot, by);
	pb_buf_addc(&f->e->code, F_NUMBER);
	put_number(&f->e->code, n);
}

static bool put_list_slot(struct filling *f, enum slot slot, const char *by, const struct argument *a)
{
	begin_slot(f, slot, by);
	pb_buf_addc(&f->e->code, F_LIST);
	put_number(&f->e->code, a->n);
	for (size_t i = 0; i < a->n; i++)
		if (!emit_string(f->e, a->at, a->strings[i]))
			return false;
	return true;
}

static bool put_string_slot(struct filling *f, enum slot slot, const char *by, const struct argument *a)
{
	begin_slot(f, slot, by);
	return emit_string(f->e, a->at, a->strings[0]);
}

/* ---- the arguments of tags ---- */

static bool take_relation(struct filling *f, const struct argument *a)
{
	static const char *const names[] = { "gt", "ge", "lt", "le", "eq", "ne" };

	for (unsigned i = 0; i < 6; i++) {
		if (pb_str_ieq(a->strings[0], pb_strz(names[i]))) {
			put_number_slot(f, S_RELATION, "relation", i);
			return true;
		}
	}
	return complain(&f->e->c, a->at, "\"%.*s\" is no relation: gt, ge, lt, le, eq, ne", PB_FMT(pb_str_head(a->strings[0], 40)));
}

static bool take_comparator(struct filling *f, const struct argument *a)
{
	static const char *const names[] = { "i;octet", "i;ascii-casemap", "i;ascii-numeric", "i;unicode-casemap" };
	struct pb_str name;

	if (!constant_string(f->e, a->at, a->strings[0], &name))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (!pb_str_eq(name, pb_strz(names[i])))
			continue;
		if (i == ASCII_NUMERIC && !is_required(f->e, "comparator-i;ascii-numeric"))
			return complain(&f->e->c, a->at, "comparator-i;ascii-numeric has to be required first");
		f->comparator = (int)i;
		put_number_slot(f, S_COMPARATOR, ":comparator", i);
		return true;
	}
	return complain(&f->e->c, a->at, "unknown comparator \"%.*s\"", PB_FMT(pb_str_head(name, 60)));
}

/* The argument behind a tag, or NULL with a complaint. */
static const struct argument *following(struct filling *f, const struct tag *tag, const struct argument *a)
{
	const struct argument *next = a->next;
	bool fits = next && (tag->argument == 'n' ? next->kind == A_NUMBER : next->kind == A_STRING || (tag->argument == 'l' && next->kind == A_LIST));

	if (fits)
		return next;
	complain(&f->e->c, a->at, ":%s wants %s", tag->name, tag->argument == 'n' ? "a number" : tag->argument == 'l' ? "a string or a list" : "a string");
	return NULL;
}

static bool fill_tag(struct filling *f, const struct argument **at)
{
	const struct argument *a = *at, *next;
	const struct tag *tag = tag_find(a->strings[0], f->word->groups);

	if (!tag)
		return complain(&f->e->c, a->at, "'%s' takes no tag ':%.*s'", f->word->name, PB_FMT(pb_str_head(a->strings[0], 60)));
	if (tag->extension && !is_required(f->e, tag->extension))
		return complain(&f->e->c, a->at, ":%s needs the extension \"%s\", which is not required", tag->name, tag->extension);
	if (f->used[tag->slot])
		return complain(&f->e->c, a->at, ":%s and %s%s cannot both be there", tag->name, f->used_by[tag->slot][0] == ':' ? "" : ":", f->used_by[tag->slot]);
	if (tag->slot == S_MATCH) {
		f->match = tag->value;
		f->match_at = a->at;
	}
	if (tag->argument == '-') {
		put_number_slot(f, tag->slot, tag->name, (uint64_t)tag->value);
		return true;
	}
	next = following(f, tag, a);
	if (!next)
		return false;
	*at = next;
	switch (tag->argument) {
	case 'n':
		if (tag->slot == S_INDEX && !next->number)
			return complain(&f->e->c, next->at, ":index counts from 1");
		put_number_slot(f, tag->slot, tag->name, next->number > INT64_MAX / (uint64_t)tag->value ? INT64_MAX : next->number * (uint64_t)tag->value);
		return true;
	case 's':
		return put_string_slot(f, tag->slot, tag->name, next);
	case 'c':
		return take_comparator(f, next);
	case 'r':
		put_number_slot(f, tag->slot, tag->name, (uint64_t)tag->value);
		return take_relation(f, next);
	default:
		return put_list_slot(f, tag->slot, tag->name, next);
	}
}

/* ---- what stands behind the tags ---- */

static const char *wanted(char c)
{
	return c == 'n' ? "a number" : c == 's' ? "a string" : c == 'v' ? "a variable's name" : "a string or a list";
}

static bool fill_positional(struct filling *f, enum slot slot, char c, const struct argument *a)
{
	bool fits = c == 'n' ? a->kind == A_NUMBER : a->kind == A_STRING || (c == 'l' && a->kind == A_LIST);
	struct pb_str name;
	uint32_t index;

	if (!fits)
		return complain(&f->e->c, a->at, "'%s' wants %s here", f->word->name, wanted(c));
	switch (c) {
	case 'n':
		put_number_slot(f, slot, "", a->number);
		return true;
	case 's':
		return put_string_slot(f, slot, "", a);
	case 'l':
		return put_list_slot(f, slot, "", a);
	default:
		break;
	}
	if (!constant_string(f->e, a->at, a->strings[0], &name) || !variable_to_set(f->e, a->at, name, &index))
		return false;
	put_number_slot(f, slot, "", index);
	return true;
}

static size_t count(const struct argument *a)
{
	size_t n = 0;

	for (; a; a = a->next)
		n++;
	return n;
}

/* A "?" lets the next be missing where there are fewer arguments than places. */
static bool fill_rest(struct filling *f, const struct node *node, const struct argument *a)
{
	size_t places = 0, there = count(a);
	enum slot slot = S_1;

	for (const char *p = f->word->positional; *p; p++)
		places += *p != '?';
	for (const char *p = f->word->positional; *p; p++) {
		bool may_miss = *p == '?';

		p += may_miss;
		if (may_miss && there < places) {
			places--;
			slot++;
			continue;
		}
		if (!a)
			return complain(&f->e->c, node->at, "'%s' lacks %s", f->word->name, wanted(*p));
		if (a->kind == A_TAG)
			return complain(&f->e->c, a->at, "tags stand before the other arguments");
		if (!fill_positional(f, slot++, *p, a))
			return false;
		a = a->next;
	}
	return !a || complain(&f->e->c, a->at, "'%s' takes no more arguments", f->word->name);
}

/* What the tables cannot say. */
static bool consistent(struct filling *f, const struct node *node)
{
	struct compiler *c = &f->e->c;
	int comparator = f->comparator < 0 ? ASCII_CASEMAP : f->comparator;

	if (comparator == ASCII_NUMERIC && (f->match == CONTAINS || f->match == MATCHES || f->match == REGEX))
		return complain(c, f->match_at, "i;ascii-numeric compares whole numbers only");
	if (f->word->id == W_SIZE && !f->used[S_OVER])
		return complain(c, node->at, "'size' wants :over or :under");
	if (f->used[S_LAST] && !f->used[S_INDEX] && f->word->groups & G_INDEX)
		return complain(c, node->at, ":last goes with :index");
	if (f->used[S_BODY] && f->used[S_TYPES])
		return complain(c, node->at, ":content and :%s cannot both be there", f->used_by[S_BODY]);
	if (f->used[S_ZONE] && f->used[S_ORIGINAL_ZONE])
		return complain(c, node->at, ":zone and :originalzone cannot both be there");
	if ((f->used[S_ANYCHILD] || f->used[S_MIME_HOW] || f->used[S_PARAM]) && !f->used[S_MIME])
		return complain(c, node->at, ":anychild, :type, :subtype, :contenttype and :param go with :mime");
	if (f->used[S_MIME_HOW] && f->used[S_PARAM])
		return complain(c, node->at, ":param and :%s cannot both be there", f->used_by[S_MIME_HOW]);
	if (f->used[S_HEADER] && f->used[S_UNIQUE_ID])
		return complain(c, node->at, ":header and :uniqueid cannot both be there");
	return true;
}

/* Keys stand last. What has variables in it is known when it is used. */
static bool good_regexes(struct filling *f, const struct argument *a)
{
	while (a && a->next)
		a = a->next;
	for (size_t i = 0; a && f->match == REGEX && (a->kind == A_STRING || a->kind == A_LIST) && i < a->n; i++)
		if (pb_str_search(a->strings[i], PB_STR("${"), 0) < 0 && !sieve_regex_valid(a->strings[i]))
			return complain(&f->e->c, a->at, "\"%.*s\" is no regular expression", PB_FMT(pb_str_head(a->strings[i], 80)));
	return true;
}

bool emit_call(struct emitter *e, const struct word *w, const struct node *node)
{
	struct filling f = { .e = e, .word = w, .match = -1, .comparator = -1 };
	const struct argument *a = node->arguments;
	size_t at;

	if (w->extension && !is_required(e, w->extension))
		return complain(&e->c, node->at, "'%s' needs the extension \"%s\", which is not required", w->name, w->extension);
	pb_buf_addc(&e->code, OP_CALL);
	pb_buf_addc(&e->code, (char)w->id);
	put_number(&e->code, node->at.line);
	at = e->code.len;
	pb_buf_addc(&e->code, 0);
	for (; a && a->kind == A_TAG; a = a->next)
		if (!fill_tag(&f, &a))
			return false;
	if (!fill_rest(&f, node, a) || !consistent(&f, node) || !good_regexes(&f, a))
		return false;
	e->code.ptr[at] = (char)f.n;
	return true;
}
