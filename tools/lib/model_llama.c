/*
 * The Llama family: transformers' LlamaConfig, MistralConfig and Qwen2Config, and their ForCausalLM. They differ in
 * defaults, in where biases are, and in what a window of attention is called.
 */
#include "model_kind.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "die.h"

#define FIELDS                                                                                                     \
	"attention_dropout", "bos_token_id", "eos_token_id", "head_dim", "hidden_act", "hidden_size",                  \
		"initializer_range", "intermediate_size", "max_position_embeddings", "num_attention_heads",                \
		"num_hidden_layers", "num_key_value_heads", "pad_token_id", "partial_rotary_factor", "rms_norm_eps",       \
		"rope_parameters", "rope_scaling", "rope_theta", "tie_word_embeddings", "vocab_size"

static const char *const llama_fields[] = {FIELDS, "attention_bias", "max_sequence_length", "mlp_bias", "pretraining_tp", NULL};
static const char *const mistral_fields[] = {FIELDS, "sliding_window", NULL};
static const char *const qwen2_fields[] = {FIELDS,           "layer_types",        "max_window_layers",
                                           "sliding_window", "use_sliding_window", NULL};

/* ---- rotary positions ---- */

static const struct rope_kind {
	const char *name;
	enum model_rope_type type;
	const char *fields[8]; /* besides those of every kind; the first `needed` must be there */
	int needed;
} rope_kinds[] = {
	{"default", ROPE_DEFAULT, {NULL}, 0},
	{"linear", ROPE_LINEAR, {"factor"}, 1},
	{"dynamic", ROPE_DYNAMIC, {"factor"}, 1},
	{"llama3", ROPE_LLAMA3, {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}, 3},
	{"yarn", ROPE_YARN,
	 {"factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
	  "truncate"}, 0},
};
#define ROPE_KINDS (sizeof rope_kinds / sizeof *rope_kinds)

/* What stands in rope_scaling or rope_parameters, called `object`, or nowhere (NULL). */
struct rope_source {
	const struct json *doc;
	const json_value *object;
	const char *path, *name;
};

static _Noreturn void refuse(const struct rope_source *s, const char *key, const char *why)
{
	die_input("cannot compute this model: %s: %s: %s: %s", s->path, s->name, key, why);
}

/* In [1e-6, 1e9], or as it is said otherwise. */
static double rope_real(const struct rope_source *s, const char *key, double otherwise)
{
	double x = json_get_real(s->doc, s->object, key, otherwise);

	if (!(x >= 1e-6 && x <= 1e9) && x != otherwise)
		die_input("malformed input: %s: %s: %s: %g is not in [1e-6, 1e9]", s->path, s->name, key, x);
	return x;
}

static const struct rope_kind *rope_kind_of(const struct rope_source *s)
{
	const char *type = json_get_string(s->doc, s->object, "type", NULL);
	const char *name = json_get_string(s->doc, s->object, "rope_type", type ? type : "default");
	const struct rope_kind *kind = NULL;

	if (type && strcmp(type, name) != 0)
		refuse(s, "type", "differs from rope_type");
	for (size_t i = 0; i < ROPE_KINDS; i++)
		if (strcmp(name, rope_kinds[i].name) == 0)
			kind = &rope_kinds[i];
	if (!kind)
		die_input("cannot compute this model: %s: %s: rope_type: %s: not supported", s->path, s->name, name);
	return kind;
}

static void check_rope_fields(const struct rope_source *s, const struct rope_kind *kind)
{
	static const char *const always[] = {"type", "rope_type", "rope_theta", "partial_rotary_factor"};

	for (const json_value *v = json_first(s->object); v; v = json_next(v)) {
		bool known = false;
		for (size_t i = 0; i < sizeof always / sizeof *always; i++)
			known |= strcmp(json_key(v), always[i]) == 0;
		for (size_t i = 0; i < sizeof kind->fields / sizeof *kind->fields && kind->fields[i]; i++)
			known |= strcmp(json_key(v), kind->fields[i]) == 0;
		if (!known)
			refuse(s, json_key(v), "unknown field");
	}
	for (int i = 0; i < kind->needed; i++) {
		const json_value *v = json_get(s->object, kind->fields[i]);
		if (!v || json_is_null(v))
			die_input("malformed input: %s: %s: %s is missing", s->path, s->name, kind->fields[i]);
	}
}

