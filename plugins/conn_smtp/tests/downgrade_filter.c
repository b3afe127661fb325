/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A message from standard input, converted, to standard output; test_downgrade.py compares the two. Argument: what, as a number. Ends with the result. */
#include <stdio.h>
#include <stdlib.h>
#include "plugins/conn_smtp/downgrade.h"

static void put(void *arg, const char *ptr, size_t len)
{
	if (len)
		fwrite(ptr, 1, len, arg);
}

int main(int argc, char **argv)
{
	PB_AUTOBUF(message);
	PB_AUTOBUF(facts);
	char room[65536];
	uint64_t what = 3;
	size_t n;

	if (argc > 1 && pb_str_u64(pb_strz(argv[1]), 3, &what))
		return 100;
	while ((n = fread(room, 1, sizeof room, stdin)) > 0)
		pb_buf_add(&message, room, n);
	pb_facts_make(pb_buf_str(&message), &facts);
	return (int)downgrade(&(struct downgrade){ pb_buf_str(&message), pb_buf_str(&facts), (unsigned)what, put, stdout });
}
