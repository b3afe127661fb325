/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Networks: is an address in one? IPv4 addresses are compared in their mapped form, so that both families are one. */
#include <arpa/inet.h>
#include "words.h"

/* 16 bytes; gives how many bits an address of this family has, or 0 where it is none. */
static unsigned parse(struct pb_str text, unsigned char out[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	char z[INET6_ADDRSTRLEN];

	if (!text.len || text.len >= sizeof z)
		return 0;
	memcpy(z, text.ptr, text.len);
	z[text.len] = '\0';
	if (strchr(z, ':'))
		return inet_pton(AF_INET6, z, out) == 1 ? 128 : 0;
	memcpy(out, mapped, sizeof mapped);
	return inet_pton(AF_INET, z, out + 12) == 1 ? 32 : 0;
}

/* Gives how many of the 128 bits count; -1 where it is no network. */
static int parse_network(struct pb_str network, unsigned char out[16])
{
	struct pb_str rest = network, address;
	uint64_t bits;
	unsigned width;

	pb_str_cut(&rest, '/', &address);
	width = parse(address, out);
	bits = width;
	if (!width || (rest.ptr && pb_str_u64(rest, width, &bits)))
		return -1;
	return (int)(128 - width + bits);
}

bool network_valid(struct pb_str network)
{
	unsigned char bytes[16];

	return parse_network(network, bytes) >= 0;
}

bool network_has(struct pb_str network, struct pb_str address)
{
	unsigned char a[16], b[16];
	int bits = parse_network(network, a);
	int whole = bits / 8, left = bits % 8;

	if (bits < 0 || !parse(address, b) || memcmp(a, b, (size_t)whole) != 0)
		return false;
	return !left || (a[whole] ^ b[whole]) >> (8 - left) == 0;
}

/* RFC 5782: bytes of IPv4, nibbles of IPv6, the last first, each with a dot behind it. */
bool network_reversed(struct pb_str address, struct pb_buf *out)
{
	unsigned char bytes[16];
	unsigned width = parse(address, bytes);

	if (width == 32 || (width && network_has(PB_STR("0.0.0.0/0"), address)))
		for (int i = 15; i >= 12; i--)
			pb_buf_addf(out, "%u.", bytes[i]);
	else
		for (int i = 15; i >= 0 && width; i--)
			pb_buf_addf(out, "%x.%x.", bytes[i] & 15u, bytes[i] >> 4);
	return width > 0;
}
