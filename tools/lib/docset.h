/* Documents by content: a 128-bit hash, and the set of those seen. The hash is for equality, not for security. */
#ifndef PALIMPSEST_DOCSET_H
#define PALIMPSEST_DOCSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct doc_hash {
	uint64_t a, b;
};

struct doc_hash hash_document(const char *text, size_t n);

/* All zero is an empty set; 21 to 43 bytes a document. */
struct docset {
	struct doc_hash *slot;
	size_t n, n_slots;
	bool has_zero;
};

bool docset_add(struct docset *set, struct doc_hash h); /* false if it was there */
void docset_free(struct docset *set);

#endif
