#include "heatmap.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "checked.h"

struct screen screen_of(FILE *out, const char *when)
{
	struct screen s = {COLOR_NONE, false, 80};
	const char *no = getenv("NO_COLOR"), *deep = getenv("COLORTERM"), *columns = getenv("COLUMNS");
	const char *term = getenv("TERM");
	bool tty = isatty(fileno(out)), dumb = !term || !strcmp(term, "dumb");
	struct winsize w;
	int64_t n;

	if (!strcmp(when, "always") || (!strcmp(when, "auto") && tty && !dumb && !(no && *no)))
		s.color = deep && (!strcmp(deep, "truecolor") || !strcmp(deep, "24bit")) ? COLOR_24BIT : COLOR_256;
	if (columns && parse_i64(columns, &n) && n >= 20 && n <= 10000)
		s.width = (int)n;
	else if (tty && ioctl(fileno(out), TIOCGWINSZ, &w) == 0 && w.ws_col >= 20)
		s.width = w.ws_col;
	setlocale(LC_CTYPE, "");
	s.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	return s;
}

/* --- colours ---------------------------------------------------------------------------------------- */

void heat_rgb(double x, uint8_t rgb[3])
{
	/* Lightness falls by about the same on both sides, hue is blue on one and orange on the other. */
	static const uint8_t stop[7][3] = {
		{8, 64, 129}, {43, 123, 186}, {151, 197, 223}, {247, 247, 245}, {250, 190, 120}, {221, 116, 28}, {140, 55, 4},
	};
	double at = 3 * (1 + (x < -1 ? -1 : x > 1 ? 1 : x));
	int i = at >= 6 ? 5 : (int)at;

	for (int c = 0; c < 3; c++)
		rgb[c] = (uint8_t)lround(stop[i][c] + (at - i) * (stop[i + 1][c] - stop[i][c]));
}

