/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Unit tests of FETCH's grammar: what is asked for, and what the answer will call it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "../fetch_plan.h"

static struct pb_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = pb_arena_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pb_arena_free(arena);
	return 0;
}

static bool plan_of(const char *text, struct fetch_plan *plan)
{
	struct parse p = parse_start(pb_strz(text), arena);

	*plan = (struct fetch_plan){ 0 };
	return parse_fetch(&p, plan);
}

static void items_and_macros_are_known(void **state)
{
	static const struct {
		const char *input;
		unsigned want;
	} cases[] = {
		{ "FLAGS", FETCH_FLAGS }, { "(uid flags)", FETCH_UID | FETCH_FLAGS }, { "FAST", FETCH_FLAGS | FETCH_DATE | FETCH_SIZE },
		{ "ALL", FETCH_FLAGS | FETCH_DATE | FETCH_SIZE | FETCH_ENVELOPE }, { "full", FETCH_FLAGS | FETCH_DATE | FETCH_SIZE | FETCH_ENVELOPE | FETCH_BODY },
		{ "BODY", FETCH_BODY }, { "(BODYSTRUCTURE BODY)", FETCH_BODY | FETCH_STRUCTURE }, { "RFC822.SIZE", FETCH_SIZE }, { "INTERNALDATE", FETCH_DATE },
	};
	struct fetch_plan plan;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_true(plan_of(cases[i].input, &plan));
		assert_int_equal(plan.items, cases[i].want);
		assert_int_equal(plan.nsections, 0);
		assert_false(plan.sets_seen);
	}
}

static void sections_have_a_place_a_label_and_an_effect(void **state)
{
	static const struct {
		const char *input, *label, *spec;
		enum section_kind kind;
		bool top, seen;
	} cases[] = {
		{ "BODY[]", "BODY[]", "", SECTION_WHOLE, false, true },
		{ "body.peek[]<5.10>", "BODY[]<5>", "", SECTION_WHOLE, false, false },
		{ "BODY[HEADER]", "BODY[HEADER]", "HEADER", SECTION_RANGE, true, true },
		{ "BODY.PEEK[text]", "BODY[TEXT]", "TEXT", SECTION_RANGE, false, false },
		{ "BODY[1.2.3]", "BODY[1.2.3]", "1.2.3", SECTION_RANGE, false, true },
		{ "BODY[1.MIME]", "BODY[1.MIME]", "1.MIME", SECTION_RANGE, false, true },
		{ "BODY[4.2.HEADER]", "BODY[4.2.HEADER]", "4.2.HEADER", SECTION_RANGE, false, true },
		{ "BODY.PEEK[HEADER.FIELDS (From \"To\" {2}\r\nCc)]", "BODY[HEADER.FIELDS (From To Cc)]", "HEADER", SECTION_FIELDS, true, false },
		{ "BODY.PEEK[2.header.fields.not (x-y)]<0.5>", "BODY[2.HEADER.FIELDS.NOT (x-y)]<0>", "2.HEADER", SECTION_FIELDS_NOT, false, false },
		{ "RFC822", "RFC822", "", SECTION_WHOLE, false, true },
		{ "RFC822.HEADER", "RFC822.HEADER", "HEADER", SECTION_RANGE, true, false },
		{ "RFC822.TEXT", "RFC822.TEXT", "TEXT", SECTION_RANGE, false, true },
	};
	struct fetch_plan plan;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct section *sec;

		if (!plan_of(cases[i].input, &plan))
			fail_msg("%s", cases[i].input);
		assert_int_equal(plan.nsections, 1);
		sec = plan.sections;
		assert_int_equal(sec->label.len, strlen(cases[i].label));
		assert_memory_equal(sec->label.ptr, cases[i].label, sec->label.len);
		assert_int_equal(sec->spec.len, strlen(cases[i].spec));
		if (sec->spec.len)
			assert_memory_equal(sec->spec.ptr, cases[i].spec, sec->spec.len);
		assert_int_equal(sec->kind, cases[i].kind);
		assert_int_equal(sec->top, cases[i].top);
		assert_int_equal(plan.sets_seen, cases[i].seen);
	}
}

static void fields_that_delivery_adds_are_not_taken_from_facts(void **state)
{
	struct fetch_plan plan;

	(void)state;
	assert_true(plan_of("BODY[HEADER.FIELDS (From Subject)]", &plan) && plan.sections->kept);
	assert_true(plan_of("BODY[HEADER.FIELDS (From delivered-to)]", &plan) && !plan.sections->kept);
	assert_true(plan_of("BODY[HEADER.FIELDS (X-Spam-Flag)]", &plan) && !plan.sections->kept);
	assert_true(plan_of("BODY[1.HEADER.FIELDS (From)]", &plan) && !plan.sections->kept);
	assert_true(plan_of("BODY[HEADER.FIELDS.NOT (From)]", &plan) && !plan.sections->kept);
}

static void malformed_items_are_refused(void **state)
{
	static const char *const cases[] = {
		"", "()", "(FLAGS", "FLAGS)", "(FLAGS  UID)", "FLAG", "BODY[", "BODY[]<0>", "BODY[]<0.0>", "BODY[]<a.1>", "BODY[MIME]", "BODY[0]", "BODY[1.]", "BODY[1..2]",
		"BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]", "BODY[HEADER.FIELDS (a:b)]", "BODY[HEADER.FIELDS (\"a b\")]", "BODY[HEADERS]", "BODY.PEEK", "RFC822.FOO",
		"ALL FLAGS", "BODY[1.TEXT.2]", "BODY[HEADER.FIELDS (\"\")]",
	};
	struct fetch_plan plan;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (plan_of(cases[i], &plan))
			fail_msg("%s", cases[i]);
}

static void more_than_can_be_kept_is_refused(void **state)
{
	struct fetch_plan plan;
	PB_AUTOBUF(many);
	PB_AUTOBUF(deep);

	(void)state;
	pb_buf_addz(&many, "(FLAGS");
	for (int i = 0; i <= SECTIONS_MAX; i++)
		pb_buf_addz(&many, " BODY[]");
	pb_buf_addc(&many, ')');
	assert_false(plan_of(pb_buf_z(&many), &plan));
	pb_buf_addz(&deep, "BODY[1");
	for (int i = 0; i < 1000; i++)
		pb_buf_addz(&deep, ".1");
	pb_buf_addc(&deep, ']');
	assert_false(plan_of(pb_buf_z(&deep), &plan));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_and_macros_are_known),
		cmocka_unit_test(sections_have_a_place_a_label_and_an_effect),
		cmocka_unit_test(fields_that_delivery_adds_are_not_taken_from_facts),
		cmocka_unit_test(malformed_items_are_refused),
		cmocka_unit_test(more_than_can_be_kept_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
