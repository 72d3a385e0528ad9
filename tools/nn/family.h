/*
 * Language models: what every family (gpt2.c ...) offers to training and evaluation.
 *
 * A model computes with its parameters themselves, or, if they are of another type (f32 parameters, computation in bf16),
 * with copies that are cast once for each optimiser step (optim_step(), nn_cast()). The gradient of one pass has the type
 * of what was computed with; those of several are added up in f32 (nn_gather_grads()).
 */
#ifndef PALIMPSEST_FAMILY_H
#define PALIMPSEST_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/model.h"
#include "nn/params.h"
#include "shim/tensor.h"

/* Dropout in one forward pass: probabilities, and what makes its masks this pass's own. */
struct nn_dropout {
	double embd, attn, resid;
	uint64_t seed, domain, step, micro_step;
};

/* Key of the mask at one place in one layer; layer -1: of the whole pass. d NULL: no dropout, any key will do. */
th_key nn_dropout_key(const struct nn_dropout *d, int layer, int place);

struct nn_model;
struct nn_cache; /* kv_cache.h */

struct nn_family {
	bool masked;                      /* predicts masked tokens from both sides; else each token from those before it */
	const char *const *bare;          /* tensors that have no model_prefix() even in a checkpoint with a head; NULL ends */
	const char *const *ignored;       /* tensors that may lie in a checkpoint unused; NULL ends */
	/* Asks for the parameters that m->config speaks of, fills m->net and m->head. */
	void (*load)(struct nn_model *m);
	/* The last hidden layer: id (B, T) i64, in the cpu's memory or the device's -> (B, T, C). dropout: NULL for none. */
	th_tensor *(*hidden)(const struct nn_model *m, th_tensor *id, const struct nn_dropout *dropout);
	/* For generation with a cache, both or neither. As hidden, of tokens behind those in the cache. */
	th_tensor *(*hidden_after)(const struct nn_model *m, th_tensor *id, struct nn_cache *cache);
	void (*key_shape)(const struct nn_model *m, int64_t *heads, int64_t *width); /* of keys and values */
	/* What lies between it and the head: (N, C) -> (N, C); NULL: nothing. */
	th_tensor *(*transform)(const struct nn_model *m, th_tensor *h);
	void (*unload)(struct nn_model *m);
};

/* One layer of a family: x (B, T, C) -> (B, T, C). */
typedef th_tensor *nn_layer(const struct nn_model *m, int layer, th_tensor *x, const struct nn_dropout *dropout);

struct nn_model {
	const struct nn_family *family;
	struct nn_params *params;
	th_device device;
	th_dtype compute; /* TH_F32 or TH_BF16 */
	struct model_config config;
	bool recompute; /* keep the layers' inputs alone, and compute the rest again in the backward pass */
	struct nn_layer_call *call; /* the layers' arguments, until the backward pass; one for each layer */
	bool train;
	int64_t positions; /* tokens in the longest sequence */
	/* by the family */
	void *net;
	th_tensor *head, *head_bias; /* (V, C), (V) or NULL: logits = transform(hidden) head^T + bias */
};

/*
 * Loads the model in DIR (config.json, model.safetensors). A setting that we do not compute, a tensor that does not
 * fit, a family that is no language model here: exit 3. Call it with no scope open. train: parameters get gradients, and are f32;
 * else they have the type of the computation.
 */
struct nn_model *nn_model_load(const char *dir, th_device device, th_dtype compute, bool train);
/* The same with parameters of the type weights. */
struct nn_model *nn_model_load_as(const char *dir, th_device device, th_dtype weights, th_dtype compute, bool train);
/* The same, of a configuration that has been read, by a family of the caller's choice. */
struct nn_model *nn_model_load_by(const struct nn_family *family, const struct model_config *config, const char *dir,
                                  th_device device, th_dtype weights, th_dtype compute, bool train);
/* What is known of the model in DIR before its weights are loaded: config, family, positions, and nothing else. */
struct nn_model nn_model_outline(const char *dir);
struct nn_model nn_model_outline_of(const struct model_config *config);
void nn_model_free(struct nn_model *m);
void nn_model_save(const struct nn_model *m, const char *path, enum st_dtype dtype);

/* For families: the tensor to compute with in place of a parameter: itself, or its copy in m->compute. */
th_tensor *nn_compute(struct nn_model *m, th_tensor *param);

/*
 * For families: x through layers 0 .. n_layer - 1, each in a scope of its own. With m->recompute nothing that a layer
 * makes is kept but what it returns; the results are the same bytes. *dropout must live until the backward pass.
 */
th_tensor *nn_layers(const struct nn_model *m, nn_layer *f, th_tensor *x, const struct nn_dropout *dropout);

/* Brings the copies up to date with the parameters: after loading, and after every change but optim_step()'s. */
void nn_cast(struct nn_model *m);
/*
 * Before another th_backward() adds to the gradients: brings them to f32. Afterwards th_grad() of an f32 parameter is
 * its whole gradient, and the copies have none. Call it with no scope open.
 */
void nn_gather_grads(struct nn_model *m);
void nn_zero_grads(struct nn_model *m);
/*
 * The other way to add up gradients: first nn_sums_start(), then nn_sum_grads() after each th_backward(). The sums of
 * all parameters, in f32, have memory of their own, the same from start to start; th_grad() gives nothing,
 * nn_param_grad() does. Call the first with no scope open.
 */
void nn_sums_start(struct nn_model *m);
void nn_sum_grads(struct nn_model *m);

/*
 * The loss: scale * sum of -log p(target[b][t] | what the model sees at b, t), () f32. A target < 0 is not scored. What
 * is seen: id[b][..t], or with a masked family all of id[b]. id (B, T) and target (B T) lie in the cpu's memory, from
 * where they go to the device without waiting for it, or on the device; but a masked family, which has to look at them,
 * waits for them there.
 */
th_tensor *nn_loss(const struct nn_model *m, th_tensor *id, th_tensor *target, double scale,
                   const struct nn_dropout *dropout);
/* The same without gradient, one value a target: (B T) f32, 0 where target < 0. Opens its own no-grad pair. */
th_tensor *nn_nll(const struct nn_model *m, th_tensor *id, th_tensor *target);
/* And *rank: (B T) i64, how many ids are more probable than the target. NULL: not wanted. */
th_tensor *nn_nll_rank(const struct nn_model *m, th_tensor *id, th_tensor *target, th_tensor **rank);
/* All logits, (B, T, V), which for a large vocabulary are many. */
th_tensor *nn_logits(const struct nn_model *m, th_tensor *id);

extern const struct nn_family nn_gpt2, nn_bert, nn_roberta, nn_llama;

/* By enum model_activation. */
typedef th_tensor *nn_activation(th_tensor *x);
extern nn_activation *const nn_activations[];

/*
 * Tokens that the model takes: as many as it has positions, or as its window of attention has, up to which that is as good as none.
 * Fewer than 2: exit 3, naming dir.
 */
int64_t nn_most_tokens(const struct nn_model *m, const char *dir);

/*
 * The --context of a tool: asked, or for 0 as many tokens as the model takes, at most 1024. More than it has positions, or than its
 * window of attention, or a model with fewer than 2 of them: exit 3, naming dir; fewer than 2 asked: exit 2.
 */
int64_t nn_context(const struct nn_model *m, const char *dir, int64_t asked);

#endif
