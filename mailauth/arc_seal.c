/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A set added to a chain (RFC 8617 5.1). What the chain was is the caller's knowledge: by now the message may have been changed, as lists do. */
#include "mailauth/arc_sets.h"
#include "mailauth/dkim.h"
#include <stdio.h>
#include <stdlib.h>

const char arc_names[] =
    "From Reply-To Sender Subject Date Message-ID To Cc In-Reply-To References MIME-Version Content-Type Content-Transfer-Encoding List-* DKIM-Signature";

static void tag(struct pb_buf *out, size_t *column, const char *name, const char *value)
{
	signature_fold(out, column, name, pb_strz(value), false);
}

/* i, a, then what both kinds have. */
static void put_head(struct pb_buf *out, size_t *column, const struct arc_sealing *how, unsigned instance)
{
	char text[40];

	snprintf(text, sizeof text, "%u", instance);
	tag(out, column, "i", text);
	snprintf(text, sizeof text, "%s-sha256", key_kind_name(private_key_kind(how->key)));
	tag(out, column, "a", text);
	signature_fold(out, column, "d", how->domain, false);
	signature_fold(out, column, "s", how->selector, false);
	snprintf(text, sizeof text, "%lld", (long long)how->now);
	tag(out, column, "t", text);
}

static int put_signature(const struct arc_sealing *how, struct pb_str data, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(b);
	PB_AUTOBUF(coded);
	int rc = private_key_sign(how->key, data, &b, err);

	if (rc)
		return rc;
	pb_base64_encode(&coded, pb_buf_str(&b));
	for (size_t at = 0; at < coded.len; at += 64) {
		pb_buf_addz(out, "\r\n\t");
		pb_buf_addstr(out, pb_str_head(pb_str_skip(pb_buf_str(&coded), at), 64));
	}
	pb_buf_addz(out, "\r\n");
	return 0;
}

static void make_results(const struct arc_sealing *how, unsigned instance, struct pb_buf *out)
{
	PB_AUTOBUF(text);

	pb_buf_addf(&text, "i=%u; %.*s; ", instance, PB_FMT(how->host));
	pb_buf_addstr(&text, how->results.len ? how->results : PB_STR("none"));
	pb_header_add_raw(out, "ARC-Authentication-Results", pb_buf_str(&text));
}

static int make_signature(const struct auth_message *msg, const struct arc_sealing *how, unsigned instance, struct pb_buf *out, struct pb_error *err)
{
	size_t column = sizeof "ARC-Message-Signature:" - 1;
	struct signature s = { .header = CANON_RELAXED };
	unsigned char digest[32];
	struct pb_field field;
	uint64_t total;
	PB_AUTOBUF(names);
	PB_AUTOBUF(bh);
	PB_AUTOBUF(data);

	dkim_choose(msg, how->names, PB_NOSTR, &names);
	canon_body_hash(CANON_RELAXED, msg->body, UINT64_MAX, digest, &total);
	pb_base64_encode(&bh, pb_str((const char *)digest, sizeof digest));
	pb_buf_addc(&bh, ';');
	pb_buf_addz(out, "ARC-Message-Signature:");
	put_head(out, &column, how, instance);
	tag(out, &column, "c", "relaxed/relaxed");
	signature_fold(out, &column, "h", pb_buf_str(&names), false);
	signature_fold(out, &column, "bh", pb_buf_str(&bh), true);
	signature_fold(out, &column, "b", PB_NOSTR, true);
	field.raw = pb_buf_str(out);
	s.field = &field;
	s.names = pb_buf_str(&names);
	signature_data(msg, &s, &data);
	return put_signature(how, pb_buf_str(&data), out, err);
}

static int make_seal(struct arc_sets *sets, const struct arc_sealing *how, struct pb_buf *out, struct pb_error *err)
{
	size_t column = sizeof "ARC-Seal:" - 1;
	PB_AUTOBUF(data);

	pb_buf_addz(out, "ARC-Seal:");
	put_head(out, &column, how, sets->n);
	tag(out, &column, "cv", how->chain == AUTH_PASS ? "pass" : "none");
	signature_fold(out, &column, "b", PB_NOSTR, true);
	arc_seal_data(sets, sets->n, pb_buf_str(out), &data);
	return put_signature(how, pb_buf_str(&data), out, err);
}

static int add_set(const struct auth_message *msg, const struct arc_sealing *how, struct arc_sets *sets, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(results);
	PB_AUTOBUF(signature);
	PB_AUTOBUF(seal);
	struct pb_field own[2];
	int rc;

	sets->n++;
	make_results(how, sets->n, &results);
	rc = make_signature(msg, how, sets->n, &signature, err);
	if (rc)
		return rc;
	own[ARC_RESULTS].raw = pb_buf_str(&results);
	own[ARC_SIGNATURE].raw = pb_buf_str(&signature);
	sets->part[sets->n][ARC_RESULTS] = &own[ARC_RESULTS];
	sets->part[sets->n][ARC_SIGNATURE] = &own[ARC_SIGNATURE];
	rc = make_seal(sets, how, &seal, err);
	if (rc)
		return rc;
	pb_buf_addstr(out, pb_buf_str(&seal));
	pb_buf_addstr(out, pb_buf_str(&signature));
	pb_buf_addstr(out, pb_buf_str(&results));
	return 0;
}

/* RFC 8617 5.1.2: a chain that says of itself that it is broken ends there. */
static bool may_grow(const struct auth_message *msg, const struct arc_sealing *how, struct arc_sets *sets)
{
	struct finding why;

	if (!arc_sets_read(msg, sets, &why) || sets->n >= ARC_SETS_MAX)
		return false;
	return how->chain == (sets->n ? AUTH_PASS : AUTH_NONE);
}

int arc_seal(const struct auth_message *msg, const struct arc_sealing *how, struct pb_buf *out, unsigned *ret_instance, struct pb_error *err)
{
	struct arc_sets *sets = pb_alloc(sizeof *sets);
	bool fine = may_grow(msg, how, sets);
	int rc = fine ? add_set(msg, how, sets, out, err) : 0;

	if (!rc)
		*ret_instance = fine ? sets->n : 0;
	free(sets);
	return rc;
}
