/*
 * The Llama family (Touvron et al., 2302.13971, 2307.09288; Mistral, 2310.06825; Qwen2, 2407.10671), as transformers'
 * LlamaForCausalLM, MistralForCausalLM and Qwen2ForCausalLM compute it.
 * B sequences, T tokens, C channels, H heads of D elements that share G heads of keys and values, V words.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/checked.h"
#include "lib/rope.h"
#include "nn/family.h"
#include "nn/kv_cache.h"

struct linear {
	th_tensor *w, *b; // (out, in), (out) or NULL
};

struct block {
	th_tensor *input_norm, *post_attention_norm; // (C)
	struct linear q, k, v, o;                    // C -> H D, G D, G D; H D -> C
	struct linear gate, up, down;                // C -> I, I; I -> C
};

struct llama {
	int64_t H, G, D;
	int n_layers;
	double eps;
	nn_activation *act;
	th_tensor *embed; // (V, C): the parameter whatever we compute in, so that rows of rare words add up right
	struct block *block;
	th_tensor *norm; // (C)
	float *frequency; // (D / 2)
	th_tensor *turn;  // (n_positions, D) f32: cos, sin; as many rows as were asked for are filled
	int64_t turns;
};

/* Where dropout is, for its keys. */
enum place { ATTN };

static th_tensor *norm_params(struct nn_model *m, const char *name)
{
	return nn_compute(m, nn_param(m->params, 1, (int64_t[]){m->config.n_embd}, "%s.weight", name));
}

static struct linear linear_params(struct nn_model *m, int64_t in, int64_t out, bool bias, const char *name)
{
	struct linear l = {nn_compute(m, nn_param(m->params, 2, (int64_t[]){out, in}, "%s.weight", name)), NULL};

	if (bias)
		l.b = nn_compute(m, nn_param(m->params, 1, (int64_t[]){out}, "%s.bias", name));
	return l;
}

static void load(struct nn_model *m)
{
	const struct model_config *c = &m->config;
	struct llama *l = m->net = xcalloc(1, sizeof *l);
	int64_t C = c->n_embd, I = c->n_inner, queries = c->n_head * c->head_dim, keys = c->n_kv_head * c->head_dim;

	*l = (struct llama){.H = c->n_head, .G = c->n_kv_head, .D = c->head_dim, .n_layers = (int)c->n_layer,
	                    .eps = c->layer_norm_epsilon, .act = nn_activations[c->activation]};
	l->embed = nn_param(m->params, 2, (int64_t[]){c->vocab_size, C}, "embed_tokens.weight");
	l->block = xcalloc((size_t)l->n_layers, sizeof *l->block);
	for (int i = 0; i < l->n_layers; i++) {
		struct block *b = &l->block[i];
		char name[64];
#define NAME(what) (snprintf(name, sizeof name, "layers.%d." what, i), name)
		b->input_norm = norm_params(m, NAME("input_layernorm"));
		b->q = linear_params(m, C, queries, c->attention_bias, NAME("self_attn.q_proj"));
		b->k = linear_params(m, C, keys, c->attention_bias, NAME("self_attn.k_proj"));
		b->v = linear_params(m, C, keys, c->attention_bias, NAME("self_attn.v_proj"));
		b->o = linear_params(m, queries, C, c->attention_out_bias, NAME("self_attn.o_proj"));
		b->post_attention_norm = norm_params(m, NAME("post_attention_layernorm"));
		b->gate = linear_params(m, C, I, c->mlp_bias, NAME("mlp.gate_proj"));
		b->up = linear_params(m, C, I, c->mlp_bias, NAME("mlp.up_proj"));
		b->down = linear_params(m, I, C, c->mlp_bias, NAME("mlp.down_proj"));
#undef NAME
	}
	l->norm = norm_params(m, "norm");

	th_tensor *head = l->embed;
	if (c->tie_word_embeddings)
		nn_param_alias(m->params, "lm_head.weight", "embed_tokens.weight");
	else
		head = nn_param(m->params, 2, (int64_t[]){c->vocab_size, C}, "lm_head.weight");
	m->head = nn_compute(m, head);

	l->turn = th_empty(TH_F32, m->device, 2, (int64_t[]){c->n_positions, l->D});
	l->frequency = xcalloc((size_t)(l->D / 2), sizeof *l->frequency);
	rope_frequencies(c, l->frequency);
}

static void unload(struct nn_model *m)
{
	struct llama *l = m->net;

	free(l->frequency);
	free(l->block);
	free(l);
}

/* Fills the rows of l->turn for T tokens. */
static void turn_to(const struct nn_model *m, int64_t T)
{
	struct llama *l = m->net;
	int64_t rows = T - l->turns;

	if (rows <= 0)
		return;
	float *table = xcalloc((size_t)(rows * l->D), sizeof *table);
	rope_table(&m->config, l->frequency, l->turns, rows, table);
	th_scope_open();
	th_copy_(th_narrow(l->turn, 0, l->turns, rows), th_from_host(table, TH_F32, m->device, 2, (int64_t[]){rows, l->D}));
	th_scope_close();
	free(table);
	l->turns = T;
}

