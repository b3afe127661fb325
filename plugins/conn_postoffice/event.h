/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs that hear of deliveries (the setting event_program). */
#ifndef CONN_POSTOFFICE_EVENT_H
#define CONN_POSTOFFICE_EVENT_H

#include "postoffice.h"

struct events *events_new(struct pb_host *host);
void events_free(struct events *all);
/* A copy was delivered: its program runs soon, where there is one. */
void event_delivered(const struct delivery *d, uint32_t uid);

#endif
