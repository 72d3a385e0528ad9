/*
 * Training on one domain: the loop, its saved state, its log.
 *
 * In the staging directory while it runs: train.log.jsonl, state.safetensors (parameters, moments, counters and the
 * identity of the run), best.safetensors. A run that finds a state of the same identity goes on from it, and
 * ends with the same bytes as one that was never interrupted.
 */
#ifndef PALIMPSEST_TRAIN_H
#define PALIMPSEST_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/hash.h"
#include "nn/batches.h"
#include "nn/family.h"
#include "nn/masking.h"
#include "nn/optim.h"

struct train_options {
	int64_t batch, micro_batch; /* blocks in an optimiser step, and in one pass through the model */
	int64_t context;            /* tokens in a block */
	double lr, lr_floor;        /* peak, and where warm-up begins and decay ends */
	enum schedule schedule;
	int64_t steps, warmup, decay; /* optimiser steps */
	double clip;                  /* 0: none */
	uint64_t seed;
	int64_t save_every; /* steps; 0: every ten minutes */
	int64_t eval_every; /* steps; 0: at the end only, if there is valid */
	bool keep_best;
	struct nn_dropout dropout; /* probabilities; all 0: none */
	const struct masking *masking; /* masked tokens are predicted; NULL: the next token is */
	/*
	 * Read a step's loss and norm when the next step is under way, so that a GPU always has work. Until then the
	 * device alone knows whether they are finite, and if not leaves the parameters as they are. The same bytes come
	 * out.
	 */
	bool late;
	/* passes of whole micro-batches, in steps of whole batches, are replays of a captured graph, see train_can_graph() */
	bool graph;
};

/*
 * Can it be done with this model and device? Not if tokens are masked, or if what is computed again would meet with
 * another mask of dropout.
 */
bool train_can_graph(const struct nn_model *m, const struct train_options *opt);

struct training {
	const struct train_options *opt;
	struct nn_model *model;
	struct optim *optim;
	const struct corpus *corpus, *valid; /* valid: NULL if none */
	const char *from;    /* the model's directory, of which all that will be needed is copied at the beginning: it may go */
	const char *staging;
	uint8_t run[HASH_BYTES]; /* identity: a hash of all that the result depends on */
	/* results */
	int64_t step;            /* done */
	uint64_t tokens;         /* seen */
	double loss;             /* of the last step */
	double loss_sum;         /* over steps */
	double valid_loss;       /* last; NaN before the first */
	double best_loss;        /* lowest; NaN before the first */
	int64_t best_step;
	double seconds;          /* in this process */
	uint64_t tokens_before;  /* in earlier processes */
};

/* Has the validation text anything to predict? If not, no train(). */
bool train_can_validate(const struct training *t);

/* Optimiser steps in one epoch. The last of an epoch may be a smaller one. */
int64_t train_epoch_steps(const struct corpus *c, int64_t context, int64_t batch);

/*
 * Trains to the last step, and leaves in the model's parameters the final ones, or with keep_best the best. SIGTERM,
 * SIGINT and SIGHUP save the state and then end the process by that signal. A loss, in training or validation, or a
 * gradient that is not finite: exit 1, the last state stays.
 */
void train(struct training *t);

/* Removes what a resume needs, once all the rest is written. */
void train_clean(const char *staging);

#endif