/* 0.1 m ln(scale) + 1: what the longer context does to the temperature of attention (YaRN, 2309.00071, equation 22) */
static double yarn_mscale(double scale, double m)
{
	return scale <= 1 ? 1 : 0.1 * m * log(scale) + 1;
}

static void parse_yarn(struct model_rope *r, const struct rope_source *s, int64_t n_positions)
{
	double mscale = rope_real(s, "mscale", 0), all = rope_real(s, "mscale_all_dim", 0);

	r->factor = rope_real(s, "factor", (double)n_positions / (double)r->original_positions);
	r->beta_fast = rope_real(s, "beta_fast", 32);
	r->beta_slow = rope_real(s, "beta_slow", 1);
	r->truncate = json_get_bool(s->doc, s->object, "truncate", true);
	r->attention_factor = mscale > 0 && all > 0 ? yarn_mscale(r->factor, mscale) / yarn_mscale(r->factor, all)
	                                            : yarn_mscale(r->factor, 1);
	r->attention_factor = rope_real(s, "attention_factor", r->attention_factor);
}

/* As transformers reads it: rope_scaling (4) before rope_parameters (5), each with rope_theta or beside it. */
static void parse_rope(struct model_config *c, const struct json *doc, const char *path)
{
	const json_value *root = json_root(doc);
	struct rope_source s = {.doc = doc, .path = path, .name = "rope_scaling", .object = json_get(root, "rope_scaling")};
	struct model_rope *r = &c->rope;
	double theta = model_real(doc, path, "rope_theta", 10000, 1e12);

	if (!s.object || json_is_null(s.object) || (json_is_object(s.object) && !json_first(s.object))) {
		s.name = "rope_parameters";
		s.object = json_get(root, s.name);
		if (s.object && json_is_null(s.object))
			s.object = NULL;
	}
	if (s.object && !json_is_object(s.object))
		die_input("malformed input: %s: %s: object expected", path, s.name);
	if (json_get_real(doc, root, "partial_rotary_factor", 1) != 1)
		die_input("cannot compute this model: %s: partial_rotary_factor: not supported", path);
	*r = (struct model_rope){.type = ROPE_DEFAULT, .theta = theta, .factor = 1, .attention_factor = 1};
	if (s.object) {
		const struct rope_kind *kind = rope_kind_of(&s);

		check_rope_fields(&s, kind);
		if (json_get_real(doc, s.object, "partial_rotary_factor", 1) != 1)
			refuse(&s, "partial_rotary_factor", "not supported");
		r->type = kind->type;
		r->theta = json_get_real(doc, s.object, "rope_theta", theta);
		r->original_positions = json_get_int(doc, s.object, "original_max_position_embeddings", c->n_positions);
		if (r->original_positions < 1 || r->original_positions > 1 << 24)
			die_input("malformed input: %s: %s: original_max_position_embeddings: %lld is not in 1..%d", path, s.name,
			          (long long)r->original_positions, 1 << 24);
		if (kind->type == ROPE_YARN)
			parse_yarn(r, &s, c->n_positions);
		else
			r->factor = rope_real(&s, "factor", 1);
		if (kind->type == ROPE_LLAMA3) {
			r->low_freq_factor = rope_real(&s, "low_freq_factor", 1);
			r->high_freq_factor = rope_real(&s, "high_freq_factor", 4);
			if (r->low_freq_factor == r->high_freq_factor)
				refuse(&s, "high_freq_factor", "is low_freq_factor");
		}
	}
	if (!(r->theta > 1 && r->theta < 1e12))
		die_input("malformed input: %s: rope_theta: %g is not in (1, 1e12)", path, r->theta);
}

/* ---- fields that all three have ---- */

struct defaults {
	int64_t n_embd, n_inner, n_kv_head, n_positions, vocab_size; /* n_kv_head 0: as many as heads */
	int64_t bos, eos;
};

