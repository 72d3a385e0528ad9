#include "windows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "tsv.h"

const char windows_columns[] = "window\tnll\ttargets";

void put_windows(struct atomic *out, const char *about, const double *nll, const double *targets, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (!isnan(nll[i]))
			atomic_printf(out, "%s%llu\t%.17g\t%.0f\n", about, (unsigned long long)i, nll[i], targets[i]);
}

/* The rows first .. first + n - 1 are of one text. */
struct group {
	const char *domain, *protocol, *data_hash;
	int first, n;
};

struct reference {
	struct tsv *t;
	int window, nll, targets; /* columns */
	struct group *group;
	int n, cap;
};

struct reference *reference_read(const char *path)
{
	struct reference *r = xcalloc(1, sizeof *r);
	struct tsv *t = r->t = tsv_read(path, "windows");
	int model = tsv_column(t, "model_hash"), protocol = tsv_column(t, "protocol"), data = tsv_column(t, "data_hash");
	int domain = tsv_column(t, "domain"); /* two may be named for one text */

	r->window = tsv_column(t, "window");
	r->nll = tsv_column(t, "nll");
	r->targets = tsv_column(t, "targets");
	for (int row = 0; row < t->n_rows; row++) {
		const char *p = tsv_string(t, row, protocol), *d = tsv_string(t, row, data);
		const char *name = tsv_string(t, row, domain);
		struct group *g = r->n ? &r->group[r->n - 1] : NULL;

		if (strcmp(tsv_string(t, row, model), t->cell[0][model]) != 0)
			tsv_die(t, row, "windows of a second model: one is needed to compare with");
		if (!g || strcmp(g->data_hash, d) != 0 || strcmp(g->protocol, p) != 0 || strcmp(g->domain, name) != 0) {
			GROW(r->group, r->n, r->cap);
			r->group[r->n++] = (struct group){name, p, d, row, 0};
		}
		r->group[r->n - 1].n++;
	}
	return r;
}

double *reference_nll(const struct reference *r, const char *name, const char *protocol, const char *data_hash,
                      const double *targets, uint64_t n)
{
	const struct group *g = r->group, *end = g + r->n;
	const struct tsv *t = r->t;

	while (g < end && (strcmp(g->data_hash, data_hash) != 0 || strcmp(g->protocol, protocol) != 0))
		g++;
	if (g == end)
		die_input("%s: has no windows of %s (data_hash %.12s, protocol %s)", t->name, name, data_hash, protocol);
	if ((uint64_t)g->n != n)
		die_input("%s: has %d windows of %s, not all %llu", t->name, g->n, name, (unsigned long long)n);

	double *nll = xcalloc(n, sizeof *nll);
	for (int i = 0; i < g->n; i++) {
		int row = g->first + i;

		if (tsv_int(t, row, r->window) != i)
			tsv_die(t, row, "window %s where %d is due", t->cell[row][r->window], i);
		if ((double)tsv_int(t, row, r->targets) != targets[i])
			tsv_die(t, row, "window %d has %s targets, in %s it has %.0f", i, t->cell[row][r->targets], name, targets[i]);
		nll[i] = tsv_real(t, row, r->nll);
	}
	return nll;
}

void reference_free(struct reference *r)
{
	if (!r)
		return;
	tsv_free(r->t);
	free(r->group);
	free(r);
}
