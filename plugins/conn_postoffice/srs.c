/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sender rewriting: the addresses, pure. Which mail is rewritten, and where the secret is kept, is redirect.c's and plugin.c's. */
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <postbus/address.h>
#include <postbus/date.h>
#include "srs.h"

/* 10 digits of 5 bits; days count modulo 1024 and are good for three weeks, a day ahead included. */
enum { HASH_DIGITS = 10, DAYS = 1024, GOOD_DAYS = 21 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* n digits, 51 at most. */
static void put_digits(char *out, unsigned n, const unsigned char mac[32])
{
	for (unsigned i = 0; i < n; i++) {
		unsigned bit = i * 5, pair = (unsigned)mac[bit / 8] << 8 | mac[bit / 8 + 1];

		out[i] = digits[pair >> (11 - bit % 8) & 31];
	}
}

/* Case is not kept on the way, so it does not count. */
static void hash_of(char out[HASH_DIGITS], struct pb_str text, const char secret[SRS_SECRET])
{
	unsigned char mac[32];
	PB_AUTOBUF(lower);

	for (size_t i = 0; i < text.len; i++)
		pb_buf_addc(&lower, (char)pb_lower((unsigned char)text.ptr[i]));
	gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret, SRS_SECRET, lower.ptr, lower.len, mac);
	put_digits(out, HASH_DIGITS, mac);
}

static int digit_of(int c)
{
	for (int i = 0; i < 32; i++)
		if (pb_upper(c) == digits[i])
			return i;
	return -1;
}

bool srs_is(struct pb_str local)
{
	return local.len > 5 && pb_str_istarts(local, PB_STR("SRS")) && (local.ptr[3] == '0' || local.ptr[3] == '1') && memchr("=+-", local.ptr[4], 3);
}

static void add(struct pb_buf *out, const char *kind, struct pb_str rest, struct pb_str domain, const char secret[SRS_SECRET])
{
	char hash[HASH_DIGITS];

	hash_of(hash, rest, secret);
	pb_buf_addf(out, "%s=%.*s=%.*s@%.*s", kind, HASH_DIGITS, hash, PB_FMT(rest), PB_FMT(domain));
}

void srs_encode(struct pb_buf *out, struct pb_str sender, struct pb_str domain, const char secret[SRS_SECRET], int64_t now)
{
	unsigned day = (unsigned)(pb_day_of(now, 0) % DAYS);
	struct pb_str local, from;
	PB_AUTOBUF(rest);

	if (!pb_address_split(sender, &local, &from)) {
		pb_buf_addstr(out, sender);
		return;
	}
	if (!srs_is(local)) {
		pb_buf_addf(&rest, "%c%c=%.*s=%.*s", digits[day >> 5], digits[day & 31], PB_FMT(from), PB_FMT(local));
		add(out, "SRS0", pb_buf_str(&rest), domain, secret);
		return;
	}
	if (local.ptr[3] == '0') {	/* rewritten once: its rewriter is the one who knows more */
		pb_buf_addf(&rest, "%.*s=%.*s", PB_FMT(from), PB_FMT(pb_str_skip(local, 4)));
	} else {			/* the last one's hash goes, the first rewriter stays */
		struct pb_str inner = pb_str_skip(local, 5), hash;

		pb_str_cut(&inner, '=', &hash);
		pb_buf_addstr(&rest, inner);
	}
	add(out, "SRS1", pb_buf_str(&rest), domain, secret);
}

bool srs_fits(struct pb_str address)
{
	return pb_address_parse(address, PB_PATH_UTF8, NULL, NULL) == 0 && pb_str_find(address, '"', 0) < 0;
}

/* The sender counts as it is written; the address that is checked has the hash besides. */
void srs_handle(char out[SRS_HANDLE], struct pb_str sender, const char secret[SRS_SECRET])
{
	unsigned char mac[32];
	PB_AUTOBUF(text);

	pb_buf_addz(&text, "handle=");
	pb_buf_addstr(&text, sender);
	gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret, SRS_SECRET, text.ptr, text.len, mac);
	put_digits(out, SRS_HANDLE, mac);
}

void srs_encode_handle(struct pb_buf *out, struct pb_str handle, struct pb_str domain, const char secret[SRS_SECRET], int64_t now)
{
	unsigned day = (unsigned)(pb_day_of(now, 0) % DAYS);
	PB_AUTOBUF(rest);

	pb_buf_addf(&rest, "%c%c==%.*s", digits[day >> 5], digits[day & 31], PB_FMT(handle));
	add(out, "SRS0", pb_buf_str(&rest), domain, secret);
}

static int check_day(struct pb_str text, int64_t now, struct pb_error *err)
{
	int high = text.len == 2 ? digit_of(text.ptr[0]) : -1, low = text.len == 2 ? digit_of(text.ptr[1]) : -1;
	int64_t age = (pb_day_of(now, 0) - (high * 32 + low)) % DAYS;

	if (high < 0 || low < 0)
		return pb_fail(err, PB_EINVALID, "a rewritten address has no day");
	return age <= GOOD_DAYS || age == DAYS - 1 ? 0 : pb_fail(err, PB_ETIMEOUT, "the rewritten address is too old");
}

int srs_decode(struct pb_buf *out, struct pb_str local, const char secret[SRS_SECRET], int64_t now, struct pb_error *err)
{
	struct pb_str rest = pb_str_skip(local, 5), given, first, domain;
	char hash[HASH_DIGITS];
	int rc;

	if (!srs_is(local) || !pb_str_cut(&rest, '=', &given) || !rest.len)
		return pb_fail(err, PB_EINVALID, "no rewritten address");
	hash_of(hash, rest, secret);
	if (given.len != HASH_DIGITS || !pb_str_ieq(given, pb_str(hash, HASH_DIGITS)))
		return pb_fail(err, PB_EDENIED, "the rewritten address was not made here");
	if (!pb_str_cut(&rest, '=', &first) || !rest.len)
		return pb_fail(err, PB_EINVALID, "a rewritten address has no domain");
	if (local.ptr[3] == '1') {	/* its rest begins with the separator that was there */
		pb_buf_addf(out, "SRS0%.*s@%.*s", PB_FMT(rest), PB_FMT(first));
		return 0;
	}
	rc = check_day(first, now, err);
	if (rc)
		return rc;
	if (!pb_str_cut(&rest, '=', &domain) || !rest.len)
		return pb_fail(err, PB_EINVALID, "a rewritten address has no local part");
	if (!domain.len && rest.len == SRS_HANDLE)
		for (size_t i = 0; i < rest.len; i++)
			pb_buf_addc(out, (char)pb_upper((unsigned char)rest.ptr[i]));
	else
		pb_buf_addf(out, "%.*s@%.*s", PB_FMT(rest), PB_FMT(domain));
	return 0;
}
