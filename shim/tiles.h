/*
 * tiles.h: products of f32 by AMX, which multiplies bfloat16 alone. A number is hi + lo, two bfloat16, to within 2^-17
 * of itself, and x w is hi hi + hi lo + lo hi, added up in f32: BF16x3 of Henry, Tang and Heinecke 2019, arXiv 1904.06376.
 * No libtorch here: plain pointers, one thread; the caller divides the work.
 */
#ifndef PALIMPSEST_TILES_H
#define PALIMPSEST_TILES_H

#include <cstdint>

bool machine_has_tiles(); /* AMX, the system's leave to use it, and no bound on oneDNN's instructions below it */

constexpr int64_t TILES = 32;               /* rows, outputs, and depth of what is multiplied at once */
constexpr int64_t TILES_SIZE = 2 * 32 * 32; /* bfloat16 in it of one factor: hi and lo of 32 rows or outputs, 32 deep */

constexpr int64_t tiles_of(int64_t n)
{
	return (n + TILES - 1) / TILES;
}

/* Of x (n, K), n <= TILES: to (tiles_of(K), TILES_SIZE), filled up with zeros. Likewise of weights (n, K). */
void tiles_of_rows(const float *x, int64_t n, int64_t K, uint16_t *tiles);
void tiles_of_weights(const float *w, int64_t n, int64_t K, uint16_t *tiles);

/*
 * y (n, O) = x w^T + b (O): x as (tiles_of(n), depth, TILES_SIZE), w as (tiles_of(O), depth, TILES_SIZE),
 * depth = tiles_of(K).
 */
void tiles_multiply(const uint16_t *x, const uint16_t *w, const float *b, int64_t n, int64_t O, int64_t depth, float *y);

#endif
