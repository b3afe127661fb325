/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies that SMTP and LMTP share: lines without their end. What they mean for a session (counted, closed) is left to the caller. */
#ifndef MAILPROTO_REPLIES_H
#define MAILPROTO_REPLIES_H

#include <postbus/session.h>

/* To a line that runs no command, for every reason but a state that the protocol knows better. */
const char *refusal_reply(enum pb_refusal why);
const char *goodbye_reply(enum pb_goodbye why);
/* To data that was read to its end: code is what pb_read_dot, pb_read_spool or the spool said. */
const char *data_reply(int code);
/* Our own troubles: nothing internal reaches the wire. */
const char *trouble_reply(int code);

#endif
