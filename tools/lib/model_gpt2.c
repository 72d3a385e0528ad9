/* GPT-2: transformers' GPT2Config and GPT2LMHeadModel. */
#include "model_kind.h"

#include <stdint.h>

static const char *const fields[] = {
	"activation_function", "attn_pdrop", "bos_token_id", "embd_pdrop", "eos_token_id", "initializer_range",
	"layer_norm_epsilon", "n_embd", "n_head", "n_inner", "n_layer", "n_positions", "pad_token_id", "resid_pdrop",
	"scale_attn_by_inverse_layer_idx", "scale_attn_weights", "tie_word_embeddings", "vocab_size", NULL,
};

static void parse(struct model_config *c, const struct json *doc, const char *path)
{
	const json_value *root = json_root(doc);

	c->n_layer = model_size(doc, path, "n_layer", 12, 1 << 12);
	c->n_head = model_size(doc, path, "n_head", 12, 1 << 12);
	c->n_embd = model_size(doc, path, "n_embd", 768, 1 << 20);
	c->n_inner = model_size(doc, path, "n_inner", 4 * c->n_embd, 1 << 24);
	c->n_positions = model_size(doc, path, "n_positions", 1024, 1 << 24);
	c->vocab_size = model_size(doc, path, "vocab_size", 50257, INT32_MAX);
	c->layer_norm_epsilon = model_real(doc, path, "layer_norm_epsilon", 1e-5, 1);
	c->activation = model_activation_of(doc, path, "activation_function", "gelu_new");
	c->resid_pdrop = model_real(doc, path, "resid_pdrop", 0.1, 1);
	c->embd_pdrop = model_real(doc, path, "embd_pdrop", 0.1, 1);
	c->attn_pdrop = model_real(doc, path, "attn_pdrop", 0.1, 1);
	c->initializer_range = model_real(doc, path, "initializer_range", 0.02, 1000);
	c->scale_attn_weights = json_get_bool(doc, root, "scale_attn_weights", true);
	c->scale_attn_by_inverse_layer_idx = json_get_bool(doc, root, "scale_attn_by_inverse_layer_idx", false);
	/* Another order of the same operations, in f32: the same model. */
	json_get_bool(doc, root, "reorder_and_upcast_attn", false);
	c->bos_token_id = model_token(doc, path, "bos_token_id", 50256);
	c->eos_token_id = model_token(doc, path, "eos_token_id", 50256);
	c->pad_token_id = model_token(doc, path, "pad_token_id", -1);
}

/* c_attn and the other Conv1D weights of GPT-2 are (in, out). */
static const struct model_row bottom[] = {
	{"wte.weight", SIZE_VOCAB, SIZE_EMBD, NORMAL},
	{"wpe.weight", SIZE_POSITIONS, SIZE_EMBD, NORMAL},
};
static const struct model_row layer[] = {
	{"h.%d.ln_1.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"h.%d.ln_1.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"h.%d.attn.c_attn.weight", SIZE_EMBD, SIZE_EMBD3, NORMAL},
	{"h.%d.attn.c_attn.bias", SIZE_EMBD3, SIZE_NONE, ZEROS},
	{"h.%d.attn.c_proj.weight", SIZE_EMBD, SIZE_EMBD, NORMAL_RESIDUAL},
	{"h.%d.attn.c_proj.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"h.%d.ln_2.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"h.%d.ln_2.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
	{"h.%d.mlp.c_fc.weight", SIZE_EMBD, SIZE_INNER, NORMAL},
	{"h.%d.mlp.c_fc.bias", SIZE_INNER, SIZE_NONE, ZEROS},
	{"h.%d.mlp.c_proj.weight", SIZE_INNER, SIZE_EMBD, NORMAL_RESIDUAL},
	{"h.%d.mlp.c_proj.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
};
static const struct model_row top[] = {
	{"ln_f.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"ln_f.bias", SIZE_EMBD, SIZE_NONE, ZEROS},
};

static const struct model_row head[] = {
	{"lm_head.weight", SIZE_VOCAB, SIZE_EMBD, NORMAL, model_is_untied},
};

const struct model_kind model_gpt2 = {
	"gpt2", "GPT2LMHeadModel", "GPT2Model", "transformer.", fields, parse,
	MODEL_TABLE(bottom), MODEL_TABLE(layer), MODEL_TABLE(top), MODEL_TABLE(head),
};
