/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The other side of a turned connection (RFC 2645): it sends, and we take what is for the account's domains. A small SMTP server with one client, whose every
 * recipient is checked here; 250 behind the data is said once the message is on the disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include "etrn.h"
#include "mailproto/header.h"
#include "mailproto/params.h"
#include "mailproto/received.h"
#include <postbus/date.h>

enum { RECIPIENTS_MAX = 1000, ERRORS_MAX = 20, HOPS_MAX = 100 };

struct turned {
	struct run *run;
	struct channel *c;
	struct pb_envelope *env;
	char helo[HELO_MAX + 1];
	bool esmtp, has_sender, done;
	unsigned errors;
};

static void say(struct turned *t, const char *line)
{
	channel_put(t->c, pb_strz(line));
	channel_put(t->c, PB_STR("\r\n"));
	t->errors += line[0] == '5';
}

static void reset(struct turned *t)
{
	pb_envelope_reset(t->env);
	t->has_sender = false;
}

/* ---- commands ---- */

static int cmd_ehlo(struct turned *t, struct pb_str args, struct pb_error *err)
{
	(void)err;
	args = pb_str_trim(args);
	if (!helo_is_name(args)) {
		say(t, "501 5.5.4 syntax: EHLO host");
		return 0;
	}
	snprintf(t->helo, sizeof t->helo, "%.*s", PB_FMT(pb_str_head(args, HELO_MAX)));
	t->esmtp = true;
	reset(t);
	channel_putf(t->c, "250-%.*s\r\n250-PIPELINING\r\n250-SIZE %lld\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n", PB_FMT(pb_hostname(t->run->r->host)),
		     (long long)pb_config_int(t->run->r->host, "size_max"));
	return 0;
}

static int cmd_helo(struct turned *t, struct pb_str args, struct pb_error *err)
{
	(void)err;
	snprintf(t->helo, sizeof t->helo, "%.*s", PB_FMT(pb_str_head(pb_str_trim(args), HELO_MAX)));
	t->esmtp = false;
	reset(t);
	channel_putf(t->c, "250 %.*s\r\n", PB_FMT(pb_hostname(t->run->r->host)));
	return 0;
}

static int cmd_mail(struct turned *t, struct pb_str args, struct pb_error *err)
{
	struct mail_args a;
	const char *wrong;

	(void)err;
	if (t->has_sender) {
		say(t, "503 5.5.1 a transaction is open");
		return 0;
	}
	wrong = mail_args_parse(args, &a);
	if (!wrong) {
		pb_envelope_sender(t->env, a.path.address);
		t->env->eightbit = a.eightbit;
		t->env->smtputf8 = a.smtputf8;
		t->has_sender = true;
	}
	say(t, wrong ? wrong : "250 2.1.0 ok");
	mail_args_free(&a);
	return 0;
}

static bool is_of_account(const json_t *row, struct pb_str domain)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(row, "domains"), i, one)
		if (pb_domain_eq(pb_str(json_string_value(one), json_string_length(one)), domain))
			return true;
	return false;
}

/* Only what was asked for, and only what is there: what is refused stays with the server that has it. */
static const char *judge(struct turned *t, const struct pb_path *path)
{
	json_t *params, *found = NULL;
	struct pb_error why = { 0 };
	bool local;
	int rc;

	if (!is_of_account(t->run->row, path->domain))
		return "550 5.7.1 this domain was not asked for";
	params = json_pack("{s:s%}", "address", path->address.ptr, path->address.len);
	rc = params ? pb_call(t->run->r->host, "directory.resolve", params, &found, &why) : PB_EINVALID;
	json_decref(params);
	local = is_set(found, "local");
	json_decref(found);
	if (rc == PB_ENOTFOUND || rc == PB_EINVALID)
		return "550 5.1.1 no such address here";
	if (rc == PB_EDENIED)
		return "550 5.2.1 the mailbox is disabled";
	if (rc)
		return "451 4.3.0 the directory cannot be asked now";
	return local ? NULL : "550 5.7.1 not a domain of ours";
}

static int cmd_rcpt(struct turned *t, struct pb_str args, struct pb_error *err)
{
	struct rcpt_args a;
	const char *wrong;

	(void)err;
	if (!t->has_sender || t->env->nrcpts >= RECIPIENTS_MAX) {
		say(t, t->has_sender ? "452 4.5.3 too many recipients" : "503 5.5.1 say MAIL first");
		return 0;
	}
	wrong = rcpt_args_parse(args, t->env->smtputf8, &a);
	if (!wrong)
		wrong = judge(t, &a.path);
	if (!wrong)
		pb_envelope_rcpt(t->env, a.path.address)->notify = a.notify;
	say(t, wrong ? wrong : "250 2.1.5 ok");
	rcpt_args_free(&a);
	return 0;
}

static void add(void *arg, const char *ptr, size_t len)
{
	pb_spool_write(arg, ptr, len);
}

