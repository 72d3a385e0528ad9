/* What a language model says after a text: how likely given continuations are, and which one it takes itself. */
#ifndef PALIMPSEST_CONTINUE_H
#define PALIMPSEST_CONTINUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/tokenizer.h"
#include "nn/family.h"

struct continue_options {
	int64_t batch;      /* tokens that go through the model together, about */
	bool cache;         /* keep keys and values (kv_cache.h): the same results, to rounding, for less work */
	int64_t max_tokens; /* in a generated text */
	int64_t end;        /* id that ends one, or -1 */
};

/*
 * Log-likelihood, in nats, of each of n continuations of a prompt, all below the model's vocabulary. A sequence longer
 * than the model's positions less one loses its beginning; the first token of all that is left is not scored. Returns
 * how many sequences lost something.
 */
size_t nn_continuations(const struct nn_model *m, const struct ids *prompt, const struct ids *continuation, size_t n,
                        const struct continue_options *opt, double *log_likelihood);

/*
 * Greedy decoding of n prompts, none empty. take() gets each new id of a text, in its order, and returns true to end it
 * there; the end token is not handed over. A prompt longer than the model's positions less one loses its beginning, and
 * a text ends where positions do.
 */
typedef bool continue_take(void *arg, size_t which, int64_t id);
void nn_generate(const struct nn_model *m, const struct ids *prompt, size_t n, const struct continue_options *opt, continue_take *take,
                 void *arg);

#endif
