/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a post may keep its From. A list changes subjects and texts, so the author's own signature breaks, and receivers that follow his domain's DMARC policy
 * (RFC 7489) turn the members' copies away: then, and only then, the list writes under its own name.
 */
#include <stdio.h>
#include <postbus/address.h>
#include "post.h"

static struct pb_str author_domain(const struct post *p)
{
	struct pb_str local, domain = PB_NOSTR;

	pb_address_split(pb_buf_str(&p->from), &local, &domain);
	return domain;
}

/* ---- domains whose policy could not be found out ---- */

/* Of whom the DNS said nothing a moment ago: whoever asked again would wait as long again, with all posts behind him. */
enum { SILENCE = 60 };

static bool is_silent(struct lists *all, struct pb_str domain)
{
	int64_t now = pb_ticks(all->host);
	bool silent = false;

	pthread_mutex_lock(&all->counting);
	for (size_t i = 0; i < SILENT_DOMAINS && !silent; i++)
		silent = all->silent[i].until > now && pb_domain_eq(pb_strz(all->silent[i].domain), domain);
	pthread_mutex_unlock(&all->counting);
	return silent;
}

static void remember_silence(struct lists *all, struct pb_str domain)
{
	struct silent *oldest = all->silent;

	pthread_mutex_lock(&all->counting);
	for (size_t i = 1; i < SILENT_DOMAINS; i++)
		if (all->silent[i].until < oldest->until)
			oldest = &all->silent[i];
	if (domain.len < sizeof oldest->domain) {
		snprintf(oldest->domain, sizeof oldest->domain, "%.*s", PB_FMT(domain));
		oldest->until = pb_ticks(all->host) + SILENCE * PB_SECOND;
	}
	pthread_mutex_unlock(&all->counting);
}

/* ---- the policy ---- */

static int ask(struct post *p, struct pb_str domain, struct pb_buf *ret, struct pb_error *err)
{
	json_t *params, *found = NULL;
	int rc;

	if (is_silent(p->all, domain))
		return pb_fail(err, PB_EUNAVAILABLE, "the DNS had no answer about %.*s a moment ago", PB_FMT(domain));
	params = json_pack("{s:s%}", "domain", domain.ptr, domain.len);
	rc = pb_call(p->all->host, "dmarc.policy", params, &found, err);
	json_decref(params);
	if (!rc)
		pb_buf_addstr(ret, pb_text_of(found, "policy"));
	else if (rc == PB_EUNAVAILABLE)
		remember_silence(p->all, domain);
	json_decref(found);
	return rc;
}

/* Of the From's domain: what was noted when the post came in, else what the DNS says now. */
static int policy_of(struct post *p, struct pb_buf *ret, struct pb_error *err)
{
	const json_t *notes = pb_item_envelope(p->item)->notes;
	struct pb_str noted = pb_text_of(notes, "dmarc_policy"), domain = author_domain(p);

	pb_buf_addstr(ret, noted);
	if (noted.len || !domain.len || pb_str_eq(pb_text_of(notes, "dmarc"), PB_STR("none")))	/* "none": it was looked for, and there is none */
		return 0;
	return ask(p, domain, ret, err);
}

static int find_mitigation(struct post *p, enum mitigation *ret, struct pb_error *err)
{
	const json_t *set = p->list->settings;
	enum mitigation kind = setting_is(set, "from", "wrap") ? FROM_WRAPPED : FROM_REWRITTEN;
	bool strict;
	PB_AUTOBUF(policy);
	int rc;

	*ret = FROM_KEPT;
	if (setting_is(set, "from", "untouched") || setting_flag(set, "anonymous") || pb_domain_eq(author_domain(p), p->list->domain))
		return 0;
	if (setting_is(set, "from_when", "always")) {
		*ret = kind;
		return 0;
	}
	rc = policy_of(p, &policy, err);
	if (rc == PB_EDENIED)
		return rc;
	if (rc) {	/* nobody knows: a From that is rewritten without need does less harm than posts that are turned away */
		pb_item_note(p->item, "list.dmarc", "the policy of the author's domain is not known: %s", err ? err->text : "");
		*ret = kind;
		return 0;
	}
	strict = pb_str_eq(pb_buf_str(&policy), PB_STR("reject"));
	if (strict || (pb_str_eq(pb_buf_str(&policy), PB_STR("quarantine")) && setting_is(set, "from_when", "policy")))
		*ret = kind;
	return 0;
}

/* Archive, digest and members ask one after the other, and get one answer. */
int post_mitigation(struct post *p, enum mitigation *ret, struct pb_error *err)
{
	int rc = p->mitigation_known ? 0 : find_mitigation(p, &p->mitigation, err);

	p->mitigation_known = !rc;
	*ret = p->mitigation;
	return rc;
}
