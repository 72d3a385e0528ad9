/*
 * The transfer matrix: what every model of a sequence scores on every domain.
 *
 * Row k = 0..n is the model after step k (M0: before any training), column j = 0..n-1 the domain that
 * step j + 1 trains on. A cell is the natural logarithm of the perplexity by the rows' own protocol, in nats
 * per token; NaN where nothing was measured. Beside it stand the fine-tuned models FT:DOMAIN, each by its own domain.
 */
#ifndef PALIMPSEST_MATRIX_H
#define PALIMPSEST_MATRIX_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"

#define MATRIX_MAX_DOMAINS 4096

struct matrix_domain {
	char *name, *l1, *portion;
	double cosine;     /* to the previous domain, as the order says; NaN: not given */
	int l1_id;         /* index into matrix.l1 */
	int portion_id;    /* index into matrix.portion */
	double ft, ft_ppl; /* FT:NAME on it: ln perplexity, perplexity; NaN: not measured */
	char *data_hash;   /* of the test data; NULL: no row */
	int64_t targets;   /* tokens scored; 0: no row */
};

struct matrix {
	char *name;                   /* of the study, such as its order: for headings */
	int n;                        /* domains, and steps */
	struct matrix_domain *domain; /* (n) in the order's sequence */
	double *loss;                 /* (n + 1, n) ln perplexity */
	double *ppl;                  /* (n + 1, n) perplexity, as the rows say it */
	double max_error;             /* the largest standard error of a cell, 0: every window was scored */
	int n_l1, n_portions;         /* in the sequence of their first domain */
	char **l1, **portion;
	char *protocol;
	char **model_hash;            /* (n + 1) NULL: no row */
	int n_ft;                     /* domains with an FT */
	uint8_t (*input)[HASH_BYTES]; /* SHA-256 of the order and of each file of rows; NULL if loaded */
};

static inline double *matrix_at(const struct matrix *m, int k, int j)
{
	return &m->loss[(size_t)k * (size_t)m->n + (size_t)j];
}

static inline double matrix_ppl(const struct matrix *m, int k, int j)
{
	return m->ppl[(size_t)k * (size_t)m->n + (size_t)j];
}

/* ln perplexity before any training, right after the domain's own step, and at the end. */
static inline double matrix_zs(const struct matrix *m, int j)
{
	return *matrix_at(m, 0, j);
}

static inline double matrix_cpt(const struct matrix *m, int j)
{
	return *matrix_at(m, j + 1, j);
}

static inline double matrix_lc(const struct matrix *m, int j)
{
	return *matrix_at(m, m->n, j);
}

/* L[k][j] - L[0][j]: negative where the model became better than zero-shot. */
static inline double matrix_change(const struct matrix *m, int k, int j)
{
	return *matrix_at(m, k, j) - *matrix_at(m, 0, j);
}

/* How many of the (n + 1) n cells were measured. */
int matrix_measured(const struct matrix *m);

/* The lowest perplexity of domain j after any of the steps first..n-1, and that step; NaN if not all of them were measured. */
double matrix_best(const struct matrix *m, int j, int first, int *step);

/*
 * Reads an order and the rows that ppl-eval wrote. Rows that cannot be compared, contradict each other or
 * name what the order does not know end the tool with exit 3, and so does a step or a domain without any row,
 * unless partial. You matrix_free() the result.
 */
struct matrix *matrix_read(const char *order, const char *const *rows, int n_rows, const char *name, bool partial);

/* Reads back what matrix_write() left in a directory. */
struct matrix *matrix_load(const char *dir);

/* matrix.tsv, per-domain.tsv, cells.tsv and about.tsv, into an existing directory. */
void matrix_write(const struct matrix *m, const char *dir, const char *order, const char *const *rows, int n_rows);

/* The shortest decimal that reads back as x ("-" for NaN), in static memory of eight turns. */
const char *real_text(double x);

/* What was asked of a model name: its step, or FT, or neither. */
enum model_kind { MODEL_UNKNOWN, MODEL_STEP, MODEL_FT };
/* M<k> gives *step; FT:<domain> gives *domain (inside name). */
enum model_kind model_parse(const char *name, int *step, const char **domain);

void matrix_free(struct matrix *m);

#endif
