/* SPDX-License-Identifier: Apache-2.0 */
/* Owned bytes: buffers, arenas, memory that must not fail. Out of memory ends the process; queue and store are durable. */
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <postbus/str.h>

static _Noreturn void out_of_memory(size_t size)
{
	char text[80];
	int n = snprintf(text, sizeof text, "postbus: out of memory: %zu bytes wanted\n", size);

	if (write(2, text, (size_t)n) < 0)
		abort();
	abort();
}

void *pb_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		out_of_memory(size);
	return p;
}

void *pb_realloc(void *ptr, size_t size)
{
	void *p = realloc(ptr, size ? size : 1);

	if (!p)
		out_of_memory(size);
	return p;
}

/* ---- buffers ---- */

void pb_buf_reserve(struct pb_buf *b, size_t more)
{
	size_t need;

	if (__builtin_add_overflow(b->len, more, &need) || __builtin_add_overflow(need, 1, &need))
		out_of_memory(more);
	if (need <= b->cap)
		return;
	if (need < b->cap + b->cap / 2)
		need = b->cap + b->cap / 2;
	if (need < 64)
		need = 64;
	b->ptr = pb_realloc(b->ptr, need);
	b->cap = need;
	b->ptr[b->len] = '\0';
}

/* What most appends find. */
static bool has_room(const struct pb_buf *b, size_t more)
{
	return b->len < b->cap && more < b->cap - b->len;
}

void pb_buf_add(struct pb_buf *b, const void *ptr, size_t len)
{
	if (!has_room(b, len))
		pb_buf_reserve(b, len);
	if (len)
		memcpy(b->ptr + b->len, ptr, len);
	b->len += len;
	b->ptr[b->len] = '\0';
}

void pb_buf_addstr(struct pb_buf *b, struct pb_str s)
{
	pb_buf_add(b, s.ptr, s.len);
}

void pb_buf_addz(struct pb_buf *b, const char *z)
{
	pb_buf_add(b, z, strlen(z));
}

void pb_buf_addc(struct pb_buf *b, char c)
{
	if (!has_room(b, 1))
		pb_buf_reserve(b, 1);
	b->ptr[b->len++] = c;
	b->ptr[b->len] = '\0';
}

void pb_buf_addu(struct pb_buf *b, uint64_t n)
{
	char digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	pb_buf_add(b, digits + i, sizeof digits - i);
}

void pb_buf_addf(struct pb_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	pb_buf_reserve(b, 128);
	va_start(ap, fmt);
	n = vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= b->cap - b->len) {
		pb_buf_reserve(b, (size_t)n);
		va_start(ap, fmt);
		vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

void pb_buf_cut(struct pb_buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (!n)
		return;
	memmove(b->ptr, b->ptr + n, b->len - n + 1);
	b->len -= n;
}

void pb_buf_reset(struct pb_buf *b)
{
	b->len = 0;
	if (b->ptr)
		b->ptr[0] = '\0';
}

void pb_buf_free(struct pb_buf *b)
{
	if (!b)
		return;
	free(b->ptr);
	*b = (struct pb_buf)PB_BUF;
}

const char *pb_buf_z(struct pb_buf *b)
{
	pb_buf_reserve(b, 0);
	return b->ptr;
}

/* ---- arenas: a list of blocks, the newest first; a reset keeps the first block ---- */

enum { BLOCK = 4096 - 64 };

struct block {
	struct block *next;
	size_t size, used;
	alignas(max_align_t) char bytes[];
};

struct pb_arena {
	struct block *blocks;
	size_t total;
};

struct pb_arena *pb_arena_new(void)
{
	return pb_alloc(sizeof(struct pb_arena));
}

void *pb_arena_alloc(struct pb_arena *a, size_t size)
{
	struct block *b = a->blocks;
	void *p;

	if (size > SIZE_MAX / 2)
		out_of_memory(size);
	size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!b || b->size - b->used < size) {
		size_t room = size > BLOCK ? size : BLOCK;

		b = pb_realloc(NULL, sizeof *b + room);
		*b = (struct block){ .next = a->blocks, .size = room };
		a->blocks = b;
	}
	p = b->bytes + b->used;
	b->used += size;
	a->total += size;
	return memset(p, 0, size);
}

struct pb_str pb_arena_str(struct pb_arena *a, struct pb_str s)
{
	char *copy = pb_arena_alloc(a, s.len + 1);

	if (s.len)
		memcpy(copy, s.ptr, s.len);
	return pb_str(copy, s.len);
}

char *pb_arena_printf(struct pb_arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *text;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	text = pb_arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
	if (n > 0)
		vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return text;
}

size_t pb_arena_used(const struct pb_arena *a)
{
	return a->total;
}

void pb_arena_reset(struct pb_arena *a)
{
	struct block *b = a->blocks;

	while (b && b->next) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
	if (b) {
		if (b->size > BLOCK) {
			free(b);
			b = NULL;
		} else {
#ifdef PB_CHECKED
			memset(b->bytes, 0xDB, b->used);
#endif
			b->used = 0;
		}
	}
	a->blocks = b;
	a->total = 0;
}

void pb_arena_free(struct pb_arena *a)
{
	if (!a)
		return;
	for (struct block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}
