/*
 * Documents that wait to be divided: their text in one file, and beside it an index of (key, bytes). A key is a
 * pseudo-random number; what is taken from a pool is a range of keys, so that it is a random part which does not depend
 * on the sequence in which documents came. Memory does not grow with the pool.
 */
#ifndef PALIMPSEST_POOL_H
#define PALIMPSEST_POOL_H

#include <stddef.h>
#include <stdint.h>

#define POOL_END ((uint64_t)1 << 63) /* keys are below */

struct range {
	uint64_t from, to; /* keys in [from, to) */
	uint64_t equals;   /* and so many documents of key `to`, the first ones */
};

struct pool;

/* Makes path and path.index, which must lie in a staging directory (outdir.h). Failures: exit 1. */
struct pool *pool_open(const char *path);
void pool_put(struct pool *p, uint64_t key, const char *text, size_t n); /* and a newline */
void pool_put_blank(struct pool *p, const char *text, size_t n); /* no document: goes where the one before goes */
uint64_t pool_docs(const struct pool *p);
uint64_t pool_bytes(const struct pool *p);

void pool_seal(struct pool *p); /* no more documents; then: */
uint64_t pool_bytes_in(const struct pool *p, struct range range);
struct range pool_at_least(const struct pool *p, uint64_t from, uint64_t bytes); /* smallest with so much, or the rest */
struct range pool_at_most(const struct pool *p, uint64_t from, uint64_t bytes);  /* largest with no more, equal documents one by one */

/* A part of a pool: into path go the documents of range, in the sequence in which they came. */
struct part {
	const char *path; /* NULL: no part */
	struct range range;
	uint64_t docs, bytes; /* set */
};

/* Writes n parts that do not overlap, in one pass. check() is called now and then. */
void pool_divide(const struct pool *p, struct part *part, int n, void (*check)(void));

void pool_keep(struct pool *p);   /* frees, and leaves the text, without the index */
void pool_remove(struct pool *p); /* frees, and removes both files */

#endif
