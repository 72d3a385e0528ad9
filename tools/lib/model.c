#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"

#define MAX_CONFIG (1 << 20) /* bytes */

/* Fields that say nothing about what a forward pass computes, or only about other heads, or how text is generated. */
static const char *const harmless[] = {
	"_attn_implementation", "_attn_implementation_autoset", "_attn_implementation_internal", "_commit_hash",
	"_name_or_path", "_num_labels", "architectures", "auto_map", "bad_words_ids", "begin_suppress_tokens",
	"chunk_size_feed_forward", "classifier_dropout", "cross_attention_hidden_size", "decoder_start_token_id",
	"diversity_penalty", "do_sample", "dtype", "early_stopping", "encoder_no_repeat_ngram_size",
	"exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id",
	"gradient_checkpointing", "id2label", "is_composition", "label2id", "length_penalty", "max_length", "min_length",
	"model_type", "n_ctx", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_labels",
	"num_return_sequences", "output_attentions", "output_hidden_states", "output_past", "output_scores",
	"predict_special_tokens", "prefix", "problem_type", "remove_invalid_values", "reorder_and_upcast_attn",
	"repetition_penalty", "return_dict", "return_dict_in_generate", "sep_token_id",
	"summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
	"suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss", "tokenizer_class", "top_k", "top_p",
	"torch_dtype", "torchscript", "transformers_version", "typical_p", "use_bfloat16", "use_cache",
};

/* Fields that are harmless as long as they are off. */
static const char *const must_be_off[] = {
	"add_cross_attention", "is_decoder", "is_encoder_decoder", "pruned_heads", "quantization_config",
	"tie_encoder_decoder",
};

static const char *const gpt2_fields[] = {
	"activation_function", "attn_pdrop", "bos_token_id", "embd_pdrop", "eos_token_id", "initializer_range",
	"layer_norm_epsilon", "n_embd", "n_head", "n_inner", "n_layer", "n_positions", "pad_token_id", "resid_pdrop",
	"scale_attn_by_inverse_layer_idx", "scale_attn_weights", "tie_word_embeddings", "vocab_size", NULL,
};

static const char *const bert_fields[] = {
	"attention_probs_dropout_prob", "bos_token_id", "eos_token_id", "hidden_act", "hidden_dropout_prob",
	"hidden_size", "initializer_range", "intermediate_size", "layer_norm_eps", "max_position_embeddings",
	"num_attention_heads", "num_hidden_layers", "pad_token_id", "position_embedding_type", "tie_word_embeddings",
	"type_vocab_size", "vocab_size", NULL,
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool is_one_of(const char *key, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n && list[i]; i++)
		if (strcmp(key, list[i]) == 0)
			return true;
	return false;
}

/* null, false, 0, {} and [] */
static bool is_off(const json_value *v, const struct json *doc, const char *key)
{
	if (json_is_bool(v))
		return !json_bool(doc, v, key);
	if (json_is_number(v))
		return json_real(doc, v, key) == 0;
	return json_is_null(v) || ((json_is_object(v) || json_is_array(v)) && !json_first(v));
}

static void check_fields(const struct json *doc, const char *path, const char *const *family)
{
	for (const json_value *v = json_first(json_root(doc)); v; v = json_next(v)) {
		const char *key = json_key(v);

		if (is_one_of(key, must_be_off, COUNT(must_be_off))) {
			if (!is_off(v, doc, key))
				die_input("cannot compute this model: %s: %s: not supported", path, key);
		} else if (!is_one_of(key, family, SIZE_MAX) && !is_one_of(key, harmless, COUNT(harmless))) {
			die_input("cannot compute this model: %s: %s: unknown field", path, key);
		}
	}
}

static int64_t size(const struct json *doc, const char *path, const char *key, int64_t otherwise, int64_t most)
{
	int64_t x = json_get_int(doc, json_root(doc), key, otherwise);

	if (x < 1 || x > most)
		die_input("malformed input: %s: %s: %lld is not in 1..%lld", path, key, (long long)x, (long long)most);
	return x;
}

/* In [0, below). */
static double real(const struct json *doc, const char *path, const char *key, double otherwise, double below)
{
	double x = json_get_real(doc, json_root(doc), key, otherwise);

	if (!(x >= 0 && x < below))
		die_input("malformed input: %s: %s: %g is not in [0, %g)", path, key, x, below);
	return x;
}

/* An id, a list of ids, or none. Only one id is of use here. */
static int64_t token(const struct json *doc, const char *path, const char *key, int64_t otherwise)
{
	const json_value *v = json_get(json_root(doc), key);
	int64_t x;

	if (!v)
		return otherwise;
	if (json_is_null(v) || json_is_array(v))
		return -1;
	x = json_int(doc, v, key);
	if (x < -1 || x > UINT32_MAX)
		die_input("malformed input: %s: %s: %lld is no token id", path, key, (long long)x);
	return x;
}

