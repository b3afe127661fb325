/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which frame of the journal was whole, noted in a mapped file after each flush, without a call and without a flush of its own. That a frame follows another
 * shows that the flush of the one had ended, with all that belongs to it; of the last one nothing else could tell. What the file says was true when it was
 * written and stays true, so it may be old after a power cut, and after the death of the process alone it is the last word. What it says and what the frames
 * behind a damaged one say keeps a start from taking damage for the end of the journal.
 */
#include "kernel/store/engine_bdb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NOTE_BYTES = 4096 };

/* Two places, written in turn: a death between the words of one leaves the other. */
struct durable_note {
	struct {
		_Atomic uint64_t frame, check;
	} place[2];
};

/* Of another life of the journal it says nothing. */
static uint64_t check_of(const struct bdb *b, uint64_t frame)
{
	return ~frame ^ b->journal.life;
}

void bdb_durable_open(struct bdb *b)
{
	char path[4096];
	void *map = MAP_FAILED;

	snprintf(path, sizeof(path), "%s/durable", b->dir);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	b->note_found = fd >= 0;
	if (fd < 0)
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Its block is there before anything is written through the mapping: a full disk must not be met there. */
	if (fd >= 0 && posix_fallocate(fd, 0, NOTE_BYTES) == 0)
		map = mmap(NULL, NOTE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	/* Without it a start has the journal's word only. */
	b->note = map == MAP_FAILED ? NULL : map;
}

uint64_t bdb_durable_noted(struct bdb *b)
{
	uint64_t latest = 0;

	for (int i = 0; b->note && i < 2; i++) {
		uint64_t frame = atomic_load(&b->note->place[i].frame);

		if (frame > latest && atomic_load(&b->note->place[i].check) == check_of(b, frame))
			latest = frame;
	}
	return latest;
}

int bdb_durable_check(struct bdb *b, struct pb_error *err)
{
	uint64_t last = journal_last(&b->journal), noted = bdb_durable_noted(b), flushed = journal_flushed(&b->journal);

	if (noted > flushed)
		flushed = noted;
	if (flushed <= last)
		return 0;
	if (b->note_found)
		return pb_fail(err, PB_ECORRUPT, "%s/journal is damaged at byte %" PRIu64 ": frames %" PRIu64 " to %" PRIu64
			" of accepted mail are unreadable. Nothing was changed. Bring it back, or move the file durable beside it away to open without them",
			b->dir, journal_place(&b->journal, true).at, last + 1, flushed);
	snprintf(b->notice, sizeof(b->notice), "the journal was damaged: its frames %" PRIu64 " to %" PRIu64 " were left out, because the file durable was moved away", last + 1, flushed);
	return 0;
}

void bdb_durable_note(struct bdb *b, uint64_t frame)
{
	if (!b->note)
		return;
	b->note_turn = !b->note_turn;
	atomic_store(&b->note->place[b->note_turn].frame, frame);
	atomic_store(&b->note->place[b->note_turn].check, check_of(b, frame));
}

void bdb_durable_close(struct bdb *b)
{
	if (b->note)
		munmap(b->note, NOTE_BYTES);
	b->note = NULL;
}
