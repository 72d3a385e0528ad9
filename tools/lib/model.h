/*
 * What a model directory's config.json says, and which tensors a model of that shape has.
 * Families: GPT-2 (gpt2), BERT (bert), RoBERTa (roberta) and Llama (llama, mistral, qwen2), as transformers defines them.
 *
 * Every field is honoured, known to change nothing here, or refused by name (exit 3): a model
 * is never computed otherwise than its configuration says.
 */
#ifndef PALIMPSEST_MODEL_H
#define PALIMPSEST_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"
#include "json.h"

enum model_family { MODEL_GPT2, MODEL_BERT, MODEL_ROBERTA, MODEL_LLAMA, MODEL_MISTRAL, MODEL_QWEN2 };

enum model_activation {
	MODEL_GELU,      /* x Phi(x) */
	MODEL_GELU_TANH, /* its approximation by tanh: gelu_new, gelu_pytorch_tanh, gelu_fast */
	MODEL_RELU,
	MODEL_SILU,
	MODEL_TANH
};

/* How rotary positions are made fit for longer texts: transformers' rope_type. Frequencies: rope.h. */
enum model_rope_type { ROPE_NONE, ROPE_DEFAULT, ROPE_LINEAR, ROPE_DYNAMIC, ROPE_LLAMA3, ROPE_YARN };

struct model_rope {
	enum model_rope_type type; /* ROPE_NONE: the family has learned positions */
	double theta, factor;
	double attention_factor; /* of cos and sin */
	int64_t original_positions;
	double low_freq_factor, high_freq_factor; /* llama3 */
	double beta_fast, beta_slow;              /* yarn */
	bool truncate;
};

/* One set of names for all families: GPT-2's. All numbers have been bounded, so products of any two fit int64_t. */
struct model_config {
	enum model_family family;
	char architecture[64]; /* first of "architectures", or the family's usual one */
	int64_t n_layer, n_head, n_embd;
	int64_t n_kv_head, head_dim; /* n_kv_head divides n_head; head_dim is n_embd / n_head in most models */
	int64_t n_inner;       /* width of the feed-forward layer */
	int64_t n_positions, vocab_size;
	int64_t n_types;       /* BERT, RoBERTa: token types; else 0 */
	struct model_rope rope;
	int64_t attention_window; /* tokens that a token may look back at, with itself; 0: all */
	double layer_norm_epsilon; /* or of the RMS norm */
	enum model_activation activation;
	double resid_pdrop, embd_pdrop, attn_pdrop; /* [0, 1). BERT, RoBERTa: hidden_dropout_prob is the first two */
	double initializer_range; /* standard deviation of new weights */
	bool attention_bias, attention_out_bias, mlp_bias; /* Llama: biases of q, k and v; of what follows them; of the MLP */
	bool tie_word_embeddings; /* the head is the word embedding, and is not stored */
	bool scale_attn_weights;  /* divide attention scores by sqrt(head_dim) */
	bool scale_attn_by_inverse_layer_idx; /* and by layer + 1 */
	int64_t bos_token_id, eos_token_id, pad_token_id; /* -1: none, or several */
};

/* DIR/config.json; missing: exit 1, malformed or with something that we do not compute: exit 3. */
void model_config_read(struct model_config *c, const char *dir);
/* The same from a file of any name, and from a document already parsed (path: for messages). */
void model_config_read_file(struct model_config *c, const char *path);
void model_config_parse(struct model_config *c, const struct json *doc, const char *path);

enum model_init { MODEL_ZEROS, MODEL_ONES, MODEL_NORMAL };

struct model_tensor {
	char name[96];     /* in full, as transformers stores it for this architecture */
	int n_dims;
	int64_t shape[2];
	enum model_init init;
	double std;        /* MODEL_NORMAL: mean 0 and this deviation */
	int64_t zero_row;  /* row that is zero all the same (padding), or -1 */
};

/* What stands before the names of a model with a head, such as "transformer.", whether this one has one or not. */
const char *model_prefix(const struct model_config *c);
/* All tensors that are stored, from the embeddings up. i < model_tensors(c). */
size_t model_tensors(const struct model_config *c);
void model_tensor(const struct model_config *c, size_t i, struct model_tensor *t);

/*
 * A model's hash: SHA-256 of config.json followed by model.safetensors or, if that is not there, by the files that
 * model.safetensors.index.json names, in the order of their names in bytes:
 * cat DIR/config.json DIR/model-*.safetensors | sha256sum
 */
void model_hash(const char *dir, uint8_t out[HASH_BYTES]);

#endif
