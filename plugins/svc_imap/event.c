/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raising events, and the queue in which they wait: in memory, as event_rows.c has it on disk. It is bounded in messages: where too many wait, further ones run no
 * script, and the log says so. What a script does raises no events.
 */
#include <pthread.h>
#include <stdlib.h>
#include "event.h"
#include "public.h"
#include "view.h"

enum { SLICE = 20, ASK_AGAIN = 10 };	/* messages that a worker takes in one go; seconds for which it is known whether there are filters */

struct events {
	struct imap_plugin *plugin;
	struct event_rows *rows;	/* since the start */
	pthread_mutex_t lock;
	struct event *first, **end;
	size_t waiting;			/* messages */
	unsigned workers;
	bool stopped;
	struct pb_buf server;		/* config's sieve_server, or empty */
	_Atomic int64_t asked;		/* ticks */
	_Atomic bool there;		/* agent_filter answers */
};

struct events *events_new(struct imap_plugin *plugin)
{
	struct events *all = pb_alloc(sizeof *all);

	all->plugin = plugin;
	all->end = &all->first;
	all->server = (struct pb_buf)PB_BUF;
	pthread_mutex_init(&all->lock, NULL);
	return all;
}

void events_configure(struct events *all)
{
	pthread_mutex_lock(&all->lock);
	pb_buf_reset(&all->server);
	pb_buf_addstr(&all->server, pb_config_str(all->plugin->host, "sieve_server"));
	pthread_mutex_unlock(&all->lock);
}

void event_free(struct event *e)
{
	if (!e)
		return;
	free(e->mailbox);
	free(e->folder);
	free(e->script);
	free(e->address);
	free(e->postoffice);
	free(e->messages);
	json_decref(e->decided);
	free(e);
}

static void free_list(struct event *list)
{
	for (struct event *next; list; list = next) {
		next = list->next;
		event_free(list);
	}
}

void events_stop(struct events *all)
{
	pthread_mutex_lock(&all->lock);
	all->stopped = true;
	pthread_mutex_unlock(&all->lock);
}