bool heat_is_dark(const uint8_t rgb[3])
{
	double light = 0;

	/* relative luminance as WCAG 2 defines it; white has a contrast of 3.5 to 1 and more below 0.25 */
	for (int c = 0; c < 3; c++) {
		static const double weight[3] = {0.2126, 0.7152, 0.0722};
		double v = rgb[c] / 255.0;

		light += weight[c] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
	}
	return light < 0.25;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double heat_limit(const struct matrix *m)
{
	double *v = xmalloc((size_t)m->n * (size_t)m->n * sizeof *v), limit = 0;
	size_t n = 0;

	for (int k = 1; k <= m->n; k++)
		for (int j = 0; j < m->n; j++)
			if (!isnan(matrix_change(m, k, j)))
				v[n++] = fabs(matrix_change(m, k, j));
	qsort(v, n, sizeof *v, ascending);
	if (n)
		limit = v[(n - 1) * 97 / 100];
	free(v);
	return fmax(limit, 0.01);
}

/* xterm's 256 colours have few soft blues and oranges: the eleven that make an even scale. */
static const struct {
	uint8_t index;
	bool dark;
} scale256[] = {{25, true},   {32, true},   {74, false},  {110, false}, {153, false}, {255, false},
                {223, false}, {215, false}, {208, false}, {166, true},  {130, true}};

static void paint(FILE *out, struct screen s, double x)
{
	int i = (int)lround(5 + 5 * fmax(-1, fmin(1, x)));
	bool dark = scale256[i].dark;
	uint8_t c[3];

	if (s.color == COLOR_24BIT) {
		heat_rgb(x, c);
		dark = heat_is_dark(c);
		fprintf(out, "\033[48;2;%d;%d;%dm", c[0], c[1], c[2]);
	} else {
		fprintf(out, "\033[48;5;%dm", scale256[i].index);
	}
	fprintf(out, "\033[38;5;%dm", dark ? 231 : 16);
}

static const char *style(struct screen s, const char *code)
{
	return s.color == COLOR_NONE ? "" : code;
}

#define BOLD "\033[1m"
#define FAINT "\033[2m"
#define PLAIN "\033[0m"

/* --- words ------------------------------------------------------------------------------------------ */

/* Columns that a name takes: its code points, or its bytes where the terminal is not UTF-8. */
static int text_width(const char *s, struct screen screen)
{
	int n = 0;

	for (; *s; s++)
		n += !screen.utf8 || ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* What to show of a name for which there is no room: of L1__L2 the part that tells it from its neighbours. */
static const char *short_name(const char *s, int width, struct screen screen)
{
	const char *tail = strstr(s, "__");

	return tail && tail[2] && text_width(s, screen) > width ? tail + 2 : s;
}

/* s in exactly width columns, cut with a mark if it is longer. */
static void put_padded(FILE *out, const char *s, int width, struct screen screen)
{
	int n = text_width(s, screen), left = n > width ? width - 1 : n;

	for (int i = 0; i < left; i++) {
		fputc(*s++, out);
		while (screen.utf8 && ((unsigned char)*s & 0xc0) == 0x80)
			fputc(*s++, out);
	}
	if (n > width && width > 0)
		fputs(screen.utf8 ? "…" : "~", out);
	for (int i = n; i < width; i++)
		fputc(' ', out);
}

static void say_change(FILE *out, const struct metrics *s, const char *measure, const char *what)
{
	const struct metric *x = metrics_find(s, measure, -1);
	char text[32];

	if (isnan(x->value))
		return;
	fprintf(out, "  %9s  %s", change_text(text, x->value), what);
	if (x->n < x->of)
		fprintf(out, " (%d of %d domains)", x->n, x->of);
	fputc('\n', out);
}

/* Below a row of means: over how many domains of how many, where one is not over all. */
static void put_measured(FILE *out, const struct metrics *s, const char *measure, int columns, int label, int width,
                         struct screen screen)
{
	const struct metric *all = metrics_find(s, measure, -1);
	char text[32];

	if (all->n == 0 || all->n == all->of)
		return;
	fprintf(out, "  %s", style(screen, FAINT));
	put_padded(out, label > 6 ? "    over so many domains" : "of", label - 2, screen);
	for (int c = 0; c < columns; c++) {
		const struct metric *x = metrics_find(s, measure, c < columns - 1 ? c : -1);

		snprintf(text, sizeof text, "%d/%d", x->n, x->of);
		fprintf(out, "%*s", width, text);
	}
	fprintf(out, "%s\n", style(screen, PLAIN));
}

void summary_print(FILE *out, const struct matrix *m, const struct metrics *s, struct screen screen)
{
	int columns = m->n_portions > 1 ? m->n_portions + 1 : 1, width = 10, label = 40;
	bool short_label = label + columns * width > screen.width;

	for (int p = 0; p < m->n_portions && columns > 1; p++)
		if (text_width(m->portion[p], screen) + 2 > width && width < 18)
			width = text_width(m->portion[p], screen) + 2 > 18 ? 18 : text_width(m->portion[p], screen) + 2;
	if (short_label || label + columns * width > screen.width)
		label = 6;
	if (label + columns * width > screen.width)
		columns = 1; /* only all */

	fprintf(out, "%s%s%s: %d domains, protocol %s\n\n", style(screen, BOLD), m->name, style(screen, PLAIN), m->n,
	        m->protocol);
	fprintf(out, "%s", style(screen, FAINT));
	put_padded(out, "mean perplexity", label > 15 ? label : 6, screen);
	for (int c = 0; c < columns; c++) {
		const char *name = c < columns - 1 ? m->portion[c] : "all";
		int w = text_width(name, screen);

		fprintf(out, "%*s", w < width ? width - w : 1, "");
		put_padded(out, name, w < width ? w : width - 1, screen);
	}
	fprintf(out, "%s\n", style(screen, PLAIN));
	for (int r = 0; r < 4; r++) {
		fprintf(out, "  %s%-4s%s", style(screen, BOLD), summary_rows[r].name, style(screen, PLAIN));
		if (label > 6)
			put_padded(out, summary_rows[r].meaning, label - 6, screen);
		for (int c = 0; c < columns; c++) {
			double x = metrics_find(s, summary_rows[r].measure, c < columns - 1 ? c : -1)->value;
			char text[32];

			fprintf(out, "%*s", width, ppl_text(text, x));
		}
		fputc('\n', out);
		put_measured(out, s, summary_rows[r].measure, columns, label, width, screen);
	}
	fprintf(out, "\n%schange in perplexity, mean over domains (below 0: better)%s\n", style(screen, FAINT),
	        style(screen, PLAIN));
	say_change(out, s, "CPT-ZS", "learned: right after its own step, against zero-shot (CPT / ZS)");
	say_change(out, s, "FG.cpt", "forgotten: at the end, against right after its own step (LC / CPT)");
	say_change(out, s, "LC-ZS", "left over: at the end, against zero-shot (LC / ZS)");
	say_change(out, s, "CPT-FT", "from the others: own step, against training on it alone (CPT / FT)");
	if (m->max_error > 0)
		fprintf(out, "samples of windows were scored: standard error of a cell's log-perplexity up to %.2g\n",
		        m->max_error);
}

/* --- the map ---------------------------------------------------------------------------------------- */

struct layout {
	int cell;   /* columns of a cell: 1 or 2 without a number */
	int block;  /* domains in a cell's side */
	int label;  /* columns left of the map */
	int digits; /* of the largest step */
	int name;   /* columns of a row's name */
	bool numbers, rules;
	double limit;
};

static int number_text(char *s, size_t size, double change)
{
	double x = percent(change);

	if (isnan(x))
		return snprintf(s, size, ".");
	if (fabs(x) < 0.5)
		return snprintf(s, size, "0");
	return snprintf(s, size, x < 999.5 ? "%+.0f" : ">999", x);
}

static struct layout lay_out(const struct matrix *m, struct screen screen)
{
	struct layout l = {.block = 1, .limit = heat_limit(m)};
	int longest = 1, number = 1, room, rules = m->n_portions - 1;
	char text[32];

	l.digits = snprintf(text, sizeof text, "%d", m->n);
	for (int j = 0; j < m->n; j++) {
		int w = text_width(short_name(m->domain[j].name, 24, screen), screen);

		longest = w > longest ? w : longest;
		for (int k = 1; k <= m->n; k++) {
			w = number_text(text, sizeof text, matrix_change(m, k, j));
			number = w > number ? w : number;
		}
	}
	number = number < l.digits ? l.digits : number;
	l.name = longest > 24 ? 24 : longest;
	if (l.name > screen.width / 3)
		l.name = screen.width / 3;
	l.label = l.digits + 1 + l.name + 1;
	room = screen.width - l.label;
	l.numbers = (number + 1) * m->n <= room;
	if (!l.numbers && (number + 1) * m->n <= room + l.name - 8 && l.name > 8) { /* shorter names let the numbers in */
		l.name -= (number + 1) * m->n - room;
		l.label = l.digits + 1 + l.name + 1;
		room = screen.width - l.label;
		l.numbers = true;
	}
	l.cell = l.numbers ? number + 1 : 2 * m->n <= room ? 2 : 1;
	if (m->n * l.cell > room) { /* averaged: rows are known by their step alone */
		l.cell = 2;
		l.name = 0;
		l.label = l.digits + 2;
		room = screen.width - l.label;
		while ((m->n + l.block - 1) / l.block * l.cell > room)
			l.block++;
	}
	/* A rule between portions, if each is one stretch of the sequence. */
	l.rules = l.block == 1 && rules > 0 && rules < 4 && l.cell * m->n + rules <= room;
	for (int j = 1, seen = 0; j < m->n; j++) {
		seen += m->domain[j].portion_id != m->domain[j - 1].portion_id;
		l.rules = l.rules && seen <= rules;
	}
	return l;
}

static bool rule_before(const struct matrix *m, const struct layout *l, int j)
{
	return l->rules && j > 0 && m->domain[j].portion_id != m->domain[j - 1].portion_id;
}

static void put_cell(FILE *out, const struct matrix *m, const struct layout *l, struct screen s, int k, int j)
{
	struct mean x = {0};
	bool diagonal = false;
	char text[32] = "";
	double v;

	for (int a = k; a < k + l->block && a <= m->n; a++)
		for (int b = j; b < j + l->block && b < m->n; b++) {
			mean_add(&x, matrix_change(m, a, b));
			diagonal = diagonal || a == b + 1;
		}
	v = mean_value(&x);
	if (s.color != COLOR_NONE && !isnan(v))
		paint(out, s, v / l->limit);
	if (l->numbers) {
		number_text(text, sizeof text, v);
		fprintf(out, "%s%*s%s", diagonal ? style(s, BOLD) : "", l->cell - 1, text,
		        !diagonal ? " " : s.color != COLOR_NONE && s.utf8 ? "◂" : "<");
	} else if (s.color != COLOR_NONE && isnan(v) && !diagonal) {
		fputs(l->cell == 1 ? "." : ". ", out);
	} else if (s.color != COLOR_NONE) {
		fputs(diagonal ? (l->cell == 1 ? (s.utf8 ? "•" : "o") : (s.utf8 ? "••" : "<>")) : l->cell == 1 ? " " : "  ",
		      out);
	} else {
		/* signs by thirds of the limit, so that a map without colours still has its shape */
		static const char *const sign[] = {"==", "--", "- ", ". ", "+ ", "++", "##"};
		int level = isnan(v) ? 3 : (int)lround(3 * fmax(-1, fmin(1, v / l->limit))) + 3;

		fprintf(out, "%.*s", l->cell, isnan(v) ? "  " : diagonal && l->cell == 2 && level == 3 ? "<>" : sign[level]);
	}
	if (s.color != COLOR_NONE)
		fputs(PLAIN, out);
}

static void put_legend(FILE *out, const struct layout *l, struct screen s)
{
	fprintf(out, "%*s", l->digits + 1, "");
	if (s.color == COLOR_NONE) {
		if (!l->numbers)
			fprintf(out, "== -- -  better   .  no change   +  ++ ## worse (ends: %+.0f %%, %+.0f %%)\n",
			        percent(-l->limit), percent(l->limit));
		else
			fprintf(out, "-: better than zero-shot   +: worse   <: the domain just trained\n");
		return;
	}
	fprintf(out, "better %+.0f %% ", percent(-l->limit));
	for (int i = -10; i <= 10; i++) {
		paint(out, s, i / 10.0);
		fputs(i == 0 ? "0" : " ", out);
	}
	fprintf(out, "%s %+.0f %% worse    ", PLAIN, percent(l->limit));
	fprintf(out, "%s the domain just trained\n", l->numbers ? (s.utf8 ? "◂" : "<") : s.utf8 ? "••" : "<>");
}

static void put_rule(FILE *out, const struct matrix *m, const struct layout *l, struct screen s)
{
	fprintf(out, "%*s", l->label, "");
	for (int j = 0; j < m->n; j++) {
		if (rule_before(m, l, j))
			fputs(s.utf8 ? "┼" : "+", out);
		for (int i = 0; i < l->cell; i++)
			fputs(s.utf8 ? "─" : "-", out);
	}
	fputc('\n', out);
}

/* The columns' steps, as many as there is room for. */
static void put_steps(FILE *out, const struct matrix *m, const struct layout *l)
{
	size_t width = (size_t)(l->label + l->cell * m->n + m->n + 32), used = 0;
	char *line = xmalloc(width + 1), text[32];
	int at = l->label;

	memset(line, ' ', width);
	for (int j = 0; j < m->n; j += l->block, at += l->cell) {
		int i = j / l->block + 1, n = snprintf(text, sizeof text, "%d", j + 1);
		int x = l->numbers ? at + l->cell - 1 - n : at;

		at += rule_before(m, l, j);
		x += rule_before(m, l, j);
		if ((l->numbers || i == 1 || (l->block > 1 ? i % 5 == 1 : i % 5 == 0)) && (size_t)x >= used + (used > 0)) {
			memcpy(line + x, text, (size_t)n);
			used = (size_t)(x + n);
		}
	}
	fprintf(out, "%.*s\n", (int)used, line);
	free(line);
}

void heatmap_print(FILE *out, const struct matrix *m, struct screen s)
{
	struct layout l = lay_out(m, s);

	fprintf(out, "%schange in perplexity against zero-shot, in %%%s\n", style(s, BOLD), style(s, PLAIN));
	fprintf(out, "%srow: the model after training on this domain; column: measured on the domain of that step%s\n",
	        style(s, FAINT), style(s, PLAIN));
	if (l.block > 1)
		fprintf(out, "each cell: the mean of %d steps on %d domains\n", l.block, l.block);
	put_steps(out, m, &l);
	for (int k = 1; k <= m->n; k += l.block) {
		if (rule_before(m, &l, k - 1))
			put_rule(out, m, &l, s);
		fprintf(out, "%*d ", l.digits, k);
		if (l.block > 1)
			fprintf(out, "%-*s", l.name, "");
		else
			put_padded(out, short_name(m->domain[k - 1].name, l.name, s), l.name, s);
		fputc(' ', out);
		for (int j = 0; j < m->n; j += l.block) {
			if (rule_before(m, &l, j))
				fputs(s.utf8 ? "│" : "|", out);
			put_cell(out, m, &l, s, k, j);
		}
		fputc('\n', out);
	}
	put_legend(out, &l, s);
	if (matrix_measured(m) < (m->n + 1) * m->n)
		fprintf(out, "%*s%s: not measured\n", l.digits + 1, "", l.numbers || s.color != COLOR_NONE ? "." : "blank");
}
