/*
 * What kind of text a token stands for. Each byte of a text is marked first, whole characters and words at a time; a
 * token's class then follows from the bytes that it covers.
 */
#ifndef PALIMPSEST_TOKEN_CLASS_H
#define PALIMPSEST_TOKEN_CLASS_H

#include <stddef.h>
#include <stdint.h>

/* The first that fits. */
enum token_class {
	TOKEN_SPECIAL, /* stands for no text */
	TOKEN_NEWLINE, /* white space with a line's end in it */
	TOKEN_SPACE,   /* other white space */
	TOKEN_LATEX,   /* a byte of it that is no white space lies in maths or in a command of LaTeX */
	TOKEN_WORD_1,  /* has a letter; the word that the first one belongs to is one of the 100 most frequent */
	TOKEN_WORD_2,  /* the next, to 1000 */
	TOKEN_WORD_3,  /* to 10,000 */
	TOKEN_WORD_4,  /* the others */
	TOKEN_DIGITS,  /* has a number */
	TOKEN_PUNCTUATION,
	TOKEN_CLASSES
};

const char *token_class_name(enum token_class class);

/* How frequent words are, capitals and small letters alike. Words that tie: those that come first in bytes. */
struct word_bands;
struct word_bands *word_bands_of(const char *text, size_t n); /* you word_bands_free() it */
void word_bands_free(struct word_bands *b);

/* One mark a byte. You free() it. */
uint8_t *mark_text(const char *text, size_t n, const struct word_bands *bands);
/* Of a token that stands for n bytes with these marks. */
enum token_class token_class(const uint8_t *mark, size_t n);

#endif
