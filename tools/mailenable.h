/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What MailEnable's files say, as values: tables of its Config directory, addresses in brackets, flags of a folder's index. Pure but for reading a file. */
#ifndef TOOLS_MAILENABLE_H
#define TOOLS_MAILENABLE_H

#include <jansson.h>
#include <postbus/str.h>

/* Rows of a table as objects. columns: names in the order they have where the file has no head line; ends with NULL. A head line is one that has
 * a cell with one of these names (any case, blanks and _ passed over). Cells without a name are left out, all values are text. */
json_t *tab_rows(struct pb_str text, const char *const *columns);
/* A text as JSON: UTF-8, else taken for Latin-1. */
json_t *text_value(struct pb_str cell);
/* "[SMTP:ann@example.org]": the type and what is behind it. False: it has no brackets. */
bool bracket_parse(const char *text, struct pb_str *ret_type, struct pb_str *ret_value);
/* "example/ann" */
bool store_parse(struct pb_str value, struct pb_str *ret_office, struct pb_str *ret_mailbox);
/* An AUTORESPOND.CFG as a value of the setting autoreply; NULL where it has no plain text. */
json_t *responder_parse(struct pb_str text);
/* An _index.xml: file name in lower case to list of flags. */
json_t *index_flags(struct pb_str xml);

#endif
