/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mail store's test fixture; see mailfix.h. */
#include "kernel/store/tests/mailfix.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "kernel/log/log.h"
#include "kernel/store/spool.h"

const char *mail_engine = "memory";

struct pb_spool {
	struct pb_handle handle;
	char *text;
};

/* Weak, so that the kernel's own take their place where something else pulls them in. */
__attribute__((weak)) int host_may(struct pb_host *host, enum right right, struct pb_error *err)
{
	return host->rights & right ? 0 : pb_fail(err, PB_EDENIED, "no right %d", (int)right);
}

__attribute__((weak)) int spool_seal(struct pb_spool *spool, struct engine *engine, struct body_id *ret, struct pb_error *err)
{
	struct pb_str text = pb_strz(spool->text), facts = PB_STR("facts");
	int rc = engine_body_write(engine, &text, 1, facts, ret, err);

	free(spool->text);
	free(spool);
	return rc;
}

static void spool_discard(struct pb_spool *spool)
{
	free(spool->text);
	free(spool);
}

static const struct pb_host_ops ops = { .spool_discard = spool_discard, .table_scan = host_table_scan, .table_apply = host_table_apply };

static void open_all(struct mail *m)
{
	struct engine_options o = { .dir = m->dir };
	struct pb_error err;

	if (!m->engine && strcmp(mail_engine, "bdb") == 0) {
		if (!m->dir[0]) {
			snprintf(m->dir, sizeof m->dir, "/tmp/mailfix.XXXXXX");
			assert_non_null(mkdtemp(m->dir));
		}
		assert_int_equal(engine_bdb_open(&o, &m->engine, &err), 0);
	} else if (!m->engine) {
		assert_int_equal(engine_memory_open(&o, &m->engine, &err), 0);
	}
	m->kernel.engine = m->engine;
	assert_int_equal(mailstore_open(m->engine, m->kernel.clock, m->kernel.log, 0, &m->kernel.mailstore, &err), 0);
}

static void open_handles(struct mail *m)
{
	struct pb_error err;

	assert_int_equal(host_mailbox_open(&m->host, PB_STR("anna"), &m->mb, &err), 0);
	assert_int_equal(host_folder_open(m->mb, PB_STR("INBOX"), &m->inbox, &err), 0);
}

struct mail *mail_new_on(struct engine *engine)
{
	struct mail *m = pb_alloc(sizeof *m);
	struct pb_error err;

	m->engine = engine;
	m->kernel.clock = clock_manual(1700000000 * PB_SECOND);
	m->kernel.log = log_new(-1, PB_ERROR, false);
	m->host = (struct pb_host){ .handle = { &ops }, .kernel = &m->kernel, .name = "test", .rights = 63 };
	open_all(m);
	assert_int_equal(host_mailbox_create(&m->host, PB_STR("anna"), &err), 0);
	open_handles(m);
	return m;
}

struct mail *mail_new(void)
{
	return mail_new_on(NULL);
}

static void close_handles(struct mail *m)
{
	host_folder_close(m->inbox);
	host_mailbox_close(m->mb);
	mailstore_close(m->kernel.mailstore);
}

void mail_close(struct mail *m)
{
	char command[128];

	close_handles(m);
	engine_close(m->engine);
	clock_free(m->kernel.clock);
	log_free(m->kernel.log);
	if (m->dir[0]) {
		snprintf(command, sizeof command, "rm -rf %s", m->dir);
		assert_int_equal(system(command), 0);
	}
	free(m);
}

void mail_reopen(struct mail *m)
{
	close_handles(m);
	if (m->dir[0]) {
		engine_close(m->engine);
		m->engine = NULL;
	}
	open_all(m);
	open_handles(m);
}

static void tell(void *arg, const char *finding)
{
	(void)arg;
	print_error("finding: %s\n", finding);
}

void mail_verify(struct mail *m)
{
	struct pb_error err = { 0 };
	uint64_t findings = 1;

	assert_int_equal(mailstore_verify(m->kernel.mailstore, tell, NULL, &findings, &err), 0);
	assert_int_equal(findings, 0);
}

/* ---- messages ---- */

struct pb_spool *mail_spool(struct mail *m, const char *text)
{
	struct pb_spool *s = pb_alloc(sizeof *s);

	(void)m;
	s->handle.ops = &ops;
	s->text = pb_str_dup(pb_strz(text));
	return s;
}

