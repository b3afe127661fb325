/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sets of an ARC chain as they stand in a message. */
#ifndef MAILAUTH_ARC_SETS_H
#define MAILAUTH_ARC_SETS_H

#include "mailauth/arc.h"

enum arc_part { ARC_RESULTS, ARC_SIGNATURE, ARC_SEAL };		/* in the order in which they are sealed */

struct arc_sets {
	const struct pb_field *part[ARC_SETS_MAX + 1][3];	/* by instance, from 1 */
	unsigned n;						/* the highest */
};

/* False: one is missing, or stands there twice, or has no number (*why: fail). */
bool arc_sets_read(const struct auth_message *msg, struct arc_sets *ret, struct finding *why);
/* Append what the seal of instance n covers; its own field (own, instead of the one in the message, where it is given) without b. */
void arc_seal_data(const struct arc_sets *sets, unsigned n, struct pb_str own, struct pb_buf *out);

#endif
