#include "findings.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "alongeffects.h"
#include "checked.h"

#define MIN_DOMAINS 8
#define MIN_SEEDS 3
#define FAR 30           /* steps back: backward-far */
#define SATURATION 25    /* domains: saturation */
#define MARGIN log(1.01) /* two perplexities within 1 % count as the same */

const char *const verdict_names[] = {"cannot say", "confirmed", "refuted", "mixed"};

enum { LC_BEATS_ZS, RANDOM_LC, CPT_BEATS_FT, FIRST_FORGOTTEN, BACKWARD_REACH, NO_FORWARD, FORWARD_OTHER, SATURATES, SMALL_LEARNS,
       SMALL_FORGETS, BATCH_RANDOM, BATCH_CPT, BATCH_LC, BALANCED, SWAPPED, ROBERTA, ARITHMETIC, LLAMA };

const struct claim claims[] = {
	{"lc-beats-zs", "After the whole sequence a model is better than before any of it, on average over domains.",
	 "LC / ZS, below 0"},
	{"random-better-lc", "A random order ends better than one by similarity.", "LC, random against similar, below 0"},
	{"cpt-beats-ft",
	 "Under the order by similarity a domain's own step leaves it better than training on it alone does.", "CPT / FT, below 0"},
	{"first-forgotten-most", "What was learned first is forgotten most.", "rank correlation of position and LC / CPT, below 0"},
	{"backward-reach", "Under the order by similarity backward transfer is positive some 30 domains back.",
	 "perplexity against zero-shot in the far half of the last 30 steps, below 0"},
	{"no-forward", "Under the order by similarity there is no positive forward transfer on average.",
	 "perplexity against zero-shot on domains not trained yet, mean of all steps and domains, above 0"},
	{"forward-other-portion", "Under a random order forward transfer to the second portion (S2ORC) is positive on average.",
	 "perplexity against zero-shot on its domains not trained yet, mean of all steps and domains, below 0"},
	{"saturation", "Under a random order gains saturate after about 25 domains.",
	 "first step with 95 % of the highest mean backward transfer, 25"},
	{"small-learns-most", "The smaller a model, the more it learns.", "CPT / ZS, small against large, below 0"},
	{"small-forgets-most", "The smaller a model, the more it forgets.", "LC / CPT, small against large, above 0"},
	{"batch-random", "Under a random order the batch size makes no difference.", "LC, small batch against large, within 1 %"},
	{"batch-cpt", "Under the order by similarity a small batch is better right after a domain's own step.",
	 "CPT, small batch against large, below 0"},
	{"batch-lc", "Under the order by similarity a small batch is worse at the end.", "LC, small batch against large, above 0"},
	{"balanced-hurts", "As much data of every domain as the smallest has is worse than all data.",
	 "LC, balanced against all, above 0"},
	{"swap-degrades", "With the portions swapped, those that then come first end worse.",
	 "LC on them, swapped against not, above 0"},
	{"roberta-keeps", "RoBERTa hardly forgets.", "LC / CPT, within 1 %"},
	{"arithmetic", "Arithmetic falls on Wikipedia and recovers on S2ORC.",
	 "BIG-bench score after the first portion less before, below 0, and at the end less after the first portion, "
	 "above 0"},
	{"llama-loses", "Llama 2 is worse after the sequence than before.", "LC / ZS, above 0"},
	{NULL, NULL, NULL},
};

enum side { BELOW, ABOVE, SAME };

struct asked {
	struct findings *f;
	const struct sample *x;
};

static struct evidence *new_evidence(const struct asked *q, int claim, const char *where)
{
	struct findings *f = q->f;

	GROW(f->v, f->n, f->cap);
	f->v[f->n] = (struct evidence){.claim = &claims[claim], .where = xstrdup(where), .why = xstrdup(""), .x = {NAN, NAN, NAN}};
	return &f->v[f->n++];
}

static void cannot_say(struct evidence *e, char *why)
{
	free(e->why);
	e->why = why;
	e->verdict = VERDICT_CANNOT_SAY;
}

