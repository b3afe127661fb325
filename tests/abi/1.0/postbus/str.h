/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes: a view that owns nothing, a buffer that owns its bytes, an arena that frees all at once.
 * Mail is bytes: classification here is ASCII only, no locale, and NUL is a byte like any other.
 * Out of memory ends the process (queue and store are durable); so cap what comes from the network before you allocate for it.
 */
#ifndef POSTBUS_STR_H
#define POSTBUS_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <postbus/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- views ---- */

/* A view of len bytes; not NUL-terminated; ptr may be NULL where len is 0. Pass by value. */
struct pb_str {
	const char *ptr;
	size_t len;
};

static inline struct pb_str pb_str(const char *ptr, size_t len)
{
	struct pb_str s = { ptr, len };

	return s;
}

/* A NUL-terminated string (or NULL: empty) as a view. */
static inline struct pb_str pb_strz(const char *z)
{
	return pb_str(z, z ? strlen(z) : 0);
}

#define PB_STR(literal) pb_str("" literal, sizeof(literal) - 1)
#define PB_NOSTR pb_str(NULL, 0)
/* For printf: "%.*s", PB_FMT(s) */
#define PB_FMT(s) (int)(s).len, (s).len ? (s).ptr : ""

static inline bool pb_str_eq(struct pb_str a, struct pb_str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

int pb_str_cmp(struct pb_str a, struct pb_str b);		/* bytes, then length; <0, 0, >0 */
bool pb_str_ieq(struct pb_str a, struct pb_str b);		/* ASCII case folded */
int pb_str_icmp(struct pb_str a, struct pb_str b);
bool pb_str_starts(struct pb_str s, struct pb_str prefix);
bool pb_str_istarts(struct pb_str s, struct pb_str prefix);
bool pb_str_ends(struct pb_str s, struct pb_str suffix);
bool pb_str_iends(struct pb_str s, struct pb_str suffix);
/* Index of the first c (of needle) at or after from, or -1. */
long pb_str_find(struct pb_str s, char c, size_t from);
long pb_str_search(struct pb_str s, struct pb_str needle, size_t from);
long pb_str_isearch(struct pb_str s, struct pb_str needle, size_t from);
/* s without its first n bytes (all of them where n is larger). */
struct pb_str pb_str_skip(struct pb_str s, size_t n);
/* At most the first n bytes. */
struct pb_str pb_str_head(struct pb_str s, size_t n);
/* Without leading and trailing SP, HTAB, CR, LF. */
struct pb_str pb_str_trim(struct pb_str s);
/* Cut *rest at the first sep: gives what is before it, leaves what is after it; false when *rest was exhausted (its ptr NULL). */
bool pb_str_cut(struct pb_str *rest, char sep, struct pb_str *ret_part);
/* The next word of *rest, delimited by SP or HTAB; false when there is none. */
bool pb_str_word(struct pb_str *rest, struct pb_str *ret_word);
/* Whole of s as decimal digits; PB_EINVALID for anything else, PB_ETOOBIG above max. */
int pb_str_u64(struct pb_str s, uint64_t max, uint64_t *ret);
/* A NUL-terminated copy from malloc; free() it. */
char *pb_str_dup(struct pb_str s);
/* 64-bit hash with a per-process random key, for hash tables on hostile input. */
uint64_t pb_str_hash(struct pb_str s);
/* Equal length and bytes, in time that depends on the lengths only. */
bool pb_str_eq_secret(struct pb_str a, struct pb_str b);

static inline bool pb_is_digit(int c) { return c >= '0' && c <= '9'; }
static inline bool pb_is_alpha(int c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
static inline bool pb_is_alnum(int c) { return pb_is_digit(c) || pb_is_alpha(c); }
static inline bool pb_is_blank(int c) { return c == ' ' || c == '\t'; }
static inline int pb_lower(int c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }
static inline int pb_upper(int c) { return c >= 'a' && c <= 'z' ? c - 32 : c; }

/* ---- buffers ---- */

/* Owns its bytes. ptr is never NULL after the first add or pb_buf_z, and ptr[len] is then NUL. Start from PB_BUF; end with pb_buf_free. */
struct pb_buf {
	char *ptr;
	size_t len, cap;
};

#define PB_BUF { NULL, 0, 0 }

void pb_buf_reserve(struct pb_buf *b, size_t more);		/* room for more bytes beyond len */
void pb_buf_add(struct pb_buf *b, const void *ptr, size_t len);
void pb_buf_addstr(struct pb_buf *b, struct pb_str s);
void pb_buf_addz(struct pb_buf *b, const char *z);
void pb_buf_addc(struct pb_buf *b, char c);
void pb_buf_addu(struct pb_buf *b, uint64_t n);			/* decimal */
void pb_buf_addf(struct pb_buf *b, const char *fmt, ...) PB_PRINTF(2, 3);
void pb_buf_cut(struct pb_buf *b, size_t n);			/* remove the first n bytes */
void pb_buf_reset(struct pb_buf *b);				/* len 0, memory kept */
void pb_buf_free(struct pb_buf *b);				/* back to PB_BUF; NULL is fine */
const char *pb_buf_z(struct pb_buf *b);				/* NUL-terminated, never NULL */

static inline struct pb_str pb_buf_str(const struct pb_buf *b)
{
	return pb_str(b->ptr, b->len);
}

/* For declarations: PB_AUTOBUF(line); frees itself at the end of the scope (GNU C). */
#define PB_AUTOBUF(name) struct pb_buf name __attribute__((cleanup(pb_buf_free))) = PB_BUF

/* ---- arenas ---- */

/* Many small things with one end. Not thread-safe. Debug builds poison what a reset gives back. */
struct pb_arena;

/* Allocation never gives NULL: out of memory ends the process. used: bytes handed out since the last reset; reset: all of them are free again. */
struct pb_arena *pb_arena_new(void);
void *pb_arena_alloc(struct pb_arena *a, size_t size);		/* zeroed, aligned for any type; never NULL */
struct pb_str pb_arena_str(struct pb_arena *a, struct pb_str s);	/* a copy, NUL-terminated after len */
char *pb_arena_printf(struct pb_arena *a, const char *fmt, ...) PB_PRINTF(2, 3);
size_t pb_arena_used(const struct pb_arena *a);
void pb_arena_reset(struct pb_arena *a);
void pb_arena_free(struct pb_arena *a);				/* NULL is fine */

/* ---- memory that must not fail ---- */

void *pb_alloc(size_t size);					/* zeroed malloc; ends the process when there is none */
void *pb_realloc(void *ptr, size_t size);

/* ---- encodings ---- */

/* Append the encoding of in. */
void pb_base64_encode(struct pb_buf *out, struct pb_str in);
/* Append what in decodes to (RFC 4648, strict: no white space, padding required); PB_EINVALID otherwise. */
int pb_base64_decode(struct pb_buf *out, struct pb_str in);
void pb_hex_encode(struct pb_buf *out, struct pb_str in);
/* Is it well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)? */
bool pb_utf8_valid(struct pb_str s);
/* Fill with bytes from the system's generator. */
void pb_random(void *ptr, size_t len);
uint32_t pb_crc32c(uint32_t crc, const void *ptr, size_t len);	/* start with 0 */

#ifdef __cplusplus
}
#endif
#endif
