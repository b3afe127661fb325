/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Replies of another server (RFC 5321 4.2, RFC 2034): collected line by line, capped, and told on in the server's own words. Pure. */
#ifndef CONN_SMTP_ANSWER_H
#define CONN_SMTP_ANSWER_H

#include <postbus/str.h>

#define ANSWER_TEXT_MAX 900	/* of all lines together; the rest is read and forgotten */
#define ANSWER_LINES_MAX 500
#define ANSWER_LINE_MAX 4096

/* Start from { 0 }. */
struct answer {
	int code;			/* 200..599; 0 before the first line */
	unsigned lines;
	size_t len;
	char text[ANSWER_TEXT_MAX + 1];	/* lines joined by blanks; printable; the status codes of later lines left out */
};

/* Take one line. 1: more lines follow; 0: that was the last one; PB_EINVALID: it is no reply line, or the codes differ; PB_ETOOBIG: too many lines. */
int answer_take(struct answer *a, struct pb_str line);
/* Behind the code of a line: "SIZE 1000" of "250-SIZE 1000". */
struct pb_str answer_line_text(struct pb_str line);
/* "550 5.1.1 no such user": a status is put in where the server gave none. code: 0, or the one to write instead (then the server's own code goes into the text). */
void answer_words(const struct answer *a, int code, char *out, size_t size);

#endif
