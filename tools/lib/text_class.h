/* Characters as Python's str and re, and the module regex, class them: for metrics defined by programs in Python. */
#ifndef PALIMPSEST_TEXT_CLASS_H
#define PALIMPSEST_TEXT_CLASS_H

#include <stdbool.h>
#include <stdint.h>

enum text_class {
	TEXT_WORD = 1,   /* \w */
	TEXT_DIGIT = 2,  /* \d */
	TEXT_PUNCT = 4,  /* \p{P} */
	TEXT_SYMBOL = 8, /* \p{S} */
	TEXT_NUMBER = 16 /* \p{N} */
};

/* Sorted; what is in none has no class. */
struct text_range {
	uint32_t first, last;
	uint8_t kind;
};
extern const struct text_range text_range[];
extern const int text_n_ranges;

/* The classes of c, or'ed. */
static inline unsigned text_class(uint32_t c)
{
	int low = 0, high = text_n_ranges;

	while (low < high) {
		int mid = (low + high) / 2;

		if (c > text_range[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < text_n_ranges && c >= text_range[low].first ? text_range[low].kind : 0;
}

/* str.isspace() and \s of a str */
static inline bool text_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

#endif
