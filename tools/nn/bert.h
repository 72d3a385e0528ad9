/*
 * BERT (Devlin et al., 1810.04805), as transformers' BertModel computes it: the encoder, for inference.
 */
#ifndef PALIMPSEST_BERT_H
#define PALIMPSEST_BERT_H

#include "lib/model.h"
#include "shim/tensor.h"

struct bert;

/*
 * The model in DIR: config.json and model.safetensors, of BertModel or with a head, which is not read.
 * What we do not compute or what does not fit: exit 3. compute: TH_F32 or TH_BF16. Call it with no scope open.
 */
struct bert *bert_load(const char *dir, th_device device, th_dtype compute);
void bert_free(struct bert *b);
const struct model_config *bert_config(const struct bert *b);
th_device bert_device(const struct bert *b);

/*
 * The last hidden layer: id (B, T) i64, all below vocab_size, T <= n_positions; length (B) i64 or NULL: tokens at or past a
 * row's length are hidden from the others -> (B, T, C). All tokens are of type 0.
 */
th_tensor *bert_hidden(const struct bert *b, th_tensor *id, th_tensor *length);

#endif
