/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mailto: URIs (RFC 6068), as notifications name their readers by them (RFC 5436). Pure. */
#ifndef NOTICES_MAILTO_H
#define NOTICES_MAILTO_H

#include <postbus/str.h>

/* Decoded, in the arena; what is not there is empty. Header fields and bytes that no line may have are left out. */
struct mailto {
	struct pb_str to;		/* addresses with commas between them */
	struct pb_str subject, body;
};

/* False: it is no mailto URI. */
bool mailto_parse(struct mailto *ret, struct pb_str uri, struct pb_arena *arena);

#endif
