/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: the closed list, and the record that carries one upwards. Leaves logging to whoever decides. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <postbus/error.h>

static const char *const names[] = {
	[0] = "ok",
	[-PB_ENOTFOUND] = "not found",
	[-PB_EEXISTS] = "exists",
	[-PB_EDENIED] = "denied",
	[-PB_EINVALID] = "invalid",
	[-PB_ETOOBIG] = "too big",
	[-PB_EQUOTA] = "over quota",
	[-PB_EFULL] = "disk full",
	[-PB_EBUSY] = "busy",
	[-PB_ECONFLICT] = "conflict",
	[-PB_ETIMEOUT] = "timeout",
	[-PB_ECLOSED] = "closed",
	[-PB_EUNAVAILABLE] = "unavailable",
	[-PB_ECORRUPT] = "corrupt",
	[-PB_EINTERNAL] = "internal error",
};

#define NAMES (int)(sizeof names / sizeof *names)

const char *pb_code_name(int code)
{
	return code <= 0 && code > -NAMES ? names[-code] : names[-PB_EINTERNAL];
}

int pb_code_parse(const char *name)
{
	for (int i = 0; i < NAMES; i++)
		if (!strcmp(names[i], name))
			return -i;
	return PB_EINTERNAL;
}

/* One line: whatever came from outside must not break a log line or a reply. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = ' ';
}

int pb_fail(struct pb_error *err, enum pb_code code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	one_line(err->text);
	return code;
}

int pb_because(struct pb_error *err, const char *fmt, ...)
{
	char text[sizeof err->text];
	size_t len, room;
	va_list ap;
	int n;

	if (!err)
		return PB_EINTERNAL;
	memcpy(text, err->text, sizeof text);
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n + 2 < sizeof err->text) {
		room = sizeof err->text - (size_t)n - 3;
		len = strnlen(text, sizeof text);
		len = len < room ? len : room;
		memcpy(err->text + n, ": ", 2);
		memcpy(err->text + n + 2, text, len);
		err->text[(size_t)n + 2 + len] = '\0';
	}
	one_line(err->text);
	return err->code;
}

static enum pb_code fold_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		return PB_EFULL;
	case ENOENT:
		return PB_ENOTFOUND;
	case EEXIST:
	case EADDRINUSE:
		return PB_EEXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
	case ELOOP:
		return PB_EDENIED;
	case EAGAIN:
	case ETIMEDOUT:
		return PB_ETIMEOUT;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return PB_ECLOSED;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EMFILE:
	case ENFILE:
		return PB_EUNAVAILABLE;
	case EBUSY:
		return PB_EBUSY;
	case EINVAL:
	case ENAMETOOLONG:
		return PB_EINVALID;
	case EFBIG:
		return PB_ETOOBIG;
	default:
		return PB_EINTERNAL;
	}
}

int pb_fail_errno(struct pb_error *err, int errnum, const char *fmt, ...)
{
	char what[160], reason[80];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return pb_fail(err, fold_errno(errnum), "%s: %s", what, strerror_r(errnum, reason, sizeof reason));
}
