#include "studypage.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checked.h"
#include "html.h"
#include "metrics.h"
#include "options.h"
#include "tsv.h"

static struct tsv *open_table(const struct study_page *p, const char *name, const char *kind)
{
	char *file = xasprintf("%s/%s.tsv", p->tables, name);
	struct tsv *t = tsv_read(file, kind);

	free(file);
	return t;
}

static const char *cell(const struct tsv *t, int row, const char *column)
{
	return t->cell[row][tsv_column(t, column)];
}

/* NaN for "-", infinite for "inf". */
static double real(const struct tsv *t, int row, const char *column)
{
	const char *s = cell(t, row, column);

	return !strcmp(s, "-") ? NAN : !strcmp(s, "inf") ? INFINITY : tsv_real(t, row, tsv_column(t, column));
}

static bool is(const struct tsv *t, int row, const char *column, const char *value)
{
	return !strcmp(cell(t, row, column), value);
}

static bool figure_exists(const struct study_page *p, const char *name)
{
	char *file = xasprintf("%s/%s.svg", p->figures ? p->figures : "", name);
	bool there = p->figures && access(file, R_OK) == 0;

	free(file);
	return there;
}

/* --- numbers ---------------------------------------------------------------------------------------- */

enum show { SHOW_CHANGE, SHOW_GAIN, SHOW_RHO, SHOW_STEPS, SHOW_POINTS, SHOW_SHARE, SHOW_SHARE_CHANGE, SHOW_RANK, SHOW_PART };

static const struct {
	const char *format, *unit;
} shows[] = {
	[SHOW_CHANGE] = {"%+.1f", " %"}, [SHOW_GAIN] = {"%+.1f", " %"},   [SHOW_RHO] = {"%.2f", ""},
	[SHOW_STEPS] = {"%.1f", ""},     [SHOW_POINTS] = {"%+.1f", ""},   [SHOW_SHARE] = {"%.3f", ""},
	[SHOW_SHARE_CHANGE] = {"%+.3f", ""}, [SHOW_RANK] = {"%.0f", ""},  [SHOW_PART] = {"%.0f", " %"},
};

static double shown(enum show how, double x)
{
	return how == SHOW_CHANGE ? percent(x) : how == SHOW_GAIN ? percent(-x) : how == SHOW_PART ? 100 * x : x;
}

static void put_number(FILE *out, enum show how, double x)
{
	char text[400];

	if (isinf(x)) {
		fputs("longer than watched", out);
		return;
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof text, shows[how].format, isnan(x) ? x : shown(how, x));
#pragma GCC diagnostic pop
	html_text(out, isnan(x) ? "-" : text);
}

/* value [lo, hi] */
static void put_interval(FILE *out, enum show how, const struct tsv *t, int row, const char *value, const char *lo, const char *hi)
{
	double x = real(t, row, value), a = real(t, row, lo), b = real(t, row, hi);

	put_number(out, how, x);
	if (isnan(x))
		return;
	fputs(shows[how].unit, out);
	if (isnan(a))
		return;
	fputs(" <small>[", out);
	put_number(out, how, how == SHOW_GAIN ? b : a);
	fputs(", ", out);
	put_number(out, how, how == SHOW_GAIN ? a : b);
	fputs("]</small>", out);
}

/* --- downloads -------------------------------------------------------------------------------------- */

static void put_download(FILE *out, const char *dir, const char *name, const char *ending, const char *type)
{
	char *path = xasprintf("%s/%s.%s", dir, name, ending);

	if (access(path, R_OK) == 0) {
		fprintf(out, " <a download=\"");
		html_name(out, name);
		fprintf(out, ".%s\" href=\"", ending);
		html_data_uri(out, path, type);
		fprintf(out, "\">%s.%s</a>", name, ending);
	}
	free(path);
}

static void put_data(FILE *out, const struct study_page *p, const char *table)
{
	fputs("<p class=\"soft\">Data:", out);
	put_download(out, p->tables, table, "tsv", "text/tab-separated-values");
	put_download(out, p->tables, table, "md", "text/markdown");
	put_download(out, p->tables, table, "tex", "application/x-tex");
	fputs("</p>\n", out);
}

static void put_figure(FILE *out, const struct study_page *p, const char *figure, const char *table, const char *caption)
{
	if (!figure_exists(p, figure))
		return;
	fputs("<div>", out);
	html_figure(out, p->figures, NULL, figure, caption);
	fputs("<p class=\"soft\">Figure:", out);
	put_download(out, p->figures, figure, "pdf", "application/pdf");
	if (table) {
		fputs(" Data:", out);
		put_download(out, p->tables, table, "tsv", "text/tab-separated-values");
	}
	fputs("</p></div>\n", out);
}

