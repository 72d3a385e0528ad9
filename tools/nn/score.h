/* How well a language model predicts a text: for perplexity, and for validation while training. */
#ifndef PALIMPSEST_SCORE_H
#define PALIMPSEST_SCORE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "nn/family.h"
#include "nn/protocol.h"

/* What came out of one window. Borrowed: valid in the call alone. */
struct scored {
	uint64_t index;        /* in the list of windows, from 0 */
	struct window window;
	const int64_t *target; /* (length) ids; -1: not scored */
	const double *nll;     /* (length) -log p of the target, in nats, a multiple of 2^-24; 0 where not scored */
	const int64_t *rank;   /* (length) how many ids are more probable; NULL if not asked for */
};

/*
 * nll of all targets; 0 if there is none. Multiples of 2^-24 are added up in double without rounding, in any order, as long as
 * the sum is below 2^29.
 */
double scored_sum(const struct scored *s);

/*
 * Scores n windows, which[0], which[1] ... (NULL: 0, 1 ...), and hands over each in that order. batch windows go
 * through the model together, if they have the same length. ranks: wanted; they cost the last layer a second time.
 * take: false to have no more of them, but for those under way.
 */
void score_text(const struct nn_model *m, const struct cut *c, const uint64_t *which, uint64_t n, int64_t batch, bool ranks,
                bool (*take)(void *arg, const struct scored *s), void *arg);

/* Mean over all tokens that the protocol scores, of which there must be some; NaN if *stop became true before the end. */
double score_mean(const struct nn_model *m, const struct cut *c, int64_t batch, const volatile sig_atomic_t *stop);

#endif
