/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * IDLE (RFC 2177): the session sleeps without a thread until its folder has news, the client says DONE, or time is over.
 */
#include "imap.h"
#include "view.h"

static int woken(struct pb_session *s, enum pb_wake why, struct pb_str line);

static int sleep_on(struct pb_session *s)
{
	struct imap *im = imap_of(s);
	uint32_t keepalive = imap_plugin_of(s)->keepalive_seconds;
	int64_t left = im->deadline - pb_ticks(pb_session_host(s));

	if (keepalive && left > (int64_t)keepalive * PB_SECOND)
		left = (int64_t)keepalive * PB_SECOND;
	return pb_park(s, woken, PB_WAKE_LINE | PB_WAKE_NOTICE, left > 1000 ? left : 1000);
}

static void stop(struct pb_session *s)
{
	if (imap_of(s)->folder)
		pb_session_watch(s, NULL);
	imap_wake(s);
	imap_wait_end(s);
}

static int woken(struct pb_session *s, enum pb_wake why, struct pb_str line)
{
	struct imap *im = imap_of(s);

	switch (why) {
	case PB_WAKE_LINE:
		stop(s);
		if (!pb_str_ieq(pb_str_trim(line), PB_STR("DONE")))
			return imap_bad(s, "Expected DONE");
		return imap_done(s, true, "IDLE completed");
	case PB_WAKE_NOTICE:
		if (view_sync(s, true, NULL))
			return sleep_on(s);
		stop(s);
		pb_putz(s, "* BYE The selected mailbox was deleted\r\n");
		return PB_CLOSE;
	case PB_WAKE_TIMEOUT:
		if (pb_ticks(pb_session_host(s)) < im->deadline) {
			pb_putz(s, "* OK Still here\r\n");
			return sleep_on(s);
		}
		stop(s);
		pb_putz(s, "* BYE Idle for too long\r\n");
		return PB_CLOSE;
	}
	return PB_CLOSE;
}

int imap_idle(struct pb_session *s, struct pb_str args)
{
	struct imap *im = imap_of(s);
	int result;

	if (imap_no_args(s, args, &result) != 0)
		return result;
	imap_wait(s, PB_NOSTR);
	im->deadline = pb_ticks(pb_session_host(s)) + (int64_t)pb_login_setting(imap_login_of(s), PB_LOGIN_IDLE) * PB_SECOND;
	pb_putz(s, "+ idling\r\n");
	/* Watched first, compared then: what comes between the two is a notice. */
	if (im->folder)
		pb_session_watch(s, im->folder);
	return woken(s, PB_WAKE_NOTICE, PB_NOSTR);
}
