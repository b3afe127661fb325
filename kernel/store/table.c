/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * host_table_*: ordered key-value tables of plugins, each one entity "t/<plugin>.<table>" of the engine.
 * Leaves what keys mean to the plugin.
 */
#include <stdio.h>
#include <stdlib.h>
#include "kernel/host.h"
#include "kernel/store/mailstore.h"

enum { KEY_MAX = 1000, VALUE_MAX = 1 << 20, CHANGES_MAX = 10000, SCAN_MAX = 1000, NAME_MAX_LEN = 62 };

struct pb_table {
	struct pb_handle handle;
	struct engine *engine;
	size_t entity_len;
	char entity[2 + NAME_MAX_LEN + 1];
};

static struct pb_str entity_of(const struct pb_table *t)
{
	return pb_str(t->entity, t->entity_len);
}

int host_table_open(struct pb_host *host, const char *name, struct pb_table **ret, struct pb_error *err)
{
	struct pb_table *t;
	size_t own = strlen(host->name);
	int n, rc = host_may(host, RIGHT_TABLE, err);

	if (rc)
		return rc;
	/* The plugin's name may stand before the table's, or be left out. */
	if (!strncmp(name, host->name, own) && name[own] == '.')
		name += own + 1;
	if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != strlen(name))
		return pb_fail(err, PB_EINVALID, "a table's name has letters, digits, _ and - only");
	t = pb_alloc(sizeof *t);
	n = snprintf(t->entity, sizeof t->entity, "t/%s.%s", host->name, name);
	if (n < 0 || (size_t)n >= sizeof t->entity) {
		free(t);
		return pb_fail(err, PB_ETOOBIG, "a table's name with its plugin's has at most %d characters", NAME_MAX_LEN);
	}
	t->entity_len = (size_t)n;
	t->handle.ops = host->handle.ops;
	t->engine = host->kernel->engine;
	*ret = t;
	return 0;
}

void host_table_close(struct pb_table *t)
{
	free(t);
}

static int key_check(struct pb_str key, struct pb_error *err)
{
	return key.len && key.len <= KEY_MAX ? 0 : pb_fail(err, PB_EINVALID, "a table's key has 1 to %d bytes", KEY_MAX);
}

int host_table_get(struct pb_table *t, struct pb_str key, struct pb_buf *value, struct pb_error *err)
{
	int rc = key_check(key, err);

	return rc ? rc : engine_get(t->engine, entity_of(t), key, value, err);
}

int host_table_scan(struct pb_table *t, struct pb_str from, struct pb_str to, size_t limit,
		    bool (*visit)(void *arg, struct pb_str key, struct pb_str value), void *arg, struct pb_error *err)
{
	struct engine_page page = ENGINE_PAGE;
	PB_AUTOBUF(next);
	bool more = true;
	int rc = 0;

	if (!limit || limit > SCAN_MAX)
		limit = SCAN_MAX;
	/* A page ends early when its rows are big. */
	while (more && limit && !rc) {
		rc = engine_scan(t->engine, entity_of(t), from, to, limit, &page, err);
		for (size_t i = 0; !rc && more && i < page.n; i++)
			more = visit(arg, page.rows[i].key, page.rows[i].value);
		if (rc || !page.more || !page.n)
			break;
		limit -= page.n;
		pb_buf_reset(&next);
		pb_buf_addstr(&next, page.rows[page.n - 1].key);
		pb_buf_addc(&next, '\0');
		from = pb_buf_str(&next);
	}
	engine_page_free(&page);
	return rc;
}

struct sorting {
	struct engine_row *put, *equal;
	struct pb_str *remove, *absent;
	struct engine_batch b;
};

static int sort_in(struct sorting *s, const struct pb_change *c, struct pb_error *err)
{
	int rc = key_check(c->key, err);

	if (rc)
		return rc;
	if (c->value.len > VALUE_MAX)
		return pb_fail(err, PB_ETOOBIG, "a value of %zu bytes; %d at most", c->value.len, VALUE_MAX);
	switch (c->kind) {
	case PB_PUT:
		s->put[s->b.nput++] = (struct engine_row){ c->key, c->value };
		return 0;
	case PB_DELETE:
		s->remove[s->b.nremove++] = c->key;
		return 0;
	case PB_ABSENT:
		s->absent[s->b.nabsent++] = c->key;
		return 0;
	case PB_EQUAL:
		s->equal[s->b.nequal++] = (struct engine_row){ c->key, c->value };
		return 0;
	}
	return pb_fail(err, PB_EINVALID, "a change of unknown kind %d", (int)c->kind);
}

int host_table_apply(struct pb_table *t, const struct pb_change *changes, size_t n, struct pb_error *err)
{
	struct sorting s = { .b = { .entity = entity_of(t), .expect = ENGINE_ANY } };
	engine_ticket ticket = 0;
	void *memory;
	int rc = 0;

	if (n > CHANGES_MAX)
		return pb_fail(err, PB_ETOOBIG, "%zu changes in one batch; %d at most", n, CHANGES_MAX);
	memory = pb_alloc((n + 1) * 2 * (sizeof s.put[0] + sizeof s.remove[0]));
	s.put = memory;
	s.equal = s.put + n;
	s.remove = (void *)(s.equal + n);
	s.absent = s.remove + n;
	for (size_t i = 0; i < n && !rc; i++)
		rc = sort_in(&s, &changes[i], err);
	s.b.put = s.put;
	s.b.equal = s.equal;
	s.b.remove = s.remove;
	s.b.absent = s.absent;
	if (!rc)
		rc = engine_apply(t->engine, &s.b, NULL, &ticket, err);
	free(memory);
	return rc ? rc : engine_wait(t->engine, ticket, err);
}
