#include "report.h"

#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "html.h"
#include "options.h"
#include "tsv.h"

/* --- studies -------------------------------------------------------------------------------------- */

/* A name as a part of a file's name: what is not a letter, digit, '.', '_' or '-' of ASCII becomes '_'. */
static char *file_part(const char *name)
{
	char *s = xstrdup(name);

	for (char *c = s; *c; c++)
		if (!(*c >= '0' && *c <= '9') && !(*c >= 'A' && *c <= 'Z') && !(*c >= 'a' && *c <= 'z') && !strchr("._-", *c))
			*c = '_';
	return s;
}

static void check_comparable(const struct study *a, const struct study *b)
{
	if (strcmp(a->m->protocol, b->m->protocol))
		die_input("%s: protocol %s: cannot be compared with %s of %s", b->dir, b->m->protocol, a->m->protocol, a->dir);
	for (int i = 0; i < a->m->n; i++)
		for (int j = 0; j < b->m->n; j++) {
			const struct matrix_domain *x = &a->m->domain[i], *y = &b->m->domain[j];

			if (!strcmp(x->name, y->name) && x->data_hash && y->data_hash &&
			    (strcmp(x->data_hash, y->data_hash) || x->targets != y->targets))
				die_input("%s: domain %s: test data differ from those of %s", b->dir, y->name, a->dir);
		}
}

static bool same_domains(const struct matrix *a, const struct matrix *b)
{
	for (int i = 0; i < a->n; i++) {
		int j = 0;

		while (j < b->n && strcmp(a->domain[i].name, b->domain[j].name))
			j++;
		if (j == b->n)
			return false;
	}
	return a->n == b->n;
}

struct study *studies_load(const char *const *dirs, int n)
{
	struct study *v = xcalloc((size_t)n, sizeof *v);

	for (int i = 0; i < n; i++) {
		v[i].dir = dirs[i];
		v[i].m = matrix_load(dirs[i]);
		v[i].base = file_part(v[i].m->name);
		v[i].s = metrics_of(v[i].m);
		v[i].alike = same_domains(v[0].m, v[i].m);
		for (int j = 0; j < i; j++) {
			if (!strcmp(v[i].m->name, v[j].m->name))
				die_input("%s and %s: both are named %s", v[j].dir, v[i].dir, v[i].m->name);
			if (!strcmp(v[i].base, v[j].base))
				die_input("%s and %s: the figures of both are named %s", v[j].dir, v[i].dir, v[i].base);
		}
		for (int j = 0; j < i; j++)
			check_comparable(&v[j], &v[i]);
	}
	return v;
}

void studies_free(struct study *v, int n)
{
	for (int i = 0; i < n; i++) {
		free(v[i].base);
		metrics_free(v[i].s);
		matrix_free(v[i].m);
	}
	free(v);
}

/* --- measures in words ---------------------------------------------------------------------------- */

/* How a value is shown: as it is, as a change of perplexity in percent, or as a share. */
enum show { SHOW_VALUE, SHOW_CHANGE, SHOW_GAIN, SHOW_SHARE, SHOW_STEPS };

static const struct main_measure {
	const char *measure, *label, *sentence;
	enum show show;
} main_measures[] = {
	{"ZS.ppl", "ZS: perplexity before", "mean over domains, of the model before any of this training", SHOW_VALUE},
	{"FT.ppl", "FT: trained on one domain",
	 "mean over the models that were trained on one domain alone, each on its own", SHOW_VALUE},
	{"CPT.ppl", "CPT: right after its step", "mean over domains, each right after the sequence had come to it", SHOW_VALUE},
	{"LC.ppl", "LC: at the end", "mean over domains, of the model after the whole sequence", SHOW_VALUE},
	{"CPT-ZS", "learned, CPT / ZS", "how far a domain's own step, and all before it, moved its perplexity", SHOW_CHANGE},
	{"FG.cpt", "forgotten, LC / CPT", "how far it moved from there until the end", SHOW_CHANGE},
	{"LC-ZS", "left over, LC / ZS", "how far it moved from before all training until the end", SHOW_CHANGE},
	{"CPT-FT", "from the others, CPT / FT", "the sequence up to a domain, against training on that domain alone", SHOW_CHANGE},
	{"BWD", "on domains seen, BWD", "backward transfer: checkpoints on domains they have seen, against zero-shot", SHOW_GAIN},
	{"FWD", "on domains not seen, FWD", "forward transfer: checkpoints on domains still to come, against zero-shot", SHOW_GAIN},
	{"BWD.positive", "seen and still better", "share of the cells of domains seen that are better than zero-shot", SHOW_SHARE},
	{"FWD.positive", "not seen and yet better",
	 "share of the cells of domains still to come that are better than zero-shot", SHOW_SHARE},
	{"BWD.reach", "steps that it lasts",
	 "largest distance up to which domains seen are better than zero-shot on average", SHOW_STEPS},
};

