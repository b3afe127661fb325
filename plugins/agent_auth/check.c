/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All checks of one message, and their outcome in words. */
#include "auth_agent.h"
#include <stdio.h>
#include <stdlib.h>
#include <postbus/address.h>

/* ---- DMARC (RFC 7489 6.6.2) ---- */

static bool dkim_speaks(struct agent *a, struct pb_arena *arena, const struct findings *f, enum auth_result result)
{
	(void)a;
	for (size_t i = 0; i < f->n; i++)
		if (f->signatures[i].finding.result == result && dmarc_aligned(arena, &f->record, f->signatures[i].domain, f->record.strict_dkim))
			return true;
	return false;
}

static bool spf_speaks(struct pb_arena *arena, const struct findings *f, enum auth_result result)
{
	return f->spf.finding.result == result && dmarc_aligned(arena, &f->record, f->spf.domain, f->record.strict_spf);
}

static void check_dmarc(struct agent *a, struct pb_arena *arena, const struct auth_message *msg, const struct auth_dns *dns, struct findings *f)
{
	struct pb_error err = { 0 };

	if (!auth_from_domain(arena, msg, &f->from))
		finding_set(&f->dmarc, AUTH_PERMERROR, "the message has no author of one domain");
	else if (dmarc_find(arena, dns, f->from, &f->record, &err))
		finding_set(&f->dmarc, AUTH_TEMPERROR, "%s", err.text);
	else if (!f->record.published)
		finding_set(&f->dmarc, AUTH_NONE, "%.*s publishes no policy", PB_FMT(pb_str_head(f->from, 100)));
	else if (spf_speaks(arena, f, AUTH_PASS) || dkim_speaks(a, arena, f, AUTH_PASS))
		finding_set(&f->dmarc, AUTH_PASS, "%s", "");
	else if (spf_speaks(arena, f, AUTH_TEMPERROR) || dkim_speaks(a, arena, f, AUTH_TEMPERROR))
		finding_set(&f->dmarc, AUTH_TEMPERROR, "what could speak for it cannot be checked now");
	else
		finding_set(&f->dmarc, AUTH_FAIL, "nothing speaks for %.*s", PB_FMT(pb_str_head(f->from, 100)));
}

/* ---- all of it ---- */

void check_message(
    struct agent *a, const struct settings *set, struct pb_arena *arena, const struct auth_message *msg, const struct who *who, struct findings *f)
{
	struct spf_query q = {
		.client = who->client, .helo = who->helo, .sender = who->sender, .host = pb_hostname(a->host), .now = pb_now(a->host) / PB_SECOND
	};
	struct dkim_options o = set->dkim;
	struct world w;
	struct auth_dns dns = world_of(a, &w);

	o.now = q.now;
	spf_check(arena, &dns, &q, &f->spf);
	dkim_verify(arena, msg, &dns, &o, f->signatures, &f->n);
	f->dkim = dkim_summary(f->signatures, f->n);
	check_dmarc(a, arena, msg, &dns, f);
	arc_validate(arena, msg, &dns, &f->arc);
	pb_count(a->host, "checked", 1);
}

/* ---- in words ---- */

static void put_signature(const struct dkim_verdict *v, struct pb_buf *out)
{
	results_add(out, "dkim", v->finding.result, v->finding.reason);
	results_property(out, "header", "d", v->domain);
	results_property(out, "header", "s", v->selector);
	results_property(out, "header", "a", v->algorithm);
	results_property(out, "header", "b", v->b);
}

void findings_text(const struct findings *f, struct pb_buf *out, size_t max)
{
	char policy[40] = "";

	results_add(out, "spf", f->spf.finding.result, f->spf.finding.result == AUTH_PASS ? "" : f->spf.finding.reason);
	results_property(out, "smtp", f->spf.by_helo ? "helo" : "mailfrom", f->spf.domain);
	if (f->record.published)
		snprintf(policy, sizeof policy, "p=%s", dmarc_policy_name(f->record.policy));
	results_add(out, "dmarc", f->dmarc.result, f->record.published ? policy : f->dmarc.reason);
	results_property(out, "header", "from", f->from);
	if (f->arc.finding.result != AUTH_NONE) {
		results_add(out, "arc", f->arc.finding.result, f->arc.finding.reason);
		results_property(out, "arc", "sealer", f->arc.sealer);
	}
	if (!f->n)
		results_add(out, "dkim", AUTH_NONE, "");
	for (size_t i = 0; i < f->n; i++) {
		size_t before = out->len;

		put_signature(&f->signatures[i], out);
		if (out->len <= max)
			continue;
		out->len = before;
		out->ptr[before] = '\0';
		break;
	}
}

