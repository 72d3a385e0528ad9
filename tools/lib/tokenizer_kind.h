/*
 * What a kind of tokenizer provides to tokenizer.c, which finds the kind of a directory
 * and hands everything on. A model is read-only after loading and shared by threads;
 * scratch is one thread's own.
 */
#ifndef PALIMPSEST_TOKENIZER_KIND_H
#define PALIMPSEST_TOKENIZER_KIND_H

#include "hash.h"
#include "tokenizer.h"

/*
 * A piece is what is left of a text between added tokens, which tokenizer.c finds. Long pieces come in parts, cut where
 * split() says.
 */
enum {
	PIECE_TEXT = 1,  /* the text begins here, and so does a piece */
	PIECE_START = 2, /* a piece begins here */
	PIECE_END = 4    /* and ends */
};

struct tokenizer_kind {
	const char *name; /* goes into the fingerprint: never change it */
	void (*free)(void *model);
	uint32_t (*vocab)(const void *model);
	void (*hash)(const void *model, struct hash *h); /* adds all that decides the ids, whatever files it came from */
	int64_t (*special)(const void *model, const char *content); /* id, or -1 */
	void *(*scratch_new)(const void *model);
	void (*scratch_free)(void *scratch);
	/*
	 * What a piece is made into before added tokens of normalized text are looked for; NULL: nothing. *n: its size, and the new
	 * one. Returns text or memory that stays as it is until the next call.
	 */
	const char *(*normalize)(const void *model, void *scratch, const char *text, size_t *n, unsigned flags);
	void (*encode)(const void *model, void *scratch, const char *text, size_t n, unsigned flags, struct ids *out);
	size_t (*split)(const void *model, const char *text, size_t n); /* as tokenizer_split(), without added tokens */
	const char *(*bytes)(const void *model, uint32_t id, size_t *n); /* returns NULL if text cannot be restored */
	bool (*is_text)(const void *model, uint32_t id);
	/* has a piece with these flags a blank in front that its text has not? */
	bool (*puts_blank)(const void *model, unsigned flags);
	bool (*replaces_blanks)(const void *model); /* normalize() turned blanks into something that is no white space */
	bool drops_blanks; /* white space at either end of a piece adds nothing to its ids, nor what an added token took in there */
};

#endif
