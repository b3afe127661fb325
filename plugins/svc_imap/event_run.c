/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A script on a message that something happened to (RFC 6785): agent_filter runs it once, and what it wants is durable before any of it is done. So whoever goes on
 * after a crash does the same again: copies and letters have tokens, flags are differences. The message itself goes only when all else was done and the script did not
 * keep it, and then by \Deleted; a fault of any kind leaves it as it is.
 */
#include <postbus/address.h>
#include <postbus/letter.h>
#include <postbus/message.h>
#include "event.h"
#include "public.h"
#include "view.h"

/* One message at work. */
struct job {
	struct imap_plugin *plugin;
	const struct event *e;
	const struct event_message *m;
	struct pb_buf name;		/* of the folder */
	size_t action;			/* which one is done, from 0 */
	struct pb_mailbox *mailbox;
	struct pb_folder *folder;
	struct pb_view *view;
	struct pb_body *body;
	const struct pb_row *row;
	bool keep, failed;
};

static bool failed(struct job *j, const char *doing, const struct pb_error *err)
{
	pb_log(j->plugin->host, PB_WARNING, "event.failed", "mailbox=%s script=%s doing=%s code=%s reason=%s", j->e->mailbox, pb_logq(pb_strz(j->e->script)), doing,
	       pb_code_name(err->code), pb_logq(pb_strz(err->text)));
	j->failed = true;
	return false;
}

/* The same for the same action, message and event; no other's. */
static struct pb_str token_of(const struct job *j, char *room, size_t size)
{
	return pb_str(room, (size_t)snprintf(room, size, "%s.%u.%zu", j->e->token, j->m->uid, j->action));
}

/* ---- flags: bits here, words there ---- */

/* By their bits, so that the same flags are the same words. */
static json_t *flag_words(const struct pb_view *v, uint64_t flags)
{
	json_t *words = json_array();

	for (unsigned bit = 0; bit < 64; bit++) {
		struct pb_str name = flags >> bit & 1 ? flag_name(v, bit) : PB_NOSTR;

		if (name.len)
			json_array_append_new(words, json_stringn(name.ptr, name.len));
	}
	return words;
}

static json_t *joined(json_t *words)
{
	PB_AUTOBUF(text);
	const json_t *one;
	size_t i;

	json_array_foreach(words, i, one) {
		if (i)
			pb_buf_addc(&text, ' ');
		pb_buf_addz(&text, json_string_value(one));
	}
	json_decref(words);
	return json_string(pb_buf_z(&text));
}

static uint64_t flag_bits(struct pb_folder *f, const json_t *words)
{
	const json_t *one;
	uint64_t all = 0;
	size_t i;

	json_array_foreach(words, i, one) {
		struct pb_str name = pb_str(json_string_value(one), json_string_length(one));
		unsigned bit;

		if (name.len && name.ptr[0] == '\\')
			all |= flag_bit(name) & ~(uint64_t)IMAP_RECENT;
		else if (pb_folder_keyword(f, name, true, &bit, NULL) == 0)
			all |= UINT64_C(1) << bit;
	}
	return all;
}

/* The difference alone is written: what others change meanwhile stays. */
static void set_flags(struct job *j, struct pb_folder *f, uint32_t uid, uint64_t was, uint64_t is)
{
	struct pb_error err;

	if ((is & ~was) && pb_folder_store(f, &uid, 1, PB_FLAGS_ADD, is & ~was, 0, NULL, NULL, &err))
		failed(j, "flags", &err);
	if ((was & ~is) && pb_folder_store(f, &uid, 1, PB_FLAGS_REMOVE, was & ~is, 0, NULL, NULL, &err))
		failed(j, "flags", &err);
}

/* ---- fileinto ---- */

struct use_query {
	struct pb_str use;
	struct pb_buf name;
};

