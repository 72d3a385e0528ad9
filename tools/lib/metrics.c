#include "metrics.h"

#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "checked.h"
#include "json.h"
#include "options.h"
#include "table.h"
#include "tsv.h"

#define SATURATED 0.95 /* of the highest backward transfer: BWD.saturation */

const struct measure measures[] = {
	{"ZS.ppl", "perplexity", BETTER_LOWER, "zero-shot: mean perplexity of M0, before any training"},
	{"FT.ppl", "perplexity", BETTER_LOWER, "fine-tuned: mean perplexity of M0 trained on that domain alone"},
	{"CPT.ppl", "perplexity", BETTER_LOWER, "mean perplexity of a domain right after its own step"},
	{"LC.ppl", "perplexity", BETTER_LOWER, "last checkpoint: mean perplexity after the whole sequence"},
	{"ZS.log", "nats", BETTER_LOWER, "mean log-perplexity of M0"},
	{"FT.log", "nats", BETTER_LOWER, "mean log-perplexity of M0 trained on that domain alone"},
	{"CPT.log", "nats", BETTER_LOWER, "mean log-perplexity of a domain right after its own step"},
	{"LC.log", "nats", BETTER_LOWER, "mean log-perplexity after the whole sequence"},
	{"FT-ZS", "nats", BETTER_LOWER, "what training on the domain alone changes"},
	{"CPT-ZS", "nats", BETTER_LOWER, "what was changed by the time a domain has had its own step"},
	{"CPT-FT", "nats", BETTER_LOWER, "what the domains before it add to training on the domain alone"},
	{"LC-ZS", "nats", BETTER_LOWER, "what the whole sequence changes"},
	{"FG.cpt", "nats", BETTER_LOWER, "forgetting: last checkpoint against right after the domain's own step"},
	{"FG.cpt.ppl", "perplexity", BETTER_LOWER, "the same as a difference of perplexities"},
	{"FG.best", "nats", BETTER_LOWER, "forgetting: last checkpoint against the best checkpoint before it, M0 included"},
	{"FG.best.ppl", "perplexity", BETTER_LOWER, "the same as a difference of perplexities"},
	{"BWD", "nats", BETTER_HIGHER, "backward transfer: gain over zero-shot on domains trained before, over all checkpoints"},
	{"BWD.within", "nats", BETTER_HIGHER, "backward transfer to domains of the same portion"},
	{"BWD.across", "nats", BETTER_HIGHER, "backward transfer to domains of other portions"},
	{"BWD.positive", "share", BETTER_HIGHER, "share of backward cells that are better than zero-shot"},
	{"BWD.reach", "steps", BETTER_HIGHER, "largest distance up to which mean backward transfer stays positive"},
	{"BWD.saturation", "steps", BETTER_NEITHER,
	 "first step at which mean backward transfer reaches 95 % of its highest value"},
	{"FWD", "nats", BETTER_HIGHER, "forward transfer: gain over zero-shot on domains not trained yet, over all checkpoints"},
	{"FWD.within", "nats", BETTER_HIGHER, "forward transfer to domains of the same portion"},
	{"FWD.across", "nats", BETTER_HIGHER, "forward transfer to domains of other portions"},
	{"FWD.positive", "share", BETTER_HIGHER, "share of forward cells that are better than zero-shot"},
	{"ACC", "nats", BETTER_HIGHER, "mean score (minus log-perplexity) at the end"},
	{"BWT", "nats", BETTER_HIGHER, "backward transfer as GEM defines it: score at the end against right after the own step"},
	{"FWT", "nats", BETTER_HIGHER, "forward transfer as GEM defines it: score right before the own step against zero-shot"},
	{"forgetting", "nats", BETTER_LOWER, "as RWalk defines it: best score after an earlier step against the end"},
	{"intransigence", "nats", BETTER_LOWER, "as RWalk defines it: score of FT against right after the own step"},
	{"TIC.below", "nats", BETTER_LOWER, "mean log-perplexity below the diagonal: domains trained before"},
	{"TIC.diagonal", "nats", BETTER_LOWER, "mean log-perplexity on the diagonal: the domain just trained"},
	{"TIC.above", "nats", BETTER_LOWER, "mean log-perplexity above the diagonal: domains not trained yet"},
	{NULL, NULL, BETTER_NEITHER, NULL},
};