/* --- findings --------------------------------------------------------------------------------------- */

static const struct {
	const char *verdict, *class;
} chips[] = {{"confirmed", "yes"}, {"refuted", "no"}, {"mixed", "mixed"}, {"cannot say", "open"}};

#define N_CHIPS (sizeof chips / sizeof *chips)

static void put_verdict(FILE *out, const char *verdict)
{
	const char *class = "open";

	for (size_t i = 0; i < N_CHIPS; i++)
		if (!strcmp(chips[i].verdict, verdict))
			class = chips[i].class;
	fprintf(out, "<span class=\"chip %s\">", class);
	html_name(out, verdict);
	fputs("</span>", out);
}

static bool begins_finding(const struct tsv *t, int row)
{
	return row == 0 || !is(t, row, "finding", cell(t, row - 1, "finding"));
}

static void put_counts(FILE *out, const struct tsv *t)
{
	fputs("<div class=\"tiles\">\n", out);
	for (size_t i = 0; i < N_CHIPS; i++) {
		int n = 0;

		for (int r = 0; r < t->n_rows; r++)
			n += begins_finding(t, r) && is(t, r, "verdict", chips[i].verdict);
		fprintf(out, "<div class=\"tile\"><b>%d</b><span>%s</span></div>\n", n, chips[i].verdict);
	}
	fputs("</div>\n", out);
}

static void put_evidence(FILE *out, const struct tsv *t, int row)
{
	enum show how = is(t, row, "unit", "rho")      ? SHOW_RHO
	                : is(t, row, "unit", "steps")  ? SHOW_STEPS
	                : is(t, row, "unit", "points") ? SHOW_POINTS
	                                               : SHOW_CHANGE;

	fputs("<div class=\"evidence\">", out);
	if (!is(t, row, "where", "-")) {
		html_name(out, cell(t, row, "where"));
		fputs(": ", out);
		put_interval(out, how, t, row, "value", "lo", "hi");
		fputs(how == SHOW_POINTS ? " points" : "", out);
	}
	if (!is(t, row, "where", "-"))
		fprintf(out, " <small>%s run%s, %s domains; %s%s</small>", cell(t, row, "runs"), is(t, row, "runs", "1") ? "" : "s",
		        cell(t, row, "domains"), cell(t, row, "evidence"), is(t, row, "why", "-") ? "" : ": ");
	if (!is(t, row, "why", "-")) {
		fputs("<small>", out);
		html_name(out, cell(t, row, "why"));
		fputs("</small>", out);
	}
	fputs("</div>", out);
}

static void put_findings(FILE *out, const struct study_page *p)
{
	struct tsv *t = open_table(p, "findings", "study-findings");

	put_counts(out, t);
	fputs("<div class=\"scroll\"><table class=\"findings\">\n<tr><th class=\"l\">finding of the paper</th>"
	      "<th class=\"l\">these data</th><th class=\"l\">evidence</th></tr>\n", out);
	for (int r = 0; r < t->n_rows; r++) {
		if (begins_finding(t, r)) {
			fputs(r ? "</td></tr>\n<tr><td class=\"l m\">" : "<tr><td class=\"l m\">", out);
			html_name(out, cell(t, r, "claim"));
			fputs("<br><small>", out);
			html_name(out, cell(t, r, "measure"));
			fputs("</small></td><td class=\"l\">", out);
			put_verdict(out, cell(t, r, "verdict"));
			fputs("</td><td class=\"l m\">", out);
		}
		put_evidence(out, t, r);
	}
	fputs("</td></tr>\n</table></div>\n<p class=\"soft\">Brackets: 95&nbsp;% intervals over runs and domains. A "
	      "finding is confirmed or refuted where the interval lies wholly on one side; mixed, where models or "
	      "orders disagree. Nothing is corrected for the number of findings: of twenty intervals around nothing, "
	      "one misses it. Rules: study-stats(1).</p>\n", out);
	put_data(out, p, "findings");
	tsv_free(t);
}

/* --- tables ----------------------------------------------------------------------------------------- */