static enum model_activation activation(const struct json *doc, const char *path, const char *key, const char *otherwise)
{
	static const struct {
		const char *name;
		enum model_activation activation;
	} known[] = {
		{"gelu", MODEL_GELU},          {"gelu_python", MODEL_GELU},
		{"gelu_new", MODEL_GELU_TANH}, {"gelu_pytorch_tanh", MODEL_GELU_TANH},
		{"gelu_fast", MODEL_GELU_TANH}, {"relu", MODEL_RELU},
		{"silu", MODEL_SILU},          {"swish", MODEL_SILU},
		{"tanh", MODEL_TANH},
	};
	const char *name = json_get_string(doc, json_root(doc), key, otherwise);

	for (size_t i = 0; i < COUNT(known); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].activation;
	die_input("cannot compute this model: %s: %s: unknown activation %s", path, key, name);
}

static void parse_gpt2(struct model_config *c, const struct json *doc, const char *path)
{
	const json_value *root = json_root(doc);

	check_fields(doc, path, gpt2_fields);
	c->n_layer = size(doc, path, "n_layer", 12, 1 << 12);
	c->n_head = size(doc, path, "n_head", 12, 1 << 12);
	c->n_embd = size(doc, path, "n_embd", 768, 1 << 20);
	c->n_inner = size(doc, path, "n_inner", 4 * c->n_embd, 1 << 24);
	c->n_positions = size(doc, path, "n_positions", 1024, 1 << 24);
	c->vocab_size = size(doc, path, "vocab_size", 50257, INT32_MAX);
	c->layer_norm_epsilon = real(doc, path, "layer_norm_epsilon", 1e-5, 1);
	c->activation = activation(doc, path, "activation_function", "gelu_new");
	c->resid_pdrop = real(doc, path, "resid_pdrop", 0.1, 1);
	c->embd_pdrop = real(doc, path, "embd_pdrop", 0.1, 1);
	c->attn_pdrop = real(doc, path, "attn_pdrop", 0.1, 1);
	c->initializer_range = real(doc, path, "initializer_range", 0.02, 1000);
	c->scale_attn_weights = json_get_bool(doc, root, "scale_attn_weights", true);
	c->scale_attn_by_inverse_layer_idx = json_get_bool(doc, root, "scale_attn_by_inverse_layer_idx", false);
	/* Another order of the same operations, in f32: the same model. */
	json_get_bool(doc, root, "reorder_and_upcast_attn", false);
	c->bos_token_id = token(doc, path, "bos_token_id", 50256);
	c->eos_token_id = token(doc, path, "eos_token_id", 50256);
	c->pad_token_id = token(doc, path, "pad_token_id", -1);
}

static void parse_bert(struct model_config *c, const struct json *doc, const char *path)
{
	const char *position = json_get_string(doc, json_root(doc), "position_embedding_type", "absolute");

	check_fields(doc, path, bert_fields);
	c->n_layer = size(doc, path, "num_hidden_layers", 12, 1 << 12);
	c->n_head = size(doc, path, "num_attention_heads", 12, 1 << 12);
	c->n_embd = size(doc, path, "hidden_size", 768, 1 << 20);
	c->n_inner = size(doc, path, "intermediate_size", 3072, 1 << 24);
	c->n_positions = size(doc, path, "max_position_embeddings", 512, 1 << 24);
	c->vocab_size = size(doc, path, "vocab_size", 30522, INT32_MAX);
	c->n_types = size(doc, path, "type_vocab_size", 2, 1 << 16);
	c->layer_norm_epsilon = real(doc, path, "layer_norm_eps", 1e-12, 1);
	c->activation = activation(doc, path, "hidden_act", "gelu");
	c->resid_pdrop = c->embd_pdrop = real(doc, path, "hidden_dropout_prob", 0.1, 1);
	c->attn_pdrop = real(doc, path, "attention_probs_dropout_prob", 0.1, 1);
	c->initializer_range = real(doc, path, "initializer_range", 0.02, 1000);
	c->scale_attn_weights = true;
	c->bos_token_id = token(doc, path, "bos_token_id", -1);
	c->eos_token_id = token(doc, path, "eos_token_id", -1);
	c->pad_token_id = token(doc, path, "pad_token_id", 0);
	if (strcmp(position, "absolute") != 0)
		die_input("cannot compute this model: %s: position_embedding_type: %s: not supported", path, position);
}

