/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The selected folder as this session sees it. A session's numbers change only here, and only when the client is told in the same breath.
 */
#include <stdlib.h>
#include "view.h"

/* UIDs that were new when this session saw them first; ranges that touch are one. */
struct recent {
	size_t n;
	struct range ranges[];
};

/* ---- \Recent ---- */

bool view_is_recent(const struct imap *im, uint32_t uid)
{
	const struct recent *r = im->recent;

	for (size_t i = r ? r->n : 0; i > 0; i--)
		if (uid >= r->ranges[i - 1].from)
			return uid <= r->ranges[i - 1].to;
	return false;
}

static void add_recent(struct imap *im, uint32_t from, uint32_t to)
{
	struct recent *r = im->recent;
	size_t n = r ? r->n : 0;

	if (from > to)
		return;
	if (n && from <= r->ranges[n - 1].to)
		from = r->ranges[n - 1].to + 1;
	if (from > to)
		return;
	if (n && from == r->ranges[n - 1].to + 1) {
		r->ranges[n - 1].to = to;
		return;
	}
	r = pb_realloc(r, sizeof *r + (n + 1) * sizeof *r->ranges);
	r->ranges[n] = (struct range){ from, to };
	r->n = n + 1;
	im->recent = r;
}

/* Sequence numbers of the view with UIDs from..to: *ret_from..*ret_to; false when there are none. */
static bool seqs_of(const struct pb_view *v, uint32_t from, uint32_t to, uint32_t *ret_from, uint32_t *ret_to)
{
	uint32_t first = pb_view_at_least(v, from), behind = to == UINT32_MAX ? 0 : pb_view_at_least(v, to + 1);

	if (!first)
		return false;
	*ret_from = first;
	*ret_to = behind ? behind - 1 : pb_view_count(v);
	return *ret_to >= first;
}

uint32_t view_recent_count(const struct imap *im)
{
	const struct recent *r = im->recent;
	uint32_t count = 0, from, to;

	for (size_t i = 0; r && i < r->n; i++)
		if (seqs_of(im->view, r->ranges[i].from, r->ranges[i].to, &from, &to))
			count += to - from + 1;
	return count;
}

/* ---- sets ---- */

bool view_runs(struct pb_session *s, struct set *set, bool uid, struct runs *ret)
{
	const struct pb_view *v = imap_of(s)->view;
	uint32_t count = pb_view_count(v), from, to;

	*ret = (struct runs){ 0 };
	if (!uid) {
		for (size_t i = 0; i < set->n; i++)
			if (count == 0 || set->ranges[i].from > count || set->ranges[i].to > count)
				return false;
		set_resolve(set, count);
		ret->runs = set->ranges;
		ret->n = set->n;
		ret->count = (uint32_t)set_count(set);
		return true;
	}
	set_resolve(set, count ? pb_view_row(v, count)->uid : 0);
	ret->runs = set->ranges;	/* in place: a run for each range at most */
	for (size_t i = 0; i < set->n; i++) {
		if (!seqs_of(v, set->ranges[i].from, set->ranges[i].to, &from, &to))
			continue;
		ret->count += to - from + 1;
		if (ret->n && ret->runs[ret->n - 1].to + 1 == from)
			ret->runs[ret->n - 1].to = to;
		else
			ret->runs[ret->n++] = (struct range){ from, to };
	}
	return true;
}

uint32_t *view_uids(struct pb_session *s, const struct runs *runs)
{
	const struct pb_view *v = imap_of(s)->view;
	uint32_t *uids = pb_arena_alloc(pb_session_arena(s), ((size_t)runs->count + 1) * sizeof *uids);
	size_t n = 0;

	for (size_t i = 0; i < runs->n; i++) {
		for (uint32_t seq = runs->runs[i].from; seq <= runs->runs[i].to;) {
			uint32_t many;
			const struct pb_row *row = pb_view_run(v, seq, &many);

			for (; many && seq <= runs->runs[i].to; many--, seq++)
				uids[n++] = row++->uid;
		}
	}
	return uids;
}

bool view_lost(struct pb_session *s, const uint32_t *uids, size_t n)
{
	struct imap *im = imap_of(s);
	struct pb_view *now;
	struct pb_error err;
	bool lost = false;

	if (!pb_folder_is_newer(im->folder, im->view) || pb_folder_view(im->folder, &now, &err) != 0)
		return false;
	for (size_t i = 0; i < n && !lost; i++)
		lost = !pb_view_find(now, uids[i]);
	pb_view_release(now);
	return lost;
}

