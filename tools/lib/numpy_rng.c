#include "numpy_rng.h"

enum { N = 624, M = 397 };

struct numpy_rng numpy_rng_make(uint32_t seed)
{
	struct numpy_rng r = {.used = N};

	for (uint32_t i = 0; i < N; i++) {
		r.word[i] = seed;
		seed = 1812433253u * (seed ^ seed >> 30) + i + 1;
	}
	return r;
}

static void next_block(struct numpy_rng *r)
{
	for (int i = 0; i < N; i++) {
		uint32_t y = (r->word[i] & 0x80000000u) | (r->word[(i + 1) % N] & 0x7fffffffu);

		r->word[i] = r->word[(i + M) % N] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
	}
	r->used = 0;
}

uint32_t numpy_rng_u32(struct numpy_rng *r)
{
	if (r->used == N)
		next_block(r);
	uint32_t y = r->word[r->used++];
	y ^= y >> 11;
	y ^= y << 7 & 0x9d2c5680u;
	y ^= y << 15 & 0xefc60000u;
	return y ^ y >> 18;
}

/* Rejection under the smallest mask of ones, as RandomState has always done; one possible value takes no word. */
uint32_t numpy_rng_below(struct numpy_rng *r, uint32_t n)
{
	uint32_t most = n - 1, mask = most, x;

	if (most == 0)
		return 0;
	for (int shift = 1; shift < 32; shift *= 2)
		mask |= mask >> shift;
	do
		x = numpy_rng_u32(r) & mask;
	while (x > most);
	return x;
}

void numpy_rng_permutation(struct numpy_rng *r, size_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = i;
	for (size_t i = n; i-- > 1;) {
		size_t j = numpy_rng_below(r, (uint32_t)i + 1), x = p[i];

		p[i] = p[j];
		p[j] = x;
	}
}
