/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mail of whole domains that waits at another server: asked to be sent (ETRN, RFC 1985), or taken over the same connection (ATRN, RFC 2645). */
#ifndef CONN_POPRETR_ETRN_H
#define CONN_POPRETR_ETRN_H

#include "popretr.h"

/* A run of such an account. */
int run_domain(struct run *run, struct pb_error *err);
/* As far as the login. */
int test_domain(struct run *run, struct pb_error *err);
/* The other side is the client from now on: takes its mail for the account's domains until it says QUIT (atrn.c). */
int atrn_serve(struct run *run, struct pb_error *err);

#endif
