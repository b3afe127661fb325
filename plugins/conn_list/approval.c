/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The password of a post: in a field "Approved:" of its header, or as the first line of its text, as people give it who have no way to write fields. No member gets
 * to see it: the line is taken out of each text that has it, HTML too.
 */
#include <stdlib.h>
#include <crypt.h>
#include <postbus/message.h>
#include <postbus/secret.h>
#include "command.h"
#include "serve.h"

static const char *const approvals[] = { "Approved", "Approve", "X-Approved", "X-Approve" };

bool is_approval(struct pb_str name)
{
	for (size_t i = 0; i < sizeof approvals / sizeof *approvals; i++)
		if (pb_str_ieq(name, pb_strz(approvals[i])))
			return true;
	return false;
}

static bool password_is(const struct list *l, struct pb_str word)
{
	struct pb_str hash = setting_text(l->settings, "posting_password");
	struct crypt_data *work;
	char *plain, *kept;
	const char *got;
	bool same;

	if (!hash.len || !word.len || word.len > 128)
		return false;
	plain = pb_str_dup(word);
	kept = pb_str_dup(hash);
	work = pb_alloc(sizeof *work);
	got = crypt_rn(plain, kept, work, (int)sizeof *work);	/* as agent_directory does: sanitizers stand before crypt_r */
	same = got && pb_str_eq_secret(pb_strz(got), hash);
	pb_wipe(plain, word.len);
	pb_wipe(work, sizeof *work);
	free(plain);
	free(kept);
	free(work);
	return same;
}

/* ---- in a text ---- */

/* "Approved: word" */
static bool is_approval_line(struct pb_str line, struct pb_str *ret_word)
{
	struct pb_str rest = line, name;

	if (line.len > 300 || pb_str_find(line, ':', 0) < 0 || !pb_str_cut(&rest, ':', &name) || !is_approval(pb_str_trim(name)))
		return false;
	*ret_word = pb_str_trim(rest);
	return ret_word->len > 0;
}

/* The word that the first line of the post's text gives, where that is such a line. Lists without a password do not look. */
static bool word_of_text(const struct post *p, struct pb_buf *ret)
{
	struct pb_str rest, line, word;
	PB_AUTOBUF(text);

	if (!setting_text(p->list->settings, "posting_password").len)
		return false;
	post_text(p, &text);
	rest = pb_buf_str(&text);
	while (line_next(&rest, &line)) {
		if (!pb_str_trim(line).len)
			continue;
		if (!is_approval_line(pb_str_trim(line), &word))
			return false;
		pb_buf_addstr(ret, word);
		return true;
	}
	return false;
}

bool post_is_approved(const struct post *p)
{
	struct pb_str rest = p->header;
	struct pb_field f;
	PB_AUTOBUF(word);

	while (pb_header_next(&rest, &f))
		if (is_approval(f.name) && password_is(p->list, pb_str_trim(f.value)))
			return true;
	return word_of_text(p, &word) && password_is(p->list, pb_buf_str(&word));
}

/* ---- taken out ---- */

static void as_html(struct pb_buf *out, struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		const char *name = s.ptr[i] == '<' ? "&lt;" : s.ptr[i] == '>' ? "&gt;" : s.ptr[i] == '&' ? "&amp;" : NULL;

		if (name)
			pb_buf_addz(out, name);
		else
			pb_buf_addc(out, s.ptr[i]);
	}
}

static size_t skip_back(struct pb_str text, size_t at)
{
	for (;;) {
		if (at && pb_is_blank((unsigned char)text.ptr[at - 1]))
			at--;
		else if (at >= 6 && pb_str_ieq(pb_str(text.ptr + at - 6, 6), PB_STR("&nbsp;")))
			at -= 6;
		else
			return at;
	}
}

/* Where "Approved:" begins that stands before the word at this place; at itself: none does. */
static size_t begin_of(struct pb_str text, size_t at)
{
	size_t end = skip_back(text, at);

	if (!end || text.ptr[end - 1] != ':')
		return at;
	end = skip_back(text, end - 1);
	for (size_t i = 0; i < sizeof approvals / sizeof *approvals; i++) {
		size_t len = strlen(approvals[i]);

		if (end >= len && pb_str_ieq(pb_str(text.ptr + end - len, len), pb_strz(approvals[i])))	/* the longer ones have the shorter ones at their end */
			at = end - len < at ? end - len : at;
	}
	return at;
}

