/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Put behind the jansson.h of a ThreadSanitizer build: what the library is about to do to the counts of a dying value's children, which it does unseen. */
#ifndef TESTS_TSAN_CHILDREN_H
#define TESTS_TSAN_CHILDREN_H

#include <sanitizer/tsan_interface.h>

static inline void tsan_child(json_t *child)
{
	size_t references = __atomic_load_n(&child->refcount, __ATOMIC_RELAXED);

	if (references == (size_t)-1)	/* true, false, null: shared by all for ever */
		return;
	__tsan_acquire((void *)&child->refcount);
	__tsan_release((void *)&child->refcount);
	if (references == 1)
		tsan_children(child);
}

static void tsan_children(json_t *json)
{
	const char *key;
	json_t *child;
	size_t i;

	json_object_foreach (json, key, child)
		tsan_child(child);
	json_array_foreach (json, i, child)
		tsan_child(child);
}

#endif
