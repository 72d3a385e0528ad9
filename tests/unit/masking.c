/* Masking: its shares, that it is a function of its arguments, and that folds take each token once. */
#include "nn/masking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

enum { T = 512, BLOCKS = 200, VOCAB = 1000, MASK = 4 };

/* As of RoBERTa: <s> is bos and cls. */
static const struct masking k = {MASK, VOCAB, {0, 2, 0, 2, 1, MASK, 3}};

static void fill(int64_t *id, uint64_t block)
{
	for (int64_t t = 0; t < T; t++)
		id[t] = t % 100 == 0 ? 0 : 5 + (t * 7 + (int64_t)block * 13) % (VOCAB - 5);
}

/* Within five standard deviations of a binomial distribution. */
static void assert_share(double have, double n, double p)
{
	if (!(fabs(have - n * p) < 5 * sqrt(n * p * (1 - p))))
		fail_msg("%g of %g is not a share of %g", have, n, p);
}

static void shares(void **state)
{
	double all = 0, asked = 0, masked = 0, kept = 0, other = 0, low = 0, pairs = 0, in_pair = 0;
	double at[4] = {0};

	(void)state;
	for (uint64_t b = 0; b < BLOCKS; b++) {
		int64_t was[T], id[T], target[T], n = 0;
		fill(was, b);
		memcpy(id, was, sizeof id);
		int64_t targets = mask_block(&k, 1, 2, 3, b, T, id, target);
		for (int64_t t = 0; t < T; t++) {
			if (was[t] == 0) { /* special */
				assert_int_equal(target[t], -1);
				assert_int_equal(id[t], 0);
				continue;
			}
			all++;
			if (target[t] < 0) {
				assert_int_equal(target[t], -1);
				assert_int_equal(id[t], was[t]);
				continue;
			}
			assert_int_equal(target[t], was[t]);
			n++;
			at[t / (T / 4)]++;
			masked += id[t] == MASK;
			kept += id[t] == was[t];
			if (id[t] != MASK && id[t] != was[t]) {
				other++;
				assert_in_range(id[t], 0, VOCAB - 1);
				low += id[t] < VOCAB / 2;
			}
			if (t + 1 < T && was[t + 1] != 0) {
				pairs++;
				in_pair += target[t + 1] >= 0;
			}
		}
		assert_int_equal(n, targets);
		asked += (double)targets;
	}
	assert_share(asked, all, 0.15);
	assert_share(masked, asked, 0.8 + 0.1 / VOCAB);
	assert_share(kept, asked, 0.1 + 0.1 / VOCAB);
	assert_share(other, asked, 0.1 * (VOCAB - 2) / VOCAB);
	assert_share(low, other, 0.5);
	assert_share(in_pair, pairs, 0.15); /* each for itself */
	for (int i = 0; i < 4; i++)
		assert_share(at[i], all / 4, 0.15);
}

/* The same arguments the same mask; every argument another one. */
static void a_function(void **state)
{
	(void)state;
	for (int which = 0; which < 5; which++) {
		int64_t one[2][T], target[2][T];
		for (int i = 0; i < 2; i++) {
			fill(one[i], 0);
			mask_block(&k, 1 + (uint64_t)(i && which == 1), 2 + (uint64_t)(i && which == 2),
			           3 + (uint64_t)(i && which == 3), 4 + (uint64_t)(i && which == 4), T, one[i], target[i]);
		}
		assert_int_equal(memcmp(one[0], one[1], sizeof one[0]) == 0, which == 0);
		assert_int_equal(memcmp(target[0], target[1], sizeof target[0]) == 0, which == 0);
	}
}

/* Each token once, in folds of the same size; everything else is seen as it is. */
static void folds(void **state)
{
	(void)state;
	for (int64_t n = 2; n <= MASK_FOLDS + 3; n++)
		for (int64_t length = 1; length <= T; length = length * 3 + 1) {
			int seen[T] = {0};
			int64_t all = 0, least = T, most = 0, was[T];
			fill(was, 9);
			for (int64_t t = 0; t < length; t++)
				all += was[t] != 0;
			for (int64_t f = 0; f < n; f++) {
				int64_t id[T], target[T], count = 0;
				memcpy(id, was, sizeof id);
				int64_t targets = mask_fold(&k, 1, 2, n, f, length, id, target);
				for (int64_t t = 0; t < length; t++) {
					bool hidden = target[t] >= 0;
					assert_int_equal(id[t], hidden ? MASK : was[t]);
					assert_int_equal(target[t], hidden ? was[t] : -1);
					seen[t] += hidden;
					count += hidden;
				}
				assert_int_equal(targets, count);
				least = count < least ? count : least;
				most = count > most ? count : most;
			}
			for (int64_t t = 0; t < length; t++)
				assert_int_equal(seen[t], was[t] != 0);
			assert_true(most - least <= 1 && most <= (all + n - 1) / n);
		}
	/* another window, another text: other folds */
	int64_t one[T], other[T], target[T];
	for (uint64_t i = 0; i < 2; i++) {
		fill(one, 0);
		fill(other, 0);
		mask_fold(&k, 1, 2, MASK_FOLDS, 0, T, one, target);
		mask_fold(&k, 1 + i, 3 - i, MASK_FOLDS, 0, T, other, target);
		assert_memory_not_equal(one, other, sizeof one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(shares), cmocka_unit_test(a_function), cmocka_unit_test(folds)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
