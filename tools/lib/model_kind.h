/*
 * For tools/lib/model*.c alone: what a family of models says of itself. A new one is a file model_NAME.c, a line in
 * enum model_family and one in the table of model.c.
 */
#ifndef PALIMPSEST_MODEL_KIND_H
#define PALIMPSEST_MODEL_KIND_H

#include "model.h"

/* A size in a table of tensors: one of the configuration's, three matrices side by side, or all heads side by side. */
enum model_size {
	SIZE_NONE,
	SIZE_VOCAB,
	SIZE_POSITIONS,
	SIZE_TYPES,
	SIZE_EMBD,
	SIZE_EMBD3,
	SIZE_INNER,
	SIZE_HEADS,   /* n_head head_dim */
	SIZE_KV_HEADS /* n_kv_head head_dim */
};

/* NORMAL_RESIDUAL: divided by the square root of the number of residual paths (GPT-2, section 2.3). */
enum model_fill { ZEROS, ONES, NORMAL, NORMAL_RESIDUAL, NORMAL_PADDED };

struct model_row {
	const char *name; /* %d: the layer */
	enum model_size rows, columns;
	enum model_fill fill;
	bool (*when)(const struct model_config *c); /* NULL: always there */
};

struct model_table {
	const struct model_row *row;
	size_t n;
};

#define MODEL_TABLE(rows) {rows, sizeof(rows) / sizeof *(rows)}

struct model_kind {
	const char *type;           /* model_type */
	const char *architecture;   /* if the configuration names none */
	const char *headless;       /* the architecture without a head, whose names lack the prefix */
	const char *prefix;         /* of all names but the head's */
	const char *const *fields;  /* those that parse() looks at; NULL ends */
	void (*parse)(struct model_config *c, const struct json *doc, const char *path);
	struct model_table bottom, layer, top; /* with the prefix; layer: once for each */
	struct model_table head;               /* without, and not in the headless one */
};

extern const struct model_kind model_gpt2, model_bert, model_roberta, model_llama, model_mistral, model_qwen2;

/* For rows that are not always there: has the model no head; has it one with a matrix other than the word embedding? */
bool model_is_headless(const struct model_config *c);
bool model_is_untied(const struct model_config *c);

/* Each reads one field; absent: otherwise. Out of its bounds: exit 3, naming the field. */
int64_t model_size(const struct json *doc, const char *path, const char *key, int64_t otherwise, int64_t most);
double model_real(const struct json *doc, const char *path, const char *key, double otherwise, double below); /* [0, below) */
int64_t model_token(const struct json *doc, const char *path, const char *key, int64_t otherwise);
/* pad_token_id: -1 is the vocabulary's last, as torch.nn.Embedding takes it. */
int64_t model_padding(const struct json *doc, const char *path, int64_t otherwise, int64_t vocab_size);
enum model_activation model_activation_of(const struct json *doc, const char *path, const char *key,
                                          const char *otherwise);

/* A field that is neither one of known nor harmless for every family: exit 3, naming it. */
void model_check_fields(const struct json *doc, const char *path, const char *const *known);

#endif
