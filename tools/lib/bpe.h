/*
 * Byte-level BPE as GPT-2 has it: words by pretoken.h, each word's bytes merged by rank.
 * The ids are those of tiktoken's encode_ordinary() and of Hugging Face tokenizers.
 */
#ifndef PALIMPSEST_BPE_H
#define PALIMPSEST_BPE_H

#include "json.h"
#include "tokenizer_kind.h"

struct bpe;

extern const struct tokenizer_kind bpe_kind; /* its models are struct bpe */

/* Both check the whole vocabulary and every merge; what is malformed or not supported: exit 3. */
struct bpe *bpe_load_json(const struct json *doc, const char *path); /* tokenizer.json, model.type BPE */
struct bpe *bpe_load_files(const char *vocab_path, const char *merges_path);

#endif
