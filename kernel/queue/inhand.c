/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which items are in hand, and which of their recipients were served, in a mapped file of the home: a place for each worker, written with plain stores. No call and
 * no flush is made for an item; the page outlives the process, however it ends. After a power cut nobody knows how old the page is, so a record of another boot of
 * the machine is ignored.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "kernel/config/config.h"
#include "kernel/log/log.h"
#include "kernel/queue/inhand.h"

#define FILE_MAGIC 0x32684250u		/* "PBh2" */

enum { BOOT_ID = 40 };
enum { ENDED, RUNNING, ENDING };
enum { FREE, TAKEN, HELD };

struct hand {
	atomic_uint state, blamed;	/* blamed: the thread that died held it */
	struct hand_key key;
	char plugin[64];
	atomic_uint nfacts;
	_Atomic uint64_t facts[ROW_RCPTS];	/* of the row's recipients, for served.c; without an outcome until there is one */
};

struct inhand_file {
	uint32_t magic;
	char boot[BOOT_ID];
	atomic_uint life;
	struct hand hands[HANDS];
};

/* This thread's. A handler of signals has no other way to it. */
static _Thread_local struct hand *mine;
static _Thread_local bool suspected;

/* ---- a death that the process sees coming ---- */

static void on_death(int number)
{
	if (mine && atomic_load(&mine->state) == HELD)
		atomic_store(&mine->blamed, 1);
	raise(number);		/* the handler is gone by now: this is the end, as it would have been without it */
}

static void watch_deaths(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction ours = { .sa_handler = on_death, .sa_flags = SA_RESETHAND | SA_NODEFER }, there;

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (sigaction(numbers[i], NULL, &there) == 0 && there.sa_handler == SIG_DFL)
			sigaction(numbers[i], &ours, NULL);
}

/* ---- the file ---- */

static void read_boot(char boot[static BOOT_ID])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	memset(boot, 0, BOOT_ID);
	if (fd < 0)
		return;
	if (read(fd, boot, BOOT_ID - 1) < 0)
		boot[0] = '\0';
	close(fd);
}

/* Its blocks are there before anything is stored: a full disk must not be met through the mapping. */
static void map_file(struct inhand *h, const char *home)
{
	char path[4096];
	void *map = MAP_FAILED;
	int fd;

	snprintf(path, sizeof path, "%s/inhand", home);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && posix_fallocate(fd, 0, sizeof *h->file) == 0)
		map = mmap(NULL, sizeof *h->file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	h->mapped = map != MAP_FAILED;
	h->file = h->mapped ? map : pb_alloc(sizeof *h->file);
}

static bool is_crash(const struct inhand_file *f)
{
	char boot[BOOT_ID];

	read_boot(boot);
	return f->magic == FILE_MAGIC && atomic_load(&f->life) != ENDED && *boot && memcmp(boot, f->boot, BOOT_ID) == 0;
}

static void take_hand(struct suspect *to, const struct hand *from)
{
	to->key = from->key;
	to->key.lane[sizeof to->key.lane - 1] = '\0';
	to->key.id[sizeof to->key.id - 1] = '\0';
	memcpy(to->plugin, from->plugin, sizeof to->plugin - 1);
}

/* Who was told to end and did not in time was killed: that blames nobody. */
size_t inhand_left(struct inhand *h, struct suspect *list, size_t max)
{
	bool known = false;
	size_t n = 0;

	if (!is_crash(h->file))
		return 0;
	for (size_t i = 0; i < HANDS; i++)
		known = known || (atomic_load(&h->file->hands[i].state) == HELD && atomic_load(&h->file->hands[i].blamed));
	if (!known && atomic_load(&h->file->life) == ENDING)
		return 0;
	for (size_t i = 0; i < HANDS && n < max; i++)
		if (atomic_load(&h->file->hands[i].state) == HELD && (!known || atomic_load(&h->file->hands[i].blamed)))
			take_hand(&list[n++], &h->file->hands[i]);
	return n;
}

void inhand_served(struct inhand *h, void (*found)(void *arg, const struct hand_key *key, uint64_t fact), void *arg)
{
	for (size_t i = 0; is_crash(h->file) && i < HANDS; i++) {
		const struct hand *hand = &h->file->hands[i];
		struct suspect s = { .crashes = 0 };

		if (atomic_load(&hand->state) != HELD)
			continue;
		take_hand(&s, hand);
		for (size_t k = 0; k < atomic_load(&hand->nfacts) && k < ROW_RCPTS; k++)
			if (atomic_load(&hand->facts[k]) & FACT_OUTCOME)
				found(arg, &s.key, atomic_load(&hand->facts[k]));
	}
}

