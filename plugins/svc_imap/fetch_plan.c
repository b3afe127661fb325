/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The grammar of fetch-att (RFC 3501 9) turned into a plan. Knows no messages.
 */
#include "fetch_plan.h"

enum { PATH_MAX_LEN = 600 };

/* Fields that delivery may have put before the message, where the facts do not look. */
static bool may_be_before(struct pb_str name)
{
	static const char *const names[] = { "Return-Path", "Delivered-To", "Received", "Authentication-Results" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (pb_str_ieq(name, pb_strz(names[i])))
			return true;
	return pb_str_istarts(name, PB_STR("X-"));
}

/* section-part: nz-number *("." nz-number); *ret_len of the input is it, a "." that follows is taken. */
static bool parse_path(struct parse *p, struct pb_str *ret)
{
	const char *from = p->p;
	uint32_t n;

	*ret = pb_str(from, 0);
	while (p->p < p->end && pb_is_digit(*p->p)) {
		if (!parse_u32(p, &n) || n == 0)
			return parse_fail(p, "Invalid part number");
		*ret = pb_str(from, (size_t)(p->p - from));
		if (!parse_take(p, '.'))
			break;
		if (parse_peek(p, ']'))
			return parse_fail(p, "Invalid section");
	}
	return ret->len <= PATH_MAX_LEN || parse_fail(p, "Section too deep");
}

static bool parse_names(struct parse *p, struct section *sec, struct pb_buf *label)
{
	struct pb_str *names = pb_arena_alloc(p->arena, FIELDS_MAX * sizeof *names);
	bool light = sec->kind == SECTION_FIELDS && sec->top;

	if (!parse_space(p) || !parse_need(p, '('))
		return false;
	sec->names = names;
	pb_buf_addz(label, " (");
	do {
		struct pb_str name;
		bool atom = true;

		if (!parse_astring(p, &name))
			return false;
		if (sec->nnames == FIELDS_MAX)
			return parse_fail(p, "Too many header fields");
		for (size_t i = 0; i < name.len; i++) {
			if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7F || name.ptr[i] == ':')
				return parse_fail(p, "Invalid header field name");
			atom = atom && !strchr("(){%*\"\\]", name.ptr[i]);
		}
		if (!name.len)
			return parse_fail(p, "Invalid header field name");
		pb_buf_addf(label, "%s%s", sec->nnames ? " " : "", atom ? "" : "\"");
		for (size_t i = 0; i < name.len; i++) {
			if (name.ptr[i] == '"' || name.ptr[i] == '\\')
				pb_buf_addc(label, '\\');
			pb_buf_addc(label, name.ptr[i]);
		}
		if (!atom)
			pb_buf_addc(label, '"');
		light = light && !may_be_before(name);
		names[sec->nnames++] = name;
	} while (parse_take(p, ' '));
	pb_buf_addc(label, ')');
	sec->kept = light ? pb_facts_names(names, sec->nnames) : 0;
	return parse_need(p, ')');
}

static bool parse_section_text(struct parse *p, struct section *sec, struct pb_str path, struct pb_buf *label)
{
	const char *dot = path.len ? "." : "", *word = NULL;

	sec->kind = SECTION_RANGE;
	if (parse_word(p, "HEADER.FIELDS.NOT"))
		sec->kind = SECTION_FIELDS_NOT, word = "HEADER.FIELDS.NOT";
	else if (parse_word(p, "HEADER.FIELDS"))
		sec->kind = SECTION_FIELDS, word = "HEADER.FIELDS";
	else if (parse_word(p, "HEADER"))
		word = "HEADER";
	else if (parse_word(p, "TEXT"))
		word = "TEXT";
	else if (path.len && parse_word(p, "MIME"))
		word = "MIME";
	else
		return parse_fail(p, "Invalid section");
	sec->top = !path.len && word[0] == 'H';
	pb_buf_addf(label, "%s%s", dot, word);
	sec->spec = pb_strz(pb_arena_printf(p->arena, "%.*s%s%s", PB_FMT(path), dot, word[0] == 'H' ? "HEADER" : word));
	return sec->kind == SECTION_RANGE || parse_names(p, sec, label);
}

static bool parse_partial(struct parse *p, struct section *sec, struct pb_buf *label)
{
	if (!parse_take(p, '<'))
		return true;
	sec->partial = true;
	if (!parse_u64(p, &sec->off) || !parse_need(p, '.') || !parse_u64(p, &sec->len) || !parse_need(p, '>'))
		return false;
	if (sec->len == 0)
		return parse_fail(p, "Invalid partial range");
	pb_buf_addf(label, "<%llu>", (unsigned long long)sec->off);
	return true;
}

