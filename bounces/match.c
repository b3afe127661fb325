/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds the sentences of forms.c in a text and reads the recipients behind (or before) them: in the sentence, or a list on lines of their own. */
#include <postbus/address.h>
#include "bounces/internal.h"

#define MATCHES_MAX 64		/* places where one form is tried */
#define LINES_NEAR 6		/* lines with words between the sentence and its list */
#define LINES_GENERAL 2
#define LINES_FAR 20
#define PROSE_MAX 4		/* paragraphs inside a list */
#define LABELS_MAX 8		/* of the reporter, that are left out to find a domain that the text tells of */
#define THEN_MAX 240
#define STATUS_AFTER 1000

struct reader {
	struct finding *f;
	struct bounce_text *t;
	struct pb_str text, flat;
	const struct bounce_form *form;
	enum bounce_kind kind;
	bool general;
	size_t walked;			/* lists before this place are read, by this form */
};

/* An address at the beginning of a line. */
struct entry {
	struct pb_str address;
	size_t start, end;		/* places in the text: of the address, and behind its brackets */
	size_t indent;
	bool bracket;
	char next;			/* what stands behind it: '\n' at the end of the line */
};

static size_t line_end(struct pb_str text, size_t at)
{
	long end = pb_str_find(text, '\n', at);

	return end < 0 ? text.len : (size_t)end;
}

static bool is_opening(char c)
{
	return c && strchr("<\"'([{*-|:;>,", c);
}

/* "Recipient: ", "SMTP:", "dda:SMTP=" before an address: how long it is. */
static size_t label_length(struct pb_str s)
{
	static const char *const labels[] = {
		"recipient address", "original address", "failed recipient", "intended recipient", "e-mail address", "email address", "recipient", "e-mail",
		"email", "address", "user", "mailbox", "smtp", "rcpt to", "mailto", "an undisclosed address (generated from", "an undisclosed address",
		"(generated from", NULL
	};

	for (size_t i = 0; labels[i]; i++) {
		struct pb_str label = pb_strz(labels[i]);

		if (pb_str_istarts(s, label) && s.len > label.len && strchr(":= ;\t\n", s.ptr[label.len]))
			return label.len + 1;
	}
	return 0;
}

static size_t skip_opening(struct pb_str text, size_t at, size_t end)
{
	for (unsigned steps = 0; at < end && steps < 12; steps++) {
		size_t label = label_length(pb_str(text.ptr + at, end - at)), past;

		if (bounce_address_at(text, at, &past) && text.ptr[at] != '\'' && text.ptr[at] != '*' && text.ptr[at] != '-' && text.ptr[at] != '|')
			break;
		if (label)
			at += label;
		else if (is_opening(text.ptr[at]) || pb_is_blank(text.ptr[at]))
			at++;
		else
			break;
	}
	return at;
}

/* "Bob Smith (bob@example.org)": where the address begins; 0: not so. */
static size_t behind_name(struct pb_str text, size_t at, size_t end)
{
	unsigned words = 0;

	for (size_t i = at; i < end && i < at + 64; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if ((c == '<' || c == '(' || c == '[') && i > at)
			return skip_opening(text, i, end);
		if (c == ' ' && ++words > 4)
			return 0;
		if (!pb_is_alpha(c) && c < 128 && (!c || !strchr(" .,'-\"", c)))
			return 0;
	}
	return 0;
}

static bool entry_at(struct pb_str text, size_t at, size_t end, bool named, struct entry *ret)
{
	size_t start = at, past;

	while (at < end && pb_is_blank(text.ptr[at]))
		at++;
	*ret = (struct entry){ .indent = at - start, .bracket = at < end && text.ptr[at] == '<' };
	if (pb_str_istarts(pb_str(text.ptr + at, end - at), PB_STR("c="))) {	/* an X.400 address that has one of ours inside */
		long smtp = pb_str_isearch(pb_str_head(text, end), PB_STR("smtp="), at);

		at = smtp < 0 ? at : (size_t)smtp + 5;
	}
	at = skip_opening(text, at, end);
	if (named && !bounce_address_at(text, at, &past))
		at = behind_name(text, start + ret->indent, end);
	if ((named && !at) || !bounce_address_at(text, at, &past) || past > end)
		return false;
	ret->start = at;
	ret->address = pb_str(text.ptr + at, past - at);
	while (past < end && strchr(">\"')]}", text.ptr[past]))
		past++;
	ret->end = past;
	ret->next = past < end ? text.ptr[past] : '\n';
	return true;
}

