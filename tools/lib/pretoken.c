#include "pretoken.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "char_class.h"

#define O CLASS_OTHER
#define L CLASS_LETTER
#define N CLASS_NUMBER
#define S CLASS_SPACE
#define ROW_O O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O

static const uint8_t ascii_class[128] = {
	O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, ROW_O,
	S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O,
	N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O,
	O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
	O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O,
};

/* Class of the character at p[0..n), n > 0, and its length. */
static inline enum char_class class_at(const unsigned char *p, size_t n, size_t *length)
{
	uint32_t c;
	int k;

	if (p[0] < 0x80) {
		*length = 1;
		return (enum char_class)ascii_class[p[0]];
	}
	k = utf8_char(p, n, &c);
	*length = k ? (size_t)k : 1;
	return k ? char_class(c) : CLASS_OTHER;
}

/* Length of the contraction at p[0..n), with its apostrophe; 0 if there is none. */
static inline size_t contraction(const unsigned char *p, size_t n)
{
	if (n < 2 || p[0] != '\'')
		return 0;
	switch (p[1]) {
	case 's':
	case 'd':
	case 'm':
	case 't':
		return 2;
	case 'l':
		return n > 2 && p[2] == 'l' ? 3 : 0;
	case 'v':
	case 'r':
		return n > 2 && p[2] == 'e' ? 3 : 0;
	}
	return 0;
}

size_t pretoken_word(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t i = 0, last, k;
	enum char_class c;

	if (n == 0)
		return 0;
	if ((k = contraction(p, n)))
		return k;
	c = class_at(p, n, &k);
	if (p[0] == ' ' && n > 1) {
		size_t k1;
		enum char_class c1 = class_at(p + 1, n - 1, &k1);

		if (c1 != CLASS_SPACE) { /* one blank belongs to what follows it */
			i = 1;
			c = c1;
			k = k1;
		}
	}
	if (c != CLASS_SPACE) {
		do
			i += k;
		while (i < n && class_at(p + i, n - i, &k) == c);
		return i;
	}
	/* White space: all of it at the end of the text, else all but its last character, which starts the next word. */
	last = 0;
	do {
		last = i;
		i += k;
	} while (i < n && class_at(p + i, n - i, &k) == CLASS_SPACE);
	return i < n && last > 0 ? last : i;
}

/*
 * The fast path: 64 ASCII bytes that begin where a word begins, classified into bit masks, of which the positions where
 * words begin are a few logical operations. The block is then left at the last such position that is certain, so that nothing
 * is carried from block to block.
 */
struct masks {
	uint64_t letter, number, space, blank, quote, high; /* bit i: byte i; blank: ' ' alone; high: not ASCII */
};

#ifdef __SSE2__
static inline void classify(const unsigned char *p, struct masks *m)
{
	memset(m, 0, sizeof *m);
	for (int i = 0; i < 4; i++) {
		/* Unsigned x - low < width becomes a signed comparison after an offset of -128. */
		__m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
		__m128i lower = _mm_or_si128(x, _mm_set1_epi8(0x20));
		__m128i letter = _mm_cmplt_epi8(_mm_add_epi8(lower, _mm_set1_epi8((char)(-128 - 'a'))), _mm_set1_epi8(-128 + 26));
		__m128i number = _mm_cmplt_epi8(_mm_add_epi8(x, _mm_set1_epi8((char)(-128 - '0'))), _mm_set1_epi8(-128 + 10));
		__m128i control = _mm_cmplt_epi8(_mm_add_epi8(x, _mm_set1_epi8((char)(-128 - '\t'))), _mm_set1_epi8(-128 + 5));
		__m128i blank = _mm_cmpeq_epi8(x, _mm_set1_epi8(' '));
		__m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('\''));

#define MASK(v) ((uint64_t)(uint32_t)_mm_movemask_epi8(v) << 16 * i)
		m->letter |= MASK(letter);
		m->number |= MASK(number);
		m->space |= MASK(_mm_or_si128(control, blank));
		m->blank |= MASK(blank);
		m->quote |= MASK(quote);
		m->high |= MASK(x);
#undef MASK
	}
}
#else
static inline void classify(const unsigned char *p, struct masks *m)
{
	memset(m, 0, sizeof *m);
	for (int i = 0; i < 64; i++) {
		uint64_t bit = UINT64_C(1) << i;
		unsigned char c = p[i];

		if (c >= 0x80) {
			m->high |= bit;
			continue;
		}
		switch (ascii_class[c]) {
		case CLASS_LETTER:
			m->letter |= bit;
			break;
		case CLASS_NUMBER:
			m->number |= bit;
			break;
		case CLASS_SPACE:
			m->space |= bit;
			m->blank |= c == ' ' ? bit : 0;
			break;
		default:
			m->quote |= c == '\'' ? bit : 0;
		}
	}
}
#endif

