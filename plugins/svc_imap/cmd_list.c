/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LIST (RFC 3501 6.3.8, extended by RFC 5258, 5819 and 6154) and LSUB. What a pattern matches is list.c's.
 */
#include "imap.h"
#include "list.h"
#include "public.h"
#include "status.h"
#include "utf7.h"

enum { SELECT_SUBSCRIBED = 1, SELECT_RECURSIVE = 2, SELECT_SPECIAL = 4 };
enum { RETURN_SUBSCRIBED = 1, RETURN_STATUS = 2 };
enum { PATTERNS_MAX = 100 };

static const unsigned special_uses = PB_FOLDER_ALL | PB_FOLDER_ARCHIVE | PB_FOLDER_DRAFTS | PB_FOLDER_FLAGGED | PB_FOLDER_JUNK | PB_FOLDER_SENT |
				     PB_FOLDER_TRASH;

struct listing {
	struct pb_session *s;
	struct pb_str *patterns;
	size_t npatterns;
	bool encoded;			/* a pattern cuts through a name's modified UTF-7: all are compared in that form */
	unsigned select, want, status;
	bool root, lsub;
	struct pb_str root_name;
	struct pb_folder_info *folders;	/* in the arena */
	size_t n, room;
};

static bool collect(void *arg, const struct pb_folder_info *info)
{
	struct listing *l = arg;
	struct pb_arena *arena = pb_session_arena(l->s);

	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 32;
		struct pb_folder_info *more = pb_arena_alloc(arena, room * sizeof *more);

		if (l->n)
			memcpy(more, l->folders, l->n * sizeof *more);
		l->folders = more;
		l->room = room;
	}
	l->folders[l->n] = *info;
	l->folders[l->n++].name = pb_arena_str(arena, info->name);
	return true;
}

/* Subscriptions to public folders stand in the user's own mailbox, as names without a folder: they are those folders' mark. */
static void merge_subscribed(struct listing *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct pb_folder_info *one = &l->folders[i];
		bool known = false;

		for (size_t k = i + 1; (one->attributes & PB_FOLDER_NONEXISTENT) && public_is(one->name) && k < l->n && !known; k++) {
			known = pb_str_eq(l->folders[k].name, one->name);
			if (known)
				l->folders[k].attributes |= PB_FOLDER_SUBSCRIBED;
		}
		if (!known)
			l->folders[n++] = *one;
	}
	l->n = n;
}

static bool matches(const struct listing *l, struct pb_str name)
{
	PB_AUTOBUF(form);

	if (l->encoded) {
		utf7_encode(&form, name);
		name = pb_buf_str(&form);
	}
	for (size_t i = 0; i < l->npatterns; i++)
		if (list_match(l->patterns[i], name))
			return true;
	return false;
}

static void put_line(struct listing *l, struct pb_str name, unsigned attributes, bool childinfo)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
		{ PB_FOLDER_NOSELECT, "\\Noselect" }, { PB_FOLDER_NONEXISTENT, "\\NonExistent" }, { PB_FOLDER_SUBSCRIBED, "\\Subscribed" },
		{ PB_FOLDER_ALL, "\\All" }, { PB_FOLDER_ARCHIVE, "\\Archive" }, { PB_FOLDER_DRAFTS, "\\Drafts" }, { PB_FOLDER_FLAGGED, "\\Flagged" },
		{ PB_FOLDER_JUNK, "\\Junk" }, { PB_FOLDER_SENT, "\\Sent" }, { PB_FOLDER_TRASH, "\\Trash" },
	};
	struct pb_session *s = l->s;

	if (!(l->want & RETURN_SUBSCRIBED) && !(l->select & SELECT_SUBSCRIBED))
		attributes &= ~(unsigned)PB_FOLDER_SUBSCRIBED;
	pb_putz(s, l->lsub ? "* LSUB (" : "* LIST (");
	if (!l->lsub && !(attributes & PB_FOLDER_NONEXISTENT))
		pb_putz(s, attributes & PB_FOLDER_CHILDREN ? "\\HasChildren" : "\\HasNoChildren");
	for (size_t i = 0, any = !l->lsub && !(attributes & PB_FOLDER_NONEXISTENT); i < sizeof names / sizeof *names; i++) {
		if (!(attributes & names[i].bit))
			continue;
		pb_putf(s, "%s%s", any ? " " : "", names[i].name);
		any = 1;
	}
	pb_putz(s, ") \"/\" ");
	imap_put_mailbox(s, name);
	pb_putz(s, childinfo ? " (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n" : "\r\n");
}

