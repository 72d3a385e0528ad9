/*
 * Sentence-BERT (Reimers and Gurevych, 1908.10084): a text's vector, as the package sentence-transformers computes
 * it for models of the BERT family. The text's ids between [CLS] and [SEP], cut to the model's longest sequence;
 * BERT; the mean (or the first) of the last hidden layer's tokens; division by the vector's L2 norm if modules.json says so.
 * Where [CLS], [SEP], [PAD], [UNK] or [MASK] is written in a text, it is that token, as there.
 */
#ifndef PALIMPSEST_SBERT_H
#define PALIMPSEST_SBERT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/hash.h"
#include "lib/tokenizer.h"
#include "shim/tensor.h"

struct sbert;

/*
 * DIR as sentence-transformers writes it: modules.json with a Transformer, a Pooling and, optionally, a Normalize module, each in
 * its folder; a folder without modules.json is a Transformer with mean pooling. What we do not compute: exit 3.
 */
struct sbert *sbert_load(const char *dir, th_device device, th_dtype compute);
void sbert_free(struct sbert *s);
size_t sbert_width(const struct sbert *s);               /* C */
void sbert_hash(const struct sbert *s, uint8_t out[HASH_BYTES]); /* of what decides the vectors: modules, weights, tokenizer */

/* A text's ids with [CLS] and [SEP]; replaces what out holds. Reads no more of a long text than it needs. */
void sbert_ids(struct sbert *s, const char *text, size_t n, struct ids *out);

/*
 * The vectors of n texts given by their ids, into v (n, C). At most `batch` at a time, those of similar length together, which
 * changes the result by rounding only. done: called with the number of texts finished so far, or NULL.
 */
void sbert_embed(const struct sbert *s, const struct ids *text, size_t n, size_t batch, float *v, void (*done)(size_t));

#endif
