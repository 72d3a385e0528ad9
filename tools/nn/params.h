/*
 * A model's parameters: names and tensors, from model.safetensors or the several files of a large model (lib/weights.h),
 * to model.safetensors.
 *
 * A family asks for each tensor that it needs, by name and shape, and then says what it lets
 * lie; whatever is left over there is a mistake:
 *
 *	struct nn_params *p = nn_params_open(dir, "transformer.", device);
 *	m->wte = nn_param(p, 2, (int64_t[]){vocab, C}, "wte.weight");
 *	m->layer[i].b = nn_param(p, 1, (int64_t[]){C}, "h.%d.ln_1.bias", i);
 *	nn_params_loaded(p, (const char *[]){"h.*.attn.bias", NULL});
 *
 * A missing or unknown tensor, a wrong shape or a dtype that is no float: exit 3, naming it.
 */
#ifndef PALIMPSEST_PARAMS_H
#define PALIMPSEST_PARAMS_H

#include <stdbool.h>

#include "lib/safetensors.h"
#include "lib/weights.h"
#include "shim/tensor.h"

struct nn_param {
	char *name;       /* without the prefix */
	th_tensor *value; /* on the device, a leaf, without gradient until th_requires_grad() */
	th_tensor *copy;  /* what is computed with in its place, in another type; NULL: itself */
	/*
	 * Sum of the gradients of several passes, f32, where value's own .grad cannot be it because value is bf16 or a
	 * graph is replayed.
	 */
	th_tensor *sum;   /* NULL until needed */
	bool summed;      /* is there anything in it? */
};

struct nn_params {
	struct nn_param *item; /* in the order of the asking */
	int n, cap;
	th_device device;
	th_dtype dtype;        /* of the values: TH_F32, or TH_BF16 if set before the first nn_param() */
	char *path;            /* of the file, or of the index of several */
	/* while loading */
	const char *prefix;
	struct weights *weights;
	bool *taken;
};

/*
 * Opens the weights in DIR. prefix: what may stand before every name, as in a checkpoint of
 * the model with a head, or ""; borrowed, a string constant.
 */
struct nn_params *nn_params_open(const char *dir, const char *prefix, th_device device);

/*
 * The tensor of that name, with or without the prefix, from f32, bf16, f16 or f64, as p->dtype. The handle belongs to the
 * scope that is open now, so call it with none open (it then lives until th_shutdown()) or keep it.
 */
th_tensor *nn_param(struct nn_params *p, int n_dims, const int64_t *shape, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Is there such a tensor? For the optional ones: a head of its own, a pooler. */
bool nn_has_param(const struct nn_params *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * The gradient that is there, brought to one of the places where it lies (value, copy and sum), with which it shares memory.
 * NULL: none. bf16 if all of it comes from one place of that type, else f32. The handle belongs to the innermost scope.
 */
th_tensor *nn_param_grad(struct nn_param *p);
void nn_param_drop_grad(struct nn_param *p);

/* A second name under which a tensor may lie in the file too, if it holds the same bytes as name; else exit 3. */
void nn_param_alias(struct nn_params *p, const char *alias, const char *name);

/* Closes the file. ignored: names that may be left over, '*' standing for anything; NULL ends it. */
void nn_params_loaded(struct nn_params *p, const char *const *ignored);

void nn_params_free(struct nn_params *p);           /* the names; the tensors belong to their scope */

/*
 * Writes them all to PATH as dtype (ST_F32, ST_BF16 or ST_F16), each name with prefix before it unless it is listed
 * in bare (NULL: none), with the metadata that transformers asks for. Atomic. A weight that is not finite, or not in dtype: exit 1.
 */
void nn_params_save(const struct nn_params *p, const char *path, enum st_dtype dtype, const char *prefix,
                    const char *const *bare);

#endif
