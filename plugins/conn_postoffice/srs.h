/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The sender rewriting scheme: the envelope sender of what is sent on becomes an address of ours, so that SPF holds for it, and a report to it finds its way back.
 *	SRS0=<hash>=<day>=<domain>=<local part>@<our domain>
 *	SRS1=<hash>=<domain of the first rewriter>=<its local part behind SRS0>@<our domain>
 *	SRS0=<hash>=<day>==<handle>@<our domain>
 * The last is for senders that would become longer than RFC 5321 4.5.3.1.1 allows, or whose local part is quoted: they are kept in a table under their handle.
 * The hash is made with a secret of this server, so that nobody can make us send to where he likes; a day counts for three weeks.
 */
#ifndef CONN_POSTOFFICE_SRS_H
#define CONN_POSTOFFICE_SRS_H

#include <postbus/str.h>

enum { SRS_SECRET = 32, SRS_HANDLE = 16 };

/* Append the sender as an address in domain; as it is where it is empty or no address. */
void srs_encode(struct pb_buf *out, struct pb_str sender, struct pb_str domain, const char secret[SRS_SECRET], int64_t now);
/* Is what srs_encode made an address that everybody takes? */
bool srs_fits(struct pb_str address);
/* The handle under which a sender is kept, and the address that stands for it. */
void srs_handle(char out[SRS_HANDLE], struct pb_str sender, const char secret[SRS_SECRET]);
void srs_encode_handle(struct pb_buf *out, struct pb_str handle, struct pb_str domain, const char secret[SRS_SECRET], int64_t now);
/* Does a local part look like one of these? */
bool srs_is(struct pb_str local);
/* Append the address that it stands for, or the handle under which that is kept: it has no "@".
 * PB_EDENIED: not made with this secret. PB_ETIMEOUT: too old. PB_EINVALID: malformed. */
int srs_decode(struct pb_buf *out, struct pb_str local, const char secret[SRS_SECRET], int64_t now, struct pb_error *err);

#endif
