/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: one closed list of meanings and one caller-owned record.
 * Foreign codes (errno, Berkeley DB, GnuTLS, DNS) are folded into it where they arise; no library logs, whoever decides logs, once.
 */
#ifndef POSTBUS_ERROR_H
#define POSTBUS_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define PB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Every fallible function returns 0 or one of these; a "ret_" parameter is untouched unless 0 was returned. */
enum pb_code {
	PB_OK = 0,
	PB_ENOTFOUND = -1,	/* it is not there */
	PB_EEXISTS = -2,	/* it is there already */
	PB_EDENIED = -3,	/* not permitted: rights, roles, credentials */
	PB_EINVALID = -4,	/* malformed or out of range */
	PB_ETOOBIG = -5,	/* over a fixed limit */
	PB_EQUOTA = -6,		/* over an account's limit */
	PB_EFULL = -7,		/* the disk has no room; may work later */
	PB_EBUSY = -8,		/* in use; may work later */
	PB_ECONFLICT = -9,	/* a guard did not hold: somebody else was first */
	PB_ETIMEOUT = -10,	/* a deadline or minimum rate was missed */
	PB_ECLOSED = -11,	/* the other side is gone */
	PB_EUNAVAILABLE = -12,	/* a provider, host or resource cannot be had now */
	PB_ECORRUPT = -13,	/* stored data failed its check */
	PB_EINTERNAL = -14	/* a bug or an impossible answer */
};

/* Owned by the caller, cannot leak. text is one line for people, without the code's name and without a final stop. */
struct pb_error {
	int code;
	char text[240];
};

/* Fill err (may be NULL) and return code, so that "return pb_fail(err, PB_ENOTFOUND, "no mailbox '%s'", name);" is one line. */
int pb_fail(struct pb_error *err, enum pb_code code, const char *fmt, ...) PB_PRINTF(3, 4);

/* Put "<context>: " before the text that is there, on the way up. Returns err->code (PB_EINTERNAL where err is NULL). */
int pb_because(struct pb_error *err, const char *fmt, ...) PB_PRINTF(2, 3);

/* Like pb_fail with errno folded: ENOSPC, EDQUOT -> PB_EFULL; ENOENT -> PB_ENOTFOUND; EACCES, EPERM -> PB_EDENIED; and so on. Appends strerror. */
int pb_fail_errno(struct pb_error *err, int errnum, const char *fmt, ...) PB_PRINTF(3, 4);

/* "not found", "denied", ...: the code's meaning in words; never NULL. */
const char *pb_code_name(int code);

/* The code of a word that pb_code_name gives, or PB_EINTERNAL. */
int pb_code_parse(const char *name);

#ifdef __cplusplus
}
#endif
#endif