const struct summary_row summary_rows[4] = {
	{"ZS", "ZS.ppl", NULL, "before any training"},
	{"FT", "FT.ppl", "FT-ZS", "trained on that domain alone"},
	{"CPT", "CPT.ppl", "CPT-ZS", "right after the domain's own step"},
	{"LC", "LC.ppl", "LC-ZS", "after the whole sequence"},
};

double percent(double change)
{
	return 100 * expm1(change);
}

char *ppl_text(char *text, double ppl)
{
	if (isnan(ppl))
		return strcpy(text, "-");
	snprintf(text, 32, fabs(ppl) < 1e5 ? "%.2f" : "%.4g", ppl);
	return text;
}

char *change_text(char *text, double change)
{
	double x = percent(change);

	if (isnan(x))
		return strcpy(text, "-");
	snprintf(text, 32, fabs(x) < 0.05 ? "0.0 %%" : fabs(x) < 1e5 ? "%+.1f %%" : "%+.4g %%", x);
	return text;
}

void mean_add(struct mean *x, double value)
{
	x->of++;
	if (isnan(value))
		return;
	x->n++;
	x->sum += value;
	x->squares += value * value;
}

double mean_value(const struct mean *x)
{
	return x->n ? x->sum / x->n : NAN;
}

double mean_deviation(const struct mean *x)
{
	return x->n < 2 ? NAN : sqrt(fmax(0, (x->squares - x->sum * x->sum / x->n) / (x->n - 1)));
}

/* --- transfer ------------------------------------------------------------------------------------- */

/* Cells of domains outside the portion (-1: none is) are left out. */
static void add_transfer(struct transfer *t, const struct matrix *m, int k, int j, int portion)
{
	double gain = -matrix_change(m, k, j);
	bool within = m->domain[j].portion_id == m->domain[k - 1].portion_id;

	if (portion >= 0 && m->domain[j].portion_id != portion)
		return;
	mean_add(&t->all, gain);
	if (j < k - 1) {
		mean_add(&t->backward, gain);
		mean_add(within ? &t->backward_within : &t->backward_across, gain);
	} else if (j > k - 1) {
		mean_add(&t->forward, gain);
		mean_add(within ? &t->forward_within : &t->forward_across, gain);
	}
}

static struct transfer transfer_of(const struct matrix *m, int first, int last, int portion)
{
	struct transfer t = {0};

	for (int k = first; k <= last; k++)
		for (int j = 0; j < m->n; j++)
			add_transfer(&t, m, k, j, portion);
	return t;
}

struct transfer transfer_after(const struct matrix *m, int k)
{
	return transfer_of(m, k, k, -1);
}

static struct mean transfer_at_in(const struct matrix *m, int distance, int portion)
{
	struct mean x = {0};

	for (int k = 1; k <= m->n; k++) {
		int j = k - distance - 1;

		if (j >= 0 && j < m->n && (portion < 0 || m->domain[j].portion_id == portion))
			mean_add(&x, -matrix_change(m, k, j));
	}
	return x;
}

struct mean transfer_at(const struct matrix *m, int distance)
{
	return transfer_at_in(m, distance, -1);
}

struct transfer transfer_between(const struct matrix *m, int trained_l1, int other_l1)
{
	struct transfer t = {0};

	for (int k = 1; k <= m->n; k++)
		for (int j = 0; j < m->n && m->domain[k - 1].l1_id == trained_l1; j++)
			if (m->domain[j].l1_id == other_l1)
				add_transfer(&t, m, k, j, -1);
	return t;
}

