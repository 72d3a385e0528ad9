/* Strings to numbers: each different one has the next number from 0. */
#ifndef PALIMPSEST_INTERN_H
#define PALIMPSEST_INTERN_H

#include <stddef.h>
#include <stdint.h>

/* All zero is empty. */
struct intern {
	char *text;    /* one behind the other */
	size_t *start; /* (n + 1) */
	uint32_t *slot; /* open addressing: number + 1, 0 for a free one; n_slots is a power of two */
	size_t n, cap, cap_text, n_slots;
};

uint32_t intern_add(struct intern *t, const char *s, size_t n);       /* as new, or as it was */
int64_t intern_find(const struct intern *t, const char *s, size_t n); /* -1: not there */
const char *intern_text(const struct intern *t, uint32_t id, size_t *n); /* not NUL-terminated; until the next intern_add() */
void intern_free(struct intern *t);

#endif
