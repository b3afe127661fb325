/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is said when no command has the word: refusals, farewells, counted mistakes, our own troubles. Replies of success are the commands' business. */
#include "mailproto/replies.h"
#include "smtp.h"

int say(struct pb_session *s, const char *line)
{
	pb_putz(s, line);
	SAY(s, "");
	return PB_NEXT;
}

int fault(struct pb_session *s, const char *line)
{
	struct conversation *c = pb_session_data(s);

	if (!pb_session_error_over(s, c->set->errors_max + 1))
		return say(s, line);
	pb_session_log(s, PB_INFO, "smtp.errors", "last=%s", pb_logq(pb_strz(line)));
	SAY(s, "421 4.7.0 too many errors, closing");
	return PB_CLOSE;
}

/* Nothing internal reaches the wire: the log has the text. */
int say_failure(struct pb_session *s, const struct pb_error *err)
{
	pb_session_log(s, PB_ERROR, err->code == PB_EFULL ? "smtp.full" : "smtp.trouble", "error=%s", pb_logq(pb_strz(err->text)));
	return say(s, trouble_reply(err->code));
}

int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	(void)args;
	switch (why) {
	case PB_REFUSE_STATE:
		if (pb_session_state(s) == CONNECTED)
			return fault(s, "503 5.5.1 say EHLO or HELO first");
		if (pb_str_ieq(verb, PB_STR("RCPT")) || pb_str_ieq(verb, PB_STR("DATA")))
			return fault(s, pb_session_state(s) == CHUNKS ? "503 5.5.1 BDAT has begun" : "503 5.5.1 say MAIL first");
		return fault(s, refusal_reply(why));
	case PB_REFUSE_NOT_LAST:
		/* What was sent behind it was meant for another listener: a command, or data that was not asked for. Neither may be run. */
		fault(s, refusal_reply(why));
		return PB_CLOSE;
	default:
		return fault(s, refusal_reply(why));
	}
}

/* May come before greet: the conversation is not used. */
void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	say(s, goodbye_reply(why));
}
