/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of refusals, farewells and troubles, for all protocols of this family. */
#include "mailproto/replies.h"

const char *refusal_reply(enum pb_refusal why)
{
	switch (why) {
	case PB_REFUSE_UNKNOWN:
		return "500 5.5.2 command not recognized";
	case PB_REFUSE_STATE:
		return "503 5.5.1 bad sequence of commands";
	case PB_REFUSE_TLS_NEEDED:
		return "538 5.7.11 encryption required: say STARTTLS first";
	case PB_REFUSE_TLS_ON:
		return "503 5.5.1 TLS is on already";
	case PB_REFUSE_USER_NEEDED:
		return "530 5.7.0 authentication required";
	case PB_REFUSE_NOT_LAST:
		return "503 5.5.0 input behind a command that must be the last of its group";
	case PB_REFUSE_TOO_LONG:
		return "500 5.5.2 line too long";
	case PB_REFUSE_FRAMING:
		return "500 5.5.2 bare CR, bare LF or NUL in a command line";
	}
	return "500 5.5.1 refused";
}

const char *goodbye_reply(enum pb_goodbye why)
{
	switch (why) {
	case PB_BYE_SHUTDOWN:
		return "421 4.3.2 the server is shutting down";
	case PB_BYE_IDLE:
		return "421 4.4.2 idle for too long";
	case PB_BYE_SLOW:
		return "421 4.4.2 too slow";
	case PB_BYE_ERRORS:
		return "421 4.7.0 too many errors";
	case PB_BYE_OVERLOAD:
		return "421 4.3.2 too many connections";
	case PB_BYE_REFUSED:
		return "554 5.7.1 no service for you";
	case PB_BYE_REVOKED:
		return "421 4.7.0 your login does not hold any more";
	}
	return "421 4.3.0";
}

const char *data_reply(int code)
{
	switch (code) {
	case PB_ETOOBIG:
		return "552 5.3.4 message too big";
	case PB_EINVALID:
		return "550 5.6.11 bare CR, bare LF or NUL in the message";
	default:
		return trouble_reply(code);
	}
}

const char *trouble_reply(int code)
{
	return code == PB_EFULL ? "452 4.3.1 no room for the message now, try again later" : "451 4.3.0 local trouble, try again later";
}
