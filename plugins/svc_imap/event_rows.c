/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Events on disk, in the table "events": "e/<number>" is an event, written before its command is answered; "s/<number>" how far it is, and what its script wants for
 * the next message. Both go when it is done. Which events wait, and who works for them, is event.c's business.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "event.h"

enum { KEY = 2 + 16 };

struct event_rows {
	struct pb_table *table;
	pthread_mutex_t lock;
	uint64_t next;			/* number */
};

int event_rows_open(struct pb_host *host, struct event_rows **ret, struct pb_error *err)
{
	struct event_rows *rows = pb_alloc(sizeof *rows);
	int rc = pb_table_open(host, "events", &rows->table, err);

	if (rc) {
		free(rows);
		return rc;
	}
	pthread_mutex_init(&rows->lock, NULL);
	rows->next = 1;
	*ret = rows;
	return 0;
}

void event_rows_close(struct event_rows *rows)
{
	if (!rows)
		return;
	pb_table_close(rows->table);
	pthread_mutex_destroy(&rows->lock);
	free(rows);
}

static struct pb_str key_of(char *room, char kind, uint64_t number)
{
	snprintf(room, KEY + 1, "%c/%016" PRIx64, kind, number);
	return pb_str(room, KEY);
}

/* ---- an event as text ---- */

static json_t *event_json(const struct event *e)
{
	json_t *messages = json_array();

	for (size_t i = 0; i < e->n; i++) {
		json_array_append_new(messages, json_integer(e->messages[i].uid));
		json_array_append_new(messages, json_integer((json_int_t)e->messages[i].changed));
	}
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "cause", (int)e->cause, "mailbox", e->mailbox, "folder", e->folder, "script", e->script, "address", e->address,
			 "postoffice", e->postoffice, "token", e->token, "messages", messages);
}

static struct event *event_of(const json_t *o)
{
	const char *mailbox, *folder, *script, *address, *postoffice, *token;
	struct event *e;
	json_t *messages;
	int cause;

	if (json_unpack((json_t *)o, "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "cause", &cause, "mailbox", &mailbox, "folder", &folder, "script", &script, "address", &address,
			"postoffice", &postoffice, "token", &token, "messages", &messages) ||
	    cause < EVENT_APPEND || cause > EVENT_FLAG || strlen(token) != EVENT_TOKEN || !json_array_size(messages))
		return NULL;
	e = pb_alloc(sizeof *e);
	e->cause = (enum event_cause)cause;
	e->mailbox = pb_str_dup(pb_strz(mailbox));
	e->folder = pb_str_dup(pb_strz(folder));
	e->script = pb_str_dup(pb_strz(script));
	e->address = pb_str_dup(pb_strz(address));
	e->postoffice = pb_str_dup(pb_strz(postoffice));
	memcpy(e->token, token, EVENT_TOKEN);
	e->n = json_array_size(messages) / 2;
	e->messages = pb_alloc(e->n * sizeof *e->messages);
	for (size_t i = 0; i < e->n; i++) {
		e->messages[i].uid = (uint32_t)json_integer_value(json_array_get(messages, 2 * i));
		e->messages[i].changed = (uint64_t)json_integer_value(json_array_get(messages, 2 * i + 1));
	}
	return e;
}

/* ---- writing ---- */

int event_rows_add(struct event_rows *rows, struct event *list, size_t n, struct pb_error *err)
{
	struct pb_change *changes = pb_alloc(n * sizeof *changes);
	char (*keys)[KEY + 1] = pb_alloc(n * sizeof *keys);
	size_t k = 0;
	int rc;

	pthread_mutex_lock(&rows->lock);
	for (struct event *e = list; e; e = e->next)
		e->number = rows->next++;
	pthread_mutex_unlock(&rows->lock);
	for (struct event *e = list; e; e = e->next, k++) {
		unsigned char random[EVENT_TOKEN / 2];
		PB_AUTOBUF(token);
		json_t *o;
		char *text;

		pb_random(random, sizeof random);
		pb_hex_encode(&token, pb_str((char *)random, sizeof random));
		memcpy(e->token, token.ptr, EVENT_TOKEN);
		o = event_json(e);
		text = json_dumps(o, JSON_COMPACT);
		json_decref(o);
		changes[k] = (struct pb_change){ PB_PUT, key_of(keys[k], 'e', e->number), pb_strz(text) };
	}
	rc = pb_table_apply(rows->table, changes, n, err);
	for (k = 0; k < n; k++)
		free((char *)(uintptr_t)changes[k].value.ptr);
	free(changes);
	free(keys);
	return rc;
}

