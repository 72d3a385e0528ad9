/*
 * Words of a text: runs of letters and numbers (Unicode's L and N). What is no well-formed UTF-8 separates words.
 */
#ifndef PALIMPSEST_WORDS_H
#define PALIMPSEST_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct word {
	size_t start, end; /* bytes [start, end) */
	bool joined;       /* to the word before it, by blanks, one hyphen or one apostrophe alone: one n-gram may hold both */
	bool command;      /* a backslash stands right before it, as in LaTeX */
	bool number;       /* it holds no letter */
};

/* The next word from byte w->end on: start with a word of zeros. false at the end. */
bool word_next(const char *text, size_t n, struct word *w);

/* Small letters of s, n bytes, into out, which has room for 2 n; returns their bytes. */
size_t word_fold(const char *s, size_t n, char *out);

/*
 * Words as lm-evaluation-harness counts them: len(re.split(r"\s+", text)), that is runs of white space as Python's str
 * knows it, and one. In pieces: start with zeros, add, and look at the count at the end.
 */
struct word_count {
	uint64_t spaces; /* runs of white space */
	bool in_space;
	unsigned char rest[4]; /* of a character that the next piece may complete */
	size_t n_rest;
};

void word_count_add(struct word_count *c, const char *text, size_t n);
uint64_t word_count(const struct word_count *c);

#endif
