/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of members in URLs, and what a request says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "plugins/conn_list/one_click.h"

#define MAC "0123456789abcdef0123"

static void names_come_back(void **state)
{
	struct pb_str mac;
	PB_AUTOBUF(name);
	PB_AUTOBUF(list);
	PB_AUTOBUF(member);

	(void)state;
	click_name(&name, PB_STR("dev@example.org"), PB_STR("b\xc3\xb6?b>@example.net"), PB_STR(MAC));
	for (size_t i = 0; i < name.len; i++)
		assert_true(pb_is_alnum(name.ptr[i]) || strchr("-_.", name.ptr[i]));
	assert_true(click_name_read(pb_buf_str(&name), &list, &member, &mac));
	assert_string_equal(pb_buf_z(&list), "dev@example.org");
	assert_string_equal(pb_buf_z(&member), "b\xc3\xb6?b>@example.net");
	assert_true(pb_str_eq(mac, PB_STR(MAC)));
	assert_false(click_name_read(PB_STR("x." MAC), &list, &member, &mac));
	assert_false(click_name_read(PB_STR(MAC), &list, &member, &mac));
	assert_false(click_name_read(PB_STR("." MAC), &list, &member, &mac));
	assert_true(click_name_read(PB_STR("YUBiCm1AYg." MAC), &list, &member, &mac));
	assert_false(click_name_read(PB_STR("YUBiCm1AYg.0123456789\0bcdef0123"), &list, &member, &mac));
}

static void targets(void **state)
{
	struct pb_str name;

	(void)state;
	assert_true(click_target(PB_STR("/u/abc.def"), &name) && pb_str_eq(name, PB_STR("abc.def")));
	assert_true(click_target(PB_STR("/lists/u/u/u/x"), &name) && pb_str_eq(name, PB_STR("x")));
	assert_false(click_target(PB_STR("/u/"), &name));
	assert_false(click_target(PB_STR("/u/a/b"), &name));
	assert_false(click_target(PB_STR("/"), &name));
}

static void forms(void **state)
{
	struct pb_str url = PB_STR("application/x-www-form-urlencoded; charset=utf-8"), form = PB_STR("multipart/form-data; boundary=\"b\"");

	(void)state;
	assert_true(click_said(url, PB_STR("List-Unsubscribe=One-Click")));
	assert_true(click_said(url, PB_STR("a=b&List%2dUnsubscribe=One%2DClick\r\n")));
	assert_false(click_said(url, PB_STR("List-Unsubscribe=One-Clicks")));
	assert_false(click_said(url, PB_STR("")));
	assert_false(click_said(PB_STR("text/plain"), PB_STR("List-Unsubscribe=One-Click")));
	assert_true(click_said(form, PB_STR("--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n")));
	assert_false(click_said(form, PB_STR("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nOne-Click\r\n--b--\r\n")));
	assert_false(click_said(PB_STR("multipart/form-data"), PB_STR("--\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n")));
}

static void fields(void **state)
{
	struct pb_str name, value;

	(void)state;
	assert_true(click_field(PB_STR("Content-Length:  5 "), &name, &value) && pb_str_eq(value, PB_STR("5")));
	assert_false(click_field(PB_STR("Content-Length : 5"), &name, &value));
	assert_false(click_field(PB_STR(" folded"), &name, &value));
	assert_int_equal(click_length(PB_STR("26")), 26);
	assert_int_equal(click_length(PB_STR("+26")), -1);
	assert_int_equal(click_length(PB_STR("")), -1);
	assert_int_equal(click_length(PB_STR("99999999999999999999")), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names_come_back), cmocka_unit_test(targets), cmocka_unit_test(forms), cmocka_unit_test(fields) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
