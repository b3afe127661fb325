/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A session's life: opened, run by whoever owns it, parked, ended. Leaves commands to commands.c and all that comes before them to enter.c. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "kernel/session/internal.h"
#include "kernel/store/mailstore.h"

void address_text(const struct in6_addr *a, char *out, size_t size)
{
	if (IN6_IS_ADDR_V4MAPPED(a))
		inet_ntop(AF_INET, a->s6_addr + 12, out, (socklen_t)size);
	else
		inet_ntop(AF_INET6, a, out, (socklen_t)size);
}

/* 0 port and false for what has no IP address. */
static bool address_of(const struct sockaddr_storage *sa, struct in6_addr *ret, uint16_t *ret_port)
{
	const struct sockaddr_in *four = (const void *)sa;
	const struct sockaddr_in6 *six = (const void *)sa;

	if (sa->ss_family == AF_INET) {
		memset(ret, 0, sizeof *ret);
		ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
		memcpy(ret->s6_addr + 12, &four->sin_addr, 4);
		*ret_port = ntohs(four->sin_port);
		return true;
	}
	if (sa->ss_family == AF_INET6) {
		*ret = six->sin6_addr;
		*ret_port = ntohs(six->sin6_port);
		return true;
	}
	return false;
}

void session_set_names(struct pb_session *s, const char *peer, const char *local)
{
	size_t np = strlen(peer), nl = strlen(local);
	char *names, *old;

	if (np > 255)
		np = 255;
	if (nl > 255)
		nl = 255;
	names = pb_alloc(np + nl + 2);
	memcpy(names, peer, np);
	memcpy(names + np + 1, local, nl);
	pthread_mutex_lock(&s->attachment->lock);
	old = s->names;
	s->names = names;
	s->npeer = (uint8_t)np;
	s->nlocal = (uint8_t)nl;
	pthread_mutex_unlock(&s->attachment->lock);
	free(old);
}

static void name_socket(struct pb_session *s, const struct sockaddr_storage *peer, const char *peer_name)
{
	char peer_text[INET6_ADDRSTRLEN] = "unix", local_text[INET6_ADDRSTRLEN] = "unix";
	struct sockaddr_storage local = { 0 };
	const char *local_name = local_text;
	socklen_t len = sizeof local;
	struct in6_addr a;
	uint16_t port;

	if (peer && address_of(peer, &s->source, &s->peer_port)) {
		s->inward = true;
		address_text(&s->source, peer_text, sizeof peer_text);
	}
	if (s->listener->address && !s->listener->wildcard && s->listener->address[0] != '/')
		local_name = s->listener->address;
	else if (getsockname(s->wire.fd, (struct sockaddr *)&local, &len) == 0 && address_of(&local, &a, &port))
		address_text(&a, local_text, sizeof local_text);
	session_set_names(s, peer_name ? peer_name : peer_text, local_name);
}

static void expired(struct timer *t)
{
	struct pb_session *s = (struct pb_session *)(void *)((char *)t - offsetof(struct pb_session, timer));

	session_signal(SS(s), s->key, GOT_TIMEOUT);
}

static void run_job(struct job *job, struct desk *desk)
{
	session_run((struct pb_session *)(void *)((char *)job - offsetof(struct pb_session, job)), desk);
}

static struct pb_session *make(struct listener *l, struct attachment *at, const struct pb_protocol *protocol, int fd)
{
	struct pb_session *s = pb_alloc(sizeof *s + protocol->session_size);

	s->handle.ops = at->host->handle.ops;
	s->job.run = run_job;
	s->timer = (struct timer)TIMER_INIT(expired);
	s->attachment = at;
	s->protocol = protocol;
	s->listener = l;
	s->wire.fd = fd;
	s->state = protocol->first_state;
	s->idle_seconds = protocol->idle_seconds;
	s->opened = clock_now(l->ss->clock);
	s->active = clock_ticks(l->ss->clock);
	s->id = atomic_fetch_add(&l->ss->last_id, 1) + 1;
	listener_ref(l);
	return s;
}

void session_open(struct listener *l, struct attachment *at, const struct pb_protocol *protocol, int fd, const struct sockaddr_storage *peer, const char *peer_name,
		  struct desk *desk)
{
	struct sessions *ss = l->ss;
	struct pb_session *s = make(l, at, protocol, fd);
	unsigned open = atomic_fetch_add(&ss->open, 1) + 1, here = atomic_fetch_add(&l->open, 1) + 1;

