/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hours of the week, as settings have them. */
#ifndef CONN_POSTOFFICE_HOURS_H
#define CONN_POSTOFFICE_HOURS_H

#include <postbus/str.h>

/* Is this minute of a day (0 Monday to 6 Sunday) among these hours? Empty: always. */
bool hours_cover(struct pb_str hours, unsigned day, unsigned minute);

#endif
