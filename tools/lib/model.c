#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "model_kind.h"
#include "weights.h"

#define MAX_CONFIG (1 << 20) /* bytes */
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct model_kind *const kinds[] = {
	[MODEL_GPT2] = &model_gpt2,
	[MODEL_BERT] = &model_bert,
	[MODEL_ROBERTA] = &model_roberta,
	[MODEL_LLAMA] = &model_llama,
	[MODEL_MISTRAL] = &model_mistral,
	[MODEL_QWEN2] = &model_qwen2,
};

void model_config_parse(struct model_config *c, const struct json *doc, const char *path)
{
	const json_value *root = json_root(doc), *list;
	const struct model_kind *kind = NULL;

	if (!json_is_object(root))
		die_input("malformed input: %s: object expected", path);
	*c = (struct model_config){.tie_word_embeddings = json_get_bool(doc, root, "tie_word_embeddings", true)};
	const char *type = json_string(doc, json_get(root, "model_type"), "model_type");
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (strcmp(type, kinds[i]->type) == 0) {
			kind = kinds[i];
			c->family = (enum model_family)i;
		}
	if (!kind)
		die_input("cannot compute this model: %s: model_type: %s: not supported", path, type);

	const char *architecture = kind->architecture;
	list = json_get(root, "architectures");
	if (list && !json_is_null(list)) {
		if (!json_is_array(list))
			die_input("malformed input: %s: architectures: array expected", path);
		if (json_first(list))
			architecture = json_string(doc, json_first(list), "architectures");
	}
	snprintf(c->architecture, sizeof c->architecture, "%s", architecture);

	model_check_fields(doc, path, kind->fields);
	kind->parse(c, doc, path);
	if (c->n_kv_head == 0)
		c->n_kv_head = c->n_head;
	if (c->head_dim == 0 && c->n_embd % c->n_head == 0)
		c->head_dim = c->n_embd / c->n_head;
	if (c->head_dim == 0)
		die_input("malformed input: %s: width %lld is no multiple of the number of heads %lld", path,
		          (long long)c->n_embd, (long long)c->n_head);
}

void model_config_read_file(struct model_config *c, const char *path)
{
	struct json *doc = json_read(path, MAX_CONFIG);

	model_config_parse(c, doc, path);
	json_free(doc);
}

void model_config_read(struct model_config *c, const char *dir)
{
	char *path = path_join(dir, "config.json");

	model_config_read_file(c, path);
	free(path);
}

static int64_t size_of(const struct model_config *c, enum model_size s)
{
	switch (s) {
	case SIZE_VOCAB:
		return c->vocab_size;
	case SIZE_POSITIONS:
		return c->n_positions;
	case SIZE_TYPES:
		return c->n_types;
	case SIZE_EMBD:
		return c->n_embd;
	case SIZE_EMBD3:
		return 3 * c->n_embd;
	case SIZE_INNER:
		return c->n_inner;
	case SIZE_HEADS:
		return c->n_head * c->head_dim;
	case SIZE_KV_HEADS:
		return c->n_kv_head * c->head_dim;
	case SIZE_NONE:
		break;
	}
	return 0;
}

bool model_is_untied(const struct model_config *c)
{
	return !c->tie_word_embeddings;
}

bool model_is_headless(const struct model_config *c)
{
	return strcmp(c->architecture, kinds[c->family]->headless) == 0;
}

static size_t count(const struct model_config *c, const struct model_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += !t->row[i].when || t->row[i].when(c);
	return n;
}

/* The i-th row of those that are there, i < count(). */
static const struct model_row *row(const struct model_config *c, const struct model_table *t, size_t i)
{
	const struct model_row *r = t->row;

	for (;; r++)
		if ((!r->when || r->when(c)) && i-- == 0)
			return r;
}

const char *model_prefix(const struct model_config *c)
{
	return kinds[c->family]->prefix;
}

size_t model_tensors(const struct model_config *c)
{
	const struct model_kind *k = kinds[c->family];

	return count(c, &k->bottom) + (size_t)c->n_layer * count(c, &k->layer) + count(c, &k->top) +
	       (model_is_headless(c) ? 0 : count(c, &k->head));
}

void model_tensor(const struct model_config *c, size_t i, struct model_tensor *t)
{
	const struct model_kind *k = kinds[c->family];
	size_t bottom = count(c, &k->bottom), one = count(c, &k->layer), layers = (size_t)c->n_layer * one;
	size_t top = count(c, &k->top), layer = 0;
	const char *prefix = model_is_headless(c) ? "" : k->prefix;
	const struct model_row *r;
	char name[sizeof t->name - 16];

	if (i < bottom) {
		r = row(c, &k->bottom, i);
	} else if (i -= bottom, i < layers) {
		layer = i / one;
		r = row(c, &k->layer, i % one);
	} else if (i -= layers, i < top) {
		r = row(c, &k->top, i);
	} else {
		r = row(c, &k->head, i - top);
		prefix = "";
	}
	*t = (struct model_tensor){.n_dims = r->columns == SIZE_NONE ? 1 : 2, .zero_row = -1};
	t->shape[0] = size_of(c, r->rows);
	t->shape[1] = size_of(c, r->columns);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(name, sizeof name, r->name, (int)layer);
#pragma GCC diagnostic pop
	snprintf(t->name, sizeof t->name, "%s%s", prefix, name);
	t->init = r->fill == ZEROS ? MODEL_ZEROS : r->fill == ONES ? MODEL_ONES : MODEL_NORMAL;
	t->std = c->initializer_range;
	if (r->fill == NORMAL_RESIDUAL)
		t->std /= sqrt(2 * (double)c->n_layer);
	if (r->fill == NORMAL_PADDED)
		t->zero_row = c->pad_token_id;
}

void model_hash(const char *dir, uint8_t out[HASH_BYTES])
{
	char *config = path_join(dir, "config.json");
	struct hash h;

	hash_start(&h);
	hash_add_file(&h, config);
	weights_hash(dir, &h);
	hash_end(&h, out);
	free(config);
}
