/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An IMAP session as its client: what the files share that hold it (imap.c), log in (imap_login.c) and read messages (imap_read.c). */
#ifndef CONN_POPRETR_IMAP_H
#define CONN_POPRETR_IMAP_H

#include "remote.h"

enum { IMAP_AHEAD = 32, IMAP_NOISE_MAX = 200000 /* answers that nobody asked for */ };

struct imap {
	struct remote r;
	struct pb_buf folder;		/* quoted, as it goes into SELECT */
	struct pb_buf capabilities;	/* " IMAP4rev1 IDLE " */
	uint32_t *uids;			/* by number - 1 */
	size_t n, room;
	uint32_t validity;
	unsigned asked, answered;	/* tags of fetches */
	unsigned tag;			/* of all other commands */
	uint32_t open[IMAP_AHEAD];		/* UIDs asked for */
	struct {			/* an answer whose literal is still to be read */
		uint32_t uid;
		uint64_t size;
		bool there;
	} next;
};

static inline struct imap *imap_of(struct remote *r)
{
	return (struct imap *)r;
}

/* Looks at an untagged answer, without its "* ". */
typedef int imap_visit(struct imap *m, void *arg, struct pb_str line, struct pb_error *err);

/* ---- imap.c ---- */

/* What stands in literals of answers that nobody asked for. */
int imap_skip_literals(struct imap *m, struct pb_str line, struct pb_error *err);
/* Fails in the server's words. */
int imap_refusal(struct imap *m, struct pb_str text, enum pb_code refused, struct pb_error *err);
const char *imap_next_tag(struct imap *m, char *tag);	/* 16 bytes */
/* The end of the command with this tag; untagged answers are visited before. */
int imap_finish(struct imap *m, const char *tag, enum pb_code refused, imap_visit *visit, void *arg, struct pb_error *err);
int imap_command(struct imap *m, const char *line, enum pb_code refused, imap_visit *visit, void *arg, struct pb_error *err);
bool imap_can(const struct imap *m, const char *what);

/* ---- imap_login.c: greeting, TLS, login ---- */

int imap_open(struct remote *r, const struct login *l, struct pb_error *err);

/* ---- imap_read.c: messages, asked for ahead ---- */

void imap_ask_body(struct remote *r, const struct listing *l, const struct listed *one);
void imap_ask_head(struct remote *r, const struct listing *l, const struct listed *one);
int imap_body(struct remote *r, struct sink *sink, struct pb_error *err);

#endif