static bool find_use(void *arg, const struct pb_folder_info *info)
{
	static const struct { const char *name; unsigned attribute; } uses[] = {
		{ "\\All", PB_FOLDER_ALL }, { "\\Archive", PB_FOLDER_ARCHIVE }, { "\\Drafts", PB_FOLDER_DRAFTS }, { "\\Flagged", PB_FOLDER_FLAGGED },
		{ "\\Junk", PB_FOLDER_JUNK }, { "\\Sent", PB_FOLDER_SENT }, { "\\Trash", PB_FOLDER_TRASH },
	};
	struct use_query *q = arg;

	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
		if (pb_str_ieq(q->use, pb_strz(uses[i].name)) && (info->attributes & uses[i].attribute) && !(info->attributes & PB_FOLDER_NOSELECT)) {
			pb_buf_addstr(&q->name, info->name);
			return false;
		}
	return true;
}

static int open_target(struct job *j, const json_t *a, struct pb_buf *ret_name, struct pb_folder **ret, struct pb_error *err)
{
	struct use_query q = { pb_text_of(a, "special_use"), PB_BUF };
	int rc;

	if ((!pb_text_of(a, "mailbox_id").len || pb_folder_by_id(j->mailbox, pb_text_of(a, "mailbox_id"), &q.name, NULL)) && q.use.len)
		pb_folder_list(j->mailbox, find_use, &q, NULL);
	pb_buf_addstr(ret_name, q.name.len ? pb_buf_str(&q.name) : pb_text_of(a, "folder"));
	pb_buf_free(&q.name);
	if (public_is(pb_buf_str(ret_name)))
		return pb_fail(err, PB_EDENIED, "\"%s\" is a public folder's name", pb_buf_z(ret_name));
	rc = pb_folder_open(j->mailbox, pb_buf_str(ret_name), ret, err);
	if (rc != PB_ENOTFOUND || !json_is_true(json_object_get(a, "create")))
		return rc;
	rc = pb_folder_create(j->mailbox, pb_buf_str(ret_name), 0, err);
	if (rc && rc != PB_EEXISTS)
		return rc;
	pb_folder_subscribe(j->mailbox, pb_buf_str(ret_name), true, NULL);
	return pb_folder_open(j->mailbox, pb_buf_str(ret_name), ret, err);
}

/* Its flags go along, where the script names none. */
static int copy_to(struct job *j, struct pb_folder *to, const json_t *flags, struct pb_error *err)
{
	json_t *own = flags ? NULL : flag_words(j->view, j->row->flags);
	struct pb_append how = { .flags = flag_bits(to, flags ? flags : own), .date = j->row->date };
	struct pb_str head, rest;
	char room[80];
	int rc = pb_body_parts(j->body, &head, &rest, err);

	how.token = token_of(j, room, sizeof room);
	json_decref(own);
	return rc ? rc : pb_folder_deliver(to, j->body, head, &how, NULL, err);
}

/* Into the folder where it is: that is keep. */
static void do_fileinto(struct job *j, const json_t *a)
{
	struct pb_folder *to;
	struct pb_error err;
	PB_AUTOBUF(id);
	PB_AUTOBUF(name);

	if (open_target(j, a, &name, &to, &err)) {
		failed(j, "fileinto", &err);
		return;
	}
	if (pb_folder_id(to, &id, NULL) == 0 && pb_str_eq(pb_buf_str(&id), pb_strz(j->e->folder)))
		j->keep = true;
	else if (copy_to(j, to, json_object_get(a, "flags"), &err))
		failed(j, "fileinto", &err);
	pb_folder_close(to);
}

/* ---- redirect, notify ---- */

static struct pb_spool *begin(const struct job *j, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(j->plugin->host, 0, err);
	char room[80];

	if (spool)
		pb_spool_name(spool, token_of(j, room, sizeof room));
	return spool;
}

static void send(struct job *j, struct pb_spool *spool, struct pb_str from, struct pb_str to, const char *doing)
{
	struct pb_envelope *env = pb_envelope_new();
	struct pb_error err;
	char id[PB_ID_MAX];

	pb_envelope_sender(env, from);
	pb_envelope_rcpt(env, to)->notify = from.len ? 0 : PB_NOTIFY_NEVER;
	env->mailbox = pb_envelope_copy(env, pb_strz(j->e->mailbox));
	if (pb_queue_accept(j->plugin->host, env, spool, id, &err))
		failed(j, doing, &err);
	pb_envelope_free(env);
}

