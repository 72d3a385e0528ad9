/*
 * What a random sample of a finite population says of the whole: of a text's windows, drawn without replacement.
 * Formulas: Cochran, Sampling Techniques (1977), 2.8 (finite population), 6.4 (ratios), 7.2 (differences to a value known of all).
 */
#ifndef PALIMPSEST_SAMPLE_H
#define PALIMPSEST_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "rng.h"

/* n of the numbers 0 .. all - 1, each as likely as any other, in ascending order. You free() it. */
uint64_t *sample_draw(struct rng *r, uint64_t n, uint64_t all);

struct ratio {
	double value; /* sum of y over sum of x */
	double error; /* its standard error as an estimate of what all units would give; 0 if n is all, NaN if n is 1 */
};

/* y and x of n units out of `all`. To estimate a difference to what is known of each unit, let y be the difference. */
struct ratio sample_ratio(const double *y, const double *x, uint64_t n, uint64_t all);

/* The t with a probability of 0.95 between -t and t: Student's distribution, degrees >= 1. */
double student_t(uint64_t degrees);

/* Half of the 95 % interval of an estimate from n units with this standard error; 0 if the error is. */
double sample_half_width(double error, uint64_t n);

/*
 * When is a sample enough? It is looked at after sample_next(0, all), then after twice as many units, and so on, until
 * half of the interval is at most `until`, or at most a quarter of the change that was estimated.
 */
uint64_t sample_next(uint64_t n, uint64_t all);
bool sample_enough(double error, uint64_t n, double change, double until);

#endif
