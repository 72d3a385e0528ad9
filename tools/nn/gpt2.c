/*
 * GPT-2 (Radford et al. 2019), as transformers' GPT2LMHeadModel computes it.
 * B sequences, T tokens, C channels, H heads of D = C / H, V words.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/checked.h"
#include "nn/family.h"
#include "nn/kv_cache.h"

struct norm {
	th_tensor *w, *b; // (C)
};

struct conv1d {
	th_tensor *w, *b; // (in, out), (out)
};

struct block {
	struct norm ln_1, ln_2;
	struct conv1d attn, attn_proj; // C -> 3C, C -> C
	struct conv1d fc, fc_proj;     // C -> 4C, 4C -> C
};

struct gpt2 {
	int64_t C, H;
	int n_layers;
	double eps;
	bool scale_by_head, scale_by_layer;
	nn_activation *act;
	th_tensor *wte, *wpe; // (V, C), (positions, C): the parameters whatever we compute in, so that rows of rare words add up right
	struct block *block;
	struct norm ln_f;
};

/* Where dropout is, for its keys. */
enum place { EMBD, ATTN, ATTN_PROJ, MLP };

static struct norm norm_params(struct nn_model *m, int64_t C, const char *name)
{
	return (struct norm){nn_compute(m, nn_param(m->params, 1, (int64_t[]){C}, "%s.weight", name)),
	                     nn_compute(m, nn_param(m->params, 1, (int64_t[]){C}, "%s.bias", name))};
}

static struct conv1d conv1d_params(struct nn_model *m, int64_t in, int64_t out, const char *name)
{
	return (struct conv1d){nn_compute(m, nn_param(m->params, 2, (int64_t[]){in, out}, "%s.weight", name)),
	                       nn_compute(m, nn_param(m->params, 1, (int64_t[]){out}, "%s.bias", name))};
}

static void load(struct nn_model *m)
{
	const struct model_config *c = &m->config;
	struct gpt2 *g = m->net = xcalloc(1, sizeof *g);

	*g = (struct gpt2){.C = c->n_embd, .H = c->n_head, .n_layers = (int)c->n_layer, .eps = c->layer_norm_epsilon,
	                   .scale_by_head = c->scale_attn_weights, .scale_by_layer = c->scale_attn_by_inverse_layer_idx,
	                   .act = nn_activations[c->activation]};
	g->wte = nn_param(m->params, 2, (int64_t[]){c->vocab_size, g->C}, "wte.weight");
	g->wpe = nn_param(m->params, 2, (int64_t[]){c->n_positions, g->C}, "wpe.weight");
	g->block = xcalloc((size_t)g->n_layers, sizeof *g->block);
	for (int i = 0; i < g->n_layers; i++) {
		struct block *b = &g->block[i];
		char name[64];
#define NAME(what) (snprintf(name, sizeof name, "h.%d." what, i), name)
		b->ln_1 = norm_params(m, g->C, NAME("ln_1"));
		b->attn = conv1d_params(m, g->C, 3 * g->C, NAME("attn.c_attn"));
		b->attn_proj = conv1d_params(m, g->C, g->C, NAME("attn.c_proj"));
		b->ln_2 = norm_params(m, g->C, NAME("ln_2"));
		b->fc = conv1d_params(m, g->C, c->n_inner, NAME("mlp.c_fc"));
		b->fc_proj = conv1d_params(m, c->n_inner, g->C, NAME("mlp.c_proj"));
#undef NAME
	}
	g->ln_f = norm_params(m, g->C, "ln_f");

	th_tensor *head = g->wte;
	if (c->tie_word_embeddings)
		nn_param_alias(m->params, "lm_head.weight", "wte.weight");
	else
		head = nn_param(m->params, 2, (int64_t[]){c->vocab_size, g->C}, "lm_head.weight");
	m->head = nn_compute(m, head);
}

static void unload(struct nn_model *m)
{
	struct gpt2 *g = m->net;

	free(g->block);
	free(g);
}

static th_tensor *norm(const struct gpt2 *g, const struct norm *n, th_tensor *x)
{
	return th_layer_norm(x, n->w, n->b, g->eps);
}

static th_tensor *conv1d(const struct conv1d *c, th_tensor *x)
{
	return th_affine(x, c->w, c->b);
}

static double attention_scale(const struct gpt2 *g, int layer)
{
	double scale = 1;

	if (g->scale_by_head)
		scale /= sqrt((double)(g->C / g->H));
	if (g->scale_by_layer)
		scale /= layer + 1;
	return scale;
}

