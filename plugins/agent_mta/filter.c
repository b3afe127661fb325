/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The server's filters on a message that passes: agent_filter runs them, once in a message's life here; what they want is taken down first and done then.
 * What can fail is done before anything is changed, so that a message whose turn fails meets its filters again as it was. Without agent_filter there are none.
 */
#include <stdio.h>
#include <string.h>
#include <postbus/message.h>
#include "mta.h"

enum { SENDS_MAX = 32, PASSES_MAX = 3 };

/* What the filters want. */
struct wishes {
	struct passage *p;
	json_t *answer;				/* filter.run */
	struct pb_subject about;		/* with versions of the message (RFC 5293 6) */
	json_int_t version;			/* the one that goes on; 0: as it came */
	bool keep;
	json_t *folders;			/* the note, or NULL */
	json_t *others;				/* folders where it is another version, or NULL */
	const json_t *redirects[SENDS_MAX], *notices[SENDS_MAX];
	size_t nredirects, nnotices;
	const json_t *programs[SENDS_MAX];
	size_t nprograms;
	char reply[400];			/* refused: what the sender hears; empty: not */
	const json_t *quarantine;		/* the action, or NULL */
	bool junk, has_priority, elsewhere;	/* elsewhere: in a public folder */
	int priority;
};

static bool is_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* ---- what is known of the way ---- */

static bool is_outside(const json_t *route)
{
	struct pb_str kind = pb_text_of(route, "kind");

	return pb_str_eq(kind, PB_STR("remote")) || pb_str_eq(kind, PB_STR("connector"));
}

bool is_leaving(const struct passage *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (is_outside(p->stops[i].route))
			return true;
	return false;
}

struct pb_str connector_of(struct pb_item *item)
{
	struct pb_str lane = pb_strz(pb_item_lane(item)), was = pb_text_of(pb_item_envelope(item)->notes, "connector");

	if (pb_str_ends(lane, PB_STR(".inbound")))
		lane.len -= 8;
	return was.len ? was : lane;
}

const char *direction_of(const struct passage *p)
{
	const struct pb_envelope *env = pb_item_envelope(p->item);

	return is_leaving(p) ? "out" : env->user.len || !env->client.len ? "local" : "in";
}

/* Is it said in a Received field that this host took the message? */
static bool is_ours(struct pb_str received, struct pb_str host)
{
	PB_AUTOBUF(by);
	PB_AUTOBUF(line);
	struct pb_str text, rest;
	long at;

	pb_unfold(&line, pb_str_head(received, 4096));
	text = pb_buf_str(&line);
	pb_buf_addz(&by, "by ");
	pb_buf_addstr(&by, host);
	at = pb_str_isearch(text, pb_buf_str(&by), 0);
	if (at < 0 || (at > 0 && !pb_is_blank(text.ptr[at - 1])))
		return false;
	rest = pb_str_skip(text, (size_t)at + by.len);
	return !rest.len || pb_is_blank(rest.ptr[0]) || rest.ptr[0] == ';';
}

/* What went out of here and came back that often goes in a circle, whoever sends it round. */
static bool is_circling(struct passage *p)
{
	struct pb_str head, rest;
	struct pb_field field;
	unsigned passes = 0;

	if (pb_body_parts(pb_item_body(p->item), &head, &rest, NULL))
		return false;
	rest = pb_str_head(rest, pb_header_size(rest));
	while (passes <= PASSES_MAX && pb_header_next(&rest, &field))
		if (pb_str_ieq(field.name, PB_STR("Received")) && is_ours(field.value, pb_hostname(p->mta->host)))
			passes++;
	return passes > PASSES_MAX;
}

/* ---- one action each ---- */

static json_int_t version_of(const json_t *entry)
{
	return json_integer_value(json_object_get(entry, "version"));
}

