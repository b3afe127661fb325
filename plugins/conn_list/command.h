/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of mail that are commands: to the list's request address, and a moderator's decision. Pure. */
#ifndef CONN_LIST_COMMAND_H
#define CONN_LIST_COMMAND_H

#include <postbus/str.h>

enum command_kind {
	COMMAND_NONE,		/* a line that says nothing: blank, or quoted */
	COMMAND_UNKNOWN,
	COMMAND_END,		/* end, stop, and where a signature begins */
	COMMAND_HELP, COMMAND_SUBSCRIBE, COMMAND_UNSUBSCRIBE, COMMAND_CONFIRM, COMMAND_SET, COMMAND_WHO, COMMAND_GET, COMMAND_LISTS
};

enum { COMMAND_WORDS = 8 };

struct command {
	enum command_kind kind;
	struct pb_str line;			/* without blanks around it */
	struct pb_str words[COMMAND_WORDS];	/* behind the command's own */
	size_t n;
	struct pb_str rest;			/* all of them as they stand */
};

void command_parse(struct command *ret, struct pb_str line);
/* The next line of a text without its end; false: there is none. */
bool line_next(struct pb_str *text, struct pb_str *ret);
/* A subject without the "Re:" of answers. */
struct pb_str subject_bare(struct pb_str subject);

enum moderation { MODERATE_NOTHING, MODERATE_APPROVE, MODERATE_REJECT, MODERATE_DISCARD };

/* What a moderator's answer says: the first word of the subject (not of "Re: ..."), or of the first line of the text that is neither blank nor quoted. why: what
 * follows it, with the lines behind it up to a quotation or signature; appended. */
enum moderation moderation_parse(struct pb_str subject, struct pb_str text, struct pb_buf *why);

#endif
