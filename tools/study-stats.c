/* study-stats: what the runs of a study say, with intervals. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alongeffects.h"
#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "effects.h"
#include "findings.h"
#include "metrics.h"
#include "options.h"
#include "outdir.h"
#include "table.h"
#include "tsv.h"

static const char *out, *domains, *vectors;
static int64_t draws = DRAWS_DEFAULT, seed = 1;
static bool partial;

static const struct option options[] = {
	{'o', "output", OPT_STRING, &out, "DIR", "write the tables into DIR", .unrecorded = true},
	{0, "domains", OPT_STRING, &domains, "FILE", "sizes of the domains (domains.tsv)", .unrecorded = true},
	{0, "vectors", OPT_STRING, &vectors, "FILE", "domain vectors with @base (vectors.tsv)", .unrecorded = true},
	{0, "draws", OPT_INT, &draws, "N", "resamples for an interval", .min = 100, .max = 1000000},
	{0, "seed", OPT_INT, &seed, "S", "of the resampling"},
	{0, "partial", OPT_FLAG, &partial, NULL, "leave out runs without a matrix"},
	{0}
};

static const struct tool tool = {
	"study-stats", "what the runs of a study say, with intervals",
	"[-o DIR] [options] RUNS.tsv", options};

static void put_interval(struct table *t, struct interval x, const char *format)
{
	table_real(t, x.value, format);
	table_real(t, x.lo, format);
	table_real(t, x.hi, format);
}

/* --- tables ----------------------------------------------------------------------------------------- */

static void write_findings(const struct findings *f)
{
	static const char *const unit_names[] = {"nats", "rho", "steps", "points"};
	struct table *t = table_new("study-findings",
	                            "finding verdict where value lo hi unit runs domains evidence why claim measure");

	for (int i = 0; i < f->n; i++) {
		const struct evidence *e = &f->v[i];
		const char *format = e->unit == UNIT_NATS ? "%.4f" : e->unit == UNIT_RHO ? "%.2f" : "%.1f";

		table_text(t, e->claim->id);
		table_text(t, verdict_names[findings_verdict(f, e->claim)]);
		table_text(t, e->where);
		put_interval(t, e->x, format);
		table_text(t, unit_names[e->unit]);
		table_int(t, e->runs);
		table_int(t, e->domains);
		table_text(t, verdict_names[e->verdict]);
		table_text(t, e->why);
		table_text(t, e->claim->text);
		table_text(t, e->claim->measure);
	}
	table_write(t, out, "findings");
	table_free(t);
}

/* The paper's table: mean perplexities of each run, by portion and in all. */
static void write_summary(const struct runs *s)
{
	static const char *const measure[] = {"ZS.ppl", "FT.ppl", "CPT.ppl", "LC.ppl", "FG.cpt.ppl"};
	struct table *t = table_new("study-summary", "run model order varied scope domains zs ft cpt lc fg");

	for (int i = 0; i < s->n; i++) {
		const struct run *r = &s->v[i];
		struct metrics *x = metrics_of(r->m);
		const struct group *g = s->group;

		for (int k = 0; k < s->n_groups; k++)
			for (int j = 0; j < s->group[k].n; j++)
				if (s->group[k].run[j] == i)
					g = &s->group[k];
		for (int p = -1; p < (r->m->n_portions > 1 ? r->m->n_portions : 0); p++) {
			char *scope = metric_scope(r->m, metrics_find(x, "ZS.ppl", p));

			table_text(t, r->name);
			table_text(t, r->set[SET_MODEL]);
			table_text(t, r->set[SET_ORDER]);
			table_text(t, g->varied);
			table_text(t, scope);
			table_int(t, metrics_find(x, "ZS.ppl", p)->of);
			for (size_t m = 0; m < sizeof measure / sizeof *measure; m++)
				table_real(t, metrics_find(x, measure[m], p)->value, "%.2f");
			free(scope);
		}
		metrics_free(x);
	}
	table_write(t, out, "summary");
	table_free(t);
}

static const struct {
	enum effect effect;
	const char *name;
	bool by_portion;
} measures_of_groups[] = {
	{FT_ZS, "FT-ZS", true},       {CPT_ZS, "CPT-ZS", true},     {CPT_FT, "CPT-FT", true},
	{LC_ZS, "LC-ZS", true},       {LC_CPT, "LC-CPT", true},     {LC_BEST, "LC-best", true},
	{BACKWARD, "BWD", true},      {FORWARD, "FWD", true},       {FORWARD_ACROSS, "FWD-other", true},
	{SWITCH, "switch", false},    {SWITCH_PORTION, "switch-portion", false}, {REGAIN, "regain", false},
};