static void want_folder(struct wishes *w, const json_t *a)
{
	static const char *const keys[] = { "folder", "mailbox_id", "special_use", "create", "flags", "public", "version" };
	json_t *place = json_object();

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (json_object_get(a, keys[i]))
			json_object_set(place, keys[i], json_object_get(a, keys[i]));
	if (!w->folders)
		w->folders = json_array();
	if (json_array_size(w->folders) < SENDS_MAX)
		json_array_append(w->folders, place);
	json_decref(place);
}

static void want_copy_public(struct wishes *w, const json_t *a)
{
	json_t *place = json_pack("{s:O, s:b, s:b, s:I}", "folder", json_object_get(a, "argument"), "create", 1, "public", 1, "version", version_of(a));

	want_folder(w, place);
	json_decref(place);
}

/* Instead of where it would have been kept. */
static void want_public(struct wishes *w, const json_t *a)
{
	want_copy_public(w, a);
	w->elsewhere = true;
}

static void want_redirect(struct wishes *w, const json_t *a)
{
	if (w->nredirects < SENDS_MAX)
		w->redirects[w->nredirects++] = a;
}

static void want_notice(struct wishes *w, const json_t *a)
{
	if (w->nnotices < SENDS_MAX)
		w->notices[w->nnotices++] = a;
}

static void want_reject(struct wishes *w, const json_t *a)
{
	int n = snprintf(w->reply, sizeof w->reply, "550 5.7.1 %.*s", PB_FMT(pb_str_head(pb_text_of(a, "text"), 300)));

	for (int i = 0; i < n && i < (int)sizeof w->reply - 1; i++)
		if ((unsigned char)w->reply[i] < 32)
			w->reply[i] = ' ';
}

static void want_junk(struct wishes *w, const json_t *a)
{
	(void)a;
	w->junk = true;
}

static void want_program(struct wishes *w, const json_t *a)
{
	if (w->nprograms < SENDS_MAX)
		w->programs[w->nprograms++] = a;
}

static void want_quarantine(struct wishes *w, const json_t *a)
{
	w->quarantine = a;
}

static void want_nothing(struct wishes *w, const json_t *a)
{
	(void)w;
	(void)a;
}

static void want_priority(struct wishes *w, const json_t *a)
{
	struct pb_str word = pb_text_of(a, "argument");

	w->has_priority = true;
	w->priority = pb_str_ieq(word, PB_STR("high")) ? 4 : pb_str_ieq(word, PB_STR("low")) ? -4 : 0;
}

static const struct {
	const char *name;
	void (*want)(struct wishes *w, const json_t *a);
} actions[] = {
	{ "fileinto", want_folder }, { "redirect", want_redirect }, { "notify", want_notice }, { "reject", want_reject }, { "ereject", want_reject },
	{ "discard", want_nothing }, { "spam", want_junk }, { "priority", want_priority },
	{ "run", want_program }, { "public_folder", want_public }, { "copy_public_folder", want_copy_public }, { "quarantine", want_quarantine },
};

static void take_action(struct wishes *w, const json_t *a)
{
	static const char *const objects[] = { "argument", "folder", "address", "method" };
	struct pb_str name = pb_text_of(a, "do"), object = PB_NOSTR;

	for (size_t i = 0; i < sizeof objects / sizeof *objects && !object.len; i++)
		object = pb_str_head(pb_text_of(a, objects[i]), 200);
	pb_item_note(w->p->item, "filter", "global %.*s%s%.*s", PB_FMT(pb_str_head(name, 64)), object.len ? " " : "", PB_FMT(object));
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (pb_str_eq(name, pb_strz(actions[i].name))) {
			actions[i].want(w, a);
			return;
		}
	pb_item_note(w->p->item, "filter.unknown", "%.*s is nothing that the MTA can do", PB_FMT(pb_str_head(name, 64)));
}

/* The message goes on as one version: that which is kept, or else what the first folder or address gets. Folders with another are for messages of their own. */
static void part_folders(struct wishes *w)
{
	json_t *place, *all = w->folders;
	size_t i;

	w->version = version_of(w->keep ? w->answer : all ? json_array_get(all, 0) : w->redirects[0]);
	w->folders = NULL;
	json_array_foreach(all, i, place) {
		json_t **list = version_of(place) == w->version ? &w->folders : &w->others;

		if (!*list)
			*list = json_array();
		json_array_append(*list, place);
		if (list == &w->folders)
			json_object_del(place, "version");
	}
	json_decref(all);
}