static void parse(struct model_config *c, const struct json *doc, const char *path, const struct defaults *d)
{
	const json_value *root = json_root(doc), *given;

	c->n_layer = model_size(doc, path, "num_hidden_layers", 32, 1 << 12);
	c->n_head = model_size(doc, path, "num_attention_heads", 32, 1 << 12);
	given = json_get(root, "num_key_value_heads");
	c->n_kv_head = given && json_is_null(given) ? c->n_head
	             : model_size(doc, path, "num_key_value_heads", d->n_kv_head ? d->n_kv_head : c->n_head, 1 << 12);
	c->n_embd = model_size(doc, path, "hidden_size", d->n_embd, 1 << 20);
	c->n_inner = model_size(doc, path, "intermediate_size", d->n_inner, 1 << 24);
	given = json_get(root, "head_dim");
	if (given && !json_is_null(given))
		c->head_dim = model_size(doc, path, "head_dim", 1, 1 << 12);
	else if (c->n_embd % c->n_head == 0)
		c->head_dim = c->n_embd / c->n_head;
	c->n_positions = model_size(doc, path, "max_position_embeddings", d->n_positions, 1 << 24);
	c->vocab_size = model_size(doc, path, "vocab_size", d->vocab_size, INT32_MAX);
	c->layer_norm_epsilon = model_real(doc, path, "rms_norm_eps", 1e-6, 1);
	c->activation = model_activation_of(doc, path, "hidden_act", "silu");
	c->attn_pdrop = model_real(doc, path, "attention_dropout", 0, 1);
	c->initializer_range = model_real(doc, path, "initializer_range", 0.02, 1000);
	c->scale_attn_weights = true;
	c->tie_word_embeddings = json_get_bool(doc, root, "tie_word_embeddings", false);
	c->bos_token_id = model_token(doc, path, "bos_token_id", d->bos);
	c->eos_token_id = model_token(doc, path, "eos_token_id", d->eos);
	c->pad_token_id = model_padding(doc, path, -1, c->vocab_size);
	parse_rope(c, doc, path);
	if (c->n_head % c->n_kv_head != 0)
		die_input("malformed input: %s: number of heads %lld is no multiple of num_key_value_heads %lld", path,
		          (long long)c->n_head, (long long)c->n_kv_head);
	if (c->head_dim % 2 != 0)
		die_input("malformed input: %s: heads of %lld elements: rotary positions need an even number", path,
		          (long long)c->head_dim);
}

/* Absent: otherwise; null: none (0). */
static int64_t window_of(const struct json *doc, const char *path, int64_t otherwise)
{
	const json_value *v = json_get(json_root(doc), "sliding_window");

	return v && json_is_null(v) ? 0 : model_size(doc, path, "sliding_window", otherwise, INT32_MAX);
}

static void parse_llama(struct model_config *c, const struct json *doc, const char *path)
{
	static const struct defaults d = {4096, 11008, 0, 2048, 32000, 1, 2};
	const json_value *root = json_root(doc);

	parse(c, doc, path, &d);
	c->attention_bias = c->attention_out_bias = json_get_bool(doc, root, "attention_bias", false);
	c->mlp_bias = json_get_bool(doc, root, "mlp_bias", false);
	if (json_get_int(doc, root, "pretraining_tp", 1) != 1)
		die_input("cannot compute this model: %s: pretraining_tp: not supported", path);
}

static void parse_mistral(struct model_config *c, const struct json *doc, const char *path)
{
	static const struct defaults d = {4096, 14336, 8, 131072, 32000, 1, 2};

	parse(c, doc, path, &d);
	c->attention_window = window_of(doc, path, 4096);
}

