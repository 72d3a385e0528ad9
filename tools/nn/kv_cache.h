/*
 * What the layers of a model have made of the tokens before: their keys and values, so that each new token costs one
 * token's work. For several sequences (rows) side by side, which may be of different length.
 */
#ifndef PALIMPSEST_KV_CACHE_H
#define PALIMPSEST_KV_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/family.h"

struct nn_cache {
	int64_t rows;
	int64_t *length;    /* tokens in each row */
	int n_layer;
	int64_t G, D;       /* heads of keys and values, and their width */
	th_tensor **k, **v; /* of each layer: (rows, G, room, D) */
	int64_t room;
	/* of the step under way */
	int64_t new_tokens;  /* T */
	th_tensor *position; /* (rows T) i64: of each new token in its row */
	th_tensor *seen;     /* (rows) i64: tokens in each row with the new ones; NULL if all rows are of one length */
	int64_t longest;     /* of these */
};

/* Can the model's family do it? */
bool nn_can_cache(const struct nn_model *m);

/*
 * Empty rows. The tensors belong to the scope that is open when they are made, here and in the next three: keep one
 * open around all use.
 */
struct nn_cache *nn_cache_new(const struct nn_model *m, int64_t rows);
void nn_cache_free(struct nn_cache *c);
void nn_cache_reserve(struct nn_cache *c, const struct nn_model *m, int64_t tokens); /* room for so many more in each row */
/*
 * A new cache of rows row[0] .. row[n - 1], some perhaps several times, with room for so many more tokens. You
 * nn_cache_free() both.
 */
struct nn_cache *nn_cache_rows(const struct nn_cache *c, const struct nn_model *m, const int64_t *row, int64_t n, int64_t tokens);

/*
 * The last hidden layer of tokens that follow those in the cache, which they join: id (rows, T) i64 -> (rows, T, C), in
 * the innermost scope, which may be one opened after the cache was made. There must be room for them. Rows of different
 * length take one token at a time. n: how many of the T are real, of each row, NULL for all; what stands behind them is
 * computed and forgotten.
 */
th_tensor *nn_cache_hidden(struct nn_cache *c, const struct nn_model *m, th_tensor *id, const int64_t *n);

/*
 * For families: attention of the new tokens over those in the cache and themselves. q (rows, H, T, D), k and v (rows,
 * G, T, D), which are put into the cache -> (rows, H, T, D).
 */
th_tensor *nn_cache_attention(struct nn_cache *c, int layer, th_tensor *q, th_tensor *k, th_tensor *v, double scale);

#endif
