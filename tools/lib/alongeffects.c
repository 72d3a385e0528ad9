#include "alongeffects.h"

#include <math.h>
#include <stdlib.h>

#include "checked.h"

const char *const rank_where_names[N_RANK_WHERE] = {"own", "end", "all", "seen", "ahead"};

/* Values of each domain in each run, (runs, n_domains, width). NaN in the first of them: not measured. */
struct values {
	int n_domains, width;
	double *v;
};

enum { MAX_WIDTH = 3 };

static double *values_of(const struct values *t, int run, int domain)
{
	return &t->v[((size_t)run * (size_t)t->n_domains + (size_t)domain) * (size_t)t->width];
}

/* Sums over the runs drawn of the means over the domains drawn. Returns how many of the runs have any. */
static int sum_of_means(const struct draw *d, const struct values *t, double out[MAX_WIDTH])
{
	int runs = 0;

	for (int w = 0; w < t->width; w++)
		out[w] = 0;
	for (int i = 0; i < d->n_runs[0]; i++) {
		double sum[MAX_WIDTH] = {0};
		int n = 0;

		for (int k = 0; k < d->n_domains; k++) {
			const double *v = values_of(t, d->run[0][i], d->domain[k]);

			if (isnan(v[0]))
				continue;
			for (int w = 0; w < t->width; w++)
				sum[w] += v[w];
			n++;
		}
		if (!n)
			continue;
		for (int w = 0; w < t->width; w++)
			out[w] += sum[w] / n;
		runs++;
	}
	return runs;
}

/* The same of all runs and domains. */
static int sum_of_all(int n_runs, const struct values *t, double out[MAX_WIDTH])
{
	int n = n_runs > t->n_domains ? n_runs : t->n_domains, *all = xcalloc((size_t)n, sizeof *all), runs;
	struct draw everything = {{all, all}, {n_runs, 0}, all, t->n_domains};

	for (int i = 0; i < n; i++)
		all[i] = i;
	runs = sum_of_means(&everything, t, out);
	free(all);
	return runs;
}

/* --- classes of tokens ---------------------------------------------------------------------------- */

/* Of a domain in a run, each divided by the tokens of its text. */
enum { PART, TOKENS, WHOLE, N_OF_CLASS };

enum of_class { OF_CHANGE, OF_PART, OF_WHOLE, OF_SHARE };

struct class_table {
	enum of_class what;
	struct values values; /* N_OF_CLASS wide */
};

static void put_class_values(double v[N_OF_CLASS], const struct run *r, enum effect effect, int class, int j)
{
	int from = effect == LC_CPT ? j + 1 : 0, to = effect == CPT_ZS ? j + 1 : r->m->n;
	const struct class_sums *a = along_classes(r->along, from, j), *b = along_classes(r->along, to, j);
	double all = 0, part = 0, whole = 0, tokens = 0;

	for (int k = 0; a && b && k < TOKEN_CLASSES; k++) {
		all += (double)b[k].targets;
		whole += b[k].nll - a[k].nll;
		if (k == class || class == TOKEN_CLASSES) {
			part += b[k].nll - a[k].nll;
			tokens += (double)b[k].targets;
		}
	}
	v[PART] = all > 0 ? part / all : NAN;
	v[TOKENS] = all > 0 ? tokens / all : NAN;
	v[WHOLE] = all > 0 ? whole / all : NAN;
}

/* Means over runs of means over domains, and then their ratio: a domain with few tokens of a class weighs little. */
static double class_of_draw(const struct draw *d, void *arg)
{
	const struct class_table *t = arg;
	double sum[MAX_WIDTH];
	int runs = sum_of_means(d, &t->values, sum);

	switch (t->what) {
	case OF_PART:
		return runs ? sum[PART] / runs : NAN;
	case OF_WHOLE:
		return runs ? sum[WHOLE] / runs : NAN;
	case OF_SHARE:
		return sum[WHOLE] == 0 ? NAN : sum[PART] / sum[WHOLE];
	default:
		return sum[TOKENS] > 0 ? sum[PART] / sum[TOKENS] : NAN;
	}
}

static struct interval class_interval(struct class_table *t, enum of_class what, const struct sample *x, const struct group *g)
{
	t->what = what;
	return stat_bootstrap(class_of_draw, t, (const int[]){g->n, 0}, t->values.n_domains, x->draws, x->seed);
}