void events_free(struct events *all)
{
	if (!all)
		return;
	free_list(all->first);
	event_rows_close(all->rows);
	pb_buf_free(&all->server);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

/* ---- the queue ---- */

/* Lock: the first event whose mailbox nobody works for. */
static struct event *take(struct events *all)
{
	for (struct event *e = all->first; e && !all->stopped; e = e->next) {
		bool busy = e->busy;

		for (struct event *before = all->first; !busy && before != e; before = before->next)
			busy = !strcmp(before->mailbox, e->mailbox);
		if (busy)
			continue;
		e->busy = true;
		return e;
	}
	return NULL;
}

/* Lock. What is done leaves; what is not goes on later. */
static void put_back(struct events *all, struct event *e)
{
	struct event **at = &all->first;

	e->busy = false;
	if (e->at < e->n)
		return;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	if (!e->next)
		all->end = at;
	event_free(e);
}

/* What is done so far; the log says where the disk does not know, for then it may be done again. */
static void mark(struct events *all, struct event *e)
{
	struct pb_error err;

	if (e->at < e->n ? event_rows_mark(all->rows, e, &err) : event_rows_remove(all->rows, e, &err))
		pb_log(all->plugin->host, PB_ERROR, "event.unmarked", "mailbox=%s script=%s code=%s reason=%s", e->mailbox, pb_logq(pb_strz(e->script)), pb_code_name(err.code),
		       pb_logq(pb_strz(err.text)));
}

/* A slice, and then another worker may have its turn: sessions wait for them too. */
static void work(void *self, void *arg)
{
	struct imap_plugin *plugin = self;
	struct events *all = plugin->events;
	bool there = true;
	struct event *e;

	(void)arg;
	pthread_mutex_lock(&all->lock);
	e = take(all);
	if (e) {
		size_t from = e->at, to = e->n - from > SLICE ? from + SLICE : e->n;

		pthread_mutex_unlock(&all->lock);
		while (e->at < to && there) {
			there = event_run(plugin, all->rows, e);
			e->at += there;
		}
		if (e->at > from)
			mark(all, e);
		pthread_mutex_lock(&all->lock);
		all->waiting -= e->at - from;
		put_back(all, e);
	}
	if (!e || !there || pb_work(plugin->host, work, NULL, NULL))
		all->workers--;
	pthread_mutex_unlock(&all->lock);
}

/* Lock. */
static void begin(struct events *all)
{
	if (!all->stopped && all->workers < all->plugin->event_workers && pb_work(all->plugin->host, work, NULL, NULL) == 0)
		all->workers++;
}

static void queue(void *arg, struct event *e)
{
	struct events *all = arg;

	pthread_mutex_lock(&all->lock);
	*all->end = e;
	all->end = &e->next;
	begin(all);
	pthread_mutex_unlock(&all->lock);
}

static void resume(void *arg, struct event *e)
{
	struct events *all = arg;

	all->waiting += e->n - e->at;	/* nobody else is there yet */
	*all->end = e;
	all->end = &e->next;
}

int events_start(struct events *all, struct pb_error *err)
{
	int rc = event_rows_open(all->plugin->host, &all->rows, err);

	if (!rc)
		rc = event_rows_load(all->rows, resume, all, err);
	if (rc || !all->first)
		return rc;
	pb_log(all->plugin->host, PB_INFO, "event.resumed", "messages=%zu", all->waiting);
	events_tick(all);
	return 0;
}

void events_tick(struct events *all)
{
	pthread_mutex_lock(&all->lock);
	if (all->first)
		begin(all);
	pthread_mutex_unlock(&all->lock);
}

/* Takes the list over: events of n messages. Durable when it returns, or the log says that it is not. */
static void put(struct events *all, struct event *list, size_t count, size_t n)
{
	size_t most = all->plugin->events_max;
	struct pb_error err;
	bool full;

	pthread_mutex_lock(&all->lock);
	full = all->waiting + n > most;	/* one of the last commands before the end: the next start takes it up */
	if (!full)
		all->waiting += n;
	pthread_mutex_unlock(&all->lock);
	if (full) {
		pb_log(all->plugin->host, PB_WARNING, "event.dropped", "messages=%zu reason=full", n);
		pb_count(all->plugin->host, "events_dropped", (int64_t)n);
		free_list(list);
		return;
	}
	if (event_rows_add(all->rows, list, count, &err))
		pb_log(all->plugin->host, PB_ERROR, "event.unmarked", "mailbox=%s script=%s code=%s reason=%s", list->mailbox, pb_logq(pb_strz(list->script)),
		       pb_code_name(err.code), pb_logq(pb_strz(err.text)));
	for (struct event *next; list; list = next) {
		next = list->next;
		list->next = NULL;
		queue(all, list);
	}
}

/* ---- raising ---- */

bool event_is_wanted(struct pb_session *s)
{
	return imap_plugin_of(s)->filter_events && pb_annotations_count(imap_of(s)->mailbox) > 0 && pb_is_provided(pb_session_host(s), "filter.run");
}

/* RFC 6785 2.3.1: the folder's own, else the mailbox's; an empty name means none. Malloced, or NULL. */
static char *script_of(struct pb_mailbox *mb, struct pb_str folder)
{
	static const char entry[] = "/shared/imapsieve/script";
	PB_AUTOBUF(name);

	if (pb_annotation_get(mb, folder, pb_strz(entry), &name, NULL) && pb_annotation_get(mb, PB_NOSTR, pb_strz(entry), &name, NULL))
		return NULL;
	return name.len && !memchr(name.ptr, '\0', name.len) && pb_utf8_valid(pb_buf_str(&name)) ? pb_str_dup(pb_buf_str(&name)) : NULL;
}

/* Its id: an event finds the folder by it, also where it got another name meanwhile. Malloced, or NULL: it is gone. */
static char *folder_id(struct pb_mailbox *mb, struct pb_str name)
{
	struct pb_folder *f;
	PB_AUTOBUF(id);
	int rc;

	if (pb_folder_open(mb, name, &f, NULL))
		return NULL;
	rc = pb_folder_id(f, &id, NULL);
	pb_folder_close(f);
	return rc ? NULL : pb_str_dup(pb_buf_str(&id));
}

static struct event *make(struct pb_session *s, enum event_cause cause, const char *folder, const char *script, const struct event_message *messages, size_t n)
{
	const struct pb_user *user = pb_session_user(s);
	struct event *e = pb_alloc(sizeof *e);

	e->cause = cause;
	e->mailbox = pb_str_dup(user->mailbox);
	e->address = pb_str_dup(user->address);
	e->postoffice = pb_str_dup(user->postoffice);
	e->folder = pb_str_dup(pb_strz(folder));
	e->script = pb_str_dup(pb_strz(script));
	e->messages = pb_alloc(n * sizeof *messages);
	memcpy(e->messages, messages, n * sizeof *messages);
	e->n = n;
	return e;
}

static void raise_event(struct pb_session *s, enum event_cause cause, struct pb_str folder, const struct event_message *messages, size_t n)
{
	struct pb_mailbox *mailbox = imap_of(s)->mailbox;
	char *script = n ? script_of(mailbox, folder) : NULL, *id = script ? folder_id(mailbox, folder) : NULL;
	struct event *first = NULL, **end = &first;
	size_t count = 0;

	for (size_t at = 0, some; id && at < n; at += some, count++) {
		some = n - at < EVENT_MESSAGES ? n - at : EVENT_MESSAGES;
		*end = make(s, cause, id, script, messages + at, some);
		end = &(*end)->next;
	}
	if (first)
		put(imap_plugin_of(s)->events, first, count, n);
	free(id);
	free(script);
}

void event_arrived(struct pb_session *s, enum event_cause cause, struct pb_str folder, const uint32_t *uids, size_t n)
{
	struct event_message *messages;
	size_t kept = 0;

	if (!n || !event_is_wanted(s) || public_is(folder))
		return;
	messages = pb_alloc(n * sizeof *messages);
	for (size_t i = 0; i < n; i++)
		if (uids[i])
			messages[kept++].uid = uids[i];
	raise_event(s, cause, folder, messages, kept);
	free(messages);
}

void event_flags(struct pb_session *s, const uint32_t *uids, size_t n, enum pb_store_mode mode, uint64_t flags)
{
	struct imap *im = imap_of(s);
	struct event_message *messages;
	PB_AUTOBUF(mailbox);
	PB_AUTOBUF(folder);
	size_t kept = 0;

	/* A public folder is another mailbox's, and has nobody's script. */
	if (!n || !event_is_wanted(s) || pb_folder_whose(im->folder, &mailbox, &folder, NULL, NULL) || !pb_str_eq(pb_buf_str(&mailbox), pb_session_user(s)->mailbox))
		return;
	messages = pb_alloc(n * sizeof *messages);
	for (size_t i = 0; i < n; i++) {
		uint32_t seq = pb_view_find(im->view, uids[i]);
		uint64_t was = seq ? pb_view_row(im->view, seq)->flags : 0, changed = was ^ flags_after(was, mode, flags);

		if (seq && changed)
			messages[kept++] = (struct event_message){ uids[i], changed };
	}
	raise_event(s, EVENT_FLAG, pb_buf_str(&folder), messages, kept);
	free(messages);
}

/* ---- capability ---- */

static bool has_filters(struct events *all)
{
	struct imap_plugin *plugin = all->plugin;
	int64_t now = pb_ticks(plugin->host), asked = all->asked;
	json_t *ask;

	if (asked && now - asked < ASK_AGAIN * PB_SECOND)
		return all->there;
	ask = json_pack("{s:s}", "text", "");
	all->there = pb_call(plugin->host, "script.check", ask, NULL, NULL) == 0;
	all->asked = now;
	json_decref(ask);
	return all->there;
}

/* RFC 6785 2.1: where scripts are kept with ManageSieve. */
void event_put_capability(struct pb_session *s)
{
	const struct imap_plugin *plugin = imap_plugin_of(s);
	struct events *all = plugin->events;

	if (!plugin->filter_events || !has_filters(all))
		return;
	pb_putz(s, " IMAPSIEVE=sieve://");
	pthread_mutex_lock(&all->lock);
	pb_putstr(s, all->server.len ? pb_buf_str(&all->server) : pb_hostname(plugin->host));
	pthread_mutex_unlock(&all->lock);
}