/* Beside what it says already. */
static void add_why(struct evidence *e, char *why)
{
	char *both = *e->why ? xasprintf("%s; %s", e->why, why) : xstrdup(why);

	free(e->why);
	free(why);
	e->why = both;
}

static void nowhere(const struct asked *q, int claim, const char *why)
{
	cannot_say(new_evidence(q, claim, "-"), xstrdup(why));
}

/* Too little data decides before any number does. */
static bool enough(struct evidence *e, const struct group *a, const struct group *b)
{
	const struct group *few = group_is(a, "random") ? a : b;

	if (b && group_is(a, "random") && group_is(b, "random") && b->n < a->n)
		few = b;
	if (isnan(e->x.value))
		cannot_say(e, xstrdup("not measured"));
	else if (e->domains < MIN_DOMAINS)
		cannot_say(e, xasprintf("too few domains: %d of %d", e->domains, MIN_DOMAINS));
	else if (few && group_is(few, "random") && few->n < MIN_SEEDS)
		cannot_say(e, xasprintf("too few random orders: %d of %d", few->n, MIN_SEEDS));
	else if (isnan(e->x.lo))
		cannot_say(e, xstrdup("no interval"));
	else
		return true;
	return false;
}

static void decide(struct evidence *e, enum side side, const struct group *a, const struct group *b)
{
	double lo = e->x.lo, hi = e->x.hi, margin = side == SAME ? MARGIN : 0;

	e->runs = b && b->n < a->n ? b->n : a->n;
	if (!enough(e, a, b))
		return;
	if (side == SAME ? lo > -margin && hi < margin : side == BELOW ? hi < 0 : lo > 0)
		e->verdict = VERDICT_CONFIRMED;
	else if (side == SAME ? lo > margin || hi < -margin : side == BELOW ? lo > 0 : hi < 0)
		e->verdict = VERDICT_REFUTED;
	else
		cannot_say(e, xstrdup(side == SAME ? "the interval is wider than 1 %" : "the interval holds 0"));
	if (e->runs > 1 || e->verdict == VERDICT_CANNOT_SAY)
		return;
	if (b && a->n != b->n)
		add_why(e, xasprintf("one run of %s: the interval knows nothing of its seeds", a->n == 1 ? a->name : b->name));
	else
		add_why(e, xasprintf("one run: the interval is over %s alone", e->unit == UNIT_POINTS ? "examples" : "domains"));
}

/* The effect in one group, or in a against b. */
static void ask(const struct asked *q, int claim, struct selection what, enum side side, const struct group *a, const struct group *b)
{
	char *where = b ? xasprintf("%s against %s", a->name, b->name) : xstrdup(a->name);
	struct evidence *e = new_evidence(q, claim, where);

	e->x = effect_of(q->x, what, a, b, &e->domains);
	if (what.effect == FORWARD || what.effect == BACKWARD_FAR) /* transfer is a gain, evidence a change */
		e->x = (struct interval){-e->x.value, -e->x.hi, -e->x.lo};
	decide(e, side, a, b);
	free(where);
}

static bool is_base(const struct group *g)
{
	return !strcmp(g->varied, "-");
}

/* Not one with other portions than usual. */
static bool is_similar(const struct group *g)
{
	return !strcmp(g->set[SET_ORDER], "similar");
}

static bool is_random(const struct group *g)
{
	return !strcmp(g->set[SET_ORDER], "random");
}

static int portion_at(const struct runs *s, const struct group *g, int step)
{
	const struct run *r = &s->v[g->run[0]];

	for (int d = 0; d < s->n_domains; d++)
		if (r->at[d] == step - 1)
			return s->portion_id[d];
	return -1;
}

static int first_portion(const struct runs *s, const struct group *g)
{
	return portion_at(s, g, 1);
}

/* The one with which the order by similarity ends; -1 if there is no such run, or one portion alone. */
static int second_portion(const struct runs *s)
{
	for (int i = 0; i < s->n_groups; i++)
		if (s->n_portions > 1 && is_similar(&s->group[i]))
			return portion_at(s, &s->group[i], s->n_domains);
	return -1;
}

