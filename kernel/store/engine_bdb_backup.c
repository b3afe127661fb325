/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Backup while serving.
 */
#include "kernel/store/engine_bdb.h"

int bdb_backup(struct engine *e, const char *dir, struct pb_error *err)
{
	(void)e;
	return pb_fail(err, PB_EUNAVAILABLE, "no backup to %s yet", dir);
}

int bdb_compact(struct engine *e, bool *ret_more, struct pb_error *err)
{
	(void)e;
	(void)err;
	*ret_more = false;
	return 0;
}
