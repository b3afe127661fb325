/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is in quarantine: shown, released, deleted, and gone with time or with its post office or domain. An administrator has the recipients of his post office, a
 * user himself; what others have of the same message stays.
 *
 * A release is written down first, then the message enters the queue under an id made of what is released, then its row goes. Whatever cuts it off, it is gone
 * through again at the next start, and the queue knows the id.
 */
#include <stdlib.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "quarantine.h"

enum { PAGE = 200, HEADER_MAX = 16384 };

/* ---- scans ---- */

struct page {
	struct pb_buf last;
	json_t *rows;
	size_t n;
};

static bool take_row(void *arg, struct pb_str key, struct pb_str value)
{
	struct page *p = arg;
	json_t *row = json_loadb(value.ptr, value.len, 0, NULL);

	p->n++;
	pb_buf_reset(&p->last);
	pb_buf_addstr(&p->last, key);
	pb_buf_addc(&p->last, '\0');
	if (!row)
		return true;
	json_object_set_new(row, "id", quarantine_text(key));
	json_array_append_new(p->rows, row);
	return true;
}

/* All rows, page by page; visit gives false to stop. */
static int each(struct mta *mta, bool (*visit)(struct mta *mta, json_t *row, void *arg), void *arg, struct pb_error *err)
{
	struct page p = { PB_BUF, NULL, PAGE };
	bool more = true;
	int rc = 0;

	while (more && p.n == PAGE && !rc) {
		json_t *row;
		size_t i;

		p.n = 0;
		p.rows = json_array();
		rc = pb_table_scan(mta->quarantine, pb_buf_str(&p.last), PB_NOSTR, PAGE, take_row, &p, err);
		json_array_foreach(p.rows, i, row)
			if (more)
				more = visit(mta, row, arg);
		json_decref(p.rows);
	}
	pb_buf_free(&p.last);
	return rc;
}

/* ---- list and show ---- */

static json_t *summary(const json_t *row, json_t *addresses)
{
	static const char *const keys[] = { "id", "message", "time", "reason", "by", "sender", "from", "subject", "size" };
	json_t *ret = json_object();

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		json_object_set(ret, keys[i], json_object_get(row, keys[i]));
	json_object_set_new(ret, "recipients", addresses);
	return ret;
}

struct listing {
	const struct pb_caller *who;
	json_t *list;
	size_t limit;
};

static bool list_row(struct mta *mta, json_t *row, void *arg)
{
	struct listing *l = arg;
	json_t *addresses = whose_addresses(l->who, row);

	(void)mta;
	if (json_array_size(addresses))
		json_array_append_new(l->list, summary(row, addresses));
	else
		json_decref(addresses);
	return json_array_size(l->list) < l->limit;
}

METHOD(quarantine_list)
{
	struct listing l = { who, json_array(), (size_t)json_integer_value(json_object_get(params, "limit")) };
	int rc = each(self, list_row, &l, err);

	if (rc)
		json_decref(l.list);
	else
		*ret_result = json_pack("{s:o}", "messages", l.list);
	return rc;
}

/* The row that a method is about, and the addresses of it that are the caller's. */
static int find(struct mta *mta, const struct pb_caller *who, struct pb_str id, json_t **ret_row, json_t **ret_addresses, struct pb_error *err)
{
	json_t *row, *addresses;
	int rc = quarantine_get(mta, id, &row, err);

	if (rc)
		return rc;
	json_object_set_new(row, "id", quarantine_text(id));
	addresses = whose_addresses(who, row);
	if (!json_array_size(addresses)) {
		json_decref(addresses);
		json_decref(row);
		return pb_fail(err, PB_ENOTFOUND, "there is no message '%.*s' in quarantine", PB_FMT(pb_str_head(id, 80)));
	}
	*ret_row = row;
	*ret_addresses = addresses;
	return 0;
}

/* The message itself; release it. */
static int body_of(struct mta *mta, const json_t *row, struct pb_body **ret, struct pb_error *err)
{
	uint32_t seq, uid = (uint32_t)json_integer_value(json_object_get(row, "uid"));
	struct pb_folder *f;
	struct pb_view *v;
	int rc = quarantine_folder(mta, &f, err);

	if (rc)
		return rc;
	rc = pb_folder_view(f, &v, err);
	if (!rc) {
		seq = pb_view_find(v, uid);
		rc = seq ? pb_view_body(v, seq, ret, err) : pb_fail(err, PB_ENOTFOUND, "the message itself is gone");
		pb_view_release(v);
	}
	pb_folder_close(f);
	return rc;
}

METHOD(quarantine_show)
{
	json_t *row, *addresses;
	struct pb_body *body;
	struct pb_str head, bytes;
	int rc = find(self, who, pb_text_of(params, "id"), &row, &addresses, err);

	if (rc)
		return rc;
	rc = body_of(self, row, &body, err);
	if (!rc) {
		rc = pb_body_parts(body, &head, &bytes, err);
		if (!rc) {
			*ret_result = summary(row, json_incref(addresses));
			json_object_set(*ret_result, "client", json_object_get(row, "client"));
			json_object_set_new(*ret_result, "header", quarantine_text(pb_str_head(bytes, pb_header_size(pb_str_head(bytes, HEADER_MAX)))));
		}
		pb_body_release(body);
	}
	json_decref(addresses);
	json_decref(row);
	return rc;
}

