/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sequence sets (RFC 3501 sequence-set) as ranges, for sequence numbers and for UIDs alike. Which messages they name is view.c's.
 */
#ifndef SVC_IMAP_SET_H
#define SVC_IMAP_SET_H

#include "parse.h"

struct range {
	uint32_t from, to;	/* 0 stands for "*" until set_resolve */
};

struct set {
	struct range *ranges;	/* in the arena */
	size_t n;
};

bool parse_set(struct parse *p, struct set *ret);
/* Put star for "*", turn ranges the right way round, sort and join them. star 0 (nothing there): ranges with "*" go. */
void set_resolve(struct set *s, uint32_t star);
/* After set_resolve. */
bool set_has(const struct set *s, uint32_t n);
uint64_t set_count(const struct set *s);
/* Append n ascending numbers in set syntax ("1:3,7"). */
void set_print(struct pb_buf *out, const uint32_t *numbers, size_t n);

#endif
