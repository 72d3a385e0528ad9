/*
 * What a kind of tokenizer provides to tokenizer.c, which finds the kind of a directory
 * and hands everything on. A model is read-only after loading and shared by threads;
 * scratch is one thread's own.
 */
#ifndef PALIMPSEST_TOKENIZER_KIND_H
#define PALIMPSEST_TOKENIZER_KIND_H

#include "hash.h"
#include "tokenizer.h"

struct tokenizer_kind {
	const char *name; /* goes into the fingerprint: never change it */
	void (*free)(void *model);
	uint32_t (*vocab)(const void *model);
	void (*hash)(const void *model, struct hash *h); /* adds all that decides the ids, whatever files it came from */
	int64_t (*special)(const void *model, const char *content); /* id, or -1 */
	void *(*scratch_new)(const void *model);
	void (*scratch_free)(void *scratch);
	void (*encode)(const void *model, void *scratch, const char *text, size_t n, struct ids *out);
	size_t (*split)(const void *model, const char *text, size_t n);
	const char *(*bytes)(const void *model, uint32_t id, size_t *n); /* returns NULL if text cannot be restored */
	bool (*is_text)(const void *model, uint32_t id);
};

#endif
