/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is said when no command has the word, and how replies are put. Replies of success are the commands' business. */
#include "mailproto/replies.h"
#include "lmtp.h"

int say(struct pb_session *s, const char *line)
{
	pb_putz(s, line);
	SAY(s, "");
	return PB_NEXT;
}

int fault(struct pb_session *s, const char *line)
{
	pb_session_error(s);
	return say(s, line);
}

void log_failure(struct pb_session *s, const struct pb_error *err)
{
	pb_session_log(s, PB_ERROR, "lmtp.trouble", "error=%s", pb_logq(pb_strz(err->text)));
}

int say_failure(struct pb_session *s, const struct pb_error *err)
{
	log_failure(s, err);
	return say(s, trouble_reply(err->code));
}

int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	(void)args;
	switch (why) {
	case PB_REFUSE_UNKNOWN:
		if (pb_str_ieq(verb, PB_STR("EHLO")) || pb_str_ieq(verb, PB_STR("HELO")))
			return say(s, "500 5.5.1 this is LMTP: say LHLO");
		return say(s, refusal_reply(why));
	case PB_REFUSE_STATE:
		if (pb_session_state(s) == CONNECTED)
			return say(s, "503 5.5.1 say LHLO first");
		if (pb_session_state(s) == GREETED && !pb_str_ieq(verb, PB_STR("STARTTLS")))
			return say(s, "503 5.5.1 say MAIL first");
		return say(s, refusal_reply(why));
	case PB_REFUSE_NOT_LAST:
		/* What was sent behind it was meant for another listener: a command, or data that was not asked for. Neither may be run. */
		say(s, refusal_reply(why));
		return PB_CLOSE;
	default:
		return say(s, refusal_reply(why));
	}
}

/* May come before greet: the conversation is not used. */
void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	say(s, goodbye_reply(why));
}
