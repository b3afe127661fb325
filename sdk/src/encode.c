/* SPDX-License-Identifier: Apache-2.0 */
/* Encodings, checksums, randomness, secrets. Leaves cryptography to GnuTLS. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <postbus/secret.h>
#include <postbus/str.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void pb_base64_encode(struct pb_buf *out, struct pb_str in)
{
	const unsigned char *p = (const unsigned char *)in.ptr;
	size_t n = in.len;
	char *to;

	pb_buf_reserve(out, (n + 2) / 3 * 4);
	to = out->ptr + out->len;
	for (; n >= 3; n -= 3, p += 3) {
		*to++ = alphabet[p[0] >> 2];
		*to++ = alphabet[(p[0] & 3) << 4 | p[1] >> 4];
		*to++ = alphabet[(p[1] & 15) << 2 | p[2] >> 6];
		*to++ = alphabet[p[2] & 63];
	}
	if (n) {
		*to++ = alphabet[p[0] >> 2];
		*to++ = alphabet[(p[0] & 3) << 4 | (n == 2 ? p[1] >> 4 : 0)];
		*to++ = n == 2 ? alphabet[(p[1] & 15) << 2] : '=';
		*to++ = '=';
	}
	out->len = (size_t)(to - out->ptr);
	*to = '\0';
}

static int sextet(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int pb_base64_decode(struct pb_buf *out, struct pb_str in)
{
	size_t start = out->len, pad = 0;

	if (in.len % 4)
		return PB_EINVALID;
	while (pad < 2 && pad < in.len && in.ptr[in.len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < in.len; i += 4) {
		size_t have = i + 4 == in.len ? 4 - pad : 4;
		unsigned v = 0;
		char bytes[3];

		for (size_t k = 0; k < 4; k++) {
			int six = k < have ? sextet((unsigned char)in.ptr[i + k]) : 0;

			if (six < 0)
				goto bad;
			v = v << 6 | (unsigned)six;
		}
		if ((have == 3 && (v & 0xFF)) || (have == 2 && (v & 0xFFFF)))	/* bits behind the end must be zero */
			goto bad;
		bytes[0] = (char)(v >> 16);
		bytes[1] = (char)(v >> 8);
		bytes[2] = (char)v;
		pb_buf_add(out, bytes, have - 1);
	}
	return 0;
bad:
	out->len = start;
	return PB_EINVALID;
}

void pb_hex_encode(struct pb_buf *out, struct pb_str in)
{
	static const char digits[] = "0123456789abcdef";

	pb_buf_reserve(out, in.len * 2);
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];

		pb_buf_addc(out, digits[c >> 4]);
		pb_buf_addc(out, digits[c & 15]);
	}
}

void pb_random(void *ptr, size_t len)
{
	char *to = ptr;

	while (len) {
		ssize_t n = getrandom(to, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fputs("postbus: the system gives no random bytes\n", stderr);
			abort();
		}
		to += n;
		len -= (size_t)n;
	}
}

/* ---- CRC-32C (Castagnoli), with the processor's instruction where it has one ---- */

static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;
static bool crc_hardware;

static void crc_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
		crc_table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			crc_table[t][i] = crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 0xFF];
#ifdef __x86_64__
	crc_hardware = __builtin_cpu_supports("sse4.2");
#endif
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const unsigned char *p, size_t len)
{
	uint64_t c = crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		c = __builtin_ia32_crc32di(c, word);
	}
	crc = (uint32_t)c;
	for (; len; len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

uint32_t pb_crc32c(uint32_t crc, const void *ptr, size_t len)
{
	const unsigned char *p = ptr;

	pthread_once(&crc_once, crc_init);
	crc = ~crc;
#ifdef __x86_64__
	if (crc_hardware)
		return ~crc_sse42(crc, p, len);
#endif
	for (; len >= 8; len -= 8, p += 8) {
		uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);

		crc = crc_table[7][low & 0xFF] ^ crc_table[6][low >> 8 & 0xFF] ^ crc_table[5][low >> 16 & 0xFF] ^ crc_table[4][low >> 24] ^
		      crc_table[3][p[4]] ^ crc_table[2][p[5]] ^ crc_table[1][p[6]] ^ crc_table[0][p[7]];
	}
	for (; len; len--)
		crc = crc >> 8 ^ crc_table[0][(crc ^ *p++) & 0xFF];
	return ~crc;
}

/* ---- hashing for tables: SipHash-1-3 with a key of this process ---- */

static uint64_t hash_key[2];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void hash_init(void)
{
	pb_random(hash_key, sizeof hash_key);
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

#define SIPROUND \
	do { \
		v0 += v1, v1 = rotl(v1, 13) ^ v0, v0 = rotl(v0, 32); \
		v2 += v3, v3 = rotl(v3, 16) ^ v2; \
		v0 += v3, v3 = rotl(v3, 21) ^ v0; \
		v2 += v1, v1 = rotl(v1, 17) ^ v2, v2 = rotl(v2, 32); \
	} while (0)

uint64_t pb_str_hash(struct pb_str s)
{
	uint64_t v0, v1, v2, v3, word;
	size_t i = 0;

	pthread_once(&hash_once, hash_init);
	v0 = hash_key[0] ^ 0x736f6d6570736575u;
	v1 = hash_key[1] ^ 0x646f72616e646f6du;
	v2 = hash_key[0] ^ 0x6c7967656e657261u;
	v3 = hash_key[1] ^ 0x7465646279746573u;
	for (; i + 8 <= s.len; i += 8) {
		memcpy(&word, s.ptr + i, 8);
		v3 ^= word;
		SIPROUND;
		v0 ^= word;
	}
	word = (uint64_t)s.len << 56;
	for (size_t k = 0; i + k < s.len; k++)
		word |= (uint64_t)(unsigned char)s.ptr[i + k] << (8 * k);
	v3 ^= word;
	SIPROUND;
	v0 ^= word;
	v2 ^= 0xff;
	for (int k = 0; k < 3; k++)
		SIPROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

/* ---- secrets ---- */

struct pb_secret {
	size_t len;
	char bytes[];
};

struct pb_secret *pb_secret_new(struct pb_str bytes)
{
	struct pb_secret *s = pb_alloc(sizeof *s + bytes.len + 1);

	s->len = bytes.len;
	if (bytes.len)
		memcpy(s->bytes, bytes.ptr, bytes.len);
	return s;
}

struct pb_str pb_secret_bytes(const struct pb_secret *s)
{
	return pb_str(s->bytes, s->len);
}

bool pb_secret_eq(const struct pb_secret *a, const struct pb_secret *b)
{
	return pb_str_eq_secret(pb_secret_bytes(a), pb_secret_bytes(b));
}

void pb_secret_free(struct pb_secret *s)
{
	if (!s)
		return;
	pb_wipe(s->bytes, s->len);
	free(s);
}

void pb_wipe(void *ptr, size_t len)
{
	if (len)
		explicit_bzero(ptr, len);
}