/* Where it is kept: in INBOX, or where whoever brought it said. */
static void want_kept(struct wishes *w, const json_t *flags)
{
	const json_t *said = json_object_get(pb_item_envelope(w->p->item)->notes, "folders");
	size_t i = 0;

	do {
		json_t *kept = json_pack("{s:O*, s:I}", "flags", flags, "version", version_of(w->answer));

		if (i < json_array_size(said))
			json_object_update_missing(kept, json_array_get(said, i));
		want_folder(w, kept);
		json_decref(kept);
	} while (++i < json_array_size(said));
}

static void take_answer(struct wishes *w)
{
	const json_t *a, *list = json_object_get(w->answer, "actions"), *flags = json_object_get(w->answer, "flags");
	size_t i;

	w->keep = is_true(w->answer, "keep");
	json_array_foreach(list, i, a)
		take_action(w, a);
	if (w->keep && !w->elsewhere && (w->folders || json_array_size(flags)))
		want_kept(w, flags);
	if (w->nredirects && is_circling(w->p)) {
		pb_item_note(w->p->item, "redirect.loop", "it has come through here more than %d times; it is not sent on again", PASSES_MAX);
		w->nredirects = 0;
		w->keep = true;
	}
	part_folders(w);
	if (json_object_get(w->answer, "fault"))
		pb_item_note(w->p->item, "filter.fault", "%.*s", PB_FMT(pb_str_head(pb_text_of(w->answer, "fault"), 300)));
}

/* ---- doing it ---- */

static int set_body(struct wishes *w, struct pb_error *err)
{
	struct passage *p = w->p;
	struct pb_spool *changed = w->version ? w->about.versions[w->version - 1] : NULL, *marked;
	struct pb_str head = PB_NOSTR, bytes;
	int rc;

	if (w->junk && is_leaving(p)) {		/* a field before the copy is for mailboxes of this house alone */
		rc = changed ? pb_spool_view(changed, &bytes, err) : pb_body_parts(pb_item_body(p->item), &head, &bytes, err);
		if (rc)
			return rc;
		marked = pb_spool_begin(p->mta->host, 0, err);
		if (!marked)
			return err->code;
		pb_spool_write(marked, "X-Spam-Flag: YES\r\n", 18);
		pb_spool_write(marked, bytes.ptr, bytes.len);
		return pb_item_set_body(p->item, marked, err);
	}
	if (!changed)
		return 0;
	w->about.versions[w->version - 1] = NULL;
	return pb_item_set_body(p->item, changed, err);
}

/* Another version than the one that goes on, as a message of its own. what and to whom make its id, so that it enters once. */
static int inject_version(struct wishes *w, const struct pb_envelope *env, json_int_t version, const char *what, struct pb_str whom, struct pb_error *err)
{
	PB_AUTOBUF(token);
	struct pb_spool *spool;
	struct pb_str bytes;
	int rc = version ? pb_spool_view(w->about.versions[version - 1], &bytes, err) : pb_body_view(w->about.body, &bytes, err);

	if (rc)
		return rc;
	spool = pb_spool_begin(w->p->mta->host, 0, err);
	if (!spool)
		return err->code;
	pb_buf_addf(&token, "%s/%s/%d/%.*s", what, pb_item_id(w->p->item), (int)version, PB_FMT(whom));
	pb_spool_name(spool, pb_buf_str(&token));
	pb_spool_write(spool, bytes.ptr, bytes.len);
	return pb_item_inject(w->p->item, env, spool, err);
}