#define ALL(e) ((struct selection){.effect = (e), .portion = -1})
#define EACH_GROUP(g, s) for (const struct group *g = (s)->group; g < (s)->group + (s)->n_groups; g++)

/* --- the questions ---------------------------------------------------------------------------------- */

static void ask_forgotten_first(const struct asked *q, const struct group *g)
{
	struct evidence *e = new_evidence(q, FIRST_FORGOTTEN, g->name);

	e->unit = UNIT_RHO;
	e->x = correlation_of(q->x, g, OUT_FORGETTING, BY_POSITION, SPEARMAN, &e->domains);
	decide(e, BELOW, g, NULL);
}

static void ask_saturation(const struct asked *q, const struct group *g)
{
	struct evidence *e = new_evidence(q, SATURATES, g->name);
	int n = q->x->runs->n_domains;

	e->unit = UNIT_STEPS;
	e->x = saturation_of(q->x, g);
	e->runs = g->n;
	e->domains = n;
	if (!enough(e, g, NULL))
		return;
	if (n < 2 * SATURATION)
		cannot_say(e, xasprintf("too few domains: %d of %d", n, 2 * SATURATION));
	else if (e->x.lo > SATURATION || e->x.hi < SATURATION)
		e->verdict = VERDICT_REFUTED;
	else if (e->x.lo >= SATURATION * 0.5 && e->x.hi <= SATURATION * 2)
		e->verdict = VERDICT_CONFIRMED;
	else
		cannot_say(e, xstrdup("the interval is wider than from half of 25 to its double"));
}

static void ask_reach(const struct asked *q, const struct group *g)
{
	int n = q->x->runs->n_domains, far = n - 1 < FAR ? n - 1 : FAR;
	struct evidence *e;

	ask(q, BACKWARD_REACH, (struct selection){BACKWARD_FAR, (far + 1) / 2, far, -1}, BELOW, g, NULL);
	e = &q->f->v[q->f->n - 1];
	if (far < FAR && e->verdict != VERDICT_CANNOT_SAY)
		add_why(e, xasprintf("with %d domains, %d to %d steps back", n, (far + 1) / 2, far));
}

/* --- arithmetic ------------------------------------------------------------------------------------- */

#define ARITHMETIC_TASK "arithmetic"

/* The last step in first..last for which there is a score; -1: none. */
static int last_scored(const struct runs *s, const struct group *g, int64_t shots, int first, int last)
{
	for (int k = last; k >= first; k--)
		if (along_score(s->v[g->run[0]].along, k, ARITHMETIC_TASK, shots))
			return k;
	return -1;
}

/* The smallest number of shots with which the task was asked of M0; -1: it was not. */
static int64_t fewest_shots(const struct runs *s, const struct group *g)
{
	int n;
	const struct along_score *v = along_scores(s->v[g->run[0]].along, &n);

	for (int i = 0; i < n && v[i].step == 0; i++)
		if (!strcmp(v[i].task, ARITHMETIC_TASK))
			return v[i].shots;
	return -1;
}

/* Falls, rises: a verdict on one half of the claim alone. */
static void decide_half(struct evidence *e, const struct score_change *c, enum side side, const struct group *g)
{
	e->unit = UNIT_POINTS;
	e->x = c->change;
	decide(e, side, g, NULL);
	e->runs = c->runs;
}

static void because_of_other(struct evidence *e, enum verdict verdict, const char *why)
{
	cannot_say(e, xstrdup(why));
	e->verdict = verdict;
}

/* Both halves must hold; one that is refuted refutes it. */
static void join_halves(struct evidence *a, struct evidence *b)
{
	struct evidence *half[] = {a, b};

	for (int i = 0; i < 2; i++) {
		struct evidence *e = half[i], *other = half[1 - i];

		if (e->verdict == VERDICT_REFUTED) {
			if (other->verdict != VERDICT_REFUTED)
				because_of_other(other, VERDICT_REFUTED, "it is the other half that is refuted");
			return;
		}
	}
	for (int i = 0; i < 2; i++)
		if (half[i]->verdict == VERDICT_CONFIRMED && half[1 - i]->verdict == VERDICT_CANNOT_SAY)
			because_of_other(half[i], VERDICT_CANNOT_SAY, "this half is so, but the other cannot be told");
}

