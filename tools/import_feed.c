/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The feed: messages on their way to agent_import, in pieces, each under a key that names it; and the report about them. */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "tools/import.h"

enum { PIECE = 3 << 20, PROBLEMS_MAX = 1000, HASH = 32 };

/* ---- report ---- */

void feed_problem(struct feed *f, const char *where, const char *fmt, ...)
{
	char text[700];
	va_list args;
	int n = snprintf(text, sizeof text, "%.400s: ", where);

	va_start(args, fmt);
	vsnprintf(text + n, sizeof text - (size_t)n, fmt, args);
	va_end(args);
	if (f->nproblems++ < PROBLEMS_MAX)
		json_array_append_new(f->problems, pb_utf8_valid(pb_strz(text)) ? json_string(text) : json_string("a file whose name is not UTF-8"));
	if (!f->options->json)
		fprintf(stderr, "postbusctl: %s\n", text);
}

void feed_note(struct feed *f, const char *key, const char *fmt, ...)
{
	json_t *list = json_object_get(f->more, key);
	char text[700];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	if (!list) {
		list = json_array();
		json_object_set_new(f->more, key, list);
	}
	json_array_append_new(list, pb_utf8_valid(pb_strz(text)) ? json_string(text) : json_string("(not UTF-8)"));
}

static void count(json_t *in, const char *key, json_int_t n)
{
	json_object_set_new(in, key, json_integer(json_integer_value(json_object_get(in, key)) + n));
}

static void count_message(struct feed *f, const char *what, size_t size)
{
	count(f->folder, "messages", 1);
	count(f->folder, "bytes", (json_int_t)size);
	count(f->folder, what, 1);
}

/* ---- calls ---- */

/* What is about one message or folder only; everything else ends the import. */
static bool is_problem(int code)
{
	return code == PB_EQUOTA || code == PB_ETOOBIG || code == PB_EINVALID || code == PB_ENOTFOUND || code == PB_EEXISTS || code == PB_EDENIED || code == PB_ECORRUPT;
}

int feed_call(struct feed *f, const char *method, json_t *params, json_t **ret, struct pb_error *err)
{
	json_t *result = NULL;
	int rc = client_call(f->client, method, params, &result, err);

	json_decref(params);
	if (rc == 0 && ret)
		*ret = result;
	else
		json_decref(result);
	return rc;
}

int feed_make(struct feed *f, const char *method, json_t *params, bool *ret_made, struct pb_error *err)
{
	int rc = 0;

	*ret_made = true;
	if (f->options->dry_run)
		json_decref(params);
	else
		rc = feed_call(f, method, params, NULL, err);
	if (rc)
		*ret_made = false;
	return rc == PB_EEXISTS ? 0 : rc;
}

static void note_mailbox(struct feed *f, const char *address, const char *state)
{
	f->mailbox = json_pack("{s:s s:s s:[]}", "mailbox", address, "state", state, "folders");
	f->folder = NULL;
	json_array_append_new(f->mailboxes, f->mailbox);
}

static int open_mailbox(struct feed *f, const char *address, struct pb_error *err)
{
	json_t *found = NULL;
	int rc = feed_call(f, "import.open", json_pack("{s:s}", "mailbox", address), &found, err);

	f->id[0] = 0;
	if (rc == 0)
		snprintf(f->id, sizeof f->id, "%s", json_string_value(json_object_get(found, "mailbox")));
	json_decref(found);
	return rc;
}

