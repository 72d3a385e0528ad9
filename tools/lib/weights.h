/*
 * All weights of a model directory: model.safetensors or, if that is not there, the files (shards) that
 * model.safetensors.index.json names, as Hugging Face stores large models:
 *
 *	{"metadata": {...}, "weight_map": {"wte.weight": "model-00001-of-00002.safetensors", ...}}
 *
 * A shard's name is a plain file name that ends in .safetensors, and the shards hold exactly the tensors that the index
 * says, each where it says; else exit 3, naming the tensor. The metadata are not looked at: total_size is wrong in many
 * a model.
 */
#ifndef PALIMPSEST_WEIGHTS_H
#define PALIMPSEST_WEIGHTS_H

#include "hash.h"
#include "safetensors.h"

struct weights;

struct weights *weights_open(const char *dir); /* you weights_close() it */
void weights_close(struct weights *w);
size_t weights_count(const struct weights *w);
const struct st_tensor *weights_at(const struct weights *w, size_t i); /* file after file, as st_at() */
const struct st_tensor *weights_find(const struct weights *w, const char *name); /* NULL if missing */
/*
 * Of a name without PREFIX, which may stand before it in the file, or not; BERT's first checkpoints, which came from TensorFlow, call the
 * parameters of layer norms gamma and beta: either name finds the other. NULL if missing.
 */
const struct st_tensor *weights_find_any(const struct weights *w, const char *prefix, const char *name);
const char *weights_name(const struct weights *w); /* model.safetensors, or the index, with its folder */
const char *weights_file(const struct weights *w, const struct st_tensor *t); /* the file in which t lies */

/* Adds the bytes of DIR/model.safetensors, or of the shards that the index names in the order of their names. */
void weights_hash(const char *dir, struct hash *h);

#endif