/* Recipients of this house alone have folders. That theirs arrived is reported for the message itself. */
static int file_version(struct wishes *w, json_int_t version, json_t *folders, struct pb_error *err)
{
	struct pb_envelope *env = pb_envelope_dup(pb_item_envelope(w->p->item), false);
	int rc = 0;

	json_object_set(env->notes, "folders", folders);
	for (size_t i = 0; i < w->p->n; i++) {
		const struct pb_rcpt *was = pb_recipient_rcpt(w->p->stops[i].to);
		struct pb_rcpt *rcpt;

		if (!w->p->stops[i].route || is_outside(w->p->stops[i].route))
			continue;
		rcpt = pb_envelope_rcpt(env, was->address);
		rcpt->orcpt = pb_envelope_copy(env, was->orcpt);
		rcpt->notify = was->notify == PB_NOTIFY_SUCCESS ? PB_NOTIFY_NEVER : was->notify & ~(unsigned)PB_NOTIFY_SUCCESS;
	}
	if (env->nrcpts)
		rc = inject_version(w, env, version, "fileinto", PB_NOSTR, err);
	pb_envelope_free(env);
	return rc;
}

static int file_others(struct wishes *w, struct pb_error *err)
{
	int rc = 0;

	while (json_array_size(w->others) && !rc) {
		json_int_t version = version_of(json_array_get(w->others, 0));
		json_t *folders = json_array(), *rest = json_array(), *place;
		size_t i;

		json_array_foreach(w->others, i, place)
			json_array_append(version_of(place) == version ? folders : rest, place);
		json_decref(w->others);
		w->others = rest;
		rc = file_version(w, version, folders, err);
		json_decref(folders);
	}
	return rc;
}

/* RFC 6009: "never", or a list of success, failure, delay. */
static unsigned notify_of(struct pb_str words)
{
	static const struct { const char *name; unsigned bit; } all[] = {
		{ "never", PB_NOTIFY_NEVER }, { "success", PB_NOTIFY_SUCCESS }, { "failure", PB_NOTIFY_FAILURE }, { "delay", PB_NOTIFY_DELAY },
	};
	struct pb_str word;
	unsigned bits = 0;

	while (pb_str_cut(&words, ',', &word))
		for (size_t i = 0; i < 4; i++)
			if (pb_str_ieq(pb_str_trim(word), pb_strz(all[i].name)))
				bits |= all[i].bit;
	return bits;
}

/* Where it leaves the house, the sender becomes one of ours, if the post office of the first recipient wants that. */
static int rewrite_sender(struct wishes *w, struct pb_str next, struct pb_envelope *env, struct pb_error *err)
{
	const struct pb_envelope *was = pb_item_envelope(w->p->item);
	struct pb_str recipient = was->nrcpts ? was->rcpts[0]->address : PB_NOSTR;
	json_t *ask, *found = NULL;
	int rc;

	if (!was->sender.len || !recipient.len)
		return 0;
	ask = json_pack("{s:s%, s:s%, s:s%}", "sender", was->sender.ptr, was->sender.len, "recipient", recipient.ptr, recipient.len, "next", next.ptr, next.len);
	rc = pb_call(w->p->mta->host, "srs.encode", ask, &found, err);
	if (!rc)
		pb_envelope_sender(env, pb_text_of(found, "address"));
	json_decref(ask);
	json_decref(found);
	return rc == PB_EUNAVAILABLE ? 0 : rc;	/* nobody here rewrites */
}

static int redirect(struct wishes *w, const json_t *a, struct pb_error *err)
{
	struct pb_envelope *env = pb_envelope_dup(pb_item_envelope(w->p->item), false);
	int rc = rewrite_sender(w, pb_text_of(a, "address"), env, err);

	pb_envelope_rcpt(env, pb_text_of(a, "address"))->notify = notify_of(pb_text_of(a, "notify"));
	if (pb_text_of(a, "ret").len)
		env->ret_headers = pb_str_ieq(pb_text_of(a, "ret"), PB_STR("HDRS"));
	if (json_is_true(json_object_get(a, "deliver_or_return")))	/* RFC 6009; conn_smtp keeps it */
		json_object_set(env->notes, "deliver_by", json_object_get(a, "deliver_by"));
	if (!rc)
		rc = version_of(a) == w->version ? pb_item_redirect(w->p->item, env, err) : inject_version(w, env, version_of(a), "redirect", pb_text_of(a, "address"), err);
	pb_envelope_free(env);
	return rc;
}