/* Is something below name subscribed? Names come in order, but "a b" sorts between "a" and "a/b": so all are looked at. */
static bool subscribed_below(const struct listing *l, struct pb_str name)
{
	for (size_t i = 0; i < l->n; i++) {
		struct pb_str other = l->folders[i].name;

		if ((l->folders[i].attributes & PB_FOLDER_SUBSCRIBED) && other.len > name.len && other.ptr[name.len] == '/' && pb_str_starts(other, name))
			return true;
	}
	return false;
}

static void put_folders(struct listing *l)
{
	struct pb_error err;

	for (size_t i = 0; i < l->n; i++) {
		const struct pb_folder_info *f = &l->folders[i];
		bool childinfo = false;

		if (!matches(l, f->name))
			continue;
		if (l->select & SELECT_RECURSIVE)
			childinfo = subscribed_below(l, f->name);
		if ((l->select & SELECT_SUBSCRIBED) && !(f->attributes & PB_FOLDER_SUBSCRIBED) && !childinfo)
			continue;
		if ((f->attributes & PB_FOLDER_NONEXISTENT) && !(l->select & SELECT_SUBSCRIBED))
			continue;
		if ((l->select & SELECT_SPECIAL) && !(f->attributes & special_uses))
			continue;
		put_line(l, f->name, f->attributes, childinfo);
		if ((l->want & RETURN_STATUS) && !(f->attributes & (PB_FOLDER_NOSELECT | PB_FOLDER_NONEXISTENT)))
			put_status(l->s, f->name, l->status, &err);	/* a folder that went meanwhile has none */
	}
}

/* RFC 3501 6.3.9: with "%", a parent that is not subscribed stands for its subscribed children. Parents come only once: the last one is remembered. */
static void put_subscribed(struct listing *l)
{
	struct pb_str last = PB_NOSTR;

	for (size_t i = 0; i < l->n; i++) {
		const struct pb_folder_info *f = &l->folders[i];

		if (!(f->attributes & PB_FOLDER_SUBSCRIBED))
			continue;
		if (matches(l, f->name)) {
			put_line(l, f->name, f->attributes & (PB_FOLDER_NOSELECT | PB_FOLDER_SUBSCRIBED), false);
			last = f->name;
			continue;
		}
		for (size_t k = f->name.len; k-- > 1;) {
			struct pb_str parent = pb_str_head(f->name, k);

			if (f->name.ptr[k] != '/' || !matches(l, parent))
				continue;
			if (!pb_str_eq(parent, last))
				put_line(l, parent, PB_FOLDER_NOSELECT, false);
			last = parent;
			break;
		}
	}
}

/* ---- arguments ---- */

static bool parse_one_pattern(struct parse *p, struct listing *l, struct pb_str reference)
{
	PB_AUTOBUF(joined);
	PB_AUTOBUF(name);
	struct pb_str pattern;

	if (!parse_pattern(p, &pattern))
		return false;
	if (pattern.len == 0)
		l->root = true;
	pb_buf_addstr(&joined, reference);
	pb_buf_addstr(&joined, pattern);
	if (joined.len > LIST_PATTERN_MAX || l->npatterns == PATTERNS_MAX)
		return parse_fail(p, "Pattern too long");
	l->encoded |= utf7_decode(&name, pb_buf_str(&joined)) != 0;
	l->patterns[l->npatterns++] = pb_arena_str(p->arena, pb_buf_str(&joined));
	return true;
}

static bool parse_selection(struct parse *p, struct listing *l)
{
	for (unsigned n = 0; !parse_take(p, ')'); n++) {
		if (n > 0 && !parse_space(p))
			return false;
		if (parse_word(p, "SUBSCRIBED"))
			l->select |= SELECT_SUBSCRIBED;
		else if (parse_word(p, "RECURSIVEMATCH"))
			l->select |= SELECT_RECURSIVE;
		else if (parse_word(p, "SPECIAL-USE"))
			l->select |= SELECT_SPECIAL;
		else if (!parse_word(p, "REMOTE"))
			return parse_fail(p, "Unknown LIST selection option");
	}
	if ((l->select & SELECT_RECURSIVE) && !(l->select & SELECT_SUBSCRIBED))
		return parse_fail(p, "RECURSIVEMATCH needs SUBSCRIBED");	/* RFC 5258 3.1 */
	return parse_space(p);
}

