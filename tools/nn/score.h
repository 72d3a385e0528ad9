/* How well a language model predicts windows of a text: for perplexity, and for validation while training. */
#ifndef PALIMPSEST_SCORE_H
#define PALIMPSEST_SCORE_H

#include <stdint.h>

#include "nn/batches.h"
#include "nn/family.h"

/* Windows of context tokens that do not overlap; the last may be shorter. */
uint64_t score_windows(const struct corpus *c, int64_t context);
int64_t score_length(const struct corpus *c, int64_t context, uint64_t window); /* tokens in it */

/*
 * nll[i]: sum of -log p over all tokens of window[i] but the first, which has nothing before it. A window of one token
 * has none: 0. window NULL: 0, 1, .. n-1. batch windows go through the model together. done: called after each
 * batch with the number of windows done, or NULL.
 */
void score_nll(const struct nn_model *m, const struct corpus *c, int64_t context, const uint64_t *window, uint64_t n,
               int64_t batch, double *nll, void (*done)(void *arg, uint64_t windows), void *arg);

#endif
