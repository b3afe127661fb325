/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Macros of SPF (RFC 7208 7): checked when a record is read, expanded when a term is evaluated. */
#include "mailauth/spf.h"
#include <arpa/inet.h>

struct macro {
	char letter;
	bool url;		/* upper case */
	unsigned keep;		/* 0: all */
	bool reverse;
	struct pb_str delimiters;
	size_t len;		/* with "%{" and "}" */
};

/* At "%{". */
static bool read_macro(struct pb_str text, bool explanation, struct macro *ret)
{
	struct macro m = { .letter = 0 };
	size_t i = 2;

	if (text.len < 4)
		return false;
	m.letter = (char)pb_lower((unsigned char)text.ptr[i]);
	m.url = m.letter != text.ptr[i++];
	if (!strchr(explanation ? "slodiphvcrt" : "slodiphv", m.letter) || !m.letter)
		return false;
	for (bool any = false; i < text.len && pb_is_digit((unsigned char)text.ptr[i]); i++, any = true) {
		if (m.keep > 1000)
			return false;
		m.keep = m.keep * 10 + (unsigned)(text.ptr[i] - '0');
		if (!m.keep && any)
			return false;
	}
	if (i > 3 && !m.keep)
		return false;
	if (i < text.len && (text.ptr[i] | 32) == 'r') {
		m.reverse = true;
		i++;
	}
	m.delimiters.ptr = text.ptr + i;
	while (i < text.len && text.ptr[i] != '}') {
		if (!strchr(".-+,/_=", text.ptr[i]) || !text.ptr[i])
			return false;
		m.delimiters.len++;
		i++;
	}
	m.len = i + 1;
	*ret = m;
	return i < text.len;
}

bool spf_macro_valid(struct pb_str text, bool explanation)
{
	struct macro m;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c != '%') {
			if (c < '!' + 0u - explanation || c >= 127)
				return false;
			continue;
		}
		if (i + 1 < text.len && strchr("%_-", text.ptr[i + 1]) && text.ptr[i + 1]) {
			i++;
		} else if (i + 1 < text.len && text.ptr[i + 1] == '{' && read_macro(pb_str_skip(text, i), explanation, &m)) {
			i += m.len - 1;
		} else {
			return false;
		}
	}
	return true;
}

/* ---- expanded ---- */

static void put_address(const struct spf_values *v, struct pb_buf *out)
{
	if (!v->ip6) {
		pb_buf_addf(out, "%u.%u.%u.%u", v->address[0], v->address[1], v->address[2], v->address[3]);
		return;
	}
	for (int i = 0; i < 16; i++)
		pb_buf_addf(out, "%s%x.%x", i ? "." : "", v->address[i] >> 4, v->address[i] & 15);
}

static void put_value(const struct macro *m, const struct spf_values *v, struct pb_buf *out)
{
	char text[INET6_ADDRSTRLEN] = "";

	switch (m->letter) {
	case 's': pb_buf_addstr(out, v->sender); break;
	case 'l': pb_buf_addstr(out, v->local); break;
	case 'o': pb_buf_addstr(out, v->sender_domain); break;
	case 'd': pb_buf_addstr(out, v->domain); break;
	case 'i': put_address(v, out); break;
	case 'p': pb_buf_addstr(out, v->validated(v->arg)); break;
	case 'h': pb_buf_addstr(out, v->helo); break;
	case 'v': pb_buf_addz(out, v->ip6 ? "ip6" : "in-addr"); break;
	case 'r': pb_buf_addstr(out, v->host.len ? v->host : PB_STR("unknown")); break;
	case 't': pb_buf_addf(out, "%lld", (long long)v->now); break;
	case 'c':
		inet_ntop(v->ip6 ? AF_INET6 : AF_INET, v->address, text, sizeof text);
		pb_buf_addz(out, text);
		break;
	}
}

/* Split at the delimiters, turned round, the last ones, joined with dots. */
static void transform(const struct macro *m, struct pb_str value, struct pb_buf *out)
{
	struct pb_str delimiters = m->delimiters.len ? m->delimiters : PB_STR("."), part[256];
	size_t n = 0, from = 0;

	for (size_t i = 0; i <= value.len; i++) {
		if (i < value.len && pb_str_find(delimiters, value.ptr[i], 0) < 0)
			continue;
		if (n == sizeof part / sizeof *part)
			return;
		part[n++] = pb_str(value.ptr + from, i - from);
		from = i + 1;
	}
	for (size_t i = m->keep && m->keep < n ? n - m->keep : 0, first = i; i < n; i++) {
		if (i > first)
			pb_buf_addc(out, '.');
		pb_buf_addstr(out, part[m->reverse ? n - 1 - i : i]);
	}
}

static void put_url(struct pb_buf *out, struct pb_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (pb_is_alnum(c) || (c && strchr("-._~", c)))
			pb_buf_addc(out, (char)c);
		else
			pb_buf_addf(out, "%%%02X", c);
	}
}

static void expand_one(const struct macro *m, const struct spf_values *v, struct pb_buf *out)
{
	PB_AUTOBUF(value);
	PB_AUTOBUF(text);

	put_value(m, v, &value);
	if (m->keep || m->reverse || m->delimiters.len)
		transform(m, pb_buf_str(&value), &text);
	else
		pb_buf_addstr(&text, pb_buf_str(&value));
	if (m->url)
		put_url(out, pb_buf_str(&text));
	else
		pb_buf_addstr(out, pb_buf_str(&text));
}

void spf_macro_expand(struct pb_str text, const struct spf_values *v, struct pb_buf *out)
{
	struct macro m;

	for (size_t i = 0; i < text.len && out->len < 65536; i++) {
		char c = text.ptr[i], next = i + 1 < text.len ? text.ptr[i + 1] : '\0';

		if (c != '%') {
			pb_buf_addc(out, c);
		} else if (next == '{' && read_macro(pb_str_skip(text, i), true, &m)) {
			expand_one(&m, v, out);
			i += m.len - 1;
		} else {
			pb_buf_addz(out, next == '_' ? " " : next == '-' ? "%20" : "%");
			i++;
		}
	}
}
