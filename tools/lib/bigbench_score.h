/* The metrics of BIG-bench, as task_metrics.py of the package bigbench 1.0.0 defines them. */
#ifndef PALIMPSEST_BIGBENCH_SCORE_H
#define PALIMPSEST_BIGBENCH_SCORE_H

#include <stdbool.h>
#include <stddef.h>

#include "bigbench.h"

enum bb_kind {
	BB_CHOICE,     /* from the likelihood of each choice */
	BB_TEXT,       /* from a generated text */
	BB_LIKELIHOOD, /* from the likelihood of the targets */
	BB_MODEL,      /* needs another model: not computed */
	BB_UNKNOWN     /* not computed */
};

enum bb_kind bb_kind_of(const char *metric);

#define BB_AGGREGATE "normalized_aggregate_score"
bool bb_is_result(const char *metric); /* no metric of a task, but a name that results have: rouge1 of rouge, BB_AGGREGATE */

/* What a model said to one prompt. */
struct bb_reply {
	const struct bb_example *example;
	double *choice;   /* log-likelihood of each choice, in nats; NULL if not asked */
	double *target;   /* of each target; likewise */
	char *response;   /* the generated text, after bb_response(); likewise */
};

#define BB_MAX_RESULTS 3

struct bb_result {
	const char *name; /* one metric may have several results: rouge has rouge1, rouge2 and rougeLsum */
	bool computed;    /* else why says what stood in the way */
	const char *why;
	double score;     /* in the package's unit */
	/* standard error of score as an estimate of that of all examples; 0 if they are all there, NaN if not known */
	double error;
};

/* n replies of all `total` examples of t -> the number of results. */
int bb_score(const struct bb_task *t, const char *metric, const struct bb_reply *r, size_t n, struct bb_result result[BB_MAX_RESULTS]);

/* The scores that count as 0 and as 100 for a result of that name; false if none are known. */
bool bb_range(const struct bb_task *t, const char *name, double *low, double *high);

/* Which choice a likelihood as high as any takes: of several, the one that the package's hash picks. */
int bb_best_choice(const struct bb_task *t, const struct bb_reply *r);

#endif
