/* SPDX-License-Identifier: Apache-2.0 */
/* Any charset to UTF-8, through iconv. Leaves finding out which one it is to the callers. */
#include <errno.h>
#include <iconv.h>
#include <pthread.h>
#include <stdlib.h>
#include <postbus/message.h>

enum { KEPT = 8, NAME = 48 };
static const char replacement[] = "\xEF\xBF\xBD";

/* Descriptors of a thread, the last used first; an unknown name is remembered too (iconv_open looks through files). */
struct kept {
	char name[NAME];
	iconv_t cd;
};

struct cache {
	struct kept list[KEPT];
	unsigned n;
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void cache_free(void *ptr)
{
	struct cache *c = ptr;

	for (unsigned i = 0; i < c->n; i++)
		if (c->list[i].cd != (iconv_t)-1)
			iconv_close(c->list[i].cd);
	free(c);
}

static void make_key(void)
{
	if (pthread_key_create(&key, cache_free))
		abort();
}

/* A name that iconv may be asked for: short, and letters only as charsets have them, so that "//IGNORE" or a path stays outside. */
static bool clean_name(struct pb_str charset, char *z)
{
	if (!charset.len || charset.len >= NAME)
		return false;
	for (size_t i = 0; i < charset.len; i++) {
		char c = charset.ptr[i];

		if (!pb_is_alnum((unsigned char)c) && !(c && strchr("-_.:+()", c)))
			return false;
		z[i] = (char)pb_lower((unsigned char)c);
	}
	z[charset.len] = '\0';
	return true;
}

static iconv_t descriptor(const char *name)
{
	struct cache *c;
	struct kept hit;
	unsigned i = 0;

	pthread_once(&once, make_key);
	c = pthread_getspecific(key);
	if (!c) {
		c = pb_alloc(sizeof *c);
		pthread_setspecific(key, c);
	}
	while (i < c->n && strcmp(c->list[i].name, name))
		i++;
	if (i < c->n) {
		hit = c->list[i];
	} else {
		memcpy(hit.name, name, strlen(name) + 1);
		hit.cd = iconv_open("UTF-8", name);
		if (c->n == KEPT) {
			i = KEPT - 1;
			if (c->list[i].cd != (iconv_t)-1)
				iconv_close(c->list[i].cd);
		} else {
			i = c->n++;
		}
	}
	memmove(c->list + 1, c->list, i * sizeof *c->list);
	c->list[0] = hit;
	return hit.cd;
}

static const char *alias(const char *name)
{
	static const char *const aliases[][2] = {
		{ "x-sjis", "cp932" }, { "shift_jis", "cp932" }, { "x-gbk", "gbk" }, { "gb2312", "gbk" }, { "ks_c_5601-1987", "cp949" }, { "ks_c_5601", "cp949" },
		{ "x-windows-949", "cp949" }, { "x-big5", "big5" }, { "x-mac-roman", "macintosh" }, { "unicode-1-1-utf-7", "utf-7" }, { "iso-8859-8-i", "iso-8859-8" },
		{ "iso-8859-8-e", "iso-8859-8" }, { "x-cp1252", "cp1252" }, { "cp-850", "cp850" }, { "iso8859_1", "iso-8859-1" }, { "x-unknown", "" },
		{ "unknown-8bit", "" }, { "default", "" }, { "ansi_x3.4-1968", "" }, { "ascii", "" }, { "us-ascii", "" },
	};

	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		if (!strcmp(name, aliases[i][0]))
			return aliases[i][1];
	return name;
}

static size_t sequence(const unsigned char *p, size_t left)
{
	size_t n = *p < 0x80 ? 1 : *p < 0xC2 ? 0 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : *p < 0xF5 ? 4 : 0;

	return n && n <= left && pb_utf8_valid(pb_str((const char *)p, n)) ? n : 0;
}

static void put_utf8(struct pb_str in, struct pb_buf *out)
{
	if (pb_utf8_valid(in)) {
		pb_buf_addstr(out, in);
		return;
	}
	pb_buf_reserve(out, in.len * 3);	/* what is malformed grows at most to that */
	for (size_t i = 0; i < in.len;) {
		size_t n = sequence((const unsigned char *)in.ptr + i, in.len - i);

		if (n)
			pb_buf_add(out, in.ptr + i, n);
		else
			pb_buf_add(out, replacement, 3);
		i += n ? n : 1;
	}
}

static void put_latin1(struct pb_str in, struct pb_buf *out)
{
	pb_buf_reserve(out, in.len * 2);
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];

		if (c < 0x80) {
			pb_buf_addc(out, (char)c);
		} else {
			pb_buf_addc(out, (char)(0xC0 | c >> 6));
			pb_buf_addc(out, (char)(0x80 | (c & 0x3F)));
		}
	}
}

static void put_by_iconv(iconv_t cd, struct pb_str in, struct pb_buf *out)
{
	char *from = (char *)(uintptr_t)in.ptr;
	size_t left = in.len;
	bool flush = false;

	iconv(cd, NULL, NULL, NULL, NULL);
	for (;;) {
		size_t room, rc;
		char *to;

		pb_buf_reserve(out, left + left / 2 + 64);
		to = out->ptr + out->len;
		room = out->cap - out->len - 1;
		rc = flush ? iconv(cd, NULL, NULL, &to, &room) : iconv(cd, &from, &left, &to, &room);
		out->len = (size_t)(to - out->ptr);
		*to = '\0';
		if (rc != (size_t)-1) {
			if (flush)
				break;
			flush = true;	/* what a stateful charset still holds */
		} else if (errno == EILSEQ || errno == EINVAL) {
			pb_buf_add(out, replacement, 3);
			if (errno == EINVAL || !left) {
				flush = true;
				left = 0;
			} else {
				from++;
				left--;
			}
		} else if (errno != E2BIG) {
			break;
		}
	}
}

int pb_charset_decode(struct pb_str charset, struct pb_str in, struct pb_buf *out)
{
	char z[NAME];
	const char *name = "";
	iconv_t cd;

	if (charset.len && !clean_name(charset, z))
		return PB_ENOTFOUND;
	if (charset.len)
		name = alias(z);
	if (!*name) {
		if (pb_utf8_valid(in))
			pb_buf_addstr(out, in);
		else
			put_latin1(in, out);
		return 0;
	}
	if (!strcmp(name, "utf-8") || !strcmp(name, "utf8")) {
		put_utf8(in, out);
		return 0;
	}
	if (!strcmp(name, "iso-8859-1")) {
		put_latin1(in, out);
		return 0;
	}
	cd = descriptor(name);
	if (cd == (iconv_t)-1)
		return PB_ENOTFOUND;
	put_by_iconv(cd, in, out);
	return 0;
}

bool pb_charset_known(struct pb_str charset)
{
	char z[NAME];
	const char *name;

	if (!clean_name(charset, z))
		return false;
	name = alias(z);
	return !*name || descriptor(name) != (iconv_t)-1;
}
