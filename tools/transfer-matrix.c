/* transfer-matrix: what a sequence of models has learned, kept and lost. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "heatmap.h"
#include "matrix.h"
#include "metrics.h"
#include "options.h"
#include "outdir.h"
#include "tsv.h"

static const char *order, *out, *name, *follow, *color = "auto";
static bool partial;

static const struct option options[] = {
	{0, "order", OPT_STRING, &order, "FILE", "the sequence of domains, from order-domains", .unrecorded = true},
	{'o', "output", OPT_STRING, &out, "DIR", "write matrix, measures and tables into DIR", .unrecorded = true},
	{0, "name", OPT_STRING, &name, "NAME", "of this sequence in headings (default: from the order's file name)"},
	{0, "partial", OPT_FLAG, &partial, NULL, "accept steps and domains without any row"},
	{0, "follow", OPT_STRING, &follow, "DIR", "draw again whenever rows arrive in DIR, until all are there", .unrecorded = true},
	{0, "color", OPT_CHOICE, &color, "WHEN", "colours on the terminal", .choices = "auto|always|never", .unrecorded = true},
	{0}
};

static const struct tool tool = {
	"transfer-matrix", "what a sequence of models has learned, kept and lost",
	"--order FILE [-o DIR | --follow DIR] [options] ROWS.tsv...", options};

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

static const char *const tables[] = {"matrix.tsv", "per-domain.tsv", "cells.tsv", "about.tsv", "metrics.tsv", "metrics.json",
                                     "summary.tsv", "summary.md", "checkpoints.tsv", "distance.tsv", "l1.tsv", NULL};

static void write_directory(const struct matrix *m, const struct metrics *s, const char *const *rows, int n_rows)
{
	char *staging = dir_begin_empty(out, tables);

	matrix_write(m, staging, order, rows, n_rows);
	metrics_write(m, s, staging);
	dir_commit(out, staging);
	free(staging);
}

static void draw(const struct matrix *m, const struct metrics *s, struct screen screen)
{
	summary_print(stdout, m, s, screen);
	putchar('\n');
	heatmap_print(stdout, m, screen);
}

/* --- following -------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The tables, plain files, in a directory, sorted; *stamp changes whenever one of them does. A missing directory has none yet. */
static int list_tables(const char *dir, char ***path, uint64_t *stamp)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0, cap = 0;

	*path = NULL;
	*stamp = 0;
	while (d && (e = readdir(d))) {
		size_t length = strlen(e->d_name);
		struct stat st;

		if (length < 5 || e->d_name[0] == '.' || strcmp(e->d_name + length - 4, ".tsv"))
			continue;
		GROW(*path, n, cap);
		(*path)[n] = path_join(dir, e->d_name);
		if (stat((*path)[n], &st) != 0 || !S_ISREG(st.st_mode)) { /* gone meanwhile, or no table */
			free((*path)[n]);
			continue;
		}
		*stamp += (uint64_t)st.st_ino * 31 + (uint64_t)st.st_size * 7 +
		          (uint64_t)st.st_mtim.tv_sec * 1000003 + (uint64_t)st.st_mtim.tv_nsec + 1;
		n++;
	}
	if (d)
		closedir(d);
	if (n)
		qsort(*path, (size_t)n, sizeof **path, by_name);
	return n;
}

static bool is_complete(const struct matrix *m)
{
	for (int k = 0; k <= m->n; k++)
		if (!m->model_hash[k])
			return false;
	return true;
}

/* Looks once a second. A terminal is wiped before each drawing; elsewhere they stand one below the other. */
static void follow_rows(const char *const *rows, int n_rows, const char *title)
{
	struct screen screen = screen_of(stdout, color);
	bool wipe = isatty(STDOUT_FILENO), done = false, first = true;
	uint64_t last = 0, stamp;

	while (!done) {
		char **found;
		int n = list_tables(follow, &found, &stamp);
		const char **all = xcalloc((size_t)(n_rows + n) + 1, sizeof *all);

		for (int i = 0; i < n_rows + n; i++)
			all[i] = i < n_rows ? rows[i] : found[i - n_rows];
		if (n_rows + n > 0 && (first || stamp != last)) {
			struct matrix *m = matrix_read(order, all, n_rows + n, title, true);
			struct metrics *s = metrics_of(m);

			fputs(wipe ? "\033[H\033[2J" : first ? "" : "\n", stdout);
			draw(m, s, screen);
			if (fflush(stdout) != 0)
				die("cannot write stdout:");
			done = is_complete(m);
			first = false;
			metrics_free(s);
			matrix_free(m);
		}
		last = stamp;
		for (int i = 0; i < n; i++)
			free(found[i]);
		free(found);
		free(all);
		if (!done)
			nanosleep(&(struct timespec){1, 0}, NULL);
	}
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
	if (n_rows == 0 && !follow)
		die_usage("no rows given");
	if (follow && out)
		die_usage("-o and --follow exclude each other");
	for (int i = 0; i < n_rows && follow; i++)
		if (!strcmp(rows[i], "-"))
			die_usage("standard input cannot be followed");
	title = name ? xstrdup(name) : name_of(order);
	if (!tsv_is_clean(title))
		die_usage("--name: empty, or with control characters");
	if (follow) {
		follow_rows(rows, n_rows, title);
		close_stdout();
		free(title);
		return EXIT_DONE;
	}
	if (out)
		dir_check_replaceable(out, tables);
	m = matrix_read(order, rows, n_rows, title, partial);
	s = metrics_of(m);
	if (out)
		write_directory(m, s, rows, n_rows);
	screen = screen_of(stdout, color);
	draw(m, s, screen);
	close_stdout();
	metrics_free(s);
	matrix_free(m);
	free(title);
	return EXIT_DONE;
}
