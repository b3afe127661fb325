/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What plugins ask a session for, and tell it: the small operations of postbus/session.h. Input and output are in files of their own. */
#include <stdlib.h>
#include "kernel/session/internal.h"
#include "kernel/store/mailstore.h"

void *host_session_data(struct pb_session *s)
{
	return s->data;
}

void *host_session_self(struct pb_session *s)
{
	return s->attachment->host->self;
}

struct pb_host *host_session_host(struct pb_session *s)
{
	return s->attachment->host;
}

struct pb_arena *host_session_arena(struct pb_session *s)
{
	return s->desk->arena;
}

unsigned host_session_state(struct pb_session *s)
{
	return s->state;
}

void host_session_set_state(struct pb_session *s, unsigned state)
{
	s->state = state;
}

const char *host_session_listener(struct pb_session *s)
{
	return s->listener->name;
}

struct pb_str host_session_peer(struct pb_session *s)
{
	return pb_str(s->names, s->npeer);
}

struct pb_str host_session_local(struct pb_session *s)
{
	return pb_str(s->names + s->npeer + 1, s->nlocal);
}

uint16_t host_session_peer_port(struct pb_session *s)
{
	return s->peer_port;
}

bool host_session_is_tls(struct pb_session *s)
{
	return s->wire.tls != NULL;
}

struct pb_str host_session_tls_info(struct pb_session *s)
{
	return pb_strz(s->tls_info);
}

int host_session_channel_binding(struct pb_session *s, struct pb_str type, struct pb_buf *out, struct pb_error *err)
{
	return wire_channel_binding(s->wire.tls, type, out, err);
}

bool host_session_can_tls(struct pb_session *s)
{
	return !s->wire.tls && s->listener->tls == LISTENER_STARTTLS && tls_has_certificates(SS(s));
}

uint64_t host_session_id(struct pb_session *s)
{
	return s->id;
}

bool host_session_has_input(struct pb_session *s)
{
	return s->desk && (s->desk->in_at < s->desk->in_end || wire_has_more(&s->wire));
}

static struct pb_str put_after(char **at, struct pb_str text)
{
	struct pb_str copy = pb_str(*at, text.len);

	if (text.len)
		memcpy(*at, text.ptr, text.len);
	*at += text.len + 1;
	return copy;
}

static void count_user(struct pb_session *s, struct pb_str address)
{
	struct sessions *ss = SS(s);
	PB_AUTOBUF(name);
	unsigned max = ss->limits.per_user_max;
	uint64_t hash;

	if (s->user_counted)
		source_leave(&ss->users, &s->user_key);
	s->user_counted = false;
	if (!max || (!ss->limits.count_loopback && enter_from_loopback(s)))	/* a webmail on this host logs in for everybody */
		return;
	pb_buf_addf(&name, "%s ", s->attachment->host->name);
	pb_buf_addstr(&name, address);
	hash = pb_str_hash(pb_buf_str(&name));
	memcpy(&s->user_key, &hash, sizeof hash);
	s->user_counted = source_enter(&ss->users, &s->user_key, max);
	s->over_user = !s->user_counted;
}

void host_session_login(struct pb_session *s, const struct pb_user *user)
{
	struct pb_user *copy = pb_alloc(sizeof *copy + user->address.len + user->mailbox.len + user->postoffice.len + 3), *old = s->user;
	char *at = (char *)(copy + 1);
	PB_AUTOBUF(where);

	copy->role = user->role;
	copy->address = put_after(&at, user->address);
	copy->mailbox = put_after(&at, user->mailbox);
	copy->postoffice = put_after(&at, user->postoffice);
	pthread_mutex_lock(&s->attachment->lock);
	s->user = copy;
	pthread_mutex_unlock(&s->attachment->lock);
	free(old);
	session_check_revoked(s);
	count_user(s, copy->address);
	if (!log_wants(SS(s)->log, PB_INFO))
		return;
	session_where(s, &where);
	log_line(SS(s)->log, PB_INFO, where.ptr, "session.login", "tls=%s", s->wire.tls ? "yes" : "no");
}

void host_session_logout(struct pb_session *s)
{
	struct sessions *ss = SS(s);
	struct pb_user *old = s->user;
	PB_AUTOBUF(where);

	if (!old)
		return;
	session_where(s, &where);
	if (log_wants(ss->log, PB_INFO))
		log_line(ss->log, PB_INFO, where.ptr, "session.logout", "tls=%s", s->wire.tls ? "yes" : "no");
	if (s->user_counted)
		source_leave(&ss->users, &s->user_key);
	s->user_counted = false;
	pthread_mutex_lock(&s->attachment->lock);
	s->user = NULL;
	pthread_mutex_unlock(&s->attachment->lock);
	free(old);
}

const struct pb_user *host_session_user(struct pb_session *s)
{
	return s->user;
}

void host_session_error(struct pb_session *s)
{
	if (s->erred)
		return;
	s->erred = true;
	s->errors_all++;
	if (s->errors < UINT16_MAX)
		s->errors++;
}

bool host_session_error_over(struct pb_session *s, unsigned max)
{
	host_session_error(s);
	return session_has_erred(s, max);
}

void host_session_idle(struct pb_session *s, uint32_t seconds)
{
	s->idle_seconds = seconds;
}

void host_session_log_text(struct pb_session *s, enum pb_level level, const char *event, const char *text)
{
	PB_AUTOBUF(where);

	if (!log_wants(SS(s)->log, level))
		return;
	session_where(s, &where);
	log_line(SS(s)->log, level, where.ptr, event, "%s", text);
}

int host_park(struct pb_session *s, int (*woken)(struct pb_session *s, enum pb_wake why, struct pb_str line), unsigned wakes, int64_t timeout)
{
	s->woken = woken;
	s->wakes = (uint8_t)wakes;
	s->wake_due = timeout > 0 ? clock_ticks(SS(s)->clock) + timeout : 0;
	return PB_PARKED;
}

static void hint(void *arg)
{
	struct pb_session *s = arg;

	session_signal(SS(s), s->key, GOT_NOTICE);
}

void host_session_watch(struct pb_session *s, struct pb_folder *folder)
{
	if (s->watcher)
		folder_unwatch(s->watcher);
	s->watcher = folder ? folder_watch(folder, hint, s) : NULL;
}

int host_starttls(struct pb_session *s)
{
	s->starttls = true;
	return PB_NEXT;
}
