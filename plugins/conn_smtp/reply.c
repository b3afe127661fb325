/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is said when no command has the word: refusals, farewells, counted mistakes, our own troubles. Replies of success are the commands' business. */
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
	if (err->code == PB_EFULL) {
		pb_session_log(s, PB_ERROR, "smtp.full", "error=%s", pb_logq(pb_strz(err->text)));
		SAY(s, "452 4.3.1 no room for the message now, try again later");
	} else {
		pb_session_log(s, PB_ERROR, "smtp.trouble", "error=%s", pb_logq(pb_strz(err->text)));
		SAY(s, "451 4.3.0 local trouble, try again later");
	}
	return PB_NEXT;
}

int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	(void)args;
	switch (why) {
	case PB_REFUSE_UNKNOWN:
		return fault(s, "500 5.5.2 command not recognized");
	case PB_REFUSE_STATE:
		if (pb_session_state(s) == CONNECTED)
			return fault(s, "503 5.5.1 say EHLO or HELO first");
		if (pb_str_ieq(verb, PB_STR("RCPT")) || pb_str_ieq(verb, PB_STR("DATA")))
			return fault(s, pb_session_state(s) == CHUNKS ? "503 5.5.1 BDAT has begun" : "503 5.5.1 say MAIL first");
		return fault(s, "503 5.5.1 bad sequence of commands");
	case PB_REFUSE_TLS_NEEDED:
		return fault(s, "538 5.7.11 encryption required: say STARTTLS first");
	case PB_REFUSE_TLS_ON:
		return fault(s, "503 5.5.1 TLS is on already");
	case PB_REFUSE_USER_NEEDED:
		return fault(s, "530 5.7.0 authentication required");
	case PB_REFUSE_NOT_LAST:
		/* What was sent behind it was meant for another listener: a command, or data that was not asked for. Neither may be run. */
		fault(s, "503 5.5.0 input behind a command that must be the last of its group");
		return PB_CLOSE;
	case PB_REFUSE_TOO_LONG:
		return fault(s, "500 5.5.2 line too long");
	case PB_REFUSE_FRAMING:
		return fault(s, "500 5.5.2 bare CR, bare LF or NUL in a command line");
	}
	return fault(s, "500 5.5.1 refused");
}

/* May come before greet: the conversation is not used. */
void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	const char *words = "421 4.3.0";

	switch (why) {
	case PB_BYE_SHUTDOWN:
		words = "421 4.3.2 the server is shutting down";
		break;
	case PB_BYE_IDLE:
		words = "421 4.4.2 idle for too long";
		break;
	case PB_BYE_SLOW:
		words = "421 4.4.2 too slow";
		break;
	case PB_BYE_ERRORS:
		words = "421 4.7.0 too many errors";
		break;
	case PB_BYE_OVERLOAD:
		words = "421 4.3.2 too many connections";
		break;
	case PB_BYE_REFUSED:
		words = "554 5.7.1 no service for you";
		break;
	case PB_BYE_REVOKED:
		words = "421 4.7.0 your login does not hold any more";
		break;
	}
	say(s, words);
}