/* Behind an address in a list stands its reason or nothing; words that go on make it a sentence about it. */
static bool ends_well(struct pb_str text, const struct entry *e)
{
	struct pb_str rest = pb_str_skip(text, e->end);
	size_t blanks = 0;

	while (blanks < rest.len && pb_is_blank(rest.ptr[blanks]))
		blanks++;
	if (!blanks)
		return !pb_is_alnum((unsigned char)e->next);
	rest = pb_str_skip(rest, blanks);
	return !rest.len || blanks > 1 || !pb_is_alpha(rest.ptr[0]) || pb_str_istarts(rest, PB_STR("on ")) || pb_str_istarts(rest, PB_STR("Invalid"));
}

static bool is_rule(struct pb_str line)
{
	line = pb_str_trim(line);
	return line.len > 2 && strchr("-=_*|", line.ptr[0]) && strchr("-=_*|", line.ptr[1]) && strchr("-=_*|", line.ptr[2]);
}

/* "(expanded from: <bob@example.org>)" */
static bool is_alias(struct pb_str line)
{
	line = pb_str_trim(line);
	if (pb_str_istarts(line, PB_STR("(expanded from")) || pb_str_istarts(line, PB_STR("(was addressed to")))
		return true;
	return pb_str_istarts(line, PB_STR("(generated from")) || pb_str_istarts(line, PB_STR("(ultimately generated from")) ||
	       pb_str_istarts(line, PB_STR("original address"));
}

static void note_alias(struct reader *r, struct bounce *b, struct pb_str text)
{
	struct pb_str address;
	long colon = pb_str_find(text, ':', 0);

	text = pb_str_head(pb_str_skip(text, colon > 0 ? (size_t)colon : 0), 200);
	if (!b || b->alias.len || !bounce_address_in(text, &address))
		return;
	address = bounce_address_form(r->f->arena, address);
	if (!pb_str_ieq(address, b->address))
		b->alias = address;
}

/* ---- lists ---- */

struct list {
	struct bounce *last;
	struct entry first;
	size_t said_from, said_to;	/* the reason of the last one */
	size_t seen;			/* where the next one begins, or the list ends */
	unsigned prose;			/* paragraphs without a recipient since then */
	bool blank;
};

static void explain_last(struct reader *r, struct list *l)
{
	struct pb_str status;

	if (!l->last)
		return;
	status = l->seen > l->said_to ? bounce_status_in(pb_str_head(pb_str(r->text.ptr + l->said_to, l->seen - l->said_to), STATUS_AFTER)) : PB_NOSTR;
	while (l->said_from < l->said_to && strchr(":;,.- \t\n)", r->text.ptr[l->said_from]))
		l->said_from++;
	bounce_explain(r->f, l->last, pb_str(r->text.ptr + l->said_from, l->said_to - l->said_from));
	if (!l->last->status.len && status.len)		/* technical details in a paragraph of their own */
		l->last->status = pb_arena_str(r->f->arena, status);
	l->last = NULL;
}

/* Takes e, and those behind commas on its line. */
static void note_entry(struct reader *r, struct list *l, const struct entry *e)
{
	size_t end = line_end(r->text, e->start), at = e->end;
	struct entry more;
	unsigned n = 0;

	explain_last(r, l);
	l->last = bounce_note(r->f, e->address, r->kind, r->form->name);
	while (at < end && (r->text.ptr[at] == ',' || r->text.ptr[at] == ';') && ++n < BOUNCES_MAX && entry_at(r->text, at + 1, end, false, &more)) {
		bounce_note(r->f, more.address, r->kind, r->form->name);
		at = more.end;
	}
	l->said_from = at;
	l->said_to = l->seen = end;
	l->prose = 0;
	l->blank = false;
	if (is_alias(pb_str(r->text.ptr + at, end - at)))
		note_alias(r, l->last, pb_str_skip(r->text, at));
}

