/*
 * Sizes that come from outside, and memory that must be there.
 * Allocation failures end the tool (exit 1); nothing here returns NULL.
 */
#ifndef PALIMPSEST_CHECKED_H
#define PALIMPSEST_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a * b or a + b; false on overflow, *out then undefined. */
static inline bool mul_size(size_t a, size_t b, size_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

static inline bool add_size(size_t a, size_t b, size_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

/* All of these: you free() the result. n * size is checked. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size); /* zeroed */
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* DIR/NAME; you free() it. */
char *path_join(const char *dir, const char *name);
/* The last part of a path that may end in slashes, "" of "/"; you free() it. */
char *path_last(const char *path);

/*
 * Makes room for one more element in a growing array: GROW(v, n, cap); v[n++] = x;
 * The capacity doubles, so n appends cost O(n).
 */
#define GROW(v, n, cap)                                          \
	do {                                                         \
		if ((n) == (cap)) {                                      \
			(cap) = (cap) ? 2 * (cap) : 16;                      \
			(v) = xreallocarray((v), (size_t)(cap), sizeof *(v)); \
		}                                                        \
	} while (0)

/*
 * Whole-string numbers, for options and tables. false if text is empty, has other
 * bytes before or after the number, or does not fit.
 */
bool parse_i64(const char *text, int64_t *out);  /* decimal */
bool parse_real(const char *text, double *out);  /* decimal; nan and inf are refused */
bool parse_size(const char *text, uint64_t *out); /* decimal; k M G: powers of 1000, Ki Mi Gi: of 1024 */

#endif