static void put_summary(FILE *out, const struct study_page *p)
{
	static const char *const columns[] = {"zs", "ft", "cpt", "lc", "fg"};
	struct tsv *t = open_table(p, "summary", "study-summary");

	fputs("<h2 id=\"perplexity\">Perplexity</h2>\n<p class=\"soft\">Mean over domains. ZS: before any training. "
	      "FT: trained on that domain alone. CPT: right after the domain\u2019s own step. LC: after the whole "
	      "sequence. FG: LC &minus; CPT.</p>\n"
	      "<div class=\"scroll\"><table>\n<tr><th class=\"l\">run</th><th class=\"l\">domains</th><th>n</th>"
	      "<th>ZS</th><th>FT</th><th>CPT</th><th>LC</th><th>FG</th></tr>\n", out);
	for (int r = 0; r < t->n_rows; r++) {
		const char *scope = cell(t, r, "scope");

		fputs(strcmp(scope, "all") ? "<tr class=\"part\">" : "<tr>", out);
		html_name_cell(out, strcmp(scope, "all") ? "" : cell(t, r, "run"));
		html_name_cell(out, !strncmp(scope, "portion:", 8) ? scope + 8 : scope);
		fprintf(out, "<td>%s</td>", cell(t, r, "domains"));
		for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
			double x = real(t, r, columns[c]);
			char text[32];

			snprintf(text, sizeof text, "%.2f", x);
			fputs("<td>", out);
			html_text(out, isnan(x) ? "-" : text);
			fputs("</td>", out);
		}
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
	put_data(out, p, "summary");
	tsv_free(t);
}

static const struct {
	const char *measure, *label;
	enum show show;
} columns_of_groups[] = {
	{"FT-ZS", "FT / ZS", SHOW_CHANGE}, {"CPT-ZS", "learned<br>CPT / ZS", SHOW_CHANGE},
	{"CPT-FT", "from others<br>CPT / FT", SHOW_CHANGE},
	{"LC-CPT", "forgotten<br>LC / CPT", SHOW_CHANGE}, {"LC-ZS", "left over<br>LC / ZS", SHOW_CHANGE},
	{"BWD", "on domains<br>seen", SHOW_GAIN}, {"FWD", "on domains<br>not seen", SHOW_GAIN},
	{"FWD-other", "of the other<br>portion", SHOW_GAIN},
	{"switch", "next step", SHOW_CHANGE}, {"switch-portion", "next step,<br>new portion", SHOW_CHANGE},
	{"regain", "the step<br>after", SHOW_CHANGE},
};

#define N_GROUP_COLUMNS (int)(sizeof columns_of_groups / sizeof *columns_of_groups)