static void write_notes(struct wishes *w)
{
	json_t *notes = pb_item_envelope(w->p->item)->notes, *headers;

	json_object_set_new(notes, "filtered", json_true());
	if (w->folders)
		json_object_set(notes, "folders", w->folders);
	if (w->has_priority)
		pb_item_set_priority(w->p->item, w->priority);
	if (!w->junk)
		return;
	json_object_set_new(notes, "spam", json_true());
	if (is_leaving(w->p))
		return;
	headers = json_object_get(notes, "headers") ? json_deep_copy(json_object_get(notes, "headers")) : json_array();
	json_array_append_new(headers, json_string("X-Spam-Flag: YES"));
	json_object_set_new(notes, "headers", headers);
}

static int keep_back(struct wishes *w, struct pb_error *err)
{
	struct pb_item *item = w->p->item;
	struct pb_subject about = { .id = pb_strz(pb_item_id(item)), .envelope = pb_item_envelope(item), .body = pb_item_body(item) };
	struct pb_str reason = pb_text_of(w->quarantine, "argument");

	return quarantine_add(w->p->mta, &about, NULL, reason.len ? reason : PB_STR("a filter of the server"), PB_STR("filter"), err);
}

/* 1: settled. */
static int carry_out(struct wishes *w, struct pb_error *err)
{
	struct pb_item *item = w->p->item;
	int rc = w->quarantine ? keep_back(w, err) : 0;

	for (size_t i = 0; i < w->nprograms && !rc; i++)
		rc = run_program(w->p, w->programs[i], err);
	for (size_t i = 0; i < w->nnotices && !rc; i++)
		rc = send_notice(w->p, w->notices[i], err);
	if (!rc)
		rc = set_body(w, err);
	if (rc)
		return rc;
	write_notes(w);
	for (size_t i = 0; i < w->nredirects && !rc; i++)
		rc = redirect(w, w->redirects[i], err);
	if (!rc && !w->quarantine && !w->reply[0])
		rc = file_others(w, err);
	if (rc)
		return rc;
	if (w->quarantine)
		settle_all(item, pb_dropped, "in quarantine");
	else if (w->reply[0])
		settle_all(item, fail_one, w->reply);
	else if (!w->keep && !w->folders)
		settle_all(item, pb_dropped, w->nredirects ? "sent on by a filter" : "discarded by a filter");
	else
		return 0;
	return 1;
}

/* ---- the run ---- */

static int run(struct passage *p, struct wishes *w, struct pb_error *err)
{
	struct pb_str connector = connector_of(p->item);
	json_t *params = json_object();
	int rc;

	json_object_set_new(params, "scope", json_string("global"));
	json_object_set_new(params, "direction", json_string(direction_of(p)));
	json_object_set_new(params, "connector", json_stringn(connector.ptr, connector.len));
	rc = pb_call_about(p->mta->host, &w->about, "filter.run", params, &w->answer, err);
	json_decref(params);
	return rc;
}

int filter_message(struct passage *p, struct pb_error *err)
{
	struct wishes w = { .p = p, .about = { .id = pb_strz(pb_item_id(p->item)), .envelope = pb_item_envelope(p->item), .body = pb_item_body(p->item) } };
	int rc;

	if (json_object_get(pb_item_envelope(p->item)->notes, "filtered"))
		return 0;
	rc = run(p, &w, err);
	if (rc == PB_EUNAVAILABLE)
		return 0;
	if (!rc && is_true(w.answer, "ran")) {
		pb_count(p->mta->host, "filtered", 1);
		take_answer(&w);
		rc = carry_out(&w, err);
	}
	if (rc < 0)
		pb_because(err, "filtering");
	pb_subject_clear(&w.about);
	json_decref(w.folders);
	json_decref(w.others);
	json_decref(w.answer);
	return rc;
}