/* --- the measures --------------------------------------------------------------------------------- */

static void put(struct metrics *s, const char *name, int portion, double value, int n, int of)
{
	const struct measure *d = measures;

	while (d->name && strcmp(d->name, name))
		d++;
	GROW(s->v, s->n, s->cap);
	s->v[s->n++] = (struct metric){d, portion, n ? value : NAN, n, of};
}

static void put_mean(struct metrics *s, const char *name, int portion, const struct mean *x)
{
	put(s, name, portion, mean_value(x), x->n, x->of);
}

static void put_score(struct metrics *s, const char *name, int portion, const struct mean *x)
{
	put(s, name, portion, 0 - mean_value(x), x->n, x->of);
}

/* The largest d such that mean backward transfer is positive at 1..d. */
static void put_reach(struct metrics *s, const struct matrix *m, int portion)
{
	int reach = 0, n = 0, of = 0;
	bool on = true;

	for (int d = 1; d < m->n; d++) {
		struct mean x = transfer_at_in(m, d, portion);

		on = on && x.n && mean_value(&x) > 0;
		reach += on;
		n += x.n;
		of += x.of;
	}
	put(s, "BWD.reach", portion, reach, n, of);
}

static void put_saturation(struct metrics *s, const struct matrix *m, int portion)
{
	double best = 0;
	int step = 0, n = 0, of = 0;
	bool unknown = false; /* a step without any backward cell may be the first */

	for (int pass = 0; pass < 2; pass++)
		for (int k = 2; k <= m->n; k++) {
			struct transfer t = transfer_of(m, k, k, portion);
			double gain = mean_value(&t.backward);

			if (pass == 0) {
				n += t.backward.n;
				of += t.backward.of;
				unknown |= t.backward.of > 0 && t.backward.n == 0;
				if (gain > best)
					best = gain;
			} else if (!step && best > 0 && gain >= SATURATED * best) {
				step = k;
			}
		}
	put(s, "BWD.saturation", portion, step && !unknown ? step : NAN, n, of);
}

static void put_positive(struct metrics *s, const struct matrix *m, int portion)
{
	struct mean back = {0}, forward = {0};

	for (int k = 1; k <= m->n; k++)
		for (int j = 0; j < m->n; j++) {
			double change = matrix_change(m, k, j);

			if (j != k - 1 && (portion < 0 || m->domain[j].portion_id == portion))
				mean_add(j < k - 1 ? &back : &forward, isnan(change) ? NAN : change < 0);
		}
	put_mean(s, "BWD.positive", portion, &back);
	put_mean(s, "FWD.positive", portion, &forward);
}

