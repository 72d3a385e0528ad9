/*
 * What training did, as a mean over runs of means over domains, with a bootstrap interval over both (stats.h).
 * Everything is in nats: a change or difference of log-perplexity, where below 0 is better; transfer has the sign
 * turned, as in metrics.h.
 */
#ifndef PALIMPSEST_EFFECTS_H
#define PALIMPSEST_EFFECTS_H

#include "runs.h"
#include "stats.h"

enum effect {
	FT_ZS,
	CPT_ZS,
	CPT_FT,
	LC_ZS,
	LC_CPT,            /* forgetting */
	LC_BEST,           /* forgetting, against the best checkpoint before the last */
	BACKWARD,          /* transfer to domains trained before, all checkpoints */
	FORWARD,           /* to domains not trained yet */
	FORWARD_ACROSS,     /* to those of them that are of another portion than the step */
	BACKWARD_FAR,      /* at distances a..b */
	AT_DISTANCE,       /* transfer at the distance a, as transfer_at() */
	BACKWARD_AFTER,    /* after step a */
	FORWARD_AFTER,
	BACKWARD_BEYOND,   /* after all steps above a */
	SWITCH,            /* what the step right after a domain's own changes on it */
	SWITCH_PORTION,    /* the same, where that step is of another portion */
	REGAIN,            /* what the step after that changes */
	N_EFFECTS
};

/* Which cells: */
struct selection {
	enum effect effect;
	int a, b;
	int portion; /* of the domain measured, index into runs.portion; -1: all */
};

#define DRAWS_DEFAULT 2000

struct sample {
	const struct runs *runs;
	int draws;
	uint64_t seed;
};

/*
 * Of one group; or, if b is not NULL, of a less that of b on the domains that both have. n_domains (may be NULL): domains
 * with a cell in it.
 */
struct interval effect_of(const struct sample *x, struct selection what, const struct group *a, const struct group *b, int *n_domains);

/* One domain's value in one run; NaN: not measured. */
double effect_on(const struct runs *s, const struct run *r, struct selection what, int domain);

/*
 * First step at which mean backward transfer reaches 95 % of its highest value; NaN if that is not above 0, or if after a
 * step it was not measured.
 */
struct interval saturation_of(const struct sample *x, const struct group *g);

/* --- what explains what ---------------------------------------------------------------------------- */

enum outcome { OUT_FORGETTING, OUT_BACKWARD, OUT_FORWARD, N_OUTCOMES };
enum predictor { BY_POSITION, BY_SIZE, BY_SIMILARITY, BY_PREVIOUS, N_PREDICTORS };
enum correlation { SPEARMAN, KENDALL, PARTIAL };

extern const char *const outcome_names[N_OUTCOMES], *const predictor_names[N_PREDICTORS];

/* Of what step j + 1 trains on to the domain before it: NaN for the first, where orders have that to @base. */
double similarity_to_previous(const struct matrix *m, int j);
/* Bytes of the domain's training text in that run. NaN: not known, or the same for all, balanced domains. */
double size_in(const struct runs *s, const struct run *r, int domain);

/*
 * Mean over runs of the rank correlation over domains; PARTIAL: Spearman's with the other predictors that are known
 * held constant. n_domains: with a point in some run.
 */
struct interval correlation_of(const struct sample *x, const struct group *g, enum outcome y, enum predictor by,
                               enum correlation how, int *n_domains);

/* --- half-lives ------------------------------------------------------------------------------------ */

/*
 * Steps after its own until half of a domain's gain over zero-shot is lost, linear between steps. *ended = 0: not
 * lost by the last step, and the number is of the steps that were watched. NaN: nothing gained, or nothing watched.
 */
double half_life(const struct run *r, int domain, int *ended);
struct interval half_life_of(const struct sample *x, const struct group *g, int *n, int *n_ended);

#endif
