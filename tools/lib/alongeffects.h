/*
 * What was measured along the sequence (along.h), as means over the runs of a group with intervals. A change is better
 * below 0 in nats, and above 0 in reciprocal ranks, shares of best ranks and BIG-bench's scores.
 */
#ifndef PALIMPSEST_ALONGEFFECTS_H
#define PALIMPSEST_ALONGEFFECTS_H

#include "effects.h"

/* --- classes of tokens ------------------------------------------------------------------------------ */

struct class_change {
	struct interval change; /* nats a token of the class */
	struct interval part;   /* nats a token of the text: parts of all classes add up to the whole */
	struct interval share;  /* part in the whole; NaN where the interval of the whole holds 0 */
	double tokens;          /* share of the class in the text's tokens */
	int runs, domains;      /* with these numbers */
};

/* effect: CPT_ZS, LC_ZS or LC_CPT; class: TOKEN_CLASSES for the whole; portion: as in struct selection. */
struct class_change class_change_of(const struct sample *x, const struct group *g, enum effect effect, int class, int portion);

/* --- ranks ------------------------------------------------------------------------------------------ */

enum rank_where {
	AT_OWN,   /* of M<k>, on the domain that step k trains on */
	AT_END,   /* of the last model, on that domain */
	ON_ALL,   /* of M<k>, on all domains; */
	ON_SEEN,  /* on those trained before step k */
	ON_AHEAD, /* on those trained after it */
	N_RANK_WHERE
};
extern const char *const rank_where_names[N_RANK_WHERE];

struct rank_change {
	double value, zero;     /* of the model, and of M0 on the same domains */
	struct interval change; /* the one less the other */
	int runs, domains;
};

/* step 0, of AT_OWN and AT_END: of all steps together, which is over all domains. value is NaN where nothing was measured. */
struct rank_change rank_change_of(const struct sample *x, const struct group *g, enum rank_where where, int step,
                                  enum rank_tokens tokens, enum rank_measure measure);

/* --- BIG-bench -------------------------------------------------------------------------------------- */

#define NORMAL_975 1.959963984540054 /* standard errors on either side that make a 95 % interval */

struct score_change {
	double value, error;    /* normalized score after the step, and its standard error over examples and runs */
	double from;            /* the score that it is compared with */
	struct interval change; /* value - from */
	int runs;
	const struct along_score *what; /* task, metric ... of one of them; NULL: nothing was measured */
};

/* Of a task after step, against after step from. */
struct score_change score_change_of(const struct runs *s, const struct group *g, const char *task, int64_t shots, int from, int step);

#endif
