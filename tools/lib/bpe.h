/*
 * Byte pair encoding. Of bytes, as GPT-2, RoBERTa and Llama 3 have it: words by pretoken.h, each word's bytes merged by rank.
 * Of characters, as Llama 2 has it: bytes only where a character has no token, and U+2581 for a blank; a text, or what
 * begins with a blank, is one word. The ids are those of Hugging Face tokenizers, for GPT-2's also tiktoken's.
 */
#ifndef PALIMPSEST_BPE_H
#define PALIMPSEST_BPE_H

#include "added.h"
#include "json.h"
#include "tokenizer_kind.h"

struct bpe;

extern const struct tokenizer_kind bpe_kind; /* its models are struct bpe */

/* Both check the whole vocabulary and every merge; what is malformed or not supported: exit 3. */
struct bpe *bpe_load_json(const struct json *doc, const struct added *added, const char *path); /* tokenizer.json, model.type BPE */
struct bpe *bpe_load_files(const char *vocab_path, const char *merges_path, bool add_prefix_space); /* GPT-2's words */

#endif
