/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a program that was run. */
#include <postbus/run.h>

void pb_ran_free(struct pb_ran *ran)
{
	pb_buf_free(&ran->output);
	pb_buf_free(&ran->errors);
	pb_spool_discard(ran->changed);
	ran->changed = NULL;
}