/* ---- flags ---- */

/* In the order in which lists of flags name them. */
static const struct {
	const char *name;
	uint64_t bit;
} system_flags[] = {
	{ "\\Answered", PB_ANSWERED }, { "\\Flagged", PB_FLAGGED }, { "\\Deleted", PB_DELETED },
	{ "\\Seen", PB_SEEN }, { "\\Draft", PB_DRAFT }, { "\\Recent", IMAP_RECENT },
};

enum { SYSTEM_FLAGS = sizeof system_flags / sizeof *system_flags };

uint64_t flag_bit(struct pb_str name)
{
	for (size_t i = 0; i < SYSTEM_FLAGS; i++)
		if (pb_str_ieq(name, pb_strz(system_flags[i].name)))
			return system_flags[i].bit;
	return 0;
}

struct pb_str flag_name(const struct pb_view *v, unsigned bit)
{
	if (bit >= PB_KEYWORD_FIRST)
		return pb_view_keyword(v, bit);
	for (size_t i = 0; i < SYSTEM_FLAGS; i++)
		if (system_flags[i].bit == UINT64_C(1) << bit)
			return pb_strz(system_flags[i].name);
	return PB_NOSTR;
}

uint64_t flags_after(uint64_t flags, enum pb_store_mode mode, uint64_t change)
{
	return mode == PB_FLAGS_ADD ? flags | change : mode == PB_FLAGS_REMOVE ? flags & ~change : change;
}

void flag_texts_init(struct flag_texts *t, const struct pb_view *view, struct pb_arena *arena)
{
	memset(t, 0, sizeof *t);
	t->view = view;
	t->arena = arena;
}

struct pb_str flag_text_make(struct flag_texts *t, struct flag_text *slot, uint64_t flags)
{
	PB_AUTOBUF(b);

	pb_buf_addc(&b, '(');
	for (size_t i = 0; i < SYSTEM_FLAGS; i++) {
		if (!(flags & system_flags[i].bit))
			continue;
		if (b.len > 1)
			pb_buf_addc(&b, ' ');
		pb_buf_addz(&b, system_flags[i].name);
	}
	for (unsigned bit = PB_KEYWORD_FIRST; bit < 64; bit++) {
		struct pb_str name = flags >> bit & 1 ? pb_view_keyword(t->view, bit) : PB_NOSTR;

		if (!name.len)
			continue;
		if (b.len > 1)
			pb_buf_addc(&b, ' ');
		pb_buf_addstr(&b, name);
	}
	pb_buf_addc(&b, ')');
	slot->flags = flags;
	slot->text = pb_arena_str(t->arena, pb_buf_str(&b));
	return slot->text;
}

void put_fetch_flags(struct out *o, struct flag_texts *t, uint32_t seq, uint32_t uid, uint64_t flags, bool with_uid)
{
	struct pb_str text = flag_text(t, flags);

	out_need(o, 64);
	memcpy(o->p, "* ", 2);
	o->p = out_digits(o->p + 2, seq);
	memcpy(o->p, " FETCH (", 8);
	o->p += 8;
	if (with_uid) {
		memcpy(o->p, "UID ", 4);
		o->p = out_digits(o->p + 4, uid);
		*o->p++ = ' ';
	}
	memcpy(o->p, "FLAGS ", 6);
	o->p += 6;
	out_str(o, text);
	out_lit(o, ")\r\n");
}

bool parse_flag_list(struct parse *p, struct pb_str **ret, size_t *ret_n)
{
	size_t room = 1;

	if (!parse_need(p, '('))
		return false;
	for (const char *q = p->p; q < p->end && *q != ')'; q++)
		room += *q == ' ';
	*ret = pb_arena_alloc(p->arena, room * sizeof **ret);
	*ret_n = 0;
	while (!parse_take(p, ')'))
		if ((*ret_n > 0 && !parse_space(p)) || !parse_flag(p, &(*ret)[*ret_n]) || ++*ret_n > room)
			return false;
	return true;
}

static bool named_before(const struct pb_str *names, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (pb_str_ieq(names[i], names[at]))
			return true;
	return false;
}

