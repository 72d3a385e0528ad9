/* Statistics against scipy's (stats_golden.h), and against values that are known. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stats.h"
#include "stats_golden.h"

#define N_CASES (int)(sizeof cases / sizeof *cases)

static void close_to(double x, double y)
{
	if (!(fabs(x - y) <= 1e-12 * (1 + fabs(y))) && !(isinf(x) && x == y))
		fail_msg("%.17g is not %.17g", x, y);
}

static void test_correlations(void **state)
{
	(void)state;
	for (int i = 0; i < N_CASES; i++) {
		const double *z[] = {cases[i].z, cases[i].w};
		double rank[256];
		int n = cases[i].n;

		stat_ranks(cases[i].x, n, rank);
		for (int j = 0; j < n; j++)
			close_to(rank[j], cases[i].rank[j]);
		close_to(stat_pearson(cases[i].x, cases[i].y, n), cases[i].pearson);
		close_to(stat_spearman(cases[i].x, cases[i].y, n), cases[i].spearman);
		close_to(stat_kendall(cases[i].x, cases[i].y, n), cases[i].kendall);
		close_to(stat_partial(cases[i].x, cases[i].y, z, 1, n), cases[i].partial1);
		close_to(stat_partial(cases[i].x, cases[i].y, z, 2, n), cases[i].partial2);
		close_to(stat_partial(cases[i].x, cases[i].y, z, 0, n), cases[i].spearman);
	}
}

static void test_nothing_to_tell(void **state)
{
	static const double same[] = {1, 1, 1, 1, 1}, x[] = {1, 2, 3, 4, 5}, y[] = {2, 1, 4, 3, 5};
	static const double tenth[] = {.1, .1, .1, .1, .1, .1, .1, .1, .1, .1}, ten[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	const double *z[] = {x, y};

	(void)state;
	assert_true(isnan(stat_spearman(same, x, 5)));
	assert_true(isnan(stat_kendall(x, same, 5)));
	for (int n = 2; n <= 10; n++) { /* whatever rounding does to the mean */
		assert_true(isnan(stat_pearson(tenth, ten, n)));
		assert_true(isnan(stat_spearman(ten, tenth, n)));
	}
	assert_true(isnan(stat_pearson(x, y, 1)));
	assert_true(isnan(stat_partial(x, y, z, 1, 5)));    /* x explains x */
	assert_true(isnan(stat_partial(x, y, z + 1, 1, 3))); /* too few */
	assert_true(isnan(stat_quantile(x, 0, 0.5)));
	assert_true(isnan(stat_km_median(x, NULL, 0)));
	close_to(stat_spearman(x, x, 5), 1);
	close_to(stat_kendall(x, y, 5), 0.6); /* 8 pairs agree, 2 do not */
}

static int ascending(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void test_quantiles(void **state)
{
	(void)state;
	for (int i = 0; i < N_CASES; i++) {
		double v[256];

		memcpy(v, cases[i].y, (size_t)cases[i].n * sizeof *v);
		qsort(v, (size_t)cases[i].n, sizeof *v, ascending);
		close_to(stat_quantile(v, cases[i].n, 0.025), cases[i].low);
		close_to(stat_quantile(v, cases[i].n, 0.5), cases[i].median);
		close_to(stat_quantile(v, cases[i].n, 1), v[cases[i].n - 1]);
	}
	close_to(stat_quantile((const double[]){1, INFINITY, INFINITY}, 3, 0.75), INFINITY);
}

static void test_half_lives(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lives / sizeof *lives; i++)
		close_to(stat_km_median(lives[i].time, lives[i].ended, lives[i].n), lives[i].median);
	/* three of five are watched only until 2; of the others one ends at 1, one at 9 */
	close_to(stat_km_median((const double[]){1, 2, 2, 2, 9}, (const int[]){1, 0, 0, 0, 1}, 5), 9);
	close_to(stat_km_median((const double[]){1, 2, 2}, (const int[]){0, 0, 0}, 3), INFINITY);
}

/* Values of runs and domains: mean over runs of group 0, less that of group 1 if there is one. */
struct table {
	int n_domains;
	const double *v[STAT_GROUPS];
};

static double mean_of(const struct draw *d, void *arg)
{
	const struct table *t = arg;
	double mean[STAT_GROUPS] = {0};

	for (int g = 0; g < STAT_GROUPS; g++)
		for (int r = 0; r < d->n_runs[g]; r++)
			for (int j = 0; j < d->n_domains; j++)
				mean[g] += t->v[g][d->run[g][r] * t->n_domains + d->domain[j]] / d->n_runs[g] / d->n_domains;
	return mean[0] - mean[1];
}

static void test_bootstrap(void **state)
{
	struct table t = {24, {sample, NULL}};
	struct interval a = stat_bootstrap(mean_of, &t, (const int[]){1, 0}, 24, 20000, 1), b;

	(void)state;
	close_to(a.value, sample_mean);
	assert_true(fabs(a.lo - sample_lo) < 0.03 * (sample_hi - sample_lo));
	assert_true(fabs(a.hi - sample_hi) < 0.03 * (sample_hi - sample_lo));
	b = stat_bootstrap(mean_of, &t, (const int[]){1, 0}, 24, 20000, 1);
	close_to(b.lo, a.lo);
	b = stat_bootstrap(mean_of, &t, (const int[]){1, 0}, 24, 20000, 2);
	assert_true(b.lo < a.lo || b.lo > a.lo);
}

/* Runs are resampled too, and the same domains in both groups: what all domains share falls out of a difference. */
static void test_bootstrap_of_groups(void **state)
{
	static const double one[] = {1, 2, 3, 4, 5, 6}, two[] = {2, 3, 4, 5, 6, 7}, runs[] = {1, 1, 1, 5, 5, 5};
	struct table t = {6, {two, one}};
	struct interval a = stat_bootstrap(mean_of, &t, (const int[]){1, 1}, 6, 500, 1);

	(void)state;
	close_to(a.value, 1);
	close_to(a.lo, 1);
	close_to(a.hi, 1);
	t = (struct table){3, {runs, NULL}};
	a = stat_bootstrap(mean_of, &t, (const int[]){2, 0}, 3, 500, 1);
	close_to(a.value, 3);
	close_to(a.lo, 1);
	close_to(a.hi, 5);
	/* one run on one domain: nothing to resample */
	a = stat_bootstrap(mean_of, &t, (const int[]){1, 0}, 1, 500, 1);
	close_to(a.value, 1);
	assert_true(isnan(a.lo) && isnan(a.hi));
}

static double if_first_is_first(const struct draw *d, void *arg)
{
	(void)arg;
	return d->domain[0] == 0 ? 1 : NAN;
}

/* An interval is of the resamples that have a value: more than half of them. */
static void test_too_few_have_a_value(void **state)
{
	struct interval a = stat_bootstrap(if_first_is_first, NULL, (const int[]){1, 0}, 4, 500, 1);

	(void)state;
	close_to(a.value, 1);
	assert_true(isnan(a.lo) && isnan(a.hi));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_correlations), cmocka_unit_test(test_nothing_to_tell),
		cmocka_unit_test(test_quantiles),    cmocka_unit_test(test_half_lives),
		cmocka_unit_test(test_bootstrap),    cmocka_unit_test(test_bootstrap_of_groups),
		cmocka_unit_test(test_too_few_have_a_value),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