static void ask_arithmetic(const struct asked *q, const struct group *g)
{
	const struct runs *s = q->x->runs;
	int n = steps_of_first_portion(s, g), at, end, first;
	int64_t shots = fewest_shots(s, g);
	struct score_change zero, fall, rise;
	char *where[2];

	if (shots < 0)
		return;
	at = last_scored(s, g, shots, 1, n);
	end = n ? last_scored(s, g, shots, n + 1, s->n_domains) : -1;
	if (at < 0 || end < 0) {
		cannot_say(new_evidence(q, ARITHMETIC, g->name),
		           xstrdup(n ? "no scores within each of the portions" : "not one portion after the other"));
		return;
	}
	zero = score_change_of(s, g, ARITHMETIC_TASK, shots, 0, 0);
	fall = score_change_of(s, g, ARITHMETIC_TASK, shots, 0, at);
	rise = score_change_of(s, g, ARITHMETIC_TASK, shots, at, end);
	where[0] = xasprintf("%s, M%d (%s) against M0", g->name, at, s->portion[portion_at(s, g, n)]);
	where[1] = xasprintf("%s, then M%d (%s) against M%d", g->name, end, s->portion[portion_at(s, g, end)], at);
	first = q->f->n;
	for (int i = 0; i < 2; i++) {
		struct evidence *e = new_evidence(q, ARITHMETIC, where[i]);

		e->domains = s->n_domains;
		decide_half(e, i ? &rise : &fall, i ? ABOVE : BELOW, g);
		free(where[i]);
	}
	if (!(zero.value - NORMAL_975 * zero.error > 0))
		for (int i = first; i < q->f->n; i++)
			cannot_say(&q->f->v[i],
			           xstrdup(isnan(zero.error) ? "no interval"
			                                     : "M0 does no better than chance: there is nothing to lose"));
	else
		join_halves(&q->f->v[first], &q->f->v[first + 1]);
}

static void ask_of_one_group(const struct asked *q, const struct group *g)
{
	int second = second_portion(q->x->runs);

	if (!is_base(g) || (!is_similar(g) && !is_random(g)))
		return;
	ask(q, LC_BEATS_ZS, ALL(LC_ZS), BELOW, g, NULL);
	ask_forgotten_first(q, g);
	if (is_similar(g)) {
		ask(q, CPT_BEATS_FT, ALL(CPT_FT), BELOW, g, NULL);
		ask_reach(q, g);
		ask(q, NO_FORWARD, ALL(FORWARD), ABOVE, g, NULL);
		ask_arithmetic(q, g);
	} else {
		if (second >= 0)
			ask(q, FORWARD_OTHER, (struct selection){FORWARD, 0, 0, second}, BELOW, g, NULL);
		ask_saturation(q, g);
	}
	if (!strcmp(g->family, "roberta"))
		ask(q, ROBERTA, ALL(LC_CPT), SAME, g, NULL);
	if (!strcmp(g->family, "llama"))
		ask(q, LLAMA, ALL(LC_ZS), ABOVE, g, NULL);
}

static void ask_of_models(const struct asked *q, const struct group *a, const struct group *b)
{
	if (!is_base(a) || (!is_similar(a) && !is_random(a)) || !groups_differ_in(a, b, SET_MODEL) || !(a->parameters < b->parameters))
		return;
	ask(q, SMALL_LEARNS, ALL(CPT_ZS), BELOW, a, b);
	if (!groups_same_tokens(q->x->runs, a, b))
		cannot_say(&q->f->v[q->f->n - 1], xstrdup("their tokenizers differ"));
	ask(q, SMALL_FORGETS, ALL(LC_CPT), ABOVE, a, b);
	if (!groups_same_tokens(q->x->runs, a, b))
		cannot_say(&q->f->v[q->f->n - 1], xstrdup("their tokenizers differ"));
}