/* Everything that is a mean over domains, one cell or a difference of two each. */
static void put_domain_means(struct metrics *s, const struct matrix *m, int portion)
{
	struct mean ppl[4] = {0}, log_[4] = {0}, ft_zs = {0}, cpt_zs = {0}, cpt_ft = {0}, lc_zs = {0};
	struct mean fg = {0}, fg_ppl = {0}, best = {0}, best_ppl = {0}, bwt = {0}, fwt = {0}, rwalk = {0};
	struct mean triangle[3] = {0};
	static const char *const log_name[] = {"ZS.log", "FT.log", "CPT.log", "LC.log"};

	for (int j = 0; j < m->n; j++) {
		const struct matrix_domain *d = &m->domain[j];
		double zs = matrix_zs(m, j), cpt = matrix_cpt(m, j), lc = matrix_lc(m, j), past;
		int step;

		if (portion >= 0 && d->portion_id != portion)
			continue;
		mean_add(&ppl[0], matrix_ppl(m, 0, j));
		mean_add(&ppl[1], d->ft_ppl);
		mean_add(&ppl[2], matrix_ppl(m, j + 1, j));
		mean_add(&ppl[3], matrix_ppl(m, m->n, j));
		mean_add(&log_[0], zs);
		mean_add(&log_[1], d->ft);
		mean_add(&log_[2], cpt);
		mean_add(&log_[3], lc);
		mean_add(&ft_zs, d->ft - zs);
		mean_add(&cpt_zs, cpt - zs);
		mean_add(&cpt_ft, cpt - d->ft);
		mean_add(&lc_zs, lc - zs);
		mean_add(&fg, lc - cpt);
		mean_add(&fg_ppl, matrix_ppl(m, m->n, j) - matrix_ppl(m, j + 1, j));
		past = matrix_best(m, j, 0, &step);
		mean_add(&best, lc - log(past));
		mean_add(&best_ppl, matrix_ppl(m, m->n, j) - past);
		if (j < m->n - 1) {
			mean_add(&bwt, cpt - lc);
			mean_add(&rwalk, lc - log(matrix_best(m, j, 1, &step)));
		}
		if (j > 0)
			mean_add(&fwt, zs - *matrix_at(m, j, j));
		for (int k = 1; k <= m->n; k++)
			mean_add(&triangle[j < k - 1 ? 0 : j == k - 1 ? 1 : 2], *matrix_at(m, k, j));
	}
	for (int i = 0; i < 4; i++) {
		put_mean(s, summary_rows[i].measure, portion, &ppl[i]);
		put_mean(s, log_name[i], portion, &log_[i]);
	}
	put_mean(s, "FT-ZS", portion, &ft_zs);
	put_mean(s, "CPT-ZS", portion, &cpt_zs);
	put_mean(s, "CPT-FT", portion, &cpt_ft);
	put_mean(s, "LC-ZS", portion, &lc_zs);
	put_mean(s, "FG.cpt", portion, &fg);
	put_mean(s, "FG.cpt.ppl", portion, &fg_ppl);
	put_mean(s, "FG.best", portion, &best);
	put_mean(s, "FG.best.ppl", portion, &best_ppl);
	put_score(s, "ACC", portion, &log_[3]);
	put_mean(s, "BWT", portion, &bwt);
	put_mean(s, "FWT", portion, &fwt);
	put_mean(s, "forgetting", portion, &rwalk);
	put_mean(s, "intransigence", portion, &cpt_ft);
	put_mean(s, "TIC.below", portion, &triangle[0]);
	put_mean(s, "TIC.diagonal", portion, &triangle[1]);
	put_mean(s, "TIC.above", portion, &triangle[2]);
}

static int in_table_order(const void *a, const void *b)
{
	const struct metric *x = a, *y = b;

	if (x->measure != y->measure)
		return x->measure < y->measure ? -1 : 1;
	return x->portion - y->portion;
}

struct metrics *metrics_of(const struct matrix *m)
{
	struct metrics *s = xcalloc(1, sizeof *s);

	for (int p = -1; p < (m->n_portions > 1 ? m->n_portions : 0); p++) {
		struct transfer t = transfer_of(m, 1, m->n, p);

		put_domain_means(s, m, p);
		put_mean(s, "BWD", p, &t.backward);
		put_mean(s, "BWD.within", p, &t.backward_within);
		put_mean(s, "BWD.across", p, &t.backward_across);
		put_mean(s, "FWD", p, &t.forward);
		put_mean(s, "FWD.within", p, &t.forward_within);
		put_mean(s, "FWD.across", p, &t.forward_across);
		put_positive(s, m, p);
		put_reach(s, m, p);
		put_saturation(s, m, p);
	}
	qsort(s->v, (size_t)s->n, sizeof *s->v, in_table_order);
	return s;
}

void metrics_free(struct metrics *s)
{
	if (s)
		free(s->v);
	free(s);
}

const struct metric *metrics_find(const struct metrics *s, const char *name, int portion)
{
	for (int i = 0; i < s->n; i++)
		if (s->v[i].portion == portion && !strcmp(s->v[i].measure->name, name))
			return &s->v[i];
	return NULL;
}