	name_socket(s, peer, peer_name);
	s->phase = l->nproxies && network_has(l->proxies, l->nproxies, &s->source) ? PHASE_PROXY : PHASE_ADMIT;
	if (open > ss->limits.connections_max || (l->connections_max && here > l->connections_max))
		s->refuse = PB_BYE_OVERLOAD + 1;
	metric_add(ss->opened, 1);
	metric_add(ss->open_now, 1);
	s->key = slot_take(&ss->slots, s);	/* before it is listed: whoever lists it may signal it */
	if (!s->key)
		s->refuse = PB_BYE_OVERLOAD + 1;
	if (!attachment_enter(at, s))
		s->refuse = PB_BYE_SHUTDOWN + 1;
	if (desk)
		session_run(s, desk);
	else
		pool_push(ss->pool, &s->job);
}

/* ---- parking ---- */

static bool arm(struct pb_session *s)
{
	struct epoll_event ev = { .events = EPOLLONESHOT, .data.u64 = s->key };

	if (s->tls_want_write)
		ev.events |= EPOLLOUT;
	else if (!s->woken || (s->wakes & PB_WAKE_LINE))
		ev.events |= EPOLLIN;
	else if (!s->half_closed)	/* told once: else it would come again at once, for as long as the wait lasts */
		ev.events |= EPOLLRDHUP;
	if (epoll_ctl(pool_epoll(SS(s)->pool), s->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->wire.fd, &ev) != 0)
		return false;
	s->in_epoll = true;
	return true;
}

static int64_t due(const struct pb_session *s)
{
	if (s->phase != PHASE_COMMANDS)
		return s->active + enter_patience(s);
	if (s->woken && s->wake_due)
		return s->wake_due;
	return s->idle_seconds ? s->active + s->idle_seconds * PB_SECOND : TIMER_NEVER;
}

/* True: it is parked, or somebody else's already: s must not be touched. */
static bool park(struct pb_session *s)
{
	struct sessions *ss = SS(s);
	struct desk *desk = s->desk;
	bool want_notice = s->woken && (s->wakes & PB_WAKE_NOTICE);

	input_save(s);
	s->desk = NULL;
	s->wire.cipher = NULL;
	timers_set(&ss->timers, &s->timer, due(s));
	/* armed first: an event that comes before PARKED is on leaves its bit, and parking fails */
	if (arm(s) && slot_park(&ss->slots, s->key, want_notice))
		return true;
	s->desk = desk;
	s->wire.cipher = &desk->cipher;
	input_restore(s);
	return false;
}

void session_signal(struct sessions *ss, uint64_t key, uint32_t got)
{
	struct pb_session *s = slot_signal(&ss->slots, key, got);

	if (s)
		pool_push(ss->pool, &s->job);
}

void session_event(struct sessions *ss, uint64_t key, struct desk *desk)
{
	struct pb_session *s = slot_signal(&ss->slots, key, GOT_INPUT);

	if (s)
		session_run(s, desk);
}

/* ---- running ---- */

static enum step step(struct pb_session *s, uint32_t got)
{
	enum step next;

	if (s->phase != PHASE_COMMANDS && (got & GOT_BYE))
		return STEP_CLOSE;
	if (s->phase != PHASE_COMMANDS && (got & GOT_TIMEOUT) && clock_ticks(SS(s)->clock) >= due(s)) {
		s->desk->doing = s->phase == PHASE_PROXY ? "waiting for the PROXY header" : "negotiating TLS";
		s->too_slow = true;
		return STEP_CLOSE;
	}
	switch ((enum phase)s->phase) {
	case PHASE_PROXY:
		next = enter_proxy(s);
		if (next == STEP_ON)
			s->phase = PHASE_ADMIT;
		return next;
	case PHASE_ADMIT:
		next = enter_admit(s);
		if (next == STEP_ON)
			s->phase = s->listener->tls == LISTENER_IMPLICIT ? PHASE_TLS_FIRST : PHASE_GREET;
		return next;
	case PHASE_TLS_FIRST:
	case PHASE_TLS:
		next = enter_tls(s);
		if (next != STEP_ON)
			return next;
		s->active = clock_ticks(SS(s)->clock);
		if (s->phase == PHASE_TLS && s->protocol->secured)
			s->protocol->secured(s);
		s->phase = s->phase == PHASE_TLS ? PHASE_COMMANDS : PHASE_GREET;
		return STEP_ON;
	case PHASE_GREET:
		session_begin_command(s, PB_STR("greeting"));
		s->phase = PHASE_COMMANDS;
		s->greeted = true;
		next = s->protocol->greet && s->protocol->greet(s) == PB_CLOSE ? STEP_CLOSE : STEP_ON;
		pb_arena_reset(s->desk->arena);
		return next;
	case PHASE_COMMANDS:
		break;
	}
	return STEP_CLOSE;
}

