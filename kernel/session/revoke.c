/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Logins that do not hold any more: every session of a mailbox is ended. Whoever is parked wakes up to say goodbye, whoever runs a command ends behind
 * it. Who is disabled or deleted, and why, is the directory's business.
 */
#include "kernel/session/internal.h"

static void end_those(struct attachment *at, struct pb_str mailbox, unsigned *n)
{
	pthread_mutex_lock(&at->lock);
	for (struct pb_session *s = at->sessions; s; s = s->next) {
		if (!s->user || !pb_str_eq(s->user->mailbox, mailbox))
			continue;
		atomic_store(&s->revoked, true);
		++*n;
		if (s->key)
			session_signal(at->ss, s->key, GOT_BYE);
	}
	pthread_mutex_unlock(&at->lock);
}

int host_sessions_end(struct pb_host *host, struct pb_str mailbox, struct pb_error *err)
{
	struct sessions *ss = host->kernel->sessions;
	int rc = host_may(host, RIGHT_SESSION_END, err);
	unsigned n = 0;

	if (rc || !ss || !mailbox.len)
		return rc;
	pthread_mutex_lock(&ss->lock);
	ss->revoked.mailboxes[atomic_load(&ss->revoked.count) % REVOKED_KEPT] = pb_str_hash(mailbox);
	atomic_fetch_add(&ss->revoked.count, 1);	/* before the walk: who is not seen by it will see this */
	for (struct attachment *at = ss->attachments; at; at = at->next)
		end_those(at, mailbox, &n);
	pthread_mutex_unlock(&ss->lock);
	if (n)
		log_line(ss->log, PB_INFO, NULL, "sessions.revoked", "mailbox=%s sessions=%u", pb_logq(mailbox), n);
	return 0;
}

void session_check_revoked(struct pb_session *s)
{
	struct sessions *ss = SS(s);
	uint64_t hash, count;

	if (atomic_load(&ss->revoked.count) == s->revocations)
		return;
	hash = pb_str_hash(s->user->mailbox);
	pthread_mutex_lock(&ss->lock);
	count = atomic_load(&ss->revoked.count);
	/* so many that some are forgotten: it may have been among them */
	if (count - s->revocations > REVOKED_KEPT)
		atomic_store(&s->revoked, true);
	else
		for (uint64_t i = s->revocations; i < count; i++)
			if (ss->revoked.mailboxes[i % REVOKED_KEPT] == hash)
				atomic_store(&s->revoked, true);
	pthread_mutex_unlock(&ss->lock);
}
