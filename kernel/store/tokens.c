/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The age of delivery tokens. It is counted in time in which something is delivered: of a pause, however long, an hour counts. So what was appended and not settled
 * when the daemon ended is known when it is delivered again, whenever that is, and a clock that goes wrong makes nothing older. Leaves the tokens to folder_insert.c.
 */
#include "kernel/clock/clock.h"
#include "kernel/store/folder.h"
#include "kernel/store/pack.h"

enum { VERSION = 1, ROW_SIZE = 17 };

#define ENTITY PB_STR("k/tokens")
#define KEY PB_STR("age")

static int write_age(struct mailstore *m, int64_t age, int64_t now, struct pb_error *err)
{
	char value[ROW_SIZE] = { VERSION };
	const struct engine_row row = { KEY, pb_str(value, sizeof value) };
	const struct engine_batch b = { .entity = ENTITY, .expect = ENGINE_ANY, .put = &row, .nput = 1 };

	pack_be64(value + 1, (uint64_t)age);
	pack_be64(value + 9, (uint64_t)now);
	return engine_apply(m->engine, &b, NULL, NULL, err);
}

int tokens_open(struct mailstore *m, struct pb_error *err)
{
	PB_AUTOBUF(value);
	int rc = engine_get(m->engine, ENTITY, KEY, &value, err);

	pthread_mutex_init(&m->tokens.lock, NULL);
	if (rc == PB_ENOTFOUND)
		return 0;
	if (!rc && (value.len != ROW_SIZE || value.ptr[0] != VERSION))
		rc = pb_fail(err, PB_ECORRUPT, "the age of delivery tokens has an unknown form");
	if (!rc) {
		m->tokens.age = m->tokens.kept = (int64_t)unpack_be64(value.ptr + 1);
		m->tokens.now = (int64_t)unpack_be64(value.ptr + 9);
	}
	return rc;
}

void tokens_close(struct mailstore *m)
{
	pthread_mutex_destroy(&m->tokens.lock);
}

/* A bucket is on its way to the disk before the first token in it, which the engine keeps in order; so no start finds tokens
 * of buckets to come. */
int tokens_bucket(struct mailstore *m, uint32_t *ret, struct pb_error *err)
{
	struct token_age *t = &m->tokens;
	int64_t now = clock_now(m->clock), passed, age;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	passed = now - t->now;
	age = !t->age ? now : passed < 0 ? t->age : t->age + (passed < PB_HOUR ? passed : PB_HOUR);
	if (age - t->kept >= PB_HOUR || age / TOKEN_BUCKET != t->kept / TOKEN_BUCKET) {
		rc = write_age(m, age, now, err);
		if (!rc)
			t->kept = age;
	}
	if (!rc) {
		t->age = age;
		t->now = now;
		*ret = (uint32_t)(age / TOKEN_BUCKET);
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}
