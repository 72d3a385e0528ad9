/* config.json: defaults, what is honoured, what is refused by name; the list of tensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>

#include "checked.h"
#include "death.h"
#include "model.h"

static struct model_config parse(const char *text)
{
	struct model_config c;
	struct json *doc = json_parse(text, strlen(text), "config.json");

	model_config_parse(&c, doc, "config.json");
	json_free(doc);
	return c;
}

#define REFUSES(text, words) DIES(EXIT_INPUT, words, parse(text))

static void defaults_are_the_references(void **state)
{
	struct model_config c = parse("{\"model_type\": \"gpt2\"}");

	(void)state;
	assert_int_equal(c.family, MODEL_GPT2);
	assert_string_equal(c.architecture, "GPT2LMHeadModel");
	assert_int_equal(c.n_layer, 12);
	assert_int_equal(c.n_head, 12);
	assert_int_equal(c.n_embd, 768);
	assert_int_equal(c.n_inner, 3072);
	assert_int_equal(c.n_positions, 1024);
	assert_int_equal(c.vocab_size, 50257);
	assert_true(c.layer_norm_epsilon == 1e-5);
	assert_int_equal(c.activation, MODEL_GELU_TANH);
	assert_true(c.resid_pdrop == 0.1 && c.embd_pdrop == 0.1 && c.attn_pdrop == 0.1);
	assert_true(c.tie_word_embeddings && c.scale_attn_weights && !c.scale_attn_by_inverse_layer_idx);
	assert_int_equal(c.bos_token_id, 50256);
	assert_int_equal(c.eos_token_id, 50256);
	assert_int_equal(c.pad_token_id, -1);

	c = parse("{\"model_type\": \"bert\", \"architectures\": null}");
	assert_int_equal(c.family, MODEL_BERT);
	assert_string_equal(c.architecture, "BertModel");
	assert_int_equal(c.n_inner, 3072);
	assert_int_equal(c.n_positions, 512);
	assert_int_equal(c.vocab_size, 30522);
	assert_int_equal(c.n_types, 2);
	assert_true(c.layer_norm_epsilon == 1e-12);
	assert_int_equal(c.activation, MODEL_GELU);
	assert_int_equal(c.pad_token_id, 0);

	c = parse("{\"model_type\": \"roberta\"}");
	assert_int_equal(c.family, MODEL_ROBERTA);
	assert_string_equal(c.architecture, "RobertaForMaskedLM");
	assert_int_equal(c.n_positions, 512);
	assert_int_equal(c.vocab_size, 50265);
	assert_int_equal(c.n_types, 2);
	assert_true(c.layer_norm_epsilon == 1e-12);
	assert_true(c.resid_pdrop == 0.1 && c.embd_pdrop == 0.1 && c.attn_pdrop == 0.1 && c.tie_word_embeddings);
	assert_int_equal(c.bos_token_id, 0);
	assert_int_equal(c.eos_token_id, 2);
	assert_int_equal(c.pad_token_id, 1);
}

static void fields_are_honoured(void **state)
{
	struct model_config c = parse("{\"model_type\": \"gpt2\", \"n_layer\": 3, \"n_head\": 4, \"n_embd\": 64, \"n_inner\": 100,"
	                              "\"n_positions\": 128, \"vocab_size\": 1000, \"layer_norm_epsilon\": 1e-6,"
	                              "\"activation_function\": \"relu\", \"resid_pdrop\": 0, \"embd_pdrop\": 0.25,"
	                              "\"attn_pdrop\": 0.5, \"initializer_range\": 0.1, \"tie_word_embeddings\": false,"
	                              "\"scale_attn_weights\": false, \"scale_attn_by_inverse_layer_idx\": true,"
	                              "\"bos_token_id\": 5, \"eos_token_id\": [1, 2], \"pad_token_id\": null,"
	                              "\"reorder_and_upcast_attn\": true, \"add_cross_attention\": false, \"pruned_heads\": {},"
	                              "\"architectures\": [\"GPT2LMHeadModel\"], \"transformers_version\": \"5\"}");

	(void)state;
	assert_int_equal(c.n_layer, 3);
	assert_int_equal(c.n_head, 4);
	assert_int_equal(c.n_embd, 64);
	assert_int_equal(c.n_inner, 100);
	assert_int_equal(c.n_positions, 128);
	assert_int_equal(c.vocab_size, 1000);
	assert_true(c.layer_norm_epsilon == 1e-6);
	assert_int_equal(c.activation, MODEL_RELU);
	assert_true(c.resid_pdrop == 0 && c.embd_pdrop == 0.25 && c.attn_pdrop == 0.5 && c.initializer_range == 0.1);
	assert_true(!c.tie_word_embeddings && !c.scale_attn_weights && c.scale_attn_by_inverse_layer_idx);
	assert_int_equal(c.bos_token_id, 5);
	assert_int_equal(c.eos_token_id, -1);
	assert_int_equal(c.pad_token_id, -1);
}

#define GPT2 "{\"model_type\": \"gpt2\", "

#define ROBERTA "{\"model_type\": \"roberta\", "

static void refuses_by_name(void **state)
{
	(void)state;
	REFUSES("{}", "model_type: missing");
	REFUSES("[]", "object expected");
	REFUSES("{\"model_type\": \"rwkv\"}", "model_type: rwkv: not supported");
	REFUSES("{\"model_type\": 2}", "model_type: string expected");
	REFUSES(GPT2 "\"rope_theta\": 10000}", "rope_theta: unknown field");
	REFUSES(GPT2 "\"hidden_size\": 10}", "hidden_size: unknown field");
	REFUSES(GPT2 "\"add_cross_attention\": true}", "add_cross_attention: not supported");
	REFUSES(GPT2 "\"quantization_config\": {\"bits\": 4}}", "quantization_config: not supported");
	REFUSES(GPT2 "\"pruned_heads\": {\"0\": [1]}}", "pruned_heads: not supported");
	REFUSES(GPT2 "\"activation_function\": \"quick_gelu\"}", "unknown activation quick_gelu");
	REFUSES(GPT2 "\"n_layer\": 0}", "n_layer: 0 is not in 1..4096");
	REFUSES(GPT2 "\"n_layer\": 1e2}", "n_layer: integer expected");
	REFUSES(GPT2 "\"n_embd\": -768}", "n_embd: -768 is not in");
	REFUSES(GPT2 "\"n_embd\": 9007199254740992}", "n_embd: 9007199254740992 is not in");
	REFUSES(GPT2 "\"vocab_size\": 2147483648}", "vocab_size");
	REFUSES(GPT2 "\"n_head\": 7}", "768 is no multiple of the number of heads 7");
	REFUSES(GPT2 "\"attn_pdrop\": 1}", "attn_pdrop: 1 is not in [0, 1)");
	REFUSES(GPT2 "\"resid_pdrop\": -0.1}", "resid_pdrop: -0.1 is not in");
	REFUSES(GPT2 "\"initializer_range\": -1}", "initializer_range");
	REFUSES(GPT2 "\"eos_token_id\": -7}", "eos_token_id: -7 is no token id");
	REFUSES(GPT2 "\"architectures\": \"x\"}", "architectures: array expected");
	REFUSES("{\"model_type\": \"bert\", \"position_embedding_type\": \"relative_key\"}", "relative_key: not supported");
	REFUSES("{\"model_type\": \"bert\", \"is_decoder\": true}", "is_decoder: not supported");
	REFUSES("{\"model_type\": \"bert\", \"n_embd\": 768}", "n_embd: unknown field");
	REFUSES("{\"model_type\": \"bert\", \"pad_token_id\": 30522}", "pad_token_id: 30522 is beyond the vocabulary of 30522");
	REFUSES(ROBERTA "\"position_embedding_type\": \"relative_key_query\"}",
	        "position_embedding_type: relative_key_query: not supported");
	REFUSES(ROBERTA "\"is_decoder\": true}", "is_decoder: not supported");
	REFUSES(ROBERTA "\"add_cross_attention\": true}", "add_cross_attention: not supported");
	REFUSES(ROBERTA "\"rotary\": 1}", "rotary: unknown field");
	REFUSES(ROBERTA "\"hidden_act\": \"mish\"}", "hidden_act: unknown activation mish");
	REFUSES(ROBERTA "\"num_attention_heads\": 7}", "768 is no multiple of the number of heads 7");
	REFUSES(ROBERTA "\"pad_token_id\": null}", "pad_token_id: none: not supported");
	REFUSES(ROBERTA "\"pad_token_id\": -1}", "pad_token_id: none: not supported");
	REFUSES(ROBERTA "\"max_position_embeddings\": 2}", "max_position_embeddings: 2 leave none behind pad_token_id 1");
}

static void find(const struct model_config *c, const char *name, struct model_tensor *t)
{
	int found = 0;
	struct model_tensor u;

	for (size_t i = 0; i < model_tensors(c); i++) {
		model_tensor(c, i, &u);
		if (strcmp(u.name, name) == 0) {
			*t = u;
			found++;
		}
	}
	assert_int_equal(found, 1);
}

/* All names and shapes are compared with the reference's in model-init.bats. */
static void tensors(void **state)
{
	struct model_config c = parse(GPT2 "\"n_layer\": 8, \"n_embd\": 24, \"n_head\": 2, \"vocab_size\": 50}");
	struct model_tensor t;

	(void)state;
	assert_int_equal(model_tensors(&c), 2 + 8 * 12 + 2);
	model_tensor(&c, 0, &t);
	assert_string_equal(t.name, "transformer.wte.weight");
	assert_string_equal(model_prefix(&c), "transformer.");
	find(&c, "transformer.h.7.mlp.c_proj.weight", &t);
	assert_int_equal(t.n_dims, 2);
	assert_int_equal(t.shape[0], 96);
	assert_int_equal(t.shape[1], 24);
	assert_int_equal(t.init, MODEL_NORMAL);
	assert_true(fabs(t.std - 0.02 / 4) < 1e-12);
	find(&c, "transformer.h.0.attn.c_attn.bias", &t);
	assert_int_equal(t.n_dims, 1);
	assert_int_equal(t.shape[0], 72);
	assert_int_equal(t.init, MODEL_ZEROS);
	find(&c, "transformer.ln_f.weight", &t);
	assert_int_equal(t.init, MODEL_ONES);

	c = parse(GPT2 "\"tie_word_embeddings\": false}");
	assert_int_equal(model_tensors(&c), 2 + 12 * 12 + 2 + 1);
	find(&c, "lm_head.weight", &t);
	assert_int_equal(t.shape[0], 50257);

	c = parse(GPT2 "\"architectures\": [\"GPT2Model\"], \"tie_word_embeddings\": false}");
	assert_int_equal(model_tensors(&c), 2 + 12 * 12 + 2);
	find(&c, "ln_f.bias", &t);
	assert_string_equal(model_prefix(&c), "transformer."); /* all the same */

	c = parse("{\"model_type\": \"bert\", \"pad_token_id\": 3}");
	assert_int_equal(model_tensors(&c), 5 + 12 * 16 + 2);
	find(&c, "embeddings.word_embeddings.weight", &t);
	assert_int_equal(t.zero_row, 3);
	find(&c, "encoder.layer.11.output.dense.weight", &t);
	assert_int_equal(t.shape[1], 3072);
	assert_int_equal(t.zero_row, -1);

	c = parse("{\"model_type\": \"bert\", \"architectures\": [\"BertForMaskedLM\"]}");
	assert_int_equal(model_tensors(&c), 5 + 12 * 16 + 5); /* a head, and no pooler */
	find(&c, "cls.predictions.transform.LayerNorm.weight", &t);
	assert_int_equal(t.init, MODEL_ONES);
	find(&c, "bert.embeddings.LayerNorm.bias", &t);
	c = parse(ROBERTA "\"tie_word_embeddings\": false}");
	assert_int_equal(model_tensors(&c), 5 + 12 * 16 + 7);
	find(&c, "roberta.embeddings.position_embeddings.weight", &t);
	assert_int_equal(t.zero_row, 1);
	find(&c, "lm_head.decoder.bias", &t);
	assert_int_equal(t.n_dims, 1);
	assert_int_equal(t.shape[0], 50265);
}

static void hash_is_what_sha256sum_says(void **state)
{
	char dir[] = "/tmp/palimpsest-model-XXXXXX";
	char *config, *weights;
	static const char expected[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; /* of abc */
	uint8_t digest[HASH_BYTES];
	char hex[HASH_HEX];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	config = path_join(dir, "config.json");
	weights = path_join(dir, "model.safetensors");
	DIES(EXIT_FAILED, "config.json: No such file", model_hash(dir, digest));
	f = fopen(config, "w");
	fputs("a", f);
	fclose(f);
	DIES(EXIT_FAILED, "model.safetensors: No such file", model_hash(dir, digest));
	f = fopen(weights, "w");
	fputs("bc", f);
	fclose(f);
	model_hash(dir, digest);
	hash_hex(digest, hex);
	assert_string_equal(hex, expected);
	unlink(config);
	unlink(weights);
	rmdir(dir);
	free(config);
	free(weights);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_the_references), cmocka_unit_test(fields_are_honoured),
		cmocka_unit_test(refuses_by_name),             cmocka_unit_test(tensors),
		cmocka_unit_test(hash_is_what_sha256sum_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
