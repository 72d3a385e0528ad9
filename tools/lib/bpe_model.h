/* The inside of a byte-level BPE model: bpe_load.c makes it, bpe.c reads it. */
#ifndef PALIMPSEST_BPE_MODEL_H
#define PALIMPSEST_BPE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpe.h"

#define NO_MERGE UINT32_MAX

struct merge {
	uint32_t left, right, made; /* ids; the index is the rank */
};

/* Open addressing; what a pair of ids becomes, and when. */
struct pair {
	uint64_t key; /* left << 32 | right */
	uint32_t rank, made; /* rank NO_MERGE: empty */
};

struct bpe {
	uint32_t n_tokens;
	size_t *start; /* n_tokens + 1 offsets into bytes */
	char *bytes;
	uint32_t byte_id[256];
	bool *text; /* a byte or made by a merge: what encoding can give */
	struct merge *merge;
	uint32_t n_merges;
	struct pair *pair;
	size_t pair_mask; /* slots - 1, a power of two */
	int pair_shift;   /* 64 - log2(slots) */
};

static inline uint64_t pair_key(uint32_t left, uint32_t right)
{
	return (uint64_t)left << 32 | right;
}

static inline size_t pair_slot(const struct bpe *b, uint64_t key)
{
	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15) ^ key >> 32) * UINT64_C(0xc2b2ae3d27d4eb4f) >> b->pair_shift);
}

#endif
