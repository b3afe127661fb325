/* SPDX-License-Identifier: GPL-3.0-or-later */
/* To whom nothing is answered by itself (RFC 3834, RFC 5230 4.6): programs, lists, bulk mail, bounces. Pure. */
#ifndef NOTICES_AUTOMATIC_H
#define NOTICES_AUTOMATIC_H

#include <postbus/str.h>

/* Does the header say that a program sent it (Auto-Submitted other than "no")? */
bool automatic_is(struct pb_str header);
/* Why a sender (of the envelope) gets no automatic answer to a message with this header; NULL: he may get one. */
const char *automatic_why_not(struct pb_str sender, struct pb_str header);

#endif
