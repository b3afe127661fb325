/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages in folders: UIDs, MODSEQs, flags, expunge, copy and move, tokens, views, and a long random life against a plain array. */
#include "kernel/store/tests/mailfix.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <postbus/message.h>

static struct pb_error err;

static struct pb_folder_status status(struct pb_folder *f)
{
	struct pb_folder_status st;

	assert_int_equal(host_folder_status(f, &st, &err), 0);
	return st;
}

static void uids_and_modseqs_only_rise(void **state)
{
	struct mail *m = mail_new();
	uint32_t all[] = { 1, 2, 3 };
	struct pb_folder_status st = status(m->inbox);

	(void)state;
	assert_int_equal(st.uidnext, 1);
	assert_int_equal(st.messages, 0);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(mail_append(m, m->inbox, "text", i == 2 ? PB_SEEN : PB_DELETED), i);
	assert_true(status(m->inbox).modseq > st.modseq);
	st = status(m->inbox);
	assert_int_equal(st.uidnext, 4);
	assert_int_equal(st.messages, 3);
	assert_int_equal(st.unseen, 2);
	assert_int_equal(st.deleted, 2);
	assert_int_equal(st.recent, 3);
	assert_int_equal(st.bytes, 12);
	assert_int_equal(host_folder_expunge(m->inbox, all, 3, false, &err), 0);
	mail_reopen(m);
	assert_true(status(m->inbox).modseq > st.modseq);
	st = status(m->inbox);
	assert_int_equal(st.uidnext, 4);
	assert_int_equal(st.messages + st.unseen + st.deleted + st.recent + st.bytes, 0);
	assert_int_equal(mail_append(m, m->inbox, "text", 0), 4);
	mail_verify(m);
	mail_close(m);
}

static void a_view_does_not_change(void **state)
{
	struct mail *m = mail_new();
	struct pb_view *old, *now;
	uint32_t uid = 2;

	(void)state;
	for (int i = 0; i < 3; i++)
		mail_append(m, m->inbox, "text", 0);
	old = mail_view(m->inbox);
	assert_false(host_folder_is_newer(m->inbox, old));
	assert_int_equal(host_folder_store(m->inbox, &uid, 1, PB_FLAGS_ADD, PB_FLAGGED, 0, NULL, NULL, &err), 0);
	assert_true(host_folder_is_newer(m->inbox, old));
	assert_int_equal(host_folder_expunge(m->inbox, &(uint32_t){ 1 }, 1, false, &err), 0);
	now = mail_view(m->inbox);
	assert_int_equal(host_view_count(old), 3);
	assert_int_equal(host_view_row(old, 2)->flags, 0);
	assert_int_equal(host_view_count(now), 2);
	assert_int_equal(host_view_row(now, 1)->flags, PB_FLAGGED);
	assert_true(host_view_row(now, 1)->modseq > host_view_row(old, 2)->modseq);
	assert_int_equal(host_view_find(old, 2), 2);
	assert_int_equal(host_view_find(now, 2), 1);
	assert_int_equal(host_view_find(now, 1), 0);
	assert_int_equal(host_view_at_least(now, 1), 1);
	assert_int_equal(host_view_at_least(now, 4), 0);
	assert_null(host_view_row(now, 0));
	assert_null(host_view_row(now, 3));
	host_view_release(old);
	host_view_release(now);
	mail_close(m);
}

