/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of a message besides its text: the items of the test vnd_postbus_item, and the scores of spamtest and virustest. */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/message.h>
#include "filter.h"
#include "words.h"

static const json_t *note_of(struct run *r, const char *name)
{
	return r->about->envelope ? json_object_get(r->about->envelope->notes, name) : NULL;
}

/* Of all scanners (pb_envelope_spam_score). */
static bool score_of(struct run *r, double *ret)
{
	return r->about->envelope && pb_envelope_spam_score(r->about->envelope, ret);
}

/* The spam score, and the note "spam_limit" (a number): at the limit the score counts as 5 of 10, and as 50 per cent. RFC 5235: 0 is not tested. */
int item_spam(void *arg, bool percent)
{
	const json_t *limit = note_of(arg, "spam_limit");
	double most = json_number_value(limit) > 0 ? 2 * json_number_value(limit) : 10, score, part;

	if (!score_of(arg, &score))
		return 0;
	part = score / most;
	part = part < 0 ? 0 : part > 1 ? 1 : part;
	return percent ? (int)(part * 100) : 1 + (int)(part * 9);
}

/* Note "virus": a name, or "" for a clean one. RFC 5235: 0 is not tested, 1 clean, 5 infected. */
int item_virus(void *arg)
{
	const json_t *virus = note_of(arg, "virus");

	return !json_is_string(virus) ? 0 : *json_string_value(virus) ? 5 : 1;
}

static void add_number(struct pb_buf *out, uint64_t n)
{
	pb_buf_addu(out, n);
}

static bool is_attached(struct run *r)
{
	return r->facts.len && (pb_facts_flags(r->facts) & PB_FACTS_ATTACHED);
}

/* RFC 2156, and what Outlook writes: 1 (highest) to 5 (lowest). */
static unsigned priority_of(struct run *r)
{
	struct pb_str value;

	if (pb_header_find(r->header, PB_STR("X-Priority"), &value) || pb_header_find(r->header, PB_STR("X-MSMail-Priority"), &value)) {
		value = pb_str_trim(value);
		if (value.len && value.ptr[0] >= '1' && value.ptr[0] <= '5')
			return (unsigned)(value.ptr[0] - '0');
		return pb_str_ieq(value, PB_STR("high")) ? 1 : pb_str_ieq(value, PB_STR("low")) ? 5 : 3;
	}
	if (pb_header_find(r->header, PB_STR("Importance"), &value) || pb_header_find(r->header, PB_STR("Priority"), &value)) {
		value = pb_str_trim(value);
		return pb_str_ieq(value, PB_STR("high")) || pb_str_ieq(value, PB_STR("urgent")) ? 1 : pb_str_ieq(value, PB_STR("low")) || pb_str_ieq(value, PB_STR("non-urgent")) ? 5 : 3;
	}
	return 3;
}

static void charsets_of(struct run *r, struct pb_buf *out)
{
	struct pb_part part;

	for (uint32_t i = 0; i < pb_facts_count(r->facts) && out->len < 1000; i++)
		if (pb_facts_at(r->facts, i, &part) && part.charset.len) {
			if (out->len)
				pb_buf_addc(out, ' ');
			pb_buf_addstr(out, part.charset);
		}
}

/* RFC 5782 2.1: a listing is an answer of 127.0.0.0/8. One of 127.255.255.0/24 says that the question was refused; any other address is that of a zone that has died. */
static bool is_listing(const json_t *addresses)
{
	const json_t *one;
	size_t i;

	json_array_foreach (addresses, i, one) {
		struct pb_str address = pb_str(json_string_value(one), json_string_length(one));

		if (network_has(PB_STR("127.0.0.0/8"), address) && !network_has(PB_STR("127.255.255.0/24"), address))
			return true;
	}
	return false;
}

/* "dnsbl:zone": is the client's address listed there? */
static bool is_listed(struct run *r, struct pb_str zone)
{
	PB_AUTOBUF(name);
	json_t *ask, *found = NULL;
	bool listed;

	if (zone.len > 150 || !network_reversed(r->about->envelope->client, &name))
		return false;
	pb_buf_addstr(&name, zone);
	ask = json_pack("{s:s}", "name", pb_buf_z(&name));
	listed = pb_call(r->f->host, "dns.address", ask, &found, NULL) == 0 && is_listing(json_object_get(found, "addresses"));
	json_decref(ask);
	json_decref(found);
	return listed;
}

static bool has_ptr(struct run *r)
{
	json_t *ask, *found = NULL;
	bool has;
	int rc;

	if (!r->about->envelope->client.len)
		return true;
	ask = json_pack("{s:s%}", "address", r->about->envelope->client.ptr, r->about->envelope->client.len);
	rc = pb_call(r->f->host, "dns.ptr", ask, &found, NULL);
	has = (rc && rc != PB_ENOTFOUND) || json_array_size(json_object_get(found, "names")) > 0;	/* where nobody answers, nothing is said against it */
	json_decref(ask);
	json_decref(found);
	return has;
}

