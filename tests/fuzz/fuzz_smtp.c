/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes what conn_smtp and agent_dns read from strangers: arguments of MAIL, RCPT and BDAT, replies, headers, names for Received, records. */
#include <stdint.h>
#include "plugins/agent_dns/records.h"
#include "plugins/conn_smtp/answer.h"
#include "plugins/conn_smtp/authors.h"
#include "plugins/conn_smtp/downgrade.h"
#include "mailproto/header.h"
#include "mailproto/params.h"
#include "mailproto/received.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

/* A reply goes on the wire as one line. */
static void must_be_a_line(const char *reply, bool only_ascii)
{
	MUST(strlen(reply) >= 5 && pb_is_digit(reply[0]) && pb_is_digit(reply[1]) && pb_is_digit(reply[2]) && reply[3] == ' ');
	for (const char *p = reply; *p; p++)
		MUST((unsigned char)*p >= ' ' && *p != 127 && (!only_ascii || (unsigned char)*p < 127));
}

static void must_be_printable(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		MUST((unsigned char)s.ptr[i] >= ' ' && s.ptr[i] != 127);
}

static void try_commands(struct pb_str text)
{
	struct mail_args mail;
	struct rcpt_args rcpt;
	const char *reply;
	uint64_t n;
	bool last;

	reply = mail_args_parse(text, &mail);
	if (reply)
		must_be_a_line(reply, true);
	else
		must_be_printable(pb_buf_str(&mail.envid));
	mail_args_free(&mail);
	for (int utf8 = 0; utf8 < 2; utf8++) {
		reply = rcpt_args_parse(text, utf8, &rcpt);
		if (reply) {
			must_be_a_line(reply, true);
		} else {
			must_be_printable(pb_buf_str(&rcpt.orcpt));
			MUST(utf8 || !rcpt.path.utf8);
		}
		rcpt_args_free(&rcpt);
	}
	if (bdat_args_parse(text, &n, &last))
		MUST(n <= INT64_MAX);
}

static void try_replies(struct pb_str text)
{
	struct answer a = { 0 };
	struct pb_str line;
	char words[ANSWER_TEXT_MAX + 100];
	int more = 1;

	while (more == 1 && pb_str_cut(&text, '\n', &line))
		more = answer_take(&a, line);
	if (more < 0 || !a.code)
		return;
	MUST(a.len <= ANSWER_TEXT_MAX && a.len == strlen(a.text) && pb_utf8_valid(pb_str(a.text, a.len)));
	answer_words(&a, 0, words, sizeof words);
	must_be_a_line(words, false);
	answer_words(&a, 451, words, sizeof words);
	must_be_a_line(words, false);
}

static void try_authors(struct pb_str text)
{
	PB_AUTOBUF(out);
	struct pb_str name, value;

	author_addresses(text, &out);
	while (author_next(&text, &name, &value)) {
		pb_buf_reset(&out);
		if (author_addresses(value, &out))
			MUST(out.len && out.ptr[out.len - 1] == '\n' && pb_str_find(pb_buf_str(&out), '@', 0) >= 0);
	}
}

static void put(void *arg, const char *ptr, size_t len)
{
	pb_buf_add(arg, ptr, len);
}

/* What was converted is ASCII. */
static void try_downgrade(struct pb_str text)
{
	PB_AUTOBUF(facts);

	pb_facts_make(text, &facts);
	for (unsigned what = 0; what <= (DOWN_HEADER | DOWN_BODY); what++) {
		PB_AUTOBUF(out);
		enum down_result rc = downgrade(&(struct downgrade){ text, pb_buf_str(&facts), what, put, &out });

		for (size_t i = 0; rc == DOWN_DONE && what == (DOWN_HEADER | DOWN_BODY) && i < out.len; i++)
			MUST((unsigned char)out.ptr[i] < 0x80);
	}
}

static void try_header(struct pb_str text)
{
	struct header h;

	header_scan(text, 500, &h);
	MUST(h.len <= 501);
	try_authors(text);
	try_downgrade(text);
	text_is_broken(text);
}

/* Whatever a client calls itself: one field, with line ends only where it is folded. */
static void try_received(struct pb_str helo)
{
	PB_AUTOBUF(out);

	received_build(&out, &(struct received){ .helo = helo, .client = PB_STR("192.0.2.1"), .hostname = PB_STR("h.example"), .id = PB_STR("Q"), .esmtp = true });
	for (size_t i = 0; i + 2 < out.len; i++)
		MUST(out.ptr[i] && (out.ptr[i] != '\n' || (out.ptr[i - 1] == '\r' && out.ptr[i + 1] == '\t')));
	MUST(pb_str_ends(pb_buf_str(&out), PB_STR("\r\n")));
}

static void try_records(struct pb_str data)
{
	static const int types[] = { TYPE_A, TYPE_NS, TYPE_SOA, TYPE_MX, TYPE_TXT, TYPE_AAAA, TYPE_SRV, TYPE_DS, TYPE_TLSA, TYPE_CAA };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		PB_AUTOBUF(out);

		if (record_text(&out, types[i], data)) {
			must_be_printable(pb_buf_str(&out));
			MUST(pb_utf8_valid(pb_buf_str(&out)));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_str text = pb_str((const char *)data, size);

	try_commands(text);
	try_replies(text);
	try_header(text);
	try_received(text);
	try_records(text);
	return 0;
}
