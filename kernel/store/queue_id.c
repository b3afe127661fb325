/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queue ids from time, a sequence and chance, or from a token. Leaves remembering named ones to the queue. */
#include <gnutls/crypto.h>
#include "kernel/store/queue_id.h"

enum { TIME_DIGITS = 10, SEQUENCE_DIGITS = 3, RANDOM_DIGITS = 3, NAME_DIGITS = 25 };

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static char *put_digits(char *out, uint64_t n, unsigned count)
{
	for (unsigned i = count; i-- > 0; n /= 36)
		out[i] = digits[n % 36];
	return out + count;
}

void queue_id_make(char *out, int64_t now, uint32_t sequence)
{
	uint32_t chance;

	pb_random(&chance, sizeof chance);
	out = put_digits(out, now > 0 ? (uint64_t)now : 0, TIME_DIGITS);
	out = put_digits(out, sequence, SEQUENCE_DIGITS);
	out = put_digits(out, chance, RANDOM_DIGITS);
	*out = '\0';
}

void queue_id_name(char *out, struct pb_str token)
{
	unsigned char hash[32];
	unsigned __int128 n = 0;

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, token.ptr, token.len, hash) < 0)
		memset(hash, 0, sizeof hash);
	for (unsigned i = 0; i < 16; i++)
		n = n << 8 | hash[i];
	*out++ = 'z';
	for (unsigned i = NAME_DIGITS; i-- > 0; n /= 36)
		out[i] = digits[(unsigned)(n % 36)];
	out[NAME_DIGITS] = '\0';
}

int64_t queue_id_time(struct pb_str id)
{
	uint64_t n = 0;

	if (id.len != TIME_DIGITS + SEQUENCE_DIGITS + RANDOM_DIGITS)
		return 0;
	for (unsigned i = 0; i < TIME_DIGITS; i++) {
		char c = id.ptr[i];

		if (!pb_is_digit(c) && !(c >= 'a' && c <= 'z'))
			return 0;
		n = n * 36 + (uint64_t)(pb_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	return (int64_t)n;
}

bool queue_id_valid(struct pb_str id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!pb_is_alnum(id.ptr[i]))
			return false;
	return id.len > 0 && id.len < PB_ID_MAX;
}
