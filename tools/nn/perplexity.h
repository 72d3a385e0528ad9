/* Perplexity of a text: from all of its windows, from a sample, or from as many as are needed beside a model that is known. */
#ifndef PALIMPSEST_PERPLEXITY_H
#define PALIMPSEST_PERPLEXITY_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/score.h"

struct text {
	const char *name;
	struct corpus *corpus;
	struct cut cut;
	uint64_t all;             /* windows; a last one of a single token, which has nothing to score, does not count */
	uint64_t *window, n;      /* those that may be scored, in this order; NULL: 0 .. all - 1 */
	double *targets, *weight; /* (all) of those windows */
	double *reference;        // (all) their nll by another model, from the caller; NULL: there is none
	double until;             /* with a reference: score until sample_enough() says so; window is a random order of all */
	uint64_t work;            /* tokens in the windows */
};

/*
 * Opens FILE.tok and cuts it as `how` says (a cut without a text). sample: so many windows drawn by the seed, 0: all of
 * them; in_random_order: all, in an order that the seed decides. An input that does not fit: exit 3.
 */
struct text text_open(const char *name, const char *path, const struct cut *how, const uint8_t *tokenizer, int64_t vocab,
                      uint64_t sample, bool in_random_order, uint64_t seed);
void text_close(struct text *t); /* and frees the reference */

struct result {
	double nll, targets;  /* of the windows scored, or with a reference as estimated for all of them */
	double error;         /* standard error of nll / targets */
	double ppl;
	uint64_t windows;     /* scored */
	double *window_nll;   /* (all) NaN: not scored */
};

/* also: sees each window after it has been scored. Not finite: exit 1. You result_free() it. */
struct result text_evaluate(const struct nn_model *m, const struct text *t, int64_t batch, bool ranks,
                            void (*also)(void *arg, const struct scored *s), void *arg);
void result_free(struct result *r);

/* nll / targets of the reference. */
double text_reference_mean(const struct text *t);

#endif
