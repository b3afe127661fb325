/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Slots: the one place where it is decided who owns a session. The rules stand in internal.h. */
#include <stdlib.h>
#include "kernel/session/internal.h"

void slots_open(struct slots *sl)
{
	memset(sl, 0, sizeof *sl);
	pthread_mutex_init(&sl->lock, NULL);
}

void slots_close(struct slots *sl)
{
	for (unsigned i = 0; i < SLOT_CHUNKS; i++)
		free(atomic_load(&sl->chunks[i]));
	free(sl->free);
	pthread_mutex_destroy(&sl->lock);
}

static struct slot *slot_at(struct slots *sl, uint64_t key)
{
	uint32_t i = (uint32_t)key & ((1u << SLOT_INDEX_BITS) - 1);

	return &atomic_load_explicit(&sl->chunks[i / SLOT_CHUNK], memory_order_acquire)[i % SLOT_CHUNK];
}

/* The key carries so many bits of the generation as fit; the word has them at the top. */
static uint64_t generation(uint64_t key)
{
	return key >> SLOT_INDEX_BITS & 0xffffffff;
}

uint64_t slot_take(struct slots *sl, struct pb_session *s)
{
	struct slot *slot;
	uint64_t gen;
	uint32_t i;

	pthread_mutex_lock(&sl->lock);
	if (sl->nfree) {
		i = sl->free[--sl->nfree];
	} else if (sl->made < SLOT_CHUNK * SLOT_CHUNKS) {
		i = sl->made++;
		if (i % SLOT_CHUNK == 0)
			atomic_store_explicit(&sl->chunks[i / SLOT_CHUNK], pb_alloc(SLOT_CHUNK * sizeof(struct slot)), memory_order_release);
	} else {
		pthread_mutex_unlock(&sl->lock);
		return 0;
	}
	pthread_mutex_unlock(&sl->lock);
	slot = slot_at(sl, i);
	gen = ((atomic_load(&slot->word) >> 32) + 1) & 0xffffffff;
	slot->session = s;
	atomic_store(&slot->word, gen << 32 | SLOT_LIVE);
	return (uint64_t)KEY_SESSION << KEY_KIND_SHIFT | gen << SLOT_INDEX_BITS | i;
}

void slot_give(struct slots *sl, uint64_t key)
{
	struct slot *slot;

	if (!key)
		return;
	slot = slot_at(sl, key);
	atomic_store(&slot->word, generation(key) << 32);
	pthread_mutex_lock(&sl->lock);
	if (sl->nfree == sl->free_cap) {
		sl->free_cap = sl->free_cap ? sl->free_cap * 2 : 256;
		sl->free = pb_realloc(sl->free, sl->free_cap * sizeof *sl->free);
	}
	sl->free[sl->nfree++] = (uint32_t)key & ((1u << SLOT_INDEX_BITS) - 1);
	pthread_mutex_unlock(&sl->lock);
}

struct pb_session *slot_signal(struct slots *sl, uint64_t key, uint32_t got)
{
	struct slot *slot = slot_at(sl, key);
	uint64_t word = atomic_load(&slot->word), next;
	bool claim;

	do {
		if (word >> 32 != generation(key) || !(word & SLOT_LIVE))
			return NULL;
		claim = (word & SLOT_PARKED) && (got != GOT_NOTICE || (word & WANT_NOTICE));
		next = word | got;
		if (claim)
			next &= ~(uint64_t)(SLOT_PARKED | WANT_NOTICE);
		else if (next == word)
			return NULL;
	} while (!atomic_compare_exchange_weak(&slot->word, &word, next));
	return claim ? slot->session : NULL;
}

uint32_t slot_got(struct slots *sl, uint64_t key)
{
	struct slot *slot = key ? slot_at(sl, key) : NULL;

	if (!slot || !(atomic_load_explicit(&slot->word, memory_order_relaxed) & GOT_ANY))
		return 0;
	return (uint32_t)atomic_fetch_and(&slot->word, ~(uint64_t)GOT_ANY) & GOT_ANY;
}

bool slot_park(struct slots *sl, uint64_t key, bool want_notice)
{
	struct slot *slot = slot_at(sl, key);
	uint64_t word = atomic_load(&slot->word), next;

	do {
		/* a notice that nobody waits for stays where it is */
		if (word & (want_notice ? GOT_ANY : GOT_ANY & ~GOT_NOTICE))
			return false;
		next = word | SLOT_PARKED | (want_notice ? WANT_NOTICE : 0);
	} while (!atomic_compare_exchange_weak(&slot->word, &word, next));
	return true;
}

bool slot_is_parked(struct slots *sl, uint64_t key)
{
	return atomic_load(&slot_at(sl, key)->word) & SLOT_PARKED;
}
