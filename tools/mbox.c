/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mbox family. Where a message ends is a guess by design: a line "From " with a time ends it when a blank line stands before it or a header field
 * behind it. A Content-Length is believed where what it points at is the end of the file or such a line, and only there.
 */
#include <postbus/date.h>
#include <postbus/message.h>
#include "tools/mbox.h"

static struct pb_str line_at(struct pb_str all, size_t at)
{
	struct pb_str rest = pb_str_skip(all, at);
	long lf = pb_str_find(rest, '\n', 0);
	struct pb_str line = pb_str_head(rest, lf < 0 ? rest.len : (size_t)lf);

	return line.len && line.ptr[line.len - 1] == '\r' ? pb_str_head(line, line.len - 1) : line;
}

static size_t behind_line(struct pb_str all, size_t at)
{
	long lf = pb_str_find(all, '\n', at);

	return lf < 0 ? all.len : (size_t)lf + 1;
}

/* "Subject: ..." or "Return-Path: <..." */
static bool looks_like_field(struct pb_str line)
{
	size_t n = 0;

	while (n < line.len && (pb_is_alnum((unsigned char)line.ptr[n]) || line.ptr[n] == '-'))
		n++;
	return n > 1 && n < line.len && line.ptr[n] == ':';
}

/* ---- dates ---- */

struct from_words {
	struct pb_str day, month, time, year, zone;
};

static bool is_time(struct pb_str word)
{
	return word.len >= 4 && word.len <= 8 && pb_is_digit(word.ptr[0]) && (word.ptr[1] == ':' || word.ptr[2] == ':') && pb_is_digit(word.ptr[word.len - 1]);
}

static bool is_month(struct pb_str word)
{
	long at = word.len == 3 ? pb_str_isearch(PB_STR("JanFebMarAprMayJunJulAugSepOctNovDec"), word, 0) : -1;

	return at >= 0 && at % 3 == 0;
}

static bool is_number(struct pb_str word, size_t min, size_t max)
{
	for (size_t i = 0; i < word.len; i++)
		if (!pb_is_digit((unsigned char)word.ptr[i]))
			return false;
	return word.len >= min && word.len <= max;
}

/* asctime's order, with a zone before or behind the year; the address in front may be anything. */
static bool from_parse(struct pb_str from, struct from_words *ret)
{
	struct pb_str rest = pb_str_skip(from, 5), word;

	*ret = (struct from_words){ .zone = PB_STR("+0000") };
	while (pb_str_word(&rest, &word)) {
		if (!ret->month.len && is_month(word))
			ret->month = word;
		else if (ret->month.len && !ret->day.len && is_number(word, 1, 2))
			ret->day = word;
		else if (ret->day.len && !ret->time.len && is_time(word))
			ret->time = word;
		else if (ret->time.len && !ret->year.len && is_number(word, 4, 4))
			ret->year = word;
		else if (ret->time.len && (word.ptr[0] == '+' || word.ptr[0] == '-' || (word.len <= 4 && word.ptr[0] >= 'A' && word.ptr[0] <= 'Z')))
			ret->zone = word;
	}
	return ret->year.len;
}

static bool is_from_line(struct pb_str line)
{
	struct from_words words;

	return line.len < 1000 && pb_str_starts(line, PB_STR("From ")) && from_parse(line, &words);
}

bool mbox_date(struct pb_str from, int64_t *ret_moment)
{
	struct from_words words;
	PB_AUTOBUF(text);

	if (!from_parse(from, &words))
		return false;
	pb_buf_addf(&text, "%.*s %.*s %.*s %.*s %.*s", PB_FMT(words.day), PB_FMT(words.month), PB_FMT(words.year), PB_FMT(words.time), PB_FMT(words.zone));
	return pb_date_parse(pb_buf_str(&text), ret_moment, NULL) == 0;
}

/* ---- messages ---- */

bool mbox_begin(struct pb_str all, struct mbox *ret)
{
	size_t at = 0;

	while (at < all.len && (all.ptr[at] == '\n' || all.ptr[at] == '\r'))
		at++;
	*ret = (struct mbox){ all, at };
	return at == all.len || pb_str_starts(pb_str_skip(all, at), PB_STR("From "));
}

/* How many octets of an empty line stand before at (0: none does). */
static size_t blank_before(struct pb_str all, size_t at)
{
	if (at < 1 || all.ptr[at - 1] != '\n')
		return 0;
	if (at >= 3 && all.ptr[at - 2] == '\r' && all.ptr[at - 3] == '\n')
		return 2;
	return at >= 2 && all.ptr[at - 2] == '\n' ? 1 : 0;
}

static bool is_separator(struct pb_str all, size_t at)
{
	return is_from_line(line_at(all, at)) && (blank_before(all, at) || looks_like_field(line_at(all, behind_line(all, at))));
}

/* The next message's begin at or after at, or the end of the file. */
static size_t find_separator(struct pb_str all, size_t at)
{
	long lf;

	if (is_separator(all, at))
		return at;
	while ((lf = pb_str_search(all, PB_STR("\nFrom "), at)) >= 0) {
		at = (size_t)lf + 1;
		if (is_separator(all, at))
			return at;
	}
	return all.len;
}

