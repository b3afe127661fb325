/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Plugins behind listeners: attach, adopt, drain, list. What a drained session says is its protocol's. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>
#include "kernel/session/internal.h"
#include "kernel/session/running.h"

#define CUT_TIME (5 * PB_SECOND)	/* for those whose connection is cut to notice it */

bool attachment_enter(struct attachment *at, struct pb_session *s)
{
	pthread_mutex_lock(&at->lock);
	s->next = at->sessions;
	s->prev = &at->sessions;
	if (s->next)
		s->next->prev = &s->next;
	at->sessions = s;
	at->open++;
	pthread_mutex_unlock(&at->lock);
	return !atomic_load(&at->draining);
}

void attachment_leave(struct attachment *at, struct pb_session *s)
{
	pthread_mutex_lock(&at->lock);
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	pthread_mutex_unlock(&at->lock);
}

const struct pb_protocol *attachment_serves(const struct attachment *at, const char *protocol)
{
	for (size_t i = 0; i < at->nprotocols; i++)
		if (strcmp(at->protocols[i].name, protocol) == 0)
			return &at->protocols[i];
	return NULL;
}

static int copy_protocols(struct attachment *at, const struct pb_protocol *const *protocols, const char *plugin, struct pb_error *err)
{
	for (size_t i = 0; protocols && protocols[i]; i++) {
		const struct pb_protocol *p = protocols[i];

		if (!p->name || !p->refuse || p->line_max < 16)
			return pb_fail(err, PB_EINVALID, "protocol %zu of plugin '%s' has no name, no refuse function, or a line_max below 16", i, plugin);
		at->protocols = pb_realloc(at->protocols, (i + 1) * sizeof *p);
		memset(&at->protocols[i], 0, sizeof *p);
		memcpy(&at->protocols[i], p, p->size && p->size < sizeof *p ? p->size : sizeof *p);
		at->nprotocols = i + 1;
	}
	return 0;
}

int sessions_attach(struct sessions *ss, struct pb_host *host, const struct pb_protocol *const *protocols, struct attachment **ret, struct pb_error *err)
{
	struct attachment *at = pb_alloc(sizeof *at);
	int rc = copy_protocols(at, protocols, host->name, err);

	if (rc) {
		free(at->protocols);
		free(at);
		return rc;
	}
	at->ss = ss;
	at->host = host;
	pthread_mutex_init(&at->lock, NULL);
	patience_init(&at->gone);
	pthread_mutex_lock(&ss->lock);
	at->next = ss->attachments;
	ss->attachments = at;
	for (size_t i = 0; i < ss->nlisteners; i++) {
		struct listener *l = ss->listeners[i];
		const struct pb_protocol *p = l && strcmp(l->plugin, host->name) == 0 ? attachment_serves(at, l->protocol) : NULL;

		if (p)
			listener_serve(l, at, p);
	}
	pthread_mutex_unlock(&ss->lock);
	*ret = at;
	return 0;
}

static void say_goodbye(struct attachment *at)
{
	pthread_mutex_lock(&at->lock);
	for (struct pb_session *s = at->sessions; s; s = s->next)
		if (s->key)
			session_signal(at->ss, s->key, GOT_BYE);
	pthread_mutex_unlock(&at->lock);
}

/* Busy ones wake up from poll and find the connection gone. */
static void cut(struct attachment *at)
{
	for (struct pb_session *s = at->sessions; s; s = s->next)
		shutdown(s->wire.fd, SHUT_RDWR);
}

/* at->lock held. */
static void wait_for_the_open(struct attachment *at, int64_t timeout)
{
	const struct timespec until = patience(timeout);

	while (at->open && pthread_cond_timedwait(&at->gone, &at->lock, &until) == 0)
		;
}

/* The plugin's code is on the stacks of those who are left. */
static int await(struct attachment *at, int64_t timeout)
{
	int rc;

	pthread_mutex_lock(&at->lock);
	wait_for_the_open(at, timeout);
	if (at->open) {
		log_line(at->ss->log, PB_WARNING, NULL, "sessions.cut", "plugin=%s sessions=%u", at->host->name, at->open);
		cut(at);
		wait_for_the_open(at, CUT_TIME);
	}
	rc = at->open ? PB_ETIMEOUT : 0;
	pthread_mutex_unlock(&at->lock);
	return rc;
}

int sessions_detach(struct attachment *at, int64_t timeout)
{
	struct sessions *ss;

	if (!at)
		return 0;
	ss = at->ss;
	atomic_store(&at->draining, true);
	pthread_mutex_lock(&ss->lock);
	for (size_t i = 0; i < ss->nlisteners; i++)
		if (ss->listeners[i] && ss->listeners[i]->attachment == at)
			listener_serve(ss->listeners[i], NULL, NULL);
	pthread_mutex_unlock(&ss->lock);
	say_goodbye(at);
	if (await(at, timeout))
		return PB_ETIMEOUT;
	pthread_mutex_lock(&ss->lock);
	for (struct attachment **p = &ss->attachments; *p; p = &(*p)->next)
		if (*p == at) {
			*p = at->next;
			break;
		}
	pthread_mutex_unlock(&ss->lock);
	pthread_mutex_destroy(&at->lock);
	pthread_cond_destroy(&at->gone);
	free(at->protocols);
	free(at);
	return 0;
}

int sessions_adopt(struct attachment *at, int fd, const char *listener, enum listener_tls tls, const char *peer, struct pb_error *err)
{
	const struct pb_protocol *p = attachment_serves(at, listener);	/* a listener that is named like its protocol, or the first */
	struct listener *l;
	int on = 1;

	if (atomic_load(&at->draining) || !at->nprotocols)
		return pb_fail(err, PB_EUNAVAILABLE, "plugin '%s' serves no protocol now", at->host->name);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
		return pb_fail_errno(err, errno, "cannot adopt a connection");
	l = pb_alloc(sizeof *l);
	*l = (struct listener){ .ss = at->ss, .index = SIZE_MAX, .tls = tls, .fd = -1, .refs = 1, .wildcard = true, .retry = TIMER_INIT(NULL) };
	pthread_mutex_init(&l->accepting, NULL);
	l->plugin = pb_str_dup(pb_strz(at->host->name));
	l->name = pb_str_dup(pb_strz(listener));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);	/* others inherited it */
	session_open(l, at, p ? p : &at->protocols[0], fd, NULL, peer, NULL);
	listener_release(l);
	return 0;
}

static json_t *describe(struct pb_session *s)
{
	json_t *j = json_pack("{s:I, s:s, s:s, s:s, s:I, s:b, s:b, s:i}", "id", (json_int_t)s->id, "plugin", s->attachment->host->name, "listener", s->listener->name,
			      "peer", s->names, "since", (json_int_t)s->opened, "tls", s->tls_info != NULL, "idle",
			      s->key && slot_is_parked(&SS(s)->slots, s->key), "commands", (int)atomic_load_explicit(&s->commands, memory_order_relaxed));

	if (j && s->user)
		json_object_set_new(j, "user", json_stringn_nocheck(s->user->address.ptr, s->user->address.len));
	return j;
}

void sessions_list(struct sessions *ss, json_t **ret)
{
	json_t *list = json_array();

	pthread_mutex_lock(&ss->lock);
	for (struct attachment *at = ss->attachments; at; at = at->next) {
		pthread_mutex_lock(&at->lock);
		for (struct pb_session *s = at->sessions; s; s = s->next)
			json_array_append_new(list, describe(s));
		pthread_mutex_unlock(&at->lock);
	}
	pthread_mutex_unlock(&ss->lock);
	*ret = list;
}
