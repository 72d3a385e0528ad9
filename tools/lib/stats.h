/*
 * Statistics of few observations: rank correlations, and bootstrap intervals over runs and domains.
 * NaN means "cannot be told" and is what comes out where there is too little to go by.
 */
#ifndef PALIMPSEST_STATS_H
#define PALIMPSEST_STATS_H

#include <stdint.h>

/* Ranks from 1; equal values share the mean of their ranks. */
void stat_ranks(const double *x, int n, double *rank);

/* All of (n). NaN if n < 2 or one of them is constant. */
double stat_pearson(const double *x, const double *y, int n);
double stat_spearman(const double *x, const double *y, int n);
double stat_kendall(const double *x, const double *y, int n); /* tau-b */

/*
 * Spearman's correlation of x and y with z[0..m) held constant: the correlation of what is left of their ranks after a
 * linear regression on the ranks of z. NaN if n < m + 3, or z explains one of them wholly.
 */
double stat_partial(const double *x, const double *y, const double *const *z, int m, int n);

/* The p-quantile of sorted values, 0 <= p <= 1: linear between them (type 7 of Hyndman and Fan). */
double stat_quantile(const double *sorted, int n, double p);

/*
 * The time by which half of n things have ended, of which some were watched only until time[i] (ended[i] = 0): the
 * median of the Kaplan-Meier estimate; infinite if fewer than half ended while anybody watched.
 */
double stat_km_median(const double *time, const int *ended, int n);

struct interval {
	double value, lo, hi; /* lo, hi: NaN if there is nothing to resample */
};

/* --- bootstrap ------------------------------------------------------------------------------------ */

#define STAT_GROUPS 2

/* What a statistic is computed from: runs of each group, and domains, both with repetitions. */
struct draw {
	const int *run[STAT_GROUPS]; /* indices within the group */
	int n_runs[STAT_GROUPS];
	const int *domain;
	int n_domains;
};

typedef double statistic(const struct draw *d, void *arg);

/*
 * The statistic of all, and the interval between the 2.5 % and 97.5 % quantiles of draws resamples: runs of each
 * group and domains, drawn with replacement and independently (Owen, "The pigeonhole bootstrap", 2007). A group of
 * one run is not resampled. The draws depend on the seed alone, so two statistics see the same ones.
 */
struct interval stat_bootstrap(statistic *f, void *arg, const int n_runs[STAT_GROUPS], int n_domains, int draws, uint64_t seed);

#endif
