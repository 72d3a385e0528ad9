/*
 * The generator of numpy.random.RandomState, MT19937 (Matsumoto and Nishimura 1998), and what it makes of its words: for results that
 * must agree with a program that used it. All else takes rng.h.
 */
#ifndef PALIMPSEST_NUMPY_RNG_H
#define PALIMPSEST_NUMPY_RNG_H

#include <stddef.h>
#include <stdint.h>

struct numpy_rng {
	uint32_t word[624];
	int used; /* words of the block already handed out */
};

struct numpy_rng numpy_rng_make(uint32_t seed); /* RandomState(seed) */
uint32_t numpy_rng_u32(struct numpy_rng *r);
uint32_t numpy_rng_below(struct numpy_rng *r, uint32_t n); /* randint(0, n), n > 0 */
/* permutation(n): 0 .. n - 1 in p. choice(n, k, replace=False) is its first k. */
void numpy_rng_permutation(struct numpy_rng *r, size_t *p, size_t n);

#endif
