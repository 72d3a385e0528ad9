#include "hash.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "die.h"

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t k[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void blocks_plain(uint32_t state[8], const uint8_t *p, size_t n)
{
	for (; n > 0; n--, p += 64) {
		uint32_t w[64], s[8];

		for (int i = 0; i < 16; i++)
			w[i] = get_be32(p + 4 * i);
		for (int i = 16; i < 64; i++) {
			uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
			uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;

			w[i] = w[i - 16] + s0 + w[i - 7] + s1;
		}
		memcpy(s, state, sizeof s);
		for (int i = 0; i < 64; i++) {
			uint32_t e = s[4], a = s[0];
			uint32_t t1 = s[7] + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
			uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));

			memmove(s + 1, s, 7 * sizeof *s);
			s[4] += t1;
			s[0] = t1 + t2;
		}
		for (int i = 0; i < 8; i++)
			state[i] += s[i];
	}
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

/* The state lies in two registers as the instructions want it: a b e f and c d g h, a and c in the highest word. */
__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_sha(uint32_t state[8], const uint8_t *p, size_t n)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i abef = _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]);
	__m128i cdgh = _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7]);
	uint32_t out[8];

	for (; n > 0; n--, p += 64) {
		__m128i abef0 = abef, cdgh0 = cdgh, w[4];

#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			__m128i wk;

			if (i < 4) {
				w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), swap);
			} else {
				__m128i last = w[(i + 3) & 3];
				__m128i t = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]),
				                          _mm_alignr_epi8(last, w[(i + 2) & 3], 4));

				w[i & 3] = _mm_sha256msg2_epu32(t, last);
			}
			wk = _mm_add_epi32(w[i & 3], _mm_load_si128((const __m128i *)(const void *)(k + 4 * i)));
			/* Two rounds give the next a b e f; what was a b e f is then c d g h. */
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
		}
		abef = _mm_add_epi32(abef, abef0);
		cdgh = _mm_add_epi32(cdgh, cdgh0);
	}
	_mm_storeu_si128((__m128i *)(void *)out, abef);
	_mm_storeu_si128((__m128i *)(void *)(out + 4), cdgh);
	state[0] = out[3];
	state[1] = out[2];
	state[2] = out[7];
	state[3] = out[6];
	state[4] = out[1];
	state[5] = out[0];
	state[6] = out[5];
	state[7] = out[4];
}

static bool have_sha(void)
{
	static int known; /* 0: not asked yet, 1: no, 2: yes. Threads that race write the same. */

	if (!known) {
		unsigned a, b, c, d, sse;

		__cpuid(0, a, b, c, d);
		if (a < 7) {
			known = 1;
		} else {
			__cpuid(1, a, b, sse, d);
			__cpuid_count(7, 0, a, b, c, d);
			known = (b & 1u << 29) && (sse & bit_SSE4_1) && (sse & bit_SSSE3) ? 2 : 1;
		}
	}
	return known == 2;
}
#endif

static void blocks(uint32_t state[8], const uint8_t *p, size_t n)
{
#if defined(__x86_64__)
	if (have_sha()) {
		blocks_sha(state, p, n);
		return;
	}
#endif
	blocks_plain(state, p, n);
}

void hash_start(struct hash *h)
{
	/* The first 32 bits of the fractions of the square roots of the first 8 primes. */
	static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memcpy(h->state, start, sizeof start);
	h->bytes = 0;
}

void hash_add(struct hash *h, const void *data, size_t n)
{
	const uint8_t *p = data;
	size_t held = h->bytes % 64;

	if (n == 0)
		return;
	h->bytes += n;
	if (held) {
		size_t m = n < 64 - held ? n : 64 - held;

		memcpy(h->block + held, p, m);
		p += m;
		n -= m;
		if (held + m < 64)
			return;
		blocks(h->state, h->block, 1);
	}
	blocks(h->state, p, n / 64);
	memcpy(h->block, p + n / 64 * 64, n % 64);
}

void hash_add_u32(struct hash *h, uint32_t x)
{
	x = htole32(x);
	hash_add(h, &x, sizeof x);
}

void hash_end(struct hash *h, uint8_t out[HASH_BYTES])
{
	uint64_t bits = h->bytes * 8;
	uint8_t tail[72] = {0x80};
	size_t pad = 64 - (h->bytes + 8) % 64; /* 1..64 bytes: 0x80 and zeros */

	for (int i = 0; i < 8; i++)
		tail[pad + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
	hash_add(h, tail, pad + 8);
	for (int i = 0; i < 32; i++)
		out[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void hash_hex(const uint8_t digest[HASH_BYTES], char out[HASH_HEX])
{
	for (int i = 0; i < HASH_BYTES; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void hash_add_file(struct hash *h, const char *path)
{
	static _Thread_local uint8_t buf[1 << 18];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("cannot open %s:", path);
	while ((n = read(fd, buf, sizeof buf)) != 0) {
		if (n > 0)
			hash_add(h, buf, (size_t)n);
		else if (errno != EINTR)
			die("cannot read %s:", path);
	}
	close(fd);
}

void hash_file(const char *path, uint8_t out[HASH_BYTES])
{
	struct hash h;

	hash_start(&h);
	hash_add_file(&h, path);
	hash_end(&h, out);
}
