#include "effects.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"

#define SATURATED 0.95

const char *const outcome_names[N_OUTCOMES] = {"forgetting", "backward", "forward"};
const char *const predictor_names[N_PREDICTORS] = {"position", "size", "similarity-to-base", "similarity-to-previous"};

/* --- cells ------------------------------------------------------------------------------------------ */

/* A domain's cells in a run: their sum and number. */
struct cells {
	double sum;
	int n;
};

static void add(struct cells *c, double value)
{
	if (isnan(value))
		return;
	c->sum += value;
	c->n++;
}

static double change(const struct matrix *m, int from, int to, int j)
{
	return from > m->n || to > m->n ? NAN : *matrix_at(m, to, j) - *matrix_at(m, from, j);
}

/* Gains over zero-shot after the steps first..last that are on the given side of the domain's own. */
static void add_gains(struct cells *c, const struct matrix *m, int j, int first, int last, bool backward)
{
	for (int k = first < 1 ? 1 : first; k <= last && k <= m->n; k++)
		if (backward ? k > j + 1 : k < j + 1)
			add(c, -matrix_change(m, k, j));
}

static struct cells cells_of(const struct runs *s, const struct run *r, struct selection what, int domain)
{
	const struct matrix *m = r->m;
	int j = r->at[domain], own = j + 1, step = 0, n = m->n;
	struct cells c = {0};

	if (what.portion >= 0 && s->portion_id[domain] != what.portion)
		return c;
	switch (what.effect) {
	case FT_ZS:
		add(&c, m->domain[j].ft - matrix_zs(m, j));
		break;
	case CPT_ZS:
		add(&c, change(m, 0, own, j));
		break;
	case CPT_FT:
		add(&c, matrix_cpt(m, j) - m->domain[j].ft);
		break;
	case LC_ZS:
		add(&c, change(m, 0, n, j));
		break;
	case LC_CPT:
		add(&c, change(m, own, n, j));
		break;
	case LC_BEST:
		add(&c, matrix_lc(m, j) - log(matrix_best(m, j, 0, &step)));
		break;
	case BACKWARD:
	case FORWARD:
		add_gains(&c, m, j, 1, n, what.effect == BACKWARD);
		break;
	case FORWARD_ACROSS:
		for (int k = 1; k < own; k++)
			if (m->domain[k - 1].portion_id != m->domain[j].portion_id)
				add(&c, -matrix_change(m, k, j));
		break;
	case BACKWARD_FAR:
		add_gains(&c, m, j, own + what.a, own + what.b, true);
		break;
	case AT_DISTANCE:
		if (own + what.a >= 1 && own + what.a <= n)
			add(&c, -matrix_change(m, own + what.a, j));
		break;
	case BACKWARD_AFTER:
	case FORWARD_AFTER:
		add_gains(&c, m, j, what.a, what.a, what.effect == BACKWARD_AFTER);
		break;
	case BACKWARD_BEYOND:
		add_gains(&c, m, j, what.a + 1, n, true);
		break;
	case SWITCH:
		add(&c, change(m, own, own + 1, j));
		break;
	case SWITCH_PORTION:
		if (own < n && m->domain[own].portion_id != m->domain[j].portion_id)
			add(&c, change(m, own, own + 1, j));
		break;
	case REGAIN:
		add(&c, change(m, own + 1, own + 2, j));
		break;
	case N_EFFECTS:
		break;
	}
	return c;
}

double effect_on(const struct runs *s, const struct run *r, struct selection what, int domain)
{
	struct cells c = cells_of(s, r, what, domain);

	return c.n ? c.sum / c.n : NAN;
}

/* (runs of each group, n_domains) */
struct tables {
	int n_domains;
	struct cells *cells[STAT_GROUPS];
};

static double mean_of_group(const struct tables *t, const struct draw *d, int g)
{
	double total = 0;
	int n = 0;

	for (int i = 0; i < d->n_runs[g]; i++) {
		const struct cells *row = &t->cells[g][(size_t)d->run[g][i] * (size_t)t->n_domains];
		struct cells c = {0};

		for (int k = 0; k < d->n_domains; k++) {
			c.sum += row[d->domain[k]].sum;
			c.n += row[d->domain[k]].n;
		}
		if (c.n) {
			total += c.sum / c.n;
			n++;
		}
	}
	return n ? total / n : NAN;
}

