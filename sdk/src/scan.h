/* SPDX-License-Identifier: Apache-2.0 */
/* The tree that the scanner makes of a message while facts are made. Private; lives in memory only, what is stored is facts.c's layout. */
#ifndef POSTBUS_SCAN_H
#define POSTBUS_SCAN_H

#include "mail.h"

#pragma GCC visibility push(hidden)

struct node {
	enum pb_part_kind kind;
	unsigned depth;
	bool top;			/* its header is a message's */
	bool digest;			/* a child of multipart/digest: message/rfc822 by default */
	bool attached;
	size_t header, header_len, body, body_len;
	uint64_t lines;
	uint32_t end;			/* index behind the last node below this one */
	uint32_t children;
	struct pb_str type, subtype;	/* defaults filled in */
	bool typed;			/* Content-Type was there and could be read */
	struct pb_str params;		/* what stands behind the subtype */
	struct pb_str encoding, id, description, disposition, language, location, md5;	/* raw values, ptr NULL: absent */
};

struct scan {
	const char *text;
	size_t len, pos;
	struct census census;		/* of everything before pos */
	unsigned flags;			/* PB_FACTS_ */
	struct node *nodes;
	uint32_t count, cap;
	unsigned open;			/* boundaries that a line may match */
	struct pb_buf boundary_bytes;	/* those that do not lie in the text as they are */
	struct top_field {		/* the fields of the message's own header that have an id, in their order */
		int id;
		struct pb_str value, raw;
	} *fields;
	size_t nfields, fields_cap;
	uint64_t dropped;		/* ids of fields for which there was no room there */
	struct pb_str boundaries[PB_DEPTH_MAX];	/* last: what lies before is zeroed at the start */
};

void scan_message(struct scan *s, struct pb_str message);
void scan_free(struct scan *s);
enum pb_encoding encoding_of(struct pb_str raw_value);

#pragma GCC visibility pop

#endif