static void put_groups(FILE *out, const struct study_page *p)
{
	struct tsv *t = open_table(p, "groups", "study-groups");

	fputs("<h2 id=\"groups\">What was learned, forgotten and carried over</h2>\n<p class=\"soft\">Change of "
	      "perplexity in percent; below 0 is better. A group is all runs that differ in their seed alone. Of the "
	      "other portion: on domains not seen that are of another portion than the step just trained. The last "
	      "three: what the very next step does to the domain just trained (the stability gap at a switch of "
	      "domains), where it changes the portion too, and what the step after that gives back.</p>\n"
	      "<div class=\"scroll\"><table class=\"tight\">\n<tr><th class=\"l\">group</th><th>runs</th>", out);
	for (int c = 0; c < N_GROUP_COLUMNS; c++)
		fprintf(out, "<th>%s</th>", columns_of_groups[c].label);
	fputs("</tr>\n", out);
	for (int r = 0; r < t->n_rows; r++) {
		if (r && is(t, r, "group", cell(t, r - 1, "group")))
			continue;
		fputs("<tr>", out);
		html_name_cell(out, cell(t, r, "group"));
		fprintf(out, "<td>%s</td>", cell(t, r, "runs"));
		for (int c = 0; c < N_GROUP_COLUMNS; c++) {
			fputs("<td class=\"two\">", out);
			for (int k = r; k < t->n_rows && is(t, k, "group", cell(t, r, "group")); k++)
				if (is(t, k, "measure", columns_of_groups[c].measure) && is(t, k, "scope", "all"))
					put_interval(out, columns_of_groups[c].show, t, k, "value", "lo", "hi");
			fputs("</td>", out);
		}
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
	put_data(out, p, "groups");
	tsv_free(t);
}

static void put_differences(FILE *out, const struct study_page *p)
{
	struct tsv *t = open_table(p, "differences", "study-differences");
	static const char *const columns[] = {"CPT-ZS", "LC-ZS", "LC-CPT", "BWD", "FWD"};

	fputs("<h2 id=\"differences\">One setting against another</h2>\n<p class=\"soft\">Perplexity of the first "
	      "group against that of the second, in percent; below 0: the first is better. All else is equal.</p>\n"
	      "<div class=\"scroll\"><table>\n<tr><th class=\"l\">setting</th><th class=\"l\">group</th>"
	      "<th class=\"l\">against</th><th>CPT</th><th>LC</th><th>forgotten<br>LC / CPT</th>"
	      "<th>domains<br>seen</th><th>domains<br>not seen</th></tr>\n", out);
	for (int r = 0; r < t->n_rows; r++) {
		if (!is(t, r, "measure", columns[0]))
			continue;
		fputs("<tr>", out);
		html_name_cell(out, cell(t, r, "setting"));
		html_name_cell(out, cell(t, r, "group"));
		html_name_cell(out, cell(t, r, "against"));
		for (size_t c = 0; c < sizeof columns / sizeof *columns && r + (int)c < t->n_rows; c++) {
			fputs("<td class=\"two\">", out);
			put_interval(out, c < 3 ? SHOW_CHANGE : SHOW_GAIN, t, r + (int)c, "value", "lo", "hi");
			fputs("</td>", out);
		}
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
	put_data(out, p, "differences");
	tsv_free(t);
}

static void put_explanations(FILE *out, const struct study_page *p)
{
	struct tsv *t = open_table(p, "explain", "study-explain");

	fputs("<details><summary>All correlations</summary><div class=\"scroll\"><table>\n"
	      "<tr><th class=\"l\">group</th><th class=\"l\">of</th><th class=\"l\">with</th><th>Spearman</th>"
	      "<th>Kendall</th><th>partial</th><th>domains</th></tr>\n", out);
	for (int r = 0; r + 2 < t->n_rows; r += 3) {
		fputs("<tr>", out);
		html_name_cell(out, cell(t, r, "group"));
		html_name_cell(out, cell(t, r, "outcome"));
		html_name_cell(out, cell(t, r, "predictor"));
		for (int c = 0; c < 3; c++) {
			fputs("<td>", out);
			put_interval(out, SHOW_RHO, t, r + c, "value", "lo", "hi");
			fputs("</td>", out);
		}
		fprintf(out, "<td>%s</td></tr>\n", cell(t, r, "domains"));
	}
	fputs("</table></div></details>\n", out);
	put_data(out, p, "explain");
	tsv_free(t);
}

static void put_half_lives(FILE *out, const struct study_page *p)
{
	struct tsv *t = open_table(p, "half-life", "study-half-life");

	fputs("<h3>Half-life</h3>\n<p class=\"soft\">Steps until half of what a domain had gained by its own step is "
	      "lost again: the median over domains and runs, with those that kept more until the end counted as "
	      "watched no longer (Kaplan and Meier).</p>\n"
	      "<div class=\"scroll\"><table>\n<tr><th class=\"l\">group</th><th>steps</th><th>runs</th>"
	      "<th>domains watched</th><th>lost half</th></tr>\n", out);
	for (int r = 0; r < t->n_rows; r++) {
		fputs("<tr>", out);
		html_name_cell(out, cell(t, r, "group"));
		fputs("<td>", out);
		put_interval(out, SHOW_STEPS, t, r, "median", "lo", "hi");
		fprintf(out, "</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", cell(t, r, "runs"), cell(t, r, "watched"),
		        cell(t, r, "lost"));
	}
	fputs("</table></div>\n", out);
	put_data(out, p, "half-life");
	tsv_free(t);
}

/* A table as it is. */
static void put_table(FILE *out, const char *path, const char *kind)
{
	struct tsv *t = tsv_read(path, kind);

	fputs("<div class=\"scroll\"><table>\n<tr>", out);
	for (int c = 0; c < t->n_columns; c++) {
		fputs(c ? "<th>" : "<th class=\"l\">", out);
		html_name(out, t->column[c]);
		fputs("</th>", out);
	}
	fputs("</tr>\n", out);
	for (int r = 0; r < t->n_rows; r++) {
		fputs("<tr>", out);
		for (int c = 0; c < t->n_columns; c++) {
			fputs(c ? "<td>" : "<td class=\"l\">", out);
			html_name(out, t->cell[r][c]);
			fputs("</td>", out);
		}
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
	tsv_free(t);
}

static void put_cost(FILE *out, const struct study_page *p)
{
	if (!p->cost && !p->disk)
		return;
	fputs("<h2 id=\"cost\">Cost</h2>\n", out);
	if (p->cost) {
		fputs("<p class=\"soft\">From the traces of all jobs. Hours are of the clock, added up over jobs that "
		      "may have run beside each other; energy is a job\u2019s share, by processor time, of what the "
		      "counters of the processor packages tell, and all that those of the GPUs do, where they can be "
		      "read.</p>\n", out);
		put_table(out, p->cost, "study-cost");
	}
	if (p->disk) {
		fputs("<p class=\"soft\">What lies on the disk now.</p>\n", out);
		put_table(out, p->disk, "study-disk");
	}
}

/* --- what else was measured along the sequence ------------------------------------------------------ */

static void begin_table(FILE *out, const char *heads)
{
	fprintf(out, "<div class=\"scroll\"><table>\n<tr>%s</tr>\n", heads);
}

static void put_cell(FILE *out, enum show how, double x)
{
	fputs("<td>", out);
	put_number(out, how, x);
	fputs(isnan(x) ? "" : shows[how].unit, out);
	fputs("</td>", out);
}

/* The row of the same table that has the same values as `row` in the columns `same`, and `value` in another; -1: there is none. */
static int sister(const struct tsv *t, int row, const char *const same[], const char *column, const char *value)
{
	for (int r = 0; r < t->n_rows; r++) {
		bool equal = is(t, r, column, value);

		for (int c = 0; same[c] && equal; c++)
			equal = is(t, r, same[c], cell(t, row, same[c]));
		if (equal)
			return r;
	}
	return -1;
}

static void put_sister(FILE *out, enum show how, const struct tsv *t, int row, const char *value, const char *lo, const char *hi)
{
	fputs("<td class=\"two\">", out);
	if (row >= 0)
		put_interval(out, how, t, row, value, lo, hi);
	else
		fputc('-', out);
	fputs("</td>", out);
}

static void put_classes(FILE *out, const struct study_page *p, const struct tsv *t)
{
	static const char *const same[] = {"group", "class", "scope", NULL};

	fputs("<h2 id=\"tokens\">Which tokens</h2>\n<p>The tokens of a text by what they stand for: words by how "
	      "frequent they are in the training texts, digits, punctuation, maths and commands of LaTeX, white space. "
	      "Change of perplexity on the tokens of each class.</p>\n", out);
	put_figure(out, p, "classes", "classes",
	           "Right after a domain\u2019s own step, from there to the end, and both together; averaged over "
	           "domains. Below 0 is better.");
	fputs("<details><summary>All classes</summary><p class=\"soft\">Tokens: their share in the text. Share: what "
	      "the class adds to the whole change of log-perplexity that is left over; it may be below 0 or above "
	      "100&nbsp;%, and is not given where the whole is not clear of 0.</p>\n", out);
	begin_table(out, "<th class=\"l\">group</th><th class=\"l\">class</th><th>tokens</th>"
	                 "<th>learned<br>CPT / ZS</th><th>forgotten<br>LC / CPT</th><th>left over<br>LC / ZS</th>"
	                 "<th>share of<br>what is left</th>");
	for (int r = 0; r < t->n_rows; r++) {
		int end = sister(t, r, same, "measure", "LC-ZS"), own = sister(t, r, same, "measure", "CPT-ZS");

		if (!is(t, r, "scope", "all") || (own >= 0 ? own != r : end != r))
			continue;
		fputs("<tr>", out);
		html_name_cell(out, cell(t, r, "group"));
		html_name_cell(out, is(t, r, "class", "all") ? "all tokens" : cell(t, r, "class"));
		put_cell(out, SHOW_PART, real(t, r, "tokens"));
		put_sister(out, SHOW_CHANGE, t, own, "value", "lo", "hi");
		put_sister(out, SHOW_CHANGE, t, sister(t, r, same, "measure", "LC-CPT"), "value", "lo", "hi");
		put_sister(out, SHOW_CHANGE, t, end, "value", "lo", "hi");
		put_sister(out, SHOW_PART, t, end, "share", "share_lo", "share_hi");
		fputs("</tr>\n", out);
	}
	fputs("</table></div></details>\n", out);
	put_data(out, p, "classes");
}

static void put_ranks(FILE *out, const struct study_page *p, const struct tsv *t)
{
	static const char *const same[] = {"group", "step", "tokens", "measure", NULL},
	                  *const kin[] = {"group", "step", "tokens", "where", NULL};

	fputs("<h2 id=\"ranks\">Rank of the true token</h2>\n<p>How many tokens a model holds more likely than the one "
	      "that comes: rank 1 is the best. Of all tokens, and of those in a domain\u2019s key n-grams, which are "
	      "its own words. Reciprocal ranks, 1 / rank, are averaged; more is better.</p>\n", out);
	put_figure(out, p, "ranks", "ranks",
	           "Each step\u2019s domain: before any training (M0), right after its own step, and at the end of the "
	           "sequence.");
	put_figure(out, p, "ranks-course", "ranks",
	           "Solid: the domains trained so far, without the one just trained. Dashed: those still to come.");
	begin_table(out, "<th class=\"l\">group</th><th class=\"l\">tokens</th><th>reciprocal rank<br>before</th>"
	                 "<th>change by<br>own step</th><th>change by<br>the end</th><th>median rank<br>before</th>"
	                 "<th>after<br>own step</th><th>at the<br>end</th>");
	for (int r = 0; r < t->n_rows; r++) {
		int median, end, last;

		if (!is(t, r, "step", "all") || !is(t, r, "where", "own") || !is(t, r, "measure", "mrr"))
			continue;
		median = sister(t, r, kin, "measure", "median");
		end = sister(t, r, same, "where", "end");
		last = end < 0 ? -1 : sister(t, end, kin, "measure", "median");
		fputs("<tr>", out);
		html_name_cell(out, cell(t, r, "group"));
		html_name_cell(out, is(t, r, "tokens", "all") ? "all" : "key n-grams");
		put_cell(out, SHOW_SHARE, real(t, r, "zero"));
		put_sister(out, SHOW_SHARE_CHANGE, t, r, "change", "lo", "hi");
		put_sister(out, SHOW_SHARE_CHANGE, t, end, "change", "lo", "hi");
		put_cell(out, SHOW_STEPS, median < 0 ? NAN : real(t, median, "zero"));
		put_cell(out, SHOW_STEPS, median < 0 ? NAN : real(t, median, "value"));
		put_cell(out, SHOW_STEPS, last < 0 ? NAN : real(t, last, "value"));
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
	put_data(out, p, "ranks");
}

/* The last row of the same task, if any but this, and within the first part of the sequence if so asked; -1: none. */
static int last_of_task(const struct tsv *t, int row, bool first_part)
{
	int last = -1;

	for (int r = row + 1; r < t->n_rows; r++)
		if (is(t, r, "group", cell(t, row, "group")) && is(t, r, "task", cell(t, row, "task")) &&
		    is(t, r, "shots", cell(t, row, "shots")) && (!first_part || is(t, r, "part", "1")))
			last = r;
	return last;
}

static void put_scores(FILE *out, const struct study_page *p, const struct tsv *t)
{
	fputs("<h2 id=\"bigbench\">BIG-bench</h2>\n<p>Normalized scores: 0 is the lowest score that a task has, of "
	      "choices what chance gives, and 100 the highest. Small models are hardly above 0 on many tasks; there "
	      "nothing can be lost.</p>\n", out);
	put_figure(out, p, "bigbench", "bigbench",
	           "0: before any training. Dotted: where the order by similarity goes on to its second portion.");
	begin_table(out, "<th class=\"l\">group</th><th class=\"l\">task</th><th>shots</th><th>examples</th>"
	                 "<th>before</th><th>change by the end<br>of the first portion</th>"
	                 "<th>change by<br>the end</th>");
	for (int r = 0; r < t->n_rows; r++) {
		if (!is(t, r, "step", "0"))
			continue;
		fputs("<tr>", out);
		html_name_cell(out, cell(t, r, "group"));
		html_name_cell(out, cell(t, r, "task"));
		fprintf(out, "<td>%s</td><td>%s</td><td class=\"two\">", cell(t, r, "shots"), cell(t, r, "examples"));
		put_number(out, SHOW_STEPS, real(t, r, "value"));
		if (!isnan(real(t, r, "stderr"))) {
			fputs(" <small>\u00b1 ", out);
			put_number(out, SHOW_STEPS, real(t, r, "stderr"));
			fputs("</small>", out);
		}
		fputs("</td>", out);
		put_sister(out, SHOW_POINTS, t, last_of_task(t, r, true), "change", "lo", "hi");
		put_sister(out, SHOW_POINTS, t, last_of_task(t, r, false), "change", "lo", "hi");
		fputs("</tr>\n", out);
	}
	fputs("</table></div>\n", out);
	put_data(out, p, "bigbench");
}

/* What there is of it. */
static const struct {
	const char *name, *kind, *label;
	void (*put)(FILE *out, const struct study_page *p, const struct tsv *t);
} along[] = {
	{"classes", "study-classes", "<a href=\"#tokens\">tokens</a>", put_classes},
	{"ranks", "study-ranks", "<a href=\"#ranks\">ranks</a>", put_ranks},
	{"bigbench", "study-bigbench", "<a href=\"#bigbench\">BIG-bench</a>", put_scores},
};

static void put_along(FILE *out, const struct study_page *p, bool links)
{
	for (size_t i = 0; i < sizeof along / sizeof *along; i++) {
		struct tsv *t = open_table(p, along[i].name, along[i].kind);

		if (t->n_rows && links)
			fputs(along[i].label, out);
		else if (t->n_rows)
			along[i].put(out, p, t);
		tsv_free(t);
	}
}

/* --- the runs --------------------------------------------------------------------------------------- */

static void put_run_figure(FILE *out, const struct study_page *p, const char *base, const char *figure, const char *caption)
{
	char *name = xasprintf("%s.%s", base, figure);

	put_figure(out, p, name, NULL, caption);
	free(name);
}

static void put_runs(FILE *out, const struct study_page *p)
{
	struct tsv *t = tsv_read(p->runs, "study");
	int c_run = tsv_column(t, "run");

	fputs("<h2 id=\"runs\">Every run</h2>\n", out);
	for (int r = 0; r < t->n_rows; r++) {
		char *base = xstrdup(tsv_string(t, r, c_run)), *heat;

		for (char *c = base; *c; c++)
			if (!(*c >= '0' && *c <= '9') && !(*c >= 'A' && *c <= 'Z') && !(*c >= 'a' && *c <= 'z') && !strchr("._-", *c))
				*c = '_';
		heat = xasprintf("%s.heat", base);
		fputs(r ? "<details><summary>" : "<details open><summary>", out);
		html_name(out, t->cell[r][c_run]);
		fputs("</summary><p class=\"soft\">", out);
		for (int c = 0; c < t->n_columns; c++) {
			if (c == c_run || !strcmp(t->column[c], "model_dir") || !strcmp(t->column[c], "matrix") ||
			    !strcmp(t->column[c], "tables"))
				continue;
			html_name(out, t->column[c]);
			fputc(' ', out);
			html_name(out, t->cell[r][c]);
			fputs(c < t->n_columns - 1 ? "; " : "", out);
		}
		fputs("</p>\n", out);
		if (figure_exists(p, heat)) {
			fputs("<div class=\"grid small\">\n", out);
			put_run_figure(out, p, base, "heat",
			               "Every row is a checkpoint, named by the domain it was just trained on, every "
			               "column a domain in the same sequence. Blue: perplexity is lower than before "
			               "any training, orange: higher. Left of the framed diagonal: domains seen "
			               "before; right of it: domains not seen yet.");
			put_run_figure(out, p, base, "sequence",
			               "Each domain in the sequence: what training on it alone gives (FT), what the "
			               "sequence had given when its step was done (CPT), and what is left at the end "
			               "(LC). The line at 0 is zero-shot.");
			put_run_figure(out, p, base, "l1",
			               "Rows: the field just trained; columns: the field measured. Left: domains seen "
			               "before, right: domains not seen yet.");
			fputs("</div>\n", out);
		} else {
			fputs("<p>Not complete, or without figures.</p>\n", out);
		}
		fputs("</details>\n", out);
		free(heat);
		free(base);
	}
	tsv_free(t);
}

static void put_about(FILE *out, const struct study_page *p)
{
	struct tsv *t = open_table(p, "about", "study-about");

	fputs("<h2 id=\"provenance\">Where it comes from</h2>\n<dl class=\"about\">\n<dt>page</dt><dd><code>", out);
	html_name(out, option_record());
	fputs("</code></dd>\n", out);
	for (int r = 0; r < t->n_rows; r++) {
		fputs("<dt>", out);
		html_name(out, cell(t, r, "key"));
		fputs("</dt><dd><code>", out);
		html_name(out, cell(t, r, "value"));
		fputs("</code></dd>\n", out);
	}
	fputs("</dl>\n<p class=\"soft\">Every domain in every run:", out);
	put_download(out, p->tables, "sequence", "tsv", "text/tab-separated-values");
	fputs("</p>\n", out);
	tsv_free(t);
}

static const char page_style[] =
	"<style>\n.chip{display:inline-block;border-radius:1rem;padding:.05rem .7rem;font-size:.85rem;font-weight:600;"
	"white-space:nowrap;border:1px solid}"
	".chip.yes{color:#0d5132;background:#dff3e8}.chip.no{color:#7f1d1d;background:#fbe4e2}"
	".chip.mixed{color:#6b4a00;background:#fdf1d3}.chip.open{color:#47525d;background:#eef0f2}\n"
	"table.findings td{vertical-align:top}table.findings td.m{max-width:30rem}.evidence{margin-bottom:.25rem}\n"
	"table.tight th,table.tight td{padding:.28rem .3rem;font-size:.8rem}"
	"table.tight td.l{white-space:normal;overflow-wrap:anywhere;max-width:11rem}\n"
	"td.two small{display:block}tr.part td{color:var(--soft);font-size:.85rem}nav{line-height:1.9}\n"
	"@media(max-width:40rem){table.findings,table.findings tbody,table.findings tr,table.findings td"
	"{display:block;border-bottom:0;padding-left:0}"
	"table.findings th{display:none}table.findings tr{border-bottom:1px solid var(--line);padding:.5rem 0}}\n"
	"@media print{.chip{-webkit-print-color-adjust:exact;print-color-adjust:exact}table{font-size:8pt}td,th{padding:.15rem .3rem}"
	"table.tight th,table.tight td{font-size:6.5pt;padding:.15rem}table.tight td.l{max-width:5rem}tr.part td{font-size:7.5pt}"
	"details{display:block}}\n</style>\n";

void study_page(FILE *out, const struct study_page *p)
{
	struct tsv *about = open_table(p, "about", "study-about");

	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>", out);
	html_name(out, p->title);
	fputs("</title>\n", out);
	fputs(html_style, out);
	fputs(page_style, out);
	fputs("</head>\n<body>\n<h1>", out);
	html_name(out, p->title);
	fputs("</h1>\n<p class=\"lead\">", out);
	for (int r = 0; r < about->n_rows; r++)
		if (is(about, r, "key", "runs") || is(about, r, "key", "domains"))
			fprintf(out, "%s%s %s",
			        is(about, r, "key", "runs") ? " in " : "Language models were pretrained on ", cell(about, r, "value"),
			        is(about, r, "key", "runs") ? "runs" : "domains one after another,");
	fputs(" that differ in model, order and settings. Perplexity was measured along the way. Here is what that "
	      "says about the findings of <i>Investigating Continual Pretraining in Large Language Models</i> "
	      "(Y\u0131ld\u0131z et al., arXiv 2402.17400). Perplexity is a loss: "
	      "<b style=\"color:var(--better)\">below 0 is better</b>, "
	      "<b style=\"color:var(--worse)\">above 0 is worse</b>.</p>\n"
	      "<nav><a href=\"#findings\">findings</a><a href=\"#perplexity\">perplexity</a>"
	      "<a href=\"#groups\">learned and forgotten</a><a href=\"#differences\">differences</a>"
	      "<a href=\"#course\">along the sequence</a>", out);
	put_along(out, p, true);
	fputs("<a href=\"#explain\">what explains it</a>", out);
	fputs(p->cost || p->disk ? "<a href=\"#cost\">cost</a>" : "", out);
	fputs("<a href=\"#runs\">every run</a><a href=\"#provenance\">provenance</a></nav>\n<h2 id=\"findings\">Findings</h2>\n", out);
	put_findings(out, p);
	put_summary(out, p);
	put_groups(out, p);
	fputs("<div class=\"grid\">\n", out);
	put_figure(out, p, "groups", "groups",
	           "What each group learned (right after a domain\u2019s own step, against before any training), "
	           "forgot (at the end, against right after its own step) and has left over (at the end, against "
	           "before).");
	put_figure(out, p, "sizes", "groups", "Each size of model: what it learned and what it forgot.");
	fputs("</div>\n", out);
	put_differences(out, p);
	fputs("<h2 id=\"course\">Along the sequence</h2>\n<div class=\"grid\">\n", out);
	put_figure(out, p, "distance", "distance",
	           "Right of 0: how much is left of a domain that many steps after its own. Left of 0: how much a "
	           "domain gains from training that comes that many steps before its own. At 0: right after its own "
	           "step. At the ends few domains are left to average.");
	put_figure(out, p, "checkpoints", "checkpoints",
	           "Solid: the domains trained so far, without the one just trained; where they get no lower, gains "
	           "are saturated. Dashed: those still to come.");
	fputs("</div>\n", out);
	put_figure(out, p, "forward", "forward",
	           "Domains still to come, of each portion apart: what training on the one portion does to the other. "
	           "Dotted: where the order by similarity goes on to its second portion.");
	put_half_lives(out, p);
	put_along(out, p, false);
	fputs("<h2 id=\"explain\">What explains it</h2>\n<p>Forgetting (LC / CPT), backward transfer (gain over "
	      "zero-shot at later steps) and forward transfer (at earlier steps) of a domain, against its position in "
	      "the sequence, its size, its similarity to the text the model was first trained on, and to the domain "
	      "before it. Rank correlations over domains, averaged over runs; partial: with the other three held "
	      "constant.</p>\n", out);
	put_figure(out, p, "explain", "explain",
	           "Partial Spearman correlations. Left of 0: the larger the one, the smaller the other.");
	put_explanations(out, p);
	put_cost(out, p);
	put_runs(out, p);
	put_about(out, p);
	fputs("</body>\n</html>\n", out);
	tsv_free(about);
}
