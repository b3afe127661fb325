/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tests that ask the surroundings, or nothing but the script itself: string, size, environment, spamtest, mailboxes, lists, duplicate and their like. */
#include "sieve/machine.h"

enum { DUPLICATE_SECONDS = 7 * 86400 };

static bool each_of(struct machine *m, const struct call *c, enum slot slot, bool (*holds)(struct machine *m, const struct call *c, struct pb_str one))
{
	const struct list *l = &c->slots[slot].list;
	bool all = true;

	for (size_t i = 0; i < l->n && all; i++) {
		all = holds(m, c, l->items[i]);
		machine_trace(m, c, "asked", l->items[i], all);
	}
	return all;
}

static bool mailbox_exists(struct machine *m, const struct call *c, struct pb_str one)
{
	(void)c;
	return m->world->mailbox_exists && m->world->mailbox_exists(m->world->arg, one);
}

static bool mailbox_id_exists(struct machine *m, const struct call *c, struct pb_str one)
{
	(void)c;
	return m->world->mailbox_id_exists && m->world->mailbox_id_exists(m->world->arg, one);
}

static bool special_use_exists(struct machine *m, const struct call *c, struct pb_str one)
{
	return m->world->special_use_exists && m->world->special_use_exists(m->world->arg, call_str(c, S_1), one);
}

/* RFC 5464 4.1: names begin so; others are none. */
static bool metadata_of(struct machine *m, struct pb_str folder, struct pb_str name, struct pb_buf *out)
{
	return (pb_str_istarts(name, PB_STR("/private/")) || pb_str_istarts(name, PB_STR("/shared/"))) && m->world->metadata &&
	       m->world->metadata(m->world->arg, folder, name, out);
}

static bool metadata_exists(struct machine *m, const struct call *c, struct pb_str one)
{
	PB_AUTOBUF(ignored);

	return metadata_of(m, c->word == W_METADATAEXISTS ? call_str(c, S_1) : PB_NOSTR, one, &ignored);
}

static bool list_valid(struct machine *m, const struct call *c, struct pb_str one)
{
	(void)c;
	return m->world->list_valid && m->world->list_valid(m->world->arg, one);
}

static bool method_valid(struct machine *m, const struct call *c, struct pb_str one)
{
	(void)m;
	(void)c;
	return notify_method_valid(one);
}

/* ---- tests with keys ---- */

static bool test_string(struct machine *m, const struct call *c, bool *ret)
{
	const struct list *l = &c->slots[S_1].list;
	struct matching x;
	bool more = true;

	matching_begin(&x, m, c, S_2);
	for (size_t i = 0; i < l->n && more; i++)
		if (x.how.match != COUNT || l->items[i].len)	/* RFC 5229 5: empty ones do not count */
			more = matching_value(&x, l->items[i]);
	return matching_end(&x, ret);
}

static bool one_value(struct machine *m, const struct call *c, enum slot keys, const struct pb_buf *value, bool there, bool *ret)
{
	struct matching x;

	matching_begin(&x, m, c, keys);
	if (there)
		matching_value(&x, pb_arena_str(m->arena, pb_buf_str(value)));
	return matching_end(&x, ret);
}

/* RFC 5235: 0 is "not tested". */
static bool test_score(struct machine *m, const struct call *c, bool *ret)
{
	const struct sieve_world *w = m->world;
	PB_AUTOBUF(text);
	int score = c->word == W_VIRUSTEST ? (w->virus ? w->virus(w->arg) : 0) : w->spam ? w->spam(w->arg, c->slots[S_PERCENT].there) : 0;

	pb_buf_addu(&text, score < 0 ? 0 : (uint64_t)score);
	return one_value(m, c, S_1, &text, true, ret);
}

