/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Time: the system's, or one that tests turn by hand. Microseconds. */
#ifndef KERNEL_CLOCK_H
#define KERNEL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clock;

struct clock *clock_system(void);
struct clock *clock_manual(int64_t now);
int64_t clock_now(struct clock *c);		/* since 1970, UTC */
int64_t clock_ticks(struct clock *c);		/* monotonic */
void clock_advance(struct clock *c, int64_t by);	/* manual ones: both; listeners are told */
void clock_free(struct clock *c);

#endif