static bool belongs(const struct reader *r, const struct list *l, const struct entry *e)
{
	if (r->form->flags & BOUNCE_BRACKETS)
		return e->bracket && !e->indent && (e->next == ':' || e->next == ' ');
	if (!l->prose)
		return e->indent <= l->first.indent && (l->blank || e->bracket == l->first.bracket || !l->first.bracket);
	return !r->general && l->prose <= PROSE_MAX && e->indent == l->first.indent && e->bracket == l->first.bracket && (e->indent || e->bracket);
}

static void walk_list(struct reader *r, const struct entry *first)
{
	struct list l = { .first = *first };
	unsigned most = r->form->flags & BOUNCE_BRACKETS ? 1000 : PROSE_MAX;
	size_t at = line_end(r->text, first->start) + 1;

	note_entry(r, &l, first);
	for (size_t end; at < r->text.len; at = end + 1) {
		struct pb_str line = pb_str(r->text.ptr + at, (end = line_end(r->text, at)) - at);
		struct entry e;

		if (!pb_str_trim(line).len) {
			l.blank = true;
			continue;
		}
		if (is_rule(line) && !entry_at(r->text, at, end, false, &e))
			break;
		if (is_alias(line)) {
			note_alias(r, l.last, pb_str_skip(r->text, at));
			continue;
		}
		if (entry_at(r->text, at, end, false, &e) && belongs(r, &l, &e) && ends_well(r->text, &e)) {
			note_entry(r, &l, &e);
			continue;
		}
		if (l.blank && ++l.prose > most)
			break;
		if (!l.prose || (l.prose == 1 && !pb_str_trim(pb_str(r->text.ptr + l.said_from, l.said_to - l.said_from)).len) || (l.prose == 1 && !l.blank))
			l.said_to = end;
		l.seen = end;
		l.blank = false;
	}
	explain_last(r, &l);
	r->walked = at;
}

/* ---- where an address may stand ---- */

