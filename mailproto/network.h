/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Networks in CIDR form, and whether an address lies in one of them. */
#ifndef MAILPROTO_NETWORK_H
#define MAILPROTO_NETWORK_H

#include <jansson.h>
#include <postbus/str.h>

struct network {
	unsigned char addr[16];		/* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;
};

struct networks {
	struct network *list;
	size_t n;
};

/* list: strings like "192.0.2.0/24", "2001:db8::/32", "127.0.0.1". PB_EINVALID names the wrong one. */
int networks_parse(const json_t *list, struct networks *ret, struct pb_error *err);
bool networks_has(const struct networks *nets, struct pb_str address);
void networks_free(struct networks *nets);

#endif
