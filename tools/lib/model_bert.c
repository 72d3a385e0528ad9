/* BERT: transformers' BertConfig, BertModel and BertForMaskedLM. */
#include "model_bert.h"

#include <stdint.h>
#include <string.h>

#include "die.h"

const char *const model_bert_fields[] = {
	"attention_probs_dropout_prob", "bos_token_id", "eos_token_id", "hidden_act", "hidden_dropout_prob",
	"hidden_size", "initializer_range", "intermediate_size", "layer_norm_eps", "max_position_embeddings",
	"num_attention_heads", "num_hidden_layers", "pad_token_id", "position_embedding_type", "tie_word_embeddings",
	"type_vocab_size", "vocab_size",
	/* what the first checkpoints say of a pooler that no model of transformers has */
	"directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head",
	"pooler_type", NULL,
};

void model_bert_parse(struct model_config *c, const struct json *doc, const char *path, const struct bert_defaults *d)
{
	const char *position = json_get_string(doc, json_root(doc), "position_embedding_type", "absolute");

	c->n_layer = model_size(doc, path, "num_hidden_layers", 12, 1 << 12);
	c->n_head = model_size(doc, path, "num_attention_heads", 12, 1 << 12);
	c->n_embd = model_size(doc, path, "hidden_size", 768, 1 << 20);
	c->n_inner = model_size(doc, path, "intermediate_size", 3072, 1 << 24);
	c->n_positions = model_size(doc, path, "max_position_embeddings", 512, 1 << 24);
	c->vocab_size = model_size(doc, path, "vocab_size", d->vocab_size, INT32_MAX);
	c->n_types = model_size(doc, path, "type_vocab_size", 2, 1 << 16);
	c->layer_norm_epsilon = model_real(doc, path, "layer_norm_eps", 1e-12, 1);
	c->activation = model_activation_of(doc, path, "hidden_act", "gelu");
	c->resid_pdrop = c->embd_pdrop = model_real(doc, path, "hidden_dropout_prob", 0.1, 1);
	c->attn_pdrop = model_real(doc, path, "attention_probs_dropout_prob", 0.1, 1);
	c->initializer_range = model_real(doc, path, "initializer_range", 0.02, 1000);
	c->scale_attn_weights = true;
	c->bos_token_id = model_token(doc, path, "bos_token_id", d->bos_token_id);
	c->eos_token_id = model_token(doc, path, "eos_token_id", d->eos_token_id);
	c->pad_token_id = model_padding(doc, path, d->pad_token_id, c->vocab_size);
	if (strcmp(position, "absolute") != 0)
		die_input("cannot compute this model: %s: position_embedding_type: %s: not supported", path, position);
}

static void parse(struct model_config *c, const struct json *doc, const char *path)
{
	model_bert_parse(c, doc, path, &(struct bert_defaults){30522, -1, -1, 0});
}

static const struct model_row bottom[] = {
	{"embeddings.word_embeddings.weight", SIZE_VOCAB, SIZE_EMBD, NORMAL_PADDED},
	{"embeddings.position_embeddings.weight", SIZE_POSITIONS, SIZE_EMBD, NORMAL},
	{"embeddings.token_type_embeddings.weight", SIZE_TYPES, SIZE_EMBD, NORMAL},
	{"embeddings.LayerNorm.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"embeddings.LayerNorm.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
};
/* The bias, as BertLMPredictionHead has it, is a parameter beside the matrix's own; tied to it if the matrix is tied, else unused. */
static const struct model_row head[] = {
	{"cls.predictions.bias", SIZE_VOCAB, SIZE_NONE, ZEROS},
	{"cls.predictions.transform.dense.weight", SIZE_EMBD, SIZE_EMBD, NORMAL},
	{"cls.predictions.transform.dense.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"cls.predictions.transform.LayerNorm.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"cls.predictions.transform.LayerNorm.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"cls.predictions.decoder.weight", SIZE_VOCAB, SIZE_EMBD, NORMAL, model_is_untied},
	{"cls.predictions.decoder.bias", SIZE_VOCAB, SIZE_NONE, ZEROS, model_is_untied},
};

const struct model_kind model_bert = {
	"bert", "BertModel", "BertModel", "bert.", model_bert_fields, parse,
	MODEL_TABLE(bottom), MODEL_TABLE(bert_layer), MODEL_TABLE(bert_pooler), MODEL_TABLE(head),
};
