#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "rng.h"

static const double *sort_by;

static int by_value(const void *a, const void *b)
{
	double x = sort_by[*(const int *)a], y = sort_by[*(const int *)b];

	return (x > y) - (x < y);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Indices of x from the lowest value up; you free() them. */
static int *sorted_indices(const double *x, int n)
{
	int *index = xcalloc((size_t)n + 1, sizeof *index);

	for (int i = 0; i < n; i++)
		index[i] = i;
	sort_by = x;
	qsort(index, (size_t)n, sizeof *index, by_value);
	return index;
}

void stat_ranks(const double *x, int n, double *rank)
{
	int *index = sorted_indices(x, n);

	for (int i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && x[index[end]] == x[index[i]]; end++)
			;
		for (int j = i; j < end; j++)
			rank[index[j]] = (i + 1 + end) / 2.0;
	}
	free(index);
}

/* ... in size, as rounding may make it. */
static double no_more_than_1(double r)
{
	return r > 1 ? 1 : r < -1 ? -1 : r;
}

/* Rounding gives what is constant a variance. */
static bool varies(const double *x, int n)
{
	for (int i = 1; i < n; i++)
		if (x[i] != x[0])
			return true;
	return false;
}

double stat_pearson(const double *x, const double *y, int n)
{
	double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;

	if (!varies(x, n) || !varies(y, n))
		return NAN;
	for (int i = 0; i < n; i++) {
		mx += x[i] / n;
		my += y[i] / n;
	}
	for (int i = 0; i < n; i++) {
		xx += (x[i] - mx) * (x[i] - mx);
		yy += (y[i] - my) * (y[i] - my);
		xy += (x[i] - mx) * (y[i] - my);
	}
	return xx > 0 && yy > 0 ? no_more_than_1(xy / sqrt(xx) / sqrt(yy)) : NAN;
}

double stat_spearman(const double *x, const double *y, int n)
{
	double *rank = xcalloc((size_t)n + 1, 2 * sizeof *rank), rho;

	stat_ranks(x, n, rank);
	stat_ranks(y, n, rank + n);
	rho = stat_pearson(rank, rank + n, n);
	free(rank);
	return rho;
}

double stat_kendall(const double *x, const double *y, int n)
{
	double agree = 0, not_x = 0, not_y = 0; /* pairs: concordant - discordant, untied in x, untied in y */

	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++) {
			int a = (x[i] > x[j]) - (x[i] < x[j]), b = (y[i] > y[j]) - (y[i] < y[j]);

			agree += a * b;
			not_x += a != 0;
			not_y += b != 0;
		}
	return not_x > 0 && not_y > 0 ? no_more_than_1(agree / sqrt(not_x) / sqrt(not_y)) : NAN;
}

/* Takes the part of v that the orthogonal columns q[0..m) explain away from it, twice for the rounding's sake. */
static void project_out(double *v, double *const *q, int m, int n)
{
	for (int pass = 0; pass < 2; pass++)
		for (int c = 0; c < m; c++) {
			double qq = 0, qv = 0;

			for (int i = 0; i < n; i++) {
				qq += q[c][i] * q[c][i];
				qv += q[c][i] * v[i];
			}
			for (int i = 0; i < n && qq > 0; i++)
				v[i] -= qv / qq * q[c][i];
		}
}

static double squares(const double *v, int n)
{
	double s = 0;

	for (int i = 0; i < n; i++)
		s += v[i] * v[i];
	return s;
}

double stat_partial(const double *x, const double *y, const double *const *z, int m, int n)
{
	double **v, r = NAN;

	if (n < m + 3)
		return NAN;
	v = xcalloc((size_t)m + 2, sizeof *v);
	for (int c = 0; c < m + 2; c++) {
		double before;

		v[c] = xcalloc((size_t)n, sizeof **v);
		stat_ranks(c < m ? z[c] : c == m ? x : y, n, v[c]);
		for (int i = 0; i < n; i++)
			v[c][i] -= (n + 1) / 2.0;
		before = squares(v[c], n);
		project_out(v[c], v, c < m ? c : m, n);
		/* nothing is left but rounding: constant, or a combination of the others */
		if (squares(v[c], n) <= 1e-12 * before)
			memset(v[c], 0, (size_t)n * sizeof **v);
	}
	r = stat_pearson(v[m], v[m + 1], n);
	for (int c = 0; c < m + 2; c++)
		free(v[c]);
	free(v);
	return r;
}

