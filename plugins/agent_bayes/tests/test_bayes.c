/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words and the sum over them, on small messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <postbus/message.h>
#include "plugins/agent_bayes/classify.h"
#include "plugins/agent_bayes/tokens.h"

static size_t words_in(const char *message, uint64_t **ret)
{
	PB_AUTOBUF(facts);

	pb_facts_make(pb_strz(message), &facts);
	return tokens_of(pb_strz(message), pb_buf_str(&facts), ret);
}

static size_t shared(const char *a, const char *b)
{
	uint64_t *x, *y;
	size_t n = words_in(a, &x), m = words_in(b, &y), same = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < m; k++)
			same += x[i] == y[k];
	free(x);
	free(y);
	return same;
}

static void a_word_is_the_same_however_it_is_written(void **state)
{
	(void)state;
	assert_int_equal(shared("\r\nBuy Pills\r\n", "\r\nbuy pills now\r\n"), 2);
	assert_int_equal(shared("\r\nbuy pills\r\n", "Content-Transfer-Encoding: base64\r\n\r\nYnV5IHBpbGxz\r\n"), 2);
	assert_int_equal(shared("\r\nbuy pills\r\n", "Content-Type: text/html\r\n\r\n<p class=\"nothing\">buy <b>pills</b></p>\r\n"), 2);
	assert_int_equal(shared("Subject: pills\r\n\r\n", "\r\npills\r\n"), 0);	/* elsewhere it is another */
	assert_int_equal(shared("Subject: =?utf-8?q?pills?=\r\n\r\n", "Subject: PILLS\r\n\r\n"), 1);
	assert_int_equal(shared("\r\nat http://bad.example/x\r\n", "Content-Type: text/html\r\n\r\n<a href=\"https://bad.example/y\">here</a>\r\n"), 1);
	assert_int_equal(shared("\r\nof an averyveryverylongwordindeed\r\n", "\r\nof an averyveryverylongwordindeed\r\n"), 0);
}

static void the_sum_says_what_most_words_say(void **state)
{
	static const struct counts all = { 100, 100 }, spam[] = { { 50, 0 }, { 30, 1 }, { 20, 0 } }, ham[] = { { 0, 50 }, { 1, 30 }, { 0, 20 } }, both[] = { { 40, 40 }, { 10, 10 } },
				   mixed[] = { { 50, 0 }, { 0, 50 } };

	(void)state;
	assert_true(classify(spam, 3, all) > 0.99);
	assert_true(classify(ham, 3, all) < 0.01);
	assert_true(classify(both, 2, all) == 0.5);
	assert_true(classify(mixed, 2, all) > 0.4 && classify(mixed, 2, all) < 0.6);
	assert_true(classify(spam, 3, (struct counts){ 100, 0 }) == 0.5);
	assert_true(classify(NULL, 0, all) == 0.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_word_is_the_same_however_it_is_written), cmocka_unit_test(the_sum_says_what_most_words_say) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
