/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a directory says of SCRAM to a service that is fuzzed: everybody has a salt, and nobody guesses a proof. */
#ifndef TESTS_FUZZ_LOGIN_H
#define TESTS_FUZZ_LOGIN_H

#include <jansson.h>
#include <string.h>
#include <postbus/plugin.h>

static inline bool login_is_provided(struct pb_host *h, const char *method)
{
	(void)h;
	return pb_str_starts(pb_strz(method), PB_STR("auth."));
}

/* False: it is no question about SCRAM. */
static inline bool login_scram(const char *method, json_t **ret, int *ret_rc, struct pb_error *err)
{
	if (!strcmp(method, "auth.scram")) {
		*ret = json_pack("{s:s, s:i}", "salt", "c2FsdHNhbHRzYWx0", "iterations", 4096);
		*ret_rc = 0;
		return true;
	}
	if (strcmp(method, "auth.scram_verify"))
		return false;
	*ret_rc = pb_fail(err, PB_EDENIED, "wrong");
	return true;
}

static inline int login_channel(bool tls, struct pb_str type, struct pb_buf *out, struct pb_error *err)
{
	if (!tls || !pb_str_eq(type, PB_STR("tls-exporter")))
		return pb_fail(err, PB_EUNAVAILABLE, "no such channel binding");
	pb_buf_addz(out, "channel");
	return 0;
}

#endif
