/*
 * B sequences, T tokens, C channels, H heads of D = C / H. Each sub-layer is added to its input and then normalised.
 */
#include "nn/bert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/checked.h"
#include "lib/die.h"
#include "nn/params.h"

typedef th_tensor *activation(th_tensor *x);

struct norm {
	th_tensor *w, *b; // (C)
};

struct linear {
	th_tensor *w, *b; // (out, in), (out)
};

struct layer {
	struct linear query, key, value, proj; // C -> C
	struct norm ln_1, ln_2;                // behind attention, behind the feed-forward layer
	struct linear up, down;                // C -> 4C, 4C -> C
};

struct bert {
	struct model_config config;
	struct nn_params *params;
	th_device device;
	th_dtype compute;
	activation *act;
	th_tensor *word, *position, *type; // (V, C), (positions, C), (types, C): f32 whatever we compute in
	struct norm ln;
	struct layer *layer;
};

static th_tensor *compute(struct bert *b, th_tensor *param)
{
	return th_to_dtype(param, b->compute);
}

static struct norm norm_params(struct bert *b, const char *name)
{
	int64_t C = b->config.n_embd;

	return (struct norm){compute(b, nn_param(b->params, 1, (int64_t[]){C}, "%s.weight", name)),
	                     compute(b, nn_param(b->params, 1, (int64_t[]){C}, "%s.bias", name))};
}

static struct linear linear_params(struct bert *b, int64_t in, int64_t out, const char *name)
{
	return (struct linear){compute(b, nn_param(b->params, 2, (int64_t[]){out, in}, "%s.weight", name)),
	                       compute(b, nn_param(b->params, 1, (int64_t[]){out}, "%s.bias", name))};
}

struct bert *bert_load(const char *dir, th_device device, th_dtype dtype)
{
	static activation *const activations[] = {[MODEL_GELU] = th_gelu,
	                                          [MODEL_GELU_TANH] = th_gelu_tanh,
	                                          [MODEL_RELU] = th_relu,
	                                          [MODEL_SILU] = th_silu,
	                                          [MODEL_TANH] = th_tanh};
	struct bert *b = xcalloc(1, sizeof *b);
	const struct model_config *c = &b->config;
	int64_t C;

	model_config_read(&b->config, dir);
	if (c->family != MODEL_BERT)
		die_input("cannot compute this model: %s: architecture %s is not of the BERT family", dir, c->architecture);
	b->device = device;
	b->compute = dtype;
	b->act = activations[c->activation];
	C = c->n_embd;

	b->params = nn_params_open(dir, "bert.", device);
	b->word = nn_param(b->params, 2, (int64_t[]){c->vocab_size, C}, "embeddings.word_embeddings.weight");
	b->position = nn_param(b->params, 2, (int64_t[]){c->n_positions, C}, "embeddings.position_embeddings.weight");
	b->type = nn_param(b->params, 2, (int64_t[]){c->n_types, C}, "embeddings.token_type_embeddings.weight");
	b->ln = norm_params(b, "embeddings.LayerNorm");
	b->layer = xcalloc((size_t)c->n_layer, sizeof *b->layer);
	for (int i = 0; i < (int)c->n_layer; i++) {
		struct layer *l = &b->layer[i];
		char name[80];
#define NAME(what) (snprintf(name, sizeof name, "encoder.layer.%d." what, i), name)
		l->query = linear_params(b, C, C, NAME("attention.self.query"));
		l->key = linear_params(b, C, C, NAME("attention.self.key"));
		l->value = linear_params(b, C, C, NAME("attention.self.value"));
		l->proj = linear_params(b, C, C, NAME("attention.output.dense"));
		l->ln_1 = norm_params(b, NAME("attention.output.LayerNorm"));
		l->up = linear_params(b, C, c->n_inner, NAME("intermediate.dense"));
		l->down = linear_params(b, c->n_inner, C, NAME("output.dense"));
		l->ln_2 = norm_params(b, NAME("output.LayerNorm"));
#undef NAME
	}
	/* A buffer of old checkpoints; the layer over [CLS] and the heads, which the encoder does not use. */
	nn_params_loaded(b->params, (const char *const[]){"embeddings.position_ids", "pooler.dense.*", "cls.*",
	                                                  "classifier.*", "qa_outputs.*", NULL});
	return b;
}

void bert_free(struct bert *b)
{
	if (!b)
		return;
	nn_params_free(b->params);
	free(b->layer);
	free(b);
}

const struct model_config *bert_config(const struct bert *b)
{
	return &b->config;
}

th_device bert_device(const struct bert *b)
{
	return b->device;
}

static th_tensor *norm(const struct bert *b, const struct norm *n, th_tensor *x)
{
	return th_layer_norm(x, n->w, n->b, b->config.layer_norm_epsilon);
}

static th_tensor *linear(const struct linear *l, th_tensor *x)
{
	return th_linear(x, l->w, l->b);
}

/* (B, T, C) -> (B, H, T, D) */
static th_tensor *heads(const struct bert *b, th_tensor *x)
{
	int64_t C = b->config.n_embd, H = b->config.n_head;

	x = th_reshape(x, 4, (int64_t[]){th_size(x, 0), th_size(x, 1), H, C / H});
	return th_transpose(x, 1, 2);
}

static th_tensor *attention(const struct bert *b, const struct layer *l, th_tensor *x, th_tensor *length)
{
	double scale = 1 / sqrt((double)(b->config.n_embd / b->config.n_head));
	th_tensor *y = th_attention(heads(b, linear(&l->query, x)), heads(b, linear(&l->key, x)),
	                            heads(b, linear(&l->value, x)), false, length, scale, 0, (th_key){0, 0}); // (B, H, T, D)

	y = th_reshape(th_transpose(y, 1, 2), 3, (int64_t[]){th_size(x, 0), th_size(x, 1), b->config.n_embd});
	return linear(&l->proj, y); // (B, T, C)
}

static th_tensor *layer(const struct bert *b, const struct layer *l, th_tensor *x, th_tensor *length)
{
	th_scope_open();
	x = norm(b, &l->ln_1, th_add(x, attention(b, l, x, length)));
	x = norm(b, &l->ln_2, th_add(x, linear(&l->down, b->act(linear(&l->up, x)))));
	th_keep(x);
	th_scope_close();
	return x;
}

th_tensor *bert_hidden(const struct bert *b, th_tensor *id, th_tensor *length)
{
	th_tensor *x;

	th_scope_open();
	x = th_add(th_embedding(b->word, id), th_narrow(b->type, 0, 0, 1)); // (B, T, C)
	x = th_add(x, th_narrow(b->position, 0, 0, th_size(id, 1)));
	x = norm(b, &b->ln, th_to_dtype(x, b->compute));
	for (int i = 0; i < (int)b->config.n_layer; i++)
		x = layer(b, &b->layer[i], x, length);
	th_keep(x);
	th_scope_close();
	return x;
}
