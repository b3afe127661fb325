/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public functions that need a host: each calls through the handle it is given. Whoever made the handle decides what happens.
 */
#include <stdio.h>
#include "host_ops.h"

#define FIRST(...) FIRST_OF(__VA_ARGS__, 0)
#define FIRST_OF(a, ...) a
#define OPS(handle) (((const struct pb_handle *)(const void *)(handle))->ops)

#define PB_OP(ret, name, params, args) ret pb_##name params { return OPS(FIRST args)->name args; }
#define PB_OPV(name, params, args) void pb_##name params { OPS(FIRST args)->name args; }
#define PB_OPN(name, params, args) void pb_##name params { if (FIRST args) OPS(FIRST args)->name args; }
#include "host_ops.def"

static const char *format(struct pb_buf *text, const char *fmt, va_list ap)
{
	char small[512];
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof small, fmt, ap);
	if (n < 0)
		n = 0;
	if ((size_t)n < sizeof small) {
		pb_buf_add(text, small, (size_t)n);
	} else {
		pb_buf_reserve(text, (size_t)n + 1);
		text->len += (size_t)vsnprintf(text->ptr + text->len, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	return pb_buf_z(text);
}

#define WITH_TEXT(last, call) \
	do { \
		PB_AUTOBUF(text); \
		va_list ap; \
		va_start(ap, last); \
		format(&text, last, ap); \
		va_end(ap); \
		call; \
	} while (0)

void pb_log(struct pb_host *host, enum pb_level level, const char *event, const char *fmt, ...)
{
	WITH_TEXT(fmt, pb_log_text(host, level, event, pb_buf_z(&text)));
}

void pb_session_log(struct pb_session *s, enum pb_level level, const char *event, const char *fmt, ...)
{
	WITH_TEXT(fmt, pb_session_log_text(s, level, event, pb_buf_z(&text)));
}

void pb_item_note(struct pb_item *item, const char *what, const char *fmt, ...)
{
	WITH_TEXT(fmt, pb_item_note_text(item, what, pb_buf_z(&text)));
}

void pb_queue_note(struct pb_host *host, const char *id, const char *what, const char *fmt, ...)
{
	WITH_TEXT(fmt, pb_queue_note_text(host, id, what, pb_buf_z(&text)));
}

void pb_putf(struct pb_session *s, const char *fmt, ...)
{
	WITH_TEXT(fmt, pb_put(s, text.ptr, text.len));
}

void pb_link_putf(struct pb_link *l, const char *fmt, ...)
{
	WITH_TEXT(fmt, pb_link_put(l, text.ptr, text.len));
}

void pb_putz(struct pb_session *s, const char *z)
{
	pb_put(s, z, strlen(z));
}
