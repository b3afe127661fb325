/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Robinson, "A statistical approach to the spam problem" (Linux Journal 107), with the constants that mail filters have settled on. */
#include <math.h>
#include <stdlib.h>
#include "classify.h"

enum { MOST = 150 };
static const double STRENGTH = 0.03, UNKNOWN = 0.538, NEUTRAL = 0.05;	/* how much an unknown word weighs, what it says, and how near to 1/2 says nothing */

static double of_word(struct counts word, struct counts all)
{
	double spam = word.spam / (double)all.spam, ham = word.ham / (double)all.ham, n = (double)word.spam + word.ham, p;

	if (!(spam + ham > 0))
		return 0.5;
	p = spam / (spam + ham);
	return (STRENGTH * UNKNOWN + n * p) / (STRENGTH + n);
}

/* That chance alone gives at least this, with 2n degrees of freedom. */
static double chi2q(double x, size_t n)
{
	double m = x / 2, term = exp(-m), sum = term;

	for (size_t i = 1; i < n; i++) {
		term *= m / (double)i;
		sum += term;
	}
	return sum < 1 ? sum : 1;
}

static int farthest_first(const void *a, const void *b)
{
	double x = fabs(*(const double *)a - 0.5), y = fabs(*(const double *)b - 0.5);

	return x > y ? -1 : x < y;
}

double classify(const struct counts *words, size_t n, struct counts all)
{
	double *p, spam = 0, ham = 0, s, h;
	size_t used = 0;

	if (!all.spam || !all.ham || !n)
		return 0.5;
	p = malloc(n * sizeof *p);
	if (!p)
		abort();
	for (size_t i = 0; i < n; i++) {
		double one = of_word(words[i], all);

		if (fabs(one - 0.5) > NEUTRAL)
			p[used++] = one;
	}
	qsort(p, used, sizeof *p, farthest_first);
	if (used > MOST)
		used = MOST;
	for (size_t i = 0; i < used; i++) {
		spam += log(p[i]);
		ham += log(1 - p[i]);
	}
	free(p);
	if (!used)
		return 0.5;
	s = 1 - chi2q(-2 * ham, used);
	h = 1 - chi2q(-2 * spam, used);
	return (1 + s - h) / 2;
}
