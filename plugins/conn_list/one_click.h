/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the page for leaving in one click reads and writes (RFC 8058): names of members in URLs, and requests. Pure. */
#ifndef CONN_LIST_ONE_CLICK_H
#define CONN_LIST_ONE_CLICK_H

#include <postbus/str.h>

enum { CLICK_MAC = 20, CLICK_NAME_MAX = 900 };

/* Append "NAME.MAC": base64url of list and member, and the proof that this server wrote it. */
void click_name(struct pb_buf *out, struct pb_str list, struct pb_str member, struct pb_str mac);
/* The way back. False: it is none. */
bool click_name_read(struct pb_str name, struct pb_buf *list, struct pb_buf *member, struct pb_str *ret_mac);
/* The name in the target of a request: what follows the last "/u/". False: there is none. */
bool click_target(struct pb_str target, struct pb_str *ret_name);
/* Does the body say List-Unsubscribe=One-Click, as a form of either kind? */
bool click_said(struct pb_str type, struct pb_str body);
/* "name: value"; false: it is no field (RFC 9112 5.1: no blank before the colon). */
bool click_field(struct pb_str line, struct pb_str *ret_name, struct pb_str *ret_value);
/* A Content-Length: digits alone. -1: it is none. */
long click_length(struct pb_str value);

#endif
