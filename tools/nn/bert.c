/*
 * BERT (Devlin et al., 1810.04805) and RoBERTa (Liu et al., 1907.11692): one encoder, two names for each part of the head.
 * B sequences, T tokens, C channels, H heads of D = C / H, V words. Each sub-layer is added to its input and then normalised.
 */
#include "nn/bert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/checked.h"
#include "lib/die.h"

struct norm {
	th_tensor *w, *b; // (C)
};

struct linear {
	th_tensor *w, *b; // (out, in), (out)
	bool bf16x3;      /* w is th_bf16x3_weights() */
};

struct layer {
	struct linear query, key, value, proj; // C -> C
	struct linear qkv;                     // C -> 3C: the first three in one, or nothing
	struct norm ln_1, ln_2;                // behind attention, behind the feed-forward layer
	struct linear up, down;                // C -> 4C, 4C -> C
};

struct bert {
	int64_t C, H;
	int n_layers;
	double eps;
	nn_activation *act;
	/*
	 * What goes from layer to layer, norms, and the products of the last two thirds of the layers in f32, whatever
	 * we compute in.
	 */
	bool wide;
	bool offset; /* RoBERTa: positions are counted from behind the padding's */
	int64_t pad; /* -1: none */
	th_tensor *word, *position, *type; // (V, C), (positions, C), (types, C): the parameters whatever we compute in
	struct norm ln;
	struct layer *layer;
	/* of the head */
	struct linear dense;
	struct norm dense_ln;
	nn_activation *dense_act;
};

/* Where dropout is, for its keys. */
enum place { EMBD, ATTN, ATTN_PROJ, MLP };

static struct norm norm_params(struct nn_model *m, const char *name)
{
	const struct bert *b = m->net;
	th_tensor *w = nn_param(m->params, 1, (int64_t[]){b->C}, "%s.weight", name);
	th_tensor *bias = nn_param(m->params, 1, (int64_t[]){b->C}, "%s.bias", name);

	return b->wide ? (struct norm){w, bias} : (struct norm){nn_compute(m, w), nn_compute(m, bias)};
}

static struct linear linear_params(struct nn_model *m, int64_t in, int64_t out, const char *name, bool wide)
{
	th_tensor *w = nn_param(m->params, 2, (int64_t[]){out, in}, "%s.weight", name);
	th_tensor *b = nn_param(m->params, 1, (int64_t[]){out}, "%s.bias", name);

	return wide ? (struct linear){w, b, false} : (struct linear){nn_compute(m, w), nn_compute(m, b), false};
}

/*
 * Wide: of a vector that is the mean over a text's tokens, the rounding of activations averages out, that of weights
 * does not, and that of the last layers' changes it most.
 */
static void load_encoder(struct nn_model *m)
{
	const struct model_config *c = &m->config;
	struct bert *b = m->net = xcalloc(1, sizeof *b);
	int64_t C = c->n_embd;

	*b = (struct bert){.C = C, .H = c->n_head, .n_layers = (int)c->n_layer, .eps = c->layer_norm_epsilon,
	                   .wide = !m->family->masked, .act = nn_activations[c->activation],
	                   .offset = c->family == MODEL_ROBERTA, .pad = c->pad_token_id};
	b->word = nn_param(m->params, 2, (int64_t[]){c->vocab_size, C}, "embeddings.word_embeddings.weight");
	b->position = nn_param(m->params, 2, (int64_t[]){c->n_positions, C}, "embeddings.position_embeddings.weight");
	b->type = nn_param(m->params, 2, (int64_t[]){c->n_types, C}, "embeddings.token_type_embeddings.weight");
	b->ln = norm_params(m, "embeddings.LayerNorm");
	b->layer = xcalloc((size_t)b->n_layers, sizeof *b->layer);
	for (int i = 0; i < b->n_layers; i++) {
		struct layer *l = &b->layer[i];
		const bool wide = b->wide && i >= (b->n_layers + 2) / 3;
		char name[80];
#define NAME(what) (snprintf(name, sizeof name, "encoder.layer.%d." what, i), name)
		l->query = linear_params(m, C, C, NAME("attention.self.query"), wide);
		l->key = linear_params(m, C, C, NAME("attention.self.key"), wide);
		l->value = linear_params(m, C, C, NAME("attention.self.value"), wide);
		l->proj = linear_params(m, C, C, NAME("attention.output.dense"), wide);
		l->ln_1 = norm_params(m, NAME("attention.output.LayerNorm"));
		l->up = linear_params(m, C, c->n_inner, NAME("intermediate.dense"), wide);
		l->down = linear_params(m, c->n_inner, C, NAME("output.dense"), wide);
		l->ln_2 = norm_params(m, NAME("output.LayerNorm"));
#undef NAME
	}
}

