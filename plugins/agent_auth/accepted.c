/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every message that comes from outside, before filters run: fields that pretend to be our results go, it is checked once, what was found is noted, and DMARC's
 * wish is followed as far as the setting lets it.
 */
#include "auth_agent.h"
#include <stdlib.h>
#include <postbus/address.h>

enum { TEXT_MAX = 850 };	/* of the field: it is one line, and conn_postoffice has room for 2,000 octets in all */

/* RFC 8601 5: results in our name that somebody else wrote. */
static json_t *forged_fields(const struct settings *set, struct pb_arena *arena, struct pb_str header)
{
	struct pb_str host = pb_strz(set->host), name;
	json_t *list = NULL;
	struct pb_field field;

	for (json_int_t i = 0; pb_header_next(&header, &field); i++) {
		if (!pb_str_ieq(field.name, PB_STR("Authentication-Results")) || !results_host(arena, field.value, &name) || !pb_domain_eq(name, host))
			continue;
		if (!list)
			list = json_array();
		json_array_append_new(list, json_integer(i));
	}
	return list;
}

static void note_all(const struct findings *f, struct pb_str text, struct pb_verdict *v)
{
	pb_verdict_note(v, "spf", json_string(auth_result_name(f->spf.finding.result)));
	pb_verdict_note(v, "dkim", json_string(auth_result_name(f->dkim)));
	pb_verdict_note(v, "dmarc", json_string(auth_result_name(f->dmarc.result)));
	pb_verdict_note(v, "arc", json_string(auth_result_name(f->arc.finding.result)));
	if (f->record.published)
		pb_verdict_note(v, "dmarc_policy", json_string(dmarc_policy_name(f->record.policy)));
	pb_verdict_note(v, "auth_results", string_of(text));
}

static bool is_sealed(const struct settings *set, const struct findings *f)
{
	const json_t *one;
	size_t i;

	if (f->arc.finding.result != AUTH_PASS)
		return false;
	json_array_foreach(set->sealers, i, one)
		if (pb_domain_eq(pb_strz(json_string_value(one)), f->arc.sealer))
			return true;
	return false;
}

/* RFC 7489 6.6.4: what is not among the per cent gets the next milder one. The same message is drawn the same way each time. */
static enum dmarc_policy wished(const struct pb_question *q, const struct dmarc_record *r)
{
	if (r->policy == DMARC_NONE || pb_crc32c(0, q->id.ptr, q->id.len) % 100 < r->percent)
		return r->policy;
	return r->policy == DMARC_REJECT ? DMARC_QUARANTINE : DMARC_NONE;
}

/* A refusal behind the 250 is a report to the sender: only to one who is who he says he is. */
static void decide(struct agent *a, const struct settings *set, const struct pb_question *q, const struct findings *f, struct pb_verdict *v)
{
	enum dmarc_policy wish;

	if (f->dmarc.result != AUTH_FAIL)
		return;
	pb_count(a->host, "dmarc_failed", 1);
	wish = wished(q, &f->record);
	if (set->most == DMARC_NONE || wish == DMARC_NONE || is_sealed(set, f))
		return;
	if (wish == DMARC_REJECT && set->most == DMARC_REJECT && f->spf.finding.result == AUTH_PASS && !f->spf.by_helo)
		pb_verdict_set(v, PB_REJECT, 550, "5.7.1", "%.*s asks to refuse mail that it did not send (DMARC)", PB_FMT(pb_str_head(f->from, 150)));
	else
		pb_verdict_set(v, PB_QUARANTINE, 0, NULL, "%.*s did not send it (DMARC)", PB_FMT(pb_str_head(f->from, 150)));
}

static void say(struct agent *a, const struct settings *set, const struct pb_question *q, const struct findings *f, struct pb_verdict *v)
{
	PB_AUTOBUF(text);
	PB_AUTOBUF(value);

	findings_text(f, &text, TEXT_MAX);
	note_all(f, pb_buf_str(&text), v);
	pb_buf_addf(&value, "%s; ", set->host);
	pb_buf_addstr(&value, pb_buf_str(&text));
	if (pb_config_bool(a->host, "header"))
		pb_verdict_header(v, PB_STR("Authentication-Results"), pb_buf_str(&value));
	pb_log(a->host, PB_INFO, "auth.checked", "id=%.*s client=%s sender=%s spf=%s dkim=%s dmarc=%s arc=%s", PB_FMT(q->id), pb_logq(q->envelope->client),
	    pb_logq(q->envelope->sender), auth_result_name(f->spf.finding.result), auth_result_name(f->dkim), auth_result_name(f->dmarc.result),
	    auth_result_name(f->arc.finding.result));
}

static int check_it(struct agent *a, const struct settings *set, struct pb_arena *arena, const struct pb_question *q, struct pb_str bytes, struct pb_verdict *v,
    struct pb_error *err)
{
	struct who who = { .client = q->envelope->client, .helo = q->envelope->helo, .sender = q->envelope->sender };
	struct auth_message msg;
	struct findings *f;
	int rc = auth_message_read(arena, PB_NOSTR, bytes, &msg, err);

	if (rc == PB_ETOOBIG) {		/* nothing is said about it then */
		pb_verdict_note(v, "dkim", json_string("permerror"));
		pb_verdict_note(v, "dmarc", json_string("permerror"));
		return 0;
	}
	if (rc)
		return rc;
	f = pb_alloc(sizeof *f);
	check_message(a, set, arena, &msg, &who, f);
	say(a, set, q, f, v);
	decide(a, set, q, f, v);
	free(f);
	return 0;
}

static int work_on(struct agent *a, const struct settings *set, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct pb_str head, bytes;
	struct pb_arena *arena;
	json_t *forged;
	int rc = pb_body_parts(q->body, &head, &bytes, err);

	if (rc)
		return rc;
	arena = pb_arena_new();
	forged = forged_fields(set, arena, pb_str_head(bytes, pb_header_size(bytes)));
	if (forged) {
		pb_count(a->host, "forged", (int64_t)json_array_size(forged));
		pb_verdict_note(v, "remove_fields", forged);
	}
	if (!q->envelope->user.len)		/* a login proves more than the DNS can */
		rc = check_it(a, set, arena, q, bytes, v, err);
	pb_arena_free(arena);
	return rc;
}

int hook_accepted(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct agent *a = self;
	struct settings *set;
	int rc = 0;

	if (!q->envelope->client.len || json_object_get(q->envelope->notes, "auth_results"))
		return 0;
	set = settings_get(a);
	if (!networks_has(&set->trusted, q->envelope->client))
		rc = work_on(a, set, q, v, err);
	settings_put(set);
	return rc;
}
