#include "kmeans.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"

double kmeans_cosine(const float *v, const double *centre, size_t C)
{
	double sum = 0;

	for (size_t c = 0; c < C; c++)
		sum += (double)v[c] * centre[c];
	return sum;
}

static void set_centre(double *centre, const float *v, size_t C)
{
	for (size_t c = 0; c < C; c++)
		centre[c] = (double)v[c];
}

/* Each centre a vector, drawn with the probability of its squared distance to the nearest centre so far: 2 - 2 cosine. */
static void draw_centres(const float *v, size_t n, size_t C, size_t k, struct rng *r, double *centre)
{
	double *far = xcalloc(n, sizeof *far);

	for (size_t j = 0; j < k; j++) {
		double sum = 0, at;
		size_t i = 0;
		for (size_t x = 0; x < n && j > 0; x++) {
			double d = fmax(0, 2 - 2 * kmeans_cosine(v + x * C, centre + (j - 1) * C, C));
			far[x] = j == 1 || d < far[x] ? d : far[x];
			sum += far[x];
		}
		if (sum > 0)
			for (at = rng_real(r) * sum; i + 1 < n && (at -= far[i]) >= 0; i++)
				;
		else
			i = (size_t)rng_below(r, n);
		set_centre(centre + j * C, v + i * C, C);
	}
	free(far);
}

static bool assign(const float *v, size_t n, size_t C, size_t k, const double *centre, size_t *cluster)
{
	bool changed = false;

	for (size_t i = 0; i < n; i++) {
		size_t best = 0;
		double most = -INFINITY;
		for (size_t j = 0; j < k; j++) {
			double cosine = kmeans_cosine(v + i * C, centre + j * C, C);
			if (cosine > most)
				most = cosine, best = j;
		}
		changed = changed || cluster[i] != best;
		cluster[i] = best;
	}
	return changed;
}

/* A cluster without vectors, or whose vectors cancel out, keeps its centre. */
static void move_centres(const float *v, size_t n, size_t C, size_t k, const size_t *cluster, double *centre)
{
	double *sum = xcalloc(k * C, sizeof *sum);

	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < C; c++)
			sum[cluster[i] * C + c] += (double)v[i * C + c];
	for (size_t j = 0; j < k; j++) {
		double norm = 0;
		for (size_t c = 0; c < C; c++)
			norm += sum[j * C + c] * sum[j * C + c];
		for (size_t c = 0; c < C && norm > 0; c++)
			centre[j * C + c] = sum[j * C + c] / sqrt(norm);
	}
	free(sum);
}

void kmeans(const float *v, size_t n, size_t C, size_t k, struct rng *r, size_t *cluster, double *centre)
{
	draw_centres(v, n, C, k, r, centre);
	for (size_t i = 0; i < n; i++)
		cluster[i] = k;
	for (int round = 0; round < 100 && assign(v, n, C, k, centre, cluster); round++)
		move_centres(v, n, C, k, cluster, centre);
}
