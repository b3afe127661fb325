/* SPDX-License-Identifier: GPL-3.0-or-later */
/* STATUS items, for the command and for LIST RETURN (STATUS ...) (RFC 5819). */
#ifndef SVC_IMAP_STATUS_H
#define SVC_IMAP_STATUS_H

#include "imap.h"

enum {
	STATUS_MESSAGES = 1, STATUS_RECENT = 2, STATUS_UIDNEXT = 4, STATUS_UIDVALIDITY = 8, STATUS_UNSEEN = 16, STATUS_SIZE = 32, STATUS_DELETED = 64,
	STATUS_MAILBOXID = 128		/* RFC 8474 */
};

/* "(" item *(SP item) ")" */
bool parse_status_items(struct parse *p, unsigned *ret);
/* "* STATUS name (...)"; an error is given back and nothing was put. */
int put_status(struct pb_session *s, struct pb_str name, unsigned items, struct pb_error *err);

#endif