char *metric_scope(const struct matrix *m, const struct metric *x)
{
	return x->portion < 0 ? xstrdup("all") : xasprintf("portion:%s", m->portion[x->portion]);
}

/* --- files ---------------------------------------------------------------------------------------- */

static const char *const better_text[] = {"lower", "higher", "-"};

static struct atomic *begin(const char *dir, const char *file)
{
	char *path = path_join(dir, file);
	struct atomic *a = atomic_open(path);

	free(path);
	return a;
}

static void write_metrics_tsv(const struct matrix *m, const struct metrics *s, FILE *out)
{
	tsv_begin(out, "metrics");
	fputs("metric\tscope\tvalue\tunit\tbetter\tn\tof\n", out);
	for (int i = 0; i < s->n; i++) {
		const struct metric *x = &s->v[i];
		char *scope = metric_scope(m, x);

		fprintf(out, "%s\t%s\t%s\t%s\t%s\t%d\t%d\n", x->measure->name, scope, real_text(x->value), x->measure->unit,
		        better_text[x->measure->better], x->n, x->of);
		free(scope);
	}
}

static void json_member(FILE *out, const char *before, const char *key, const char *value)
{
	fprintf(out, "%s\"%s\": ", before, key);
	json_put_string(out, value);
}

static void write_metrics_json(const struct matrix *m, const struct metrics *s, FILE *out)
{
	json_member(out, "{", "tool", option_record());
	json_member(out, ",\n ", "name", m->name);
	json_member(out, ",\n ", "protocol", m->protocol);
	fprintf(out, ",\n \"domains\": %d,\n \"metrics\": [", m->n);
	for (int i = 0; i < s->n; i++) {
		const struct metric *x = &s->v[i];
		char *scope = metric_scope(m, x);

		json_member(out, i ? ",\n  {" : "\n  {", "metric", x->measure->name);
		json_member(out, ", ", "scope", scope);
		fputs(", \"value\": ", out);
		json_put_real(out, x->value);
		json_member(out, ", ", "unit", x->measure->unit);
		json_member(out, ", ", "better", better_text[x->measure->better]);
		fprintf(out, ", \"n\": %d, \"of\": %d", x->n, x->of);
		json_member(out, ", ", "meaning", x->measure->meaning);
		fputc('}', out);
		free(scope);
	}
	fputs("\n ]}\n", out);
}

/* The paper's table: one row a portion, and one over all. */
static void write_summary(const struct matrix *m, const struct metrics *s, FILE *out, bool markdown)
{
	if (markdown)
		fputs("| domains | n | ZS | FT | CPT | LC | LC - CPT |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n", out);
	else
		fputs("scope\tdomains\tzs\tft\tcpt\tlc\tfg\tzs_log\tft_log\tcpt_log\tlc_log\tfg_log"
		      "\tzs_n\tft_n\tcpt_n\tlc_n\tfg_n\n", out);
	for (int i = 0; i <= (m->n_portions > 1 ? m->n_portions : 0); i++) {
		static const char *const names[] = {"ZS.ppl",     "FT.ppl", "CPT.ppl", "LC.ppl",  "FG.cpt.ppl",
		                                    "ZS.log",     "FT.log", "CPT.log", "LC.log",  "FG.cpt"};
		int p = m->n_portions > 1 && i < m->n_portions ? i : -1;
		char *scope = metric_scope(m, &(struct metric){.portion = p});

		if (markdown) {
			fputs("| ", out);
			md_text(out, p < 0 ? "all" : m->portion[p]);
		} else {
			fputs(scope, out);
		}
		fprintf(out, markdown ? " | %d" : "\t%d", metrics_find(s, "LC.ppl", p)->of);
		for (int c = 0; c < (markdown ? 5 : 10); c++) {
			const struct metric *x = metrics_find(s, names[c], p);
			char text[32];

			if (!markdown)
				fprintf(out, "\t%s", real_text(x->value));
			else
				fprintf(out, " | %s%s", c == 4 && !signbit(x->value) && x->n ? "+" : "", ppl_text(text, x->value));
			if (markdown && x->n && x->n < x->of)
				fprintf(out, " (%d of %d)", x->n, x->of);
		}
		for (int c = 0; c < 5 && !markdown; c++)
			fprintf(out, "\t%d", metrics_find(s, names[c], p)->n);
		fputs(markdown ? " |\n" : "\n", out);
		free(scope);
	}
}

