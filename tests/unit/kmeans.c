/* Spherical k-means: groups that lie apart are found, the same seed gives the same, any k <= n ends well. */
#include "kmeans.h"

#include "death.h"

#include <math.h>

enum { C = 3, GROUPS = 4, EACH = 25, N = GROUPS * EACH };

static const double axis[GROUPS][C] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {-1, 0, 0}};

static void make(float *v, double noise)
{
	struct rng r = rng_make(1, 2);

	for (int i = 0; i < N; i++) {
		double x[C], norm = 0;
		for (int c = 0; c < C; c++) {
			x[c] = axis[i % GROUPS][c] + noise * rng_normal(&r);
			norm += x[c] * x[c];
		}
		for (int c = 0; c < C; c++)
			v[i * C + c] = (float)(x[c] / sqrt(norm));
	}
}

static void groups(void **state)
{
	float v[N * C];
	size_t cluster[N], again[N];
	double centre[GROUPS * C];

	(void)state;
	make(v, 0.05);
	struct rng r = rng_make(7, 0);
	kmeans(v, N, C, GROUPS, &r, cluster, centre);
	for (int i = 0; i < N; i++) {
		assert_int_equal(cluster[i], cluster[i % GROUPS]);
		assert_true(kmeans_cosine(v + i * C, centre + cluster[i] * C, C) > 0.9);
	}
	for (int i = 0; i < GROUPS; i++)
		for (int j = 0; j < i; j++)
			assert_true(cluster[i] != cluster[j]);
	for (int j = 0; j < GROUPS; j++) { /* a centre is the direction of its vectors' sum */
		double sum[C] = {0}, norm = 0;
		for (int i = 0; i < N; i++)
			for (int c = 0; c < C && cluster[i] == (size_t)j; c++)
				sum[c] += (double)v[i * C + c];
		for (int c = 0; c < C; c++)
			norm += sum[c] * sum[c];
		for (int c = 0; c < C; c++)
			assert_true(fabs(sum[c] / sqrt(norm) - centre[j * C + c]) < 1e-12);
	}
	r = rng_make(7, 0);
	kmeans(v, N, C, GROUPS, &r, again, centre);
	assert_memory_equal(cluster, again, sizeof cluster);
}

static void extremes(void **state)
{
	float v[N * C], same[5 * C] = {0};
	size_t cluster[N];
	double centre[N * C];
	struct rng r = rng_make(1, 0);

	(void)state;
	make(v, 0.3);
	kmeans(v, N, C, 1, &r, cluster, centre);
	for (int i = 0; i < N; i++)
		assert_int_equal(cluster[i], 0);
	kmeans(v, N, C, N, &r, cluster, centre); /* each a cluster of its own */
	for (int i = 0; i < N; i++)
		assert_true(kmeans_cosine(v + i * C, centre + cluster[i] * C, C) > 1 - 1e-6);
	for (int i = 0; i < 5; i++)
		same[i * C] = 1;
	kmeans(same, 5, C, 3, &r, cluster, centre); /* more centres than different vectors: the lowest takes all */
	for (int i = 0; i < 5; i++)
		assert_int_equal(cluster[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(groups), cmocka_unit_test(extremes)};

	return cmocka_run_group_tests_name("kmeans", tests, NULL, NULL);
}
