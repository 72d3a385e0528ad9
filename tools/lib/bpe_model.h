/* The inside of a byte-level BPE model: bpe_load.c makes it, bpe.c reads it. */
#ifndef PALIMPSEST_BPE_MODEL_H
#define PALIMPSEST_BPE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpe.h"

#define NO_MERGE UINT32_MAX
#define NO_PAIR UINT64_MAX

struct merge {
	uint32_t left, right, made; /* ids; the index is the rank */
};

enum { ID_BITS = 20 }; /* so that a merge and its rank, or three ids and their number, fit into 64 bits */

struct bpe {
	uint32_t n_tokens;
	size_t *start; /* n_tokens + 1 offsets into bytes */
	char *bytes;
	uint32_t byte_id[256];
	bool *text; /* a byte or made by a merge: what encoding can give */
	struct merge *merge;
	uint32_t n_merges;
	/* Open addressing: left << 40 | right << 20 | rank, or NO_PAIR. */
	uint64_t *pair;
	size_t pair_mask; /* slots - 1, a power of two */
	uint32_t *made;   /* by rank: what merges make; NULL if that is always rank + first */
	uint32_t first;
	/* Most pairs that are asked for do not merge, and the hash is larger than a processor's near cache: these say so first. */
	uint32_t (*byte_pair)[256]; /* rank by two bytes; NO_MERGE: none */
	uint64_t *pair_filter;      /* a bit for each hash_pair() >> FILTER_SHIFT that some pair has */
};

enum { FILTER_BITS = 19, FILTER_SHIFT = 64 - FILTER_BITS };

static inline uint64_t pair_key(uint32_t left, uint32_t right)
{
	return (uint64_t)left << ID_BITS | right;
}

/* The high bits choose the filter's bit, the low ones the slot. */
static inline uint64_t hash_pair(uint64_t key)
{
	uint64_t h = (key ^ key >> 17) * UINT64_C(0x9e3779b97f4a7c15);

	return h ^ h >> 32;
}

#endif
