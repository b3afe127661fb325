/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Quarantine: messages that were held back, with their envelope, why, when and by whom. The body stays where it is: a row of a mailbox of the system refers to
 * it. Who may see which recipient of a message, and how it leaves, is release.c's.
 *
 * The table "quarantine": id = JSON: uid (of the mailbox's row), message (queue id), time, reason, by, plugin (who kept it), size, from, subject, the envelope, its
 * recipients with postoffice and mailbox, notes; and "releasing", the addresses of a release that is under way.
 */
#include <stdlib.h>
#include <postbus/mailbox.h>
#include <postbus/message.h>
#include "mta.h"
#include "quarantine.h"

#define MAILBOX "system-quarantine"

static json_t *text(struct pb_str s)
{
	json_t *v = json_stringn(s.len ? s.ptr : "", s.len);
	PB_AUTOBUF(utf8);

	if (v)
		return v;
	pb_charset_decode(PB_STR("iso-8859-1"), s, &utf8);
	return json_stringn(utf8.ptr, utf8.len);
}

json_t *quarantine_text(struct pb_str s)
{
	return text(s);
}

int quarantine_open(struct mta *mta, struct pb_error *err)
{
	return pb_table_open(mta->host, "quarantine", &mta->quarantine, err);
}

/* ---- the mailbox ---- */

int quarantine_folder(struct mta *mta, struct pb_folder **ret, struct pb_error *err)
{
	struct pb_str id = PB_STR(MAILBOX);
	struct pb_mailbox *mb;
	int rc = pb_mailbox_open(mta->host, id, &mb, err);

	if (rc == PB_ENOTFOUND) {
		rc = pb_mailbox_create(mta->host, id, err);
		if (rc == 0 || rc == PB_EEXISTS)
			rc = pb_mailbox_open(mta->host, id, &mb, err);
	}
	if (rc)
		return rc;
	rc = pb_folder_open(mb, PB_STR("INBOX"), ret, err);
	pb_mailbox_close(mb);
	return rc;
}

/* ---- rows ---- */

static bool is_among(const json_t *list, struct pb_str address)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (pb_str_eq(pb_str(json_string_value(one), json_string_length(one)), address))
			return true;
	return list == NULL;
}

/* A recipient, and whose he is. */
static json_t *recipient(struct mta *mta, const struct pb_rcpt *r)
{
	json_t *params = json_object(), *route = NULL, *ret = json_object();

	json_object_set_new(ret, "address", text(r->address));
	if (r->orcpt.len)
		json_object_set_new(ret, "orcpt", text(r->orcpt));
	if (r->notify)
		json_object_set_new(ret, "notify", json_integer(r->notify));
	json_object_set_new(params, "address", text(r->address));
	if (pb_call(mta->host, "directory.resolve", params, &route, NULL) == 0) {
		if (pb_text_of(route, "mailbox").len)
			json_object_set(ret, "mailbox", json_object_get(route, "mailbox"));
		if (pb_text_of(route, "postoffice").len)
			json_object_set(ret, "postoffice", json_object_get(route, "postoffice"));
	}
	json_decref(route);
	json_decref(params);
	return ret;
}

static void put_envelope(json_t *row, const struct pb_envelope *env)
{
	json_object_set_new(row, "sender", text(env->sender));
	json_object_set_new(row, "envid", text(env->envid));
	json_object_set_new(row, "client", text(env->client));
	json_object_set_new(row, "helo", text(env->helo));
	json_object_set_new(row, "user", text(env->user));
	json_object_set_new(row, "mailbox", text(env->mailbox));
	json_object_set_new(row, "received", json_integer(env->received));
	json_object_set_new(row, "priority", json_integer(env->priority));
	json_object_set_new(row, "ret_headers", json_boolean(env->ret_headers));
	json_object_set_new(row, "eightbit", json_boolean(env->eightbit));
	json_object_set_new(row, "smtputf8", json_boolean(env->smtputf8));
	json_object_set_new(row, "requiretls", json_boolean(env->requiretls));
	json_object_set_new(row, "notes", json_deep_copy(env->notes));
}

static void put_field(json_t *row, const char *key, struct pb_str header, struct pb_str name)
{
	PB_AUTOBUF(line);
	PB_AUTOBUF(words);
	struct pb_str value;

	if (pb_header_find(header, name, &value)) {
		pb_unfold(&line, pb_str_head(value, 1000));
		pb_words_decode(&words, pb_str_trim(pb_buf_str(&line)));
	}
	json_object_set_new(row, key, text(pb_buf_str(&words)));
}

int quarantine_get(struct mta *mta, struct pb_str id, json_t **ret, struct pb_error *err)
{
	PB_AUTOBUF(value);
	int rc = pb_table_get(mta->quarantine, id, &value, err);

	if (rc == PB_ENOTFOUND)
		return pb_fail(err, PB_ENOTFOUND, "there is no message '%.*s' in quarantine", PB_FMT(pb_str_head(id, 80)));
	if (rc)
		return rc;
	*ret = json_loadb(value.ptr, value.len, 0, NULL);
	return *ret ? 0 : pb_fail(err, PB_ECORRUPT, "the row of '%.*s' is no JSON", PB_FMT(pb_str_head(id, 80)));
}

int quarantine_put(struct mta *mta, struct pb_str id, const json_t *row, struct pb_error *err)
{
	char *bytes = json_dumps(row, JSON_COMPACT);
	int rc = bytes ? pb_table_apply(mta->quarantine, &(struct pb_change){ PB_PUT, id, pb_strz(bytes) }, 1, err) : pb_fail(err, PB_EINTERNAL, "a row that cannot be written");

	free(bytes);
	return rc;
}

