/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines "name = value" with Python's literals: strings (also over several lines), whole numbers, True, False, None, and lists of them. */
#ifndef TOOLS_IMPORT_LITERAL_H
#define TOOLS_IMPORT_LITERAL_H

#include <jansson.h>
#include <stdio.h>
#include <postbus/str.h>

/* An object of all that is understood; a new reference. A fraction loses what is behind its point. */
json_t *literals_read(struct pb_str text);

#endif
