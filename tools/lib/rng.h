/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011). A number is a pure function of
 * (seed, stream, position), so no generator state is ever saved.
 */
#ifndef PALIMPSEST_RNG_H
#define PALIMPSEST_RNG_H

#include <stddef.h>
#include <stdint.h>

/* One block: four words from a counter and a key. */
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A sequence of numbers: stream selects one of 2^64 independent ones of a seed. */
struct rng {
	uint64_t seed, stream, block;
	uint32_t word[4];
	int used; /* words of the block already handed out */
};

struct rng rng_make(uint64_t seed, uint64_t stream);
uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* uniform in [0, n), unbiased; n > 0 */
double rng_real(struct rng *r);                /* uniform in [0, 1), 53 bits */
double rng_normal(struct rng *r);              /* mean 0, variance 1: Box-Muller */

/* A uniform permutation of 0..n-1 in p (Fisher-Yates). */
void rng_permutation(struct rng *r, uint64_t *p, uint64_t n);

/*
 * A stream number for a name or a tuple of numbers, so that seeds meant for different
 * purposes never meet: rng_stream("shuffle", domain_hash, epoch).
 */
uint64_t rng_stream(const char *purpose, uint64_t a, uint64_t b);

#endif