static bool add_section(struct parse *p, struct fetch_plan *plan, const struct section *sec)
{
	if (!plan->sections)
		plan->sections = pb_arena_alloc(p->arena, SECTIONS_MAX * sizeof *plan->sections);
	if (plan->nsections == SECTIONS_MAX)
		return parse_fail(p, "Too many sections");
	plan->sections[plan->nsections++] = *sec;
	return true;
}

/* Behind BODY or BODY.PEEK. */
static bool parse_section(struct parse *p, struct fetch_plan *plan)
{
	struct section sec = { .kind = SECTION_WHOLE };
	PB_AUTOBUF(label);
	struct pb_str path;

	if (!parse_need(p, '[') || !parse_path(p, &path))
		return false;
	pb_buf_addf(&label, "BODY[%.*s", PB_FMT(path));
	if (!parse_peek(p, ']')) {
		if (!parse_section_text(p, &sec, path, &label))
			return false;
	} else if (path.len) {
		sec.kind = SECTION_RANGE;
		sec.spec = pb_arena_str(p->arena, path);
	}
	if (!parse_need(p, ']'))
		return false;
	pb_buf_addc(&label, ']');
	if (!parse_partial(p, &sec, &label))
		return false;
	sec.label = pb_arena_str(p->arena, pb_buf_str(&label));
	return add_section(p, plan, &sec);
}

static bool parse_rfc822(struct parse *p, struct fetch_plan *plan)
{
	struct section sec = { .kind = SECTION_RANGE };

	if (parse_word(p, "RFC822.SIZE")) {
		plan->items |= FETCH_SIZE;
		return true;
	}
	if (parse_word(p, "RFC822.HEADER")) {
		sec.label = PB_STR("RFC822.HEADER");
		sec.spec = PB_STR("HEADER");
		sec.top = true;
	} else if (parse_word(p, "RFC822.TEXT")) {
		sec.label = PB_STR("RFC822.TEXT");
		sec.spec = PB_STR("TEXT");
		plan->sets_seen = true;
	} else if (parse_word(p, "RFC822")) {
		sec.kind = SECTION_WHOLE;
		sec.label = PB_STR("RFC822");
		plan->sets_seen = true;
	} else {
		return parse_fail(p, "Unknown FETCH item");
	}
	return add_section(p, plan, &sec);
}

static bool parse_item(struct parse *p, struct fetch_plan *plan)
{
	static const struct {
		const char *name;
		unsigned bit;
	} items[] = {
		{ "UID", FETCH_UID }, { "FLAGS", FETCH_FLAGS }, { "INTERNALDATE", FETCH_DATE }, { "ENVELOPE", FETCH_ENVELOPE },
		{ "BODYSTRUCTURE", FETCH_STRUCTURE }, { "EMAILID", FETCH_EMAILID }, { "THREADID", FETCH_THREADID },
	};

	for (size_t i = 0; i < sizeof items / sizeof *items; i++)
		if (parse_word(p, items[i].name)) {
			plan->items |= items[i].bit;
			return true;
		}
	if (parse_word(p, "BODY.PEEK"))
		return parse_section(p, plan);
	if (parse_word(p, "BODY")) {
		if (!parse_peek(p, '[')) {
			plan->items |= FETCH_BODY;
			return true;
		}
		plan->sets_seen = true;
		return parse_section(p, plan);
	}
	return parse_rfc822(p, plan);
}

bool parse_fetch(struct parse *p, struct fetch_plan *ret)
{
	if (parse_word(p, "ALL")) {
		ret->items |= FETCH_FLAGS | FETCH_DATE | FETCH_SIZE | FETCH_ENVELOPE;
	} else if (parse_word(p, "FAST")) {
		ret->items |= FETCH_FLAGS | FETCH_DATE | FETCH_SIZE;
	} else if (parse_word(p, "FULL")) {
		ret->items |= FETCH_FLAGS | FETCH_DATE | FETCH_SIZE | FETCH_ENVELOPE | FETCH_BODY;
	} else if (parse_take(p, '(')) {
		do {
			if (!parse_item(p, ret))
				return false;
		} while (parse_take(p, ' '));
		if (!parse_need(p, ')'))
			return false;
	} else if (!parse_item(p, ret)) {
		return false;
	}
	return parse_end(p);
}
