/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages that were fetched and could not be delivered. Their senders hear nothing: it was not they who brought them here. They are noted before they leave
 * the queue, so they stay on the server; the account says so, and whoever looks after it gets a letter.
 */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/address.h>
#include <postbus/letter.h>
#include <postbus/message.h>
#include "popretr.h"

struct loading {
	json_t *all;
	char last[SERIAL_LEN + 2 * UID_HASH + 3];
	size_t n;
};

static bool load_one(void *arg, struct pb_str key, struct pb_str value)
{
	struct loading *l = arg;
	json_t *row = json_loadb(value.ptr, value.len, 0, NULL);

	l->n++;
	if (key.len >= sizeof l->last - 1 || key.len <= SERIAL_LEN + 1) {
		json_decref(row);
		return true;
	}
	memcpy(l->last, key.ptr, key.len);
	l->last[key.len] = '\0';
	json_object_set_new(l->all, l->last + SERIAL_LEN + 1, row ? row : json_object());
	return true;
}

int failed_load(struct retr *r, const char *serial, json_t **ret, struct pb_error *err)
{
	struct loading l = { .all = json_object() };
	char to[SERIAL_LEN + 2];
	size_t len = (size_t)snprintf(l.last, sizeof l.last, "%s/", serial);
	int rc;

	snprintf(to, sizeof to, "%s0", serial);
	do {
		l.n = 0;
		rc = pb_table_scan(r->failed_table, pb_str(l.last, len), pb_strz(to), 500, load_one, &l, err);
		len = strlen(l.last) + 1;
	} while (!rc && l.n == 500);
	if (rc)
		json_decref(l.all);
	else
		*ret = l.all;
	return rc;
}

int failed_drop(struct retr *r, const char *serial, struct pb_error *err)
{
	char from[SERIAL_LEN + 2], to[SERIAL_LEN + 2];

	snprintf(from, sizeof from, "%s/", serial);
	snprintf(to, sizeof to, "%s0", serial);		/* '0' comes behind '/' */
	return pb_table_clear(r->failed_table, pb_strz(from), pb_strz(to), err);
}

int failed_over(struct retr *r, const char *serial, const char *uid, int64_t attempt, bool *ret_gone, struct pb_error *err)
{
	char key[SERIAL_LEN + 2 * UID_HASH + 3];
	struct pb_str name = pb_str(key, (size_t)snprintf(key, sizeof key, "%s/%s", serial, uid));
	PB_AUTOBUF(value);
	json_t *row;
	int rc = pb_table_get(r->failed_table, name, &value, err);
	struct pb_change changes[2] = { { .kind = PB_EQUAL, .key = name, .value = pb_buf_str(&value) }, { .kind = PB_DELETE, .key = name } };

	*ret_gone = false;
	if (rc)
		return rc;
	row = json_loadb(value.ptr, value.len, 0, NULL);
	if (number_of_key(row, "attempt") < attempt) {
		rc = pb_table_apply(r->failed_table, changes, 2, err);
		*ret_gone = !rc;
	}
	json_decref(row);
	return rc;
}

/* ---- at the report that is due ---- */

/* Who looks after it: what the configuration says, or the postmaster of the mailbox's domain. */
static void reader_of(struct retr *r, const json_t *row, struct pb_buf *out)
{
	struct pb_str own = pb_config_str(r->host, "report_to"), local, domain;

	if (own.len)
		pb_buf_addstr(out, own);
	else if (pb_address_split(pb_text_of(row, "mailbox"), &local, &domain))
		pb_buf_addf(out, "postmaster@%.*s", PB_FMT(domain));
}

static int write_letter(struct retr *r, const json_t *row, const struct pb_question *q, struct pb_str subject, struct pb_str reasons, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(r->host, 0, err);
	struct pb_envelope *env;
	PB_AUTOBUF(to);
	PB_AUTOBUF(from);
	PB_AUTOBUF(text);
	PB_AUTOBUF(token);
	struct pb_letter l = { .from_name = PB_STR("Mail retrieval"), .subject = PB_STR("A retrieved message could not be delivered"), .submitted = "auto-generated" };
	char id[PB_ID_MAX];
	int rc;

	if (!spool)
		return err->code;
	reader_of(r, row, &to);
	pb_buf_addf(&from, "MAILER-DAEMON@%.*s", PB_FMT(pb_hostname(r->host)));
	pb_buf_addf(&text,
		    "The account %.*s (%.*s at %.*s) has a message that could not be delivered here.\nIt is kept on that server, and is tried again from time to time.\n\n"
		    "Subject: %.*s\nFrom:    %.*s\n\n%.*s\n",
		    PB_FMT(pb_text_of(row, "id")), PB_FMT(pb_text_of(row, "user")), PB_FMT(pb_text_of(row, "host")), PB_FMT(subject), PB_FMT(q->envelope->sender), PB_FMT(reasons));
	l.from = pb_buf_str(&from);
	l.to = pb_buf_str(&to);
	l.text = pb_buf_str(&text);
	pb_letter_write(r->host, spool, &l);
	pb_buf_addf(&token, "retrieve-failed/%.*s", PB_FMT(q->id));
	pb_spool_name(spool, pb_buf_str(&token));
	env = pb_envelope_new();
	pb_envelope_rcpt(env, pb_buf_str(&to))->notify = PB_NOTIFY_NEVER;
	rc = pb_queue_accept(r->host, env, spool, id, err);
	pb_envelope_free(env);
	return rc;
}

