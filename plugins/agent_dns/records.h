/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Record data in wire form to text. Data come from strangers: every length is checked. */
#ifndef AGENT_DNS_RECORDS_H
#define AGENT_DNS_RECORDS_H

#include <jansson.h>
#include <postbus/str.h>

enum { TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_PTR = 12, TYPE_MX = 15, TYPE_TXT = 16, TYPE_AAAA = 28, TYPE_SRV = 33, TYPE_DS = 43,
       TYPE_DNSKEY = 48, TYPE_TLSA = 52, TYPE_CAA = 257 };

/* The number of a type's name, or 0. */
int record_type(const char *name);
/* Append the presentation form. False: malformed. Text is UTF-8, other bytes as \DDD. */
bool record_text(struct pb_buf *out, int type, struct pb_str data);
/* A domain name in wire form at the front of *rest, appended without its final dot ("." for the root). Dots and blanks inside labels as \DDD. */
bool record_name(struct pb_buf *out, struct pb_str *rest);
/* MX data. *ret_host is appended to. */
bool record_mx(struct pb_str data, unsigned *ret_preference, struct pb_buf *ret_host);
/* The name of the reverse zone for a numeric address: "1.2.0.192.in-addr.arpa". */
bool record_reverse(struct pb_buf *out, const char *address);

#endif
