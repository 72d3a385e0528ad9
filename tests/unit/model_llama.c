/*
 * config.json of the Llama family: published ones give the tensors that transformers has (tests/data/configs, made by
 * tests/gen-configs.py); what is honoured, and what is refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "checked.h"
#include "death.h"
#include "model.h"

#define DATA "tests/data/configs/"

static struct model_config parse(const char *text)
{
	struct model_config c;
	struct json *doc = json_parse(text, strlen(text), "config.json");

	model_config_parse(&c, doc, "config.json");
	json_free(doc);
	return c;
}

#define REFUSES(text, words) DIES(EXIT_INPUT, words, parse(text))
#define LLAMA "{\"model_type\": \"llama\", "
#define MISTRAL "{\"model_type\": \"mistral\", "
#define QWEN2 "{\"model_type\": \"qwen2\", "

static void has(const struct model_config *c, const char *model, const char *name, const int64_t shape[2])
{
	struct model_tensor t;

	for (size_t i = 0; i < model_tensors(c); i++) {
		model_tensor(c, i, &t);
		if (strcmp(t.name, name) == 0) {
			if (t.shape[0] != shape[0] || t.shape[1] != shape[1] || t.n_dims != (shape[1] ? 2 : 1))
				fail_msg("%s: %s is (%lld, %lld)", model, name, (long long)t.shape[0], (long long)t.shape[1]);
			return;
		}
	}
	fail_msg("%s: no %s", model, name);
}

static void published_tensors(void **state)
{
	FILE *f = fopen(DATA "tensors.tsv", "r");
	char line[512], model[64], last[64] = "", name[128], layers[16];
	struct model_config c;
	size_t left = 0;
	int models = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		int64_t shape[2] = {0, 0};
		long long a, b = 0;
		assert_true(sscanf(line, "%63s %127s %15s %lld %lld", model, name, layers, &a, &b) >= 4);
		shape[0] = a;
		shape[1] = b;
		if (strcmp(model, last) != 0) {
			assert_int_equal(left, 0); /* of the model before: no tensor more than transformers has */
			char *path = xasprintf(DATA "%s.json", model);
			model_config_read_file(&c, path);
			free(path);
			left = model_tensors(&c);
			strcpy(last, model);
			models++;
		}
		if (layers[0] == '-') {
			has(&c, model, name, shape);
			left--;
			continue;
		}
		assert_int_equal(atoi(layers), c.n_layer);
		char *where = strstr(name, "%d");
		assert_non_null(where);
		for (int64_t i = 0; i < c.n_layer; i++) {
			char *full = xasprintf("%.*s%lld%s", (int)(where - name), name, (long long)i, where + 2);
			has(&c, model, full, shape);
			free(full);
			left--;
		}
	}
	assert_int_equal(left, 0);
	assert_true(models >= 15);
	fclose(f);
}

static void defaults(void **state)
{
	struct model_config c = parse("{\"model_type\": \"llama\"}");

	(void)state;
	assert_int_equal(c.family, MODEL_LLAMA);
	assert_string_equal(c.architecture, "LlamaForCausalLM");
	assert_true(c.n_layer == 32 && c.n_head == 32 && c.n_kv_head == 32 && c.n_embd == 4096 && c.head_dim == 128);
	assert_true(c.n_inner == 11008 && c.n_positions == 2048 && c.vocab_size == 32000);
	assert_true(c.layer_norm_epsilon == 1e-6 && c.activation == MODEL_SILU && c.initializer_range == 0.02);
	assert_true(c.resid_pdrop == 0 && c.embd_pdrop == 0 && c.attn_pdrop == 0);
	assert_true(!c.tie_word_embeddings && !c.attention_bias && !c.attention_out_bias && !c.mlp_bias);
	assert_true(c.rope.type == ROPE_DEFAULT && c.rope.theta == 10000 && c.attention_window == 0);
	assert_true(c.bos_token_id == 1 && c.eos_token_id == 2 && c.pad_token_id == -1);

	c = parse("{\"model_type\": \"mistral\"}");
	assert_true(c.n_kv_head == 8 && c.n_inner == 14336 && c.n_positions == 131072 && c.attention_window == 4096);
	assert_true(!c.attention_bias && !c.tie_word_embeddings);

	c = parse("{\"model_type\": \"qwen2\"}");
	assert_true(c.n_kv_head == 32 && c.n_inner == 22016 && c.n_positions == 32768 && c.vocab_size == 151936);
	assert_true(c.attention_bias && !c.attention_out_bias && !c.mlp_bias && c.attention_window == 0);
	assert_true(c.bos_token_id == -1 && c.eos_token_id == -1);
}

