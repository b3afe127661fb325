/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DMARC records found, read and compared with what is proven (RFC 7489 3.1, 6.3, 6.6.3). Reports are nobody's business here. */
#include "mailauth/dmarc.h"
#include <libpsl.h>
#include <postbus/address.h>

static const char *const policies[] = { "none", "quarantine", "reject" };

enum { RECORD_MAX = 4096, RECORDS_MAX = 64 };

const char *dmarc_policy_name(enum dmarc_policy p)
{
	return policies[p];
}

static bool policy_parse(struct pb_str word, enum dmarc_policy *ret)
{
	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
		if (pb_str_ieq(word, pb_strz(policies[i]))) {
			*ret = (enum dmarc_policy)i;
			return true;
		}
	return false;
}

/* "v=DMARC1" is the first tag, white space allowed. */
static bool is_record(struct pb_str text)
{
	struct pb_str first, name;

	pb_str_cut(&text, ';', &first);
	return pb_str_cut(&first, '=', &name) && first.ptr && pb_str_eq(pb_str_trim(name), PB_STR("v")) && pb_str_eq(pb_str_trim(first), PB_STR("DMARC1"));
}

static void read_tag(struct dmarc_record *r, struct pb_str name, struct pb_str value, bool *has_p, bool *has_sp, bool *bad)
{
	uint64_t n;

	if (pb_str_ieq(name, PB_STR("p"))) {
		*has_p = policy_parse(value, &r->domain_policy);
		*bad |= !*has_p;
	} else if (pb_str_ieq(name, PB_STR("sp"))) {
		*has_sp = policy_parse(value, &r->subdomain_policy);
		*bad |= !*has_sp;
	} else if (pb_str_ieq(name, PB_STR("adkim"))) {
		r->strict_dkim = pb_str_ieq(value, PB_STR("s"));
	} else if (pb_str_ieq(name, PB_STR("aspf"))) {
		r->strict_spf = pb_str_ieq(value, PB_STR("s"));
	} else if (pb_str_ieq(name, PB_STR("pct"))) {
		if (!pb_str_u64(value, 100, &n))
			r->percent = (unsigned)n;
	} else if (pb_str_ieq(name, PB_STR("rua"))) {
		r->reports = value;
	}
}

bool dmarc_record_read(struct pb_arena *arena, struct pb_str text, struct dmarc_record *ret)
{
	struct dmarc_record r = { .percent = 100 };
	struct pb_str rest = text, one, name;
	bool has_p = false, has_sp = false, bad = false;

	if (text.len > RECORD_MAX || !is_record(text))
		return false;
	while (pb_str_cut(&rest, ';', &one))
		if (pb_str_cut(&one, '=', &name) && one.ptr)
			read_tag(&r, pb_str_trim(name), pb_str_trim(one), &has_p, &has_sp, &bad);
	/* RFC 7489 6.6.3: without a valid policy it is one of "none" if reports are wanted, and else no record. */
	if ((!has_p || bad) && !pb_str_istarts(r.reports, PB_STR("mailto:")))
		return false;
	if (!has_p || bad)
		r.domain_policy = r.subdomain_policy = DMARC_NONE;
	else if (!has_sp)
		r.subdomain_policy = r.domain_policy;
	r.published = true;
	r.policy = r.domain_policy;
	r.reports = pb_arena_str(arena, r.reports);
	*ret = r;
	return true;
}

struct pb_str dmarc_organizational(struct pb_arena *arena, struct pb_str domain)
{
	struct pb_str name = pb_arena_str(arena, domain);
	const char *found = psl_registrable_domain(psl_builtin(), name.ptr);

	return found ? pb_strz(found) : name;
}

/* 1: a record; 0: none; 2: several, so that none counts; below: no answer. */
static int look_at(struct pb_arena *arena, const struct auth_dns *dns, struct pb_str domain, struct dmarc_record *r, struct pb_error *err)
{
	struct pb_str *records = NULL, found = PB_NOSTR, name = pb_strz(pb_arena_printf(arena, "_dmarc.%.*s", PB_FMT(domain)));
	size_t n = 0, hits = 0;
	int rc = name.len > 253 ? PB_ENOTFOUND : dns->query(dns->arg, "TXT", name, arena, &records, &n);

	if (rc == PB_ENOTFOUND)
		return 0;
	if (rc)
		return pb_fail(err, PB_EUNAVAILABLE, "the DNS gives no answer about %.*s", PB_FMT(name));
	for (size_t i = 0; i < n && i < RECORDS_MAX; i++)
		if (is_record(records[i])) {
			found = records[i];
			hits++;
		}
	if (hits > 1)
		return 2;
	return hits && dmarc_record_read(arena, found, r) ? 1 : hits ? 2 : 0;
}

int dmarc_find(struct pb_arena *arena, const struct auth_dns *dns, struct pb_str domain, struct dmarc_record *ret, struct pb_error *err)
{
	struct pb_str organizational = dmarc_organizational(arena, domain), at = domain;
	struct dmarc_record r = { 0 };
	int rc = look_at(arena, dns, domain, &r, err);

	if (rc == 0 && !pb_str_eq(organizational, domain)) {
		at = organizational;
		rc = look_at(arena, dns, organizational, &r, err);
		r.policy = r.subdomain_policy;
	}
	if (rc < 0)
		return rc;
	r.published = rc == 1;
	r.domain = pb_arena_str(arena, domain);
	r.organizational = organizational;
	r.found_at = r.published ? pb_arena_str(arena, at) : PB_NOSTR;
	*ret = r;
	return 0;
}

bool dmarc_aligned(struct pb_arena *arena, const struct dmarc_record *r, struct pb_str name, bool strict)
{
	PB_AUTOBUF(ascii);

	if (!name.len || pb_domain_ascii(&ascii, name, NULL))
		return false;
	if (pb_str_eq(pb_buf_str(&ascii), r->domain))
		return true;
	return !strict && pb_str_eq(dmarc_organizational(arena, pb_buf_str(&ascii)), r->organizational);
}
