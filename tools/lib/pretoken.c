#include "pretoken.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "char_class.h"

/* The patterns, by the texts that tokenizer.json has of them. */
static const struct {
	const char *regex;
	enum pretoken pattern;
} known[] = {
	{"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", PRETOKEN_GPT2},
	{"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", PRETOKEN_GPT2},
	/* Llama 3; GPT-4's cl100k, as it stands in tokenizer.json, is the same. */
	{"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
	 "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", PRETOKEN_LLAMA3},
	{"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
	 "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", PRETOKEN_QWEN2},
};

bool pretoken_find(const char *regex, enum pretoken *pattern)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].regex, regex) == 0) {
			*pattern = known[i].pattern;
			return true;
		}
	return false;
}

const char *pretoken_name(enum pretoken pattern)
{
	static const char *const name[] = {"GPT-2's words", "Llama 3's words", "Qwen2's words"};

	return name[pattern];
}

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

static size_t word_gpt2(const unsigned char *p, size_t n)
{
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

/* As contraction(), in any case. U+017F is a small s, long, and so an s where case is ignored. */
static inline size_t contraction_any_case(const unsigned char *p, size_t n)
{
	unsigned char low[3] = {'\'', 0, 0};

	if (n < 2 || p[0] != '\'')
		return 0;
	if (n > 2 && p[1] == 0xc5 && p[2] == 0xbf)
		return 3;
	for (size_t i = 1; i < 3 && i < n; i++)
		low[i] = p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i];
	return contraction(low, n < 3 ? n : 3);
}

static inline bool is_newline(unsigned char c)
{
	return c == '\r' || c == '\n';
}

/* Llama 3's and its kin's; a word of digits has at most max_digits. */
static size_t word_llama3(const unsigned char *p, size_t n, size_t max_digits)
{
	size_t i, k, k1, last = 0, newline = 0;
	enum char_class c, c1 = CLASS_SPACE;

	if (n == 0)
		return 0;
	if ((k = contraction_any_case(p, n)))
		return k;
	c = class_at(p, n, &k);
	if (k < n)
		c1 = class_at(p + k, n - k, &k1);
	/* [^\r\n\p{L}\p{N}]?\p{L}+ */
	if (c == CLASS_LETTER || (c != CLASS_NUMBER && !is_newline(p[0]) && c1 == CLASS_LETTER)) {
		i = 0;
		do
			i += k;
		while (i < n && class_at(p + i, n - i, &k) == CLASS_LETTER);
		return i;
	}
	if (c == CLASS_NUMBER) {
		i = 0;
		do
			i += k;
		while (--max_digits > 0 && i < n && class_at(p + i, n - i, &k) == CLASS_NUMBER);
		return i;
	}
	/*  ?[^\s\p{L}\p{N}]+[\r\n]* */
	if (c == CLASS_OTHER || (p[0] == ' ' && c1 == CLASS_OTHER)) {
		i = 0;
		do
			i += k;
		while (i < n && class_at(p + i, n - i, &k) == CLASS_OTHER);
		while (i < n && is_newline(p[i]))
			i++;
		return i;
	}
	/* White space: to its last newline; else all of it at the end of the text, else all but its last character. */
	for (i = 0; i < n && class_at(p + i, n - i, &k) == CLASS_SPACE; i += k) {
		last = i;
		if (is_newline(p[i]))
			newline = i + 1;
	}
	return newline ? newline : i < n && last > 0 ? last : i;
}

size_t pretoken_word(enum pretoken pattern, const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;

	switch (pattern) {
	case PRETOKEN_LLAMA3:
		return word_llama3(p, n, 3);
	case PRETOKEN_QWEN2:
		return word_llama3(p, n, 1);
	case PRETOKEN_GPT2:
		break;
	}
	return word_gpt2(p, n);
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
static inline uint64_t starts_gpt2(const unsigned char *p, const struct masks *m)
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

/* The same where all that is before p[i + 2] is ASCII without white space other than blanks. */
static inline uint64_t starts_llama3(const unsigned char *p, const struct masks *m, int max_digits)
{
	uint64_t other = ~(m->letter | m->number | m->space), blank = m->blank << 1;
	uint64_t first_other = other & ~(other << 1) & ~blank; /* takes letters that follow at once into its word */
	uint64_t first_digit = m->number & ~(m->number << 1);
	uint64_t start = first_other | (m->letter & ~(m->letter << 1) & ~blank & ~(first_other << 1));
	uint64_t quote = m->quote & first_other;

	start |= m->blank & (~blank | ~(m->blank >> 1));
	if (max_digits == 1)
		start |= m->number;
	else
		for (uint64_t third = m->number & m->number << 1 & m->number << 2; first_digit; first_digit = first_digit << 3 & third)
			start |= first_digit;
	for (; quote; quote &= quote - 1) {
		int i = __builtin_ctzll(quote);
		size_t k;

		if (i <= 60 && (k = contraction_any_case(p + i, 3)))
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

/* pretoken_words() with a pattern that the compiler knows. */
static inline __attribute__((always_inline)) size_t find_words(enum pretoken pattern, const char *text, size_t n, size_t *end,
							       size_t max)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t at = 0, count = 0;

	while (at < n && count < max) {
		if (n - at >= 64 && count > 0 && max - count < 64)
			break; /* rather than going on slowly */
		if (n - at >= 64 && max - count >= 64) {
			struct masks m;
			uint64_t start, stop;

			classify(p + at, &m);
			if (pattern == PRETOKEN_GPT2) {
				start = starts_gpt2(p + at, &m);
				stop = m.high;
			} else {
				start = starts_llama3(p + at, &m, pattern == PRETOKEN_QWEN2 ? 1 : 3);
				stop = m.high | (m.space & ~m.blank);
			}
			if (stop) { /* certain are those whose next two bytes the path knows */
				int before = __builtin_ctzll(stop);

				start &= before < 3 ? 0 : (UINT64_C(1) << (before - 2)) - 1;
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
		at += pattern == PRETOKEN_GPT2 ? word_gpt2(p + at, n - at)
		                               : word_llama3(p + at, n - at, pattern == PRETOKEN_QWEN2 ? 1 : 3);
		end[count++] = at;
	}
	return count;
}

size_t pretoken_words(enum pretoken pattern, const char *text, size_t n, size_t *end, size_t max)
{
	switch (pattern) {
	case PRETOKEN_LLAMA3:
		return find_words(PRETOKEN_LLAMA3, text, n, end, max);
	case PRETOKEN_QWEN2:
		return find_words(PRETOKEN_QWEN2, text, n, end, max);
	case PRETOKEN_GPT2:
		break;
	}
	return find_words(PRETOKEN_GPT2, text, n, end, max);
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

size_t pretoken_split(enum pretoken pattern, const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t k = n; k-- > 1;) {
		enum char_class before, after;
		size_t length;

		if (p[k] >= 0x80 && (p[k] < 0xc0 || n - k < 4))
			continue; /* inside a character, or one that n may cut */
		before = class_before(p, k);
		after = class_at(p + k, n - k, &length);
		if (before == CLASS_SPACE || before == after)
			continue; /* white space binds to what follows it */
		if (pattern == PRETOKEN_GPT2 ? !(p[k - 1] == '\'' && after == CLASS_LETTER) : /* may be a contraction */
		    before != CLASS_OTHER || !(after == CLASS_LETTER || is_newline(p[k]))) /* may take these in */
			return k;
	}
	return 0;
}