void model_config_parse(struct model_config *c, const struct json *doc, const char *path)
{
	const json_value *root = json_root(doc), *list;
	const char *type, *usual;

	if (!json_is_object(root))
		die_input("malformed input: %s: object expected", path);
	*c = (struct model_config){.tie_word_embeddings = json_get_bool(doc, root, "tie_word_embeddings", true)};
	type = json_string(doc, json_get(root, "model_type"), "model_type");
	if (strcmp(type, "gpt2") == 0) {
		c->family = MODEL_GPT2;
		usual = "GPT2LMHeadModel";
		parse_gpt2(c, doc, path);
	} else if (strcmp(type, "bert") == 0) {
		c->family = MODEL_BERT;
		usual = "BertModel";
		parse_bert(c, doc, path);
	} else {
		die_input("cannot compute this model: %s: model_type: %s: not supported", path, type);
	}
	if (c->n_embd % c->n_head != 0)
		die_input("malformed input: %s: width %lld is no multiple of the number of heads %lld", path,
		          (long long)c->n_embd, (long long)c->n_head);
	list = json_get(root, "architectures");
	if (list && !json_is_null(list)) {
		if (!json_is_array(list))
			die_input("malformed input: %s: architectures: array expected", path);
		if (json_first(list))
			usual = json_string(doc, json_first(list), "architectures");
	}
	snprintf(c->architecture, sizeof c->architecture, "%s", usual);
}

void model_config_read_file(struct model_config *c, const char *path)
{
	struct json *doc = json_read(path, MAX_CONFIG);

	model_config_parse(c, doc, path);
	json_free(doc);
}

void model_config_read(struct model_config *c, const char *dir)
{
	char *path = path_join(dir, "config.json");

	model_config_read_file(c, path);
	free(path);
}

/* --- tensors --- */

/* A size in a table: one of the configuration's, times a small number for matrices that lie side by side. */
enum size_of { NONE, VOCAB, POSITIONS, TYPES, EMBD, EMBD3, INNER };

/* NORMAL_RESIDUAL: divided by the square root of the number of residual paths (GPT-2, section 2.3). */
enum kind { ZEROS, ONES, NORMAL, NORMAL_RESIDUAL, NORMAL_PADDED };

struct row {
	const char *name; /* %d: the layer */
	enum size_of rows, columns;
	enum kind kind;
};

/* c_attn and the other Conv1D weights of GPT-2 are (in, out). */
static const struct row gpt2_bottom[] = {
	{"wte.weight", VOCAB, EMBD, NORMAL},
	{"wpe.weight", POSITIONS, EMBD, NORMAL},
};
static const struct row gpt2_layer[] = {
	{"h.%d.ln_1.weight", EMBD, NONE, ONES},
	{"h.%d.ln_1.bias", EMBD, NONE, ZEROS},
	{"h.%d.attn.c_attn.weight", EMBD, EMBD3, NORMAL},
	{"h.%d.attn.c_attn.bias", EMBD3, NONE, ZEROS},
	{"h.%d.attn.c_proj.weight", EMBD, EMBD, NORMAL_RESIDUAL},
	{"h.%d.attn.c_proj.bias", EMBD, NONE, ZEROS},
	{"h.%d.ln_2.weight", EMBD, NONE, ONES},
	{"h.%d.ln_2.bias", EMBD, NONE, ZEROS},
	{"h.%d.mlp.c_fc.weight", EMBD, INNER, NORMAL},
	{"h.%d.mlp.c_fc.bias", INNER, NONE, ZEROS},
	{"h.%d.mlp.c_proj.weight", INNER, EMBD, NORMAL_RESIDUAL},
	{"h.%d.mlp.c_proj.bias", EMBD, NONE, ZEROS},
};
static const struct row gpt2_top[] = {
	{"ln_f.weight", EMBD, NONE, ONES},
	{"ln_f.bias", EMBD, NONE, ZEROS},
};
static const struct row gpt2_head = {"lm_head.weight", VOCAB, EMBD, NORMAL};