static json_t *failed_row(const struct retr *r, const struct pb_question *q, const json_t *note, struct pb_str subject, struct pb_buf *reasons)
{
	const json_t *list = json_object_get(q->facts, "recipients"), *one;	/* facts are JSON: all of it is UTF-8 */
	json_t *recipients = json_array();
	size_t i;

	json_array_foreach(list, i, one) {
		json_array_append(recipients, json_object_get(one, "address"));
		pb_buf_addf(reasons, "%s%.*s: %.*s", i ? "\n" : "", PB_FMT(pb_text_of(one, "address")), PB_FMT(pb_text_of(one, "reason")));
	}
	return json_pack("{s:I, s:i, s:o, s:o, s:o}", "time", (json_int_t)pb_now(r->host), "attempt", (int)number_of_key(note, "attempt"), "recipients", recipients, "reason",
			 json_stringn(reasons->ptr ? reasons->ptr : "", reasons->len), "subject", json_stringn(subject.ptr ? subject.ptr : "", subject.len));
}

static void subject_of(const struct pb_question *q, struct pb_buf *out)
{
	struct pb_str head, rest, value;

	if (q->body && !pb_body_parts(q->body, &head, &rest, NULL) && pb_header_find(pb_str_head(rest, pb_header_size(rest)), PB_STR("Subject"), &value))
		pb_words_decode(out, pb_str_head(value, 500));
	if (!pb_utf8_valid(pb_buf_str(out)))
		pb_buf_reset(out);
}

static int put_failed(struct retr *r, const char *serial, struct pb_str uid, json_t *row, struct pb_error *err)
{
	char key[SERIAL_LEN + 2 * UID_HASH + 3];
	char *text = json_dumps(row, JSON_COMPACT);
	struct pb_change put = { .kind = PB_PUT, .key = pb_str(key, (size_t)snprintf(key, sizeof key, "%s/%.*s", serial, PB_FMT(pb_str_head(uid, 2 * UID_HASH)))),
				 .value = pb_strz(text) };
	int rc = text ? pb_table_apply(r->failed_table, &put, 1, err) : pb_fail(err, PB_EINTERNAL, "a report that is no JSON");

	free(text);
	return rc;
}

/* A report about a fetched message: it is ours, and nobody else's. Of an account that is gone nobody needs to know; the message is on its server still. */
int failed_hook(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct retr *r = self;
	const json_t *note = q->envelope ? json_object_get(q->envelope->notes, "retrieve") : NULL;
	char serial[SERIAL_LEN + 1] = "";
	struct account *a;
	json_t *row = NULL, *failed;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(reasons);
	int rc;

	if (!note || !pb_str_eq(pb_text_of(q->facts, "kind"), PB_STR("failed")))
		return 0;
	pthread_mutex_lock(&r->lock);
	a = account_find(r, pb_text_of(note, "account"));
	if (a) {
		row = json_deep_copy(a->row);
		memcpy(serial, a->serial, sizeof serial);
	}
	pthread_mutex_unlock(&r->lock);
	if (!row) {
		pb_verdict_set(v, PB_DISCARD, 0, NULL, "its account is deleted; it is kept on the server that it was fetched from");
		return 0;
	}
	subject_of(q, &subject);
	failed = failed_row(r, q, note, pb_buf_str(&subject), &reasons);
	rc = put_failed(r, serial, pb_text_of(note, "uid"), failed, err);
	json_decref(failed);
	if (!rc) {
		pb_log(r->host, PB_WARNING, "retrieve.undelivered", "account=%.*s id=%.*s reason=%s", PB_FMT(pb_text_of(row, "id")), PB_FMT(q->id), pb_logq(pb_buf_str(&reasons)));
		pb_count(r->host, "undelivered", 1);
		rc = write_letter(r, row, q, pb_buf_str(&subject), pb_buf_str(&reasons), err);
	}
	json_decref(row);
	if (!rc)
		pb_verdict_set(v, PB_DISCARD, 0, NULL, "kept on the server that it was fetched from");
	return rc;
}
