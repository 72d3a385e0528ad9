/*
 * n-grams over words: their key is the words in small letters with one blank between. Words of one n-gram are joined
 * as words.h says, so none reaches over a full stop, a line's end or a bracket.
 */
#ifndef PALIMPSEST_NGRAMS_H
#define PALIMPSEST_NGRAMS_H

#include <stddef.h>
#include <stdint.h>

#include "intern.h"
#include "words.h"

enum { NGRAM_MAX_WORDS = 8 };

/* An n-gram where it stands: key (not NUL-terminated), bytes [word[0].start, word[words - 1].end) of the text. */
struct ngram {
	const char *key;
	size_t n_key;
	const struct word *word;
	int words;
};

/* Every n-gram of 1 to longest words, by where it ends, the shorter first. */
void ngrams_visit(const char *text, size_t n, int longest, void (*visit)(void *arg, const struct ngram *g), void *arg);

/* A set of n-grams to look for. All zero is empty. */
struct ngrams {
	struct intern key;
	int longest; /* words */
};

/* Any spelling of it; its number, counted from 0. -1: it has no word, or more than NGRAM_MAX_WORDS, or parts that are not joined. */
int64_t ngrams_add(struct ngrams *set, const char *text);
void ngrams_free(struct ngrams *set);

struct occurrence {
	size_t start, end; /* bytes */
	uint32_t ngram;
};

/* All occurrences in a text, by where they end; overlapping ones too. You free() it. */
struct occurrence *ngrams_find(const struct ngrams *set, const char *text, size_t n, size_t *count);

#endif