static void end(struct pb_session *s);

void session_run(struct pb_session *s, struct desk *desk)
{
	s->desk = desk;
	s->wire.cipher = &desk->cipher;
	input_restore(s);
	for (;;) {
		enum step next = s->phase == PHASE_COMMANDS ? session_serve(s) : step(s, slot_got(&SS(s)->slots, s->key));

		if (next == STEP_CLOSE)
			break;
		if (next == STEP_PARK && park(s)) {
			desk_clear(desk);
			return;
		}
	}
	end(s);
	desk_clear(desk);
}

/* ---- the end ---- */

void session_where(const struct pb_session *s, struct pb_buf *out)
{
	pb_buf_addf(out, "plugin=%s session=%llu listener=%s peer=%s", s->attachment->host->name, (unsigned long long)s->id, s->listener->name, s->names);
	if (s->user)
		pb_buf_addf(out, " user=%s", pb_logq(s->user->address));
}

static void tell(struct pb_session *s)
{
	enum pb_level level = PB_DEBUG;
	PB_AUTOBUF(where);
	const char *what = "done";

	if (s->refuse == PB_BYE_OVERLOAD + 1 || s->over_user) {
		what = s->over_user ? "too many sessions of this user" : "too many connections";
		level = PB_INFO;
	} else if (s->refuse) {
		what = "refused";
	} else if (atomic_load(&s->revoked)) {
		what = "the login does not hold any more";
		level = PB_INFO;
	} else if (s->too_many_errors) {
		what = "too many errors";
		level = PB_INFO;
	} else if (s->too_slow) {
		what = "too slow";
		level = PB_INFO;
	} else if (s->lost) {
		what = "connection lost";
		level = s->commands ? PB_INFO : PB_DEBUG;	/* scanners and health checks come and go */
	}
	if (!log_wants(SS(s)->log, level))
		return;
	session_where(s, &where);
	log_line(SS(s)->log, level, where.ptr, "session.closed", "what=\"%s\" while=\"%s%s%s\" commands=%u", what,
		 s->desk->doing ? s->desk->doing : "waiting for a command", s->desk->verb[0] ? " of " : "", s->desk->verb, s->commands);
}

static void hang_up(struct pb_session *s)
{
	char rest[4096];

	s->wire.last = true;
	output_try(s);
	if (s->wire.tls) {
		if (!s->wire.direct && !s->lost) {
			gnutls_bye(s->wire.tls, GNUTLS_SHUT_WR);
			wire_push(&s->wire, NULL);
		}
		gnutls_deinit(s->wire.tls);
		s->wire.tls = NULL;
	}
	if (!s->lost) {
		/* unread input would make the kernel send a reset, and the last words would be lost with it */
		shutdown(s->wire.fd, SHUT_WR);
		for (int i = 0; i < 16 && recv(s->wire.fd, rest, sizeof rest, MSG_DONTWAIT) > 0; i++)
			;
	}
}

static void free_session(struct pb_session *s)
{
	free(s->names);
	free(s->user);
	free(s->tls_info);
	free(s->saved);
	certificates_release(s->certificates);
	free(s);
}

static void end(struct pb_session *s)
{
	struct sessions *ss = SS(s);
	struct attachment *at = s->attachment;
	struct listener *l = s->listener;

	hang_up(s);
	if (s->protocol->closed)
		s->protocol->closed(s);
	if (s->watcher)
		folder_unwatch(s->watcher);
	tell(s);
	desk_release_bodies(s->desk);
	timers_remove(&ss->timers, &s->timer);
	slot_give(&ss->slots, s->key);
	if (s->source_counted)
		source_leave(&ss->sources, &s->source);
	if (s->user_counted)
		source_leave(&ss->users, &s->user_key);
	attachment_leave(at, s);	/* from here on nobody cuts it */
	close(s->wire.fd);
	free_session(s);
	atomic_fetch_sub(&ss->open, 1);
	atomic_fetch_sub(&l->open, 1);
	metric_add(ss->open_now, -1);
	listener_release(l);
	pthread_mutex_lock(&at->lock);
	at->open--;
	pthread_cond_broadcast(&at->gone);
	pthread_mutex_unlock(&at->lock);
}