static double mean_of_draw(const struct draw *d, void *arg)
{
	const struct tables *t = arg;
	double a = mean_of_group(t, d, 0);

	return d->n_runs[1] ? a - mean_of_group(t, d, 1) : a;
}

static struct cells *table_of(const struct runs *s, struct selection what, const struct group *g)
{
	struct cells *v = xcalloc((size_t)g->n * (size_t)s->n_domains, sizeof *v);

	for (int i = 0; i < g->n; i++)
		for (int d = 0; d < s->n_domains; d++)
			v[i * s->n_domains + d] = cells_of(s, &s->v[g->run[i]], what, d);
	return v;
}

static bool any_cell(const struct cells *v, const struct group *g, int n_domains, int d)
{
	for (int i = 0; i < g->n; i++)
		if (v[i * n_domains + d].n)
			return true;
	return false;
}

/* Leaves the domains that both have. Returns how many. */
static int take_common(struct tables *t, const struct group *a, const struct group *b)
{
	int common = 0;

	for (int d = 0; d < t->n_domains; d++) {
		bool both = any_cell(t->cells[0], a, t->n_domains, d) && (!b || any_cell(t->cells[1], b, t->n_domains, d));

		for (int i = 0; !both && i < a->n; i++)
			t->cells[0][i * t->n_domains + d] = (struct cells){0};
		for (int i = 0; !both && b && i < b->n; i++)
			t->cells[1][i * t->n_domains + d] = (struct cells){0};
		common += both;
	}
	return common;
}

struct interval effect_of(const struct sample *x, struct selection what, const struct group *a, const struct group *b, int *n_domains)
{
	const struct runs *s = x->runs;
	struct tables t = {s->n_domains, {table_of(s, what, a), b ? table_of(s, what, b) : NULL}};
	int domains = take_common(&t, a, b);
	struct interval out = stat_bootstrap(mean_of_draw, &t, (const int[]){a->n, b ? b->n : 0}, s->n_domains, x->draws, x->seed);

	if (domains == 1 && a->n == 1 && (!b || b->n == 1)) /* a point, however it is resampled */
		out.lo = out.hi = NAN;
	if (n_domains)
		*n_domains = domains;
	free(t.cells[0]);
	free(t.cells[1]);
	return out;
}

/* --- saturation ------------------------------------------------------------------------------------- */

struct curves {
	const struct sample *x;
	const struct group *g;
};

static double saturation_of_draw(const struct draw *d, void *arg)
{
	const struct curves *c = arg;
	const struct runs *s = c->x->runs;
	double total = 0;
	int n = 0;

	for (int i = 0; i < d->n_runs[0]; i++) {
		const struct run *r = &s->v[c->g->run[d->run[0][i]]];
		double best = 0, gain;
		int step = 0;

		for (int pass = 0; pass < 2; pass++)
			for (int k = 2; k <= s->n_domains && !step; k++) {
				struct cells sum = {0};

				for (int j = 0; j < d->n_domains; j++)
					if (r->at[d->domain[j]] + 1 < k)
						add(&sum, -matrix_change(r->m, k, r->at[d->domain[j]]));
				gain = sum.n ? sum.sum / sum.n : NAN;
				if (pass == 0 && gain > best)
					best = gain;
				if (pass == 1 && best > 0 && gain >= SATURATED * best)
					step = k;
			}
		total += step;
		n += step > 0;
	}
	return n ? total / n : NAN;
}

/* After every step on some domain trained before. */
static bool backward_is_known(const struct matrix *m)
{
	for (int k = 2; k <= m->n; k++) {
		struct cells all = {0};

		for (int j = 0; j < k - 1; j++)
			add(&all, matrix_change(m, k, j));
		if (!all.n)
			return false;
	}
	return true;
}