/* ---- away ---- */

/* What was begun to be released is gone through again as long as all of it is there: its words name the message. */
static bool is_touched(const json_t *releasing, const json_t *addresses)
{
	const json_t *one, *gone;
	size_t i, k;

	json_array_foreach(releasing, i, one)
		json_array_foreach(addresses, k, gone)
			if (json_equal(one, gone))
				return true;
	return false;
}

/* Without these recipients; the last ones take the row and the message with them. */
static int drop(struct mta *mta, json_t *row, const json_t *addresses, struct pb_error *err)
{
	struct pb_str id = pb_text_of(row, "id");
	uint32_t uid = (uint32_t)json_integer_value(json_object_get(row, "uid"));
	json_t *rest = whose_rest(row, addresses);
	struct pb_folder *f;
	int rc;

	if (is_touched(json_object_get(row, "releasing"), addresses))
		json_object_del(row, "releasing");
	json_object_set(row, "recipients", rest);
	json_decref(rest);
	if (json_array_size(rest))
		return quarantine_put(mta, id, row, err);
	rc = pb_table_apply(mta->quarantine, &(struct pb_change){ PB_DELETE, id, PB_NOSTR }, 1, err);
	if (rc)
		return rc;
	rc = quarantine_folder(mta, &f, err);
	if (rc)
		return rc;
	rc = pb_folder_expunge(f, &uid, 1, false, err);
	pb_folder_close(f);
	return rc;
}

/* ---- release ---- */

static struct pb_envelope *envelope_of(const json_t *row, const json_t *addresses)
{
	struct pb_envelope *env = pb_envelope_new();
	json_t *rcpt, *list = json_object_get(row, "recipients");
	size_t i;

	pb_envelope_sender(env, pb_text_of(row, "sender"));
	env->envid = pb_envelope_copy(env, pb_text_of(row, "envid"));
	env->client = pb_envelope_copy(env, pb_text_of(row, "client"));
	env->helo = pb_envelope_copy(env, pb_text_of(row, "helo"));
	env->user = pb_envelope_copy(env, pb_text_of(row, "user"));
	env->mailbox = pb_envelope_copy(env, pb_text_of(row, "mailbox"));
	env->priority = (int)json_integer_value(json_object_get(row, "priority"));
	env->ret_headers = json_is_true(json_object_get(row, "ret_headers"));
	env->eightbit = json_is_true(json_object_get(row, "eightbit"));
	env->smtputf8 = json_is_true(json_object_get(row, "smtputf8"));
	env->requiretls = json_is_true(json_object_get(row, "requiretls"));
	json_object_update(env->notes, json_object_get(row, "notes"));
	json_object_set_new(env->notes, "filtered", json_true());
	json_object_set_new(env->notes, "event", json_true());
	json_object_del(env->notes, "quarantine");
	json_object_set(env->notes, "released", json_object_get(row, "plugin"));
	json_object_set(env->notes, "quarantined", json_object_get(row, "id"));
	json_array_foreach(list, i, rcpt) {
		struct pb_rcpt *to;

		if (!whose_has(addresses, rcpt))
			continue;
		to = pb_envelope_rcpt(env, pb_text_of(rcpt, "address"));
		to->orcpt = pb_envelope_copy(env, pb_text_of(rcpt, "orcpt"));
		to->notify = (unsigned)json_integer_value(json_object_get(rcpt, "notify"));
	}
	return env;
}

static int send_away(struct mta *mta, const json_t *row, const json_t *addresses, char ret_id[PB_ID_MAX], struct pb_error *err)
{
	struct pb_str head, bytes, id = pb_text_of(row, "id");
	char *words = json_dumps(addresses, JSON_COMPACT);
	struct pb_spool *spool = NULL;
	struct pb_envelope *env;
	struct pb_body *body;
	PB_AUTOBUF(token);
	int rc = body_of(mta, row, &body, err);

	if (!rc) {
		rc = pb_body_parts(body, &head, &bytes, err);
		spool = rc ? NULL : pb_spool_begin(mta->host, 0, err);
		if (spool) {
			pb_buf_addf(&token, "release/%.*s/%016llx", PB_FMT(id), (unsigned long long)mark_of(pb_strz(words)));
			pb_spool_name(spool, pb_buf_str(&token));
			pb_spool_write(spool, bytes.ptr, bytes.len);
			env = envelope_of(row, addresses);
			rc = pb_queue_accept(mta->host, env, spool, ret_id, err);
			pb_envelope_free(env);
		} else if (!rc) {
			rc = err->code;
		}
		pb_body_release(body);
	}
	free(words);
	return rc;
}

