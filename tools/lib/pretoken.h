/*
 * The words into which a byte-level BPE cuts a text before it merges anything: the matches of its pattern, which take in
 * every byte. The patterns that are known stand in a table in pretoken.c; one that is not there is for the caller to refuse.
 * A byte that belongs to no well-formed UTF-8 character counts as a character that is neither letter, number nor
 * space: the words end where they would with U+FFFD in its place.
 */
#ifndef PALIMPSEST_PRETOKEN_H
#define PALIMPSEST_PRETOKEN_H

#include <stdbool.h>
#include <stddef.h>

enum pretoken { PRETOKEN_GPT2, PRETOKEN_LLAMA3, PRETOKEN_QWEN2 };

/* The pattern by the exact text of its regular expression; false if it is not known. */
bool pretoken_find(const char *regex, enum pretoken *pattern);

const char *pretoken_name(enum pretoken pattern); /* goes into fingerprints: never change one */

/* Length of the first word of text[0..n), 0 if n is 0. The text begins where a word begins, and ends at n. */
size_t pretoken_word(enum pretoken pattern, const char *text, size_t n);

/*
 * The ends of the first words of text[0..n), at most max of them, as offsets: end[0] is the length of the first, the
 * second is text[end[0]..end[1]) and so on. Returns how many, which may be fewer than there would be room for (it is fastest
 * where there is room for many), and is 0 only if n or max is 0.
 */
size_t pretoken_words(enum pretoken pattern, const char *text, size_t n, size_t *end, size_t max);

/* tokenizer_split() for these words: largest k < n where a word ends whatever stands before text and follows text[n). */
size_t pretoken_split(enum pretoken pattern, const char *text, size_t n);

#endif
