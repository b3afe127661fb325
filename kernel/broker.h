/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that runs programs for a daemon that may not: parted from it before it is confined, with its user's rights and no more. It ends with the daemon.
 * What a plugin asks for is run.c's; this knows programs, descriptors and time.
 */
#ifndef KERNEL_BROKER_H
#define KERNEL_BROKER_H

#include <stdint.h>
#include <postbus/error.h>

struct config;

enum { BROKER_REQUEST_MAX = 128 * 1024, BROKER_WORDS_MAX = 1000, BROKER_OUTPUT_MAX = 1 << 20 };

/* A request: this, then the words, each with its NUL: argv, then the environment. With it come two descriptors: standard input, and the socket for the answer. */
struct broker_request {
	uint32_t argc, envc, output_max;
	int64_t timeout_ms;
};

/* The answer: this, then what it wrote. Where nothing comes the process is gone. */
struct broker_answer {
	int32_t failed;			/* errno of what could not be started, or 0 */
	int32_t code, timed_out;
	uint32_t noutput, nerrors;
};

/* Before there are threads and before anything is confined. *ret_fd: where requests go. */
int broker_start(const struct config *c, int *ret_fd, int *ret_pid, struct pb_error *err);
/* Remove what runs left in the home when a daemon was killed. */
void run_sweep(const char *home);
/* Closes fd, and waits. */
void broker_end(int fd, int pid);

#endif