#define N_MAIN (int)(sizeof main_measures / sizeof *main_measures)

/* Into a buffer of 32. */
static const char *show(char *text, enum show how, double x)
{
	if (how == SHOW_CHANGE || how == SHOW_GAIN)
		return change_text(text, how == SHOW_GAIN ? -x : x);
	if (how == SHOW_VALUE || isnan(x))
		return ppl_text(text, x);
	snprintf(text, 32, how == SHOW_SHARE ? "%.0f %%" : "%.0f", how == SHOW_SHARE ? 100 * x : x);
	return text;
}

static bool is_partial(const struct metric *x)
{
	return x->n > 0 && x->n < x->of;
}

/*
 * Is x the best of all studies, as far as is shown? Not if they are all the same, or there is one alone, or if one is a
 * mean over other domains or over a part of them: a mean without the hard ones is lower.
 */
static bool is_best(const struct study *v, int n, const char *measure, enum show how, double x)
{
	bool differ = false, best = !isnan(x);
	char mine[32], other[32];

	show(mine, how, x);
	for (int i = 0; i < n; i++) {
		const struct metric *y = metrics_find(v[i].s, measure, -1);

		best = best && v[i].alike && !is_partial(y) && y->measure->better != BETTER_NEITHER;
		if (strcmp(show(other, how, y->value), mine) == 0)
			continue;
		differ = true;
		if (y->measure->better == BETTER_LOWER ? y->value < x : y->value > x)
			best = false;
	}
	return best && differ;
}

/* Into a buffer of 64: with the number of cells, if it is not over all. */
static const char *show_over(char *text, enum show how, const struct metric *x)
{
	size_t n = strlen(show(text, how, x->value));

	if (is_partial(x))
		snprintf(text + n, 64 - n, " (%d of %d)", x->n, x->of);
	return text;
}

void report_text(FILE *out, const struct study *v, int n, struct screen screen)
{
	const char *bold = screen.color == COLOR_NONE ? "" : "\033[1m", *plain = screen.color == COLOR_NONE ? "" : "\033[0m";
	char text[64];
	int width = 12;

	for (int i = 0; i < n; i++) {
		width = (int)strlen(v[i].m->name) + 2 > width ? (int)strlen(v[i].m->name) + 2 : width;
		for (int r = 0; r < N_MAIN; r++) {
			int w = (int)strlen(show_over(text, main_measures[r].show,
			                              metrics_find(v[i].s, main_measures[r].measure, -1)));

			width = w + 2 > width ? w + 2 : width;
		}
	}
	fprintf(out, "%-28s", "");
	for (int i = 0; i < n; i++)
		fprintf(out, "%s%*s%s", bold, width, v[i].m->name, plain);
	fputc('\n', out);
	for (int r = 0; r < N_MAIN; r++) {
		fprintf(out, "%-28s", main_measures[r].label);
		for (int i = 0; i < n; i++) {
			const struct metric *x = metrics_find(v[i].s, main_measures[r].measure, -1);
			bool best = is_best(v, n, main_measures[r].measure, main_measures[r].show, x->value);

			fprintf(out, "%s%*s%s", best ? bold : "", width, show_over(text, main_measures[r].show, x), best ? plain : "");
		}
		fputc('\n', out);
	}
}

/* --- pieces of HTML ------------------------------------------------------------------------------- */

