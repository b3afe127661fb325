/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes what a stranger can write behind an IMAP tag: tokens, sets, folder names, FETCH and SEARCH; checks that views stay inside and forms are unique. */
#include "plugins/svc_imap/fetch_plan.h"
#include "plugins/svc_imap/list.h"
#include "plugins/svc_imap/search.h"
#include "plugins/svc_imap/utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

enum { NESTING = 30 };

static void try_names(struct pb_str text)
{
	PB_AUTOBUF(name);
	PB_AUTOBUF(wire);
	PB_AUTOBUF(again);

	if (utf7_decode(&name, text) == 0) {
		MUST(pb_utf8_valid(pb_buf_str(&name)));
		utf7_encode(&wire, pb_buf_str(&name));
		MUST(pb_str_eq(pb_buf_str(&wire), text));	/* there is one form of a name */
	}
	utf7_encode(&again, text);	/* any bytes: the answer must always be readable */
	pb_buf_reset(&name);
	MUST(utf7_decode(&name, pb_buf_str(&again)) == 0);
	list_match(text, PB_STR("INBOX/some folder/below"));
	list_match(PB_STR("*%in*/%"), text);
}

static void try_set(struct pb_str text, struct pb_arena *arena)
{
	struct parse p = parse_start(text, arena);
	struct set set;

	if (!parse_set(&p, &set))
		return;
	set_resolve(&set, 1000);
	for (size_t i = 0; i < set.n; i++) {
		MUST(set.ranges[i].from && set.ranges[i].from <= set.ranges[i].to);
		MUST(i == 0 || (uint64_t)set.ranges[i].from > (uint64_t)set.ranges[i - 1].to + 1);
		MUST(set_has(&set, set.ranges[i].from) && set_has(&set, set.ranges[i].to));
	}
}

static void try_tokens(struct pb_str text, struct pb_arena *arena)
{
	struct parse p = parse_start(text, arena);
	struct pb_str got;
	uint64_t literal;
	int64_t moment;
	int32_t day;
	size_t at;
	bool flag;

	while (p.p < p.end) {
		const char *before = p.p;

		if (!parse_astring(&p, &got) && !parse_nstring(&p, &got, &flag) && !parse_pattern(&p, &got) && !parse_flag(&p, &got) &&
		    !parse_date(&p, &day) && !parse_date_time(&p, &moment))
			p.p = before + 1;
		MUST(p.p >= text.ptr && p.p <= text.ptr + text.len);
	}
	if (parse_literal_tail(text, &literal, &flag, &at))
		MUST(at < text.len && text.ptr[at] == '{');
	p = parse_start(text, arena);
	if (parse_mailbox(&p, &got))
		MUST(pb_utf8_valid(got));
}

static unsigned depth_of(const struct search_key *key)
{
	unsigned deepest = 0;

	for (const struct search_key *kid = key->kids; kid; kid = kid->next) {
		unsigned d = depth_of(kid);

		deepest = d > deepest ? d : deepest;
	}
	return deepest + 1;
}

static void try_search(struct pb_str text, struct pb_arena *arena)
{
	struct parse p = parse_start(text, arena);
	struct search q;

	if (parse_search(&p, NESTING, &q)) {
		MUST(p.p == p.end && depth_of(q.key) <= 2 * NESTING + 4);
		search_order(q.key);
		for (const struct search_key *kid = q.key->kids; kid && kid->next; kid = kid->next)
			MUST(search_cost(kid) <= search_cost(kid->next));
	} else {
		MUST(p.error);
	}
	search_free(&q);
}

static void try_fetch(struct pb_str text, struct pb_arena *arena)
{
	struct parse p = parse_start(text, arena);
	struct fetch_plan plan = { 0 };

	if (!parse_fetch(&p, &plan)) {
		MUST(p.error);
		return;
	}
	MUST(plan.items || plan.nsections);
	for (size_t i = 0; i < plan.nsections; i++) {
		struct pb_str label = plan.sections[i].label;

		MUST(label.len && !memchr(label.ptr, '\r', label.len) && !memchr(label.ptr, '\n', label.len) && !memchr(label.ptr, '\0', label.len));
	}
}

/* Bytes as numbers of words: chance writes whole commands that way. */
static void in_words(const uint8_t *data, size_t size, struct pb_buf *out)
{
	static const char *const words[] = {
		" ", " ", " ", "(", ")", "[", "]", "<0.5>", "\"", "\\", "{3}\r\nabc", "{0+}\r\n", "1", "2:*", "*", ",", ":", "NOT ", "OR ", "UID ", "ALL", "SEEN", "FROM ",
		"TEXT ", "HEADER ", "SINCE ", "1-Feb-2020", "CHARSET UTF-8 ", "RETURN (MIN) ", "KEYWORD ", "LARGER ", "NEW", "BODY", "BODY.PEEK", "BODYSTRUCTURE", "FLAGS",
		"RFC822", "RFC822.TEXT", "HEADER.FIELDS", ".NOT", ".MIME", ".TEXT", "1.2.3", "FAST", "ENVELOPE", "&APw-", "&", "-", "INBOX", "/", "%", "\\Seen", "NIL",
		"\" 1-Feb-2020 00:00:00 +0000\"", "x", "\xc3\xbc", "\r\n", "\0",
	};

	for (size_t i = 0; i < size; i++)
		pb_buf_addz(out, words[data[i] % (sizeof words / sizeof *words)]);
}

static void try_all(struct pb_str text)
{
	struct pb_arena *arena = pb_arena_new();

	try_names(text);
	try_set(text, arena);
	try_tokens(text, arena);
	try_search(text, arena);
	try_fetch(text, arena);
	pb_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PB_AUTOBUF(words);

	in_words(data, size, &words);
	try_all(pb_str((const char *)data, size));
	try_all(pb_buf_str(&words));
	return 0;
}