static void write_received(struct turned *t, struct pb_spool *spool)
{
	struct pb_host *host = t->run->r->host;
	int64_t now = pb_now(host);
	PB_AUTOBUF(field);
	struct received line = {
		.helo = pb_strz(t->helo), .client = pb_strz(t->run->address), .hostname = pb_hostname(host), .id = pb_strz(pb_spool_id(spool)),
		.tls = pb_link_tls_info(t->run->link), .recipient = t->env->nrcpts == 1 ? t->env->rcpts[0]->address : PB_NOSTR, .esmtp = t->esmtp,
		.utf8 = t->env->smtputf8, .now = now, .zone = pb_zone_local(now),
	};

	received_build(&field, &line);
	pb_spool_write(spool, field.ptr, field.len);
}

/* Takes the spool over. */
static void accept_it(struct turned *t, struct pb_spool *spool, uint64_t size)
{
	struct pb_error why = { 0 };
	struct pb_str bytes;
	struct header header;
	char id[PB_ID_MAX];

	if (pb_spool_view(spool, &bytes, &why)) {
		pb_spool_discard(spool);
		say(t, "452 4.3.1 no room now");
		return;
	}
	header_scan(bytes, 1 << 20, &header);
	if (header.received > HOPS_MAX) {
		pb_spool_discard(spool);
		say(t, "554 5.4.6 the message goes in a circle");
		return;
	}
	if (pb_queue_accept(t->run->r->host, t->env, spool, id, &why)) {
		say(t, "451 4.3.0 the message cannot be taken now");
		return;
	}
	t->run->messages++;
	t->run->bytes += size;
	pb_count(t->run->r->host, "messages_retrieved", 1);
	pb_count(t->run->r->host, "bytes_retrieved", (int64_t)size);
	channel_putf(t->c, "250 2.0.0 queued as %s\r\n", id);
}

static int cmd_data(struct turned *t, struct pb_str args, struct pb_error *err)
{
	struct sink sink = { add, NULL, 0, (uint64_t)pb_config_int(t->run->r->host, "size_max") };
	struct pb_spool *spool;
	int rc;

	(void)args;
	if (!t->env->nrcpts) {
		say(t, "503 5.5.1 no valid recipients");
		return 0;
	}
	spool = pb_spool_begin(t->run->r->host, 0, err);
	if (!spool)
		return err->code;
	sink.arg = spool;
	t->env->client = pb_envelope_copy(t->env, pb_strz(t->run->address));
	t->env->helo = pb_envelope_copy(t->env, pb_strz(t->helo));
	write_received(t, spool);
	say(t, "354 end data with <CR><LF>.<CR><LF>");
	t->c->bare = false;
	rc = channel_dot(t->c, &sink, err);
	if (rc) {
		pb_spool_discard(spool);
		return rc;
	}
	if (sink.max && sink.size > sink.max) {
		pb_spool_discard(spool);
		say(t, "552 5.3.4 message too big");
	} else {
		accept_it(t, spool, sink.size);
	}
	reset(t);
	return 0;
}

static int cmd_rset(struct turned *t, struct pb_str args, struct pb_error *err)
{
	(void)args;
	(void)err;
	reset(t);
	say(t, "250 2.0.0 ok");
	return 0;
}

static int cmd_noop(struct turned *t, struct pb_str args, struct pb_error *err)
{
	(void)args;
	(void)err;
	say(t, "250 2.0.0 ok");
	return 0;
}

static int cmd_quit(struct turned *t, struct pb_str args, struct pb_error *err)
{
	(void)args;
	say(t, "221 2.0.0 bye");
	t->done = true;
	return pb_link_flush(t->run->link, err);
}

static const struct {
	const char *name;
	int (*run)(struct turned *t, struct pb_str args, struct pb_error *err);
} commands[] = {
	{ "EHLO", cmd_ehlo }, { "HELO", cmd_helo }, { "MAIL", cmd_mail }, { "RCPT", cmd_rcpt }, { "DATA", cmd_data }, { "RSET", cmd_rset }, { "NOOP", cmd_noop }, { "QUIT", cmd_quit },
};

static int one(struct turned *t, struct pb_error *err)
{
	struct pb_str line, name;
	PB_AUTOBUF(copy);
	int rc = channel_line(t->c, &line, err);

	if (rc)
		return rc;
	pb_buf_addstr(&copy, line);
	line = pb_buf_str(&copy);
	if (pb_str_word(&line, &name))
		for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
			if (pb_str_ieq(name, pb_strz(commands[i].name)))
				return commands[i].run(t, pb_str_trim(line), err);
	say(t, "500 5.5.1 no such command");
	return 0;
}

int atrn_serve(struct run *run, struct pb_error *err)
{
	struct turned t = { .run = run, .c = &run->channel, .env = pb_envelope_new() };
	int rc = 0;

	channel_putf(t.c, "220 %.*s ESMTP Postbus\r\n", PB_FMT(pb_hostname(run->r->host)));
	while (!rc && !t.done && t.errors < ERRORS_MAX && !run->r->draining)
		rc = one(&t, err);
	if (!rc && !t.done)
		rc = pb_fail(err, PB_EINVALID, "the connection was given up: %u commands were wrong", t.errors);
	pb_envelope_free(t.env);
	return rc;
}
