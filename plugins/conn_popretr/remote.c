/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What POP3 and IMAP sessions share: the list of a remote mailbox, and a server's words. */
#include <stdlib.h>
#include "remote.h"

void listing_free(struct listing *l)
{
	free(l->list);
	pb_buf_free(&l->uids);
	*l = (struct listing){ 0 };
}

struct listed *listing_add(struct listing *l, uint32_t number)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 256;
		l->list = pb_realloc(l->list, l->room * sizeof *l->list);
	}
	l->list[l->n] = (struct listed){ .number = number };
	return &l->list[l->n++];
}

void keep_words(char *out, size_t size, struct pb_str words)
{
	size_t n = 0;

	words = pb_str_trim(words);
	for (; n < words.len && n < size - 1; n++)
		out[n] = words.ptr[n] >= 32 && words.ptr[n] < 127 ? words.ptr[n] : '?';
	out[n] = '\0';
}
