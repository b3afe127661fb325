/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys of imported messages: in a table, and, since a write for each would cost a flush of the disk, some of them in memory for a while. */
#include <stdlib.h>
#include "import.h"

enum { FRESH_MAX = 200 };

static bool is_fresh(struct import *in, struct pb_str key)
{
	bool found;

	pthread_mutex_lock(&in->lock);
	found = json_object_getn(in->fresh, key.ptr, key.len) != NULL;
	pthread_mutex_unlock(&in->lock);
	return found;
}

int keys_has(struct import *in, struct pb_str key, bool *ret, struct pb_error *err)
{
	PB_AUTOBUF(value);
	int rc;

	if (!key.len || key.len > KEY_MAX)
		return pb_fail(err, PB_EINVALID, "a key has 1 to %d characters", KEY_MAX);
	*ret = is_fresh(in, key);
	if (*ret)
		return 0;
	rc = pb_table_get(in->done, key, &value, err);
	*ret = rc == 0;
	return rc == PB_ENOTFOUND ? 0 : rc;
}

int keys_add(struct import *in, struct pb_str key, struct pb_error *err)
{
	bool full;

	pthread_mutex_lock(&in->lock);
	json_object_setn_new(in->fresh, key.ptr, key.len, json_true());
	full = json_object_size(in->fresh) >= FRESH_MAX;
	pthread_mutex_unlock(&in->lock);
	return full ? keys_flush(in, err) : 0;
}

/* The lock is held over the write, so that a key is always in one of the two places. */
int keys_flush(struct import *in, struct pb_error *err)
{
	struct pb_change *changes;
	const char *key;
	json_t *value;
	size_t n = 0;
	int rc = 0;

	pthread_mutex_lock(&in->lock);
	if (json_object_size(in->fresh)) {
		changes = pb_alloc(json_object_size(in->fresh) * sizeof *changes);
		json_object_foreach (in->fresh, key, value)
			changes[n++] = (struct pb_change){ .kind = PB_PUT, .key = pb_strz(key) };
		rc = pb_table_apply(in->done, changes, n, err);
		free(changes);
		if (!rc)
			json_object_clear(in->fresh);
	}
	pthread_mutex_unlock(&in->lock);
	return rc;
}