static const struct row bert_bottom[] = {
	{"embeddings.word_embeddings.weight", VOCAB, EMBD, NORMAL_PADDED},
	{"embeddings.position_embeddings.weight", POSITIONS, EMBD, NORMAL},
	{"embeddings.token_type_embeddings.weight", TYPES, EMBD, NORMAL},
	{"embeddings.LayerNorm.weight", EMBD, NONE, ONES},
	{"embeddings.LayerNorm.bias", EMBD, NONE, ZEROS},
};
static const struct row bert_layer[] = {
	{"encoder.layer.%d.attention.self.query.weight", EMBD, EMBD, NORMAL},
	{"encoder.layer.%d.attention.self.query.bias", EMBD, NONE, ZEROS},
	{"encoder.layer.%d.attention.self.key.weight", EMBD, EMBD, NORMAL},
	{"encoder.layer.%d.attention.self.key.bias", EMBD, NONE, ZEROS},
	{"encoder.layer.%d.attention.self.value.weight", EMBD, EMBD, NORMAL},
	{"encoder.layer.%d.attention.self.value.bias", EMBD, NONE, ZEROS},
	{"encoder.layer.%d.attention.output.dense.weight", EMBD, EMBD, NORMAL},
	{"encoder.layer.%d.attention.output.dense.bias", EMBD, NONE, ZEROS},
	{"encoder.layer.%d.attention.output.LayerNorm.weight", EMBD, NONE, ONES},
	{"encoder.layer.%d.attention.output.LayerNorm.bias", EMBD, NONE, ZEROS},
	{"encoder.layer.%d.intermediate.dense.weight", INNER, EMBD, NORMAL},
	{"encoder.layer.%d.intermediate.dense.bias", INNER, NONE, ZEROS},
	{"encoder.layer.%d.output.dense.weight", EMBD, INNER, NORMAL},
	{"encoder.layer.%d.output.dense.bias", EMBD, NONE, ZEROS},
	{"encoder.layer.%d.output.LayerNorm.weight", EMBD, NONE, ONES},
	{"encoder.layer.%d.output.LayerNorm.bias", EMBD, NONE, ZEROS},
};
static const struct row bert_top[] = {
	{"pooler.dense.weight", EMBD, EMBD, NORMAL},
	{"pooler.dense.bias", EMBD, NONE, ZEROS},
};

static const struct {
	const char *prefix; /* in an architecture with a head */
	const char *headless;
	const struct row *bottom, *layer, *top;
	size_t n_bottom, n_layer, n_top;
} tables[] = {
	[MODEL_GPT2] = {"transformer.", "GPT2Model", gpt2_bottom, gpt2_layer, gpt2_top, COUNT(gpt2_bottom),
	                COUNT(gpt2_layer), COUNT(gpt2_top)},
	[MODEL_BERT] = {"bert.", "BertModel", bert_bottom, bert_layer, bert_top, COUNT(bert_bottom), COUNT(bert_layer),
	                COUNT(bert_top)},
};

static bool has_head(const struct model_config *c)
{
	return strcmp(c->architecture, tables[c->family].headless) != 0;
}

size_t model_tensors(const struct model_config *c)
{
	return tables[c->family].n_bottom + (size_t)c->n_layer * tables[c->family].n_layer + tables[c->family].n_top +
	       (c->family == MODEL_GPT2 && has_head(c) && !c->tie_word_embeddings);
}

static int64_t size_of(const struct model_config *c, enum size_of s)
{
	switch (s) {
	case VOCAB:
		return c->vocab_size;
	case POSITIONS:
		return c->n_positions;
	case TYPES:
		return c->n_types;
	case EMBD:
		return c->n_embd;
	case EMBD3:
		return 3 * c->n_embd;
	case INNER:
		return c->n_inner;
	case NONE:
		break;
	}
	return 0;
}

void model_tensor(const struct model_config *c, size_t i, struct model_tensor *t)
{
	size_t layers = (size_t)c->n_layer * tables[c->family].n_layer, layer = 0;
	const char *prefix = has_head(c) ? tables[c->family].prefix : "";
	const struct row *row;
	char name[sizeof t->name - 16];

	if (i < tables[c->family].n_bottom) {
		row = &tables[c->family].bottom[i];
	} else if (i -= tables[c->family].n_bottom, i < layers) {
		layer = i / tables[c->family].n_layer;
		row = &tables[c->family].layer[i % tables[c->family].n_layer];
	} else if (i -= layers, i < tables[c->family].n_top) {
		row = &tables[c->family].top[i];
	} else {
		row = &gpt2_head;
		prefix = "";
	}
	*t = (struct model_tensor){.prefix = strlen(prefix), .n_dims = row->columns == NONE ? 1 : 2, .zero_row = -1};
	t->shape[0] = size_of(c, row->rows);
	t->shape[1] = size_of(c, row->columns);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(name, sizeof name, row->name, (int)layer);
#pragma GCC diagnostic pop
	snprintf(t->name, sizeof t->name, "%s%s", prefix, name);
	t->init = row->kind == ZEROS ? MODEL_ZEROS : row->kind == ONES ? MODEL_ONES : MODEL_NORMAL;
	t->std = c->initializer_range;
	if (row->kind == NORMAL_RESIDUAL)
		t->std /= sqrt(2 * (double)c->n_layer);
	if (row->kind == NORMAL_PADDED)
		t->zero_row = c->pad_token_id;
}

void model_hash(const char *dir, uint8_t out[HASH_BYTES])
{
	static const char *const files[] = {"config.json", "model.safetensors"};
	struct hash h;

	hash_start(&h);
	for (size_t i = 0; i < COUNT(files); i++) {
		char *path = path_join(dir, files[i]);

		hash_add_file(&h, path);
		free(path);
	}
	hash_end(&h, out);
}