struct interval saturation_of(const struct sample *x, const struct group *g)
{
	struct curves c = {x, g};

	for (int i = 0; i < g->n; i++)
		if (!backward_is_known(x->runs->v[g->run[i]].m))
			return (struct interval){NAN, NAN, NAN};
	return stat_bootstrap(saturation_of_draw, &c, (const int[]){g->n, 0}, x->runs->n_domains, x->draws, x->seed);
}

/* --- correlations ----------------------------------------------------------------------------------- */

struct points {
	int n_domains, n_runs, n_others;
	enum correlation how;
	double *y, *by, *other[N_PREDICTORS]; /* (n_runs, n_domains) */
	double *draw[N_PREDICTORS + 2];       /* (n_domains) of one run, without NaN */
};

double similarity_to_previous(const struct matrix *m, int j)
{
	return j ? m->domain[j].cosine : NAN;
}

double size_in(const struct runs *s, const struct run *r, int domain)
{
	return strcmp(r->set[SET_BALANCED], "yes") ? s->size[domain] : NAN;
}

static double predictor_of(const struct runs *s, const struct run *r, enum predictor by, int domain)
{
	switch (by) {
	case BY_POSITION:
		return r->at[domain] + 1;
	case BY_SIZE:
		return size_in(s, r, domain);
	case BY_SIMILARITY:
		return s->similarity[domain];
	default:
		return similarity_to_previous(r->m, r->at[domain]);
	}
}

/* The last domain has no time to forget, and so on: where there is no cell there is no point. */
static double outcome_of(const struct runs *s, const struct run *r, enum outcome y, int domain)
{
	static const enum effect effect[N_OUTCOMES] = {LC_CPT, BACKWARD, FORWARD};

	if (y == OUT_FORGETTING && r->at[domain] == r->m->n - 1)
		return NAN;
	return effect_on(s, r, (struct selection){.effect = effect[y], .portion = -1}, domain);
}

static bool is_point(const struct points *p, size_t at)
{
	bool known = !isnan(p->y[at]) && !isnan(p->by[at]);

	for (int o = 0; o < p->n_others; o++)
		known = known && !isnan(p->other[o][at]);
	return known;
}

static double correlation_of_draw(const struct draw *d, void *arg)
{
	struct points *p = arg;
	double total = 0;
	int runs = 0;

	for (int i = 0; i < d->n_runs[0]; i++) {
		size_t row = (size_t)d->run[0][i] * (size_t)p->n_domains;
		double *y = p->draw[0], *by = p->draw[1], r;
		int n = 0;

		for (int k = 0; k < d->n_domains; k++) {
			size_t at = row + (size_t)d->domain[k];

			if (!is_point(p, at))
				continue;
			for (int o = 0; o < p->n_others; o++)
				p->draw[2 + o][n] = p->other[o][at];
			y[n] = p->y[at];
			by[n++] = p->by[at];
		}
		r = p->how == SPEARMAN  ? stat_spearman(y, by, n)
		  : p->how == KENDALL ? stat_kendall(y, by, n)
		                      : stat_partial(y, by, (const double *const *)&p->draw[2], p->n_others, n);
		if (!isnan(r)) {
			total += r;
			runs++;
		}
	}
	return runs ? total / runs : NAN;
}

static double *predictor_table(const struct runs *s, const struct group *g, enum predictor by, bool *any)
{
	double *v = xcalloc((size_t)g->n * (size_t)s->n_domains, sizeof *v);

	*any = false;
	for (int i = 0; i < g->n; i++)
		for (int d = 0; d < s->n_domains; d++) {
			double x = v[i * s->n_domains + d] = predictor_of(s, &s->v[g->run[i]], by, d);

			*any = *any || !isnan(x);
		}
	return v;
}

struct interval correlation_of(const struct sample *x, const struct group *g, enum outcome y, enum predictor by,
                               enum correlation how, int *n_domains)
{
	const struct runs *s = x->runs;
	struct points p = {.n_domains = s->n_domains, .n_runs = g->n, .how = how};
	struct interval out;
	bool any;

