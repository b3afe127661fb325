/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * GETMETADATA and SETMETADATA (RFC 5464): words about a folder, or about the mailbox as a whole (the empty name). The store keeps them as annotations; since a
 * mailbox is seen by its owner alone, /private and /shared differ in name only.
 */
#include "imap.h"

enum { VALUE_MAX_BYTES = 16384, ENTRIES_MAX = 200 };

struct getting {
	uint64_t maxsize;		/* UINT64_MAX: none */
	unsigned depth;			/* 0, 1, UINT_MAX */
	struct pb_str name;
	struct pb_str entries[ENTRIES_MAX];
	size_t n;
};

/* One of the list that follows "(": what is an entry begins with a slash, what is an option does not. */
static bool parse_option(struct parse *p, struct getting *g)
{
	uint64_t n;

	if (parse_word(p, "MAXSIZE")) {
		if (!parse_space(p) || !parse_u64(p, &g->maxsize))
			return false;
		return true;
	}
	if (!parse_word(p, "DEPTH"))
		return parse_fail(p, "Unknown option");
	if (!parse_space(p))
		return false;
	if (parse_word(p, "INFINITY"))
		g->depth = UINT32_MAX;
	else if (!parse_u64(p, &n) || (n > 1 && !parse_fail(p, "DEPTH is 0, 1 or infinity")))
		return false;
	else
		g->depth = (unsigned)n;
	return true;
}

/* Options, if this list is one: RFC 5464 has them before the name, clients write them behind it too. */
static bool parse_options(struct parse *p, struct getting *g)
{
	if (!parse_peek(p, '(') || p->end - p->p < 2 || !pb_is_alpha(p->p[1]))
		return true;
	parse_take(p, '(');
	do {
		if (!parse_option(p, g))
			return false;
	} while (parse_take(p, ' '));
	return parse_need(p, ')') && parse_space(p);
}

static bool parse_entries(struct parse *p, struct getting *g)
{
	if (!parse_take(p, '('))
		return parse_astring(p, &g->entries[g->n++]);
	do {
		if (g->n == ENTRIES_MAX)
			return parse_fail(p, "Too many entries");
		if (!parse_astring(p, &g->entries[g->n++]))
			return false;
	} while (parse_take(p, ' '));
	return parse_need(p, ')');
}

/* ---- answers ---- */

struct answering {
	struct pb_session *s;
	const struct getting *get;
	struct pb_str below;		/* the entry asked for, in any case */
	uint64_t longest;
	bool begun;
};

static void put_entry(struct answering *a, struct pb_str entry, struct pb_str value)
{
	if (value.ptr && value.len > a->get->maxsize) {
		a->longest = value.len > a->longest ? value.len : a->longest;
		return;
	}
	if (a->begun) {
		pb_put(a->s, " ", 1);
	} else {
		pb_putz(a->s, "* METADATA ");
		imap_put_mailbox(a->s, a->get->name);
		pb_put(a->s, " (", 2);
	}
	a->begun = true;
	pb_putstr(a->s, entry);
	pb_put(a->s, " ", 1);
	if (value.ptr && memchr(value.ptr, '\0', value.len))
		pb_put(a->s, "~", 1);	/* literal8 */
	imap_put_string(a->s, value);
}

static bool put_below(void *arg, const struct pb_annotation *one)
{
	struct answering *a = arg;
	struct pb_str rest = pb_str_skip(one->entry, a->below.len);

	if (!pb_str_istarts(one->entry, a->below) || (rest.len && rest.ptr[0] != '/'))
		return true;
	if (!rest.len || a->get->depth > 1 || pb_str_find(rest, '/', 1) < 0)
		put_entry(a, one->entry, one->value.ptr ? one->value : PB_STR(""));
	return true;
}

/* Whom to turn to (RFC 5464 6.2.1): the server says so itself. */
static bool is_admin(const struct getting *g, struct pb_str entry)
{
	return !g->name.len && pb_str_ieq(entry, PB_STR("/shared/admin"));
}