/* The message's id; where it is not for all of its recipients, with a mark of those. */
static void make_id(struct pb_buf *out, const struct pb_subject *about, const json_t *recipients)
{
	PB_AUTOBUF(all);

	pb_buf_addstr(out, about->id);
	for (size_t i = 0; i < about->envelope->nrcpts; i++)
		if (is_among(recipients, about->envelope->rcpts[i]->address)) {
			pb_buf_addstr(&all, about->envelope->rcpts[i]->address);
			pb_buf_addc(&all, '\n');
		}
	pb_buf_addf(out, "-%08x", (unsigned)(mark_of(pb_buf_str(&all)) & 0xffffffff));
}

static json_t *make_row(struct mta *mta, const struct pb_subject *about, const json_t *recipients, struct pb_str header, uint32_t uid)
{
	json_t *row = json_object(), *list = json_array();

	for (size_t i = 0; i < about->envelope->nrcpts; i++)
		if (is_among(recipients, about->envelope->rcpts[i]->address))
			json_array_append_new(list, recipient(mta, about->envelope->rcpts[i]));
	put_envelope(row, about->envelope);
	put_field(row, "from", header, PB_STR("From"));
	put_field(row, "subject", header, PB_STR("Subject"));
	json_object_set_new(row, "recipients", list);
	json_object_set_new(row, "message", text(about->id));
	json_object_set_new(row, "uid", json_integer(uid));
	json_object_set_new(row, "time", json_integer(pb_now(mta->host)));
	json_object_set_new(row, "size", json_integer((json_int_t)pb_body_size(about->body)));
	return row;
}

/* ---- keeping ---- */

/* Gone: it was kept already, and released or deleted since. The queue comes with a message again when the daemon was killed before that was settled. */
static int keep(struct mta *mta, const struct pb_subject *about, struct pb_str id, uint32_t *ret_uid, bool *ret_gone, struct pb_error *err)
{
	const struct pb_append how = { .token = id, .over_quota = true };
	struct pb_folder *f;
	struct pb_view *v;
	int rc = quarantine_folder(mta, &f, err);

	if (rc)
		return rc;
	rc = pb_folder_view(f, &v, err);
	if (!rc) {
		rc = pb_folder_deliver(f, about->body, PB_NOSTR, &how, ret_uid, err);
		/* what is new has a UID that this picture does not know yet */
		*ret_gone = !rc && *ret_uid < pb_view_uidnext(v) && pb_view_find(v, *ret_uid) == 0;
		pb_view_release(v);
	}
	pb_folder_close(f);
	return rc;
}

static int add(struct mta *mta, const struct pb_subject *about, const json_t *recipients, struct pb_str reason, struct pb_str by, struct pb_str plugin, struct pb_buf *id,
	       struct pb_error *err)
{
	struct pb_str head, bytes;
	json_t *row = NULL;
	uint32_t uid = 0;
	bool gone = false;
	int rc;

	make_id(id, about, recipients);
	if (quarantine_get(mta, pb_buf_str(id), &row, NULL) == 0) {
		json_decref(row);
		return 0;
	}
	rc = pb_body_parts(about->body, &head, &bytes, err);
	if (!rc)
		rc = keep(mta, about, pb_buf_str(id), &uid, &gone, err);
	if (rc || gone)
		return rc;
	row = make_row(mta, about, recipients, pb_str_head(bytes, pb_header_size(bytes)), uid);
	json_object_set_new(row, "reason", text(reason));
	json_object_set_new(row, "by", text(by));
	json_object_set_new(row, "plugin", text(plugin));
	if (json_array_size(json_object_get(row, "recipients")) == 0)
		rc = pb_fail(err, PB_EINVALID, "none of these recipients is the message's");
	else
		rc = quarantine_put(mta, pb_buf_str(id), row, err);
	json_decref(row);
	if (rc)
		return rc;
	pb_count(mta->host, "quarantined", 1);
	pb_log(mta->host, PB_INFO, "quarantine.kept", "id=%s message=%s by=%s reason=%s", pb_logq(pb_buf_str(id)), pb_logq(about->id), pb_logq(by), pb_logq(reason));
	return 0;
}

/* Nobody is between the row and the message of one that leaves. */
static int add_alone(struct mta *mta, const struct pb_subject *about, const json_t *recipients, struct pb_str reason, struct pb_str by, struct pb_str plugin, struct pb_buf *id,
		     struct pb_error *err)
{
	int rc;

	pthread_mutex_lock(&mta->releasing);
	rc = add(mta, about, recipients, reason, by, plugin, id, err);
	pthread_mutex_unlock(&mta->releasing);
	return rc;
}

int quarantine_add(struct mta *mta, const struct pb_subject *about, const json_t *recipients, struct pb_str reason, struct pb_str by, struct pb_error *err)
{
	PB_AUTOBUF(id);

	return add_alone(mta, about, recipients, reason, by, PB_STR("agent_mta"), &id, err);
}

METHOD(quarantine_add)
{
	struct mta *mta = self;
	struct pb_subject *about = pb_subject(mta->host);
	struct pb_str by = pb_text_of(params, "by");
	PB_AUTOBUF(id);
	int rc;

	if (!about || !about->body || !about->envelope || !about->id.len)
		return pb_fail(err, PB_EINVALID, "quarantine.add is a call about a message");
	rc = add_alone(mta, about, json_object_get(params, "recipients"), pb_text_of(params, "reason"), by.len ? by : who->plugin, who->plugin, &id, err);
	if (!rc)
		*ret_result = json_pack("{s:o}", "id", text(pb_buf_str(&id)));
	return rc;
}