static size_t flat_of(const struct bounce_text *t, size_t at)
{
	size_t low = 0, high = t->flat.len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (t->at[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Does one of the words of form->then follow? */
static bool goes_on(const struct reader *r, size_t end)
{
	struct pb_str rest = pb_str_head(pb_str_skip(r->flat, flat_of(r->t, end)), THEN_MAX), words = pb_strz(r->form->then), word;

	if (!r->form->then)
		return true;
	while (pb_str_cut(&words, '|', &word))
		if (pb_str_search(rest, word, 0) >= 0)
			return true;
	return false;
}

/* In the sentence itself: "undeliverable to bob@example.org". */
static bool read_inline(struct reader *r, size_t at)
{
	size_t end = line_end(r->text, at);
	struct entry e;
	struct list l = { 0 };

	if (!entry_at(r->text, at, end, false, &e) || !goes_on(r, e.end))
		return false;
	l.first = e;
	note_entry(r, &l, &e);
	for (size_t next; l.said_to + 1 < r->text.len && l.said_to < e.end + BOUNCES_DIAGNOSTIC_MAX; l.said_to = next) {
		next = line_end(r->text, l.said_to + 1);
		if (!pb_str_trim(pb_str(r->text.ptr + l.said_to, next - l.said_to)).len && pb_str_trim(pb_str(r->text.ptr + l.said_from, l.said_to - l.said_from)).len)
			break;
	}
	explain_last(r, &l);
	return true;
}

/* The domain of names without one: the reporter's, or one above that the text tells of. */
static struct pb_str bare_domain(const struct reader *r)
{
	struct pb_str domain = r->f->reporter, rest = domain, label;
	unsigned labels = 0;
	PB_AUTOBUF(mention);

	while (++labels <= LABELS_MAX && pb_str_cut(&rest, '.', &label) && pb_str_find(rest, '.', 0) > 0) {
		pb_buf_reset(&mention);
		pb_buf_addc(&mention, '@');
		pb_buf_addstr(&mention, rest);
		if (pb_str_search(r->flat, pb_buf_str(&mention), 0) >= 0)
			return rest;
	}
	return pb_str_find(domain, '.', (size_t)pb_str_find(domain, '.', 0) + 1) < 0 ? domain : PB_NOSTR;
}

/* A line that is a name alone, at the domain that reports: "screenname", "userx    No matches". */
static bool read_bare(struct reader *r, struct pb_str line)
{
	size_t n = 0;
	struct pb_str rest, domain;
	struct bounce *b;
	PB_AUTOBUF(address);

	line = pb_str_trim(line);
	while (n < line.len && (pb_is_alnum((unsigned char)line.ptr[n]) || strchr("._-+", line.ptr[n])))
		n++;
	rest = pb_str_skip(line, n);
	if (!n || n > PB_LOCAL_MAX || (rest.len && !pb_str_starts(rest, PB_STR("  ")) && rest.ptr[0] != '\t'))
		return false;
	domain = bare_domain(r);
	if (!domain.len)
		return false;
	pb_buf_addstr(&address, pb_str_head(line, n));
	pb_buf_addc(&address, '@');
	pb_buf_addstr(&address, domain);
	b = bounce_note(r->f, pb_buf_str(&address), r->kind, r->form->name);
	if (b)
		bounce_explain(r->f, b, rest);
	return true;
}

/* The list behind the sentence that ends at this place. */
static void read_behind(struct reader *r, size_t at)
{
	unsigned most = r->general ? LINES_GENERAL : r->form->flags & BOUNCE_FAR ? LINES_FAR : LINES_NEAR, words = 0;
	bool brackets = r->form->flags & BOUNCE_BRACKETS;

	for (at = r->form->phrase[0] ? line_end(r->text, at) + 1 : 0; at < r->text.len; at = line_end(r->text, at) + 1) {
		size_t end = line_end(r->text, at);
		struct pb_str line = pb_str(r->text.ptr + at, end - at);
		struct entry e;

		if (!pb_str_trim(line).len)
			continue;
		if (entry_at(r->text, at, end, !brackets, &e) && (!brackets || belongs(r, &(struct list){ .first = e }, &e)) && ends_well(r->text, &e)) {
			if (goes_on(r, e.end))
				walk_list(r, &e);
			return;
		}
		if ((r->form->flags & BOUNCE_BARE) && read_bare(r, line))
			return;
		if (!brackets && ++words > most)
			return;
	}
	r->walked = r->text.len;
}

/* "<bob@example.org>: user unknown": the address ends where the words begin. */
static void read_before(struct reader *r, size_t at)
{
	size_t from = at > 300 ? at - 300 : 0, end = at, past;
	struct bounce *b;

	while (end > from && strchr(" \n\t>:,.-\"')]", r->text.ptr[end - 1]))
		end--;
	for (size_t i = end; i > from; i--) {
		unsigned char c = (unsigned char)r->text.ptr[i - 1];

		if (!pb_is_alnum(c) && c < 128 && (!c || !strchr("!#$%&*+-/=?^_`{|}~.@[]", c))) {
			from = i;
			break;
		}
	}
	if (!bounce_address_at(r->text, from, &past) || past != end)
		return;
	b = bounce_note(r->f, pb_str(r->text.ptr + from, end - from), r->kind, r->form->name);
	if (b)
		bounce_explain(r->f, b, pb_str(r->text.ptr + end, line_end(r->text, at) - end));
}

/* The header of the message that came back, in words: its only recipient. */
static void read_to(struct reader *r, size_t at)
{
	unsigned lines = 0;

	for (at = line_end(r->text, at) + 1; at < r->text.len && lines < LINES_NEAR; at = line_end(r->text, at) + 1, lines++) {
		size_t end = line_end(r->text, at);
		struct entry e;

		if (pb_str_istarts(pb_str(r->text.ptr + at, end - at), PB_STR("To: ")) && entry_at(r->text, at + 4, end, true, &e) && e.next != ',') {
			bounce_note(r->f, e.address, r->kind, r->form->name);
			return;
		}
	}
}

/* "550 5.1.1 <bob@example.org>... User unknown" */
static void read_transcript(struct reader *r, size_t at)
{
	for (at = line_end(r->text, at) + 1; at < r->text.len; at = line_end(r->text, at) + 1) {
		struct pb_str line = pb_str(r->text.ptr + at, line_end(r->text, at) - at), address;
		struct bounce *b;

		if (pb_str_starts(line, PB_STR("<<< ")))
			line = pb_str_skip(line, 4);
		if (line.len < 5 || (line.ptr[0] != '5' && line.ptr[0] != '4') || !pb_is_digit(line.ptr[1]) || !pb_is_digit(line.ptr[2]))
			continue;
		if (!bounce_address_in(pb_str_head(line, 300), &address) || !pb_str_starts(pb_str_skip(line, (size_t)(address.ptr + address.len - line.ptr)), PB_STR(">...")))
			if (!address.len || !pb_str_starts(pb_str_skip(line, (size_t)(address.ptr + address.len - line.ptr)), PB_STR("...")))
				continue;
		b = bounce_note(r->f, address, r->kind == BOUNCE_DELAY || line.ptr[0] == '4' ? r->kind : BOUNCE_FAILURE, r->form->name);
		if (b)
			bounce_explain(r->f, b, line);
	}
	r->walked = r->text.len;
}

static void read_match(struct reader *r, size_t start, size_t end)
{
	size_t at = r->t->at[end];

	if (at < r->walked)
		return;
	if (r->form->flags & BOUNCE_BEFORE)
		read_before(r, r->t->at[start]);
	else if (r->form->flags & BOUNCE_TO)
		read_to(r, at);
	else if (r->form->flags & BOUNCE_TRANSCRIPT)
		read_transcript(r, at);
	else if ((r->form->flags & BOUNCE_BRACKETS) || !read_inline(r, at))
		read_behind(r, at);
}

static bool is_word_byte(char c)
{
	return pb_is_alnum((unsigned char)c);
}

static void read_forms(struct finding *f, struct bounce_text *t, const struct bounce_form *forms, bool delayed, bool general)
{
	struct reader r = { f, t, pb_buf_str(&t->text), pb_buf_str(&t->flat), NULL, BOUNCE_NONE, general, 0 };

	for (r.form = forms; r.form->name; r.form++) {
		struct pb_str phrase = pb_strz(r.form->phrase);
		unsigned n = 0;

		r.walked = 0;
		if (!phrase.len && t->flat.len) {
			r.kind = delayed ? BOUNCE_DELAY : BOUNCE_FAILURE;
			read_behind(&r, 0);
			continue;
		}
		r.kind = r.form->kind != BOUNCE_NONE ? r.form->kind : delayed ? BOUNCE_DELAY : BOUNCE_FAILURE;
		for (long at = pb_str_search(r.flat, phrase, 0); at >= 0 && n < MATCHES_MAX; at = pb_str_search(r.flat, phrase, (size_t)at + phrase.len), n++)
			if (!at || !is_word_byte(r.flat.ptr[at - 1]) || !is_word_byte(phrase.ptr[0]))
				read_match(&r, (size_t)at, (size_t)at + phrase.len);
	}
}

void bounce_read_text(struct finding *f, struct bounce_text *t, bool delayed)
{
	read_forms(f, t, bounce_forms, delayed, false);
	if (!f->found->n)
		read_forms(f, t, bounce_forms_general, delayed, true);
	if (!f->found->n && f->daemon)
		read_forms(f, t, bounce_forms_last, delayed, true);
}
