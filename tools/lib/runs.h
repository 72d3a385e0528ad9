/*
 * The runs of a study (palimpsest-study(5)): what each was trained with, and its transfer matrix. Runs are put into
 * groups: the same but for the seed, of the order `random` or of the training.
 */
#ifndef PALIMPSEST_RUNS_H
#define PALIMPSEST_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "along.h"
#include "matrix.h"

enum setting { SET_MODEL, SET_ORDER, SET_SEED, SET_BATCH, SET_LR, SET_EPOCHS, SET_BALANCED, SET_POLICY, SET_OPTIMIZER, N_SETTINGS };

struct run {
	const char *name;
	const char *set[N_SETTINGS]; /* as the table has them; "-": not told */
	struct matrix *m;
	int *at;                     /* (n_domains) where a domain stands in m: its step - 1 */
	struct along *along;         /* what else was measured along it, as far as it was */
};

struct group {
	char *name;                  /* as people read it: "small/random" */
	const char *set[N_SETTINGS]; /* of the first run; order is "random" for all random ones; seed is not looked at */
	const char *varied;          /* settings that differ from the base's, "-": none */
	char *family;                /* config.json's model_type, "-": not known */
	double parameters;           /* NaN: not known */
	int *run, n;                 /* indices into runs.v */
};

struct runs {
	struct run *v;
	int n, n_groups, n_domains, n_portions;
	struct group *group;
	char **domain, **portion;
	int *portion_id;    /* (n_domains) index into portion */
	double *size;       /* (n_domains) bytes of training text; NaN: not given */
	double *similarity; /* (n_domains) cosine to @base; NaN: not given */
	struct tsv *table;
	int missing;        /* runs without a matrix, left out */
};

/*
 * Reads the table of runs; the columns matrix and tables name directories of transfer-matrix and of what else was
 * measured (along.h), from the table's own folder. What cannot be compared ends the tool (exit 3), and so does a run
 * without a matrix, unless partial; without tables it is complete, too. domains and vectors
 * (NULL: none): domains.tsv and vectors.tsv. You runs_free() it.
 */
struct runs *runs_read(const char *path, const char *domains, const char *vectors, bool partial);
void runs_free(struct runs *s);

/* Do they differ in this setting, and in no other? */
bool groups_differ_in(const struct group *a, const struct group *b, enum setting setting);
/* Steps of the first of exactly two portions that come one after the other; 0: it is not so, or not the same in all runs. */
int steps_of_first_portion(const struct runs *s, const struct group *g);
/* Were they measured on the same tokens? Not if their tokenizers differ. */
bool groups_same_tokens(const struct runs *s, const struct group *a, const struct group *b);
/* "similar", "random" ...: the order without what stands behind a colon. */
bool group_is(const struct group *g, const char *kind);

#endif
