/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this service share: the plugin's own state, a session's, and the functions each file gives to the others. */
#ifndef SVC_LMTP_LMTP_H
#define SVC_LMTP_LMTP_H

#include <postbus/address.h>
#include <postbus/bus.h>
#include <postbus/mailbox.h>
#include <postbus/queue.h>
#include <postbus/session.h>
#include "mailproto/network.h"
#include "mailproto/params.h"

enum { CONNECTED = 1, GREETED = 2, MAIL = 4, ANY = CONNECTED | GREETED | MAIL };

struct lmtp {
	struct pb_host *host;
	struct networks clients;
};

/* One RCPT that was answered 250: it gets one reply behind the data, also where it names an address that another one named (RFC 2033 4.2). */
struct target {
	size_t rcpt;			/* which recipient of the envelope */
	size_t first;			/* the first target that names this recipient: mostly this one itself */
	struct pb_str mailbox;		/* whose quota counts; empty: none does. Lives as long as the envelope */
	uint64_t messages_max, bytes_max;	/* 0: no limit */
	bool full;			/* found so behind the data */
};

struct conversation {
	struct pb_envelope *env;
	struct target *targets;
	size_t ntargets;
	uint64_t announced;		/* SIZE of MAIL */
	char helo[HELO_MAX + 1];
};

/* reply.c */
#define SAY(s, text) pb_put((s), text "\r\n", sizeof(text "\r\n") - 1)
int say(struct pb_session *s, const char *line);			/* a whole line without its end; gives PB_NEXT */
int fault(struct pb_session *s, const char *line);			/* the same for the client's mistakes, which are counted */
int say_failure(struct pb_session *s, const struct pb_error *err);	/* our own troubles */
void log_failure(struct pb_session *s, const struct pb_error *err);
int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args);
void goodbye(struct pb_session *s, enum pb_goodbye why);

/* quota.c */
/* Which limits hold for mail to this mailbox: fills target; none where all of it is redirected. */
void quota_read(struct pb_session *s, struct pb_str mailbox, struct target *target);
/* Is it known that size more octets do not fit? What is not known is left to the delivery. */
bool quota_is_full(struct pb_session *s, const struct target *target, uint64_t size);

/* cmd_greet.c */
struct pb_str client_address(struct pb_session *s);		/* empty: it came over a Unix socket */

/* the commands */
int greet(struct pb_session *s);
void secured(struct pb_session *s);
void closed(struct pb_session *s);
void transaction_reset(struct pb_session *s);
int cmd_lhlo(struct pb_session *s, struct pb_str args);
int cmd_starttls(struct pb_session *s, struct pb_str args);
int cmd_noop(struct pb_session *s, struct pb_str args);
int cmd_rset(struct pb_session *s, struct pb_str args);
int cmd_quit(struct pb_session *s, struct pb_str args);
int cmd_vrfy(struct pb_session *s, struct pb_str args);
int cmd_mail(struct pb_session *s, struct pb_str args);
int cmd_rcpt(struct pb_session *s, struct pb_str args);
int cmd_data(struct pb_session *s, struct pb_str args);

#endif
