/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of a list's addresses a recipient is. */
#include "door.h"

static const struct {
	const char *name;
	enum door_kind kind;
} doors[] = {
	{ "request", DOOR_REQUEST },	     { "subscribe", DOOR_SUBSCRIBE }, { "join", DOOR_SUBSCRIBE }, { "unsubscribe", DOOR_UNSUBSCRIBE },
	{ "leave", DOOR_UNSUBSCRIBE },	     { "confirm", DOOR_CONFIRM },     { "help", DOOR_HELP },	  { "owner", DOOR_OWNER },
	{ "who", DOOR_WHO },		     { "get", DOOR_GET },	      { "set", DOOR_SET },
	{ "admin", DOOR_OWNER },	     { "bounces", DOOR_BOUNCES },     { "moderate", DOOR_MODERATE }, { "part", DOOR_PART },	     { "probe", DOOR_PROBE },
};

static bool is_mark(char c)
{
	return c == '-' || c == '+';
}

bool door_parse(struct door *ret, struct pb_str list, struct pb_str local)
{
	struct pb_str behind;

	*ret = (struct door){ DOOR_POST, PB_NOSTR };
	if (!pb_str_istarts(local, list) || local.len == list.len)
		return true;
	behind = pb_str_skip(local, list.len);
	if (!is_mark(behind.ptr[0]))
		return true;
	behind = pb_str_skip(behind, 1);
	for (size_t i = 0; i < sizeof doors / sizeof *doors; i++) {
		struct pb_str name = pb_strz(doors[i].name);

		if (!pb_str_istarts(behind, name) || (behind.len > name.len && !is_mark(behind.ptr[name.len])))
			continue;
		ret->kind = doors[i].kind;
		ret->rest = pb_str_skip(behind, name.len + 1);
		return true;
	}
	return false;
}

const char *door_name(size_t i)
{
	return i < sizeof doors / sizeof *doors ? doors[i].name : NULL;
}
