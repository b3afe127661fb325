/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The addresses of a list: dev@ is for posts, dev-request@ for commands, and so on. With "-" or "+" between: dev-subscribe@, dev+subscribe@. Pure.
 */
#ifndef CONN_LIST_DOOR_H
#define CONN_LIST_DOOR_H

#include <postbus/str.h>

enum door_kind {
	DOOR_POST,
	DOOR_REQUEST,		/* commands, in the subject or the body */
	DOOR_SUBSCRIBE,		/* also -join; rest: "digest", "plain", "nomail" or empty */
	DOOR_UNSUBSCRIBE,	/* also -leave */
	DOOR_CONFIRM,		/* rest: the token */
	DOOR_HELP,
	DOOR_WHO,
	DOOR_GET,		/* rest: how many posts, or which month */
	DOOR_SET,		/* rest: words of the command, "mail-off"; empty: show */
	DOOR_OWNER,		/* also -admin: goes on to the owners */
	DOOR_BOUNCES,		/* rest: whose it is (VERP), or empty */
	DOOR_PROBE,		/* rest: the token of a probe that came back */
	DOOR_MODERATE,		/* rest: the token of what is held */
	DOOR_PART,		/* from the list itself: a part of a personal post */
	DOORS
};

struct door {
	enum door_kind kind;
	struct pb_str rest;	/* behind the door's name and "+" or "-" */
};

/* local: of the recipient; list: local part of the list. A name that does not begin with the list's (an alias) is for posts. False: there is no such door. */
bool door_parse(struct door *ret, struct pb_str list, struct pb_str local);
/* All names of doors, one after the other; NULL: no more. */
const char *door_name(size_t i);

#endif