static void fields_are_honoured(void **state)
{
	struct model_config c = parse(LLAMA "\"hidden_size\": 30, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,"
	                              "\"head_dim\": 10, \"hidden_act\": \"gelu\", \"attention_dropout\": 0.1, "
	                              "\"attention_bias\": true,"
	                              "\"mlp_bias\": true, \"rms_norm_eps\": 1e-3, \"tie_word_embeddings\": true,"
	                              "\"rope_theta\": 500, \"pretraining_tp\": 1, \"pad_token_id\": 5, \"initializer_range\": 0.1}");

	(void)state;
	assert_true(c.n_embd == 30 && c.n_head == 4 && c.n_kv_head == 2 && c.head_dim == 10);
	assert_true(c.activation == MODEL_GELU && c.attn_pdrop == 0.1 && c.layer_norm_epsilon == 1e-3);
	assert_true(c.attention_bias && c.attention_out_bias && c.mlp_bias && c.tie_word_embeddings);
	assert_true(c.rope.theta == 500 && c.pad_token_id == 5 && c.initializer_range == 0.1);
	assert_int_equal(parse(LLAMA "\"vocab_size\": 9, \"pad_token_id\": -1}").pad_token_id, 8);
	assert_int_equal(parse(LLAMA "\"pad_token_id\": null}").pad_token_id, -1);
	assert_int_equal(parse(LLAMA "\"num_key_value_heads\": null, \"head_dim\": null}").n_kv_head, 32);
	/* as transformers 4 and 5 write it; what is inside has the last word */
	c = parse(LLAMA "\"rope_theta\": 7, \"rope_parameters\": {\"rope_theta\": 8.0, \"rope_type\": \"default\"}}");
	assert_true(c.rope.theta == 8 && c.rope.type == ROPE_DEFAULT);
	c = parse(LLAMA "\"rope_theta\": 7, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}");
	assert_true(c.rope.theta == 7 && c.rope.type == ROPE_LINEAR && c.rope.factor == 2);
	c = parse(LLAMA "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
	                "\"high_freq_factor\": 4}}");
	assert_int_equal(c.rope.original_positions, 2048);
	/* windows of attention */
	assert_int_equal(parse(MISTRAL "\"sliding_window\": null}").attention_window, 0);
	assert_int_equal(parse(MISTRAL "\"sliding_window\": 17}").attention_window, 17);
	assert_int_equal(parse(QWEN2 "\"sliding_window\": 17}").attention_window, 0);
	assert_int_equal(parse(QWEN2 "\"sliding_window\": 17, \"use_sliding_window\": true}").attention_window, 17);
	assert_int_equal(parse(QWEN2 "\"sliding_window\": 17, \"use_sliding_window\": true, "
	                             "\"max_window_layers\": 32}").attention_window, 0);
	assert_int_equal(parse(QWEN2 "\"sliding_window\": null, \"use_sliding_window\": true}").attention_window, 0);
#define TWO QWEN2 "\"num_hidden_layers\": 2, \"sliding_window\": 17, \"use_sliding_window\": "
	assert_int_equal(parse(TWO "true, \"layer_types\": [\"full_attention\", \"sliding_attention\"]}").attention_window, 17);
	assert_int_equal(parse(TWO "true, \"max_window_layers\": 0, \"layer_types\": [\"full_attention\", \"full_attention\"]}")
	                     .attention_window, 0);
}

