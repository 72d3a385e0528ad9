/*
 * BERT (Devlin et al., 1810.04805) as transformers' BertModel computes it: the encoder alone, for inference. As a masked language
 * model it is the family nn_bert.
 */
#ifndef PALIMPSEST_BERT_H
#define PALIMPSEST_BERT_H

#include "nn/family.h"

/*
 * The model in DIR: config.json and model.safetensors, of BertModel or with a head, which is not read. What we do not
 * compute or what does not fit: exit 3. compute: TH_F32 or TH_BF16, which on the cpu is f32 with products by BF16x3
 * (th_linear_bf16x3()) where there is AMX, and f32 elsewhere. Call it with no scope open. You nn_model_free() it.
 */
struct nn_model *bert_load(const char *dir, th_device device, th_dtype compute);

/*
 * The last hidden layer: id (B, T) i64, all below vocab_size, T <= positions; length (B) i64 or NULL: tokens at or past a
 * row's length are hidden from the others -> (B, T, C). All tokens are of type 0.
 */
th_tensor *bert_hidden(const struct nn_model *m, th_tensor *id, th_tensor *length);

#endif
