/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes what postbusctl import reads of other servers' files: mbox files, From lines, headers, MailEnable's tables, addresses, indexes and automatic answers,
 * and the literals of Mailman's settings.
 */
#include <stdint.h>
#include <string.h>
#include "tools/import_literal.h"
#include "tools/mailenable.h"
#include "tools/mbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

static void must_be_text(const json_t *list)
{
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		MUST(json_is_string(one));
}

/* Messages lie one behind the other, each inside the file. */
static void try_mbox(struct pb_str all)
{
	const char *behind = all.ptr;
	struct mbox_message m;
	struct mbox box;
	size_t last;

	if (!mbox_begin(all, &box))
		return;
	for (last = box.at; mbox_next(&box, &m); last = box.at) {
		PB_AUTOBUF(header);
		int64_t moment;
		json_t *flags;
		bool gone;

		MUST(box.at > last && box.at <= all.len);
		MUST(m.from.ptr >= behind && m.header.ptr >= m.from.ptr + m.from.len);
		MUST(m.body.ptr == m.header.ptr + m.header.len && m.body.ptr + m.body.len <= all.ptr + all.len);
		behind = m.body.ptr + m.body.len;
		mbox_date(m.from, &moment);
		flags = mbox_flags(m.header, &gone);
		must_be_text(flags);
		json_decref(flags);
		mbox_header(m.header, &header);
		MUST(header.len <= m.header.len);
	}
}

static void try_tables(struct pb_str text)
{
	static const char *const columns[] = { "SourceAddress", "DestinationAddress", "Status", NULL };
	json_t *rows = tab_rows(text, columns), *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		struct pb_str type, value, office, mailbox;
		const char *address = json_string_value(json_object_get(row, "SourceAddress"));

		if (address && bracket_parse(address, &type, &value) && store_parse(value, &office, &mailbox))
			MUST(office.len && mailbox.len && office.len + mailbox.len < value.len);
	}
	json_decref(rows);
}

static void write_scalar(struct pb_buf *out, const json_t *v)
{
	if (json_is_string(v)) {
		pb_buf_addc(out, '\'');
		for (size_t i = 0; i < json_string_length(v); i++)
			pb_buf_addf(out, "\\x%02x", (unsigned char)json_string_value(v)[i]);
		pb_buf_addc(out, '\'');
	} else if (json_is_integer(v)) {
		pb_buf_addf(out, "%lld", (long long)json_integer_value(v));
	} else {
		MUST(json_is_boolean(v) || json_is_null(v));
		pb_buf_addz(out, json_is_true(v) ? "True" : json_is_false(v) ? "False" : "None");
	}
}

static void write_value(struct pb_buf *out, const json_t *v)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(v)) {
		write_scalar(out, v);
		return;
	}
	pb_buf_addc(out, '[');
	json_array_foreach (v, i, one) {
		write_scalar(out, one);
		pb_buf_addc(out, ',');
	}
	pb_buf_addc(out, ']');
}

/* What is read can be written, and is read the same again. */
static void try_literals(struct pb_str text)
{
	json_t *all = literals_read(text), *again;
	PB_AUTOBUF(written);
	const char *name;
	json_t *value;

	json_object_foreach (all, name, value) {
		MUST(*name && strlen(name) <= 60);
		pb_buf_addf(&written, "%s = ", name);
		write_value(&written, value);
		pb_buf_addc(&written, '\n');
	}
	again = literals_read(pb_buf_str(&written));
	MUST(json_equal(all, again));
	json_decref(all);
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_str text = pb_str((const char *)data, size);
	PB_AUTOBUF(with_from);
	const char *name;
	json_t *index, *flags, *reply;

	try_mbox(text);
	pb_buf_addz(&with_from, "From a Mon Jan  1 00:00:00 2024\n");
	pb_buf_addstr(&with_from, text);
	try_mbox(pb_buf_str(&with_from));
	try_tables(text);
	try_literals(text);
	index = index_flags(text);
	json_object_foreach (index, name, flags)
		must_be_text(flags);
	json_decref(index);
	reply = responder_parse(text);
	MUST(!reply || json_string_length(json_object_get(reply, "text")));
	json_decref(reply);
	return 0;
}
