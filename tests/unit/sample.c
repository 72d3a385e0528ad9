/* Sampling of windows: against scipy and numpy (sample_golden.h), by hand, and on simulated texts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sample.h"
#include "sample_golden.h"

#define COUNT(a) (sizeof a / sizeof *a)

static void close_to(double x, double y, double off)
{
	if (!(fabs(x - y) <= off * (1 + fabs(y))))
		fail_msg("%.17g is not %.17g", x, y);
}

static void test_student(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(quantiles); i++)
		close_to(student_t(quantiles[i].degrees), quantiles[i].t, 1e-11);
	assert_true(sample_half_width(0, 1) == 0);
	assert_true(isinf(sample_half_width(0.1, 1)));
	close_to(sample_half_width(0.5, 5), 0.5 * 2.7764451051977987, 1e-11);
}

static void test_ratios(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ratios); i++) {
		struct ratio r = sample_ratio(ratios[i].y, ratios[i].x, ratios[i].n, ratios[i].all);
		close_to(r.value, ratios[i].value, 1e-14);
		close_to(r.error, ratios[i].error, 1e-12);
	}
	/* by hand: 2 of 4, mean of x 3, residuals 1 and -1 from the ratio 2: (1 - 1/2) (1 + 1) / 1 / 2, root, over 3 */
	struct ratio r = sample_ratio((const double[]){5, 7}, (const double[]){2, 4}, 2, 4);
	close_to(r.value, 2, 1e-15);
	close_to(r.error, sqrt(0.5) / 3, 1e-15);
	assert_true(isnan(sample_ratio((const double[]){5}, (const double[]){2}, 1, 4).error));
}

static void test_draws(void **state)
{
	int count[10] = {0};

	(void)state;
	for (uint64_t seed = 0; seed < 3000; seed++) {
		struct rng r = rng_make(seed, 7);
		uint64_t *unit = sample_draw(&r, 4, 10);

		for (int i = 0; i < 4; i++) {
			assert_true(unit[i] < 10 && (i == 0 || unit[i] > unit[i - 1]));
			count[unit[i]]++;
		}
		free(unit);
	}
	for (int i = 0; i < 10; i++) /* 1200 each, standard deviation 27 */
		assert_in_range(count[i], 1080, 1320);
}

static void test_looks(void **state)
{
	(void)state;
	assert_int_equal(sample_next(0, 5), 5);
	assert_int_equal(sample_next(0, 25), 8);
	assert_int_equal(sample_next(8, 25), 16);
	assert_int_equal(sample_next(16, 25), 25);
	assert_int_equal(sample_next(0, 1170), 59);
	assert_int_equal(sample_next(59, 1170), 118);
	/* t(7) = 2.3646: 0.01 is half of an interval of +-0.0236 */
	assert_true(sample_enough(0.01, 8, 0, 0.0237));
	assert_false(sample_enough(0.01, 8, 0, 0.0236));
	assert_true(sample_enough(0.01, 8, -0.0946, 0.001));
	assert_false(sample_enough(0.01, 8, -0.0945, 0.001));
	assert_false(sample_enough(NAN, 8, -0.5, 0.1));
	assert_true(sample_enough(0, 8, 0, 1e-9));
}

/*
 * Texts of `all` windows whose means change by `change` on average, with a tail to one side, as those of texts do where
 * a few windows hold what was learned. How many intervals hold the change of the whole, of 4000?
 */
#define TEXTS 4000
#define MOST 1200

static double covered(uint64_t all, double change, double until, uint64_t fixed, double *mean_n)
{
	static double y[MOST], x[MOST], sy[MOST], sx[MOST];
	static uint64_t order[MOST];
	uint64_t hit = 0, scored = 0;

	for (uint64_t text = 0; text < TEXTS; text++) {
		struct rng r = rng_make(1, rng_stream("text", text, all));
		double sum_y = 0, sum_x = 0;
		struct ratio e;
		uint64_t n = 0;

		for (uint64_t i = 0; i < all; i++) {
			double z = rng_normal(&r), tail = -log(1 - rng_real(&r)) - 1;
			x[i] = i + 1 < all ? 255 : (double)rng_below(&r, 255) + 1;
			y[i] = (change + 0.06 * z + 0.06 * tail) * x[i];
			sum_y += y[i];
			sum_x += x[i];
		}
		rng_permutation(&r, order, all);
		for (uint64_t i = 0; i < all; i++) {
			sy[i] = y[order[i]];
			sx[i] = x[order[i]];
		}
		do {
			n = fixed ? fixed : sample_next(n, all);
			e = sample_ratio(sy, sx, n, all);
		} while (!fixed && n < all && !sample_enough(e.error, n, e.value, until));
		hit += fabs(e.value - sum_y / sum_x) <= sample_half_width(e.error, n) + 1e-12;
		scored += n;
	}
	*mean_n = (double)scored / TEXTS;
	return (double)hit / TEXTS;
}

static void test_coverage(void **state)
{
	static const struct {
		uint64_t all, fixed;
		double change, until, lowest, highest;
	} c[] = {
		/* samples of a size that was fixed before: 95 %, give or take 0.35 */
		{100, 10, -0.2, 0, 0.930, 0.965},
		{100, 40, -0.2, 0, 0.935, 0.965},
		{1000, 50, 0.1, 0, 0.935, 0.965},
		/* the rule */
		{25, 0, 0, 0.02, 0.90, 1},
		{100, 0, 0, 0.02, 0.90, 1},
		{100, 0, -0.3, 0.02, 0.90, 1},
		{1000, 0, 0.05, 0.01, 0.90, 1},
		{1000, 0, -0.3, 0.02, 0.90, 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(c); i++) {
		double n, share = covered(c[i].all, c[i].change, c[i].until, c[i].fixed, &n);
		print_message("%llu windows, change %.2f, until %.2f: %.1f scored, %.1f %% covered\n", (unsigned long long)c[i].all,
		              c[i].change, c[i].until, n, 100 * share);
		assert_true(share >= c[i].lowest && share <= c[i].highest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_student), cmocka_unit_test(test_ratios), cmocka_unit_test(test_draws),
		cmocka_unit_test(test_looks), cmocka_unit_test(test_coverage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
