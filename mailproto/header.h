/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a message's header section says that decides about its acceptance. Pure: bytes in, findings out. */
#ifndef MAILPROTO_HEADER_H
#define MAILPROTO_HEADER_H

#include <postbus/str.h>

struct header {
	size_t len;			/* of the section, without the empty line; capped at max + 1 */
	unsigned received;		/* Received fields */
	unsigned from_fields;
	bool has_date, has_message_id;
};

/* Reads at most max bytes of message. */
void header_scan(struct pb_str message, size_t max, struct header *ret);
/* Has text a bare CR, a bare LF or a NUL? */
bool text_is_broken(struct pb_str text);

#endif
