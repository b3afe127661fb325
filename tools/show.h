/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Results for people: tables and key-value lines. --json shows them as they are. */
#ifndef TOOLS_SHOW_H
#define TOOLS_SHOW_H

#include <jansson.h>

/* returns: the manifest's description of the result, whose lists may name their "columns"; may be NULL. */
void show_result(const json_t *result, const json_t *returns);

#endif
