/* Rotary positions (Su et al., 2104.09864), and what is done to them for longer texts, as transformers computes it. */
#ifndef PALIMPSEST_ROPE_H
#define PALIMPSEST_ROPE_H

#include "model.h"

/*
 * Angle by which a position turns each pair of a head's elements: f[0 .. head_dim / 2). c->rope.type is not ROPE_NONE.
 * ROPE_DYNAMIC changes nothing up to n_positions, and no text is longer.
 */
void rope_frequencies(const struct model_config *c, float *f);

/* table (n, head_dim): a row for each position t from first on, cos(t f[i]) and then sin(t f[i]), times attention_factor. */
void rope_table(const struct model_config *c, const float *f, int64_t first, int64_t n, float *table);

#endif
