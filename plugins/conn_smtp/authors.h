/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The fields that say who writes: From, Sender, Resent-From, Resent-Sender. Read strictly (RFC 5322 3.4 with its obsolete forms), since what one
 * reader takes for nothing another shows as the author. Pure: bytes in, addresses out.
 */
#ifndef CONN_SMTP_AUTHORS_H
#define CONN_SMTP_AUTHORS_H

#include <postbus/str.h>

/* The next such field of *header (which is used up); name and value are views. */
bool author_next(struct pb_str *header, struct pb_str *ret_name, struct pb_str *ret_value);
/* Append every address of a field's value, each ended by a line feed. False: it cannot be understood as a whole, or holds no address. */
bool author_addresses(struct pb_str value, struct pb_buf *out);

#endif
