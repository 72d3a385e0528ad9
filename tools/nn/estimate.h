/*
 * What training a model will take: memory by kind, disk, time. From the configuration alone, and a short measurement of this machine.
 *
 * The sum of memory at its peak is within some 15 % of what the process really takes on the cpu (tests/cpt-step.bats); time is a rough
 * guess.
 */
#ifndef PALIMPSEST_ESTIMATE_H
#define PALIMPSEST_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/model.h"
#include "shim/tensor.h"

struct estimate_options {
	th_device device;
	th_dtype weights, compute, moments, written;
	bool offload, recompute, keep_optimizer;
	int64_t batch, micro_batch, context;
	int64_t steps; /* 0: not known */
	uint64_t data_bytes; /* of the token files */
};

struct estimate {
	int64_t parameters;
	/* bytes */
	double program, data, weights, copies, gradients, moments, activations, logits, working, peak;
	double state_file, model_file, optimizer_file;
	/* operations for a token, of matrix products; a second: of these, and of copying bytes, as measured */
	double flops, flops_rate, copy_rate;
	double seconds; /* for a token */
};

/* Takes about a second. */
void estimate_training(struct estimate *e, const struct model_config *c, const struct estimate_options *opt);
/* A line each: what, number, what it means; tab-separated. */
void estimate_print(FILE *out, const struct estimate *e, const struct estimate_options *opt);

#endif
