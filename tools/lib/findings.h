/*
 * The findings of Yıldız et al. (arXiv 2402.17400), each put to the runs of a study: study-stats(1) says how.
 */
#ifndef PALIMPSEST_FINDINGS_H
#define PALIMPSEST_FINDINGS_H

#include "effects.h"

enum verdict { VERDICT_CANNOT_SAY, VERDICT_CONFIRMED, VERDICT_REFUTED, VERDICT_MIXED };
extern const char *const verdict_names[]; /* "cannot say" ... */

struct claim {
	const char *id, *text; /* "lc-beats-zs", "The last checkpoint is better than ..." */
	const char *measure;   /* what is measured, and on which side of 0 the claim puts it */
};
extern const struct claim claims[]; /* ends with a NULL id */

enum unit { UNIT_NATS, UNIT_RHO, UNIT_STEPS, UNIT_POINTS }; /* points of a normalized score */

/* A claim tested on one group, or on a pair of them. */
struct evidence {
	const struct claim *claim;
	char *where;           /* "small/random", "small/random - small/similar"; "-": nowhere */
	struct interval x;
	enum unit unit;
	int runs, domains;     /* runs: of the smaller group */
	enum verdict verdict;
	char *why;             /* one sentence, or "" */
};

struct findings {
	struct evidence *v;
	int n, cap;
};

struct findings *findings_of(const struct sample *x);
void findings_free(struct findings *f);
/* Of all the evidence: what those that can say agree on. */
enum verdict findings_verdict(const struct findings *f, const struct claim *c);

#endif
