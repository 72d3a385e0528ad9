#include "rng.h"

#include <math.h>

#define ROUNDS 10

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
	uint32_t k0 = key[0], k1 = key[1];

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t p0 = (uint64_t)0xD2511F53 * c0;
		uint64_t p1 = (uint64_t)0xCD9E8D57 * c2;

		c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)p1;
		c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)p0;
		k0 += 0x9E3779B9; /* golden ratio */
		k1 += 0xBB67AE85; /* sqrt(3) - 1 */
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

struct rng rng_make(uint64_t seed, uint64_t stream)
{
	return (struct rng){.seed = seed, .stream = stream, .used = 4};
}

/* The key is the seed; the counter is the block's number (low) and the stream (high). */
uint32_t rng_u32(struct rng *r)
{
	if (r->used == 4) {
		const uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)};
		const uint32_t counter[4] = {(uint32_t)r->block, (uint32_t)(r->block >> 32), (uint32_t)r->stream,
		                             (uint32_t)(r->stream >> 32)};

		philox4x32(counter, key, r->word);
		r->block++;
		r->used = 0;
	}
	return r->word[r->used++];
}

uint64_t rng_u64(struct rng *r)
{
	uint64_t low = rng_u32(r);

	return low | (uint64_t)rng_u32(r) << 32;
}

/* Lemire, "Fast random integer generation in an interval" (2019): multiply, reject the biased low end. */
uint64_t rng_below(struct rng *r, uint64_t n)
{
	unsigned __int128 m = (unsigned __int128)rng_u64(r) * n;

	if ((uint64_t)m < n) {
		uint64_t biased = -n % n; /* 2^64 mod n */

		while ((uint64_t)m < biased)
			m = (unsigned __int128)rng_u64(r) * n;
	}
	return (uint64_t)(m >> 64);
}

double rng_real(struct rng *r)
{
	return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

/* One of Box-Muller's pair only, so that the n-th number does not depend on how the others were asked for. */
double rng_normal(struct rng *r)
{
	double u = 1 - rng_real(r); /* (0, 1]: its logarithm is finite */
	double angle = 6.283185307179586476925 * rng_real(r);

	return sqrt(-2 * log(u)) * cos(angle);
}

void rng_permutation(struct rng *r, uint64_t *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) { /* inside out: no second pass to fill p */
		uint64_t j = rng_below(r, i + 1);

		if (j != i)
			p[i] = p[j];
		p[j] = i;
	}
}

/* FNV-1a of the purpose is the key under which Philox mixes the two numbers. */
uint64_t rng_stream(const char *purpose, uint64_t a, uint64_t b)
{
	uint64_t h = 0xcbf29ce484222325;
	uint32_t out[4];

	for (; *purpose; purpose++)
		h = (h ^ (unsigned char)*purpose) * 0x100000001b3;

	const uint32_t key[2] = {(uint32_t)h, (uint32_t)(h >> 32)};
	const uint32_t counter[4] = {(uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32)};

	philox4x32(counter, key, out);
	return out[0] | (uint64_t)out[1] << 32;
}
