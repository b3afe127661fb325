/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What postbus.json says beyond its fields: addresses, the user, certificates. One validation, used by the start, by config check and by every reload; each
 * refusal names file, key, what was found and what is allowed. Plugins' own values are plugins.h's, fields are config's.
 */
#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H

#include <stdbool.h>
#include <postbus/error.h>

struct config;

/* Looks at the home, reads certificates and keys; changes nothing. */
int check_config(const struct config *c, struct pb_error *err);
/* An address to listen on, or, where paths may stand, a socket's absolute path. where: "FILE: KEY". */
int check_address(const char *text, const char *where, bool paths, struct pb_error *err);

#endif
