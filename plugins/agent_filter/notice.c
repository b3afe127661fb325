/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A script that failed: the log has it each time, its owner gets one message about it, until the owner's scripts are changed. */
#include <postbus/letter.h>
#include "filter.h"

static void write_notice(struct run *r, struct pb_spool *spool, struct pb_str to, const char *fault)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(text);

	pb_buf_addz(&from, "MAILER-DAEMON@");
	pb_buf_addstr(&from, pb_hostname(r->f->host));
	pb_buf_addf(&text, "A filter script could not be run to its end:\n\n    %s\n\nMail is not lost by this: what the script did not decide is kept in the inbox.\n"
		    "You are told once, until your filters are changed.\n", fault);
	const struct pb_letter letter = {
		.from_name = PB_STR("Mail filter"),
		.from = pb_buf_str(&from),
		.to = to,
		.subject = PB_STR("Your mail filter has a fault"),
		.text = pb_buf_str(&text),
		.submitted = "auto-generated",
	};
	pb_letter_write(r->f->host, spool, &letter);
}

/* Who hears of it: the mailbox, or the postmaster of the domain. */
static void reader_of(struct run *r, struct pb_buf *to)
{
	long at = -1;

	if (r->owner.ptr[0] == 'm') {
		pb_buf_addstr(to, r->recipient);
		return;
	}
	for (size_t i = 0; i < r->recipient.len; i++)
		if (r->recipient.ptr[i] == '@')
			at = (long)i;
	if (r->owner.ptr[0] == 'p' && at >= 0) {
		pb_buf_addz(to, "postmaster");
		pb_buf_addstr(to, pb_str_skip(r->recipient, (size_t)at));
	} else {
		pb_buf_addstr(to, pb_config_str(r->f->host, "postmaster"));
		if (!to->len)
			pb_buf_addf(to, "postmaster@%.*s", PB_FMT(pb_hostname(r->f->host)));
	}
}

enum { TOLD_MAX = 60000 };

/* The scripts that their owner was told of, a line each: a script on IMAP events by its name, those that run on what is delivered together. With any change of the
 * owner's scripts the row goes (scripts.c). Another fault in a script is no reason to write for each message. */
static bool was_told(struct pb_str told, struct pb_str script)
{
	struct pb_str line;

	while (pb_str_cut(&told, '\n', &line) && told.ptr)
		if (pb_str_eq(line, script))
			return true;
	return false;
}

/* Whoever writes the name down tells the owner; ret_before is what stood there, to go back to. */
static bool claim(struct run *r, struct pb_str key, struct pb_str script, struct pb_buf *ret_before)
{
	PB_AUTOBUF(after);
	bool there = pb_table_get(r->f->scripts, key, ret_before, NULL) == 0;
	const struct pb_change guard = { there ? PB_EQUAL : PB_ABSENT, key, pb_buf_str(ret_before) };

	if (was_told(pb_buf_str(ret_before), script) || ret_before->len > TOLD_MAX)
		return false;
	pb_buf_addf(&after, "%.*s%.*s\n", PB_FMT(pb_buf_str(ret_before)), PB_FMT(script));
	return pb_table_apply(r->f->scripts, (const struct pb_change[]){ guard, { PB_PUT, key, pb_buf_str(&after) } }, 2, NULL) == 0;
}

static bool send_notice(struct run *r, const char *fault)
{
	struct pb_envelope *env;
	struct pb_spool *spool;
	struct pb_error err = { 0 };
	char id[PB_ID_MAX];
	PB_AUTOBUF(to);
	bool sent;

	reader_of(r, &to);
	spool = pb_spool_begin(r->f->host, 0, &err);
	if (!spool)
		return false;
	write_notice(r, spool, pb_buf_str(&to), fault);
	env = pb_envelope_new();
	pb_envelope_rcpt(env, pb_buf_str(&to))->notify = PB_NOTIFY_NEVER;
	json_object_set_new(env->notes, "filtered", json_true());
	sent = pb_queue_accept(r->f->host, env, spool, id, &err) == 0;
	if (!sent)
		pb_log(r->f->host, PB_WARNING, "filter.notice", "to=%s error=%s", pb_logq(pb_buf_str(&to)), pb_logq(pb_strz(err.text)));
	pb_envelope_free(env);
	return sent;
}

void notice_fault(struct run *r, const char *fault)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(before);

	if (r->trace)
		return;
	pb_log(r->f->host, PB_WARNING, "filter.fault", "id=%s owner=%s fault=%s", pb_logq(r->about->id), pb_logq(r->owner), pb_logq(pb_strz(fault)));
	pb_count(r->f->host, "faults", 1);
	owner_row(&key, r->owner, 'e', PB_NOSTR);
	if (claim(r, pb_buf_str(&key), pb_text_of(r->params, "script"), &before) && !send_notice(r, fault))
		pb_table_apply(r->f->scripts, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_buf_str(&before) }, 1, NULL);
}
