/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Time behind one handle, so that tests can turn it. Leaves waiting to the session room. */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <postbus/str.h>
#include "kernel/clock/clock.h"

struct clock {
	bool manual;
	atomic_llong now, ticks;	/* manual ones only */
};

static struct clock system_clock;

struct clock *clock_system(void)
{
	return &system_clock;
}

struct clock *clock_manual(int64_t now)
{
	struct clock *c = pb_alloc(sizeof *c);

	c->manual = true;
	atomic_store(&c->now, now);
	atomic_store(&c->ticks, 1);
	return c;
}

static int64_t read_clock(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_now(struct clock *c)
{
	return c->manual ? atomic_load(&c->now) : read_clock(CLOCK_REALTIME);
}

int64_t clock_ticks(struct clock *c)
{
	return c->manual ? atomic_load(&c->ticks) : read_clock(CLOCK_MONOTONIC);
}

void clock_advance(struct clock *c, int64_t by)
{
	atomic_fetch_add(&c->now, by);
	atomic_fetch_add(&c->ticks, by);
}

void clock_free(struct clock *c)
{
	if (c != &system_clock)
		free(c);
}
