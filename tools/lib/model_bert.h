/* For model_bert.c and model_roberta.c alone: what the two have in common. */
#ifndef PALIMPSEST_MODEL_BERT_H
#define PALIMPSEST_MODEL_BERT_H

#include "model_kind.h"

struct bert_defaults {
	int64_t vocab_size, bos_token_id, eos_token_id, pad_token_id;
};

extern const char *const model_bert_fields[];
void model_bert_parse(struct model_config *c, const struct json *doc, const char *path, const struct bert_defaults *d);

static const struct model_row bert_layer[] = {
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
static const struct model_row bert_pooler[] = {
	{"pooler.dense.weight", SIZE_EMBD, SIZE_EMBD, NORMAL, model_is_headless},
	{"pooler.dense.bias", SIZE_EMBD, SIZE_NONE, ZEROS, model_is_headless},
};

#endif