int feed_mailbox(struct feed *f, const char *address, bool *ret_there, struct pb_error *err)
{
	bool made = false;
	int rc = open_mailbox(f, address, err);

	*ret_there = true;
	if (rc == PB_ENOTFOUND && f->makes && f->options->dry_run) {
		made = true;
		rc = 0;
	} else if (rc == PB_ENOTFOUND && f->options->create) {
		rc = feed_make(f, "mailbox.create", json_pack("{s:s}", "address", address), &made, err);
		if (rc == 0 && !f->options->dry_run)
			rc = open_mailbox(f, address, err);
	}
	if (rc && !is_problem(rc))
		return rc;
	note_mailbox(f, address, rc ? "missing" : made ? f->options->dry_run ? "would be made" : "made" : "there");
	if (made && !f->makes)
		feed_note(f, "needs_password", "%s", address);
	if (rc) {
		*ret_there = false;
		feed_problem(f, address, "%s%s", err->text, rc == PB_ENOTFOUND && !f->options->create && !f->makes ? "; --create makes mailboxes that are missing" : "");
	}
	return 0;
}

int feed_folder(struct feed *f, const char *name, bool *ret_there, struct pb_error *err)
{
	PB_AUTOBUF(own);
	int rc = 0;

	/* "Public" and what is below are names of public folders: a client would never find a mailbox's own that is called so. */
	if (!strcmp(name, "Public") || !strncmp(name, "Public/", 7)) {
		pb_buf_addf(&own, "Public_%s", name + 6);
		name = pb_buf_z(&own);
	}
	*ret_there = true;
	if (!pb_utf8_valid(pb_strz(name)) || !*name || strlen(name) >= sizeof f->name) {
		feed_problem(f, json_string_value(json_object_get(f->mailbox, "mailbox")), "a folder whose name cannot be kept is left out: %.100s",
			     pb_utf8_valid(pb_strz(name)) ? name : "(not UTF-8)");
		*ret_there = false;
		return 0;
	}
	snprintf(f->name, sizeof f->name, "%s", name);
	if (!f->options->dry_run && strcmp(name, "INBOX"))
		rc = feed_call(f, "import.folder", json_pack("{s:s s:s}", "mailbox", f->id, "folder", name), NULL, err);
	if (rc && !is_problem(rc))
		return rc;
	if (rc) {
		feed_problem(f, name, "%s", err->text);
		*ret_there = false;
		return 0;
	}
	f->folder = json_pack("{s:s s:i s:i s:i s:i s:i}", "folder", name, "messages", 0, "bytes", 0, "added", 0, "known", 0, "failed", 0);
	json_array_append_new(json_object_get(f->mailbox, "folders"), f->folder);
	return 0;
}

/* ---- messages ---- */

/* Mailbox, folder, identity and content: what was imported once is known whatever its flags are today. */
static void make_key(const struct feed *f, const struct message *m, char key[2 * HASH + 1])
{
	struct pb_str parts[] = { pb_strz(f->id), pb_strz(f->name), m->identity, m->head, m->body };
	unsigned char digest[HASH];
	gnutls_hash_hd_t hash;
	PB_AUTOBUF(hex);

	gnutls_hash_init(&hash, GNUTLS_DIG_SHA256);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		uint64_t len = parts[i].len;

		gnutls_hash(hash, &len, sizeof len);
		if (len)
			gnutls_hash(hash, parts[i].ptr, parts[i].len);
	}
	gnutls_hash_deinit(hash, digest);
	pb_hex_encode(&hex, pb_str((const char *)digest, sizeof digest));
	memcpy(key, pb_buf_z(&hex), 2 * HASH + 1);
}

static int is_known(struct feed *f, const char *key, bool *ret, struct pb_error *err)
{
	json_t *answer = NULL;
	int rc;

	*ret = false;
	if (!f->id[0])
		return 0;
	rc = feed_call(f, "import.known", json_pack("{s:[s]}", "keys", key), &answer, err);
	*ret = rc == 0 && json_is_true(json_array_get(json_object_get(answer, "known"), 0));
	json_decref(answer);
	return rc;
}

static json_t *in_base64(struct pb_buf *piece)
{
	PB_AUTOBUF(text);
	json_t *value;

	pb_base64_encode(&text, pb_buf_str(piece));
	pb_buf_reset(piece);
	value = json_stringn_nocheck(pb_buf_z(&text), text.len);
	return value;
}

