/*
 * Scores of a generated text against the expected ones, as programs in Python define them: BLEU of sacrebleu (tokenizer
 * intl, smoothing exp), ROUGE of rouge_score, labels in sequence of t5. All texts are valid UTF-8 and end in NUL.
 */
#ifndef PALIMPSEST_TEXT_METRICS_H
#define PALIMPSEST_TEXT_METRICS_H

#include <stdbool.h>
#include <stddef.h>

struct answer {
	const char *response;
	const char *const *target; /* n_targets > 0; any of them is right */
	int n_targets;
};

/* Of all together, 0 to 100: Papineni et al. 2002, up to four words; a precision of 0 among others is halved from the last (exp). */
double text_bleu(const struct answer *a, size_t n);

enum rouge { ROUGE_1, ROUGE_2, ROUGE_LSUM, ROUGE_KINDS };

/*
 * F-measure of one response with the target that gives the highest one, 0 to 1: Lin 2004. Words are runs of a-z and 0-9
 * in lower case; a sentence ends at a newline, or a full stop between blanks.
 */
double text_rouge(const struct answer *a, enum rouge kind);

double text_sequence_f1(const struct answer *a);  /* share of labels that are right, in percent, of those of the first target */
bool text_equals(const struct answer *a);         /* the response is one of the targets */
bool text_equals_folded(const struct answer *a);  /* without blanks around and without case, letter by letter */

/* Python's float(): blanks around, inf and nan, 1_000; digits of ASCII alone. */
bool text_float(const char *s, double *out);

#endif