static void do_redirect(struct job *j, const json_t *a)
{
	struct pb_str head, rest;
	struct pb_spool *spool;
	struct pb_error err = { 0 };

	if (json_is_true(json_object_get(a, "list")))
		pb_fail(&err, PB_EINVALID, "a list is nothing that an IMAP event can redirect to");
	else
		pb_address_parse(pb_text_of(a, "address"), PB_PATH_UTF8, NULL, &err);
	if (err.code) {
		failed(j, "redirect", &err);
		return;
	}
	spool = begin(j, &err);
	if (!spool || pb_body_parts(j->body, &head, &rest, &err)) {
		failed(j, "redirect", &err);
		pb_spool_discard(spool);
		return;
	}
	pb_spool_write(spool, rest.ptr, rest.len);
	send(j, spool, pb_strz(j->e->address), pb_text_of(a, "address"), "redirect");
}

static int hex_of(char c)
{
	return pb_is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* "%40" is "@" (RFC 3986 2.1). */
static void unescape(struct pb_buf *out, struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '%' && i + 2 < s.len && hex_of(s.ptr[i + 1]) >= 0 && hex_of(s.ptr[i + 2]) >= 0) {
			pb_buf_addc(out, (char)(hex_of(s.ptr[i + 1]) * 16 + hex_of(s.ptr[i + 2])));
			i += 2;
		} else {
			pb_buf_addc(out, s.ptr[i]);
		}
	}
}

/* RFC 5436: a letter to the address of a mailto URI; its subject is the script's message, or else the subject of what happened to. */
static void do_notify(struct job *j, const json_t *a)
{
	struct pb_str uri = pb_str_skip(pb_text_of(a, "method"), sizeof "mailto:" - 1), to, head, rest, value;
	struct pb_error err = { 0 };
	struct pb_spool *spool;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(address);

	pb_str_cut(&uri, '?', &to);
	unescape(&address, to);
	to = pb_buf_str(&address);
	if (pb_address_parse(to, PB_PATH_UTF8, NULL, &err) || pb_body_parts(j->body, &head, &rest, &err)) {
		failed(j, "notify", &err);
		return;
	}
	if (pb_text_of(a, "text").len)
		pb_buf_addstr(&subject, pb_text_of(a, "text"));
	else if (pb_header_find(pb_str_head(rest, pb_header_size(rest)), PB_STR("Subject"), &value))
		pb_words_decode(&subject, value);
	for (size_t i = 0; i < subject.len; i++)
		subject.ptr[i] = (unsigned char)subject.ptr[i] < ' ' ? ' ' : subject.ptr[i];
	spool = begin(j, &err);
	if (!spool) {
		failed(j, "notify", &err);
		return;
	}
	pb_letter_write(j->plugin->host, spool,
			&(struct pb_letter){ .from = pb_strz(j->e->address), .to = to, .subject = pb_buf_str(&subject), .text = pb_text_of(a, "text"),
					       .submitted = "auto-notified" });
	send(j, spool, PB_NOSTR, to, "notify");
}

/* ---- all of them ---- */

static void do_nothing(struct job *j, const json_t *a)
{
	(void)j;
	(void)a;
}

static const struct {
	const char *name;
	void (*act)(struct job *j, const json_t *a);
} actions[] = {
	{ "fileinto", do_fileinto }, { "redirect", do_redirect }, { "notify", do_notify }, { "discard", do_nothing },
};

static void act(struct job *j, const json_t *a)
{
	const char *name = json_string_value(json_object_get(a, "do"));
	struct pb_error err = { 0 };

	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (!strcmp(actions[i].name, name)) {
			actions[i].act(j, a);
			return;
		}
	pb_fail(&err, PB_EINVALID, "'%s' is nothing that an IMAP event can do", name);
	failed(j, "action", &err);
}