/* text without any "Approved: word", and without the line where it was alone in it. True: there was one. */
static bool cut(struct pb_buf *out, struct pb_str text, struct pb_str word)
{
	size_t done = 0;
	bool any = false;
	long at = 0;

	while ((at = pb_str_search(text, word, (size_t)at)) >= 0) {
		size_t begin = begin_of(text, (size_t)at), end = (size_t)at + word.len;

		at = (long)end;
		if (begin + word.len == end || begin < done)
			continue;
		any = true;
		if ((!begin || text.ptr[begin - 1] == '\n') && pb_str_starts(pb_str_skip(text, end), PB_STR("\r\n")))
			end += 2;
		pb_buf_addstr(out, pb_str(text.ptr + done, begin - done));
		done = end;
	}
	pb_buf_addstr(out, pb_str_skip(text, done));
	return any;
}

static bool is_sealed(const struct pb_part *part)
{
	return part->kind == PB_PART_MULTIPART && (pb_str_ieq(part->subtype, PB_STR("signed")) || pb_str_ieq(part->subtype, PB_STR("encrypted")));
}

/* Texts of the post, but for signed ones, from *index on. */
static bool next_text(const struct post *p, uint32_t *index, struct pb_part *part)
{
	while (pb_facts_at(p->facts, *index, part)) {
		uint32_t depth = part->depth;
		bool sealed = is_sealed(part);

		++*index;
		if (part->kind == PB_PART_LEAF && (!part->type.len || pb_str_ieq(part->type, PB_STR("text"))))
			return true;
		while (sealed && pb_facts_at(p->facts, *index, part) && part->depth > depth)
			++*index;
	}
	return false;
}

static void encode(enum pb_encoding encoding, struct pb_str bytes, struct pb_buf *out)
{
	if (encoding == PB_BASE64)
		pb_base64_lines(out, bytes);
	else if (encoding == PB_QUOTED_PRINTABLE)
		pb_qp_encode(out, bytes);
	else
		pb_buf_addstr(out, bytes);
}

void post_body(const struct post *p, struct pb_buf *out)
{
	uint64_t done = p->header.len;
	uint32_t index = 0;
	struct pb_part part;
	PB_AUTOBUF(word);
	PB_AUTOBUF(html);

	if (word_of_text(p, &word)) {
		as_html(&html, pb_buf_str(&word));
		while (next_text(p, &index, &part)) {
			struct pb_str raw = pb_str_head(pb_str_skip(p->message, part.body_off), part.body_len);
			PB_AUTOBUF(bytes);
			PB_AUTOBUF(clean);

			pb_transfer_decode(part.encoding, raw, &bytes);
			if (!cut(&clean, pb_buf_str(&bytes), pb_str_ieq(part.subtype, PB_STR("html")) ? pb_buf_str(&html) : pb_buf_str(&word)))
				continue;
			pb_buf_addstr(out, pb_str(p->message.ptr + done, part.body_off - done));
			encode(part.encoding, pb_buf_str(&clean), out);
			done = part.body_off + part.body_len;
		}
	}
	pb_buf_addstr(out, pb_str_skip(p->message, done));
}

bool post_shows_password(const struct post *p)
{
	bool shown = false;
	PB_AUTOBUF(word);
	PB_AUTOBUF(html);
	PB_AUTOBUF(message);
	PB_AUTOBUF(facts);
	struct pb_part part;

	if (!word_of_text(p, &word))
		return false;
	as_html(&html, pb_buf_str(&word));
	pb_buf_addstr(&message, p->header);
	post_body(p, &message);
	pb_facts_make(pb_buf_str(&message), &facts);
	for (uint32_t i = 0; !shown && pb_facts_at(pb_buf_str(&facts), i, &part); i++) {
		PB_AUTOBUF(bytes);

		if (part.kind != PB_PART_LEAF || (part.type.len && !pb_str_ieq(part.type, PB_STR("text"))))
			continue;
		pb_transfer_decode(part.encoding, pb_str_head(pb_str_skip(pb_buf_str(&message), part.body_off), part.body_len), &bytes);
		shown = pb_str_search(pb_buf_str(&bytes), pb_buf_str(&word), 0) >= 0 || pb_str_search(pb_buf_str(&bytes), pb_buf_str(&html), 0) >= 0;
	}
	return shown;
}
