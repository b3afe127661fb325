/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long messages have been in a folder, from what was noted day by day. */
#include <postbus/date.h>
#include "cleanup.h"

enum { DAY_BYTES = 4, VALUE = 8 };

int64_t today_of(struct cleanup *c)
{
	return pb_day_of(pb_now(c->host), 0);
}

static void put32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (24 - 8 * i));
}

static uint32_t get32(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

static void key_of(struct pb_buf *key, struct pb_str mailbox, struct pb_str folder, int64_t day)
{
	char bytes[DAY_BYTES];

	put32(bytes, (uint32_t)day);
	pb_buf_addstr(key, mailbox);
	pb_buf_addc(key, '\0');
	pb_buf_addstr(key, pb_str_head(folder, 400));
	pb_buf_addc(key, '\0');
	pb_buf_add(key, bytes, sizeof bytes);
}

int age_note(struct cleanup *c, struct pb_str mailbox, struct pb_str folder, uint32_t uidvalidity, uint32_t uidnext, struct pb_error *err)
{
	char value[VALUE];
	PB_AUTOBUF(key);
	PB_AUTOBUF(was);

	key_of(&key, mailbox, folder, today_of(c));
	if (pb_table_get(c->ages, pb_buf_str(&key), &was, NULL) == 0 && was.len == VALUE && get32(was.ptr) == uidvalidity)
		return 0;	/* the day's first word counts: what comes later today is younger */
	put32(value, uidvalidity);
	put32(value + 4, uidnext);
	return pb_table_apply(c->ages, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_str(value, VALUE) }, 1, err);
}

struct search {
	uint32_t uidvalidity, limit;
	struct pb_buf last;		/* key */
	size_t n;
};

/* Ascending by day: the last that fits counts, those before it say no more. */
static bool look(void *arg, struct pb_str key, struct pb_str value)
{
	struct search *s = arg;

	if (value.len == VALUE && get32(value.ptr) == s->uidvalidity)
		s->limit = get32(value.ptr + 4);
	pb_buf_reset(&s->last);
	pb_buf_addstr(&s->last, key);
	s->n++;
	return true;
}

int age_limit(struct cleanup *c, struct pb_str mailbox, struct pb_str folder, uint32_t uidvalidity, int64_t days, uint32_t *ret, struct pb_error *err)
{
	struct search s = { .uidvalidity = uidvalidity, .last = PB_BUF };
	int64_t day = today_of(c) - days;
	PB_AUTOBUF(from);
	PB_AUTOBUF(to);
	int rc;

	key_of(&from, mailbox, folder, 0);
	key_of(&to, mailbox, folder, day < 0 ? 0 : day + 1);
	rc = pb_table_scan(c->ages, pb_buf_str(&from), pb_buf_str(&to), 0, look, &s, err);
	if (!rc && s.n > 1)
		rc = pb_table_clear(c->ages, pb_buf_str(&from), pb_buf_str(&s.last), err);
	pb_buf_free(&s.last);
	*ret = s.limit;
	return rc;
}
