/*
 * Text to ids and back, exactly as the reference implementation of each kind.
 * A directory holds tokenizer.json, or vocab.json + merges.txt (also named encoder.json +
 * vocab.bpe), or vocab.txt (WordPiece). The kind is found out here and nowhere else.
 */
#ifndef PALIMPSEST_TOKENIZER_H
#define PALIMPSEST_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"
#include "ids.h"

struct tokenizer; /* read-only after loading: threads may share it */

struct tokenizer *tokenizer_load(const char *dir); /* missing: exit 1; malformed or of an unknown kind: exit 3 */
void tokenizer_free(struct tokenizer *t);
uint32_t tokenizer_vocab(const struct tokenizer *t);              /* ids are below this */
const uint8_t *tokenizer_fingerprint(const struct tokenizer *t);  /* HASH_BYTES: of all that decides the ids of text */
int64_t tokenizer_special(const struct tokenizer *t, const char *content); /* id of "<|endoftext|>", "[CLS]" ...; -1 */

/* Ids of the special tokens by their roles; -1: none. One id may have several roles: <s> is RoBERTa's bos and cls. */
struct special_tokens {
	int64_t bos, eos, cls, sep, pad, mask, unk;
};

/*
 * Of a tokenizer directory: as its tokenizer_config.json and special_tokens_map.json name them, and for a role that
 * neither mentions, by the names that GPT-2, RoBERTa, Llama and BERT give them, as far as the vocabulary holds these.
 */
void tokenizer_specials(const char *dir, struct special_tokens *s);

/* Fingerprint for a model directory without loading everything twice; zero bytes if the directory has no tokenizer. */
bool tokenizer_fingerprint_of(const char *dir, uint8_t out[HASH_BYTES]);

/* Per-thread memory: the cache of words and the merge buffers. */
struct tok_scratch;
struct tok_scratch *tok_scratch_new(const struct tokenizer *t);
void tok_scratch_free(struct tok_scratch *s);

/*
 * Appends the ids of a whole text. Added tokens in it are found as the reference finds them, but special ones are ordinary
 * text. Nothing is put round the text; what some kinds put before it as a part of it (a blank) is there.
 */
void tokenizer_encode(const struct tokenizer *t, struct tok_scratch *s, const char *text, size_t n, struct ids *out);

/* The same for a part of a text, and with special tokens: flags are a sum of these. */
enum {
	ENCODE_GOES_ON = 1, /* the text began before this part */
	ENCODE_MORE = 2,    /* and does not end with it */
	ENCODE_SPECIAL = 4  /* special tokens in the text count, too */
};
void tokenizer_encode_part(const struct tokenizer *t, struct tok_scratch *s, const char *text, size_t n, unsigned flags,
			   struct ids *out);

/*
 * A k < n, as near to n as can be found, such that encoding text[0,k) and text[k,..) as parts gives the same ids as
 * together, whatever follows text[n]; 0 if there is none. For streaming and threads. special: special tokens count.
 */
size_t tokenizer_split_part(const struct tokenizer *t, const char *text, size_t n, bool special);
size_t tokenizer_split(const struct tokenizer *t, const char *text, size_t n); /* special tokens do not count */

/* The ids that the tokenizer puts before (after: behind) each text when it is asked to: <s>, [CLS] ...; *n of them. */
const uint32_t *tokenizer_affix(const struct tokenizer *t, bool after, size_t *n);

/*
 * Bytes of one id; NULL where the kind cannot restore text (WordPiece). Of an added token: its content. The blank that
 * some kinds put before a text is in the bytes of the text's first id.
 */
const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *n);

/*
 * The bytes of the text itself that the next of a sequence of ids stands for; NULL for a special token, which ends a text.
 * special: special tokens stand in the text, too, as they are written. *state is the caller's, 0 before the first id. A
 * blank that was put before a text is left out.
 */
const char *tokenizer_text(const struct tokenizer *t, uint32_t id, bool special, unsigned *state, size_t *n);

/* Does the id come out of tokenizer_encode() for some text? Not so "<|endoftext|>", which stands for no text. */
bool tokenizer_is_text(const struct tokenizer *t, uint32_t id);

#endif
