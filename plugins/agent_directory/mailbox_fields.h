/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The fields of a mailbox's row, between parameters, row and people. Needs directory.h's commands, knows no table.
 */
#ifndef AGENT_DIRECTORY_MAILBOX_FIELDS_H
#define AGENT_DIRECTORY_MAILBOX_FIELDS_H

#include "directory.h"

/* Put what the parameters say into row, in place. PB_EINVALID; PB_EDENIED for what the caller's role may not set. */
int mailbox_take_fields(struct command *c, json_t *row, struct pb_error *err);
/* A new object with the fields that people and other plugins see. */
json_t *mailbox_fields(const json_t *row);
/* A new list of the well-formed addresses given, each once. what: for errors. */
int address_list(const json_t *given, size_t max, const char *what, json_t **ret, struct pb_error *err);

#endif
