/* RoBERTa (Liu et al., 1907.11692): transformers' RobertaConfig, RobertaModel and RobertaForMaskedLM. */
#include "model_bert.h"

#include "die.h"

static void parse(struct model_config *c, const struct json *doc, const char *path)
{
	model_bert_parse(c, doc, path, &(struct bert_defaults){50265, 0, 2, 1});
	/* positions are counted from behind the padding's */
	if (model_token(doc, path, "pad_token_id", 1) < 0)
		die_input("cannot compute this model: %s: pad_token_id: none: not supported", path);
	if (c->n_positions < c->pad_token_id + 2)
		die_input("malformed input: %s: max_position_embeddings: %lld leave none behind pad_token_id %lld", path,
		          (long long)c->n_positions, (long long)c->pad_token_id);
}

static const struct model_row bottom[] = {
	{"embeddings.word_embeddings.weight", SIZE_VOCAB, SIZE_EMBD, NORMAL_PADDED},
	{"embeddings.position_embeddings.weight", SIZE_POSITIONS, SIZE_EMBD, NORMAL_PADDED},
	{"embeddings.token_type_embeddings.weight", SIZE_TYPES, SIZE_EMBD, NORMAL},
	{"embeddings.LayerNorm.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"embeddings.LayerNorm.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
};
/* As BERT's. */
static const struct model_row head[] = {
	{"lm_head.bias", SIZE_VOCAB, SIZE_NONE, ZEROS},
	{"lm_head.dense.weight", SIZE_EMBD, SIZE_EMBD, NORMAL},
	{"lm_head.dense.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"lm_head.layer_norm.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"lm_head.layer_norm.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"lm_head.decoder.weight", SIZE_VOCAB, SIZE_EMBD, NORMAL, model_is_untied},
	{"lm_head.decoder.bias", SIZE_VOCAB, SIZE_NONE, ZEROS, model_is_untied},
};

const struct model_kind model_roberta = {
	"roberta", "RobertaForMaskedLM", "RobertaModel", "roberta.", model_bert_fields, parse,
	MODEL_TABLE(bottom), MODEL_TABLE(bert_layer), MODEL_TABLE(bert_pooler), MODEL_TABLE(head),
};
