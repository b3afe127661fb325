/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folders by their names: the user's own, and public ones below "Public/". */
#ifndef SVC_IMAP_PUBLIC_H
#define SVC_IMAP_PUBLIC_H

#include "imap.h"

#define PUBLIC_PREFIX "Public/"

/* Does this name a public folder, or the root of them? */
bool public_is(struct pb_str name);
/* The mailbox that has them; PB_ENOTFOUND: there are none. */
int public_mailbox(struct pb_session *s, struct pb_mailbox **ret, struct pb_error *err);
/* Like pb_folder_open, of any folder that the user sees; writable: he may put messages there and change them. */
int folder_open(struct pb_session *s, struct pb_str name, struct pb_folder **ret, bool *ret_writable, struct pb_error *err);
/* PB_EDENIED where he may not. */
int folder_open_to_write(struct pb_session *s, struct pb_str name, struct pb_folder **ret, struct pb_error *err);
/* Like pb_folder_list, of public folders that the user may read and their root, with the names that clients use. False: there are none. */
bool public_list(struct pb_session *s, bool (*visit)(void *arg, const struct pb_folder_info *info), void *arg);

#endif
