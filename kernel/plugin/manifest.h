/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Manifests: read and checked before anything is opened. */
#ifndef KERNEL_PLUGIN_MANIFEST_H
#define KERNEL_PLUGIN_MANIFEST_H

#include <jansson.h>
#include <postbus/str.h>

struct manifest {
	json_t *doc;		/* checked, defaults filled in */
	const char *name;	/* in doc */
	char *dir;		/* where it lies; the object lies beside it */
	unsigned rights;	/* enum right bits of "requires" */
	json_t *calls;		/* methods of "requires" and "optional", as keys */
};

/* path must end in <name>.json, and a file that only root, this process and own can change (guard.h: PB_EDENIED).
 * PB_EINVALID names file, key, what was found and what is allowed. */
int manifest_read(const char *path, uid_t own, struct manifest **ret, struct pb_error *err);
void manifest_free(struct manifest *m);		/* NULL is fine */
/* The manifests' own fields, with their docs. Borrowed. */
const json_t *manifest_fields(void);
/* Right bit of a word of "requires", or 0: it is a method. */
unsigned manifest_right(const char *word);
/* All of these words, as keys of a new object. */
json_t *manifest_rights(void);

#endif
