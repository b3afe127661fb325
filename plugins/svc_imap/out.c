/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Output of many small pieces. The stream's buffer belongs to the session framework; this only keeps a place in it.
 */
#include "out.h"

struct out out_start(struct pb_session *s)
{
	return (struct out){ .s = s };
}

void out_end(struct out *o)
{
	if (o->start && o->start != o->scratch)
		pb_put_done(o->s, (size_t)(o->p - o->start));
	o->start = o->p = o->end = NULL;
}

void out_more(struct out *o)
{
	out_end(o);
	o->start = pb_put_room(o->s, OUT_ROOM);
	if (!o->start) {
		if (!o->scratch)
			o->scratch = pb_arena_alloc(pb_session_arena(o->s), OUT_ROOM);
		o->start = o->scratch;
	}
	o->p = o->start;
	o->end = o->start + OUT_ROOM;
}

void out_big(struct out *o, const char *ptr, size_t len)
{
	if (len <= OUT_ROOM) {
		out_more(o);
		memcpy(o->p, ptr, len);
		o->p += len;
		return;
	}
	out_end(o);
	pb_put(o->s, ptr, len);
}