/* Bit i: a word begins at p[i], for every i >= 1 of which p[i + 2] is visible. p[0] begins a word. */
static inline uint64_t word_starts(const unsigned char *p, const struct masks *m)
{
	uint64_t other = ~(m->letter | m->number | m->space);
	uint64_t before = m->space << 1; /* white space stands before */
	/* A change of class, a blank before aside; white space before other white space begins one as the last of its run. */
	uint64_t change = (m->letter & ~(m->letter << 1)) | (m->number & ~(m->number << 1)) | (other & ~(other << 1));
	uint64_t start = (change & ~(m->blank << 1)) | (m->space & (~before | ~(m->space >> 1)));
	uint64_t quote = m->quote & (start | 1);

	for (; quote; quote &= quote - 1) {
		int i = __builtin_ctzll(quote);
		size_t k;

		if (i > 60 || !(k = contraction(p + i, 3)))
			continue;
		start &= ~(UINT64_C(2) << i);
		start |= UINT64_C(1) << (i + (int)k);
	}
	return start & ~UINT64_C(1);
}

/* Without a compiler flag for it, the builtin is a call. */
static inline int count_bits(uint64_t x)
{
	x -= x >> 1 & UINT64_C(0x5555555555555555);
	x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (int)(x * UINT64_C(0x0101010101010101) >> 56);
}

size_t pretoken_words(const char *text, size_t n, size_t *end, size_t max)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t at = 0, count = 0;

	while (at < n && count < max) {
		if (n - at >= 64 && count > 0 && max - count < 64)
			break; /* rather than going on slowly */
		if (n - at >= 64 && max - count >= 64) {
			struct masks m;
			uint64_t start;

			classify(p + at, &m);
			start = word_starts(p + at, &m);
			if (m.high) { /* certain are those whose next two bytes are ASCII */
				int ascii = __builtin_ctzll(m.high);

				start &= ascii < 3 ? 0 : (UINT64_C(1) << (ascii - 2)) - 1;
			} else {
				start &= (UINT64_C(1) << 62) - 1;
			}
			if (start) {
				int found = count_bits(start);
				size_t *e = end + count;

				for (int k = 0; k < found; k += 4, start &= start - 1) { /* four at a time: room is left */
					e[k] = at + (size_t)__builtin_ctzll(start);
					start &= start - 1;
					e[k + 1] = at + (size_t)__builtin_ctzll(start | UINT64_C(1) << 63);
					start &= start - 1;
					e[k + 2] = at + (size_t)__builtin_ctzll(start | UINT64_C(1) << 63);
					start &= start - 1;
					e[k + 3] = at + (size_t)__builtin_ctzll(start | UINT64_C(1) << 63);
				}
				count += (size_t)found;
				at = end[count - 1];
				continue;
			}
		}
		at += pretoken_word(text + at, n - at);
		end[count++] = at;
	}
	return count;
}

/* Class of the character that ends at p[k], k > 0; a byte that ends none is its own. */
static enum char_class class_before(const unsigned char *p, size_t k)
{
	uint32_t c;

	for (size_t back = 1; back <= 4 && back <= k; back++)
		if (utf8_char(p + k - back, back, &c) == (int)back)
			return char_class(c);
	return CLASS_OTHER;
}

size_t pretoken_split(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t k = n; k-- > 1;) {
		enum char_class before, after;
		size_t length;

		if (p[k] >= 0x80 && (p[k] < 0xc0 || n - k < 4))
			continue; /* inside a character, or one that n may cut */
		before = class_before(p, k);
		after = class_at(p + k, n - k, &length);
		/* White space binds to what follows it; an apostrophe may bind to letters. */
		if (before != CLASS_SPACE && before != after && !(p[k - 1] == '\'' && after == CLASS_LETTER))
			return k;
	}
	return 0;
}
