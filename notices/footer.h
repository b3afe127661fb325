/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Headers and footers: texts put above and below the texts of a message. Pure: message and footer in, message out. Signed and encrypted mail is never touched, nor
 * are attachments; of alternatives each gets the form that fits it.
 */
#ifndef NOTICES_FOOTER_H
#define NOTICES_FOOTER_H

#include <postbus/str.h>

/* UTF-8; html may be empty: then it is made from text. Either empty: parts of that kind are left alone. */
struct footer {
	struct pb_str text, html;
	struct pb_str above, above_html;	/* the same, put above */
	bool dkim;			/* a DKIM-Signature does not forbid it: whoever changes the message signs it anew */
};

/* Append the message with its footer. False, and nothing is appended: it has no place for one, or must not be changed. facts: of message (message.h). */
bool footer_add(struct pb_buf *out, struct pb_str message, struct pb_str facts, const struct footer *footer);

#endif
