/* A list of token ids that grows; {0} is an empty one, and whoever has it frees id. */
#ifndef PALIMPSEST_IDS_H
#define PALIMPSEST_IDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "checked.h"

struct ids {
	uint32_t *id;
	size_t n, cap;
};

/* Room for n more ids, where they go. */
static inline uint32_t *ids_reserve(struct ids *out, size_t n)
{
	if (out->cap - out->n < n) {
		out->cap = out->n + n > 2 * out->cap ? out->n + n : 2 * out->cap;
		out->id = xreallocarray(out->id, out->cap, sizeof *out->id);
	}
	return out->id + out->n;
}

static inline void ids_put(struct ids *out, uint32_t id)
{
	GROW(out->id, out->n, out->cap);
	out->id[out->n++] = id;
}

static inline void ids_append(struct ids *out, const uint32_t *id, size_t n)
{
	if (n) /* an empty list may have no memory */
		memcpy(ids_reserve(out, n), id, n * sizeof *id);
	out->n += n;
}

#endif
