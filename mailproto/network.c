/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Networks in CIDR form. Knows numbers only: no names, no DNS. */
#include <arpa/inet.h>
#include <stdlib.h>
#include "mailproto/network.h"

/* All addresses as 16 bytes, so that one comparison serves both families. */
static bool address_bytes(struct pb_str text, unsigned char out[16], bool *ret_v4)
{
	char z[INET6_ADDRSTRLEN];

	if (!text.len || text.len >= sizeof z)
		return false;
	memcpy(z, text.ptr, text.len);
	z[text.len] = 0;
	*ret_v4 = !strchr(z, ':');
	if (!*ret_v4)
		return inet_pton(AF_INET6, z, out) == 1;
	memset(out, 0, 10);
	out[10] = out[11] = 0xff;
	return inet_pton(AF_INET, z, out + 12) == 1;
}

static bool network_parse(struct pb_str text, struct network *ret)
{
	struct pb_str rest = text, address;
	uint64_t bits;
	bool v4;

	if (!pb_str_cut(&rest, '/', &address) || !address_bytes(address, ret->addr, &v4))
		return false;
	if (!rest.ptr)
		bits = 128;
	else if (pb_str_u64(rest, v4 ? 32 : 128, &bits))
		return false;
	else
		bits += v4 ? 96 : 0;
	ret->bits = (unsigned)bits;
	return true;
}

int networks_parse(const json_t *list, struct networks *ret, struct pb_error *err)
{
	struct networks nets = { NULL, 0 };
	const json_t *one;
	size_t i;

	if (json_array_size(list))
		nets.list = pb_alloc(json_array_size(list) * sizeof *nets.list);
	json_array_foreach (list, i, one) {
		if (!network_parse(pb_strz(json_string_value(one)), &nets.list[nets.n])) {
			networks_free(&nets);
			return pb_fail(err, PB_EINVALID, "'%s' is no network: an address, or address/bits", json_string_value(one));
		}
		nets.n++;
	}
	*ret = nets;
	return 0;
}

static bool in_network(const struct network *net, const unsigned char addr[16])
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(net->addr, addr, whole))
		return false;
	return !rest || (net->addr[whole] ^ addr[whole]) >> (8 - rest) == 0;
}

bool networks_has(const struct networks *nets, struct pb_str address)
{
	unsigned char addr[16];
	bool v4;

	if (!nets->n || !address_bytes(address, addr, &v4))
		return false;
	for (size_t i = 0; i < nets->n; i++)
		if (in_network(&nets->list[i], addr))
			return true;
	return false;
}

void networks_free(struct networks *nets)
{
	free(nets->list);
	nets->list = NULL;
	nets->n = 0;
}
