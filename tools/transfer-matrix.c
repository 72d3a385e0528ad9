/* transfer-matrix: what a sequence of models has learned, kept and lost. */
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "heatmap.h"
#include "matrix.h"
#include "metrics.h"
#include "options.h"
#include "tsv.h"

static const char *order, *out, *name, *color = "auto";
static bool partial;

static const struct option options[] = {
	{0, "order", OPT_STRING, &order, "FILE", "the sequence of domains, from order-domains", .unrecorded = true},
	{'o', "output", OPT_STRING, &out, "DIR", "write matrix, measures and tables into DIR", .unrecorded = true},
	{0, "name", OPT_STRING, &name, "NAME", "of this sequence in headings (default: from the order's file name)"},
	{0, "partial", OPT_FLAG, &partial, NULL, "accept steps and domains without any row"},
	{0, "color", OPT_CHOICE, &color, "WHEN", "colours on the terminal", .choices = "auto|always|never", .unrecorded = true},
	{0}
};

static const struct tool tool = {
	"transfer-matrix", "what a sequence of models has learned, kept and lost",
	"--order FILE [-o DIR] [options] ROWS.tsv...", options};

/* "similar" for a/similar.tsv and for similar/order.tsv; you free() it. */
static char *name_of(const char *path)
{
	const char *base = strrchr(path, '/'), *parent;
	size_t n;

	if (base && base > path && !strcmp(base, "/order.tsv")) {
		for (parent = base; parent > path && parent[-1] != '/'; parent--)
			;
		if (parent < base && strncmp(parent, "..", (size_t)(base - parent)))
			return xstrndup(parent, (size_t)(base - parent));
	}
	base = base ? base + 1 : path;
	n = strlen(base);
	return xstrndup(base, n > 4 && !strcmp(base + n - 4, ".tsv") ? n - 4 : n);
}

static void write_directory(const struct matrix *m, const struct metrics *s, const char *const *rows, int n_rows)
{
	char *staging = dir_begin_empty(out);

	matrix_write(m, staging, order, rows, n_rows);
	metrics_write(m, s, staging);
	dir_commit(out, staging);
	free(staging);
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool), n_rows = argc - first;
	const char *const *rows = (const char *const *)argv + first;
	struct screen screen;
	struct matrix *m;
	struct metrics *s;
	char *title;

	if (!order)
		die_usage("--order is missing");
	if (n_rows == 0)
		die_usage("no rows given");
	title = name ? xstrdup(name) : name_of(order);
	if (!tsv_is_clean(title))
		die_usage("--name: empty, or with control characters");
	if (out)
		dir_check_replaceable(out, "matrix.tsv");
	m = matrix_read(order, rows, n_rows, title, partial);
	s = metrics_of(m);
	if (out)
		write_directory(m, s, rows, n_rows);
	screen = screen_of(stdout, color);
	summary_print(stdout, m, s, screen);
	putchar('\n');
	heatmap_print(stdout, m, screen);
	close_stdout();
	metrics_free(s);
	matrix_free(m);
	free(title);
	return EXIT_DONE;
}