static void put_means(FILE *out, const struct mean *const *x, int n)
{
	for (int i = 0; i < n; i++)
		fprintf(out, "\t%s\t%d", real_text(mean_value(x[i])), x[i]->n);
	fputc('\n', out);
}

static void write_checkpoints(const struct matrix *m, FILE *out)
{
	tsv_begin(out, "matrix-checkpoints");
	fputs("step\tafter\tl1\tportion\tall\tall_n\tbackward\tbackward_n\tbackward_within\tbackward_within_n"
	      "\tbackward_across\tbackward_across_n\tforward\tforward_n\tforward_within\tforward_within_n"
	      "\tforward_across\tforward_across_n\n", out);
	for (int k = 1; k <= m->n; k++) {
		struct transfer t = transfer_after(m, k);
		const struct matrix_domain *d = &m->domain[k - 1];
		const struct mean *columns[] = {&t.all, &t.backward, &t.backward_within, &t.backward_across,
		                                &t.forward, &t.forward_within, &t.forward_across};

		fprintf(out, "%d\t%s\t%s\t%s", k, d->name, d->l1, d->portion);
		put_means(out, columns, 7);
	}
}

static void write_distance(const struct matrix *m, FILE *out)
{
	tsv_begin(out, "matrix-distance");
	fputs("distance\ttransfer\tdeviation\tn\n", out);
	for (int d = 1 - m->n; d < m->n; d++) {
		struct mean x = transfer_at(m, d);

		fprintf(out, "%d\t%s\t%s\t%d\n", d, real_text(mean_value(&x)), real_text(mean_deviation(&x)), x.n);
	}
}

static void write_l1(const struct matrix *m, FILE *out)
{
	tsv_begin(out, "matrix-l1");
	fputs("i\ttrained\tj\tother\tbackward\tbackward_n\tforward\tforward_n\n", out);
	for (int i = 0; i < m->n_l1; i++)
		for (int j = 0; j < m->n_l1; j++) {
			struct transfer t = transfer_between(m, i, j);
			const struct mean *columns[] = {&t.backward, &t.forward};

			fprintf(out, "%d\t%s\t%d\t%s", i + 1, m->l1[i], j + 1, m->l1[j]);
			put_means(out, columns, 2);
		}
}

void metrics_write(const struct matrix *m, const struct metrics *s, const char *dir)
{
	struct atomic *a;

	a = begin(dir, "metrics.tsv");
	write_metrics_tsv(m, s, atomic_file(a));
	atomic_commit(a);
	a = begin(dir, "metrics.json");
	write_metrics_json(m, s, atomic_file(a));
	atomic_commit(a);
	a = begin(dir, "summary.tsv");
	tsv_begin(atomic_file(a), "matrix-summary");
	write_summary(m, s, atomic_file(a), false);
	atomic_commit(a);
	a = begin(dir, "summary.md");
	write_summary(m, s, atomic_file(a), true);
	atomic_commit(a);
	a = begin(dir, "checkpoints.tsv");
	write_checkpoints(m, atomic_file(a));
	atomic_commit(a);
	a = begin(dir, "distance.tsv");
	write_distance(m, atomic_file(a));
	atomic_commit(a);
	a = begin(dir, "l1.tsv");
	write_l1(m, atomic_file(a));
	atomic_commit(a);
}