static int keywords_room(struct pb_folder *folder, unsigned *ret, struct pb_error *err)
{
	struct pb_view *v;
	int rc = pb_folder_view(folder, &v, err);

	if (rc != 0)
		return rc;
	*ret = 0;
	for (unsigned bit = PB_KEYWORD_FIRST; bit < PB_KEYWORD_FIRST + PB_KEYWORDS_MAX; bit++)
		*ret += !pb_view_keyword(v, bit).len;
	pb_view_release(v);
	return 0;
}

/* Keywords stay for ever, so a command that is going to be refused must not make any. */
static int flags_check(struct pb_folder *folder, const struct pb_str *names, size_t n, bool make, struct pb_error *err)
{
	unsigned wanted = 0, room, at;
	int rc;

	for (size_t i = 0; i < n; i++) {
		if (flag_bit(names[i]))
			continue;
		if (names[i].ptr[0] == '\\')
			return pb_fail(err, PB_EINVALID, "no such system flag");
		rc = pb_folder_keyword(folder, names[i], false, &at, err);
		if (rc == PB_ENOTFOUND && make && !named_before(names, i) && ++wanted > PB_KEYWORDS_MAX)
			return pb_fail(err, PB_EQUOTA, "more keywords than a folder can have");
		if (rc != 0 && rc != PB_ENOTFOUND)
			return rc;
	}
	if (!wanted || !make)
		return 0;
	rc = keywords_room(folder, &room, err);
	if (rc == 0 && wanted > room)
		rc = pb_fail(err, PB_EQUOTA, "the folder has no room for %u more keywords", wanted);
	return rc;
}

int flags_resolve(struct pb_folder *folder, const struct pb_str *names, size_t n, bool make, uint64_t *ret, struct pb_error *err)
{
	uint64_t flags = 0, bit;
	unsigned at;
	int rc = flags_check(folder, names, n, make, err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		bit = flag_bit(names[i]);
		if (!bit) {
			rc = pb_folder_keyword(folder, names[i], make, &at, err);
			if (rc == PB_ENOTFOUND) {
				rc = 0;
				continue;
			}
			if (rc != 0)
				return rc;
			bit = UINT64_C(1) << at;
		}
		flags |= bit;
	}
	*ret = flags & ~(uint64_t)IMAP_RECENT;
	return rc;
}

void view_put_keywords(struct pb_session *s, const struct pb_view *v, bool always)
{
	struct imap *im = imap_of(s);
	uint64_t known = 0;
	struct flag_texts t;
	struct pb_str text;

	for (unsigned bit = PB_KEYWORD_FIRST; bit < 64; bit++)
		if (pb_view_keyword(v, bit).len)
			known |= UINT64_C(1) << bit;
	if (known == im->keywords_known && !always)
		return;
	im->keywords_known = known;
	flag_texts_init(&t, v, pb_session_arena(s));
	text = flag_text(&t, known | PB_ANSWERED | PB_FLAGGED | PB_DELETED | PB_SEEN | PB_DRAFT);
	pb_putz(s, "* FLAGS ");
	pb_putstr(s, text);
	if (im->readonly) {
		pb_putz(s, "\r\n* OK [PERMANENTFLAGS ()] Read-only mailbox\r\n");
		return;
	}
	pb_putz(s, "\r\n* OK [PERMANENTFLAGS ");
	pb_put(s, text.ptr, text.len - 1);
	pb_putz(s, " \\*)] Flags and keywords are kept\r\n");
}

/* ---- what changed ---- */

struct telling {
	struct pb_session *s;
	const struct pb_view *old;
	const struct told *told;
	struct out out;
	struct flag_texts texts;
	size_t at;			/* in told->uids */
	const struct pb_row *was;	/* in old: the row behind the last one found, and how many lie there */
	uint32_t nwas;
};

static void tell_gone(void *arg, uint32_t seq, uint32_t uid)
{
	struct telling *t = arg;

	(void)uid;
	out_lit(&t->out, "* ");
	out_u32(&t->out, seq);
	out_lit(&t->out, " EXPUNGE\r\n");
}