static int answer_one(struct answering *a, struct pb_str entry, struct pb_error *err)
{
	struct pb_session *s = a->s;
	PB_AUTOBUF(value);
	int rc;

	if (is_admin(a->get, entry)) {
		pb_buf_addz(&value, "mailto:postmaster@");
		pb_buf_addstr(&value, pb_hostname(pb_session_host(s)));
	} else {
		rc = pb_annotation_get(imap_of(s)->mailbox, a->get->name, entry, &value, err);
		if (rc == PB_ENOTFOUND && a->get->depth == 0) {
			put_entry(a, entry, PB_NOSTR);
			return 0;
		}
		if (rc)
			return rc;
	}
	put_entry(a, entry, pb_str(pb_buf_z(&value), value.len));
	return 0;
}

static int answer(struct answering *a, struct pb_error *err)
{
	const struct getting *g = a->get;
	int rc = 0;

	for (size_t i = 0; i < g->n && !rc; i++) {
		a->below = g->entries[i];
		rc = g->depth == 0 ? answer_one(a, g->entries[i], err) : pb_annotation_list(imap_of(a->s)->mailbox, g->name, put_below, a, err);
	}
	if (a->begun)
		pb_putz(a->s, ")\r\n");
	return rc;
}

/* An entry that is not there and a folder that is not are told apart by asking for the folder first. */
static int check_folder(struct pb_session *s, struct pb_str name, struct pb_error *err)
{
	struct pb_folder *folder;
	int rc = name.len ? pb_folder_open(imap_of(s)->mailbox, name, &folder, err) : 0;

	if (!rc && name.len)
		pb_folder_close(folder);
	return rc;
}

int imap_getmetadata(struct pb_session *s, struct pb_str args)
{
	struct getting *g = pb_arena_alloc(pb_session_arena(s), sizeof *g);
	struct answering a = { .s = s, .get = g };
	struct pb_error err;
	struct pb_str text;
	struct parse p;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	*g = (struct getting){ .maxsize = UINT64_MAX };
	p = parse_start(text, pb_session_arena(s));
	if (!parse_options(&p, g) || !parse_mailbox(&p, &g->name) || !parse_space(&p) || !parse_options(&p, g) || !parse_entries(&p, g) || !parse_end(&p))
		return imap_bad(s, p.error);
	if (check_folder(s, g->name, &err) != 0 || answer(&a, &err) != 0)
		return imap_failed(s, "GETMETADATA", &err);
	if (a.longest)
		return imap_done(s, true, pb_arena_printf(pb_session_arena(s), "[METADATA LONGENTRIES %llu] GETMETADATA completed", (unsigned long long)a.longest));
	return imap_done(s, true, "GETMETADATA completed");
}

/* ---- SETMETADATA ---- */

static bool parse_values(struct parse *p, struct pb_annotation *list, size_t *n)
{
	bool nil;

	if (!parse_need(p, '('))
		return false;
	do {
		if (*n == ENTRIES_MAX)
			return parse_fail(p, "Too many entries");
		if (!parse_astring(p, &list[*n].entry) || !parse_space(p) || !parse_nstring8(p, &list[*n].value, &nil))
			return false;
		list[*n].value = nil ? PB_NOSTR : list[*n].value.ptr ? list[*n].value : PB_STR("");
		++*n;
	} while (parse_take(p, ' '));
	return parse_need(p, ')') && parse_end(p);
}

int imap_setmetadata(struct pb_session *s, struct pb_str args)
{
	struct pb_annotation *list = pb_arena_alloc(pb_session_arena(s), ENTRIES_MAX * sizeof *list);
	struct getting g = { .n = 0 };
	struct pb_error err;
	struct pb_str text;
	struct parse p;
	size_t n = 0;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_mailbox(&p, &g.name) || !parse_space(&p) || !parse_values(&p, list, &n))
		return imap_bad(s, p.error);
	for (size_t i = 0; i < n; i++)
		if (is_admin(&g, list[i].entry))
			return imap_no(s, "[NOPERM] The server says this itself");
	switch (pb_annotation_set(imap_of(s)->mailbox, g.name, list, n, &err)) {
	case 0:
		return imap_done(s, true, "SETMETADATA completed");
	case PB_ETOOBIG:
		return imap_no(s, pb_arena_printf(pb_session_arena(s), "[METADATA MAXSIZE %d] A value is too long", VALUE_MAX_BYTES));
	case PB_EQUOTA:
		return imap_no(s, "[METADATA TOOMANY] There are too many annotations");
	default:
		return imap_failed(s, "SETMETADATA", &err);
	}
}
