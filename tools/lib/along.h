/*
 * What was measured along a run's sequence beside perplexity: by class of token (palimpsest-classes(5)), by the rank of
 * the true token (palimpsest-ranks(5)), and on BIG-bench (palimpsest-bigbench(5)). Models are M0, M1 ...; step k is
 * M<k>, and domain j of the run's matrix the one that step j + 1 trains on.
 */
#ifndef PALIMPSEST_ALONG_H
#define PALIMPSEST_ALONG_H

#include <stdbool.h>
#include <stdint.h>

#include "matrix.h"
#include "token_class.h"

struct along;

/*
 * Reads classes.tsv, ranks.tsv and bigbench.tsv of a directory, as far as they are there. What contradicts itself or the
 * matrix (another model or text under a name that it knows) ends the tool with exit 3. You along_free() it.
 */
struct along *along_read(const char *dir, const struct matrix *m);
void along_free(struct along *a);
/*
 * Ends the tool (exit 3) if numbers of the two, which may be one, cannot be compared. run: whose a is; where: what b was
 * read from.
 */
void along_check_same(const struct along *a, const char *run, const struct along *b, const char *where);

/* --- classes of tokens ------------------------------------------------------------------------------ */

struct class_sums {
	double nll;      /* nats */
	int64_t targets; /* tokens scored */
};

/* (TOKEN_CLASSES) of model and domain; NULL: not measured. */
const struct class_sums *along_classes(const struct along *a, int step, int j);

/* --- ranks ------------------------------------------------------------------------------------------ */

enum rank_tokens { RANKS_ALL, RANKS_NGRAMS, N_RANK_TOKENS };                               /* of all tokens; in key n-grams */
enum rank_measure { RANK_MRR, RANK_MEDIAN, RANK_MEAN, RANK_TOP1, RANK_TOP10, N_RANK_MEASURES };
extern const char *const rank_token_names[N_RANK_TOKENS], *const rank_measure_names[N_RANK_MEASURES];

/* NaN: not measured, or no such token. */
double along_rank(const struct along *a, int step, int j, enum rank_tokens tokens, enum rank_measure measure);

/* --- BIG-bench -------------------------------------------------------------------------------------- */

/* A task, or a group of tasks as a whole. */
struct along_score {
	int step;
	char *task;
	int64_t shots;
	char *metric, *hash;        /* of the task's file */
	int tasks;                  /* in the group; 0: a task */
	int64_t examples;
	double normalized, error;   /* 0: low_score, 100: high_score; standard error; NaN: not known */
};

/* As strcmp(): by step, task's name and shots. */
int along_score_order(const struct along_score *x, const struct along_score *y);
/* In that order; tasks of a group are not among them. */
const struct along_score *along_scores(const struct along *a, int *n);
/* NULL: not measured. */
const struct along_score *along_score(const struct along *a, int step, const char *task, int64_t shots);

#endif
