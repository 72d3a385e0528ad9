/*
 * Which tokens a masked language model has to find. In training (Devlin et al., 1810.04805, 3.1; masks that change, as in Liu et al.,
 * 1907.11692): each token with probability 0.15, independently; of these 80 % become the mask token, 10 % a random id, 10 % stay, as
 * transformers' DataCollatorForLanguageModeling does it. In evaluation: folds. Special tokens are never masked.
 *
 * Both are functions of their arguments alone: nothing is saved for a resume, and it does not matter what goes through
 * the model at once.
 */
#ifndef PALIMPSEST_MASKING_H
#define PALIMPSEST_MASKING_H

#include <stdint.h>

#define MASK_FOLDS 7 /* of a seventh of the tokens, which is what is next to 15 % */

struct masking {
	int64_t mask;       /* id of <mask> or [MASK] */
	int64_t vocab;      /* random ids are below it */
	int64_t special[7]; /* ids, or -1 */
};

/* As the tokenizer in the model directory DIR says. vocab: the model's. No tokenizer, or one without a mask token: exit 3. */
void masking_load(struct masking *k, const char *dir, int64_t vocab);

/*
 * Masks T tokens for training. id[t]: what goes into the model; target[t]: what was there, or -1 if it is not asked for.
 * block: the number of these T tokens within the step. Returns the number of targets.
 */
int64_t mask_block(const struct masking *k, uint64_t seed, uint64_t domain, uint64_t step, uint64_t block, int64_t T,
                   int64_t *id, int64_t *target);

/*
 * Masks one of several folds of a window of T tokens. The folds are of equal size but for one token, and each token that can be masked
 * is in exactly one. All of a fold's tokens become the mask token. Returns the number of targets.
 */
int64_t mask_fold(const struct masking *k, uint64_t domain, uint64_t window, int64_t folds, int64_t fold, int64_t T,
                  int64_t *id, int64_t *target);

#endif