/* The row as it was in the old picture: mostly the one behind the last. */
static const struct pb_row *old_row(struct telling *t, uint32_t uid)
{
	if (!t->nwas || t->was->uid != uid) {
		uint32_t seq = pb_view_find(t->old, uid);

		t->nwas = 0;
		if (!seq)
			return NULL;
		t->was = pb_view_run(t->old, seq, &t->nwas);
	}
	t->nwas--;
	return t->was++;
}

/* Rows come in ascending order, so a cursor finds them; a jump back is searched for. */
static bool was_told(struct telling *t, const struct pb_row *row)
{
	const struct told *told = t->told;
	const struct pb_row *old;

	if (!told || !told->n)
		return false;
	if (t->at < told->n && told->uids[t->at] > row->uid)
		t->at = 0;
	while (t->at < told->n && told->uids[t->at] < row->uid)
		t->at++;
	if (t->at == told->n || told->uids[t->at] != row->uid)
		return false;
	old = old_row(t, row->uid);
	return old && flags_after(old->flags, told->mode, told->flags) == row->flags;
}

static void tell_flags(void *arg, uint32_t seq, const struct pb_row *row)
{
	struct telling *t = arg;

	if (!was_told(t, row))
		put_fetch_flags(&t->out, &t->texts, seq, row->uid, row->flags | (view_is_recent(imap_of(t->s), row->uid) ? IMAP_RECENT : 0), true);
}

static uint32_t rows_from(const struct pb_view *v, uint32_t uid)
{
	uint32_t first = pb_view_at_least(v, uid);

	return first ? pb_view_count(v) - first + 1 : 0;
}

static void claim_recent(struct pb_session *s, struct pb_folder *folder, uint32_t *ret_first)
{
	struct pb_error err;

	*ret_first = UINT32_MAX;
	if (!imap_of(s)->readonly && pb_folder_claim_recent(folder, ret_first, &err) != 0)
		*ret_first = UINT32_MAX;
}

bool view_sync(struct pb_session *s, bool expunge, const struct told *told)
{
	static const struct pb_view_change tell = { .gone = tell_gone, .flags = tell_flags };
	struct imap *im = imap_of(s);
	struct telling t = { .s = s, .old = im->view, .told = told };
	struct pb_view *now;
	struct pb_error err;
	uint32_t fresh, first = UINT32_MAX;

	if (!im->folder)
		return true;
	if (!pb_folder_is_newer(im->folder, im->view))
		return pb_folder_exists(im->folder);
	if (pb_folder_view(im->folder, &now, &err) != 0)
		return pb_folder_exists(im->folder);
	fresh = rows_from(now, pb_view_uidnext(im->view));
	if (!expunge && pb_view_count(now) - fresh < pb_view_count(im->view)) {
		pb_view_release(now);
		return true;
	}
	if (fresh)
		claim_recent(s, im->folder, &first);
	view_put_keywords(s, now, false);
	t.out = out_start(s);
	flag_texts_init(&t.texts, now, pb_session_arena(s));
	pb_view_diff(im->view, now, &tell, &t);
	if (fresh) {
		uint32_t old_next = pb_view_uidnext(im->view);

		if (first < old_next)
			first = old_next;
		if (first != UINT32_MAX)
			add_recent(im, first, pb_view_uidnext(now) - 1);
	}
	pb_view_release(im->view);
	im->view = now;
	if (fresh) {
		out_lit(&t.out, "* ");
		out_u32(&t.out, pb_view_count(now));
		out_lit(&t.out, " EXISTS\r\n* ");
		out_u32(&t.out, view_recent_count(im));
		out_lit(&t.out, " RECENT\r\n");
	}
	out_end(&t.out);
	return true;
}

int view_enter(struct pb_session *s, struct pb_error *err)
{
	struct imap *im = imap_of(s);
	struct pb_folder_status status;
	uint32_t first;
	int rc;

	/* Claimed before the picture is taken: what arrives between counts as recent, here and perhaps once more. Better than in no session. */
	claim_recent(s, im->folder, &first);
	rc = pb_folder_view(im->folder, &im->view, err);
	if (rc != 0)
		return rc;
	if (im->readonly && pb_folder_status(im->folder, &status, NULL) == 0 && status.recent && status.recent <= pb_view_count(im->view))
		first = pb_view_row(im->view, pb_view_count(im->view) - status.recent + 1)->uid;
	if (first < pb_view_uidnext(im->view))
		add_recent(im, first, pb_view_uidnext(im->view) - 1);
	return 0;
}
