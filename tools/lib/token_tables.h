/* Tables of what single tokens of a text scored: palimpsest-classes(5), palimpsest-ranks(5). */
#ifndef PALIMPSEST_TOKEN_TABLES_H
#define PALIMPSEST_TOKEN_TABLES_H

#include "atomic.h"
#include "ngrams.h"
#include "token_class.h"
#include "token_text.h"

/* One value a token of the text, in its order. */
struct token_scores {
	uint64_t tokens;
	double *nll;   /* NAN: not scored */
	int64_t *rank; /* from 1; 0: not scored. NULL if no ranks are known */
};

struct token_scores *token_scores_new(uint64_t tokens, bool ranks);
void token_scores_free(struct token_scores *s);

/* The lines of one text; each begins with the cells `about`, which end in a tab. */
extern const char classes_columns[], ranks_columns[]; /* the others' names */
void put_classes(struct atomic *out, const char *about, const struct token_scores *s, const struct token_text *x,
                 const struct word_bands *bands);
/* x and set NULL: no n-grams. */
void put_ranks(struct atomic *out, const char *about, const struct token_scores *s, const struct token_text *x,
               const struct ngrams *set);

#endif
