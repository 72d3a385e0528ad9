#include "table.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "matrix.h"
#include "tsv.h"

struct cell {
	char *exact, *shown;
	bool number;
};

struct table {
	char *kind, *columns;
	int n_columns, n, cap;
	struct cell *cell;
};

struct table *table_new(const char *kind, const char *columns)
{
	struct table *t = xcalloc(1, sizeof *t);

	t->kind = xstrdup(kind);
	t->columns = xstrdup(columns);
	t->n_columns = 1;
	for (const char *s = columns; *s; s++)
		t->n_columns += *s == ' ';
	return t;
}

void table_free(struct table *t)
{
	for (int i = 0; i < t->n; i++) {
		free(t->cell[i].exact);
		free(t->cell[i].shown);
	}
	free(t->cell);
	free(t->kind);
	free(t->columns);
	free(t);
}

static void put(struct table *t, const char *exact, const char *shown, bool number)
{
	GROW(t->cell, t->n, t->cap);
	t->cell[t->n++] = (struct cell){xstrdup(exact), xstrdup(shown), number};
}

void table_text(struct table *t, const char *s)
{
	put(t, *s ? s : "-", *s ? s : "-", false);
}

void table_int(struct table *t, long long n)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", n);
	put(t, text, text, true);
}

void table_real(struct table *t, double x, const char *format)
{
	char text[400] = "-";

	if (isinf(x)) {
		put(t, x > 0 ? "inf" : "-inf", x > 0 ? "inf" : "-inf", true);
		return;
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (!isnan(x))
		snprintf(text, sizeof text, format, x);
#pragma GCC diagnostic pop
	put(t, real_text(x), text, true);
}

/* Calls f for each name of a column. */
static void each_column(const struct table *t, FILE *out, void (*f)(FILE *out, const char *name, int i))
{
	char *copy = xstrdup(t->columns), *save = NULL;
	int i = 0;

	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save))
		f(out, s, i++);
	free(copy);
}

static void tsv_name(FILE *out, const char *name, int i)
{
	fprintf(out, "%s%s", i ? "\t" : "", name);
}

void md_text(FILE *out, const char *s)
{
	for (; *s; s++)
		fprintf(out, *s == '|' ? "\\|" : "%c", *s);
}

static void md_name(FILE *out, const char *name, int i)
{
	fputs(i ? " | " : "| ", out);
	md_text(out, name);
}

static void tex_cell(FILE *out, const char *s, bool number)
{
	if (number && *s == '-' && s[1]) {
		fputs("$-$", out);
		s++;
	}
	for (; *s; s++)
		if (*s == '\\')
			fputs("\\textbackslash{}", out);
		else if (*s == '~' || *s == '^')
			fprintf(out, "\\%c{}", *s);
		else
			fprintf(out, strchr("&%$#_{}", *s) ? "\\%c" : "%c", *s);
}

static void tex_name(FILE *out, const char *name, int i)
{
	fputs(i ? " & " : "", out);
	tex_cell(out, name, false);
}

static struct atomic *begin(const char *dir, const char *name, const char *ending)
{
	char *file = xasprintf("%s.%s", name, ending), *path = path_join(dir, file);
	struct atomic *a = atomic_open(path);

	free(path);
	free(file);
	return a;
}

static void write_tsv(const struct table *t, FILE *out)
{
	tsv_begin(out, t->kind);
	each_column(t, out, tsv_name);
	for (int i = 0; i < t->n; i++)
		fprintf(out, "%c%s", i % t->n_columns ? '\t' : '\n', t->cell[i].exact);
	fputc('\n', out);
}

static void write_md(const struct table *t, FILE *out)
{
	each_column(t, out, md_name);
	fputs(" |\n", out);
	for (int i = 0; i < t->n_columns; i++)
		fputs(t->n && t->cell[i].number ? "| ---: " : "| --- ", out);
	fputs("|\n", out);
	for (int i = 0; i < t->n; i++) {
		fputs(i % t->n_columns ? " | " : "| ", out);
		md_text(out, t->cell[i].shown);
		if (i % t->n_columns == t->n_columns - 1)
			fputs(" |\n", out);
	}
}

/* For \usepackage{booktabs}. */
static void write_tex(const struct table *t, FILE *out)
{
	fputs("\\begin{tabular}{", out);
	for (int i = 0; i < t->n_columns; i++)
		fputc(t->n && t->cell[i].number ? 'r' : 'l', out);
	fputs("}\n\\toprule\n", out);
	each_column(t, out, tex_name);
	fputs(" \\\\\n\\midrule\n", out);
	for (int i = 0; i < t->n; i++) {
		if (i % t->n_columns)
			fputs(" & ", out);
		tex_cell(out, t->cell[i].shown, t->cell[i].number);
		if (i % t->n_columns == t->n_columns - 1)
			fputs(" \\\\\n", out);
	}
	fputs("\\bottomrule\n\\end{tabular}\n", out);
}

void table_write(const struct table *t, const char *dir, const char *name)
{
	static const struct {
		const char *ending;
		void (*write)(const struct table *t, FILE *out);
	} form[] = {{"tsv", write_tsv}, {"md", write_md}, {"tex", write_tex}};

	if (t->n % t->n_columns)
		die("table %s: a row is not complete", name);
	for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
		struct atomic *a = begin(dir, name, form[i].ending);

		form[i].write(t, atomic_file(a));
		atomic_commit(a);
	}
}
