/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands in mail. */
#include "command.h"

static const struct {
	const char *name;
	enum command_kind kind;
} commands[] = {
	{ "help", COMMAND_HELP },	      { "info", COMMAND_HELP },		  { "subscribe", COMMAND_SUBSCRIBE }, { "join", COMMAND_SUBSCRIBE },
	{ "unsubscribe", COMMAND_UNSUBSCRIBE }, { "leave", COMMAND_UNSUBSCRIBE }, { "signoff", COMMAND_UNSUBSCRIBE }, { "confirm", COMMAND_CONFIRM },
	{ "set", COMMAND_SET },		      { "who", COMMAND_WHO },		  { "get", COMMAND_GET },	      { "lists", COMMAND_LISTS },
	{ "end", COMMAND_END },		      { "stop", COMMAND_END },		  { "quit", COMMAND_END },	      { "exit", COMMAND_END },
};

bool line_next(struct pb_str *text, struct pb_str *ret)
{
	long end;

	if (!text->len)
		return false;
	end = pb_str_find(*text, '\n', 0);
	*ret = pb_str_head(*text, end < 0 ? text->len : (size_t)end);
	*text = pb_str_skip(*text, end < 0 ? text->len : (size_t)end + 1);
	if (ret->len && ret->ptr[ret->len - 1] == '\r')
		ret->len--;
	return true;
}

struct pb_str subject_bare(struct pb_str subject)
{
	static const char *const marks[] = { "Re:", "AW:", "Antw:", "SV:", "RE[2]:" };

	subject = pb_str_trim(subject);
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		if (!pb_str_istarts(subject, pb_strz(marks[i])))
			continue;
		subject = pb_str_trim(pb_str_skip(subject, strlen(marks[i])));
		i = (size_t)-1;
	}
	return subject;
}

static bool is_quoted(struct pb_str line)
{
	return line.len && (line.ptr[0] == '>' || line.ptr[0] == '|');
}

/* "-- " (RFC 3676 4.3), with the blank or without. */
static bool is_signature(struct pb_str line)
{
	return pb_str_eq(line, PB_STR("--"));
}

void command_parse(struct command *ret, struct pb_str line)
{
	struct pb_str rest = pb_str_trim(line), name, word;

	*ret = (struct command){ .kind = COMMAND_NONE, .line = rest };
	if (!rest.len || is_quoted(rest))
		return;
	if (is_signature(rest)) {
		ret->kind = COMMAND_END;
		return;
	}
	ret->kind = COMMAND_UNKNOWN;
	pb_str_word(&rest, &name);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (pb_str_ieq(name, pb_strz(commands[i].name)))
			ret->kind = commands[i].kind;
	ret->rest = pb_str_trim(rest);
	while (ret->n < COMMAND_WORDS && pb_str_word(&rest, &word))
		ret->words[ret->n++] = word;
}

/* ---- moderators ---- */

static enum moderation decision_of(struct pb_str word)
{
	static const struct {
		const char *word;
		enum moderation is;
	} words[] = {
		{ "approve", MODERATE_APPROVE }, { "approved", MODERATE_APPROVE }, { "accept", MODERATE_APPROVE },   { "accepted", MODERATE_APPROVE },
		{ "reject", MODERATE_REJECT },	 { "rejected", MODERATE_REJECT },  { "discard", MODERATE_DISCARD }, { "discarded", MODERATE_DISCARD },
	};

	while (word.len && strchr(".,:;!", word.ptr[word.len - 1]))
		word.len--;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (pb_str_ieq(word, pb_strz(words[i].word)))
			return words[i].is;
	return MODERATE_NOTHING;
}

/* "On Monday, Bob wrote:" and the like, which stand above what is quoted. */
static bool introduces(struct pb_str line, struct pb_str behind)
{
	struct pb_str next;

	if (!line.len || line.ptr[line.len - 1] != ':')
		return false;
	while (line_next(&behind, &next))
		if (pb_str_trim(next).len)
			return is_quoted(pb_str_trim(next));
	return false;
}

static void add_reason(struct pb_buf *why, struct pb_str first, struct pb_str text)
{
	struct pb_str line;

	pb_buf_addstr(why, pb_str_trim(first));
	while (why->len < 4000 && line_next(&text, &line)) {
		struct pb_str bare = pb_str_trim(line);

		if (is_quoted(bare) || is_signature(bare) || introduces(bare, text))
			break;
		if (why->len)
			pb_buf_addc(why, '\n');
		pb_buf_addstr(why, pb_str_head(bare, 1000));
	}
	while (why->len && strchr(" \t\r\n", why->ptr[why->len - 1]))
		why->ptr[--why->len] = '\0';
}

enum moderation moderation_parse(struct pb_str subject, struct pb_str text, struct pb_buf *why)
{
	struct pb_str rest = pb_str_trim(subject), word, line;
	enum moderation is = MODERATE_NOTHING;

	if (pb_str_word(&rest, &word))
		is = decision_of(word);
	if (is != MODERATE_NOTHING) {
		add_reason(why, rest, text);
		return is;
	}
	while (line_next(&text, &line)) {
		rest = pb_str_trim(line);
		if (!rest.len || is_quoted(rest))
			continue;
		if (is_signature(rest) || !pb_str_word(&rest, &word))
			break;
		is = decision_of(word);
		if (is != MODERATE_NOTHING)
			add_reason(why, rest, text);
		break;
	}
	return is;
}
