/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings: one small entity of the store, read whole. */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/config/config.h"
#include "kernel/plugin/settings.h"

#define ENTITY PB_STR("k/settings")

int settings_read(struct engine *e, json_t **ret, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	json_t *all = json_object();
	int rc = engine_scan(e, ENTITY, PB_NOSTR, PB_NOSTR, 1000, &page, err);

	for (size_t i = 0; !rc && i < page.n; i++) {
		json_t *value = json_loadb(page.rows[i].value.ptr, page.rows[i].value.len, JSON_DECODE_ANY, NULL);
		char key[200];

		snprintf(key, sizeof key, "%.*s", PB_FMT(page.rows[i].key));
		if (value)
			json_object_set_new(all, key, value);
	}
	engine_page_free(&page);
	if (rc)
		json_decref(all);
	else
		*ret = all;
	return rc;
}

int settings_write(struct engine *e, const char *key, const json_t *value, struct pb_error *err)
{
	char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	const struct pb_str name = pb_strz(key);
	const struct engine_row row = { name, pb_strz(text) };
	struct engine_batch batch = { .entity = ENTITY, .expect = ENGINE_ANY };
	engine_ticket ticket = 0;
	int rc;

	if (value) {
		batch.put = &row;
		batch.nput = 1;
	} else {
		batch.remove = &name;
		batch.nremove = 1;
	}
	rc = engine_apply(e, &batch, NULL, &ticket, err);
	if (!rc)
		rc = engine_wait(e, ticket, err);
	free(text);
	return rc;
}
