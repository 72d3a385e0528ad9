/*
 * A cache of short words and the ids that they become: pairs of entries, of which a new one drives out the older. An entry
 * holds the word itself in 15 bytes and its length in the 16th, so that finding it is two comparisons; a pair of entries
 * is one cache line.
 */
#ifndef PALIMPSEST_WORD_CACHE_H
#define PALIMPSEST_WORD_CACHE_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	WORD_BYTES = 15,
	WORD_IDS = 3
};

struct word {
	uint64_t key[2];
	uint32_t id[WORD_IDS];
	uint32_t n; /* of ids; what is over WORD_IDS is the user's affair */
};

typedef struct word word_pair[2];

/* 1 << bits pairs, empty; you free() it. */
word_pair *word_cache_new(int bits);

/* Only for hosts whose first byte in memory is the lowest does the length not cover a byte of the word. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "token caches and token files are little-endian");

/* The key of the first n <= WORD_BYTES of the 16 bytes at p. */
static inline void word_key(const char *p, size_t n, uint64_t key[2])
{
	static const uint64_t mask[WORD_BYTES + 1][2] = {
#define FIRST(k) {(UINT64_C(1) << 8 * (k)) - 1, 0}
#define SECOND(k) {UINT64_MAX, (UINT64_C(1) << 8 * (k)) - 1}
		FIRST(0), FIRST(1), FIRST(2), FIRST(3), FIRST(4), FIRST(5), FIRST(6), FIRST(7),
		SECOND(0), SECOND(1), SECOND(2), SECOND(3), SECOND(4), SECOND(5), SECOND(6), SECOND(7),
#undef FIRST
#undef SECOND
	};
	uint64_t x[2];

	memcpy(x, p, sizeof x);
	key[0] = x[0] & mask[n][0];
	key[1] = (x[1] & mask[n][1]) | (uint64_t)n << 56;
}

/* Which of 1 << bits pairs the word would be in. */
static inline uint32_t word_slot(const uint64_t key[2], int bits)
{
	return (uint32_t)((key[0] * UINT64_C(0x9e3779b97f4a7c15) + key[1] * UINT64_C(0xd6e8feb86659fd93)) >> (64 - bits));
}

static inline uint64_t word_differs(const struct word *e, const uint64_t key[2])
{
	return (e->key[0] ^ key[0]) | (e->key[1] ^ key[1]);
}

/* The word in that pair; NULL if it is not there. */
static inline const struct word *word_find(const word_pair *cache, uint32_t slot, const uint64_t key[2])
{
	const struct word *e = cache[slot];

	e += word_differs(e, key) != 0; /* no branch: which of the two it is, nobody foresees */
	return word_differs(e, key) ? NULL : e;
}

/* Enters a word that is not there; ids are copied if they are WORD_IDS at most. */
static inline void word_add(word_pair *cache, uint32_t slot, const uint64_t key[2], const uint32_t *id, uint32_t n)
{
	struct word *e = cache[slot];

	e[1] = e[0];
	e[0] = (struct word){.key = {key[0], key[1]}, .n = n};
	if (n <= WORD_IDS)
		memcpy(e[0].id, id, n * sizeof *id);
}

#endif
