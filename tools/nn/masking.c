#include "nn/masking.h"

#include <stdbool.h>
#include <stdlib.h>

#include "lib/checked.h"
#include "lib/die.h"
#include "lib/rng.h"
#include "lib/tokenizer.h"

#define MASKED 0.15
#define REPLACED 0.8 /* of those, by the mask token */
#define RANDOM 0.1

void masking_load(struct masking *k, const char *dir, int64_t vocab)
{
	uint8_t fingerprint[HASH_BYTES];
	struct special_tokens s;

	if (!tokenizer_fingerprint_of(dir, fingerprint))
		die_input("%s: has no tokenizer, which would tell the mask token", dir);
	tokenizer_specials(dir, &s);
	if (s.mask < 0 || s.mask >= vocab)
		die_input("%s: the tokenizer has no mask token in the model's vocabulary", dir);
	struct tokenizer *t = tokenizer_load(dir);
	*k = (struct masking){s.mask, tokenizer_vocab(t), {s.bos, s.eos, s.cls, s.sep, s.pad, s.mask, s.unk}};
	tokenizer_free(t);
	if (k->vocab > vocab)
		k->vocab = vocab;
}

static bool is_special(const struct masking *k, int64_t id)
{
	for (size_t i = 0; i < sizeof k->special / sizeof *k->special; i++)
		if (k->special[i] == id)
			return true;
	return false;
}

int64_t mask_block(const struct masking *k, uint64_t seed, uint64_t domain, uint64_t step, uint64_t block, int64_t T,
                   int64_t *id, int64_t *target)
{
	struct rng r = rng_make(seed, rng_stream("mask block", rng_stream("mask step", domain, step), block));
	int64_t n = 0;

	for (int64_t t = 0; t < T; t++) {
		target[t] = -1;
		if (is_special(k, id[t]) || rng_real(&r) >= MASKED)
			continue;
		target[t] = id[t];
		n++;
		double what = rng_real(&r);
		if (what < REPLACED)
			id[t] = k->mask;
		else if (what < REPLACED + RANDOM)
			id[t] = (int64_t)rng_below(&r, (uint64_t)k->vocab);
	}
	return n;
}

/* The tokens in random order are dealt to the folds like cards. */
int64_t mask_fold(const struct masking *k, uint64_t domain, uint64_t window, int64_t folds, int64_t fold, int64_t T,
                  int64_t *id, int64_t *target)
{
	struct rng r = rng_make(0, rng_stream("mask folds", domain, window));
	uint64_t *place = xcalloc((size_t)T, sizeof *place), *order = xcalloc((size_t)T, sizeof *order), n = 0;
	int64_t targets = 0;

	for (int64_t t = 0; t < T; t++) {
		target[t] = -1;
		if (!is_special(k, id[t]))
			place[n++] = (uint64_t)t;
	}
	rng_permutation(&r, order, n);
	for (uint64_t i = (uint64_t)fold; i < n; i += (uint64_t)folds) {
		uint64_t t = place[order[i]];
		target[t] = id[t];
		id[t] = k->mask;
		targets++;
	}
	free(place);
	free(order);
	return targets;
}
