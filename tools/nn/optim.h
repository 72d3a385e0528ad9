/*
 * AdamW over a model's parameters, clipping, and the learning-rate schedules of the Hugging Face Trainer.
 */
#ifndef PALIMPSEST_OPTIM_H
#define PALIMPSEST_OPTIM_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/params.h"

enum schedule { SCHEDULE_LINEAR, SCHEDULE_COSINE, SCHEDULE_CONSTANT, SCHEDULE_WSD };

/*
 * Share of the peak rate at update `step` of `total`, counted from 0: so with a warm-up the first update has rate 0,
 * and without one the last has not quite 0, as in the Trainer. wsd: the last decay updates go down along half a cosine.
 */
double schedule_factor(enum schedule kind, int64_t step, int64_t total, int64_t warmup, int64_t decay);

struct optim_options {
	double beta1, beta2, eps;
	double weight_decay; /* on matrices and embeddings; biases and norms have none, as in the Trainer */
	/*
	 * Of the moments: TH_F32, or TH_BF16, rounded at random as bf16 parameters are: to the nearest, the second
	 * moment, which changes by less than a unit of its last place, would never change.
	 */
	th_dtype moments;
	/* the moments lie in the cpu's memory, and come to the device a part at a time: th_device_sync() before reading them */
	bool offload;
	uint64_t seed, domain; /* of the rounding */
};

struct optim {
	struct nn_params *params;
	struct optim_options opt;
	th_tensor **m, **v; /* first and second moments, in the parameters' order */
	int64_t updates;    /* done so far, over all domains if the moments were handed on */
	th_tensor *norm;    /* of the gradients at hand, () f32 on the device */
	double clip;        /* 0: leaves them */
	bool together;      /* all parameters in few kernels, as a GPU likes it; else one after the other, in less memory */
	th_tensor **list;   /* scratch */
};

/* Moments 0. Call it with no scope open. The parameters must outlive it. */
struct optim *optim_make(struct nn_params *params, const struct optim_options *opt);
/* With moments in f32, where the parameters are. */
struct optim *optim_new(struct nn_params *params, double beta1, double beta2, double eps, double weight_decay);
void optim_free(struct optim *o);

/*
 * L2 norm of all gradients, () f32 on the device, there until the next call; optim_step() will scale them so that it is
 * at most clip (0: leaves them). A parameter without gradient counts as 0. Does not wait for the device.
 */
th_tensor *optim_clip(struct optim *o, double clip);
/*
 * One update with that rate, of the parameters and of the copies that are computed with. A parameter without gradient stays
 * as it is; the others' gradients are gone, each once it was used.
 * skip: as in th_adamw: if it is 1, then parameters and moments keep their bytes. NULL: the norm is known to be finite.
 */
void optim_step(struct optim *o, double lr, const th_tensor *skip);

#endif