static void bodies_and_facts_are_read_back(void **state)
{
	struct mail *m = mail_new();
	struct pb_body *body = mail_body(m, "Subject: x\r\n\r\nhello\r\n"), *read;
	struct pb_str head, rest, facts;
	struct pb_view *v;
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(out);

	(void)state;
	assert_int_equal(mail_deliver(m, m->inbox, body, ""), 1);
	host_body_release(body);
	mail_append(m, m->inbox, "Subject: y\r\n\r\n", 0);
	mail_reopen(m);
	v = mail_view(m->inbox);
	mail_bytes(v, 1, &bytes);
	assert_string_equal(pb_buf_z(&bytes), "Return-Path: <a@example.org>\r\nSubject: x\r\n\r\nhello\r\n");
	assert_int_equal(host_view_row(v, 1)->size, bytes.len);
	mail_bytes(v, 2, &bytes);
	assert_string_equal(pb_buf_z(&bytes), "Subject: y\r\n\r\n");
	assert_int_equal(host_view_body(v, 1, &read, &err), 0);
	assert_int_equal(host_body_parts(read, &head, &rest, &err), 0);
	assert_int_equal(head.len, 30);
	assert_int_equal(rest.len, 21);
	assert_int_equal(host_body_facts(read, &facts, &err), 0);
	assert_true(pb_str_eq(facts, PB_STR("facts")));
	host_body_release(read);
	pb_buf_addz(&out, "before ");
	assert_int_equal(host_view_facts(v, 1, &out, &err), 0);
	assert_string_equal(pb_buf_z(&out), "before facts");
	assert_int_equal(host_view_body(v, 3, &read, &err), PB_ENOTFOUND);
	assert_int_equal(host_view_facts(v, 0, &out, &err), PB_ENOTFOUND);
	host_view_release(v);
	mail_close(m);
}

static void facts_that_are_missing_are_made_again(void **state)
{
	struct mail *m = mail_new();
	struct pb_str part = PB_STR("Subject: lost\r\n\r\nhello\r\n"), facts;
	struct pb_body *body, *read;
	struct body_id id;
	struct pb_view *v;
	PB_AUTOBUF(want);
	PB_AUTOBUF(out);

	(void)state;
	assert_int_equal(engine_body_write(m->engine, &part, 1, PB_NOSTR, &id, &err), 0);
	body = body_new(m->host.handle.ops, m->engine, &id, PB_NOSTR, &err);
	mail_deliver(m, m->inbox, body, "");
	host_body_release(body);
	pb_facts_make(part, &want);
	v = mail_view(m->inbox);
	assert_int_equal(host_view_facts(v, 1, &out, &err), 0);
	assert_int_equal(out.len, want.len);
	assert_memory_equal(out.ptr, want.ptr, want.len);
	assert_int_equal(host_view_body(v, 1, &read, &err), 0);
	assert_int_equal(host_body_facts(read, &facts, &err), 0);
	assert_int_equal(facts.len, want.len);
	host_body_release(read);
	host_view_release(v);
	mail_close(m);
}

static void a_token_counts_once(void **state)
{
	struct mail *m = mail_new();
	struct pb_body *body = mail_body(m, "x");
	struct pb_append how = { .token = PB_STR("spool-token") };
	uint32_t uid = 0;

	(void)state;
	assert_int_equal(mail_deliver(m, m->inbox, body, "q1 anna"), 1);
	assert_int_equal(mail_deliver(m, m->inbox, body, "q1 anna"), 1);
	assert_int_equal(mail_deliver(m, m->inbox, body, "q2 anna"), 2);
	mail_reopen(m);
	assert_int_equal(mail_deliver(m, m->inbox, body, "q2 anna"), 2);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "y"), &how, &uid, NULL, &err), 0);
	assert_int_equal(uid, 3);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "y"), &how, &uid, NULL, &err), 0);
	assert_int_equal(uid, 3);
	/* It is remembered when the message is long gone, and for more than a week. */
	assert_int_equal(host_folder_expunge(m->inbox, &(uint32_t){ 3 }, 1, false, &err), 0);
	clock_advance(m->kernel.clock, 8 * PB_DAY);
	assert_int_equal(host_folder_append(m->inbox, mail_spool(m, "y"), &how, &uid, NULL, &err), 0);
	assert_int_equal(uid, 3);
	assert_string_equal(mail_uids(m->inbox), "1 2");
	host_body_release(body);
	mail_verify(m);
	mail_close(m);
}