/*
 * The head's bias is a parameter of its own beside the bias of the layer `decoder`. If the word embedding is the matrix, the two
 * are tied as well, and `bias` is the one that is stored; else both are, and only the decoder's is used.
 */
static void load_head(struct nn_model *m, const char *dense, const char *norm, const char *decoder, const char *bias)
{
	struct bert *b = m->net;
	int64_t C = b->C, V = m->config.vocab_size;

	if (!nn_has_param(m->params, "%s.weight", dense))
		die_input("%s: has no head of a masked language model: tensor %s.weight is missing", m->params->path, dense);
	th_tensor *matrix = b->word, *of_head = nn_param(m->params, 1, (int64_t[]){V}, "%s", bias);
	b->dense = linear_params(m, C, C, dense, false);
	b->dense_ln = norm_params(m, norm);
	char *weight = xasprintf("%s.weight", decoder), *decoder_bias = xasprintf("%s.bias", decoder);
	if (m->config.tie_word_embeddings) {
		nn_param_alias(m->params, weight, "embeddings.word_embeddings.weight");
		nn_param_alias(m->params, decoder_bias, bias);
	} else {
		matrix = nn_param(m->params, 2, (int64_t[]){V, C}, "%s", weight);
		of_head = nn_param(m->params, 1, (int64_t[]){V}, "%s", decoder_bias);
	}
	m->head = nn_compute(m, matrix);
	m->head_bias = nn_compute(m, of_head);
	free(weight);
	free(decoder_bias);
}

static void load_bert(struct nn_model *m)
{
	load_encoder(m);
	load_head(m, "cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder",
	          "cls.predictions.bias");
	struct bert *b = m->net;
	b->dense_act = b->act;
}

static void load_roberta(struct nn_model *m)
{
	load_encoder(m);
	load_head(m, "lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", "lm_head.bias");
	struct bert *b = m->net;
	b->dense_act = th_gelu; /* whatever the configuration says of the layers */
}

static void unload(struct nn_model *m)
{
	struct bert *b = m->net;

	free(b->layer);
	free(b);
}

static th_tensor *norm(const struct bert *b, const struct norm *n, th_tensor *x)
{
	return th_layer_norm(x, n->w, n->b, b->eps);
}

static th_tensor *linear(const struct linear *l, th_tensor *x)
{
	return l->bf16x3 ? th_linear_bf16x3(x, l->w, l->b) : th_linear(th_to_dtype(x, th_dtype_of(l->w)), l->w, l->b);
}

/* (B, T, C) -> (B, H, T, D) */
static th_tensor *heads(const struct bert *b, th_tensor *x)
{
	x = th_reshape(x, 4, (int64_t[]){th_size(x, 0), th_size(x, 1), b->H, b->C / b->H});
	return th_transpose(x, 1, 2);
}