struct pb_body *mail_body(struct mail *m, const char *text)
{
	struct pb_str part = pb_strz(text);
	struct pb_body *body;
	struct pb_error err;
	struct body_id id;

	assert_int_equal(engine_body_write(m->engine, &part, 1, PB_STR("facts"), &id, &err), 0);
	body = body_new(&ops, m->engine, &id, PB_NOSTR, &err);
	assert_non_null(body);
	return body;
}

uint32_t mail_append(struct mail *m, struct pb_folder *f, const char *text, uint64_t flags)
{
	struct pb_append how = { .flags = flags };
	struct pb_error err = { 0 };
	uint32_t uid = 0;

	if (host_folder_append(f, mail_spool(m, text), &how, &uid, NULL, &err))
		fail_msg("append: %s", err.text);
	return uid;
}

uint32_t mail_deliver(struct mail *m, struct pb_folder *f, struct pb_body *body, const char *token)
{
	struct pb_append how = { .token = pb_strz(token) };
	struct pb_error err = { 0 };
	uint32_t uid = 0;

	(void)m;
	if (host_folder_deliver(f, body, PB_STR("Return-Path: <a@example.org>\r\n"), &how, &uid, &err))
		fail_msg("deliver: %s", err.text);
	return uid;
}

struct pb_folder *mail_folder(struct mail *m, const char *name)
{
	struct pb_folder *f = NULL;
	struct pb_error err = { 0 };

	if (host_folder_open(m->mb, pb_strz(name), &f, &err))
		fail_msg("open %s: %s", name, err.text);
	return f;
}

struct pb_view *mail_view(struct pb_folder *f)
{
	struct pb_view *v = NULL;
	struct pb_error err = { 0 };

	if (host_folder_view(f, &v, &err))
		fail_msg("view: %s", err.text);
	return v;
}

const char *mail_uids(struct pb_folder *f)
{
	static __thread char text[4096];
	struct pb_view *v = mail_view(f);
	size_t n = 0;

	text[0] = '\0';
	for (uint32_t i = 1; i <= host_view_count(v) && n < sizeof text - 16; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%u", n ? " " : "", host_view_row(v, i)->uid);
	host_view_release(v);
	return text;
}

static bool add_name(void *arg, const struct pb_folder_info *info)
{
	struct pb_buf *b = arg;

	pb_buf_addf(b, "%s%.*s", b->len ? " " : "", PB_FMT(info->name));
	if (info->attributes & PB_FOLDER_NOSELECT)
		pb_buf_addz(b, "!");
	if (info->attributes & PB_FOLDER_CHILDREN)
		pb_buf_addz(b, "+");
	if (info->attributes & PB_FOLDER_SUBSCRIBED)
		pb_buf_addz(b, "*");
	if (info->attributes & PB_FOLDER_NONEXISTENT)
		pb_buf_addz(b, "?");
	return true;
}

const char *mail_tree(struct pb_mailbox *mb)
{
	static char text[4096];
	PB_AUTOBUF(b);
	struct pb_error err;

	assert_int_equal(host_folder_list(mb, add_name, &b, &err), 0);
	snprintf(text, sizeof text, "%s", pb_buf_z(&b));
	return text;
}

void mail_bodies(struct mail *m, uint64_t want)
{
	struct engine_stats stats;

	/* The engine on segments counts records, which a compaction removes later. */
	if (m->dir[0])
		return;
	engine_stats(m->engine, &stats);
	assert_int_equal(stats.bodies, want);
}

void mail_settle(struct mail *m)
{
	struct engine_row row = { PB_STR("k"), PB_STR("v") };
	struct engine_batch b = { .entity = PB_STR("settle"), .expect = ENGINE_ANY, .put = &row, .nput = 1 };
	struct pb_error err;
	engine_ticket ticket;

	/* Tickets are durable in order. */
	assert_int_equal(engine_apply(m->engine, &b, NULL, &ticket, &err), 0);
	assert_int_equal(engine_wait(m->engine, ticket, &err), 0);
}

void mail_bytes(struct pb_view *v, uint32_t seq, struct pb_buf *out)
{
	struct pb_error err = { 0 };
	struct pb_body *body;
	struct pb_str bytes;

	if (host_view_body(v, seq, &body, &err))
		fail_msg("body %u: %s", seq, err.text);
	assert_int_equal(host_body_view(body, &bytes, &err), 0);
	assert_int_equal(bytes.len, host_body_size(body));
	pb_buf_reset(out);
	pb_buf_addstr(out, bytes);
	host_body_release(body);
}