static int release(struct mta *mta, json_t *row, const json_t *addresses, char ret_id[PB_ID_MAX], struct pb_error *err)
{
	struct pb_str id = pb_text_of(row, "id");
	int rc = send_away(mta, row, addresses, ret_id, err);

	if (!rc)
		pb_queue_note(mta->host, json_string_value(json_object_get(row, "message")), "quarantine.released", "as %s", ret_id);
	if (!rc)
		rc = drop(mta, row, addresses, err);
	if (!rc)
		pb_log(mta->host, PB_INFO, "quarantine.released", "id=%s message=%s", pb_logq(id), ret_id);
	return rc;
}

METHOD(quarantine_release)
{
	struct mta *mta = self;
	json_t *row, *addresses;
	char id[PB_ID_MAX];
	int rc;

	pthread_mutex_lock(&mta->releasing);
	rc = find(mta, who, pb_text_of(params, "id"), &row, &addresses, err);
	if (!rc) {
		json_object_set(row, "releasing", addresses);
		rc = quarantine_put(mta, pb_text_of(row, "id"), row, err);
		if (!rc)
			rc = release(mta, row, addresses, id, err);
		if (!rc)
			*ret_result = json_pack("{s:s, s:O}", "message", id, "recipients", addresses);
		json_decref(addresses);
		json_decref(row);
	}
	pthread_mutex_unlock(&mta->releasing);
	return rc;
}

METHOD(quarantine_delete)
{
	struct mta *mta = self;
	json_t *row, *addresses;
	int rc;

	pthread_mutex_lock(&mta->releasing);
	rc = find(mta, who, pb_text_of(params, "id"), &row, &addresses, err);
	if (!rc) {
		rc = drop(mta, row, addresses, err);
		json_decref(addresses);
		json_decref(row);
	}
	pthread_mutex_unlock(&mta->releasing);
	return rc;
}

/* ---- with their post office or domain ---- */

struct leaving {
	struct pb_str domain, postoffice;	/* domain empty: all of the post office */
	struct pb_error *err;
	int rc;
};

static bool goes_with(const struct leaving *l, const json_t *rcpt)
{
	struct pb_str rest = pb_text_of(rcpt, "address"), last = PB_NOSTR;
	PB_AUTOBUF(ascii);

	if (!l->domain.len)
		return pb_str_ieq(pb_text_of(rcpt, "postoffice"), l->postoffice);
	while (pb_str_cut(&rest, '@', &last))
		continue;
	return pb_domain_ascii(&ascii, last, NULL) == 0 && pb_str_ieq(pb_buf_str(&ascii), l->domain);
}

static bool leave_row(struct mta *mta, json_t *row, void *arg)
{
	struct leaving *l = arg;
	const json_t *rcpt, *list = json_object_get(row, "recipients");
	json_t *addresses = json_array();
	size_t i;

	json_array_foreach(list, i, rcpt)
		if (goes_with(l, rcpt))
			json_array_append(addresses, json_object_get(rcpt, "address"));
	if (json_array_size(addresses))
		l->rc = drop(mta, row, addresses, l->err);
	json_decref(addresses);
	return !l->rc;
}

int quarantine_leave(struct mta *mta, const json_t *facts, struct pb_error *err)
{
	struct leaving l = { pb_text_of(facts, "domain"), pb_text_of(facts, "postoffice"), err, 0 };
	int rc;

	pthread_mutex_lock(&mta->releasing);
	rc = each(mta, leave_row, &l, err);
	pthread_mutex_unlock(&mta->releasing);
	return rc ? rc : l.rc;
}

/* ---- with time ---- */

static bool sweep_row(struct mta *mta, json_t *row, void *arg)
{
	int64_t before = *(int64_t *)arg;
	const json_t *releasing = json_object_get(row, "releasing");
	struct pb_caller system = { .role = PB_ROLE_SYSTEM };
	struct pb_error err = { 0 };
	char id[PB_ID_MAX];
	int rc = 0;

	if (releasing) {
		json_t *addresses = json_deep_copy(releasing);

		rc = release(mta, row, addresses, id, &err);
		json_decref(addresses);
	} else if (json_integer_value(json_object_get(row, "time")) < before) {
		json_t *addresses = whose_addresses(&system, row);

		pb_log(mta->host, PB_INFO, "quarantine.expired", "id=%s", pb_logq(pb_text_of(row, "id")));
		rc = drop(mta, row, addresses, &err);
		json_decref(addresses);
	}
	if (rc)
		pb_log(mta->host, PB_WARNING, "quarantine.fault", "id=%s error=%s", pb_logq(pb_text_of(row, "id")), pb_logq(pb_strz(err.text)));
	return true;
}

void quarantine_sweep(struct mta *mta)
{
	int64_t keep = pb_config_int(mta->host, "quarantine_expire"), before = keep ? pb_now(mta->host) - keep * PB_SECOND : 0;
	struct pb_error err = { 0 };

	pthread_mutex_lock(&mta->releasing);
	if (each(mta, sweep_row, &before, &err))
		pb_log(mta->host, PB_WARNING, "quarantine.fault", "error=%s", pb_logq(pb_strz(err.text)));
	pthread_mutex_unlock(&mta->releasing);
}