static bool parse_return(struct parse *p, struct listing *l)
{
	if (!parse_word(p, "RETURN") || !parse_space(p) || !parse_need(p, '('))
		return parse_fail(p, "Expected RETURN");
	for (unsigned n = 0; !parse_take(p, ')'); n++) {
		if (n > 0 && !parse_space(p))
			return false;
		if (parse_word(p, "SUBSCRIBED")) {
			l->want |= RETURN_SUBSCRIBED;
		} else if (parse_word(p, "STATUS")) {
			l->want |= RETURN_STATUS;
			if (!parse_space(p) || !parse_status_items(p, &l->status))
				return false;
		} else if (!parse_word(p, "CHILDREN") && !parse_word(p, "SPECIAL-USE")) {
			return parse_fail(p, "Unknown LIST return option");
		}
	}
	return true;
}

/* All patterns in the form in which names are compared. */
static void decode_patterns(struct listing *l, struct pb_arena *arena)
{
	for (size_t i = 0; i < l->npatterns && !l->encoded; i++) {
		PB_AUTOBUF(name);

		utf7_decode(&name, l->patterns[i]);
		l->patterns[i] = pb_arena_str(arena, pb_buf_str(&name));
	}
}

static bool parse_list(struct parse *p, struct listing *l)
{
	struct pb_str reference, root;

	l->patterns = pb_arena_alloc(p->arena, PATTERNS_MAX * sizeof *l->patterns);
	if (!l->lsub && parse_take(p, '(') && !parse_selection(p, l))
		return false;
	if (!parse_astring(p, &reference) || !parse_space(p))
		return false;
	if (l->lsub || !parse_take(p, '(')) {
		if (!parse_one_pattern(p, l, reference))
			return false;
	} else {
		do {
			if (!parse_one_pattern(p, l, reference))
				return false;
		} while (parse_take(p, ' '));
		if (!parse_need(p, ')'))
			return false;
		l->root = false;
	}
	/* RFC 3501 6.3.8: the root of the reference, up to its first separator. */
	l->root_name = pb_str_cut(&reference, '/', &root) && reference.ptr ? pb_arena_str(p->arena, pb_str(root.ptr, root.len + 1)) : PB_STR("");
	decode_patterns(l, p->arena);
	if (!l->lsub && parse_take(p, ' ') && !parse_return(p, l))
		return false;
	return parse_end(p);
}

static int list(struct pb_session *s, struct pb_str args, bool lsub)
{
	struct listing l = { .s = s, .lsub = lsub };
	struct pb_error err;
	struct pb_str text;
	struct parse p;
	int result;

	if (imap_gather(s, args, &text, &result) != 0)
		return result;
	p = parse_start(text, pb_session_arena(s));
	if (!parse_list(&p, &l))
		return imap_bad(s, p.error);
	if (l.root) {	/* asks for the separator and the root's name */
		pb_putz(s, lsub ? "* LSUB (\\Noselect) \"/\" " : "* LIST (\\Noselect) \"/\" ");
		imap_put_string(s, l.root_name);
		pb_putz(s, "\r\n");
		return imap_done(s, true, lsub ? "LSUB completed" : "LIST completed");
	}
	if (pb_folder_list(imap_of(s)->mailbox, collect, &l, &err) != 0)
		return imap_failed(s, lsub ? "LSUB" : "LIST", &err);
	public_list(s, collect, &l);
	merge_subscribed(&l);
	if (lsub)
		put_subscribed(&l);
	else
		put_folders(&l);
	return imap_done(s, true, lsub ? "LSUB completed" : "LIST completed");
}

int imap_list(struct pb_session *s, struct pb_str args)
{
	return list(s, args, false);
}

int imap_lsub(struct pb_session *s, struct pb_str args)
{
	return list(s, args, true);
}
