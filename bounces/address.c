/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Addresses as they stand in bounces, and the list of those that were found. */
#include <postbus/address.h>
#include "bounces/internal.h"

#define LOCAL_LENIENT_MAX 128
#define NOTED_MAX (20 * BOUNCES_MAX)	/* so that a list that is named again and again costs no more */

static bool is_local_byte(unsigned char c)
{
	return pb_is_alnum(c) || c >= 128 || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static size_t quoted_end(struct pb_str text, size_t at)
{
	for (size_t i = at + 1; i < text.len && i < at + LOCAL_LENIENT_MAX && text.ptr[i] != '\n'; i++) {
		if (text.ptr[i] == '\\')
			i++;
		else if (text.ptr[i] == '"')
			return i + 1;
	}
	return at;
}

static size_t local_end(struct pb_str text, size_t at)
{
	size_t i = at;

	if (text.ptr[at] == '"')
		return quoted_end(text, at);
	while (i < text.len && i < at + LOCAL_LENIENT_MAX && is_local_byte((unsigned char)text.ptr[i]))
		i++;
	return i;
}

static size_t literal_end(struct pb_str text, size_t at)
{
	struct pb_str inside;
	long end = pb_str_find(pb_str_head(text, at + 64), ']', at);

	return end > 0 && !pb_literal_parse(pb_str(text.ptr + at, (size_t)end + 1 - at), &inside) ? (size_t)end + 1 : at;
}

/* At least two labels, the last of which is no number. */
static size_t domain_end(struct pb_str text, size_t at)
{
	size_t i = at, label = at, dots = 0;

	if (at < text.len && text.ptr[at] == '[')
		return literal_end(text, at);
	for (; i < text.len && i < at + PB_DOMAIN_MAX; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '.' && i > label) {
			label = i + 1;
			dots++;
		} else if (!pb_is_alnum(c) && c < 128 && (i == label || (c != '-' && c != '_'))) {
			break;
		}
	}
	if (i == label && dots)		/* the stop behind a sentence */
		i--, dots--;
	while (i > at && (text.ptr[i - 1] == '-' || text.ptr[i - 1] == '.'))
		i--;
	for (label = i; label > at && text.ptr[label - 1] != '.';)
		label--;
	return dots && label > at && label < i && !pb_is_digit(text.ptr[label]) ? i : at;
}

bool bounce_address_at(struct pb_str text, size_t at, size_t *ret_end)
{
	size_t local, end;

	if (at >= text.len)
		return false;
	local = local_end(text, at);
	if (local == at || local >= text.len || text.ptr[local] != '@')
		return false;
	end = domain_end(text, local + 1);
	if (end == local + 1)
		return false;
	*ret_end = end;
	return true;
}

bool bounce_address_in(struct pb_str text, struct pb_str *ret)
{
	bool inside = false;

	for (size_t i = 0, end; i < text.len; i++) {
		bool begins = !inside;

		inside = is_local_byte((unsigned char)text.ptr[i]);
		if (begins && (inside || text.ptr[i] == '"') && bounce_address_at(text, i, &end)) {
			*ret = pb_str(text.ptr + i, end - i);
			return true;
		}
	}
	return false;
}

struct pb_str bounce_address_form(struct pb_arena *arena, struct pb_str address)
{
	struct pb_str local, domain;
	PB_AUTOBUF(form);

	if (!pb_utf8_valid(address))
		return PB_NOSTR;
	if (pb_address_normal(&form, address, NULL)) {
		pb_buf_reset(&form);
		if (!pb_address_split(address, &local, &domain))
			return PB_NOSTR;
		pb_buf_addstr(&form, local);
		pb_buf_addc(&form, '@');
		for (size_t i = 0; i < domain.len; i++)
			pb_buf_addc(&form, (char)pb_lower((unsigned char)domain.ptr[i]));
	}
	return pb_arena_str(arena, pb_buf_str(&form));
}

struct bounce *bounce_note(struct finding *f, struct pb_str address, enum bounce_kind kind, const char *form)
{
	struct bounces *found = f->found;
	struct bounce *b;

	if (++f->noted > NOTED_MAX) {
		found->capped = true;
		return NULL;
	}
	address = bounce_address_form(f->arena, address);
	if (!address.len || pb_str_ieq(address, f->self))
		return NULL;
	for (size_t i = 0; i < found->n; i++) {
		b = &found->list[i];
		if (pb_str_ieq(b->address, address)) {
			b->kind = kind > b->kind ? kind : b->kind;
			found->kind = kind > found->kind ? kind : found->kind;
			return b;
		}
	}
	if (found->n == BOUNCES_MAX) {
		found->capped = true;
		return NULL;
	}
	if (!found->list)
		found->list = pb_arena_alloc(f->arena, sizeof *found->list * BOUNCES_MAX);
	b = &found->list[found->n++];
	*b = (struct bounce){ .address = address, .kind = kind, .form = form };
	found->kind = kind > found->kind ? kind : found->kind;
	return b;
}

struct pb_str bounce_status_in(struct pb_str text)
{
	for (size_t i = 0; i + 5 <= text.len; i++) {
		size_t end = i + 1, digits, groups;

		if (!strchr("245", text.ptr[i]) || !text.ptr[i] || (i && (pb_is_alnum((unsigned char)text.ptr[i - 1]) || text.ptr[i - 1] == '.')))
			continue;
		for (groups = 0; groups < 2 && end < text.len && text.ptr[end] == '.'; groups++) {
			for (digits = 0, end++; digits < 3 && end < text.len && pb_is_digit(text.ptr[end]); digits++)
				end++;
			if (!digits)
				break;
		}
		if (groups == 2 && (end == text.len || (!pb_is_alnum((unsigned char)text.ptr[end]) && (text.ptr[end] != '.' || end + 1 == text.len || !pb_is_digit(text.ptr[end + 1])))))
			return pb_str(text.ptr + i, end - i);
	}
	return PB_NOSTR;
}

void bounce_explain(struct finding *f, struct bounce *b, struct pb_str diagnostic)
{
	struct pb_str status;
	bool blank = true;
	PB_AUTOBUF(line);

	for (size_t i = 0; i < diagnostic.len && line.len < BOUNCES_DIAGNOSTIC_MAX; i++) {
		unsigned char c = (unsigned char)diagnostic.ptr[i];

		if (c > ' ' && c != 127)
			pb_buf_addc(&line, (char)c);
		else if (!blank)
			pb_buf_addc(&line, ' ');
		blank = c <= ' ' || c == 127;
	}
	for (unsigned cut = 0; cut < 3 && line.len && !pb_utf8_valid(pb_buf_str(&line)); cut++)	/* a letter that the cap cut */
		line.len--;
	for (size_t i = 0, bad = !pb_utf8_valid(pb_buf_str(&line)); bad && i < line.len; i++)
		if ((signed char)line.ptr[i] < 0)
			line.ptr[i] = '?';
	diagnostic = pb_str_trim(pb_buf_str(&line));
	if (!b->diagnostic.len && diagnostic.len)
		b->diagnostic = pb_arena_str(f->arena, diagnostic);
	status = bounce_status_in(diagnostic);
	if (!b->status.len && status.len)
		b->status = pb_arena_str(f->arena, status);
}
