/*
 * What Hugging Face tokenizers knows about characters where it prepares text for BERT. It asks three
 * versions of Unicode (8.0 for categories, 12.1 for decompositions, 17.0 for lower case), so these tables are taken from
 * its behaviour, not from one Unicode data base.
 */
#ifndef PALIMPSEST_BERT_CHARS_H
#define PALIMPSEST_BERT_CHARS_H

#include <stdint.h>

enum bert_flag {
	BERT_REMOVE = 1, /* clean_text drops it: control, format, private use, NUL, U+FFFD */
	BERT_SPACE = 2,
	BERT_PUNCT = 4, /* a word of its own */
	BERT_MARK = 8,  /* nonspacing mark: an accent */
	BERT_CJK = 16,  /* handle_chinese_chars puts blanks around it */
	BERT_FLAGS = 255 /* above these: the canonical combining class */
};

/* Sorted; what is in none has no flag and combining class 0. */
struct bert_range {
	uint32_t first, last;
	uint16_t kind; /* flags | combining class << 8 */
};
extern const struct bert_range bert_kind[];
extern const int bert_n_kind;

/* Sorted. Full canonical decompositions, ended by 0 if shorter than 4; without those of Hangul syllables, which are computed. */
struct bert_decomposition {
	uint32_t c, to[4];
};
extern const struct bert_decomposition bert_nfd[];
extern const int bert_n_nfd;

/* Sorted. first, first + step, ... last become themselves + delta. U+0130, the one that becomes two, is not here. */
struct bert_case {
	uint32_t first, last;
	int32_t step, delta;
};
extern const struct bert_case bert_lower[];
extern const int bert_n_lower;
uint32_t bert_to_lower(uint32_t c); /* c itself, if it is none of them */

#endif