#define N_MEASURES (sizeof measures_of_groups / sizeof *measures_of_groups)

static void write_groups(const struct sample *x)
{
	const struct runs *s = x->runs;
	struct table *t = table_new("study-groups", "group model parameters order varied runs measure scope value lo hi domains");

	for (int i = 0; i < s->n_groups; i++)
		for (size_t k = 0; k < N_MEASURES; k++)
			for (int p = -1; p < (measures_of_groups[k].by_portion && s->n_portions > 1 ? s->n_portions : 0); p++) {
				const struct group *g = &s->group[i];
				struct selection what = {.effect = measures_of_groups[k].effect, .portion = p};
				int n;
				struct interval v = effect_of(x, what, g, NULL, &n);
				char *scope = p < 0 ? xstrdup("all") : xasprintf("portion:%s", s->portion[p]);

				table_text(t, g->name);
				table_text(t, g->set[SET_MODEL]);
				table_real(t, g->parameters, "%.0f");
				table_text(t, g->set[SET_ORDER]);
				table_text(t, g->varied);
				table_int(t, g->n);
				table_text(t, measures_of_groups[k].name);
				table_text(t, scope);
				put_interval(t, v, "%.4f");
				table_int(t, n);
				free(scope);
			}
	table_write(t, out, "groups");
	table_free(t);
}

static bool comparable(const struct runs *s, int a, int b, int setting)
{
	return groups_differ_in(&s->group[a], &s->group[b], setting) && groups_same_tokens(s, &s->group[a], &s->group[b]);
}

/* Every pair of groups that differ in one setting alone, and not in their tokens. */
static void write_differences(const struct sample *x)
{
	static const char *const names[N_SETTINGS] = {"model", "order", "seed", "batch", "lr", "epochs", "balanced",
	                                              "policy", "optimizer"};
	static const enum effect effects[] = {CPT_ZS, LC_ZS, LC_CPT, BACKWARD, FORWARD};
	static const char *const effect_names[] = {"CPT-ZS", "LC-ZS", "LC-CPT", "BWD", "FWD"};
	const struct runs *s = x->runs;
	struct table *t = table_new("study-differences", "setting group against measure value lo hi runs runs_against domains");

	for (int set = 0; set < N_SETTINGS; set++)
		for (int a = 0; a < s->n_groups; a++)
			for (int b = 0; b < a; b++) {
				if (!comparable(s, a, b, set))
					continue;
				for (size_t k = 0; k < sizeof effects / sizeof *effects; k++) {
					int n;
					struct interval v = effect_of(x, (struct selection){.effect = effects[k], .portion = -1},
					                              &s->group[a], &s->group[b], &n);

					table_text(t, names[set]);
					table_text(t, s->group[a].name);
					table_text(t, s->group[b].name);
					table_text(t, effect_names[k]);
					put_interval(t, v, "%.4f");
					table_int(t, s->group[a].n);
					table_int(t, s->group[b].n);
					table_int(t, n);
				}
			}
	table_write(t, out, "differences");
	table_free(t);
}

/* Every domain at its step in every run, against zero-shot. */
static void write_sequence(const struct runs *s)
{
	struct table *t = table_new("study-sequence",
	                            "run step domain portion ft cpt lc bytes base_similarity previous_similarity "
	                            "half_life lost");

	for (int i = 0; i < s->n; i++)
		for (int j = 0; j < s->n_domains; j++) {
			static const enum effect effects[] = {FT_ZS, CPT_ZS, LC_ZS};
			int d = 0, ended;
			double half;

			while (s->v[i].at[d] != j)
				d++;
			half = half_life(&s->v[i], d, &ended);
			table_text(t, s->v[i].name);
			table_int(t, j + 1);
			table_text(t, s->domain[d]);
			table_text(t, s->portion[s->portion_id[d]]);
			for (size_t k = 0; k < sizeof effects / sizeof *effects; k++)
				table_real(t, effect_on(s, &s->v[i], (struct selection){.effect = effects[k], .portion = -1}, d),
				           "%.4f");
			table_real(t, size_in(s, &s->v[i], d), "%.0f");
			table_real(t, s->similarity[d], "%.3f");
			table_real(t, similarity_to_previous(s->v[i].m, j), "%.3f");
			table_real(t, half, "%.1f");
			table_text(t, isnan(half) ? "-" : ended ? "yes" : "no");
		}
	table_write(t, out, "sequence");
	table_free(t);
}