static th_tensor *attention(const struct gpt2 *g, int layer, th_tensor *x, const struct nn_dropout *d)
{
	th_tensor *qkv = conv1d(&g->block[layer].attn, x); // (B, T, 3C)
	double scale = attention_scale(g, layer);
	th_tensor *y = th_attention_packed(qkv, (int)g->H, (int)g->H, true, NULL, scale, d ? d->attn : 0,
	                                   nn_dropout_key(d, layer, ATTN)); // (B, T, C)
	y = conv1d(&g->block[layer].attn_proj, y); // (B, T, C)
	return th_dropout(y, d ? d->resid : 0, nn_dropout_key(d, layer, ATTN_PROJ));
}

static th_tensor *mlp(const struct gpt2 *g, int layer, th_tensor *x, const struct nn_dropout *d)
{
	const struct conv1d *proj = &g->block[layer].fc_proj;
	th_tensor *y = conv1d(&g->block[layer].fc, x); // (B, T, 4C)

	y = g->act == th_gelu_tanh ? th_gelu_tanh_affine(y, proj->w, proj->b) : conv1d(proj, g->act(y)); // (B, T, C)
	return th_dropout(y, d ? d->resid : 0, nn_dropout_key(d, layer, MLP));
}

static th_tensor *block(const struct nn_model *m, int layer, th_tensor *x, const struct nn_dropout *d)
{
	const struct gpt2 *g = m->net;
	const struct block *b = &g->block[layer];

	th_scope_open();
	x = th_keep(th_add(x, attention(g, layer, norm(g, &b->ln_1, x), d)));
	th_scope_close();
	return th_add(x, mlp(g, layer, norm(g, &b->ln_2, x), d));
}

static th_tensor *hidden(const struct nn_model *m, th_tensor *id, const struct nn_dropout *d)
{
	const struct gpt2 *g = m->net;
	int64_t T = th_size(id, 1);

	id = th_to_device(id, m->device);
	th_tensor *token = th_to_dtype(th_embedding(g->wte, id, -1), TH_F32);   // (B, T, C)
	th_tensor *position = th_to_dtype(th_narrow(g->wpe, 0, 0, T), TH_F32); // (T, C)
	th_tensor *x = th_add(token, position);
	x = th_dropout(th_to_dtype(x, m->compute), d ? d->embd : 0, nn_dropout_key(d, 0, EMBD));
	x = nn_layers(m, block, x, d);
	return norm(g, &g->ln_f, x);
}

static void key_shape(const struct nn_model *m, int64_t *heads, int64_t *width)
{
	const struct gpt2 *g = m->net;

	*heads = g->H;
	*width = g->C / g->H;
}

/* Part i of three side by side, as heads: (B, T, 3C) -> (B, H, T, D) */
static th_tensor *heads_of(const struct gpt2 *g, th_tensor *qkv, int i)
{
	th_tensor *x = th_narrow(qkv, 2, i * g->C, g->C);

	return th_transpose(th_reshape(x, 4, (int64_t[]){th_size(x, 0), th_size(x, 1), g->H, g->C / g->H}), 1, 2);
}

static th_tensor *attention_after(const struct gpt2 *g, int layer, th_tensor *x, struct nn_cache *cache)
{
	th_tensor *qkv = conv1d(&g->block[layer].attn, x); // (B, T, 3C)
	th_tensor *y = nn_cache_attention(cache, layer, heads_of(g, qkv, 0), heads_of(g, qkv, 1), heads_of(g, qkv, 2),
	                                  attention_scale(g, layer)); // (B, H, T, D)

	y = th_reshape(th_transpose(y, 1, 2), 3, (int64_t[]){th_size(x, 0), th_size(x, 1), g->C});
	return conv1d(&g->block[layer].attn_proj, y);
}

static th_tensor *hidden_after(const struct nn_model *m, th_tensor *id, struct nn_cache *cache)
{
	const struct gpt2 *g = m->net;
	int64_t B = th_size(id, 0), T = th_size(id, 1);

	th_tensor *token = th_to_dtype(th_embedding(g->wte, id, -1), TH_F32); // (B, T, C)
	th_tensor *position = th_to_dtype(th_embedding(g->wpe, cache->position, -1), TH_F32); // (B T, C)
	th_tensor *x = th_add(token, th_reshape(position, 3, (int64_t[]){B, T, g->C}));
	x = th_to_dtype(x, m->compute);
	for (int i = 0; i < g->n_layers; i++) {
		const struct block *b = &g->block[i];
		th_scope_open();
		x = th_add(x, attention_after(g, i, norm(g, &b->ln_1, x), cache));
		x = th_keep(th_add(x, mlp(g, i, norm(g, &b->ln_2, x), NULL)));
		th_scope_close();
	}
	return norm(g, &g->ln_f, x);
}

const struct nn_family nn_gpt2 = {
	.bare = (const char *const[]){"lm_head.weight", NULL},
	/* Masks that old checkpoints hold. */
	.ignored = (const char *const[]){"h.*.attn.bias", "h.*.attn.masked_bias", NULL},
	.load = load,
	.hidden = hidden,
	.hidden_after = hidden_after,
	.key_shape = key_shape,
	.unload = unload,
};
