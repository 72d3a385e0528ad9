/* How well a language model predicts a text: for perplexity, and for validation while training. */
#ifndef PALIMPSEST_SCORE_H
#define PALIMPSEST_SCORE_H

#include <stdint.h>

#include "nn/family.h"
#include "nn/protocol.h"

/* What came out of one window. Borrowed: valid in the call alone. */
struct scored {
	uint64_t index;        /* in the list of windows, from 0 */
	struct window window;
	const int64_t *target; /* (length) ids; -1: not scored */
	const float *nll;      /* (length) -log p of the target, in nats; 0 where not scored */
};

/* nll of all targets, added up in double in the order of the text; 0 if there is none. */
double scored_sum(const struct scored *s);

/*
 * Scores n windows, which[0], which[1] ... (NULL: 0, 1 ...), and hands over each in that order. batch windows go
 * through the model together, if they have the same length.
 */
void score_text(const struct nn_model *m, const struct cut *c, const uint64_t *which, uint64_t n, int64_t batch,
                void (*take)(void *arg, const struct scored *s), void *arg);

/* Mean over all tokens that the protocol scores. */
double score_mean(const struct nn_model *m, const struct cut *c, int64_t batch);

#endif