static th_tensor *attention(const struct bert *b, int layer, th_tensor *x, th_tensor *length, const struct nn_dropout *d)
{
	const struct layer *l = &b->layer[layer];
	double scale = 1 / sqrt((double)(b->C / b->H));

	double p = d ? d->attn : 0;
	th_key key = nn_dropout_key(d, layer, ATTN);
	th_tensor *y; // (B, T, C)

	if (l->qkv.w) {
		y = th_attention_packed(linear(&l->qkv, x), (int)b->H, (int)b->H, false, length, scale, p, key);
	} else {
		x = th_to_dtype(x, th_dtype_of(l->query.w));
		y = th_attention(heads(b, linear(&l->query, x)), heads(b, linear(&l->key, x)), heads(b, linear(&l->value, x)), false,
		                 length, scale, p, key); // (B, H, T, D)
		y = th_reshape(th_transpose(y, 1, 2), 3, (int64_t[]){th_size(x, 0), th_size(x, 1), b->C});
	}
	return th_dropout(linear(&l->proj, y), d ? d->resid : 0, nn_dropout_key(d, layer, ATTN_PROJ)); // (B, T, C)
}

static th_tensor *mlp(const struct bert *b, int layer, th_tensor *x, const struct nn_dropout *d)
{
	const struct layer *l = &b->layer[layer];
	th_tensor *y = linear(&l->up, x); // (B, T, 4C)

	if (l->down.bf16x3 && b->act == th_gelu)
		y = th_gelu_linear_bf16x3(y, l->down.w, l->down.b); // (B, T, C)
	else
		y = linear(&l->down, b->act(y));
	return th_dropout(y, d ? d->resid : 0, nn_dropout_key(d, layer, MLP));
}

static th_tensor *layer(const struct nn_model *m, int i, th_tensor *x, th_tensor *length, const struct nn_dropout *d)
{
	const struct bert *b = m->net;

	th_scope_open();
	x = th_keep(norm(b, &b->layer[i].ln_1, th_add(x, attention(b, i, x, length, d))));
	th_scope_close();
	return norm(b, &b->layer[i].ln_2, th_add(x, mlp(b, i, x, d)));
}

static th_tensor *whole_layer(const struct nn_model *m, int i, th_tensor *x, const struct nn_dropout *d)
{
	return layer(m, i, x, NULL, d);
}

/*
 * RoBERTa's positions, if the padding token stands in the input: it is not counted. NULL: it stands nowhere, or does
 * not matter. To look costs to wait for a device that the ids lie on.
 */
static th_tensor *positions_by_padding(const struct nn_model *m, th_tensor *id)
{
	const struct bert *b = m->net;
	int64_t B = th_size(id, 0), T = th_size(id, 1), n = B * T;
	th_tensor *result = NULL;
	bool any = false;

	if (b->pad < 0 || !b->offset)
		return NULL;
	int64_t *position = xcalloc((size_t)n, sizeof *position);
	th_to_host(id, TH_I64, position);
	for (int64_t i = 0, at = 0; i < n; i++) {
		bool pad = position[i] == b->pad;
		if (i % T == 0)
			at = b->pad;
		any |= pad;
		position[i] = pad ? b->pad : ++at;
	}
	if (any)
		result = th_from_host(position, TH_I64, m->device, 2, (int64_t[]){B, T});
	free(position);
	return result;
}

static th_tensor *encode(const struct nn_model *m, th_tensor *id, th_tensor *length, const struct nn_dropout *d)
{
	const struct bert *b = m->net;
	th_tensor *x, *position;

	th_scope_open();
	position = positions_by_padding(m, id);
	id = th_to_device(id, m->device);
	if (position)
		position = th_to_dtype(th_embedding(b->position, position, b->pad), TH_F32); // (B, T, C)
	else
		position = th_to_dtype(th_narrow(b->position, 0, b->offset ? b->pad + 1 : 0, th_size(id, 1)), TH_F32); // (T, C)
	x = th_to_dtype(th_embedding(b->word, id, b->pad), TH_F32); // (B, T, C)
	x = th_add(x, th_to_dtype(th_narrow(b->type, 0, 0, 1), TH_F32));
	x = th_add(x, position);
	x = norm(b, &b->ln, b->wide ? x : th_to_dtype(x, m->compute));
	x = th_dropout(x, d ? d->embd : 0, nn_dropout_key(d, 0, EMBD));
	if (!length)
		x = nn_layers(m, whole_layer, x, d);
	for (int i = 0; length && i < b->n_layers; i++) {
		th_scope_open();
		x = th_keep(layer(m, i, x, length, d));
		th_scope_close();
	}
	th_keep(x);
	th_scope_close();
	return x;
}