/* And how many runs and domains have a number. */
static struct values class_values(const struct runs *s, const struct group *g, enum effect effect, int class, int portion, int *runs,
                                  int *domains)
{
	struct values t = {s->n_domains, N_OF_CLASS, xcalloc((size_t)g->n * (size_t)s->n_domains * N_OF_CLASS, sizeof *t.v)};
	bool *seen = xcalloc((size_t)s->n_domains, sizeof *seen);

	*runs = *domains = 0;
	for (int i = 0; i < g->n; i++) {
		bool any = false;

		for (int d = 0; d < s->n_domains; d++) {
			double *v = values_of(&t, i, d);
			const struct run *r = &s->v[g->run[i]];

			v[PART] = NAN;
			if (portion < 0 || s->portion_id[d] == portion)
				put_class_values(v, r, effect, class, r->at[d]);
			if (isnan(v[PART]))
				continue;
			*domains += !seen[d];
			any = seen[d] = true;
		}
		*runs += any;
	}
	free(seen);
	return t;
}

struct class_change class_change_of(const struct sample *x, const struct group *g, enum effect effect, int class, int portion)
{
	const struct runs *s = x->runs;
	struct class_change c = {.share = {NAN, NAN, NAN}};
	struct class_table t = {.values = class_values(s, g, effect, class, portion, &c.runs, &c.domains)};
	struct interval whole;
	double sum[MAX_WIDTH];
	int n = sum_of_all(g->n, &t.values, sum);

	c.tokens = n ? sum[TOKENS] / n : NAN;
	c.change = class_interval(&t, OF_CHANGE, x, g);
	c.part = class_interval(&t, OF_PART, x, g);
	whole = class == TOKEN_CLASSES ? c.part : class_interval(&t, OF_WHOLE, x, g);
	if (whole.lo > 0 || whole.hi < 0)
		c.share = class_interval(&t, OF_SHARE, x, g);
	if (c.runs == 1 && c.domains == 1) { /* a point, however it is resampled */
		c.change.lo = c.change.hi = c.part.lo = c.part.hi = NAN;
		c.share = (struct interval){NAN, NAN, NAN};
	}
	free(t.values.v);
	return c;
}

/* --- ranks ---------------------------------------------------------------------------------------- */

enum { NOW, ZERO, N_OF_RANK }; /* of a model, and of M0 */

static double rank_change_of_draw(const struct draw *d, void *arg)
{
	double sum[MAX_WIDTH];
	int runs = sum_of_means(d, arg, sum);

	return runs ? sum[NOW] / runs - sum[ZERO] / runs : NAN;
}

static void put_ranks(double v[N_OF_RANK], const struct run *r, enum rank_where where, int step, int j, enum rank_tokens tokens,
                      enum rank_measure measure)
{
	int own = j + 1, at = where == AT_END ? r->m->n : where == AT_OWN ? own : step;
	bool wanted = where == ON_ALL || (where == ON_SEEN ? own < step : where == ON_AHEAD ? own > step : !step || own == step);

	v[NOW] = wanted ? along_rank(r->along, at, j, tokens, measure) : NAN;
	v[ZERO] = wanted ? along_rank(r->along, 0, j, tokens, measure) : NAN;
	if (isnan(v[ZERO]))
		v[NOW] = NAN;
}

struct rank_change rank_change_of(const struct sample *x, const struct group *g, enum rank_where where, int step,
                                  enum rank_tokens tokens, enum rank_measure measure)
{
	const struct runs *s = x->runs;
	bool one = step && (where == AT_OWN || where == AT_END); /* a single domain in each run, and another in each */
	struct values t = {one ? 1 : s->n_domains, N_OF_RANK, NULL};
	struct rank_change c = {NAN, NAN, .change = {NAN, NAN, NAN}};
	double sum[MAX_WIDTH];

	t.v = xcalloc((size_t)g->n * (size_t)t.n_domains * N_OF_RANK, sizeof *t.v);
	for (int d = 0; d < s->n_domains; d++) {
		bool any = false;

		for (int i = 0; i < g->n; i++) {
			const struct run *r = &s->v[g->run[i]];
			double *v = values_of(&t, i, one ? 0 : d);

			if (one && r->at[d] != step - 1)
				continue;
			put_ranks(v, r, where, step, r->at[d], tokens, measure);
			any = any || !isnan(v[NOW]);
		}
		c.domains += any;
	}
	c.runs = sum_of_all(g->n, &t, sum);
	if (c.runs) {
		c.value = sum[NOW] / c.runs;
		c.zero = sum[ZERO] / c.runs;
		c.change = stat_bootstrap(rank_change_of_draw, &t, (const int[]){g->n, 0}, t.n_domains, x->draws, x->seed);
	}
	if (c.runs == 1 && c.domains == 1)
		c.change.lo = c.change.hi = NAN;
	free(t.v);
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