/* ---- methods ---- */

METHOD(dmarc_policy)
{
	struct agent *a = self;
	struct pb_arena *arena = pb_arena_new();
	struct dmarc_record r;
	struct world w;
	struct auth_dns dns = world_of(a, &w);
	PB_AUTOBUF(domain);
	int rc = pb_domain_ascii(&domain, pb_text_of(params, "domain"), err);

	if (!rc)
		rc = dmarc_find(arena, &dns, pb_buf_str(&domain), &r, err);
	if (!rc)
		*ret_result = json_pack("{s:s, s:b, s:s, s:o, s:o, s:s, s:i, s:b, s:b}", "domain", pb_buf_z(&domain), "published", r.published, "policy",
		    dmarc_policy_name(r.policy), "found_at", string_of(r.found_at), "organizational", string_of(r.organizational), "subdomain_policy",
		    dmarc_policy_name(r.subdomain_policy), "percent", r.published ? (int)r.percent : 100, "strict_dkim", r.strict_dkim, "strict_spf",
		    r.strict_spf);
	pb_arena_free(arena);
	return rc;
}

/* Files have the line ends of their system; mail has CRLF. */
static void with_line_ends(struct pb_str in, struct pb_buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] == '\n' && (!i || in.ptr[i - 1] != '\r'))
			pb_buf_addc(out, '\r');
		pb_buf_addc(out, in.ptr[i]);
	}
}

static json_t *told(const struct findings *f)
{
	json_t *list = json_array();
	PB_AUTOBUF(text);

	for (size_t i = 0; i < f->n; i++) {
		const struct dkim_verdict *v = &f->signatures[i];

		json_array_append_new(
		    list, json_pack("{s:o, s:o, s:o, s:s, s:s}", "domain", string_of(v->domain), "selector", string_of(v->selector), "algorithm",
			      string_of(v->algorithm), "result", auth_result_name(v->finding.result), "reason", v->finding.reason));
	}
	findings_text(f, &text, 16384);
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:s, s:s, s:o}", "spf", auth_result_name(f->spf.finding.result), "spf_reason",
	    f->spf.finding.reason, "dkim", auth_result_name(f->dkim), "signatures", list, "dmarc", auth_result_name(f->dmarc.result), "dmarc_reason",
	    f->dmarc.reason, "dmarc_policy", f->record.published ? dmarc_policy_name(f->record.policy) : "", "from_domain", string_of(f->from), "arc",
	    auth_result_name(f->arc.finding.result), "arc_reason", f->arc.finding.reason, "auth_results", string_of(pb_buf_str(&text)));
}

METHOD(auth_check)
{
	struct agent *a = self;
	struct who about = { .client = pb_text_of(params, "client"), .helo = pb_text_of(params, "helo"), .sender = pb_text_of(params, "sender") };
	struct settings *set = settings_get(a);
	struct pb_arena *arena = pb_arena_new();
	struct findings *f = pb_alloc(sizeof *f);
	struct auth_message msg;
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(text);
	int rc = pb_base64_decode(&bytes, pb_text_of(params, "message"));

	if (rc)
		pb_fail(err, PB_EINVALID, "the message is not base64");
	with_line_ends(pb_buf_str(&bytes), &text);
	if (!rc)
		rc = auth_message_read(arena, PB_NOSTR, pb_buf_str(&text), &msg, err);
	if (!rc) {
		check_message(a, set, arena, &msg, &about, f);
		*ret_result = told(f);
	}
	free(f);
	pb_arena_free(arena);
	settings_put(set);
	return rc;
}
