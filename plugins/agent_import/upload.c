/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages that come in several calls: spools that wait for the next piece, and what is done with those whose next piece never comes. */
#include "import.h"

#define SILENCE (10 * PB_MINUTE)

int spool_add(struct pb_spool *spool, struct pb_str base64, struct pb_error *err)
{
	PB_AUTOBUF(bytes);

	if (pb_base64_decode(&bytes, base64))
		return pb_fail(err, PB_EINVALID, "data is no base64");
	pb_spool_write(spool, bytes.ptr, bytes.len);
	return pb_spool_check(spool, err);
}

static struct pb_spool *begin(struct import *in, struct pb_error *err)
{
	return pb_spool_begin(in->host, (uint64_t)pb_config_int(in->host, "size_max"), err);
}

int upload_take(struct import *in, int64_t number, struct pb_spool **ret, struct pb_error *err)
{
	struct pb_spool *spool = NULL;

	if (!number) {
		*ret = begin(in, err);
		return *ret ? 0 : err->code;
	}
	pthread_mutex_lock(&in->lock);
	for (size_t i = 0; i < UPLOADS_MAX && !spool; i++) {
		if (in->uploads[i].number != number)
			continue;
		spool = in->uploads[i].spool;
		in->uploads[i] = (struct upload){ 0 };
	}
	pthread_mutex_unlock(&in->lock);
	if (!spool)
		return pb_fail(err, PB_ENOTFOUND, "there is no upload %lld", (long long)number);
	*ret = spool;
	return 0;
}

/* Back into a slot until the next piece. Takes the spool over. */
static int put_away(struct import *in, int64_t number, struct pb_spool *spool, int64_t *ret_number, struct pb_error *err)
{
	struct upload *slot = NULL;

	pthread_mutex_lock(&in->lock);
	for (size_t i = 0; i < UPLOADS_MAX && !slot; i++)
		if (!in->uploads[i].number)
			slot = &in->uploads[i];
	if (slot) {
		*slot = (struct upload){ number ? number : ++in->last_upload, pb_ticks(in->host), spool };
		*ret_number = slot->number;
	}
	pthread_mutex_unlock(&in->lock);
	if (slot)
		return 0;
	pb_spool_discard(spool);
	return pb_fail(err, PB_EBUSY, "%d messages are being uploaded already", UPLOADS_MAX);
}

int upload_add(struct import *in, int64_t number, struct pb_str base64, int64_t *ret_number, struct pb_error *err)
{
	struct pb_spool *spool;

	if (upload_take(in, number, &spool, err))
		return err->code;
	if (spool_add(spool, base64, err)) {
		pb_spool_discard(spool);
		return err->code;
	}
	return put_away(in, number, spool, ret_number, err);
}

void uploads_expire(struct import *in, bool all)
{
	pthread_mutex_lock(&in->lock);
	for (size_t i = 0; i < UPLOADS_MAX; i++) {
		struct upload *u = &in->uploads[i];

		if (!u->number || (!all && pb_ticks(in->host) - u->used < SILENCE))
			continue;
		pb_log(in->host, PB_WARNING, "import.expired", "upload=%lld", (long long)u->number);
		pb_spool_discard(u->spool);
		*u = (struct upload){ 0 };
	}
	pthread_mutex_unlock(&in->lock);
}
