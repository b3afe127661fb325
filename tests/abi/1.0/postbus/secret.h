/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets: passwords, keys, tokens. No printf form, wiped when freed, compared in constant time.
 */
#ifndef POSTBUS_SECRET_H
#define POSTBUS_SECRET_H

#include <postbus/str.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pb_secret;

struct pb_secret *pb_secret_new(struct pb_str bytes);	/* copies; the caller wipes its own copy with pb_wipe */
struct pb_str pb_secret_bytes(const struct pb_secret *s);	/* valid until freed; never log it */
bool pb_secret_eq(const struct pb_secret *a, const struct pb_secret *b);
void pb_secret_free(struct pb_secret *s);		/* wipes; NULL is fine */
void pb_wipe(void *ptr, size_t len);			/* not removed by the compiler */

#ifdef __cplusplus
}
#endif
#endif