static void refuses_by_name(void **state)
{
	(void)state;
	REFUSES(LLAMA "\"vocab_size\": 9, \"pad_token_id\": 9}", "pad_token_id: 9 is beyond the vocabulary of 9");
	REFUSES(LLAMA "\"n_embd\": 30}", "n_embd: unknown field");
	REFUSES(LLAMA "\"sliding_window\": 4096}", "sliding_window: unknown field");
	REFUSES(LLAMA "\"qk_norm\": true}", "qk_norm: unknown field");
	REFUSES(MISTRAL "\"attention_bias\": true}", "attention_bias: unknown field");
	REFUSES(LLAMA "\"pretraining_tp\": 2}", "pretraining_tp: not supported");
	REFUSES(LLAMA "\"partial_rotary_factor\": 0.5}", "partial_rotary_factor: not supported");
	REFUSES(LLAMA "\"quantization_config\": {\"bits\": 4}}", "quantization_config: not supported");
	REFUSES(LLAMA "\"hidden_act\": \"swiglu\"}", "unknown activation swiglu");
	REFUSES(LLAMA "\"hidden_size\": 4100}", "4100 is no multiple of the number of heads 32");
	REFUSES(LLAMA "\"num_key_value_heads\": 5}", "32 is no multiple of num_key_value_heads 5");
	REFUSES(LLAMA "\"num_key_value_heads\": 0}", "num_key_value_heads: 0 is not in");
	REFUSES(LLAMA "\"head_dim\": 5}", "heads of 5 elements");
	REFUSES(LLAMA "\"rope_theta\": 0.5}", "rope_theta: 0.5 is not in");
	REFUSES(LLAMA "\"rope_theta\": -1}", "rope_theta: -1 is not in");
	REFUSES(LLAMA "\"attention_dropout\": 1}", "attention_dropout: 1 is not in");
#define SCALING(text) LLAMA "\"rope_scaling\": {" text "}}"
	REFUSES(LLAMA "\"rope_scaling\": 2}", "rope_scaling: object expected");
	REFUSES(SCALING("\"type\": \"longrope\", \"short_factor\": [1]"), "rope_scaling: rope_type: longrope: not supported");
	REFUSES(SCALING("\"type\": \"su\""), "rope_type: su: not supported");
	REFUSES(SCALING("\"rope_type\": \"yarn\", \"type\": \"linear\", \"factor\": 2"), "type: differs from rope_type");
	REFUSES(SCALING("\"rope_type\": \"linear\""), "rope_scaling: factor is missing");
	REFUSES(SCALING("\"rope_type\": \"linear\", \"factor\": null"), "rope_scaling: factor is missing");
	REFUSES(SCALING("\"rope_type\": \"linear\", \"factor\": 0"), "factor: 0 is not in");
	REFUSES(SCALING("\"rope_type\": \"linear\", \"factor\": 2, \"beta_fast\": 2"), "rope_scaling: beta_fast: unknown field");
	REFUSES(SCALING("\"rope_type\": \"dynamic\", \"factor\": 2, \"original_max_position_embeddings\": 9"),
	        "original_max_position_embeddings: unknown field");
	REFUSES(SCALING("\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1"), "high_freq_factor is missing");
	REFUSES(SCALING("\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4"),
	        "high_freq_factor: is low_freq_factor");
	REFUSES(SCALING("\"rope_type\": \"yarn\", \"factor\": 8, \"finetuned\": true"), "finetuned: unknown field");
	REFUSES(SCALING("\"rope_type\": \"yarn\", \"factor\": 8, \"original_max_position_embeddings\": 0"),
	        "original_max_position_embeddings: 0 is not in");
	REFUSES(SCALING("\"rope_type\": \"default\", \"partial_rotary_factor\": 0.25"), "partial_rotary_factor: not supported");
	REFUSES(LLAMA "\"rope_parameters\": {\"full_attention\": {}}}", "rope_parameters: full_attention: unknown field");
	REFUSES(MISTRAL "\"sliding_window\": 0}", "sliding_window: 0 is not in");
	REFUSES(QWEN2 "\"use_mrope\": true}", "use_mrope: not supported");
	REFUSES(TWO "true, \"layer_types\": [\"full_attention\"]}", "one name for each of 2 layers");
	REFUSES(TWO "true, \"layer_types\": [\"full_attention\", \"chunked_attention\"]}",
	        "layer_types: chunked_attention: not supported");
	REFUSES(TWO "false, \"layer_types\": [\"full_attention\", \"sliding_attention\"]}",
	        "layer_types: sliding_attention: not supported");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_tensors),
		cmocka_unit_test(defaults),
		cmocka_unit_test(fields_are_honoured),
		cmocka_unit_test(refuses_by_name),
	};

	return cmocka_run_group_tests_name("model_llama", tests, NULL, NULL);
}
