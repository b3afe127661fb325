/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rights: what a plugin's manifest names in "requires" beside methods. Every room asks here; leaves methods to the bus. */
#include "kernel/host.h"
#include "kernel/log/log.h"

int host_may(struct pb_host *host, enum right right, struct pb_error *err)
{
	static const char *const words[] = { "queue.accept", "net.connect", "mail.read", "mail.write", "table", "exec", "session.end" };
	const char *word = words[__builtin_ctz(right)];

	if (host->rights & right)
		return 0;
	log_line(host->kernel->log, PB_WARNING, NULL, "denied", "plugin=%s right=%s help=\"name it in requires of %s.json\"", host->name, word, host->name);
	return pb_fail(err, PB_EDENIED, "%s does not name %s in \"requires\" of its manifest", host->name, word);
}