static void settle(struct job *j, const json_t *decided)
{
	const json_t *a, *list = json_object_get(decided, "actions"), *flags = json_object_get(decided, "flags");
	uint64_t was = (uint64_t)json_integer_value(json_object_get(decided, "was"));
	struct pb_error err;

	j->keep = json_is_true(json_object_get(decided, "keep"));
	json_array_foreach(list, j->action, a)
		act(j, a);
	if (j->keep) {
		if (flags)
			set_flags(j, j->folder, j->row->uid, was, flag_bits(j->folder, flags));
	} else if (!j->failed) {
		set_flags(j, j->folder, j->row->uid, 0, PB_DELETED);
		if (j->plugin->expunge_discarded && pb_folder_expunge(j->folder, &j->row->uid, 1, true, &err))
			failed(j, "expunge", &err);
	}
}

static json_t *parameters(struct job *j)
{
	static const char *const causes[] = { "APPEND", "COPY", "FLAG" };
	const struct event *e = j->e;
	json_t *params = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "scope", "imap", "mailbox", e->mailbox, "postoffice", e->postoffice, "recipient", e->address,
				   "user", e->address, "script", e->script, "cause", causes[e->cause], "folder", pb_buf_z(&j->name));

	json_object_set_new(params, "flags", flag_words(j->view, j->row->flags));
	json_object_set_new(params, "changed_flags", joined(flag_words(j->view, j->m->changed)));
	return params;
}

/* Whatever it keeps as it is needs nothing to be done. */
static bool wants_something(const json_t *decided)
{
	return !json_is_true(json_object_get(decided, "keep")) || json_array_size(json_object_get(decided, "actions")) || json_object_get(decided, "flags");
}

/* *ret: what is to be done, or NULL. False: nobody runs scripts now. */
static bool decide(struct job *j, json_t **ret)
{
	struct pb_envelope *env = pb_envelope_new();
	char room[80];
	struct pb_subject about = { .id = token_of(j, room, sizeof room), .envelope = env, .body = j->body };
	json_t *params = parameters(j), *result = NULL;
	struct pb_error err = { 0 };
	int rc = pb_call_about(j->plugin->host, &about, "filter.run", params, &result, &err);

	if (rc && rc != PB_EUNAVAILABLE)
		failed(j, "script", &err);
	if (!rc && json_is_true(json_object_get(result, "ran"))) {
		pb_count(j->plugin->host, "events", 1);
		if (wants_something(result)) {
			*ret = json_pack("{s:O*, s:O*, s:O*, s:I}", "keep", json_object_get(result, "keep"), "actions", json_object_get(result, "actions"), "flags",
					 json_object_get(result, "flags"), "was", (json_int_t)j->row->flags);
		}
	}
	pb_subject_clear(&about);
	json_decref(params);
	json_decref(result);
	pb_envelope_free(env);
	return rc != PB_EUNAVAILABLE;
}

static bool run(struct job *j, struct event_rows *rows, struct event *e)
{
	struct pb_error err;

	if (!e->decided) {
		if (!decide(j, &e->decided))
			return false;
		if (e->decided && event_rows_mark(rows, e, &err))
			failed(j, "decided", &err);
	}
	if (e->decided)
		settle(j, e->decided);
	return true;
}

bool event_run(struct imap_plugin *plugin, struct event_rows *rows, struct event *e)
{
	struct job j = { .plugin = plugin, .e = e, .m = &e->messages[e->at], .name = PB_BUF };
	bool there = true;
	uint32_t seq = 0;

	if (pb_mailbox_open(plugin->host, pb_strz(e->mailbox), &j.mailbox, NULL) == 0) {
		if (!pb_folder_by_id(j.mailbox, pb_strz(e->folder), &j.name, NULL) && !pb_folder_open(j.mailbox, pb_buf_str(&j.name), &j.folder, NULL) &&
		    !pb_folder_view(j.folder, &j.view, NULL))
			seq = pb_view_find(j.view, j.m->uid);
		if (seq && !pb_view_body(j.view, seq, &j.body, NULL)) {
			j.row = pb_view_row(j.view, seq);
			there = run(&j, rows, e);
			pb_body_release(j.body);
		}
		pb_view_release(j.view);
		pb_folder_close(j.folder);
		pb_mailbox_close(j.mailbox);
	}
	pb_buf_free(&j.name);
	if (there) {
		json_decref(e->decided);
		e->decided = NULL;
	}
	return there;
}
