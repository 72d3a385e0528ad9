/* Philox against the known answers that Random123 publishes, and the properties that the header promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "rng.h"

static void known_answers(void **state)
{
	static const struct {
		uint32_t counter[4], key[2], out[4];
	} t[] = {
		{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
	         {0xffffffff, 0xffffffff},
	         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
	         {0xa4093822, 0x299f31d0},
	         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	};
	uint32_t out[4];

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		philox4x32(t[i].counter, t[i].key, out);
		assert_memory_equal(out, t[i].out, sizeof out);
	}
}

static void sequence_is_philox(void **state)
{
	struct rng r = rng_make(0x299f31d0a4093822, 0x0370734413198a2e);
	uint32_t out[4];
	const uint32_t key[2] = {0xa4093822, 0x299f31d0};

	(void)state;
	for (uint32_t block = 0; block < 5; block++) {
		const uint32_t counter[4] = {block, 0, 0x13198a2e, 0x03707344};

		philox4x32(counter, key, out);
		for (int i = 0; i < 4; i++)
			assert_int_equal(rng_u32(&r), out[i]);
	}
	r.block = 0x85a308d3243f6a88; /* a place far away, reached at once */
	assert_int_equal(rng_u32(&r), 0xd16cfe09);
	assert_int_equal(rng_u64(&r), 0x5001e42094fdcceb);
}

static void below_is_in_range_and_even(void **state)
{
	struct rng r = rng_make(1, 2);
	int seen[7] = {0};

	(void)state;
	for (int i = 0; i < 70000; i++)
		seen[rng_below(&r, 7)]++;
	for (int i = 0; i < 7; i++)
		assert_in_range(seen[i], 9600, 10400); /* 4 standard deviations */
	for (int i = 0; i < 100; i++)
		assert_int_equal(rng_below(&r, 1), 0);
	/* A bound that makes a biased generator show: every third value would come twice as often (of one by remainders, the lowest third). */
	uint64_t big = 3ull << 62;
	int low = 0, third = 0;
	for (int i = 0; i < 30000; i++) {
		uint64_t x = rng_below(&r, big);
		assert_true(x < big);
		low += x < big / 3;
		third += x % 3 == 0;
	}
	assert_in_range(low, 9600, 10400);
	assert_in_range(third, 9600, 10400);
}

static void reals_and_normals(void **state)
{
	struct rng r = rng_make(7, 0);
	enum { N = 200000 };
	double sum = 0, m1 = 0, m2 = 0, m4 = 0;
	int tail = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		double u = rng_real(&r);
		assert_true(u >= 0 && u < 1);
		sum += u;
	}
	assert_true(fabs(sum / N - 0.5) < 4 * sqrt(1. / 12 / N));
	for (int i = 0; i < N; i++) {
		double x = rng_normal(&r);
		assert_true(isfinite(x));
		m1 += x;
		m2 += x * x;
		m4 += x * x * x * x;
		tail += fabs(x) > 1.959963985;
	}
	assert_true(fabs(m1 / N) < 4 / sqrt(N));
	assert_true(fabs(m2 / N - 1) < 4 * sqrt(2. / N));
	assert_true(fabs(m4 / N - 3) < 4 * sqrt(96. / N));
	assert_true(fabs((double)tail / N - 0.05) < 4 * sqrt(0.05 * 0.95 / N));
}

static void permutation_is_one(void **state)
{
	enum { N = 1000 };
	uint64_t p[N], q[N];
	char seen[N] = {0};
	struct rng r = rng_make(3, 4), s = rng_make(3, 4);
	int first[4] = {0};

	(void)state;
	rng_permutation(&r, p, N);
	rng_permutation(&s, q, N);
	assert_memory_equal(p, q, sizeof p);
	for (int i = 0; i < N; i++) {
		assert_true(p[i] < N);
		assert_false(seen[p[i]]);
		seen[p[i]] = 1;
	}
	for (int i = 0; i < 40000; i++) { /* each element is first equally often */
		rng_permutation(&r, p, 4);
		first[p[0]]++;
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(first[i], 9600, 10400);
	rng_permutation(&r, p, 0);
	rng_permutation(&r, p, 1);
	assert_int_equal(p[0], 0);
}

static void streams_differ(void **state)
{
	uint64_t s[] = {
		rng_stream("shuffle", 1, 2), rng_stream("shuffle", 2, 1),  rng_stream("shuffle", 1, 0),
		rng_stream("dropout", 1, 2), rng_stream("shuffle", 0, 0), rng_stream("", 0, 0),
		rng_stream("shuffle", 1ull << 32, 2),
	};
	size_t n = sizeof s / sizeof *s;

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(s[i], s[j]);
	assert_int_equal(s[0], rng_stream("shuffle", 1, 2));
	/* Everything that was ever seeded depends on this value: it must not change. */
	assert_int_equal(rng_stream("", 0, 0), 0x932dfe8e41509a0e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),      cmocka_unit_test(sequence_is_philox),
		cmocka_unit_test(below_is_in_range_and_even), cmocka_unit_test(reals_and_normals),
		cmocka_unit_test(permutation_is_one), cmocka_unit_test(streams_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
