/* The characters that regular expressions call \w, as Hugging Face tokenizers know them. */
#ifndef PALIMPSEST_WORD_CHARS_H
#define PALIMPSEST_WORD_CHARS_H

#include <stdint.h>

struct char_range {
	uint32_t first, last;
};

extern const int n_word_chars;
extern const struct char_range word_chars[]; /* in order */

#endif