	p.by = predictor_table(s, g, by, &any);
	p.y = xcalloc((size_t)g->n * (size_t)s->n_domains, sizeof *p.y);
	for (int i = 0; i < g->n; i++)
		for (int d = 0; d < s->n_domains; d++)
			p.y[i * s->n_domains + d] = outcome_of(s, &s->v[g->run[i]], y, d);
	for (int o = 0; how == PARTIAL && o < N_PREDICTORS; o++) {
		double *v = (enum predictor)o == by ? NULL : predictor_table(s, g, o, &any);

		if (v && any)
			p.other[p.n_others++] = v;
		else
			free(v);
	}
	*n_domains = 0;
	for (int d = 0; d < s->n_domains; d++) {
		bool any_run = false;

		for (int i = 0; i < g->n; i++)
			any_run = any_run || is_point(&p, (size_t)i * (size_t)s->n_domains + (size_t)d);
		*n_domains += any_run;
	}
	for (int i = 0; i < N_PREDICTORS + 2; i++)
		p.draw[i] = xcalloc((size_t)s->n_domains, sizeof *p.draw[i]);
	out = stat_bootstrap(correlation_of_draw, &p, (const int[]){g->n, 0}, s->n_domains, x->draws, x->seed);
	for (int i = 0; i < N_PREDICTORS + 2; i++)
		free(p.draw[i]);
	for (int o = 0; o < p.n_others; o++)
		free(p.other[o]);
	free(p.y);
	free(p.by);
	return out;
}

/* --- half-lives ------------------------------------------------------------------------------------- */

double half_life(const struct run *r, int domain, int *ended)
{
	const struct matrix *m = r->m;
	int j = r->at[domain], own = j + 1;
	double gain = -matrix_change(m, own, j), before = gain;

	*ended = 0;
	if (!(gain > 0) || own == m->n)
		return NAN;
	for (int k = own + 1; k <= m->n; k++) {
		double now = -matrix_change(m, k, j);

		if (isnan(now))
			return k - 1 - own > 0 ? k - 1 - own : NAN;
		if (now <= gain / 2) {
			*ended = 1;
			return k - 1 - own + (before - gain / 2) / (before - now);
		}
		before = now;
	}
	return m->n - own;
}

struct lives {
	int n_domains;
	double *time; /* (runs, n_domains) */
	int *ended;
	double *draw_time;
	int *draw_ended;
};

static double median_of_draw(const struct draw *d, void *arg)
{
	struct lives *l = arg;
	int n = 0;

	for (int i = 0; i < d->n_runs[0]; i++)
		for (int k = 0; k < d->n_domains; k++) {
			size_t at = (size_t)d->run[0][i] * (size_t)l->n_domains + (size_t)d->domain[k];

			if (isnan(l->time[at]))
				continue;
			l->draw_time[n] = l->time[at];
			l->draw_ended[n++] = l->ended[at];
		}
	return stat_km_median(l->draw_time, l->draw_ended, n);
}

struct interval half_life_of(const struct sample *x, const struct group *g, int *n, int *n_ended)
{
	const struct runs *s = x->runs;
	size_t cells = (size_t)g->n * (size_t)s->n_domains;
	struct lives l = {s->n_domains, xcalloc(cells, sizeof *l.time), xcalloc(cells, sizeof *l.ended),
	                  xcalloc(cells, sizeof *l.time), xcalloc(cells, sizeof *l.ended)};
	struct interval out;

	*n = *n_ended = 0;
	for (int i = 0; i < g->n; i++)
		for (int d = 0; d < s->n_domains; d++) {
			int at = i * s->n_domains + d;

			l.time[at] = half_life(&s->v[g->run[i]], d, &l.ended[at]);
			*n += !isnan(l.time[at]);
			*n_ended += !isnan(l.time[at]) && l.ended[at];
		}
	out = stat_bootstrap(median_of_draw, &l, (const int[]){g->n, 0}, s->n_domains, x->draws, x->seed);
	free(l.time);
	free(l.ended);
	free(l.draw_time);
	free(l.draw_ended);
	return out;
}
