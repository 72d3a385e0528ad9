/*
 * GPT-2's words: the matches of
 *
 *	'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * which take in every byte of a text. A byte that belongs to no well-formed UTF-8 character counts as a character
 * that is neither letter, number nor space: the words end where they would with U+FFFD in its place.
 */
#ifndef PALIMPSEST_PRETOKEN_H
#define PALIMPSEST_PRETOKEN_H

#include <stddef.h>

/* Length of the first word of text[0..n), 0 if n is 0. The text begins where a word begins, and ends at n. */
size_t pretoken_word(const char *text, size_t n);

/*
 * The ends of the first words of text[0..n), at most max of them, as offsets: end[0] is the length of the first, the
 * second is text[end[0]..end[1]) and so on. Returns how many, which may be fewer than there would be room for (it is fastest
 * where there is room for many), and is 0 only if n or max is 0.
 */
size_t pretoken_words(const char *text, size_t n, size_t *end, size_t max);

/* tokenizer_split() for these words: largest k <= n where a word ends whatever stands before text and follows text[n). */
size_t pretoken_split(const char *text, size_t n);

#endif