/* Which layers have the window is a list of names in newer files, and a number in older ones. */
static void parse_qwen2(struct model_config *c, const struct json *doc, const char *path)
{
	static const struct defaults d = {4096, 22016, 32, 32768, 151936, -1, -1};
	const json_value *root = json_root(doc), *types = json_get(root, "layer_types");
	int64_t window = json_get_bool(doc, root, "use_sliding_window", false) ? window_of(doc, path, 4096) : 0;
	bool any = json_get_int(doc, root, "max_window_layers", 28) < model_size(doc, path, "num_hidden_layers", 32, 1 << 12);

	parse(c, doc, path, &d);
	c->attention_bias = true;
	if (types && !json_is_null(types)) {
		if (!json_is_array(types) || (int64_t)json_count(types) != c->n_layer)
			die_input("malformed input: %s: layer_types: one name for each of %lld layers expected", path,
			          (long long)c->n_layer);
		any = false;
		for (const json_value *v = json_first(types); v; v = json_next(v)) {
			const char *type = json_string(doc, v, "layer_types");
			bool sliding = strcmp(type, "sliding_attention") == 0;
			if ((sliding && !window) || (!sliding && strcmp(type, "full_attention") != 0))
				die_input("cannot compute this model: %s: layer_types: %s: not supported", path, type);
			any |= sliding;
		}
	}
	c->attention_window = any ? window : 0;
}

/* ---- tensors ---- */

static bool biased(const struct model_config *c)
{
	return c->attention_bias;
}

static bool out_biased(const struct model_config *c)
{
	return c->attention_out_bias;
}

static bool mlp_biased(const struct model_config *c)
{
	return c->mlp_bias;
}

static bool untied(const struct model_config *c)
{
	return !c->tie_word_embeddings;
}

static const struct model_row bottom[] = {
	{"embed_tokens.weight", SIZE_VOCAB, SIZE_EMBD, NORMAL_PADDED},
};
static const struct model_row layer[] = {
	{"layers.%d.input_layernorm.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"layers.%d.self_attn.q_proj.weight", SIZE_HEADS, SIZE_EMBD, NORMAL},
	{"layers.%d.self_attn.q_proj.bias", SIZE_HEADS, SIZE_NONE, ZEROS, biased},
	{"layers.%d.self_attn.k_proj.weight", SIZE_KV_HEADS, SIZE_EMBD, NORMAL},
	{"layers.%d.self_attn.k_proj.bias", SIZE_KV_HEADS, SIZE_NONE, ZEROS, biased},
	{"layers.%d.self_attn.v_proj.weight", SIZE_KV_HEADS, SIZE_EMBD, NORMAL},
	{"layers.%d.self_attn.v_proj.bias", SIZE_KV_HEADS, SIZE_NONE, ZEROS, biased},
	{"layers.%d.self_attn.o_proj.weight", SIZE_EMBD, SIZE_HEADS, NORMAL},
	{"layers.%d.self_attn.o_proj.bias", SIZE_EMBD, SIZE_NONE, ZEROS, out_biased},
	{"layers.%d.post_attention_layernorm.weight", SIZE_EMBD, SIZE_NONE, ONES},
	{"layers.%d.mlp.gate_proj.weight", SIZE_INNER, SIZE_EMBD, NORMAL},
	{"layers.%d.mlp.gate_proj.bias", SIZE_INNER, SIZE_NONE, ZEROS, mlp_biased},
	{"layers.%d.mlp.up_proj.weight", SIZE_INNER, SIZE_EMBD, NORMAL},
	{"layers.%d.mlp.up_proj.bias", SIZE_INNER, SIZE_NONE, ZEROS, mlp_biased},
	{"layers.%d.mlp.down_proj.weight", SIZE_EMBD, SIZE_INNER, NORMAL},
	{"layers.%d.mlp.down_proj.bias", SIZE_EMBD, SIZE_NONE, ZEROS, mlp_biased},
};
static const struct model_row top[] = {
	{"norm.weight", SIZE_EMBD, SIZE_NONE, ONES},
};
static const struct model_row head[] = {
	{"lm_head.weight", SIZE_VOCAB, SIZE_EMBD, NORMAL, untied},
};

#define TABLES MODEL_TABLE(bottom), MODEL_TABLE(layer), MODEL_TABLE(top), MODEL_TABLE(head)

const struct model_kind model_llama = {
	"llama", "LlamaForCausalLM", "LlamaModel", "model.", llama_fields, parse_llama, TABLES,
};
const struct model_kind model_mistral = {
	"mistral", "MistralForCausalLM", "MistralModel", "model.", mistral_fields, parse_mistral, TABLES,
};
const struct model_kind model_qwen2 = {
	"qwen2", "Qwen2ForCausalLM", "Qwen2Model", "model.", qwen2_fields, parse_qwen2, TABLES,
};