static void put_shade(FILE *out, double x)
{
	uint8_t c[3];

	heat_rgb(x, c);
	fprintf(out, " style=\"background:#%02x%02x%02x%s\"", c[0], c[1], c[2], heat_is_dark(c) ? ";color:#fff" : "");
}

static void put_over(FILE *out, const struct metric *x)
{
	if (is_partial(x))
		fprintf(out, " <small>(%d of %d)</small>", x->n, x->of);
}

/* A cell of a perplexity and the change of its logarithm against zero-shot (NaN: that is not told); over: the mean that it is, or NULL. */
static void put_relative(FILE *out, double ppl, double change, double limit, const struct metric *over)
{
	char text[32];

	if (isnan(ppl)) {
		fputs("<td>-</td>", out);
		return;
	}
	fputs("<td", out);
	if (!isnan(change))
		put_shade(out, change / limit);
	fprintf(out, ">%s", ppl_text(text, ppl));
	if (!isnan(change)) {
		fputs(" <small>", out);
		html_text(out, change_text(text, change));
		fputs("</small>", out);
	}
	if (over)
		put_over(out, over);
	fputs("</td>", out);
}

/* --- the page ------------------------------------------------------------------------------------- */

static void put_tile(FILE *out, const struct study *x, const char *measure, bool gain, const char *what)
{
	const struct metric *y = metrics_find(x->s, measure, -1);
	double change = gain ? -y->value : y->value;
	char text[32];

	if (isnan(change))
		return;
	change_text(text, change);
	fprintf(out, "<div class=\"tile%s\"><b>", *text == '-' ? " better" : *text == '+' ? " worse" : "");
	html_text(out, text);
	fprintf(out, "</b><span>%s", what);
	if (is_partial(y))
		fprintf(out, " (%d of %d cells measured)", y->n, y->of);
	fputs("</span></div>\n", out);
}

static void put_tiles(FILE *out, const struct study *x)
{
	fputs("<div class=\"tiles\">\n", out);
	put_tile(out, x, "CPT-ZS", false,
	         "<strong>learned</strong>: right after a domain\u2019s own step, against before any training");
	put_tile(out, x, "FG.cpt", false, "<strong>forgotten</strong>: at the end, against right after its own step");
	put_tile(out, x, "LC-ZS", false, "<strong>left over</strong>: at the end, against before any training");
	put_tile(out, x, "FWD", true, "<strong>carried over</strong>: on domains not trained yet, against before any training");
	fputs("</div>\n", out);
}