static bool test_named(struct machine *m, const struct call *c, bool *ret)
{
	const struct sieve_world *w = m->world;
	PB_AUTOBUF(text);
	bool there = false;

	switch (c->word) {
	case W_ENVIRONMENT:
		there = w->environment && w->environment(w->arg, call_str(c, S_1), &text);
		break;
	case W_ITEM:
		if (pb_str_eq(call_str(c, S_1), PB_STR("any_header")))
			return test_any_header(m, c, ret);
		there = w->item && w->item(w->arg, call_str(c, S_1), &text);
		break;
	case W_SERVERMETADATA:
		there = metadata_of(m, PB_NOSTR, call_str(c, S_1), &text);
		break;
	case W_METADATA:
		there = metadata_of(m, call_str(c, S_1), call_str(c, S_2), &text);
		return one_value(m, c, S_3, &text, there, ret);
	default:	/* RFC 5435 5: nobody knows whether a mail address is there */
		there = notify_method_valid(call_str(c, S_1)) && pb_str_ieq(call_str(c, S_2), PB_STR("online"));
		pb_buf_addz(&text, "maybe");
		return one_value(m, c, S_3, &text, there, ret);
	}
	return one_value(m, c, S_2, &text, there, ret);
}

/* ---- duplicate (RFC 7352) ---- */

static bool test_duplicate(struct machine *m, const struct call *c, bool *ret)
{
	struct sieve_result *r = m->result;
	struct pb_str id = call_str(c, S_UNIQUE_ID), name = c->slots[S_HEADER].there ? call_str(c, S_HEADER) : PB_STR("Message-ID"), *values, key;
	int64_t seconds = (int64_t)call_number(c, S_SECONDS, DUPLICATE_SECONDS);
	struct sieve_seen *more;

	*ret = false;
	if (!c->slots[S_UNIQUE_ID].there && mail_name_valid(name) && mail_values(m->mail, 0, name, true, &values))
		id = values[0];
	if (!id.len)
		return true;
	key = pb_strz(pb_arena_printf(m->arena, "%.*s/%.*s", PB_FMT(call_str(c, S_HANDLE)), PB_FMT(pb_str_head(id, 1000))));
	*ret = m->world->seen && m->world->seen(m->world->arg, key, seconds, c->slots[S_LAST].there);
	for (size_t i = 0; i < r->nseen; i++)
		if (pb_str_eq(r->seen[i].key, key))
			return true;
	if (r->nseen >= m->limits.actions)
		return machine_fail(m, c->line, PB_ETOOBIG, "more than %u tests for duplicates", m->limits.actions);
	more = pb_arena_alloc(m->arena, (r->nseen + 1) * sizeof *more);
	if (r->nseen)
		memcpy(more, r->seen, r->nseen * sizeof *more);
	more[r->nseen++] = (struct sieve_seen){ key, seconds };
	r->seen = more;
	return true;
}

bool test_world(struct machine *m, const struct call *c, bool *ret)
{
	switch (c->word) {
	case W_SIZE:
		*ret = call_number(c, S_OVER, 0) ? m->message->bytes.len > c->slots[S_1].number : m->message->bytes.len < c->slots[S_1].number;
		if (m->world->trace)
			machine_trace(m, c, "size", pb_strz(pb_arena_printf(m->arena, "%zu", m->message->bytes.len)), *ret);
		return true;
	case W_STRING:
		return test_string(m, c, ret);
	case W_SPAMTEST:
	case W_VIRUSTEST:
		return test_score(m, c, ret);
	case W_DUPLICATE:
		return test_duplicate(m, c, ret);
	case W_MAILBOXEXISTS:
		*ret = each_of(m, c, S_1, mailbox_exists);
		return true;
	case W_MAILBOXIDEXISTS:
		*ret = each_of(m, c, S_1, mailbox_id_exists);
		return true;
	case W_SPECIALUSE_EXISTS:
		*ret = each_of(m, c, S_2, special_use_exists);
		return true;
	case W_METADATAEXISTS:
		*ret = each_of(m, c, S_2, metadata_exists);
		return true;
	case W_SERVERMETADATAEXISTS:
		*ret = each_of(m, c, S_1, metadata_exists);
		return true;
	case W_VALID_EXT_LIST:
		*ret = each_of(m, c, S_1, list_valid);
		return true;
	case W_VALID_NOTIFY_METHOD:
		*ret = each_of(m, c, S_1, method_valid);
		return true;
	case W_ENVIRONMENT:
	case W_ITEM:
	case W_METADATA:
	case W_SERVERMETADATA:
	case W_NOTIFY_METHOD_CAPABILITY:
		return test_named(m, c, ret);
	default:
		return machine_fail(m, c->line, PB_ECORRUPT, "the compiled script has an unknown test");
	}
}
