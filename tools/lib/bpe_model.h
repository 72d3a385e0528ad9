/* The inside of a BPE model: bpe_load.c and bpe_settings.c make it, bpe.c reads it. */
#ifndef PALIMPSEST_BPE_MODEL_H
#define PALIMPSEST_BPE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpe.h"
#include "pretoken.h"

#define NO_MERGE UINT32_MAX
#define NO_PAIR UINT64_MAX

struct merge {
	uint32_t left, right, made; /* ids; the index is the rank */
};

enum { ID_BITS = 20 }; /* so that a merge and its rank, or three ids and their number, fit into 64 bits */

/* When a blank that is not in the text is put before a piece of it (a stretch between added tokens). */
enum prefix {
	PREFIX_NEVER,
	PREFIX_FIRST,  /* before the text, if it begins with no blank */
	PREFIX_ALWAYS, /* before each piece that begins with none */
	PREFIX_NORMAL  /* before each piece, by the normalizer: so before added tokens of normalized text are looked for */
};

struct bpe {
	uint32_t n_tokens;
	size_t *start; /* n_tokens + 1 offsets into bytes */
	char *bytes;   /* in a model of characters, with a blank for each U+2581 */
	uint32_t byte_id[256], ascii_id[128]; /* ascii_id: if chars, of the character, or its byte */
	bool *text; /* a byte, a character or made by a merge: what encoding can give */
	/* Ids + 1 of the vocabulary's tokens by their bytes, but not those that stand for a single byte beside a character of it. */
	uint32_t *slot;
	size_t slot_mask, max_bytes; /* max_bytes: of the longest token there */

	bool chars;            /* merges begin with characters, and with bytes only where a character has no token */
	enum pretoken pattern; /* if not chars */
	bool ignore_merges;    /* a word that is a token is that token, whatever the merges make of it */
	bool word_tokens;      /* so with the words that are looked up; if not, with whole pieces */
	enum prefix prefix;
	bool replaced;         /* chars: the normalizer turned blanks into U+2581, so that they are no white space */
	bool split_blanks;     /* chars: a word ends before each blank; if not, the whole piece is one word */
	/* chars: a bit for each two bytes that stand side by side in a token. Between others, no merge crosses. */
	uint64_t (*joined)[4];

	struct merge *merge;
	uint32_t n_merges;
	/* Open addressing: left << 40 | right << 20 | rank, or NO_PAIR. */
	uint64_t *pair;
	size_t pair_mask; /* slots - 1, a power of two */
	uint32_t *made;   /* by rank: what merges make; NULL if that is always rank + first */
	uint32_t first;
	/* Most pairs that are asked for do not merge, and the hash is larger than a processor's near cache: these say so first. */
	uint32_t (*byte_pair)[256]; /* rank by two bytes; NO_MERGE: none */
	uint64_t *pair_filter;      /* a bit for each hash_pair() >> FILTER_SHIFT that some pair has */
};

/* How texts become words, and words tokens, by tokenizer.json; what would change the ids and is not supported: exit 3. */
void bpe_read_settings(struct bpe *b, const struct json *doc, const char *path);

enum { FILTER_BITS = 19, FILTER_SHIFT = 64 - FILTER_BITS };

static inline uint64_t pair_key(uint32_t left, uint32_t right)
{
	return (uint64_t)left << ID_BITS | right;
}

/* The high bits choose the filter's bit, the low ones the slot. */
static inline uint64_t hash_pair(uint64_t key)
{
	uint64_t h = (key ^ key >> 17) * UINT64_C(0x9e3779b97f4a7c15);

	return h ^ h >> 32;
}

#define NO_TOKEN UINT32_MAX

static inline uint64_t hash_bytes(const char *s, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

/* The token of the vocabulary that is these bytes; NO_TOKEN if there is none. */
static inline uint32_t bpe_find(const struct bpe *b, const char *s, size_t n)
{
	for (size_t i = hash_bytes(s, n) & b->slot_mask; b->slot[i]; i = (i + 1) & b->slot_mask) {
		uint32_t id = b->slot[i] - 1;

		if (b->start[id + 1] - b->start[id] == n && __builtin_memcmp(b->bytes + b->start[id], s, n) == 0)
			return id;
	}
	return NO_TOKEN;
}

#endif
