/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sets of a chain: found, numbered, laid out for the seal (RFC 8617 4.1, 5.1.1). */
#include "mailauth/arc_sets.h"

static const char *const names[] = { "ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal" };

/* "i=3" before the first ";". */
static bool instance_of(struct pb_str value, unsigned *ret)
{
	struct pb_str rest = value, first, name;
	uint64_t n;

	for (int i = 0; i < TAGS_MAX && pb_str_cut(&rest, ';', &first); i++) {
		if (!pb_str_cut(&first, '=', &name) || !pb_str_eq(pb_str_trim(name), PB_STR("i")))
			continue;
		if (pb_str_u64(pb_str_trim(first), ARC_SETS_MAX, &n) || !n)
			return false;
		*ret = (unsigned)n;
		return true;
	}
	return false;
}

bool arc_sets_read(const struct auth_message *msg, struct arc_sets *ret, struct finding *why)
{
	bool sound = true;
	unsigned n;

	*ret = (struct arc_sets){ 0 };
	for (size_t k = 0; k < msg->n; k++)
		for (int part = 0; part < 3; part++) {
			if (!pb_str_ieq(msg->fields[k].name, pb_strz(names[part])))
				continue;
			if (msg->fields[k].raw.len > SIGNATURE_MAX || !instance_of(msg->fields[k].value, &n)) {
				sound = false;
				finding_set(why, AUTH_FAIL, "%s has no number that is allowed", names[part]);
				continue;
			}
			if (ret->part[n][part]) {
				sound = false;
				finding_set(why, AUTH_FAIL, "%s i=%u stands there twice", names[part], n);
			}
			ret->part[n][part] = &msg->fields[k];
			ret->n = n > ret->n ? n : ret->n;
		}
	for (unsigned i = 1; i <= ret->n && sound; i++)
		for (int part = 0; part < 3 && sound; part++)
			if (!ret->part[i][part]) {
				sound = false;
				finding_set(why, AUTH_FAIL, "%s i=%u is missing", names[part], i);
			}
	return sound;
}

void arc_seal_data(const struct arc_sets *sets, unsigned n, struct pb_str own, struct pb_buf *out)
{
	struct pb_str raw;
	PB_AUTOBUF(bare);
	long colon;

	for (unsigned i = 1; i <= n; i++)
		for (int part = 0; part < 3; part++)
			if (i < n || part != ARC_SEAL)
				canon_field(CANON_RELAXED, sets->part[i][part]->raw, out);
	raw = own.len ? own : sets->part[n][ARC_SEAL]->raw;
	colon = pb_str_find(raw, ':', 0);
	pb_buf_add(&bare, raw.ptr, (size_t)colon + 1);
	tags_without_b(&bare, pb_str_skip(raw, (size_t)colon + 1));
	canon_field(CANON_RELAXED, pb_buf_str(&bare), out);
	out->len -= 2;
}