static void write_explanations(const struct sample *x)
{
	static const char *const how[] = {"spearman", "kendall", "partial"};
	const struct runs *s = x->runs;
	struct table *t = table_new("study-explain", "group outcome predictor correlation value lo hi runs domains");

	for (int g = 0; g < s->n_groups; g++)
		for (int y = 0; y < N_OUTCOMES; y++)
			for (int by = 0; by < N_PREDICTORS; by++)
				for (int h = SPEARMAN; h <= PARTIAL; h++) {
					int n;
					struct interval v = correlation_of(x, &s->group[g], y, by, h, &n);

					table_text(t, s->group[g].name);
					table_text(t, outcome_names[y]);
					table_text(t, predictor_names[by]);
					table_text(t, how[h]);
					put_interval(t, v, "%.2f");
					table_int(t, s->group[g].n);
					table_int(t, n);
				}
	table_write(t, out, "explain");
	table_free(t);
}

static void write_half_lives(const struct sample *x)
{
	const struct runs *s = x->runs;
	struct table *t = table_new("study-half-life", "group median lo hi runs watched lost");

	for (int g = 0; g < s->n_groups; g++) {
		int n, ended;
		struct interval v = half_life_of(x, &s->group[g], &n, &ended);

		table_text(t, s->group[g].name);
		put_interval(t, v, "%.1f");
		table_int(t, s->group[g].n);
		table_int(t, n);
		table_int(t, ended);
	}
	table_write(t, out, "half-life");
	table_free(t);
}

static void write_curves(const struct sample *x)
{
	const struct runs *s = x->runs;
	struct table *distance = table_new("study-distance", "group distance transfer lo hi runs domains");
	struct table *course = table_new("study-checkpoints",
	                                 "group step backward backward_lo backward_hi forward forward_lo forward_hi "
	                                 "runs");

	for (int i = 0; i < s->n_groups; i++) {
		const struct group *g = &s->group[i];
		int n;

		for (int d = 1 - s->n_domains; d < s->n_domains; d++) {
			table_text(distance, g->name);
			table_int(distance, d);
			put_interval(distance, effect_of(x, (struct selection){AT_DISTANCE, d, 0, -1}, g, NULL, &n), "%.4f");
			table_int(distance, g->n);
			table_int(distance, n);
		}
		for (int k = 1; k <= s->n_domains; k++) {
			table_text(course, g->name);
			table_int(course, k);
			put_interval(course, effect_of(x, (struct selection){BACKWARD_AFTER, k, 0, -1}, g, NULL, NULL), "%.4f");
			put_interval(course, effect_of(x, (struct selection){FORWARD_AFTER, k, 0, -1}, g, NULL, NULL), "%.4f");
			table_int(course, g->n);
		}
	}
	table_write(distance, out, "distance");
	table_write(course, out, "checkpoints");
	table_free(distance);
	table_free(course);
}

/* Domains not trained yet, of each portion apart. */
static void write_forward(const struct sample *x)
{
	const struct runs *s = x->runs;
	struct table *t = table_new("study-forward", "group step portion transfer lo hi runs domains");

	for (int g = 0; g < s->n_groups; g++)
		for (int k = 1; k < s->n_domains; k++)
			for (int p = 0; p < s->n_portions; p++) {
				int n;
				struct interval v = effect_of(x, (struct selection){FORWARD_AFTER, k, 0, p}, &s->group[g], NULL, &n);

				table_text(t, s->group[g].name);
				table_int(t, k);
				table_text(t, s->portion[p]);
				put_interval(t, v, "%.4f");
				table_int(t, s->group[g].n);
				table_int(t, n);
			}
	table_write(t, out, "forward");
	table_free(t);
}

/* --- what else was measured along the sequence ------------------------------------------------------ */