double stat_quantile(const double *sorted, int n, double p)
{
	double at = p * (n - 1);
	int i = (int)at;

	if (n < 1)
		return NAN;
	if (i >= n - 1 || sorted[i] == sorted[i + 1]) /* equal, or both infinite */
		return sorted[i >= n - 1 ? n - 1 : i];
	return isinf(sorted[i + 1]) ? (at > i ? sorted[i + 1] : sorted[i]) : sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]);
}

double stat_km_median(const double *time, const int *ended, int n)
{
	int *index = sorted_indices(time, n);
	double survive = 1, median = INFINITY;

	for (int i = 0, end; i < n && isinf(median); i = end) {
		int deaths = 0;

		for (end = i; end < n && time[index[end]] == time[index[i]]; end++)
			deaths += ended[index[end]];
		survive *= 1 - (double)deaths / (n - i);
		if (survive <= 0.5 + 1e-12)
			median = time[index[i]];
	}
	free(index);
	return n ? median : NAN;
}

/* --- bootstrap ------------------------------------------------------------------------------------ */

#define MAX_KEPT ((size_t)1 << 24) /* indices */

static void resample(int *index, int n, uint64_t seed, int draw, int g)
{
	struct rng r = rng_make(seed, rng_stream("bootstrap", (uint64_t)draw, (uint64_t)g));

	for (int i = 0; i < n; i++)
		index[i] = (int)rng_below(&r, (uint64_t)n);
}

/*
 * All draws of n indices for a group, or for the domains. A study asks for thousands of intervals with the same draws, and to
 * make these is most of the work, so the last ones are kept. NULL: too many for that.
 */
static const int *kept_draws(int g, int n, int draws, uint64_t seed)
{
	static struct {
		uint64_t seed;
		int n, draws;
		int *index; /* (draws, n) */
	} kept[STAT_GROUPS + 1];

	if ((size_t)n * (size_t)draws > MAX_KEPT)
		return NULL;
	if (kept[g].n != n || kept[g].draws != draws || kept[g].seed != seed) {
		free(kept[g].index);
		kept[g].seed = seed;
		kept[g].n = n;
		kept[g].draws = draws;
		kept[g].index = xcalloc((size_t)n * (size_t)draws, sizeof *kept[g].index);
		for (int i = 0; i < draws; i++)
			resample(kept[g].index + (size_t)i * (size_t)n, n, seed, i, g);
	}
	return kept[g].index;
}

struct interval stat_bootstrap(statistic *f, void *arg, const int n_runs[STAT_GROUPS], int n_domains, int draws, uint64_t seed)
{
	struct interval out = {NAN, NAN, NAN};
	double *value = xcalloc((size_t)draws + 1, sizeof *value);
	int *index[STAT_GROUPS + 1], size[STAT_GROUPS + 1], n = 0, resampled = 0;
	struct draw d = {.n_domains = n_domains};
	const int **drawn[STAT_GROUPS + 1];

	for (int g = 0; g <= STAT_GROUPS; g++) {
		size[g] = g < STAT_GROUPS ? n_runs[g] : n_domains;
		index[g] = xcalloc((size_t)size[g] + 1, sizeof **index);
		for (int i = 0; i < size[g]; i++)
			index[g][i] = i;
		resampled |= size[g] > 1;
		drawn[g] = g < STAT_GROUPS ? &d.run[g] : &d.domain;
		*drawn[g] = index[g];
	}
	for (int g = 0; g < STAT_GROUPS; g++)
		d.n_runs[g] = size[g];
	out.value = f(&d, arg);
	for (int i = 0; i < draws && resampled && !isnan(out.value); i++) {
		for (int g = 0; g <= STAT_GROUPS; g++) {
			const int *kept = size[g] > 1 ? kept_draws(g, size[g], draws, seed) : index[g];

			if (!kept)
				resample(index[g], size[g], seed, i, g);
			*drawn[g] = !kept || size[g] <= 1 ? index[g] : kept + (size_t)i * (size_t)size[g];
		}
		value[n] = f(&d, arg);
		n += !isnan(value[n]);
	}
	if (n > draws / 2) {
		qsort(value, (size_t)n, sizeof *value, ascending);
		out.lo = stat_quantile(value, n, 0.025);
		out.hi = stat_quantile(value, n, 0.975);
	}
	for (int g = 0; g <= STAT_GROUPS; g++)
		free(index[g]);
	free(value);
	return out;
}
