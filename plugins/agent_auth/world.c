/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The DNS for the library: dns.query, within the time and the number of questions that one message may cost. */
#include "auth_agent.h"

static int query(void *arg, const char *type, struct pb_str name, struct pb_arena *arena, struct pb_str **ret, size_t *ret_n)
{
	struct world *w = arg;
	json_t *ask, *found = NULL;
	const json_t *list, *one;
	size_t i;
	int rc;

	if (--w->left < 0 || pb_ticks(w->host) >= w->deadline)
		return PB_EUNAVAILABLE;
	ask = json_pack("{s:s%, s:s}", "name", name.ptr, name.len, "type", type);
	if (!ask)
		return PB_ENOTFOUND;	/* macros can make anything; what is no name has no records */
	rc = pb_call(w->host, "dns.query", ask, &found, NULL);
	json_decref(ask);
	if (rc)
		return rc == PB_EINVALID ? PB_ENOTFOUND : rc;
	list = json_object_get(found, "records");
	*ret = pb_arena_alloc(arena, (json_array_size(list) + 1) * sizeof **ret);
	*ret_n = 0;
	json_array_foreach(list, i, one)
		(*ret)[(*ret_n)++] = pb_arena_str(arena, pb_str(json_string_value(one), json_string_length(one)));
	json_decref(found);
	return 0;
}

struct auth_dns world_of(struct agent *a, struct world *w)
{
	w->host = a->host;
	w->deadline = pb_ticks(a->host) + pb_config_int(a->host, "timeout") * PB_SECOND;
	w->left = pb_config_int(a->host, "queries");
	return (struct auth_dns){ .arg = w, .query = query };
}