static void begin_file(struct inhand_file *f)
{
	atomic_store(&f->life, ENDED);
	memset(f->hands, 0, sizeof f->hands);
	read_boot(f->boot);
	f->magic = FILE_MAGIC;
	atomic_store(&f->life, RUNNING);
}

/* ---- life ---- */

int inhand_open(struct queue *q, struct pb_error *err)
{
	const json_t *settings = q->kernel->config ? json_object_get(q->kernel->config->doc, "queue") : NULL;
	struct inhand *h;

	if (!settings)
		return 0;
	h = pb_alloc(sizeof *h);
	pthread_mutex_init(&h->lock, NULL);
	h->limit = (unsigned)json_integer_value(json_object_get(settings, "crashes_max"));
	h->pause = json_integer_value(json_object_get(settings, "crash_pause")) * PB_SECOND;
	h->crashes = metric_declare(q->kernel->log, METRIC_COUNTER, "queue_crash_suspects_total", NULL, "Items that were in hand when the daemon ended without a goodbye.");
	h->poison = metric_declare(q->kernel->log, METRIC_COUNTER, "queue_poison_total", NULL, "Items that became dead letters since the daemon did not survive them.");
	map_file(h, q->kernel->home);
	q->inhand = h;
	if (served_open(q, err) || (h->limit && suspects_open(q, err)))
		return err->code;
	begin_file(h->file);
	if (h->limit)
		watch_deaths();
	return 0;
}

void inhand_ending(struct queue *q)
{
	if (q->inhand)
		atomic_store(&q->inhand->file->life, ENDING);
}

void inhand_close(struct queue *q)
{
	struct inhand *h = q->inhand;

	if (!h)
		return;
	atomic_store(&h->file->life, ENDED);
	if (h->mapped)
		munmap(h->file, sizeof *h->file);
	else
		free(h->file);
	suspects_close(h);
	served_close(h);
	pthread_mutex_destroy(&h->lock);
	free(h);
	q->inhand = NULL;
}

/* ---- a worker, and what it takes ---- */

/* With more workers than places the last ones are not watched. */
void inhand_enter(struct queue *q)
{
	mine = NULL;
	for (size_t i = 0; q->inhand && !mine && i < HANDS; i++) {
		unsigned none = FREE;

		if (atomic_compare_exchange_strong(&q->inhand->file->hands[i].state, &none, TAKEN))
			mine = &q->inhand->file->hands[i];
	}
}

void inhand_leave(void)
{
	if (mine)
		atomic_store(&mine->state, FREE);
	mine = NULL;
}

/* Deliveries that cannot be done again unseen: what comes of each recipient is told to the next start. Local ones have their tokens. */
static void watch_recipients(struct pb_item *item)
{
	size_t n = !item->consumer->flush || !item->consumer->is_courier || item->entry->under ? 0 : item->n < ROW_RCPTS ? item->n : ROW_RCPTS;

	for (size_t i = 0; i < n; i++) {
		uint64_t fact = fact_of(&item->to[i].was.rcpt);

		atomic_store_explicit(&mine->facts[i], fact, memory_order_relaxed);
		item->to[i].fact = fact ? &mine->facts[i] : NULL;
	}
	atomic_store(&mine->nfacts, (unsigned)n);
}

bool inhand_begin(struct queue *q, struct pb_item *item)
{
	const struct consumer *c = item->consumer;
	struct entry *e = item->entry;
	struct pb_str destination = row_destination(pb_buf_str(&e->blob));

	if (!mine)
		return true;
	memcpy(mine->key.lane, e->lane->name, e->lane->len + 1);
	memcpy(mine->key.id, e->id, sizeof mine->key.id);
	mine->key.destination = destination.len ? pb_crc32c(0, destination.ptr, destination.len) : 0;
	snprintf(mine->plugin, sizeof mine->plugin, "%s", c->host->name);
	suspected = suspect_is(q->inhand, e->id);
	if (suspected && !suspect_begin(q, e, &mine->key)) {
		suspected = false;
		return false;
	}
	watch_recipients(item);
	atomic_store_explicit(&mine->state, HELD, memory_order_release);
	return true;
}

void inhand_end(struct queue *q)
{
	if (!mine)
		return;
	atomic_store_explicit(&mine->state, TAKEN, memory_order_release);
	if (suspected)
		suspect_end(q, &mine->key);
	suspected = false;
}
