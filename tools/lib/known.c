#include "known.h"

#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "sample.h"
#include "tsv.h"

struct table {
	struct tsv *t;
	int model_hash, protocol, data_hash, nll, targets, windows, ppl, error;
	int *column; /* (known.n_columns) */
};

struct known {
	struct table *table;
	int n, n_columns;
};

/* The columns that names, parted by tabs, name. */
static int find_columns(const struct tsv *t, const char *names, int **column)
{
	char *copy = xstrdup(names), *rest = copy, *name;
	int n = 0, cap = 0;

	*column = NULL;
	while ((name = strsep(&rest, "\t"))) {
		GROW(*column, n, cap);
		(*column)[n++] = tsv_column(t, name);
	}
	free(copy);
	return n;
}

struct known *known_read(const char *const *path, int n, const char *columns)
{
	struct known *k = xcalloc(1, sizeof *k);
	struct hash before = *tsv_inputs();

	k->table = xcalloc((size_t)n + 1, sizeof *k->table);
	k->n = n;
	for (int i = 0; i < n; i++) {
		struct tsv *t = tsv_read(path[i], "rows");

		k->table[i] = (struct table){t, tsv_column(t, "model_hash"), tsv_column(t, "protocol"), tsv_column(t, "data_hash"),
		                             tsv_column(t, "nll"), tsv_column(t, "targets"), tsv_column(t, "windows"),
		                             tsv_column(t, "ppl"), tsv_column(t, "stderr"), NULL};
		k->n_columns = find_columns(t, columns, &k->table[i].column);
	}
	*tsv_inputs() = before;
	return k;
}

static bool will_do(const struct table *x, int row, const struct wanted *w)
{
	const struct tsv *t = x->t;

	if (strcmp(tsv_string(t, row, x->model_hash), w->model_hash) != 0 ||
	    strcmp(tsv_string(t, row, x->protocol), w->protocol) != 0 ||
	    strcmp(tsv_string(t, row, x->data_hash), w->data_hash) != 0)
		return false;

	double error = tsv_real(t, row, x->error), nll = tsv_real(t, row, x->nll), mean = nll / (double)tsv_int(t, row, x->targets);
	int64_t windows = tsv_int(t, row, x->windows);
	if (tsv_int(t, row, x->targets) <= 0)
		tsv_die(t, row, "targets must be positive");
	if (nll < 0 || tsv_real(t, row, x->ppl) < 1 || error < 0 || windows < 0)
		tsv_die(t, row, "nll, windows and stderr cannot be negative, nor ppl below 1");
	if (w->sample || error == 0)
		return true;
	return w->until > 0 && windows > 0 && sample_enough(error, (uint64_t)windows, mean - w->reference, w->until);
}

/* Numbers; a perplexity of words may be too large for one. */
static char *cells(const struct tsv *t, int row, const int *column, int n)
{
	char *all = xstrdup("");

	for (int i = 0; i < n; i++) {
		const char *cell = t->cell[row][column[i]];
		if (strcmp(cell, "inf") != 0)
			tsv_real(t, row, column[i]);
		char *longer = xasprintf("%s%s%s", all, i ? "\t" : "", cell);
		free(all);
		all = longer;
	}
	return all;
}

char *known_find(const struct known *k, const struct wanted *w)
{
	for (const struct table *x = k->table; x < k->table + k->n; x++)
		for (int row = 0; row < x->t->n_rows; row++)
			if (will_do(x, row, w))
				return cells(x->t, row, x->column, k->n_columns);
	return NULL;
}

void known_free(struct known *k)
{
	if (!k)
		return;
	for (int i = 0; i < k->n; i++) {
		tsv_free(k->table[i].t);
		free(k->table[i].column);
	}
	free(k->table);
	free(k);
}
