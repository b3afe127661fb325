/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rewritten senders: there and back, over several rewriters, and what is forged, old or malformed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "plugins/conn_postoffice/srs.h"

#define DAY INT64_C(86400000000)
#define NOW (20000 * DAY)

static const char one[SRS_SECRET] = "one", two[SRS_SECRET] = "two";

static struct pb_str local_of(struct pb_buf *address)
{
	return pb_str_head(pb_buf_str(address), (size_t)pb_str_find(pb_buf_str(address), '@', 0));
}

static void a_sender_comes_back(void **state)
{
	static const char *const senders[] = { "bob@remote.example", "a=b=c@remote.example", "bob+tag@sub.remote.example", "\"odd local\"@remote.example" };

	(void)state;
	for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
		PB_AUTOBUF(there);
		PB_AUTOBUF(back);

		srs_encode(&there, pb_strz(senders[i]), PB_STR("demo.example"), one, NOW);
		assert_true(srs_is(local_of(&there)));
		assert_true(pb_str_ends(pb_buf_str(&there), PB_STR("@demo.example")));
		assert_int_equal(srs_decode(&back, local_of(&there), one, NOW + 21 * DAY, NULL), 0);
		assert_string_equal(pb_buf_z(&back), senders[i]);
		pb_buf_reset(&back);
		assert_int_equal(srs_decode(&back, local_of(&there), one, NOW + 22 * DAY, NULL), PB_ETIMEOUT);
		assert_int_equal(srs_decode(&back, local_of(&there), two, NOW, NULL), PB_EDENIED);
		for (size_t k = 0; k < there.len; k++)	/* case is lost on the way */
			there.ptr[k] = (char)pb_upper((unsigned char)there.ptr[k]);
		assert_int_equal(srs_decode(&back, local_of(&there), one, NOW, NULL), 0);
	}
}

static void over_three_servers_it_stays_two_hops(void **state)
{
	PB_AUTOBUF(first);
	PB_AUTOBUF(second);
	PB_AUTOBUF(third);
	PB_AUTOBUF(back);

	(void)state;
	srs_encode(&first, PB_STR("bob@remote.example"), PB_STR("first.example"), one, NOW);
	srs_encode(&second, pb_buf_str(&first), PB_STR("second.example"), two, NOW);
	srs_encode(&third, pb_buf_str(&second), PB_STR("third.example"), one, NOW);
	assert_true(pb_str_starts(pb_buf_str(&second), PB_STR("SRS1=")));
	assert_int_equal(srs_decode(&back, local_of(&third), one, NOW, NULL), 0);
	assert_string_equal(pb_buf_z(&back), pb_buf_z(&first));
}

static void what_has_no_room_goes_by_a_handle(void **state)
{
	static const struct { const char *sender; bool fits; } table[] = {
		{ "bob@remote.example", true }, { "\"odd local\"@remote.example", false },
		{ "0100018d2bd1c1a2-7b1e6a6a-6c9f-4f4e-9d0a-000000000000-000000@eu-west-1.amazonses.example", false },
		{ "SRS0=abcd=XX=original.example=somebody.with.a.name@forwarder.of.mail.example", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char handle[SRS_HANDLE], other[SRS_HANDLE];
		PB_AUTOBUF(there);
		PB_AUTOBUF(back);

		srs_encode(&there, pb_strz(table[i].sender), PB_STR("demo.example"), one, NOW);
		assert_int_equal(srs_fits(pb_buf_str(&there)), table[i].fits);
		srs_handle(handle, pb_strz(table[i].sender), one);
		srs_handle(other, pb_strz(table[i].sender), two);
		assert_memory_not_equal(handle, other, SRS_HANDLE);
		pb_buf_reset(&there);
		srs_encode_handle(&there, pb_str(handle, SRS_HANDLE), PB_STR("demo.example"), one, NOW);
		assert_true(srs_fits(pb_buf_str(&there)));
		for (size_t k = 0; k < there.len; k++)
			there.ptr[k] = (char)pb_lower((unsigned char)there.ptr[k]);
		assert_int_equal(srs_decode(&back, local_of(&there), one, NOW + 21 * DAY, NULL), 0);
		assert_true(pb_str_eq(pb_buf_str(&back), pb_str(handle, SRS_HANDLE)));
		assert_int_equal(srs_decode(&back, local_of(&there), one, NOW + 22 * DAY, NULL), PB_ETIMEOUT);
		assert_int_equal(srs_decode(&back, local_of(&there), two, NOW, NULL), PB_EDENIED);
	}
}

static void the_null_sender_stays(void **state)
{
	PB_AUTOBUF(out);

	(void)state;
	srs_encode(&out, PB_NOSTR, PB_STR("demo.example"), one, NOW);
	assert_int_equal(out.len, 0);
}

static void what_is_malformed_is_refused(void **state)
{
	static const char *const locals[] = { "SRS0=", "SRS0", "SRS0=AAAAAAAAAA", "SRS0=AAAAAAAAAA=", "SRS1==", "SRS0=AAAAAAAAAA=AA=x=y", "bob", "" };

	(void)state;
	for (size_t i = 0; i < sizeof locals / sizeof *locals; i++) {
		PB_AUTOBUF(out);

		assert_int_not_equal(srs_decode(&out, pb_strz(locals[i]), one, NOW, NULL), 0);
		assert_int_equal(out.len, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sender_comes_back),
		cmocka_unit_test(over_three_servers_it_stays_two_hops),
		cmocka_unit_test(what_has_no_room_goes_by_a_handle),
		cmocka_unit_test(the_null_sender_stays),
		cmocka_unit_test(what_is_malformed_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
