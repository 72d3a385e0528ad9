/*
 * WordPiece as BERT has it (Devlin et al., 1810.04805; Schuster and Nakajima 2012): text is cleaned, CJK characters are set
 * apart, accents and capitals dropped if the options say so, words cut at white space and punctuation, and each word is the
 * sequence of the longest pieces found in the vocabulary, or [UNK].
 *
 * The ids are those of Hugging Face's BertTokenizerFast (BertNormalizer, BertPreTokenizer, WordPiece). A byte that belongs
 * to no valid UTF-8 sequence stands for U+FFFD, as from Python's errors="replace"; clean_text drops it.
 */
#ifndef PALIMPSEST_WORDPIECE_H
#define PALIMPSEST_WORDPIECE_H

#include "json.h"
#include "tokenizer_kind.h"

struct wordpiece;

extern const struct tokenizer_kind wordpiece_kind; /* its models are struct wordpiece */

/* Both check everything; what is malformed or not supported: exit 3. */
struct wordpiece *wordpiece_load_json(const struct json *doc, const char *path); /* tokenizer.json, model.type WordPiece */
/*
 * vocab.txt: a token a line, its id the line's number from 0; the last one counts where a token stands twice.
 * config_path: tokenizer_config.json with do_lower_case, strip_accents, tokenize_chinese_chars,
 * or NULL for the defaults, which are those of an uncased BERT.
 */
struct wordpiece *wordpiece_load_vocab(const char *vocab_path, const char *config_path);

#endif