/* What was appended, but not settled when the daemon ended, is delivered again by the next start, whenever that is. */
static void a_token_is_remembered_however_long_nothing_is_delivered(void **state)
{
	struct mail *m = mail_new();
	struct pb_body *body = mail_body(m, "x");

	(void)state;
	assert_int_equal(mail_deliver(m, m->inbox, body, "half done"), 1);
	clock_advance(m->kernel.clock, 100 * PB_DAY);
	mail_reopen(m);
	assert_int_equal(mail_deliver(m, m->inbox, body, "another"), 2);
	assert_int_equal(mail_deliver(m, m->inbox, body, "half done"), 1);
	clock_advance(m->kernel.clock, 100 * PB_DAY);
	assert_int_equal(mail_deliver(m, m->inbox, body, "half done"), 1);
	/* a clock that was wrong, and is put right */
	clock_advance(m->kernel.clock, -150 * PB_DAY);
	mail_reopen(m);
	assert_int_equal(mail_deliver(m, m->inbox, body, "half done"), 1);
	assert_int_equal(mail_deliver(m, m->inbox, body, "another"), 2);
	host_body_release(body);
	mail_verify(m);
	mail_close(m);
}

/* A delivery in each hour of so many days. */
static void be_busy(struct mail *m, struct pb_body *body, int days)
{
	static unsigned n;
	char token[24];

	for (int hour = 0; hour < days * 24; hour++) {
		clock_advance(m->kernel.clock, PB_HOUR);
		snprintf(token, sizeof token, "busy %u", n++);
		mail_deliver(m, m->inbox, body, token);
	}
}

static size_t rows_of(struct mail *m, const char *kind)
{
	struct engine_page page = ENGINE_PAGE;
	char to[2] = { (char)(kind[0] + 1), '\0' };
	size_t n;

	assert_int_equal(engine_scan(m->engine, PB_STR("f/anna/1"), pb_strz(kind), pb_strz(to), 1000, &page, &err), 0);
	n = page.n;
	engine_page_free(&page);
	return n;
}

static void old_tokens_go(void **state)
{
	struct mail *m = mail_new();
	struct pb_body *body = mail_body(m, "x");
	char token[16];

	(void)state;
	for (int i = 0; i < 600; i++) {
		snprintf(token, sizeof token, "t%d", i);
		mail_deliver(m, m->inbox, body, token);
	}
	assert_int_equal(rows_of(m, "t"), 600);
	be_busy(m, body, 4);
	mail_reopen(m);
	be_busy(m, body, 4);
	assert_int_equal(mail_deliver(m, m->inbox, body, "t7"), 8);
	be_busy(m, body, 9);
	assert_in_range(rows_of(m, "t"), 8 * 24, 16 * 24);
	assert_int_not_equal(mail_deliver(m, m->inbox, body, "t7"), 8);
	host_body_release(body);
	mail_verify(m);
	mail_close(m);
}

static void store_changes_what_it_says(void **state)
{
	struct mail *m = mail_new();
	uint32_t some[] = { 1, 3, 4, 9 }, modified[4] = { 0 };
	size_t nmodified = 99;
	uint64_t before, middle;
	struct pb_view *v;

	(void)state;
	for (int i = 0; i < 5; i++)
		mail_append(m, m->inbox, "x", PB_ANSWERED);
	before = status(m->inbox).modseq;
	assert_int_equal(host_folder_store(m->inbox, some, 4, PB_FLAGS_ADD, PB_SEEN | PB_DELETED, 0, NULL, NULL, &err), 0);
	middle = status(m->inbox).modseq;
	assert_true(middle > before);
	assert_int_equal(host_folder_store(m->inbox, some + 1, 1, PB_FLAGS_SET, PB_FLAGGED, 0, NULL, NULL, &err), 0);
	assert_int_equal(host_folder_store(m->inbox, some + 2, 1, PB_FLAGS_REMOVE, PB_ANSWERED | PB_SEEN, 0, NULL, NULL, &err), 0);
	/* What changes nothing has no MODSEQ of its own. */
	before = status(m->inbox).modseq;
	assert_int_equal(host_folder_store(m->inbox, some, 1, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err), 0);
	assert_int_equal(status(m->inbox).modseq, before);
	/* 3 and 4 were changed since. */
	assert_int_equal(host_folder_store(m->inbox, some, 4, PB_FLAGS_ADD, PB_DRAFT, middle, modified, &nmodified, &err), 0);
	assert_int_equal(nmodified, 2);
	assert_int_equal(modified[0], 3);
	assert_int_equal(modified[1], 4);
	for (int again = 0; again < 2; again++) {
		v = mail_view(m->inbox);
		assert_int_equal(host_view_row(v, 1)->flags, PB_ANSWERED | PB_SEEN | PB_DELETED | PB_DRAFT);
		assert_int_equal(host_view_row(v, 2)->flags, PB_ANSWERED);
		assert_int_equal(host_view_row(v, 3)->flags, PB_FLAGGED);
		assert_int_equal(host_view_row(v, 4)->flags, PB_DELETED);
		assert_true(host_view_row(v, 4)->modseq > host_view_row(v, 3)->modseq);
		assert_true(host_view_row(v, 1)->modseq > host_view_row(v, 4)->modseq);
		assert_int_equal(host_view_row(v, 1)->modseq, host_view_modseq(v));
		host_view_release(v);
		mail_reopen(m);
	}
	assert_int_equal(status(m->inbox).unseen, 4);
	assert_int_equal(status(m->inbox).deleted, 2);
	assert_int_equal(host_folder_store(m->inbox, (uint32_t[]){ 3, 1 }, 2, PB_FLAGS_ADD, PB_SEEN, 0, NULL, NULL, &err), PB_EINVALID);
	assert_int_equal(host_folder_store(m->inbox, some, 1, PB_FLAGS_ADD, 32, 0, NULL, NULL, &err), PB_EINVALID);
	assert_int_equal(host_folder_store(m->inbox, some, 1, PB_FLAGS_ADD, 1 << PB_KEYWORD_FIRST, 0, NULL, NULL, &err), PB_EINVALID);
	mail_verify(m);
	mail_close(m);
}