static void write_classes(const struct sample *x)
{
	static const enum effect effects[] = {CPT_ZS, LC_CPT, LC_ZS};
	static const char *const names[] = {"CPT-ZS", "LC-CPT", "LC-ZS"};
	const struct runs *s = x->runs;
	struct table *t = table_new("study-classes",
	                            "group class measure scope tokens value lo hi part part_lo part_hi share share_lo "
	                            "share_hi runs domains");

	for (int g = 0; g < s->n_groups; g++)
		for (size_t e = 0; e < sizeof effects / sizeof *effects; e++)
			for (int p = -1; p < (s->n_portions > 1 ? s->n_portions : 0); p++)
				for (int c = 0; c <= TOKEN_CLASSES; c++) {
					struct class_change v = class_change_of(x, &s->group[g], effects[e], c, p);
					char *scope = p < 0 ? xstrdup("all") : xasprintf("portion:%s", s->portion[p]);

					if (v.domains && v.tokens > 0) {
						table_text(t, s->group[g].name);
						table_text(t, c < TOKEN_CLASSES ? token_class_name(c) : "all");
						table_text(t, names[e]);
						table_text(t, scope);
						table_real(t, v.tokens, "%.4f");
						put_interval(t, v.change, "%.4f");
						put_interval(t, v.part, "%.4f");
						put_interval(t, v.share, "%.3f");
						table_int(t, v.runs);
						table_int(t, v.domains);
					}
					free(scope);
				}
	table_write(t, out, "classes");
	table_free(t);
}

static void put_rank(struct table *t, const struct sample *x, const struct group *g, int step, enum rank_where where)
{
	for (int tokens = 0; tokens < N_RANK_TOKENS; tokens++)
		for (int m = 0; m < N_RANK_MEASURES; m++) {
			struct rank_change v = rank_change_of(x, g, where, step, tokens, m);
			const char *format = m == RANK_MEAN || m == RANK_MEDIAN ? "%.1f" : "%.4f";

			if (isnan(v.value))
				continue;
			table_text(t, g->name);
			if (step)
				table_int(t, step);
			else
				table_text(t, "all");
			table_text(t, rank_where_names[where]);
			table_text(t, rank_token_names[tokens]);
			table_text(t, rank_measure_names[m]);
			table_real(t, v.value, format);
			table_real(t, v.zero, format);
			put_interval(t, v.change, format);
			table_int(t, v.runs);
			table_int(t, v.domains);
		}
}

static bool ranked_on_all(const struct runs *s, const struct group *g, int step)
{
	for (int i = 0; i < g->n; i++)
		for (int j = 0; j < s->n_domains; j++)
			if (isnan(along_rank(s->v[g->run[i]].along, step, j, RANKS_ALL, RANK_MRR)))
				return false;
	return true;
}

static void write_ranks(const struct sample *x)
{
	const struct runs *s = x->runs;
	struct table *t = table_new("study-ranks", "group step where tokens measure value zero change lo hi runs domains");

	for (int i = 0; i < s->n_groups; i++) {
		const struct group *g = &s->group[i];

		for (int k = 0; k <= s->n_domains; k++) {
			enum rank_where end = k && ranked_on_all(s, g, k) ? N_RANK_WHERE : ON_ALL;

			for (enum rank_where w = 0; w < end; w++)
				put_rank(t, x, g, k, w);
		}
	}
	table_write(t, out, "ranks");
	table_free(t);
}

/* The portion of a step; "-" if it is not the same in all runs. */
static const char *portion_of_step(const struct runs *s, const struct group *g, int step)
{
	const char *name = step ? s->v[g->run[0]].m->domain[step - 1].portion : "-";

	for (int i = 1; i < g->n; i++)
		if (step && strcmp(name, s->v[g->run[i]].m->domain[step - 1].portion))
			return "-";
	return name;
}

static void put_score(struct table *t, const struct runs *s, const struct group *g, const struct along_score *a)
{
	struct score_change v = score_change_of(s, g, a->task, a->shots, 0, a->step);
	int first = steps_of_first_portion(s, g);

	if (!v.runs)
		return;
	table_text(t, g->name);
	table_int(t, a->step);
	table_text(t, portion_of_step(s, g, a->step));
	table_text(t, a->task);
	table_int(t, a->tasks);
	table_int(t, a->shots);
	table_text(t, a->metric);
	table_int(t, a->examples);
	table_real(t, v.value, "%.2f");
	table_real(t, v.error, "%.2f");
	table_real(t, v.from, "%.2f");
	put_interval(t, a->step ? v.change : (struct interval){NAN, NAN, NAN}, "%.2f");
	table_int(t, v.runs);
	table_text(t, !first || !a->step ? "-" : a->step <= first ? "1" : "2");
}

static int by_score(const void *a, const void *b)
{
	return along_score_order(*(const struct along_score *const *)a, *(const struct along_score *const *)b);
}

