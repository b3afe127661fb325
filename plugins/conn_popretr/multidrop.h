/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose a message is that came to a mailbox which many share. Pure: a header in, addresses out. */
#ifndef CONN_POPRETR_MULTIDROP_H
#define CONN_POPRETR_MULTIDROP_H

#include <postbus/str.h>

enum { DROPS_MAX = 100 };

/* Visits what a field of this name (any case) says of the envelope's recipients, field by field from the top; visit gives false to go on with the next field.
 * True: visit took something of a field, whose other addresses were visited too. Of Received that is its "for". */
bool drop_visit(struct pb_str header, struct pb_str name, bool (*visit)(void *arg, struct pb_str address), void *arg);
/* The address of a Received field's "for" clause (RFC 5321 4.4), comments left out; empty: there is none. */
struct pb_str drop_for(struct pb_str received);

#endif
