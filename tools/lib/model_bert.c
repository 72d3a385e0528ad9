/* BERT: transformers' BertConfig and BertModel. */
#include "model_kind.h"

#include <stdint.h>
#include <string.h>

#include "die.h"

static const char *const fields[] = {
	"attention_probs_dropout_prob", "bos_token_id", "eos_token_id", "hidden_act", "hidden_dropout_prob",
	"hidden_size", "initializer_range", "intermediate_size", "layer_norm_eps", "max_position_embeddings",
	"num_attention_heads", "num_hidden_layers", "pad_token_id", "position_embedding_type", "tie_word_embeddings",
	"type_vocab_size", "vocab_size", NULL,
};

static void parse(struct model_config *c, const struct json *doc, const char *path)
{
	const char *position = json_get_string(doc, json_root(doc), "position_embedding_type", "absolute");

	c->n_layer = model_size(doc, path, "num_hidden_layers", 12, 1 << 12);
	c->n_head = model_size(doc, path, "num_attention_heads", 12, 1 << 12);
	c->n_embd = model_size(doc, path, "hidden_size", 768, 1 << 20);
	c->n_inner = model_size(doc, path, "intermediate_size", 3072, 1 << 24);
	c->n_positions = model_size(doc, path, "max_position_embeddings", 512, 1 << 24);
	c->vocab_size = model_size(doc, path, "vocab_size", 30522, INT32_MAX);
	c->n_types = model_size(doc, path, "type_vocab_size", 2, 1 << 16);
	c->layer_norm_epsilon = model_real(doc, path, "layer_norm_eps", 1e-12, 1);
	c->activation = model_activation_of(doc, path, "hidden_act", "gelu");
	c->resid_pdrop = c->embd_pdrop = model_real(doc, path, "hidden_dropout_prob", 0.1, 1);
	c->attn_pdrop = model_real(doc, path, "attention_probs_dropout_prob", 0.1, 1);
	c->initializer_range = model_real(doc, path, "initializer_range", 0.02, 1000);
	c->scale_attn_weights = true;
	c->bos_token_id = model_token(doc, path, "bos_token_id", -1);
	c->eos_token_id = model_token(doc, path, "eos_token_id", -1);
	c->pad_token_id = model_token(doc, path, "pad_token_id", 0);
	if (strcmp(position, "absolute") != 0)
		die_input("cannot compute this model: %s: position_embedding_type: %s: not supported", path, position);
}

static const struct model_row bottom[] = {
	{"embeddings.word_embeddings.weight", SIZE_VOCAB, SIZE_EMBD, NORMAL_PADDED},
	{"embeddings.position_embeddings.weight", SIZE_POSITIONS, SIZE_EMBD, NORMAL},
	{"embeddings.token_type_embeddings.weight", SIZE_TYPES, SIZE_EMBD, NORMAL},
	{"embeddings.LayerNorm.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"embeddings.LayerNorm.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
};
static const struct model_row layer[] = {
	{"encoder.layer.%d.attention.self.query.weight", SIZE_EMBD, SIZE_EMBD, NORMAL},
	{"encoder.layer.%d.attention.self.query.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"encoder.layer.%d.attention.self.key.weight", SIZE_EMBD, SIZE_EMBD, NORMAL},
	{"encoder.layer.%d.attention.self.key.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"encoder.layer.%d.attention.self.value.weight", SIZE_EMBD, SIZE_EMBD, NORMAL},
	{"encoder.layer.%d.attention.self.value.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"encoder.layer.%d.attention.output.dense.weight", SIZE_EMBD, SIZE_EMBD, NORMAL},
	{"encoder.layer.%d.attention.output.dense.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"encoder.layer.%d.attention.output.LayerNorm.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"encoder.layer.%d.attention.output.LayerNorm.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"encoder.layer.%d.intermediate.dense.weight", SIZE_INNER, SIZE_EMBD, NORMAL},
	{"encoder.layer.%d.intermediate.dense.bias", SIZE_INNER, SIZE_NONE, ZEROS},
	{"encoder.layer.%d.output.dense.weight", SIZE_EMBD, SIZE_INNER, NORMAL},
	{"encoder.layer.%d.output.dense.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"encoder.layer.%d.output.LayerNorm.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"encoder.layer.%d.output.LayerNorm.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
};
static const struct model_row top[] = {
	{"pooler.dense.weight", SIZE_EMBD, SIZE_EMBD, NORMAL},
	{"pooler.dense.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
};

const struct model_kind model_bert = {
	"bert", "BertModel", "BertModel", "bert.", fields, parse,
	MODEL_TABLE(bottom), MODEL_TABLE(layer), MODEL_TABLE(top), {NULL, 0},
};