static void add_note(struct pb_buf *out, const json_t *note)
{
	if (json_is_string(note))
		pb_buf_addz(out, json_string_value(note));
	else if (json_is_integer(note))
		pb_buf_addf(out, "%lld", (long long)json_integer_value(note));
	else if (json_is_real(note))
		pb_buf_addf(out, "%g", json_real_value(note));
	else if (json_is_boolean(note))
		pb_buf_addz(out, json_is_true(note) ? "yes" : "no");
}

/* Where nobody says so, it is delivered here: from outside, or by somebody of the house. */
static struct pb_str direction_of(struct run *r)
{
	const struct pb_envelope *env = r->about->envelope;
	struct pb_str told = pb_text_of(r->params, "direction");

	return told.len ? told : env->user.len || !env->client.len ? PB_STR("local") : PB_STR("in");
}

/* "spam_over:4.5", "spam_under:0": what was not scored is neither. */
static bool is_scored(struct run *r, struct pb_str name)
{
	bool over = pb_str_starts(name, PB_STR("spam_over:"));
	char limit[24];
	double score;

	snprintf(limit, sizeof limit, "%.*s", PB_FMT(pb_str_head(pb_str_skip(name, over ? 10 : 11), sizeof limit - 1)));
	if (!score_of(r, &score))
		return false;
	return over ? score > strtod(limit, NULL) : score < strtod(limit, NULL);
}

/* What is asked for by a name with a value in it; false: it is no such name. */
static bool asked(struct run *r, struct pb_str name, bool *ret_answer)
{
	if (pb_str_starts(name, PB_STR("dnsbl:")))
		*ret_answer = is_listed(r, pb_str_skip(name, 6));
	else if (pb_str_starts(name, PB_STR("client_in:")))
		*ret_answer = network_has(pb_str_skip(name, 10), r->about->envelope->client);
	else if (pb_str_starts(name, PB_STR("spam_over:")) || pb_str_starts(name, PB_STR("spam_under:")))
		*ret_answer = is_scored(r, name);
	else
		return false;
	return true;
}

bool item_text(void *arg, struct pb_str name, struct pb_buf *out)
{
	struct run *r = arg;
	const struct pb_envelope *env = r->about->envelope;
	bool answer;
	double score;
	char note[64];

	if (!env)
		return false;
	if (pb_str_eq(name, PB_STR("client")))
		pb_buf_addstr(out, env->client);
	else if (pb_str_eq(name, PB_STR("helo")))
		pb_buf_addstr(out, env->helo);
	else if (pb_str_eq(name, PB_STR("user")))
		pb_buf_addstr(out, env->user);
	else if (pb_str_eq(name, PB_STR("authenticated")))
		pb_buf_addz(out, env->user.len ? "yes" : "no");
	else if (pb_str_eq(name, PB_STR("sender")))
		pb_buf_addstr(out, env->sender);
	else if (pb_str_eq(name, PB_STR("recipient")))
		pb_buf_addstr(out, r->recipient);
	else if (pb_str_eq(name, PB_STR("recipients")))
		add_number(out, env->nrcpts);
	else if (pb_str_eq(name, PB_STR("direction")))
		pb_buf_addstr(out, direction_of(r));
	else if (pb_str_eq(name, PB_STR("connector")))
		pb_buf_addstr(out, pb_text_of(r->params, "connector"));
	else if (pb_str_eq(name, PB_STR("size")))
		add_number(out, r->about->body ? pb_body_size(r->about->body) : 0);
	else if (pb_str_eq(name, PB_STR("priority")))
		add_number(out, priority_of(r));
	else if (pb_str_eq(name, PB_STR("has_attachment")))
		pb_buf_addz(out, is_attached(r) ? "yes" : "no");
	else if (pb_str_eq(name, PB_STR("charset")))
		charsets_of(r, out);
	else if (pb_str_eq(name, PB_STR("ptr")))
		pb_buf_addz(out, has_ptr(r) ? "yes" : "no");
	else if (asked(r, name, &answer))
		pb_buf_addz(out, answer ? "yes" : "no");
	else if (pb_str_eq(name, PB_STR("spam_score")) && score_of(r, &score))
		pb_buf_addf(out, "%g", score);
	else {	/* what other plugins noted: spf, dkim, dmarc, spam_score.bayes, virus, ... */
		snprintf(note, sizeof note, "%.*s", PB_FMT(pb_str_head(name, sizeof note - 1)));
		add_note(out, note_of(r, note));
		return json_object_get(env->notes, note) != NULL;
	}
	return true;
}
