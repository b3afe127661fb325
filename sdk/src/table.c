/* SPDX-License-Identifier: Apache-2.0 */
/* Many rows of a table at once. Built on what table.h offers everybody. */
#include <stdlib.h>
#include <postbus/table.h>

enum { PAGE = 1000 };

struct page {
	struct pb_arena *arena;		/* of the keys */
	struct pb_change changes[PAGE];
	size_t n;
};

static bool add_deletion(void *arg, struct pb_str key, struct pb_str value)
{
	struct page *p = arg;

	(void)value;
	p->changes[p->n++] = (struct pb_change){ PB_DELETE, pb_arena_str(p->arena, key), PB_NOSTR };
	return p->n < PAGE;
}

int pb_table_clear(struct pb_table *t, struct pb_str from, struct pb_str to, struct pb_error *err)
{
	struct page *p = pb_alloc(sizeof *p);
	int rc;

	p->arena = pb_arena_new();
	do {
		p->n = 0;
		pb_arena_reset(p->arena);
		rc = pb_table_scan(t, from, to, PAGE, add_deletion, p, err);
		if (!rc && p->n)
			rc = pb_table_apply(t, p->changes, p->n, err);
	} while (!rc && p->n);
	pb_arena_free(p->arena);
	free(p);
	return rc;
}