static void keywords_have_names_and_an_end(void **state)
{
	struct mail *m = mail_new();
	struct pb_view *v;
	unsigned bit = 0, other = 0;
	uint32_t uid = 1;
	char name[16];

	(void)state;
	mail_append(m, m->inbox, "x", 0);
	assert_int_equal(host_folder_keyword(m->inbox, PB_STR("$Forwarded"), false, &bit, &err), PB_ENOTFOUND);
	assert_int_equal(host_folder_keyword(m->inbox, PB_STR("$Forwarded"), true, &bit, &err), 0);
	assert_int_equal(bit, PB_KEYWORD_FIRST);
	assert_int_equal(host_folder_keyword(m->inbox, PB_STR("$forwarded"), true, &other, &err), 0);
	assert_int_equal(other, bit);
	assert_int_equal(host_folder_keyword(m->inbox, PB_STR("a b"), true, &other, &err), PB_EINVALID);
	assert_int_equal(host_folder_keyword(m->inbox, PB_STR(""), true, &other, &err), PB_EINVALID);
	assert_int_equal(host_folder_store(m->inbox, &uid, 1, PB_FLAGS_ADD, UINT64_C(1) << bit, 0, NULL, NULL, &err), 0);
	for (int i = 1; i < PB_KEYWORDS_MAX; i++) {
		snprintf(name, sizeof name, "k%d", i);
		assert_int_equal(host_folder_keyword(m->inbox, pb_strz(name), true, &bit, &err), 0);
		assert_int_equal(bit, PB_KEYWORD_FIRST + i);
	}
	assert_int_equal(host_folder_keyword(m->inbox, PB_STR("more"), true, &bit, &err), PB_EQUOTA);
	assert_int_equal(host_folder_store(m->inbox, &uid, 1, PB_FLAGS_ADD, UINT64_C(1) << 63, 0, NULL, NULL, &err), 0);
	mail_reopen(m);
	v = mail_view(m->inbox);
	assert_int_equal(host_view_row(v, 1)->flags, UINT64_C(1) << 63 | 1 << PB_KEYWORD_FIRST);
	assert_true(pb_str_eq(host_view_keyword(v, PB_KEYWORD_FIRST), PB_STR("$Forwarded")));
	assert_true(pb_str_eq(host_view_keyword(v, 63), PB_STR("k55")));
	assert_int_equal(host_view_keyword(v, 3).len, 0);
	host_view_release(v);
	mail_close(m);
}

