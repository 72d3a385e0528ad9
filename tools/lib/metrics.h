/*
 * What a transfer matrix says, in numbers. Formulas and their sources are in transfer-matrix(1).
 *
 * Every measure is a mean over cells that were measured, and says over how many of how many. A change is
 * ln perplexity minus that of zero-shot (below 0: better); a transfer is the same with the sign turned (above 0:
 * better), because the literature defines it on scores. Steps k = 1..n, domain j trained at step j (in C: j - 1).
 */
#ifndef PALIMPSEST_METRICS_H
#define PALIMPSEST_METRICS_H

#include <stdio.h>

#include "matrix.h"

enum better { BETTER_LOWER, BETTER_HIGHER, BETTER_NEITHER };

struct measure {
	const char *name;
	const char *unit; /* "perplexity", "nats", "share", "steps" */
	enum better better;
	const char *meaning; /* one sentence */
};

extern const struct measure measures[]; /* ends with a NULL name */

struct metric {
	const struct measure *measure;
	int portion;  /* index into matrix.portion, -1: all domains */
	double value; /* NaN: nothing to take it from */
	int n, of;    /* cells it was taken over, and cells that there would be */
};

struct metrics {
	struct metric *v;
	int n, cap;
};

/* Every measure over all domains, and over each portion's if there are several. You metrics_free() it. */
struct metrics *metrics_of(const struct matrix *m);
void metrics_free(struct metrics *s);
/* portion -1: all. NULL if there is none of that name. */
const struct metric *metrics_find(const struct metrics *s, const char *name, int portion);
/* "all", or "portion:NAME"; you free() it. */
char *metric_scope(const struct matrix *m, const struct metric *x);

/* A mean in the making. */
struct mean {
	double sum, squares;
	int n, of;
};

void mean_add(struct mean *x, double value); /* NaN counts in `of` alone */
double mean_value(const struct mean *x);     /* NaN if n is 0 */
double mean_deviation(const struct mean *x); /* standard deviation of the sample; NaN if n < 2 */

/* Transfer to domains before and after the one of step k, and so on; across: of the other portions. */
struct transfer {
	struct mean backward, backward_within, backward_across;
	struct mean forward, forward_within, forward_across;
	struct mean all; /* every domain, the one just trained among them */
};

struct transfer transfer_after(const struct matrix *m, int k);
/* At a distance k - j: above 0 backward, 0 the domain just trained, below 0 forward. */
struct mean transfer_at(const struct matrix *m, int distance);
/* From steps that trained on one L1 to domains of another, before (backward) and after (forward) them. */
struct transfer transfer_between(const struct matrix *m, int trained_l1, int other_l1);

/* metrics.tsv, metrics.json, summary.tsv, summary.md, checkpoints.tsv, distance.tsv, l1.tsv into a directory. */
void metrics_write(const struct matrix *m, const struct metrics *s, const char *dir);

/* The four models of the paper's table, in its sequence. */
struct summary_row {
	const char *name;    /* "ZS" ... */
	const char *measure; /* "ZS.ppl" ... */
	const char *change;  /* "FT-ZS" ...: over the domains for which there is zero-shot, too; NULL for ZS itself */
	const char *meaning;
};
extern const struct summary_row summary_rows[4];

/* exp(change) - 1 in percent: how much the perplexity moved. */
double percent(double change);
/* For a person, into a buffer of 32, "-" for NaN: "12.34", "+5.6 %" and "0.0 %"; of huge ones four digits. */
char *ppl_text(char *text, double ppl);
char *change_text(char *text, double change);

#endif