static int send_piece(struct feed *f, struct pb_error *err)
{
	json_t *answer = NULL;
	int rc = feed_call(f, "import.data", json_pack("{s:I s:o}", "upload", f->upload, "data", in_base64(&f->piece)), &answer, err);

	if (rc == 0)
		f->upload = json_integer_value(json_object_get(answer, "upload"));
	json_decref(answer);
	return rc;
}

/* NUL cannot be sent over IMAP; other servers show it as this byte too. */
static void add_line(struct pb_buf *out, struct pb_str line)
{
	size_t at = out->len;

	pb_buf_addstr(out, line);
	for (char *p = out->ptr + at; line.len && (p = memchr(p, 0, (size_t)(out->ptr + out->len - p))) != NULL;)
		*p = (char)0x80;
}

static bool is_quoted_from(struct pb_str line)
{
	size_t n = 0;

	while (n < line.len && line.ptr[n] == '>')
		n++;
	return n && pb_str_starts(pb_str_skip(line, n), PB_STR("From "));
}

/* CR LF at the ends of lines; what does not fit into a piece goes off. */
static int send_text(struct feed *f, struct pb_str text, bool unquote, struct pb_error *err)
{
	while (text.len) {
		long lf = pb_str_find(text, '\n', 0);
		struct pb_str line = pb_str_head(text, lf < 0 ? text.len : (size_t)lf);

		text = pb_str_skip(text, lf < 0 ? text.len : (size_t)lf + 1);
		if (lf >= 0 && line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (unquote && is_quoted_from(line))
			line = pb_str_skip(line, 1);
		for (; line.len > PIECE; line = pb_str_skip(line, PIECE)) {	/* a line of megabytes */
			add_line(&f->piece, pb_str_head(line, PIECE));
			if (send_piece(f, err))
				return err->code;
		}
		add_line(&f->piece, line);
		if (lf >= 0)
			pb_buf_add(&f->piece, "\r\n", 2);
		if (f->piece.len > PIECE && send_piece(f, err))
			return err->code;
	}
	return 0;
}

static int send_message(struct feed *f, const struct message *m, const char *key, bool *ret_added, struct pb_error *err)
{
	json_t *params, *answer = NULL;
	int rc;

	f->upload = 0;
	pb_buf_reset(&f->piece);
	if (send_text(f, m->head, false, err) || send_text(f, m->body, m->unquote, err))
		return err->code;
	params = json_pack("{s:s s:s s:s s:I s:I s:o s:b}", "mailbox", f->id, "folder", f->name, "key", key, "date", (json_int_t)m->date, "upload", f->upload, "data",
			   in_base64(&f->piece), "over_quota", f->options->over_quota);
	if (m->flags)
		json_object_set(params, "flags", m->flags);
	rc = feed_call(f, "import.message", params, &answer, err);
	*ret_added = rc == 0 && json_is_true(json_object_get(answer, "added"));
	if (rc == 0 && json_integer_value(json_object_get(answer, "left_out")))
		count(f->folder, "keywords_left_out", json_integer_value(json_object_get(answer, "left_out")));
	json_decref(answer);
	return rc;
}

int feed_message(struct feed *f, const struct message *m, struct pb_error *err)
{
	size_t size = m->head.len + m->body.len;
	char key[2 * HASH + 1];
	bool known, added = true;
	int rc;

	if (!size) {
		feed_problem(f, m->path, "is empty and was left out");
		return 0;
	}
	make_key(f, m, key);
	rc = is_known(f, key, &known, err);
	if (rc == 0 && !known && !f->options->dry_run)
		rc = send_message(f, m, key, &added, err);
	if (rc && !is_problem(rc))
		return rc;
	count_message(f, rc ? "failed" : known || !added ? "known" : "added", size);
	if (rc)
		feed_problem(f, m->path, "%s", err->text);
	return 0;
}
