#include "model_kind.h"

#include <string.h>

#include "die.h"

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
	"tie_encoder_decoder", "use_mrope",
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

void model_check_fields(const struct json *doc, const char *path, const char *const *known)
{
	for (const json_value *v = json_first(json_root(doc)); v; v = json_next(v)) {
		const char *key = json_key(v);

		if (is_one_of(key, must_be_off, COUNT(must_be_off))) {
			if (!is_off(v, doc, key))
				die_input("cannot compute this model: %s: %s: not supported", path, key);
		} else if (!is_one_of(key, known, SIZE_MAX) && !is_one_of(key, harmless, COUNT(harmless))) {
			die_input("cannot compute this model: %s: %s: unknown field", path, key);
		}
	}
}

int64_t model_size(const struct json *doc, const char *path, const char *key, int64_t otherwise, int64_t most)
{
	int64_t x = json_get_int(doc, json_root(doc), key, otherwise);

	if (x < 1 || x > most)
		die_input("malformed input: %s: %s: %lld is not in 1..%lld", path, key, (long long)x, (long long)most);
	return x;
}

/* In [0, below). */
double model_real(const struct json *doc, const char *path, const char *key, double otherwise, double below)
{
	double x = json_get_real(doc, json_root(doc), key, otherwise);

	if (!(x >= 0 && x < below))
		die_input("malformed input: %s: %s: %g is not in [0, %g)", path, key, x, below);
	return x;
}

/* An id, a list of ids, or none. Only one id is of use here. */
int64_t model_token(const struct json *doc, const char *path, const char *key, int64_t otherwise)
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

int64_t model_padding(const struct json *doc, const char *path, int64_t otherwise, int64_t vocab_size)
{
	const json_value *v = json_get(json_root(doc), "pad_token_id");
	int64_t x = model_token(doc, path, "pad_token_id", otherwise);

	if (x >= vocab_size)
		die_input("malformed input: %s: pad_token_id: %lld is beyond the vocabulary of %lld", path, (long long)x,
		          (long long)vocab_size);
	return x < 0 && v && json_is_number(v) ? vocab_size - 1 : x;
}

enum model_activation model_activation_of(const struct json *doc, const char *path, const char *key, const char *otherwise)
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
