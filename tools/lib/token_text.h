/* The text behind a token file, by a tokenizer whose ids hold all of it (byte-level BPE). */
#ifndef PALIMPSEST_TOKEN_TEXT_H
#define PALIMPSEST_TOKEN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tokenizer.h"
#include "tokfile.h"

struct token_text {
	char *text;
	size_t n;       /* bytes */
	size_t *start;  /* (tokens + 1): token i stands for bytes [start[i], start[i + 1]); for none if it stands for no text */
	uint64_t tokens;
};

/* Can the tokenizer restore text at all? */
bool token_text_possible(const struct tokenizer *t);

/*
 * All of it, in memory. r: after tok_load(). A text that is not as long as the file says: exit 3. You
 * token_text_free() it.
 */
struct token_text *token_text_read(const struct tok_reader *r, const struct tokenizer *t);
void token_text_free(struct token_text *x);

/* Words as word_count() counts them, in bounded memory; 0 if the text is not as long as the file says. */
uint64_t token_text_words(const struct tok_reader *r, const struct tokenizer *t);

#endif
