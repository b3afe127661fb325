/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of the administrator: run, watched, ended. The daemon itself may start none, so a small process that was parted from it before it was confined
 * does it, as the daemon's user, for plugins with the right exec.
 *
 * A program gets a clean environment (PATH, HOME, LANG and what is given), no descriptors but the three, a session of its own, and an end: with its time
 * everything that it started is killed, wherever that went; so is what it leaves behind when it ends by itself.
 */
#ifndef POSTBUS_RUN_H
#define POSTBUS_RUN_H

#include <postbus/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PB_RUN_FILE "{file}"		/* an argument that stands for the path of the file with the message */

struct pb_run {
	const char *const *argv;	/* argv[0]: absolute path; NULL ends the list */
	const char *const *env;		/* "NAME=value", beside the clean ones; NULL ends the list; may be NULL itself */
	struct pb_str message;		/* what it reads from standard input, and finds in a file of its own (POSTBUS_FILE); empty: nothing, and no file */
	int64_t timeout;		/* microseconds */
	size_t output_max;		/* bytes that are kept of standard output, and as many of standard error; the rest is read and forgotten */
	uint64_t changed_max;		/* the largest message that it may make of the file; 0: what it made of it is not looked at */
};

/* Start from PB_RAN; pb_ran_free frees what it owns. */
struct pb_ran {
	int code;			/* what it ended with; 128 + n: ended by signal n */
	bool timed_out;			/* it was killed since its time was over */
	struct pb_buf output, errors;
	struct pb_spool *changed;	/* another message that it left in the file; lines end with CRLF. Take it over (set it to NULL), or it is discarded */
};

#define PB_RAN { 0, false, PB_BUF, PB_BUF, NULL }

/* Right: exec. 0: it was started and has ended, however; look at ret. PB_ENOTFOUND, PB_EDENIED, PB_EINVALID: it could not be started. PB_EBUSY: too many
 * run now. PB_ETOOBIG: the file that it left is larger than changed_max. PB_EUNAVAILABLE: programs cannot be run in this process.
 * PB_ECLOSED: the plugin is being stopped, and the program was killed; it is no fault of its own. */
int pb_run(struct pb_host *host, const struct pb_run *run, struct pb_ran *ret, struct pb_error *err);
void pb_ran_free(struct pb_ran *ran);

#ifdef __cplusplus
}
#endif
#endif
