/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A connector that ends the daemon on certain messages, as a plugin with a fault would: by the address that a message is for, or by its sender at a hook. The
 * directory of its configuration says how: "harmless" heals it, "gate" is a pipe at which it waits. What it delivers is a line of "delivered". For tests only.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <postbus/bus.h>
#include <postbus/queue.h>

struct probe {
	struct pb_host *host;
};

static void path_of(struct probe *p, const char *name, char path[static 512])
{
	snprintf(path, 512, "%.*s/%s", PB_FMT(pb_config_str(p->host, "dir")), name);
}

/* Once: what is settled may come again after a crash, as to every courier. */
static void note(struct probe *p, const char *id, struct pb_str target)
{
	char path[512], line[300], all[8192];
	ssize_t got;
	int n = snprintf(line, sizeof line, "%.*s %s\n", PB_FMT(target), id), fd;

	path_of(p, "delivered", path);
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	got = fd < 0 ? -1 : pread(fd, all, sizeof all - 1, 0);
	if (got >= 0)
		all[got] = '\0';
	if (got < 0 || (!strstr(all, line) && write(fd, line, (size_t)n) != n))
		pb_log(p->host, PB_ERROR, "unwritten", "target=%.*s", PB_FMT(target));
	if (fd >= 0)
		close(fd);
}

/* Until somebody opens the other end. */
static void wait_at_gate(struct probe *p, struct pb_item *item)
{
	char path[512];
	int fd;

	pb_log(p->host, PB_INFO, "waiting", "id=%s", pb_item_id(item));
	path_of(p, "gate", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
}

static int deliver(void *self, struct pb_item *item, struct pb_error *err)
{
	struct probe *p = self;
	struct pb_recipient *to;
	char harmless[512];

	(void)err;
	path_of(p, "harmless", harmless);
	while ((to = pb_item_next(item)) != NULL) {
		struct pb_str target = pb_recipient_rcpt(to)->target;

		if (pb_str_eq(target, PB_STR("gate")))
			wait_at_gate(p, item);
		if (pb_str_eq(target, PB_STR("abort")) && access(harmless, F_OK))
			abort();
		if (pb_str_eq(target, PB_STR("kill")) && access(harmless, F_OK))
			kill(getpid(), SIGKILL);
		note(p, pb_item_id(item), target);
		pb_delivered(to, PB_NOSTR, "250 2.0.0 written down");
	}
	return 0;
}

static int at_accepted(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	(void)self, (void)v, (void)err;
	if (pb_str_starts(q->envelope->sender, PB_STR("hook-abort@")))
		abort();
	return 0;
}

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct probe *p = pb_alloc(sizeof *p);

	(void)err;
	p->host = host;
	*ret_self = p;
	return 0;
}

static void unload(void *self)
{
	free(self);
}

static const struct pb_hook hooks[] = { { "message.accepted", at_accepted }, { 0 } };
static const struct pb_courier courier = { .deliver = deliver };

PB_PLUGIN(crash_probe) = { PB_PLUGIN_HEAD("crash_probe"), .load = load, .unload = unload, .hooks = hooks, .courier = &courier };
