#include "sample.h"

#include <math.h>

#include "checked.h"

#define FIRST_UNITS 8 /* fewer give no idea of how much they differ */
#define FIRST_SHARE 20

/* Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S). */
uint64_t *sample_draw(struct rng *r, uint64_t n, uint64_t all)
{
	uint64_t *unit = xcalloc(n, sizeof *unit);

	for (uint64_t i = 0, taken = 0; taken < n; i++)
		if (rng_below(r, all - i) < n - taken)
			unit[taken++] = i;
	return unit;
}

/* The residuals' variance over n, times 1 - n/N, over the square of the mean of x. */
struct ratio sample_ratio(const double *y, const double *x, uint64_t n, uint64_t all)
{
	double sum_y = 0, sum_x = 0, squares = 0;
	struct ratio r = {0};

	for (uint64_t i = 0; i < n; i++) {
		sum_y += y[i];
		sum_x += x[i];
	}
	r.value = sum_y / sum_x;
	if (n == all)
		return r;
	for (uint64_t i = 0; i < n; i++) {
		double e = y[i] - r.value * x[i];
		squares += e * e;
	}
	double mean = sum_x / (double)n;
	r.error = sqrt((1 - (double)n / (double)all) * squares / (double)(n - 1) / (double)n) / mean;
	return r;
}

/* Probability between -t and t: Abramowitz and Stegun, 26.7.3 and 26.7.4. */
static double student_inside(double t, uint64_t degrees)
{
	double angle = atan(t / sqrt((double)degrees)), cosine = cos(angle), sum = 0, term = degrees % 2 ? cosine : 1;

	for (uint64_t j = degrees % 2; j + 2 <= degrees; j += 2) {
		sum += term;
		term *= (double)(j + 1) / (double)(j + 2) * cosine * cosine;
	}
	return degrees % 2 ? (angle + sin(angle) * sum) / 1.57079632679489661923 : sin(angle) * sum;
}

double student_t(uint64_t degrees)
{
	const double z = 1.95996398454005423552;
	double low = z, high = 13;

	if (degrees > 10000) /* 26.7.5: what is left out is below 1e-12 */
		return z + (z * z * z + z) / (4 * (double)degrees) +
		       (5 * pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * (double)degrees * (double)degrees);
	while (high - low > 1e-13 * high) {
		double middle = (low + high) / 2;
		*(student_inside(middle, degrees) < 0.95 ? &low : &high) = middle;
	}
	return (low + high) / 2;
}

double sample_half_width(double error, uint64_t n)
{
	return error == 0 ? 0 : n < 2 ? INFINITY : student_t(n - 1) * error;
}

uint64_t sample_next(uint64_t n, uint64_t all)
{
	uint64_t share = (all + FIRST_SHARE - 1) / FIRST_SHARE, next = n ? 2 * n : share > FIRST_UNITS ? share : FIRST_UNITS;

	return next < all ? next : all;
}

bool sample_enough(double error, uint64_t n, double change, double until)
{
	return sample_half_width(error, n) <= fmax(until, fabs(change) / 4);
}
