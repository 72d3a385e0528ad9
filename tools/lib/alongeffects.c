#include "alongeffects.h"

#include <math.h>
#include <stdlib.h>

#include "checked.h"

const char *const rank_where_names[N_RANK_WHERE] = {"own", "end", "all", "seen", "ahead"};

/* --- classes of tokens ---------------------------------------------------------------------------- */

/* Of a domain in a run, each divided by the tokens of its text. NaN: not measured. */
struct class_cell {
	double part, tokens, whole;
};

enum of_class { OF_CHANGE, OF_PART, OF_WHOLE, OF_SHARE };

struct class_table {
	enum of_class what;
	int n_domains;
	struct class_cell *cell; /* (runs, n_domains) */
};

static struct class_cell class_cell_of(const struct run *r, enum effect effect, int class, int j)
{
	int from = effect == LC_CPT ? j + 1 : 0, to = effect == CPT_ZS ? j + 1 : r->m->n;
	const struct class_sums *a = along_classes(r->along, from, j), *b = along_classes(r->along, to, j);
	struct class_cell c = {NAN, NAN, NAN};
	double all = 0, part = 0, whole = 0, tokens = 0;

	for (int k = 0; a && b && k < TOKEN_CLASSES; k++) {
		all += (double)b[k].targets;
		whole += b[k].nll - a[k].nll;
		if (k == class || class == TOKEN_CLASSES) {
			part += b[k].nll - a[k].nll;
			tokens += (double)b[k].targets;
		}
	}
	if (all > 0)
		c = (struct class_cell){part / all, tokens / all, whole / all};
	return c;
}

/* Means over runs of means over domains, and then their ratio: a domain with few tokens of a class weighs little. */
static double class_of_draw(const struct draw *d, void *arg)
{
	const struct class_table *t = arg;
	struct class_cell mean = {0, 0, 0};
	int runs = 0;

	for (int i = 0; i < d->n_runs[0]; i++) {
		const struct class_cell *row = &t->cell[(size_t)d->run[0][i] * (size_t)t->n_domains];
		struct class_cell sum = {0, 0, 0};
		int n = 0;

		for (int k = 0; k < d->n_domains; k++) {
			const struct class_cell *c = &row[d->domain[k]];

			if (isnan(c->part))
				continue;
			sum.part += c->part;
			sum.tokens += c->tokens;
			sum.whole += c->whole;
			n++;
		}
		if (n) {
			mean.part += sum.part / n;
			mean.tokens += sum.tokens / n;
			mean.whole += sum.whole / n;
			runs++;
		}
	}
	switch (t->what) {
	case OF_PART:
		return runs ? mean.part / runs : NAN;
	case OF_WHOLE:
		return runs ? mean.whole / runs : NAN;
	case OF_SHARE:
		return mean.whole == 0 ? NAN : mean.part / mean.whole;
	default:
		return mean.tokens > 0 ? mean.part / mean.tokens : NAN;
	}
}

static struct interval class_interval(struct class_table *t, enum of_class what, const struct sample *x, const struct group *g)
{
	t->what = what;
	return stat_bootstrap(class_of_draw, t, (const int[]){g->n, 0}, t->n_domains, x->draws, x->seed);
}

/* And how many runs and domains have a number. */
static struct class_cell *class_cells(const struct runs *s, const struct group *g, enum effect effect, int class, int portion, int *runs,
                                      int *domains)
{
	struct class_cell *v = xcalloc((size_t)g->n * (size_t)s->n_domains, sizeof *v);
	bool *seen = xcalloc((size_t)s->n_domains, sizeof *seen);

	*runs = *domains = 0;
	for (int i = 0; i < g->n; i++) {
		bool any = false;

		for (int d = 0; d < s->n_domains; d++) {
			struct class_cell *c = &v[i * s->n_domains + d];
			const struct run *r = &s->v[g->run[i]];

			*c = portion >= 0 && s->portion_id[d] != portion ? (struct class_cell){NAN, NAN, NAN}
			                                                 : class_cell_of(r, effect, class, r->at[d]);
			if (isnan(c->part))
				continue;
			*domains += !seen[d];
			any = seen[d] = true;
		}
		*runs += any;
	}
	free(seen);
	return v;
}

struct class_change class_change_of(const struct sample *x, const struct group *g, enum effect effect, int class, int portion)
{
	const struct runs *s = x->runs;
	struct class_change c = {.share = {NAN, NAN, NAN}, .tokens = 0};
	struct class_table t = {.n_domains = s->n_domains};
	struct interval whole;
	int n = 0;

	t.cell = class_cells(s, g, effect, class, portion, &c.runs, &c.domains);
	for (int i = 0; i < g->n * s->n_domains; i++) {
		c.tokens += isnan(t.cell[i].tokens) ? 0 : t.cell[i].tokens;
		n += !isnan(t.cell[i].tokens);
	}
	c.tokens = n ? c.tokens / n : NAN;
	c.change = class_interval(&t, OF_CHANGE, x, g);
	c.part = class_interval(&t, OF_PART, x, g);
	whole = class == TOKEN_CLASSES ? c.part : class_interval(&t, OF_WHOLE, x, g);
	if (whole.lo > 0 || whole.hi < 0)
		c.share = class_interval(&t, OF_SHARE, x, g);
	if (c.runs == 1 && c.domains == 1) { /* a point, however it is resampled */
		c.change.lo = c.change.hi = c.part.lo = c.part.hi = NAN;
		c.share = (struct interval){NAN, NAN, NAN};
	}
	free(t.cell);
	return c;
}

/* --- ranks ---------------------------------------------------------------------------------------- */

struct rank_cell {
	double value, zero;
};