static th_tensor *hidden(const struct nn_model *m, th_tensor *id, const struct nn_dropout *d)
{
	return encode(m, id, NULL, d);
}

static th_tensor *transform(const struct nn_model *m, th_tensor *h)
{
	const struct bert *b = m->net;

	return norm(b, &b->dense_ln, b->dense_act(linear(&b->dense, h)));
}

/* A buffer of old checkpoints; what stands over the first token. */
#define UNUSED "embeddings.position_ids", "embeddings.token_type_ids", "pooler.dense.*"

const struct nn_family nn_bert = {
	.masked = true,
	.bare = (const char *const[]){"cls.predictions.bias", "cls.predictions.transform.dense.weight",
	                              "cls.predictions.transform.dense.bias", "cls.predictions.transform.LayerNorm.weight",
	                              "cls.predictions.transform.LayerNorm.bias", "cls.predictions.decoder.weight",
	                              "cls.predictions.decoder.bias", NULL},
	.ignored = (const char *const[]){UNUSED, "cls.seq_relationship.*", NULL},
	.load = load_bert,
	.hidden = hidden,
	.transform = transform,
	.unload = unload,
};

const struct nn_family nn_roberta = {
	.masked = true,
	.bare = (const char *const[]){"lm_head.bias", "lm_head.dense.weight", "lm_head.dense.bias", "lm_head.layer_norm.weight",
	                              "lm_head.layer_norm.bias", "lm_head.decoder.weight", "lm_head.decoder.bias", NULL},
	.ignored = (const char *const[]){UNUSED, NULL},
	.load = load_roberta,
	.hidden = hidden,
	.transform = transform,
	.unload = unload,
};

/* Heads are not read. */
static const struct nn_family encoder = {
	.ignored = (const char *const[]){UNUSED, "cls.*", "classifier.*", "qa_outputs.*", NULL},
	.load = load_encoder,
	.hidden = hidden,
	.unload = unload,
};

static struct linear by_bf16x3(const struct linear *l)
{
	return (struct linear){th_bf16x3_weights(l->w), l->b, true};
}

/* x is brought into the form that AMX multiplies once for queries, keys and values together. */
static void multiply_by_bf16x3(struct bert *b)
{
	for (int i = 0; i < b->n_layers; i++) {
		struct layer *l = &b->layer[i];

		th_scope_open();
		struct linear qkv = {.w = th_cat((th_tensor *[]){l->query.w, l->key.w, l->value.w}, 3, 0),
		                     .b = th_keep(th_cat((th_tensor *[]){l->query.b, l->key.b, l->value.b}, 3, 0))};
		l->qkv = by_bf16x3(&qkv);
		th_keep(l->qkv.w);
		th_scope_close();
		l->proj = by_bf16x3(&l->proj);
		l->up = by_bf16x3(&l->up);
		l->down = by_bf16x3(&l->down);
	}
}

struct nn_model *bert_load(const char *dir, th_device device, th_dtype compute)
{
	const bool by_parts = compute == TH_BF16 && !device.cuda;
	struct model_config c;
	struct nn_model *m;

	model_config_read(&c, dir);
	if (c.family != MODEL_BERT)
		die_input("cannot compute this model: %s: architecture %s is not of the BERT family", dir, c.architecture);
	m = nn_model_load_by(&encoder, &c, dir, device, TH_F32, by_parts ? TH_F32 : compute, false);
	if (by_parts && th_has_bf16x3(device))
		multiply_by_bf16x3(m->net);
	return m;
}

th_tensor *bert_hidden(const struct nn_model *m, th_tensor *id, th_tensor *length)
{
	return encode(m, id, length, NULL);
}
