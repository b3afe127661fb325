/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The arguments of EHLO, MAIL and RCPT (RFC 5321, 1870, 6152, 6531, 3461, 4954), and of BDAT (RFC 3030). Pure: text in, values or a reply out. */
#ifndef MAILPROTO_PARAMS_H
#define MAILPROTO_PARAMS_H

#include <postbus/address.h>
#include <postbus/str.h>

#define HELO_MAX 255
#define ENVID_MAX 100
#define ORCPT_MAX 500

struct mail_args {
	struct pb_path path;
	uint64_t size;			/* 0: not said */
	bool eightbit, smtputf8, ret_headers;
	struct pb_buf envid;		/* decoded */
	char reply[320];
};

struct rcpt_args {
	struct pb_path path;
	unsigned notify;		/* PB_NOTIFY_ bits */
	struct pb_buf orcpt;		/* "type;address", decoded */
	char reply[320];
};

/* NULL when all is well; else the reply line, valid as long as *ret. Views point into args. Free in both cases. */
const char *mail_args_parse(struct pb_str args, struct mail_args *ret);
void mail_args_free(struct mail_args *a);
/* smtputf8: the transaction's MAIL asked for it. */
const char *rcpt_args_parse(struct pb_str args, bool smtputf8, struct rcpt_args *ret);
void rcpt_args_free(struct rcpt_args *a);
/* May a client call itself so in EHLO, HELO or LHLO? */
bool helo_is_name(struct pb_str name);
/* "1234", "1234 LAST". */
bool bdat_args_parse(struct pb_str args, uint64_t *ret_size, bool *ret_last);

#endif