/* Does a message that ends here, by its Content-Length, end where a message can end? */
static bool is_end(struct pb_str all, size_t at)
{
	while (at < all.len && (all.ptr[at] == '\n' || all.ptr[at] == '\r'))
		at++;
	return at == all.len || is_from_line(line_at(all, at));
}

static bool content_length(struct pb_str header, uint64_t *ret)
{
	struct pb_str value;

	return pb_header_find(header, PB_STR("Content-Length"), &value) && pb_str_u64(pb_str_trim(value), SIZE_MAX / 2, ret) == 0;
}

bool mbox_next(struct mbox *box, struct mbox_message *ret)
{
	struct pb_str all = box->all;
	size_t start, body, end;
	uint64_t length;
	bool exact;

	if (box->at >= all.len)
		return false;
	ret->from = line_at(all, box->at);
	start = behind_line(all, box->at);
	end = find_separator(all, start);
	body = start + pb_header_size(pb_str_head(pb_str_skip(all, start), end - start));
	exact = content_length(pb_str_head(pb_str_skip(all, start), body - start), &length) && length <= all.len - body && is_end(all, body + length);
	if (exact)
		box->at = end = body + length;
	else
		box->at = end;
	/* The empty line between two messages is the file's. */
	if (!exact && end > body)
		end -= blank_before(all, end) && end - blank_before(all, end) >= body ? blank_before(all, end) : 0;
	while (exact && box->at < all.len && (all.ptr[box->at] == '\n' || all.ptr[box->at] == '\r'))
		box->at++;
	ret->header = pb_str_head(pb_str_skip(all, start), body - start);
	ret->body = pb_str_head(pb_str_skip(all, body), end - body);
	ret->quoted = !exact || !(pb_str_starts(ret->body, PB_STR("From ")) || pb_str_search(ret->body, PB_STR("\nFrom "), 0) >= 0);
	return true;
}

/* ---- what the header says ---- */

static void add_letters(json_t *list, struct pb_str value)
{
	static const struct { char letter; const char *flag; } known[] = {
		{ 'R', "\\Seen" }, { 'A', "\\Answered" }, { 'F', "\\Flagged" }, { 'D', "\\Deleted" }, { 'T', "\\Draft" } };

	for (size_t k = 0; k < sizeof known / sizeof *known; k++)
		if (memchr(value.ptr, known[k].letter, value.len))
			json_array_append_new(list, json_string(known[k].flag));
}

/* Mozilla's: 1 read, 2 replied, 4 marked, 8 deleted until the file is compacted, 1000 forwarded. */
static void add_mozilla(json_t *list, struct pb_str value, bool *ret_gone)
{
	unsigned bits = 0;

	for (size_t i = 0; i < value.len && i < 8; i++) {
		int c = pb_lower((unsigned char)value.ptr[i]);

		bits = bits << 4 | (unsigned)(pb_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0);
	}
	if (bits & 1)
		json_array_append_new(list, json_string("\\Seen"));
	if (bits & 2)
		json_array_append_new(list, json_string("\\Answered"));
	if (bits & 4)
		json_array_append_new(list, json_string("\\Flagged"));
	if (bits & 0x1000)
		json_array_append_new(list, json_string("$Forwarded"));
	*ret_gone |= (bits & 8) != 0;
}

json_t *mbox_flags(struct pb_str header, bool *ret_gone)
{
	json_t *list = json_array();
	struct pb_str value, word;

	*ret_gone = pb_header_find(header, PB_STR("Subject"), &value) && pb_str_search(value, PB_STR("FOLDER INTERNAL DATA"), 0) >= 0 &&
		    (pb_header_find(header, PB_STR("X-IMAP"), &word) || pb_header_find(header, PB_STR("X-IMAPbase"), &word));
	if (pb_header_find(header, PB_STR("Status"), &value))
		add_letters(list, value);
	if (pb_header_find(header, PB_STR("X-Status"), &value))
		add_letters(list, value);
	if (pb_header_find(header, PB_STR("X-Mozilla-Status"), &value))
		add_mozilla(list, pb_str_trim(value), ret_gone);
	if (pb_header_find(header, PB_STR("X-Keywords"), &value)) {
		value = pb_str_trim(value);
		while (pb_str_word(&value, &word))
			if (pb_utf8_valid(word))
				json_array_append_new(list, json_stringn(word.ptr, word.len));
	}
	return list;
}

void mbox_header(struct pb_str header, struct pb_buf *out)
{
	static const struct pb_str own[] = { { "Status", 6 },	     { "X-Status", 8 },	    { "X-Keywords", 10 },	  { "X-UID", 5 },
					     { "X-IMAPbase", 10 }, { "X-IMAP", 6 },	    { "Content-Length", 14 },  { "X-Mozilla-Status", 16 },
					     { "X-Mozilla-Status2", 17 }, { "X-Mozilla-Keys", 14 } };

	pb_header_pick(out, header, own, sizeof own / sizeof *own, true);
}
