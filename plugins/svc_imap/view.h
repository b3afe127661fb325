/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The selected folder as this session sees it: its view, \Recent, which messages a set names, and telling what changed.
 */
#ifndef SVC_IMAP_VIEW_H
#define SVC_IMAP_VIEW_H

#include "imap.h"
#include "out.h"

#define IMAP_RECENT 32u		/* among a row's flags, a bit that the store has no use for */

/* Sequence numbers from..to of the view, both there; ascending, disjoint. */
struct runs {
	struct range *runs;	/* in the arena */
	size_t n;
	uint32_t count;		/* of messages */
};

/* Sequence numbers above the view's are an error (RFC 3501 9, seq-number): false. UIDs that are not there are passed over (6.4.8). */
bool view_runs(struct pb_session *s, struct set *set, bool uid, struct runs *ret);
/* Their UIDs, in the arena. */
uint32_t *view_uids(struct pb_session *s, const struct runs *runs);

/* What a session did itself and has been told: changes of flags that came out exactly so are not told again. */
struct told {
	const uint32_t *uids;	/* ascending */
	size_t n;
	enum pb_store_mode mode;
	uint64_t flags;
};

uint64_t flags_after(uint64_t flags, enum pb_store_mode mode, uint64_t change);

/* Take the newest view and tell the client the difference. expunge false: where messages are gone, the old view stays until they may be told.
 * told may be NULL. Gives false when the folder itself is gone. */
bool view_sync(struct pb_session *s, bool expunge, const struct told *told);
/* First view after SELECT: claims \Recent unless read only. */
int view_enter(struct pb_session *s, struct pb_error *err);
bool view_is_recent(const struct imap *im, uint32_t uid);
uint32_t view_recent_count(const struct imap *im);
/* FLAGS and PERMANENTFLAGS, if there are keywords that the client has not been told of (or always). */
void view_put_keywords(struct pb_session *s, const struct pb_view *v, bool always);

/* Rendered flag lists, "\Seen $Junk", by their flags: few differ in a folder. */
enum { FLAG_SLOTS = 64 };
struct flag_texts {
	const struct pb_view *view;
	struct pb_arena *arena;
	struct flag_text {
		uint64_t flags;
		struct pb_str text;	/* with its parentheses; ptr NULL: empty slot */
	} slots[FLAG_SLOTS];
};

void flag_texts_init(struct flag_texts *t, const struct pb_view *view, struct pb_arena *arena);
struct pb_str flag_text_make(struct flag_texts *t, struct flag_text *slot, uint64_t flags);

static inline struct pb_str flag_text(struct flag_texts *t, uint64_t flags)
{
	struct flag_text *slot = &t->slots[(flags ^ flags >> 6 ^ flags >> 13) & (FLAG_SLOTS - 1)];

	return slot->text.ptr && slot->flags == flags ? slot->text : flag_text_make(t, slot, flags);
}

/* "* 5 FETCH (FLAGS (\Seen))", with the UID in UID commands. */
void put_fetch_flags(struct out *o, struct flag_texts *t, uint32_t seq, uint32_t uid, uint64_t flags, bool with_uid);

/* The bits that a list of flags means; with make, keywords are made where there is room, without it those that the folder does not know are none. */
int flags_resolve(struct pb_folder *folder, const struct pb_str *names, size_t n, bool make, uint64_t *ret, struct pb_error *err);
/* "(" [flag *(SP flag)] ")" */
bool parse_flag_list(struct parse *p, struct pb_str **ret, size_t *ret_n);
/* Is one of these messages gone that the client does not know of yet? (RFC 5530 EXPUNGEISSUED) */
bool view_lost(struct pb_session *s, const uint32_t *uids, size_t n);

/* A system flag's bit; IMAP_RECENT for \Recent; 0: none of them. */
uint64_t flag_bit(struct pb_str name);
/* The other way, for a bit's number, 0 to 63: a system flag, \Recent, or what the folder calls a keyword; empty: nothing has this bit. As long as the view. */
struct pb_str flag_name(const struct pb_view *v, unsigned bit);

#endif