static void expunge_takes_what_is_marked(void **state)
{
	struct mail *m = mail_new();
	uint32_t uids[] = { 1, 2, 3, 9 };

	(void)state;
	for (int i = 0; i < 4; i++)
		mail_append(m, m->inbox, "x", i % 2 ? PB_DELETED : 0);
	assert_int_equal(host_folder_expunge(m->inbox, uids, 4, true, &err), 0);
	assert_string_equal(mail_uids(m->inbox), "1 3 4");
	assert_int_equal(host_folder_expunge(m->inbox, uids, 4, false, &err), 0);
	assert_string_equal(mail_uids(m->inbox), "4");
	assert_int_equal(host_folder_expunge(m->inbox, uids, 0, false, &err), 0);
	assert_int_equal(host_folder_expunge(m->inbox, (uint32_t[]){ 2, 2 }, 2, false, &err), PB_EINVALID);
	mail_bodies(m, 1);
	mail_verify(m);
	mail_close(m);
}

static void vanished_uids_are_remembered(void **state)
{
	struct mail *m = mail_new();
	uint32_t got[8];
	uint64_t first, second;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		mail_append(m, m->inbox, "x", 0);
	first = status(m->inbox).modseq;
	assert_int_equal(host_folder_expunge(m->inbox, (uint32_t[]){ 5, 6, 9 }, 3, false, &err), 0);
	second = status(m->inbox).modseq;
	assert_int_equal(host_folder_expunge(m->inbox, (uint32_t[]){ 2, 8 }, 2, false, &err), 0);
	mail_reopen(m);
	assert_int_equal(host_folder_vanished(m->inbox, first, 0, got, 8, &n, &err), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(got, ((uint32_t[]){ 2, 5, 6, 8, 9 }), 5 * sizeof got[0]);
	assert_int_equal(host_folder_vanished(m->inbox, second, 0, got, 8, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(got, ((uint32_t[]){ 2, 8 }), 2 * sizeof got[0]);
	assert_int_equal(host_folder_vanished(m->inbox, first, 6, got, 2, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(got, ((uint32_t[]){ 6, 8 }), 2 * sizeof got[0]);
	assert_int_equal(host_folder_vanished(m->inbox, status(m->inbox).modseq, 0, got, 8, &n, &err), 0);
	assert_int_equal(n, 0);
	mail_close(m);
}

static void very_old_expunges_are_forgotten(void **state)
{
	struct mail *m;
	struct pb_body *body;
	static uint32_t got[6000];
	uint64_t start;
	size_t n = 0;

	(void)state;
	/* 4,200 flushes tell nothing that memory does not. */
	if (strcmp(mail_engine, "memory") != 0)
		skip();
	m = mail_new();
	body = mail_body(m, "x");
	start = status(m->inbox).modseq;
	mail_deliver(m, m->inbox, body, "");
	for (uint32_t uid = 1; uid <= 4200; uid++) {
		mail_deliver(m, m->inbox, body, "");
		assert_int_equal(host_folder_expunge(m->inbox, &uid, 1, false, &err), 0);
	}
	assert_int_equal(host_folder_vanished(m->inbox, start, 0, got, 6000, &n, &err), PB_ENOTFOUND);
	assert_int_equal(host_folder_vanished(m->inbox, status(m->inbox).modseq - 2000, 0, got, 6000, &n, &err), 0);
	assert_int_equal(n, 1000);
	assert_int_equal(got[999], 4200);
	host_body_release(body);
	mail_verify(m);
	mail_close(m);
}

static void recent_is_claimed_by_one(void **state)
{
	struct mail *m = mail_new();
	uint32_t first = 0;

	(void)state;
	assert_int_equal(host_folder_claim_recent(m->inbox, &first, &err), 0);
	assert_int_equal(first, 1);
	mail_append(m, m->inbox, "x", 0);
	mail_append(m, m->inbox, "x", 0);
	assert_int_equal(status(m->inbox).recent, 2);
	assert_int_equal(host_folder_claim_recent(m->inbox, &first, &err), 0);
	assert_int_equal(first, 1);
	assert_int_equal(host_folder_claim_recent(m->inbox, &first, &err), 0);
	assert_int_equal(first, 3);
	mail_settle(m);
	assert_int_equal(status(m->inbox).recent, 0);
	mail_append(m, m->inbox, "x", 0);
	mail_reopen(m);
	assert_int_equal(status(m->inbox).recent, 1);
	assert_int_equal(host_folder_claim_recent(m->inbox, &first, &err), 0);
	assert_int_equal(first, 3);
	mail_verify(m);
	mail_close(m);
}

static void a_copy_shares_the_body_and_takes_flags_along(void **state)
{
	struct mail *m = mail_new();
	struct pb_folder *to = mail_folder(m, "Archive");
	uint32_t uids[] = { 1, 2, 7 }, got[3] = { 9, 9, 9 }, uidvalidity = 0;
	unsigned bit, there;
	struct pb_view *v, *w;
	PB_AUTOBUF(bytes);

	(void)state;
	assert_int_equal(host_folder_keyword(to, PB_STR("other"), true, &there, &err), 0);
	assert_int_equal(host_folder_keyword(m->inbox, PB_STR("mine"), true, &bit, &err), 0);
	mail_append(m, m->inbox, "one", PB_SEEN | UINT64_C(1) << bit);
	mail_append(m, m->inbox, "two", 0);
	assert_int_equal(host_folder_copy(m->inbox, uids, 3, to, false, got, &uidvalidity, &err), 0);
	assert_memory_equal(got, ((uint32_t[]){ 1, 2, 0 }), sizeof got);
	assert_int_equal(uidvalidity, status(to).uidvalidity);
	mail_bodies(m, 2);
	v = mail_view(to);
	w = mail_view(m->inbox);
	assert_int_equal(host_view_row(v, 1)->flags, PB_SEEN | UINT64_C(1) << (there + 1));
	assert_true(pb_str_eq(host_view_keyword(v, there + 1), PB_STR("mine")));
	assert_int_equal(host_view_row(v, 1)->body, host_view_row(w, 1)->body);
	assert_int_equal(host_view_row(v, 1)->date, host_view_row(w, 1)->date);
	host_view_release(w);
	assert_int_equal(host_folder_expunge(m->inbox, uids, 3, false, &err), 0);
	mail_bytes(v, 1, &bytes);
	assert_string_equal(pb_buf_z(&bytes), "one");
	host_view_release(v);
	assert_int_equal(host_folder_expunge(to, uids, 3, false, &err), 0);
	mail_bodies(m, 0);
	assert_int_equal(host_folder_copy(m->inbox, uids, 3, to, false, got, NULL, &err), 0);
	assert_memory_equal(got, ((uint32_t[]){ 0, 0, 0 }), sizeof got);
	host_folder_close(to);
	mail_verify(m);
	mail_close(m);
}

static void a_move_leaves_nothing_behind(void **state)
{
	struct mail *m = mail_new();
	struct pb_folder *to = mail_folder(m, "Trash");
	uint32_t uids[] = { 1, 3 }, got[2];
	uint64_t messages, bytes;

	(void)state;
	for (int i = 0; i < 4; i++)
		mail_append(m, m->inbox, "x", 0);
	assert_int_equal(host_folder_copy(m->inbox, uids, 2, to, true, got, NULL, &err), 0);
	assert_string_equal(mail_uids(m->inbox), "2 4");
	assert_string_equal(mail_uids(to), "1 2");
	/* Into itself: new UIDs. */
	assert_int_equal(host_folder_copy(m->inbox, (uint32_t[]){ 2 }, 1, m->inbox, true, got, NULL, &err), 0);
	assert_int_equal(got[0], 5);
	assert_string_equal(mail_uids(m->inbox), "4 5");
	host_mailbox_usage(m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, 4);
	host_folder_close(to);
	mail_reopen(m);
	host_mailbox_usage(m->mb, &messages, &bytes, &err);
	assert_int_equal(messages, 4);
	mail_verify(m);
	mail_close(m);
}

static void a_copy_goes_to_another_mailbox(void **state)
{
	struct mail *m = mail_new();
	struct pb_mailbox *mb;
	struct pb_folder *to;
	uint32_t uid = 1, got = 0;

	(void)state;
	assert_int_equal(host_mailbox_create(&m->host, PB_STR("bert"), &err), 0);
	assert_int_equal(host_mailbox_open(&m->host, PB_STR("bert"), &mb, &err), 0);
	assert_int_equal(host_folder_open(mb, PB_STR("INBOX"), &to, &err), 0);
	assert_int_equal(host_mailbox_set_quota(mb, 1, 0, &err), 0);
	mail_append(m, m->inbox, "x", 0);
	assert_int_equal(host_folder_copy(m->inbox, &uid, 1, to, true, &got, NULL, &err), 0);
	assert_int_equal(got, 1);
	assert_string_equal(mail_uids(m->inbox), "");
	mail_append(m, m->inbox, "x", 0);
	uid = 2;
	assert_int_equal(host_folder_copy(m->inbox, &uid, 1, to, true, &got, NULL, &err), PB_EQUOTA);
	assert_string_equal(mail_uids(m->inbox), "2");
	assert_string_equal(mail_uids(to), "1");
	host_folder_close(to);
	host_mailbox_close(mb);
	mail_verify(m);
	mail_close(m);
}

/* ---- a long random life against an array ---- */

enum { MODEL_MAX = 4000 };

struct model_row {
	uint32_t uid;
	uint64_t flags, modseq;
};

struct model {
	struct model_row rows[MODEL_MAX];
	uint32_t n;
};

/* What a session has on its screen: kept by what view_diff tells. */
struct screen {
	struct model m;
	uint32_t last_seq;
	const struct pb_view *now;
};

static void on_gone(void *arg, uint32_t seq, uint32_t uid)
{
	struct screen *s = arg;

	assert_true(seq < s->last_seq);
	s->last_seq = seq;
	assert_int_equal(s->m.rows[seq - 1].uid, uid);
	memmove(&s->m.rows[seq - 1], &s->m.rows[seq], (--s->m.n - (seq - 1)) * sizeof s->m.rows[0]);
}

static void on_flags(void *arg, uint32_t seq, const struct pb_row *row)
{
	struct screen *s = arg;

	assert_int_equal(s->m.rows[seq - 1].uid, row->uid);
	assert_true(row->modseq > s->m.rows[seq - 1].modseq);
	s->m.rows[seq - 1].flags = row->flags;
	s->m.rows[seq - 1].modseq = row->modseq;
}

static void look(struct screen *s, struct pb_view **view, struct pb_folder *f)
{
	static const struct pb_view_change tell = { on_gone, on_flags };
	struct pb_view *now = mail_view(f);

	s->last_seq = UINT32_MAX;
	host_view_diff(*view, now, &tell, s);
	while (s->m.n < host_view_count(now)) {
		const struct pb_row *row = host_view_row(now, s->m.n + 1);

		s->m.rows[s->m.n++] = (struct model_row){ row->uid, row->flags, row->modseq };
	}
	host_view_release(*view);
	*view = now;
}

static void shows(const struct pb_view *v, const struct model *m)
{
	uint32_t seq = 1, n;

	assert_int_equal(host_view_count(v), m->n);
	while (seq <= m->n) {
		const struct pb_row *rows = host_view_run(v, seq, &n);

		assert_true(n >= 1);
		for (uint32_t i = 0; i < n; i++, seq++) {
			assert_int_equal(rows[i].uid, m->rows[seq - 1].uid);
			assert_int_equal(rows[i].flags, m->rows[seq - 1].flags);
			assert_int_equal(rows[i].modseq, m->rows[seq - 1].modseq);
		}
	}
}

static size_t pick(const struct model *m, uint32_t *uids, unsigned one_in)
{
	size_t n = 0;

	for (uint32_t i = 0; i < m->n; i++) {
		if ((unsigned)rand() % one_in == 0)
			uids[n++] = m->rows[i].uid;
	}
	return n;
}

static void step_append(struct mail *m, struct model *model, struct pb_body *body)
{
	uint64_t modseq = status(m->inbox).modseq;

	for (int n = rand() % 60; n && model->n < MODEL_MAX; n--)
		model->rows[model->n++] = (struct model_row){ mail_deliver(m, m->inbox, body, ""), 0, ++modseq };
	mail_settle(m);
}

static void step_store(struct mail *m, struct model *model)
{
	uint32_t uids[MODEL_MAX];
	uint64_t flags = (uint64_t)(1 + rand() % 31);
	size_t n = pick(model, uids, 1 + (unsigned)rand() % 300), at = 0;
	enum pb_store_mode mode = (enum pb_store_mode)(rand() % 3);

	assert_int_equal(host_folder_store(m->inbox, uids, n, mode, flags, 0, NULL, NULL, &err), 0);
	for (uint32_t i = 0; i < model->n && at < n; i++) {
		struct model_row *row = &model->rows[i];
		uint64_t old = row->flags;

		if (row->uid != uids[at])
			continue;
		at++;
		row->flags = mode == PB_FLAGS_SET ? flags : mode == PB_FLAGS_ADD ? old | flags : old & ~flags;
		if (row->flags != old)
			row->modseq = status(m->inbox).modseq;
	}
}

static void step_expunge(struct mail *m, struct model *model)
{
	uint32_t uids[MODEL_MAX], left = 0;
	size_t n = pick(model, uids, 1 + (unsigned)rand() % 200), at = 0;

	assert_int_equal(host_folder_expunge(m->inbox, uids, n, false, &err), 0);
	for (uint32_t i = 0; i < model->n; i++) {
		if (at < n && model->rows[i].uid == uids[at])
			at++;
		else
			model->rows[left++] = model->rows[i];
	}
	model->n = left;
}

static void a_long_life_gives_what_an_array_gives(void **state)
{
	static struct screen often, seldom;
	static struct model model;

	(void)state;
	for (unsigned seed = 1; seed <= 6; seed++) {
		struct mail *m = mail_new();
		struct pb_body *body = mail_body(m, "x");
		struct pb_view *v = mail_view(m->inbox), *old = host_view_ref(v);

		srand(seed);
		model.n = often.m.n = seldom.m.n = 0;
		for (unsigned step = 0; step < 120; step++) {
			switch (rand() % 4) {
			case 0:
			case 1:
				step_append(m, &model, body);
				break;
			case 2:
				step_store(m, &model);
				break;
			case 3:
				step_expunge(m, &model);
				break;
			}
			look(&often, &v, m->inbox);
			shows(v, &model);
			shows(v, &often.m);
			if (step % 10 == 0) {
				look(&seldom, &old, m->inbox);
				shows(old, &seldom.m);
			}
			if (step % 40 != 39)
				continue;
			host_view_release(v);
			host_view_release(old);
			mail_verify(m);
			mail_reopen(m);
			v = mail_view(m->inbox);
			old = host_view_ref(v);
			seldom.m = model;
			shows(v, &model);
		}
		host_view_release(v);
		host_view_release(old);
		host_body_release(body);
		mail_close(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uids_and_modseqs_only_rise),
		cmocka_unit_test(a_view_does_not_change),
		cmocka_unit_test(bodies_and_facts_are_read_back),
		cmocka_unit_test(facts_that_are_missing_are_made_again),
		cmocka_unit_test(a_token_counts_once),
		cmocka_unit_test(a_token_is_remembered_however_long_nothing_is_delivered),
		cmocka_unit_test(old_tokens_go),
		cmocka_unit_test(store_changes_what_it_says),
		cmocka_unit_test(keywords_have_names_and_an_end),
		cmocka_unit_test(expunge_takes_what_is_marked),
		cmocka_unit_test(vanished_uids_are_remembered),
		cmocka_unit_test(very_old_expunges_are_forgotten),
		cmocka_unit_test(recent_is_claimed_by_one),
		cmocka_unit_test(a_copy_shares_the_body_and_takes_flags_along),
		cmocka_unit_test(a_move_leaves_nothing_behind),
		cmocka_unit_test(a_copy_goes_to_another_mailbox),
		cmocka_unit_test(a_long_life_gives_what_an_array_gives),
	};

	int failed = cmocka_run_group_tests_name("folders on memory", tests, NULL, NULL);

	mail_engine = "bdb";
	return failed + cmocka_run_group_tests_name("folders on bdb", tests, NULL, NULL);
}