static void ask_of_batches(const struct asked *q, const struct group *a, const struct group *b)
{
	double x, y;

	if (!groups_differ_in(a, b, SET_BATCH) || !parse_real(a->set[SET_BATCH], &x) || !parse_real(b->set[SET_BATCH], &y) || !(x < y))
		return;
	if (is_random(a)) {
		ask(q, BATCH_RANDOM, ALL(LC_ZS), SAME, a, b);
	} else if (is_similar(a)) {
		ask(q, BATCH_CPT, ALL(CPT_ZS), BELOW, a, b);
		ask(q, BATCH_LC, ALL(LC_ZS), ABOVE, a, b);
	}
}

static void ask_of_two_groups(const struct asked *q, const struct group *a, const struct group *b)
{
	const struct runs *s = q->x->runs;

	if (is_base(a) && is_random(a) && is_similar(b) && groups_differ_in(a, b, SET_ORDER))
		ask(q, RANDOM_LC, ALL(LC_ZS), BELOW, a, b);
	ask_of_models(q, a, b);
	ask_of_batches(q, a, b);
	if (!strcmp(a->set[SET_BALANCED], "yes") && (is_similar(a) || is_random(a)) && groups_differ_in(a, b, SET_BALANCED))
		ask(q, BALANCED, ALL(LC_ZS), ABOVE, a, b);
	if (is_base(a) && group_is(a, "similar") && !is_similar(a) && is_similar(b) && groups_differ_in(a, b, SET_ORDER) &&
	    first_portion(s, a) != first_portion(s, b))
		ask(q, SWAPPED, (struct selection){LC_ZS, 0, 0, first_portion(s, a)}, ABOVE, a, b);
}

static const char *missing(int claim)
{
	switch (claim) {
	case RANDOM_LC:
		return "not both orders, random and similar";
	case CPT_BEATS_FT:
	case BACKWARD_REACH:
	case NO_FORWARD:
		return "no run in the order similar";
	case FORWARD_OTHER:
		return "not both orders, random and similar, or one portion alone";
	case SATURATES:
		return "no run in a random order";
	case SMALL_LEARNS:
	case SMALL_FORGETS:
		return "no two models that differ in size alone";
	case BATCH_RANDOM:
	case BATCH_CPT:
	case BATCH_LC:
		return "no runs that differ in batch size alone";
	case BALANCED:
		return "no run on balanced data";
	case SWAPPED:
		return "no run with the portions swapped";
	case ROBERTA:
		return "no model of this family";
	case ARITHMETIC:
		return "no BIG-bench scores of arithmetic in an order by similarity";
	case LLAMA:
		return "no model of this family";
	default:
		return "no run in the orders similar or random";
	}
}

static int by_claim(const void *a, const void *b)
{
	const struct evidence *x = a, *y = b;

	if (x->claim != y->claim)
		return x->claim < y->claim ? -1 : 1;
	return strcmp(x->where, y->where);
}

struct findings *findings_of(const struct sample *x)
{
	struct findings *f = xcalloc(1, sizeof *f);
	struct asked q = {f, x};

	EACH_GROUP(a, x->runs) {
		ask_of_one_group(&q, a);
		EACH_GROUP(b, x->runs)
			ask_of_two_groups(&q, a, b);
	}
	for (int c = 0; claims[c].id; c++) {
		bool any = false;

		for (int i = 0; i < f->n; i++)
			any = any || f->v[i].claim == &claims[c];
		if (!any)
			nowhere(&q, c, missing(c));
	}
	qsort(f->v, (size_t)f->n, sizeof *f->v, by_claim);
	return f;
}

enum verdict findings_verdict(const struct findings *f, const struct claim *c)
{
	enum verdict all = VERDICT_CANNOT_SAY;

	for (int i = 0; i < f->n; i++) {
		enum verdict one = f->v[i].verdict;

		if (f->v[i].claim != c || one == VERDICT_CANNOT_SAY || one == all)
			continue;
		all = all == VERDICT_CANNOT_SAY ? one : VERDICT_MIXED;
	}
	return all;
}

void findings_free(struct findings *f)
{
	for (int i = 0; i < f->n; i++) {
		free(f->v[i].where);
		free(f->v[i].why);
	}
	free(f->v);
	free(f);
}
