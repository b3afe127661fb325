/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls to the directory over fake.h, and what its tests begin with: the post office demo with the mailboxes alice and bob at demo.example. */
#ifndef AGENT_DIRECTORY_CALLS_H
#define AGENT_DIRECTORY_CALLS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "fake.h"

#define DO(f, method, ...) assert_int_equal(do_call(f, NULL, method, json_pack(__VA_ARGS__)), 0)
#define REFUSED(f, code, method, ...) assert_int_equal(fake_call(f, NULL, method, json_pack(__VA_ARGS__)), code)
#define REFUSED_FOR(f, who, code, method, ...) assert_int_equal(fake_call(f, who, method, json_pack(__VA_ARGS__)), code)

static inline int do_call(struct fake *f, const struct pb_caller *who, const char *method, json_t *params)
{
	int rc = fake_call(f, who, method, params);

	if (rc)
		print_message("%s: %s\n", method, fake_error(f));
	return rc;
}

static inline const char *got(struct fake *f, const char *key)
{
	const char *text = json_string_value(json_object_get(fake_result(f), key));

	return text ? text : "(none)";
}

static inline int begin(void **state)
{
	struct fake *f = fake_start(NULL);

	DO(f, "postoffice.create", "{s:s}", "name", "demo");
	DO(f, "domain.create", "{s:s s:s}", "domain", "demo.example", "postoffice", "demo");
	DO(f, "mailbox.create", "{s:s s:s}", "address", "alice@demo.example", "name", "Alice");
	DO(f, "mailbox.create", "{s:s}", "address", "bob@demo.example");
	*state = f;
	return 0;
}

static inline int end(void **state)
{
	fake_stop(*state);
	return 0;
}

static inline const char *target_of(struct fake *f, const char *address)
{
	return fake_call(f, NULL, "directory.resolve", json_pack("{s:s}", "address", address)) ? fake_error(f) : got(f, "target");
}

/* "mailbox/<id of alice>" */
static inline void leads_to(struct fake *f, const char *address, const char *mailbox)
{
	char want[100];

	DO(f, "mailbox.show", "{s:s}", "mailbox", mailbox);
	snprintf(want, sizeof want, "mailbox/%s", got(f, "mailbox"));
	assert_string_equal(target_of(f, address), want);
}

#endif
