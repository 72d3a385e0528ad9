/* Unicode's letters (L), numbers (N) and white space, as the references of byte-level BPE know them. */
#ifndef PALIMPSEST_CHAR_CLASS_H
#define PALIMPSEST_CHAR_CLASS_H

#include <stddef.h>
#include <stdint.h>

enum char_class { CLASS_OTHER, CLASS_LETTER, CLASS_NUMBER, CLASS_SPACE };

enum { CHAR_CLASS_PAGES = 1608 }; /* all code points beyond are CLASS_OTHER */
extern const uint8_t char_class_page[CHAR_CLASS_PAGES]; /* of 128 code points: row of char_class_bits */
extern const uint8_t char_class_bits[][32];             /* 2 bits a code point, lowest first */

static inline enum char_class char_class(uint32_t c)
{
	if (c >> 7 >= CHAR_CLASS_PAGES)
		return CLASS_OTHER;
	return (enum char_class)(char_class_bits[char_class_page[c >> 7]][c >> 2 & 31] >> (c & 3) * 2 & 3);
}

/*
 * Length (1 to 4) of the well-formed UTF-8 character at p[0..n), n > 0, and *c its code point; 0 if there is none
 * (a stray or missing continuation byte, an overlong form, a surrogate, over U+10FFFF).
 */
static inline int utf8_char(const unsigned char *p, size_t n, uint32_t *c)
{
	unsigned char a = p[0];

	if (a < 0x80) {
		*c = a;
		return 1;
	}
	if (a < 0xc2 || n < 2 || (p[1] & 0xc0) != 0x80)
		return 0;
	if (a < 0xe0) {
		*c = (uint32_t)(a & 0x1f) << 6 | (p[1] & 0x3f);
		return 2;
	}
	if (n < 3 || (p[2] & 0xc0) != 0x80)
		return 0;
	if (a < 0xf0) {
		*c = (uint32_t)(a & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
		return *c >= 0x800 && (*c < 0xd800 || *c > 0xdfff) ? 3 : 0;
	}
	if (a > 0xf4 || n < 4 || (p[3] & 0xc0) != 0x80)
		return 0;
	*c = (uint32_t)(a & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
	return *c >= 0x10000 && *c <= 0x10ffff ? 4 : 0;
}

#endif
