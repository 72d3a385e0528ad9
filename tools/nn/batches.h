/*
 * Training data: token files put one after the other, cut into blocks of the context, the remainder dropped,
 * the blocks in a new order each epoch. The order is a function of (seed, domain, epoch): nothing of it is saved.
 */
#ifndef PALIMPSEST_BATCHES_H
#define PALIMPSEST_BATCHES_H

#include <stdint.h>

#include "lib/hash.h"
#include "lib/tokfile.h"

struct corpus {
	struct tok_reader **file;
	uint64_t *start; /* tokens before each file; start[n] in all */
	int n;
	uint8_t hash[HASH_BYTES];   /* the file's data hash; of several: over theirs, in their order */
};

/*
 * Opens and checks all files: made by one tokenizer, else exit 3. tokenizer: fingerprint that they must
 * have, NULL if any will do. vocab: of the model; an id beyond it: exit 3. You corpus_close() it.
 */
struct corpus *corpus_open(const char *const *path, int n, const uint8_t *tokenizer, int64_t vocab);
void corpus_close(struct corpus *c);
uint64_t corpus_tokens(const struct corpus *c);
void corpus_copy(const struct corpus *c, uint64_t start, uint64_t n, int64_t *id); /* across files */

/* Blocks in the order of an epoch. */
struct shuffle {
	const struct corpus *corpus;
	uint64_t seed, blocks;
	int64_t epoch; /* whose order is there; -1: none */
	uint64_t *order;
	int64_t context;
};

struct shuffle shuffle_make(const struct corpus *c, int64_t context, uint64_t seed);
void shuffle_free(struct shuffle *s);
/* Block `at` of the epoch: context ids. */
void shuffle_block(struct shuffle *s, int64_t epoch, uint64_t at, int64_t *id);

/* The next-token targets of n blocks: target[t] = id[t + 1], -1 at each block's end. */
void next_token_targets(const int64_t *id, int64_t n, int64_t context, int64_t *target);

/* The first 8 bytes of a hash as a number, to name a stream of random numbers. */
uint64_t hash_number(const uint8_t hash[HASH_BYTES]);

#endif
