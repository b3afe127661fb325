/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Record data in wire form to text, as zone files would have them (RFC 1035, 2782, 3596, 4034, 6698, 8659). */
#include <arpa/inet.h>
#include "records.h"

int record_type(const char *name)
{
	static const struct { const char *name; int type; } types[] = {
		{ "A", TYPE_A }, { "AAAA", TYPE_AAAA }, { "MX", TYPE_MX }, { "TXT", TYPE_TXT }, { "CNAME", TYPE_CNAME }, { "NS", TYPE_NS }, { "PTR", TYPE_PTR },
		{ "SOA", TYPE_SOA }, { "SRV", TYPE_SRV }, { "TLSA", TYPE_TLSA }, { "DS", TYPE_DS }, { "DNSKEY", TYPE_DNSKEY }, { "CAA", TYPE_CAA } };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcmp(types[i].name, name))
			return types[i].type;
	return 0;
}

static bool number(struct pb_str *rest, size_t octets, uint64_t *ret)
{
	uint64_t n = 0;

	if (rest->len < octets)
		return false;
	for (size_t i = 0; i < octets; i++)
		n = n << 8 | (unsigned char)rest->ptr[i];
	*rest = pb_str_skip(*rest, octets);
	*ret = n;
	return true;
}

static bool add_number(struct pb_buf *out, struct pb_str *rest, size_t octets)
{
	uint64_t n;

	if (!number(rest, octets, &n))
		return false;
	pb_buf_addu(out, n);
	pb_buf_addc(out, ' ');
	return true;
}

bool record_name(struct pb_buf *out, struct pb_str *rest)
{
	struct pb_str in = *rest;
	size_t total = 0;
	bool first = true;

	for (;;) {
		size_t len = in.len ? (unsigned char)in.ptr[0] : 256;

		if (len > 63 || in.len < len + 1 || (total += len + 1) > 255)
			return false;
		if (!len)
			break;
		if (!first)
			pb_buf_addc(out, '.');
		first = false;
		for (size_t i = 1; i <= len; i++) {
			unsigned char c = (unsigned char)in.ptr[i];

			if (c <= ' ' || c >= 127 || strchr(".\\\"();@$", c))
				pb_buf_addf(out, "\\%03u", c);
			else
				pb_buf_addc(out, (char)pb_lower(c));
		}
		in = pb_str_skip(in, len + 1);
	}
	if (first)
		pb_buf_addc(out, '.');
	*rest = pb_str_skip(in, 1);
	return true;
}

bool record_mx(struct pb_str data, unsigned *ret_preference, struct pb_buf *ret_host)
{
	uint64_t preference;

	if (!number(&data, 2, &preference) || !record_name(ret_host, &data))
		return false;
	*ret_preference = (unsigned)preference;
	return true;
}

static void add_text(struct pb_buf *out, struct pb_str text)
{
	bool utf8 = pb_utf8_valid(text);

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c < ' ' || c == 127 || (c > 127 && !utf8))
			pb_buf_addf(out, "\\%03u", c);
		else
			pb_buf_addc(out, (char)c);
	}
}

/* The strings of a TXT record belong together (RFC 7208 3.3, RFC 6376 3.6.2.2). */
static bool txt(struct pb_buf *out, struct pb_str data)
{
	PB_AUTOBUF(joined);

	while (data.len) {
		size_t len = (unsigned char)data.ptr[0];

		if (data.len < len + 1)
			return false;
		pb_buf_add(&joined, data.ptr + 1, len);
		data = pb_str_skip(data, len + 1);
	}
	add_text(out, pb_buf_str(&joined));
	return true;
}

static bool address(struct pb_buf *out, int family, size_t octets, struct pb_str data)
{
	char text[INET6_ADDRSTRLEN];

	if (data.len != octets || !inet_ntop(family, data.ptr, text, sizeof text))
		return false;
	pb_buf_addz(out, text);
	return true;
}

/* Some numbers, then bytes in hex: TLSA, DS, DNSKEY. */
static bool numbers_hex(struct pb_buf *out, struct pb_str data, const char *widths)
{
	for (; *widths; widths++)
		if (!add_number(out, &data, (size_t)(*widths - '0')))
			return false;
	pb_hex_encode(out, data);
	return true;
}

static bool soa(struct pb_buf *out, struct pb_str data)
{
	if (!record_name(out, &data))
		return false;
	pb_buf_addc(out, ' ');
	if (!record_name(out, &data))
		return false;
	pb_buf_addc(out, ' ');
	for (int i = 0; i < 5; i++)
		if (!add_number(out, &data, 4))
			return false;
	out->len--;
	return true;
}

static bool caa(struct pb_buf *out, struct pb_str data)
{
	size_t len;

	if (!add_number(out, &data, 1) || !data.len || (len = (unsigned char)data.ptr[0]) + 1 > data.len)
		return false;
	add_text(out, pb_str(data.ptr + 1, len));
	pb_buf_addc(out, ' ');
	add_text(out, pb_str_skip(data, len + 1));
	return true;
}

bool record_text(struct pb_buf *out, int type, struct pb_str data)
{
	switch (type) {
	case TYPE_A:
		return address(out, AF_INET, 4, data);
	case TYPE_AAAA:
		return address(out, AF_INET6, 16, data);
	case TYPE_NS:
	case TYPE_CNAME:
	case TYPE_PTR:
		return record_name(out, &data);
	case TYPE_MX:
		return add_number(out, &data, 2) && record_name(out, &data);
	case TYPE_SRV:
		return add_number(out, &data, 2) && add_number(out, &data, 2) && add_number(out, &data, 2) && record_name(out, &data);
	case TYPE_TXT:
		return txt(out, data);
	case TYPE_SOA:
		return soa(out, data);
	case TYPE_TLSA:
		return numbers_hex(out, data, "111");
	case TYPE_DS:
	case TYPE_DNSKEY:
		return numbers_hex(out, data, "211");
	case TYPE_CAA:
		return caa(out, data);
	}
	return false;
}

bool record_reverse(struct pb_buf *out, const char *text)
{
	unsigned char addr[16];

	if (inet_pton(AF_INET, text, addr) == 1) {
		pb_buf_addf(out, "%u.%u.%u.%u.in-addr.arpa", addr[3], addr[2], addr[1], addr[0]);
		return true;
	}
	if (inet_pton(AF_INET6, text, addr) != 1)
		return false;
	for (int i = 15; i >= 0; i--)
		pb_buf_addf(out, "%x.%x.", addr[i] & 15, addr[i] >> 4);
	pb_buf_addz(out, "ip6.arpa");
	return true;
}