static th_tensor *linear(const struct linear *l, th_tensor *x)
{
	return th_linear(x, l->w, l->b);
}

/* (B, T, n D) -> (B, n, T, D) */
static th_tensor *heads(const struct llama *l, th_tensor *x)
{
	x = th_reshape(x, 4, (int64_t[]){th_size(x, 0), th_size(x, 1), th_size(x, 2) / l->D, l->D});
	return th_transpose(x, 1, 2);
}

static th_tensor *attention(const struct llama *l, int layer, th_tensor *x, const struct nn_dropout *d)
{
	const struct block *b = &l->block[layer];
	th_tensor *q = th_rope(linear(&b->q, x), l->turn); // (B, T, H D)
	th_tensor *k = th_rope(linear(&b->k, x), l->turn); // (B, T, G D)
	th_tensor *v = linear(&b->v, x);                // (B, T, G D)

	th_tensor *y = th_attention(heads(l, q), heads(l, k), heads(l, v), true, NULL, 1 / sqrt((double)l->D), d ? d->attn : 0,
	                            nn_dropout_key(d, layer, ATTN)); // (B, H, T, D)
	y = th_reshape(th_transpose(y, 1, 2), 3, (int64_t[]){th_size(x, 0), th_size(x, 1), l->H * l->D});
	return linear(&b->o, y); // (B, T, C)
}

static th_tensor *mlp(const struct llama *l, int layer, th_tensor *x)
{
	const struct block *b = &l->block[layer];
	th_tensor *gate = linear(&b->gate, x), *up = linear(&b->up, x); // (B, T, I)

	return linear(&b->down, l->act == th_silu ? th_swiglu(gate, up) : th_mul(l->act(gate), up)); // (B, T, C)
}

static th_tensor *block(const struct nn_model *m, int layer, th_tensor *x, const struct nn_dropout *d)
{
	const struct llama *l = m->net;
	const struct block *b = &l->block[layer];

	th_scope_open();
	x = th_keep(th_add(x, attention(l, layer, th_rms_norm(x, b->input_norm, l->eps), d)));
	th_scope_close();
	return th_add(x, mlp(l, layer, th_rms_norm(x, b->post_attention_norm, l->eps)));
}

static th_tensor *hidden(const struct nn_model *m, th_tensor *id, const struct nn_dropout *d)
{
	const struct llama *l = m->net;

	turn_to(m, th_size(id, 1));
	id = th_to_device(id, m->device);
	th_tensor *x = th_to_dtype(th_embedding(l->embed, id, m->config.pad_token_id), m->compute); // (B, T, C)
	return th_rms_norm(nn_layers(m, block, x, d), l->norm, l->eps);
}

static void key_shape(const struct nn_model *m, int64_t *key_heads, int64_t *width)
{
	const struct llama *l = m->net;

	*key_heads = l->G;
	*width = l->D;
}

/* Each token at the place of its own that table has, one row for each: x (B, T, n D), table (B T, D) -> (B, T, n D) */
static th_tensor *turned(th_tensor *x, th_tensor *table)
{
	int64_t B = th_size(x, 0), T = th_size(x, 1), width = th_size(x, 2);

	return th_reshape(th_rope(th_reshape(x, 3, (int64_t[]){1, B * T, width}), table), 3, (int64_t[]){B, T, width});
}

static th_tensor *attention_after(const struct llama *l, int layer, th_tensor *x, th_tensor *table, struct nn_cache *cache)
{
	const struct block *b = &l->block[layer];
	th_tensor *q = turned(linear(&b->q, x), table), *k = turned(linear(&b->k, x), table), *v = linear(&b->v, x);

	th_tensor *y = nn_cache_attention(cache, layer, heads(l, q), heads(l, k), heads(l, v), 1 / sqrt((double)l->D)); // (B, H, T, D)
	y = th_reshape(th_transpose(y, 1, 2), 3, (int64_t[]){th_size(x, 0), th_size(x, 1), l->H * l->D});
	return linear(&b->o, y);
}

static th_tensor *hidden_after(const struct nn_model *m, th_tensor *id, struct nn_cache *cache)
{
	const struct llama *l = m->net;

	turn_to(m, cache->longest);
	th_tensor *x = th_to_dtype(th_embedding(l->embed, id, -1), m->compute); // (B, T, C)
	th_tensor *table = th_index_select(l->turn, 0, cache->position);    // (B T, D)
	for (int i = 0; i < (int)m->config.n_layer; i++) {
		const struct block *b = &l->block[i];
		th_scope_open();
		x = th_add(x, attention_after(l, i, th_rms_norm(x, b->input_norm, l->eps), table, cache));
		x = th_keep(th_add(x, mlp(l, i, th_rms_norm(x, b->post_attention_norm, l->eps))));
		th_scope_close();
	}
	return th_rms_norm(x, l->norm, l->eps);
}

const struct nn_family nn_llama = {
	.bare = (const char *const[]){"lm_head.weight", NULL},
	/* Frequencies that old checkpoints hold. */
	.ignored = (const char *const[]){"layers.*.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq", NULL},
	.load = load,
	.hidden = hidden,
	.hidden_after = hidden_after,
	.key_shape = key_shape,
	.unload = unload,
};