/* Of each step, task and number of shots that a run of the group has, one; *n of them, which you free(). */
static const struct along_score **scores_of(const struct runs *s, const struct group *g, int *n)
{
	const struct along_score **score = NULL;
	int cap = 0;

	*n = 0;
	for (int r = 0; r < g->n; r++) {
		int some;
		const struct along_score *a = along_scores(s->v[g->run[r]].along, &some);

		for (int k = 0; k < some; k++) {
			bool had = false; /* by an earlier run of the group */

			for (int before = 0; before < r; before++)
				had = had || along_score(s->v[g->run[before]].along, a[k].step, a[k].task, a[k].shots);
			if (had)
				continue;
			GROW(score, *n, cap);
			score[(*n)++] = &a[k];
		}
	}
	if (*n)
		qsort(score, (size_t)*n, sizeof *score, by_score);
	return score;
}

static void write_scores(const struct runs *s)
{
	struct table *t = table_new("study-bigbench",
	                            "group step portion task tasks shots metric examples value stderr zero change lo "
	                            "hi runs part");

	for (int i = 0; i < s->n_groups; i++) {
		int n;
		const struct along_score **score = scores_of(s, &s->group[i], &n);

		for (int k = 0; k < n; k++)
			put_score(t, s, &s->group[i], score[k]);
		free(score);
	}
	table_write(t, out, "bigbench");
	table_free(t);
}

static void write_about(const struct runs *s)
{
	struct table *t = table_new("study-about", "key value");
	char text[64];

	table_text(t, "tool");
	table_text(t, option_record());
	table_text(t, "protocol");
	table_text(t, s->v[0].m->protocol);
	table_text(t, "domains");
	table_int(t, s->n_domains);
	table_text(t, "runs");
	table_int(t, s->n);
	table_text(t, "runs left out");
	table_int(t, s->missing);
	table_text(t, "interval");
	snprintf(text, sizeof text, "95 %%, %lld resamples of runs and domains", (long long)draws);
	table_text(t, text);
	table_write(t, out, "about");
	table_free(t);
}

/* --- for the terminal ------------------------------------------------------------------------------- */

static void print_findings(const struct findings *f)
{
	for (int i = 0; i < f->n; i++) {
		const struct evidence *e = &f->v[i];

		if (i == 0 || e->claim != f->v[i - 1].claim)
			printf("%s: %s\n", verdict_names[findings_verdict(f, e->claim)], e->claim->text);
		printf("    %s", e->where);
		if (!isnan(e->x.value) && e->unit == UNIT_NATS)
			printf(": %+.1f %% [%+.1f, %+.1f]", percent(e->x.value), percent(e->x.lo), percent(e->x.hi));
		else if (!isnan(e->x.value) && e->unit == UNIT_POINTS)
			printf(": %+.1f points [%+.1f, %+.1f]", e->x.value, e->x.lo, e->x.hi);
		else if (!isnan(e->x.value))
			printf(": %.2f [%.2f, %.2f]", e->x.value, e->x.lo, e->x.hi);
		printf("%s%s\n", *e->why ? ": " : "", e->why);
	}
}

#define EACH(name) name ".tsv", name ".tex", name ".md"

static const char *const tables[] = {EACH("findings"), EACH("summary"), EACH("groups"), EACH("differences"), EACH("sequence"),
                                     EACH("explain"), EACH("half-life"), EACH("distance"), EACH("checkpoints"), EACH("forward"),
                                     EACH("classes"), EACH("ranks"), EACH("bigbench"), EACH("about"), NULL};

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool);
	struct runs *s;
	struct sample x;
	struct findings *f;

	if (argc - first != 1)
		die_usage("one table of runs is needed");
	if (out)
		dir_check_replaceable(out, tables);
	s = runs_read(argv[first], domains, vectors, partial);
	x = (struct sample){s, (int)draws, (uint64_t)seed};
	f = findings_of(&x);
	if (out) {
		const char *target = out;
		char *staging = dir_begin_empty(out, tables);

		out = staging;
		write_findings(f);
		write_summary(s);
		write_groups(&x);
		write_differences(&x);
		write_sequence(s);
		write_explanations(&x);
		write_half_lives(&x);
		write_curves(&x);
		write_forward(&x);
		write_classes(&x);
		write_ranks(&x);
		write_scores(s);
		write_about(s);
		dir_commit(target, staging);
		free(staging);
	}
	print_findings(f);
	close_stdout();
	findings_free(f);
	runs_free(s);
	return EXIT_DONE;
}