int event_rows_mark(struct event_rows *rows, const struct event *e, struct pb_error *err)
{
	char key[KEY + 1];
	json_t *o = json_pack("{s:I}", "at", (json_int_t)e->at);
	char *text;
	int rc;

	if (e->decided)
		json_object_set(o, "decided", e->decided);
	text = json_dumps(o, JSON_COMPACT);
	rc = pb_table_apply(rows->table, &(struct pb_change){ PB_PUT, key_of(key, 's', e->number), pb_strz(text) }, 1, err);
	free(text);
	json_decref(o);
	return rc;
}

int event_rows_remove(struct event_rows *rows, const struct event *e, struct pb_error *err)
{
	char event[KEY + 1], state[KEY + 1];
	struct pb_change changes[] = {
		{ PB_DELETE, key_of(event, 'e', e->number), PB_NOSTR },
		{ PB_DELETE, key_of(state, 's', e->number), PB_NOSTR },
	};

	return pb_table_apply(rows->table, changes, 2, err);
}

/* ---- reading ---- */

struct page {
	struct event *first, **end;
	char last[KEY + 1];
	size_t n;
	bool broken;
};

static bool read_row(void *arg, struct pb_str key, struct pb_str value)
{
	struct page *p = arg;
	json_t *o = json_loadb(value.ptr, value.len, 0, NULL);
	struct event *e = o ? event_of(o) : NULL;

	json_decref(o);
	p->n++;
	p->broken = !e || key.len != KEY || sscanf(key.ptr + 2, "%16" SCNx64, &e->number) != 1;
	if (p->broken) {
		event_free(e);
		return false;
	}
	memcpy(p->last, key.ptr, KEY);
	*p->end = e;
	p->end = &e->next;
	return true;
}

static int read_state(struct event_rows *rows, struct event *e, struct pb_error *err)
{
	char key[KEY + 1];
	PB_AUTOBUF(value);
	int rc = pb_table_get(rows->table, key_of(key, 's', e->number), &value, err);
	json_t *o;

	if (rc)
		return rc == PB_ENOTFOUND ? 0 : rc;
	o = json_loadb(value.ptr, value.len, 0, NULL);
	e->at = (size_t)json_integer_value(json_object_get(o, "at"));
	e->decided = json_incref(json_object_get(o, "decided"));
	json_decref(o);
	return e->at < e->n ? 0 : pb_fail(err, PB_ECORRUPT, "the row %s is none of an event on IMAP", key);
}

int event_rows_load(struct event_rows *rows, void (*put)(void *arg, struct event *e), void *arg, struct pb_error *err)
{
	struct page p = { .last = "e/" };
	int rc = 0;

	do {
		char from[KEY + 2] = "";

		p.first = NULL;
		p.end = &p.first;
		p.n = 0;
		/* behind the last one: the smallest key that is longer */
		memcpy(from, p.last, strlen(p.last) + 1);
		rc = pb_table_scan(rows->table, pb_str(from, strlen(from) + (strlen(from) == KEY)), PB_STR("e0"), 100, read_row, &p, err);
		if (!rc && p.broken)
			rc = pb_fail(err, PB_ECORRUPT, "a row behind %s is no event on IMAP", p.last);
		for (struct event *e = p.first, *next; e; e = next) {
			next = e->next;
			e->next = NULL;
			rc = rc ? rc : read_state(rows, e, err);
			rows->next = e->number + 1;
			if (rc)
				event_free(e);
			else
				put(arg, e);
		}
	} while (!rc && p.n);
	return rc;
}