static void put_comparison(FILE *out, const struct study *v, int n)
{
	bool partial = false;
	char text[32];

	for (int r = 0; r < N_MAIN; r++)
		for (int i = 0; i < n; i++)
			partial = partial || is_partial(metrics_find(v[i].s, main_measures[r].measure, -1));
	fprintf(out, "<p class=\"soft\">Means over domains; changes are of perplexity, below 0 is better.%s%s</p>\n"
	        "<div class=\"scroll\"><table>\n<tr><th class=\"l\">measure</th>",
	        partial ? " In brackets: over so many domains or cells of so many; the others were not measured." : "",
	        n > 1 ? " Bold: the better one, where both are over the same." : "");
	for (int i = 0; i < n; i++) {
		fputs("<th>", out);
		html_name(out, v[i].m->name);
		fputs("</th>", out);
	}
	fputs("</tr>\n", out);
	for (int r = 0; r < N_MAIN; r++) {
		const struct main_measure *d = &main_measures[r];

		fprintf(out, "<tr><td class=\"l m\">%s<br><small>%s</small></td>", d->label, d->sentence);
		for (int i = 0; i < n; i++) {
			const struct metric *x = metrics_find(v[i].s, d->measure, -1);
			bool best = is_best(v, n, d->measure, d->show, x->value);

			fputs(best ? "<td><b>" : "<td>", out);
			html_text(out, show(text, d->show, x->value));
			fputs(best ? "</b>" : "", out);
			put_over(out, x);
			fputs("</td>", out);
		}
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
}

static void put_summary(FILE *out, const struct study *x)
{
	const struct matrix *m = x->m;
	double limit = heat_limit(m);
	int portions = m->n_portions > 1 ? m->n_portions : 0;

	fputs("<p class=\"soft\">Mean perplexity, and its change against zero-shot where both are over the same "
	      "domains. ZS: before any training. FT: trained on that domain alone. CPT: right after the domain\u2019s "
	      "own step. LC: after the whole sequence.</p>\n"
	      "<div class=\"scroll\"><table>\n<tr><th class=\"l\">domains</th><th>n</th><th>ZS</th><th>FT</th>"
	      "<th>CPT</th><th>LC</th></tr>\n", out);
	for (int i = 0; i <= portions; i++) {
		int p = portions && i < portions ? i : -1;
		const struct metric *zs = metrics_find(x->s, "ZS.ppl", p);

		fputs("<tr>", out);
		html_name_cell(out, p < 0 ? "all" : m->portion[p]);
		fprintf(out, "<td>%d</td>", zs->of);
		for (int r = 0; r < 4; r++) {
			const struct summary_row *row = &summary_rows[r];
			const struct metric *y = metrics_find(x->s, row->measure, p);
			const struct metric *change = row->change ? metrics_find(x->s, row->change, p) : NULL;

			put_relative(out, y->value, change && change->n == y->n && change->n == zs->n ? change->value : NAN, limit, y);
		}
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
}

static void put_domains(FILE *out, const struct matrix *m)
{
	double limit = heat_limit(m);

	fputs("<details><summary>Every domain</summary><div class=\"scroll\"><table>\n<tr><th>step</th><th class=\"l\">domain</th>"
	      "<th class=\"l\">L1</th><th class=\"l\">portion</th><th>ZS</th><th>FT</th><th>CPT</th><th>LC</th>"
	      "<th>best before</th></tr>\n", out);
	for (int j = 0; j < m->n; j++) {
		const struct matrix_domain *d = &m->domain[j];
		double zs = matrix_ppl(m, 0, j), best;
		const double of[] = {d->ft_ppl, matrix_ppl(m, j + 1, j), matrix_ppl(m, m->n, j)};
		char text[32];
		int step = 0;

		fprintf(out, "<tr><td>%d</td>", j + 1);
		html_name_cell(out, d->name);
		html_name_cell(out, d->l1);
		html_name_cell(out, d->portion);
		best = matrix_best(m, j, 0, &step);
		put_relative(out, zs, NAN, limit, NULL);
		for (size_t k = 0; k < sizeof of / sizeof *of; k++)
			put_relative(out, of[k], log(of[k] / zs), limit, NULL);
		if (isnan(best))
			fputs("<td>-</td></tr>\n", out);
		else
			fprintf(out, "<td>%s <small>M%d</small></td></tr>\n", ppl_text(text, best), step);
	}
	fputs("</table></div></details>\n", out);
}

static void put_matrix(FILE *out, const struct matrix *m)
{
	double limit = heat_limit(m);

	if (m->n > 64) /* too many cells to read; the file is there */
		return;
	fprintf(out, "<details class=\"wide\"><summary>The whole matrix: perplexities%s</summary><div class=\"scroll\">"
	        "<table class=\"matrix\">\n<tr><th></th><th></th>",
	        matrix_measured(m) < (m->n + 1) * m->n ? " (hatched: not measured)" : "");
	for (int j = 0; j < m->n; j++) {
		fputs("<th class=\"c\">", out);
		html_name(out, m->domain[j].name);
		fputs("</th>", out);
	}
	fputs("</tr>\n", out);
	for (int k = 0; k <= m->n; k++) {
		fprintf(out, "<tr><th>M%d</th><th class=\"l\">", k);
		html_name(out, k ? m->domain[k - 1].name : "before");
		fputs("</th>", out);
		for (int j = 0; j < m->n; j++) {
			double change = matrix_change(m, k, j), ppl = matrix_ppl(m, k, j);

			if (isnan(ppl)) {
				fputs(j == k - 1 ? "<td class=\"d no\">-</td>" : "<td class=\"no\">-</td>", out);
				continue;
			}
			fputs(j == k - 1 ? "<td class=\"d\"" : "<td", out);
			if (!isnan(change))
				put_shade(out, change / limit);
			fprintf(out, ppl < 1000 ? ">%.1f</td>" : ppl < 1e7 ? ">%.0f</td>" : ">%.3g</td>", ppl);
		}
		fputs("</tr>\n", out);
	}
	fputs("</table></div></details>\n", out);
}

static void put_downloads(FILE *out, const struct study *x)
{
	static const char *const files[] = {"matrix.tsv",      "per-domain.tsv", "metrics.tsv", "metrics.json",
	                                    "checkpoints.tsv", "distance.tsv",   "l1.tsv",      "summary.tsv"};

	fputs("<p class=\"soft\">Data, inside this page:", out);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char *path = path_join(x->dir, files[i]);

		fputs(" <a download=\"", out);
		html_name(out, x->base);
		fprintf(out, ".%s\" href=\"", files[i]);
		html_data_uri(out, path, strstr(files[i], ".json") ? "application/json" : "text/tab-separated-values");
		fprintf(out, "\">%s</a>", files[i]);
		free(path);
	}
	fputs("</p>\n", out);
}

static void put_study(FILE *out, const struct study *x, int number, const char *figures)
{
	fprintf(out, "<h2 id=\"s%d\">Sequence: ", number);
	html_name(out, x->m->name);
	fputs("</h2>\n", out);
	put_tiles(out, x);
	put_summary(out, x);
	fputs("<div class=\"grid\">\n", out);
	html_figure(out, figures, x->base, "heat",
	           "Every row is a checkpoint, named by the domain it was just trained on, every column a domain in the same "
	           "sequence. Blue: perplexity is lower than before any training, orange: higher. Left of the framed "
	           "diagonal: domains seen before; right of it: domains not seen yet.");
	html_figure(out, figures, x->base, "sequence",
	           "Each domain in the sequence: what training on it alone gives (FT), what the sequence had given when its "
	           "step was done (CPT), and what is left at the end (LC). The line at 0 is zero-shot.");
	html_figure(out, figures, x->base, "forgetting",
	           "Above 0: the last checkpoint is worse on this domain than the one right after its own step, or than the "
	           "best checkpoint before the last.");
	html_figure(out, figures, x->base, "l1",
	           "Rows: the field just trained; columns: the field measured. Left: domains seen before, right: domains not "
	           "seen yet. Mean change in perplexity against zero-shot, in percent.");
	fputs("</div>\n", out);
	put_domains(out, x->m);
	put_matrix(out, x->m);
	put_downloads(out, x);
}

static void put_measures(FILE *out, const struct study *v, int n)
{
	fputs("<h2 id=\"measures\">All measures</h2>\n<p>Over all domains that were measured. <i>nats</i> are differences or means of "
	      "log-perplexity: 0.1 nats are about 10&nbsp;% of perplexity. Formulas and sources: transfer-matrix(1). "
	      "By portion: metrics.tsv.</p>\n"
	      "<div class=\"scroll\"><table>\n<tr><th class=\"l\">measure</th>", out);
	for (int i = 0; i < n; i++) {
		fputs("<th>", out);
		html_name(out, v[i].m->name);
		fputs("</th>", out);
	}
	fputs("</tr>\n", out);
	for (const struct measure *d = measures; d->name; d++) {
		fprintf(out, "<tr><td class=\"l m\">%s<br><small>%s (%s%s)</small></td>", d->name, d->meaning, d->unit,
		        d->better == BETTER_LOWER ? ", lower is better" : d->better == BETTER_HIGHER ? ", higher is better" : "");
		for (int i = 0; i < n; i++) {
			const struct metric *x = metrics_find(v[i].s, d->name, -1);
			char text[64];

			snprintf(text, sizeof text,
			         !strcmp(d->unit, "steps") ? "%.0f" : fabs(x->value) < 1e5 ? "%.4f" : "%.4g", x->value);
			fputs("<td>", out);
			html_text(out, isnan(x->value) ? "-" : text);
			put_over(out, x);
			fputs("</td>", out);
		}
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
}

static void put_provenance(FILE *out, const struct study *v, int n)
{
	fputs("<h2 id=\"provenance\">Where it comes from</h2>\n<p class=\"soft\">Page: ", out);
	html_name(out, option_record());
	fputs("</p>\n", out);
	for (int i = 0; i < n; i++) {
		char *path = path_join(v[i].dir, "about.tsv");
		struct tsv *t = tsv_read(path, "matrix-about");
		int c_key = tsv_column(t, "key"), c_value = tsv_column(t, "value");

		fputs("<details><summary>", out);
		html_name(out, v[i].m->name);
		fputs("</summary><dl class=\"about\">\n", out);
		for (int r = 0; r < t->n_rows; r++) {
			fputs("<dt>", out);
			html_name(out, t->cell[r][c_key]);
			fputs("</dt><dd><code>", out);
			html_name(out, t->cell[r][c_value]);
			fputs("</code></dd>\n", out);
		}
		fputs("</dl></details>\n", out);
		tsv_free(t);
		free(path);
	}
}

static void put_lead(FILE *out, const struct study *v, int n)
{
	int least = v[0].m->n, most = v[0].m->n, measured = 0, cells = 0;

	for (int i = 0; i < n; i++) {
		const struct matrix *m = v[i].m;

		least = m->n < least ? m->n : least;
		most = m->n > most ? m->n : most;
		measured += matrix_measured(m);
		cells += (m->n + 1) * m->n;
	}
	fprintf(out, "<p class=\"lead\">A language model was pretrained on %d ", least);
	if (most > least)
		fprintf(out, "to %d ", most);
	fprintf(out, "domains one after another%s. ", n > 1 ? ", in more than one sequence" : "");
	if (measured == cells)
		fputs("Before the first step and after each of them its perplexity was measured on the domains: on those it has seen, "
		      "on the one it has just learned, and on those still to come.", out);
	else
		fprintf(out, "Its perplexity was measured in %d of %d pairs of a model (before the first step, or after one) "
		        "and a domain; means are over those.", measured, cells);
	fputs(" Changes are given against <i>zero-shot</i>, the model before any of this "
	      "training; perplexity is a loss, so <b style=\"color:var(--better)\">below 0 is better</b>, "
	      "<b style=\"color:var(--worse)\">above 0 is worse</b>.</p>\n", out);
}

void report_html(FILE *out, const char *title, const struct study *v, int n, const char *figures)
{
	double error = 0;

	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>", out);
	html_name(out, title);
	fputs("</title>\n", out);
	fputs(html_style, out);
	fputs("</head>\n<body>\n<h1>", out);
	html_name(out, title);
	fputs("</h1>\n", out);
	put_lead(out, v, n);
	fputs("<nav>", out);
	for (int i = 0; i < n; i++) {
		fprintf(out, "<a href=\"#s%d\">", i + 1);
		html_name(out, v[i].m->name);
		fputs("</a>", out);
		error = fmax(error, v[i].m->max_error);
	}
	fputs("<a href=\"#measures\">all measures</a><a href=\"#provenance\">provenance</a></nav>\n", out);
	if (n > 1)
		fputs("<h2>Side by side</h2>\n", out);
	else
		fputs("<h2>In short</h2>\n", out);
	put_comparison(out, v, n);
	fputs("<p class=\"soft\">Protocol: ", out);
	html_name(out, v[0].m->protocol);
	if (error > 0)
		fprintf(out, ". Samples of windows were scored: the standard error of a cell\u2019s log-perplexity is "
		             "up to %.2g", error);
	fputs(". Changes of perplexity are geometric means over domains.</p>\n", out);
	if (figures) {
		fputs("<div class=\"grid\">\n", out);
		html_figure(out, figures, NULL, "course",
		           "Solid: the domains trained so far, without the one just trained. Dashed: the domains still "
		           "to come. Where a line is below 0 the model is better on them than before any training.");
		html_figure(out, figures, NULL, "distance",
		           "Right of 0: how much is left of a domain that many steps after its own. Left of 0: how "
		           "much a domain gains from training that comes that many steps before its own. At 0: right "
		           "after its own step.");
		fputs("</div>\n", out);
	}
	for (int i = 0; i < n; i++)
		put_study(out, &v[i], i + 1, figures);
	put_measures(out, v, n);
	put_provenance(out, v, n);
	fputs("</body>\n</html>\n", out);
}