struct rank_table {
	int n_domains;
	struct rank_cell *cell; /* (runs, n_domains) */
};

static struct rank_cell mean_rank(const struct draw *d, const struct rank_table *t, int *runs)
{
	struct rank_cell mean = {0, 0};

	*runs = 0;
	for (int i = 0; i < d->n_runs[0]; i++) {
		const struct rank_cell *row = &t->cell[(size_t)d->run[0][i] * (size_t)t->n_domains];
		struct rank_cell sum = {0, 0};
		int n = 0;

		for (int k = 0; k < d->n_domains; k++)
			if (!isnan(row[d->domain[k]].value)) {
				sum.value += row[d->domain[k]].value;
				sum.zero += row[d->domain[k]].zero;
				n++;
			}
		if (n) {
			mean.value += sum.value / n;
			mean.zero += sum.zero / n;
			++*runs;
		}
	}
	return *runs ? (struct rank_cell){mean.value / *runs, mean.zero / *runs} : (struct rank_cell){NAN, NAN};
}

static double rank_change_of_draw(const struct draw *d, void *arg)
{
	int runs;
	struct rank_cell mean = mean_rank(d, arg, &runs);

	return mean.value - mean.zero;
}

static struct rank_cell rank_cell_of(const struct run *r, enum rank_where where, int step, int j, enum rank_tokens tokens,
                                     enum rank_measure measure)
{
	int own = j + 1, at = where == AT_END ? r->m->n : where == AT_OWN ? own : step;
	bool wanted = where == ON_ALL || (where == ON_SEEN ? own < step : where == ON_AHEAD ? own > step : !step || own == step);
	struct rank_cell c = {NAN, NAN};

	if (wanted)
		c = (struct rank_cell){along_rank(r->along, at, j, tokens, measure), along_rank(r->along, 0, j, tokens, measure)};
	return isnan(c.value) || isnan(c.zero) ? (struct rank_cell){NAN, NAN} : c;
}

struct rank_change rank_change_of(const struct sample *x, const struct group *g, enum rank_where where, int step,
                                  enum rank_tokens tokens, enum rank_measure measure)
{
	const struct runs *s = x->runs;
	bool one = step && (where == AT_OWN || where == AT_END); /* a single domain in each run, and another in each */
	struct rank_table t = {one ? 1 : s->n_domains, NULL};
	int *all = xcalloc((size_t)(g->n > s->n_domains ? g->n : s->n_domains) + 1, sizeof *all);
	struct draw everything = {{all, all}, {g->n, 0}, all, t.n_domains};
	struct rank_change c = {.change = {NAN, NAN, NAN}};
	struct rank_cell mean;

	t.cell = xcalloc((size_t)g->n * (size_t)t.n_domains, sizeof *t.cell);
	for (int d = 0; d < t.n_domains; d++) {
		bool any = false;

		for (int i = 0; i < g->n; i++) {
			const struct run *r = &s->v[g->run[i]];
			struct rank_cell *cell = &t.cell[i * t.n_domains + d];

			*cell = rank_cell_of(r, where, step, one ? step - 1 : r->at[d], tokens, measure);
			any = any || !isnan(cell->value);
		}
		c.domains += any;
	}
	for (int i = 0; i < g->n || i < s->n_domains; i++)
		all[i] = i;
	mean = mean_rank(&everything, &t, &c.runs);
	c.value = mean.value;
	c.zero = mean.zero;
	if (!isnan(c.value))
		c.change = stat_bootstrap(rank_change_of_draw, &t, (const int[]){g->n, 0}, t.n_domains, x->draws, x->seed);
	if (c.runs == 1 && c.domains == 1)
		c.change.lo = c.change.hi = NAN;
	free(t.cell);
	free(all);
	return c;
}

/* --- BIG-bench ------------------------------------------------------------------------------------ */

/* Sums over runs of a value, its square and its squared standard error. */
struct moments {
	double sum, squares, errors;
};

static void add_value(struct moments *m, double x, double squared_error)
{
	m->sum += x;
	m->squares += x * x;
	m->errors += squared_error;
}

/*
 * Runs are asked the same examples, so what is due to these does not become less with more runs: mean over runs of the
 * squared errors, and to it the squared standard error of the mean over runs.
 */
static double error_of_mean(const struct moments *m, int n)
{
	double mean = m->sum / n, variance = n > 1 ? (m->squares - n * mean * mean) / (n - 1) : 0;

	return sqrt(m->errors / n + (variance > 0 ? variance / n : 0));
}

struct score_change score_change_of(const struct runs *s, const struct group *g, const char *task, int64_t shots, int from, int step)
{
	struct score_change c = {NAN, NAN, NAN, {NAN, NAN, NAN}, 0, NULL};
	struct moments value = {0}, change = {0}, before = {0};
	double half;

	for (int i = 0; i < g->n; i++) {
		const struct along *along = s->v[g->run[i]].along;
		const struct along_score *a = along_score(along, from, task, shots), *b = along_score(along, step, task, shots);

		if (!a || !b)
			continue;
		c.what = b;
		c.runs++;
		add_value(&value, b->normalized, b->error * b->error);
		add_value(&before, a->normalized, 0);
		add_value(&change, b->normalized - a->normalized, a == b ? 0 : a->error * a->error + b->error * b->error);
	}
	if (!c.runs)
		return c;
	c.value = value.sum / c.runs;
	c.error = error_of_mean(&value, c.runs);
	c.from = before.sum / c.runs;
	half = NORMAL_975 * error_of_mean(&change, c.runs);
	c.change = (struct interval){change.sum / c.runs, change.sum / c.runs - half, change.sum / c.runs + half};
	return c;
}
