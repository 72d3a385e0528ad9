#include "tiles.h"

#include <cstring>

#include "kernels.h"

#if defined __x86_64__ && __has_include(<amxbf16intrin.h>)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux gives the tiles' state to processes that ask for it. */
static bool leave_granted()
{
	const int request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
	return syscall(SYS_arch_prctl, request, tile_data) == 0;
}

bool machine_has_tiles()
{
	static const bool has = machine_has_amx() && machine_has_bf16() && leave_granted();
	return has;
}

static const int64_t TILE = 16 * 32; /* one tile: 16 rows of 32 bfloat16 */

/*
 * Four tiles a depth of 32: hi of the first and the second 16 rows, and lo of these. As the first factor a tile holds 16 rows
 * of 32; as the second, pairs of its depth together for each of 16 outputs, (16, 16, 2).
 */
static uint16_t *tile_place(uint16_t *tiles, int64_t row, int64_t step)
{
	return tiles + step * TILES_SIZE + row / 16 * TILE;
}

#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16")
/* maskz: of the others GCC 12 says that they use what is not there */
static __m512 widened(__m256i x)
{
	return (__m512)_mm512_maskz_slli_epi32(0xffff, _mm512_maskz_cvtepu16_epi32(0xffff, x), 16);
}

/* hi and lo of n numbers; of 32 at most, the others 0 */
static void split(const float *x, int64_t n, __m512i *hi, __m512i *lo)
{
	const __mmask32 there = n >= 32 ? ~0U : (1U << n) - 1;
	const __m512 a = _mm512_maskz_loadu_ps((__mmask16)there, x), b = _mm512_maskz_loadu_ps((__mmask16)(there >> 16), x + 16);
	__m256i half[2];

	*hi = (__m512i)_mm512_cvtne2ps_pbh(b, a);
	memcpy(half, hi, sizeof half);
	*lo = (__m512i)_mm512_cvtne2ps_pbh(_mm512_sub_ps(b, widened(half[1])), _mm512_sub_ps(a, widened(half[0])));
}

void tiles_of_rows(const float *x, int64_t n, int64_t K, uint16_t *tiles)
{
	for (int64_t i = 0; i < TILES; i++)
		for (int64_t k = 0; k < K; k += TILES) {
			uint16_t *to = tile_place(tiles, i, k / TILES) + i % 16 * 32;
			__m512i hi = _mm512_setzero_si512(), lo = hi;
			if (i < n)
				split(x + i * K + k, K - k, &hi, &lo);
			_mm512_storeu_si512(to, hi);
			_mm512_storeu_si512(to + 2 * TILE, lo);
		}
}

void tiles_of_weights(const float *w, int64_t n, int64_t K, uint16_t *tiles)
{
	memset(tiles, 0, static_cast<size_t>(tiles_of(K) * TILES_SIZE) * sizeof *tiles);
	for (int64_t i = 0; i < n; i++)
		for (int64_t k = 0; k < K; k += TILES) {
			uint16_t *to = tile_place(tiles, i, k / TILES) + i % 16 * 2;
			__m512i part[2];
			split(w + i * K + k, K - k, &part[0], &part[1]);
			for (int h = 0; h < 2; h++)
				for (int pair = 0; pair < 16; pair++)
					memcpy(to + h * 2 * TILE + pair * 32, reinterpret_cast<const uint32_t *>(&part[h]) + pair, 4);
		}
}

/* palette 1: eight tiles of 16 rows of 64 bytes */
static const struct alignas(64) {
	uint8_t palette, start_row, zero[14];
	uint16_t bytes[16];
	uint8_t rows[16];
} eight_tiles = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

/* The compiler does not know what memory the tiles' instructions read and write. */
#define MEMORY_IS_READ_AND_WRITTEN() __asm__ volatile("" ::: "memory")

static inline void four_products()
{
	_tile_dpbf16ps(0, 4, 6);
	_tile_dpbf16ps(1, 4, 7);
	_tile_dpbf16ps(2, 5, 6);
	_tile_dpbf16ps(3, 5, 7);
}

/*
 * y (32, 32), ld apart, = x w^T + b: each of the eight tiles of a step is loaded once for three products of two by two. Meanwhile
 * `share` numbers a step of what comes after these weights are fetched from afar.
 */
static void multiply_block(const uint16_t *x, const uint16_t *w, const float *b, int64_t depth, float *y, int64_t ld,
			   const uint16_t *next, int64_t share)
{
	const int64_t bytes = ld * static_cast<int64_t>(sizeof *y);

	MEMORY_IS_READ_AND_WRITTEN();
	_tile_loadd(0, b, 0);
	_tile_loadd(1, b + 16, 0);
	_tile_loadd(2, b, 0);
	_tile_loadd(3, b + 16, 0);
	for (int64_t i = 0; i < depth; i++, x += TILES_SIZE, w += TILES_SIZE, next += share) {
		for (int64_t k = 0; k < share; k += 32)
			_mm_prefetch(next + k, _MM_HINT_T1);
		_tile_loadd(4, x, 64);
		_tile_loadd(5, x + TILE, 64);
		_tile_loadd(6, w + 2 * TILE, 64);
		_tile_loadd(7, w + 3 * TILE, 64);
		four_products(); /* hi lo */
		_tile_loadd(6, w, 64);
		_tile_loadd(7, w + TILE, 64);
		four_products(); /* hi hi */
		_tile_loadd(4, x + 2 * TILE, 64);
		_tile_loadd(5, x + 3 * TILE, 64);
		four_products(); /* lo hi */
	}
	_tile_stored(0, y, bytes);
	_tile_stored(1, y + 16, bytes);
	_tile_stored(2, y + 16 * ld, bytes);
	_tile_stored(3, y + 16 * ld + 16, bytes);
	MEMORY_IS_READ_AND_WRITTEN();
}

void tiles_multiply(const uint16_t *x, const uint16_t *w, const float *b, int64_t n, int64_t O, int64_t depth, float *y)
{
	const int64_t share = (TILES_SIZE / tiles_of(n) + 31) / 32 * 32; /* whole lines */

	_tile_loadconfig(&eight_tiles);
	for (int64_t o = 0; o < O; o += TILES)
		for (int64_t i = 0; i < n; i += TILES) {
			const uint16_t *rows = x + i * depth * (TILES_SIZE / TILES), *outs = w + o * depth * (TILES_SIZE / TILES);
			const uint16_t *next = outs + depth * (TILES_SIZE + i / TILES * share);
			const int64_t some = n - i < TILES ? n - i : TILES, columns = O - o < TILES ? O - o : TILES;
			float part[TILES * TILES], bias[TILES] = {};
			if (some == TILES && columns == TILES) {
				multiply_block(rows, outs, b + o, depth, y + i * O + o, O, next, share);
				continue;
			}
			memcpy(bias, b + o, static_cast<size_t>(columns) * sizeof *b);
			multiply_block(rows, outs, bias, depth, part, TILES, next, share);
			for (int64_t k = 0; k < some; k++)
				memcpy(y + (i + k) * O + o, part + k * TILES, static_cast<size_t>(columns) * sizeof *y);
		}
	_tile_release();
}
#pragma GCC pop_options
#else
bool machine_has_tiles()
{
	return false;
}

void tiles_of_rows(const float *, int64_t, int64_t, uint16_t *)
{
}

void tiles_of_weights(const float *, int64_t, int64_t, uint16_t *)
{
}

void tiles_multiply(const uint16_t *, const uint16_t *, const float *, int64_t, int64_t, int64_t, float *)
{
}
#endif
