#include "matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "hash.h"
#include "heatmap.h"
#include "options.h"
#include "tsv.h"

const char *real_text(double x)
{
	static char text[8][32];
	static int turn;
	char *s = text[turn = (turn + 1) % 8];

	if (!isfinite(x))
		return "-";
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(s, sizeof text[0], "%.*g", digits, x);
		if (strtod(s, NULL) == x)
			break;
	}
	return s;
}

enum model_kind model_parse(const char *name, int *step, const char **domain)
{
	int64_t k;

	if (!strncmp(name, "FT:", 3) && name[3]) {
		*domain = name + 3;
		return MODEL_FT;
	}
	if (name[0] != 'M' || name[1] < '0' || name[1] > '9' || (name[1] == '0' && name[2]))
		return MODEL_UNKNOWN;
	if (!parse_i64(name + 1, &k) || k > MATRIX_MAX_DOMAINS)
		return MODEL_UNKNOWN;
	*step = (int)k;
	return MODEL_STEP;
}

/* Index of s among the n names of *list, added if new. */
static int intern(char ***list, int *n, const char *s)
{
	for (int i = 0; i < *n; i++)
		if (!strcmp((*list)[i], s))
			return i;
	*list = xreallocarray(*list, (size_t)*n + 1, sizeof **list);
	(*list)[*n] = xstrdup(s);
	return (*n)++;
}

static struct matrix *matrix_new(int n)
{
	struct matrix *m = xcalloc(1, sizeof *m);
	size_t cells = (size_t)(n + 1) * (size_t)n;

	m->n = n;
	m->domain = xcalloc((size_t)n, sizeof *m->domain);
	m->loss = xcalloc(cells, sizeof *m->loss);
	m->ppl = xcalloc(cells, sizeof *m->ppl);
	for (size_t i = 0; i < cells; i++)
		m->loss[i] = m->ppl[i] = NAN;
	m->model_hash = xcalloc((size_t)n + 1, sizeof *m->model_hash);
	return m;
}

void matrix_free(struct matrix *m)
{
	if (!m)
		return;
	for (int j = 0; j < m->n; j++) {
		free(m->domain[j].name);
		free(m->domain[j].l1);
		free(m->domain[j].portion);
		free(m->domain[j].data_hash);
	}
	for (int k = 0; k <= m->n; k++)
		free(m->model_hash[k]);
	for (int i = 0; i < m->n_l1; i++)
		free(m->l1[i]);
	for (int i = 0; i < m->n_portions; i++)
		free(m->portion[i]);
	free(m->l1);
	free(m->portion);
	free(m->domain);
	free(m->loss);
	free(m->ppl);
	free(m->model_hash);
	free(m->input);
	free(m->name);
	free(m->protocol);
	free(m);
}

/* --- names, found by bisection ------------------------------------------------------------------ */

struct by_name {
	const char *name;
	int index;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct by_name *)a)->name, ((const struct by_name *)b)->name);
}

static int find_name(const struct by_name *v, int n, const char *name)
{
	struct by_name key = {name, 0};
	const struct by_name *hit = bsearch(&key, v, (size_t)n, sizeof *v, compare_names);

	return hit ? hit->index : -1;
}

/* The domains of a table with columns step, domain, l1, portion, cosine; *names: sorted, you free() it. */
static struct matrix *read_domains(const struct tsv *t, struct by_name **names)
{
	int c_step = tsv_column(t, "step"), c_domain = tsv_column(t, "domain"), c_l1 = tsv_column(t, "l1");
	int c_portion = tsv_column(t, "portion"), c_cosine = tsv_find_column(t, "cosine");
	struct matrix *m;

	if (t->n_rows == 0)
		die_input("%s: no domains", t->name);
	if (t->n_rows > MATRIX_MAX_DOMAINS)
		die_input("%s: %d domains: at most %d are possible", t->name, t->n_rows, MATRIX_MAX_DOMAINS);
	m = matrix_new(t->n_rows);
	*names = xcalloc((size_t)m->n, sizeof **names);
	for (int j = 0; j < m->n; j++) {
		struct matrix_domain *d = &m->domain[j];
		const char *name = tsv_string(t, j, c_domain);

		if (tsv_int(t, j, c_step) != j + 1)
			tsv_die(t, j, "step %s where step %d is due", t->cell[j][c_step], j + 1);
		if (!is_domain_name(name))
			tsv_die(t, j, "not a name of a domain: %s", name);
		d->name = xstrdup(name);
		d->l1 = xstrdup(tsv_string(t, j, c_l1));
		d->portion = xstrdup(tsv_string(t, j, c_portion));
		d->l1_id = intern(&m->l1, &m->n_l1, d->l1);
		d->portion_id = intern(&m->portion, &m->n_portions, d->portion);
		d->cosine = c_cosine < 0 || !strcmp(t->cell[j][c_cosine], "-") ? NAN : tsv_real(t, j, c_cosine);
		d->ft = d->ft_ppl = NAN;
		(*names)[j] = (struct by_name){d->name, j};
	}
	qsort(*names, (size_t)m->n, sizeof **names, compare_names);
	for (int j = 1; j < m->n; j++)
		if (!strcmp((*names)[j].name, (*names)[j - 1].name))
			die_input("%s: domain stands twice: %s", t->name, (*names)[j].name);
	return m;
}

/* --- rows of ppl-eval --------------------------------------------------------------------------- */

struct rows_columns {
	int model, model_hash, domain, protocol, data_hash, nll, targets, ppl, error;
};

/* Keeps the first value of a text that must be the same everywhere; false if this one differs. */
static bool same_text(char **kept, const char *s)
{
	if (*kept)
		return !strcmp(*kept, s);
	*kept = xstrdup(s);
	return true;
}

/* A refusal is about one place in one file, and names the value that was there before. */
static void add_row(struct matrix *m, const struct by_name *names, char **ft_hash, const struct tsv *t,
                    const struct rows_columns *c, int row)
{
	const char *model = tsv_string(t, row, c->model), *name = tsv_string(t, row, c->domain), *own = NULL;
	const char *protocol = tsv_string(t, row, c->protocol), *data = tsv_string(t, row, c->data_hash);
	const char *hash = tsv_string(t, row, c->model_hash);
	int64_t targets = tsv_int(t, row, c->targets);
	double nll = tsv_real(t, row, c->nll), ppl = tsv_real(t, row, c->ppl);
	double error = c->error < 0 ? 0 : tsv_real(t, row, c->error);
	int j = find_name(names, m->n, name), step = 0, own_j = -1;
	enum model_kind kind = model_parse(model, &step, &own);
	struct matrix_domain *d;
	double *cell;

	if (kind == MODEL_UNKNOWN)
		tsv_die(t, row, "model %s: not a name of the form M<step> or FT:<domain>", model);
	if (kind == MODEL_STEP && step > m->n)
		tsv_die(t, row, "model %s: the order has %d steps", model, m->n);
	if (kind == MODEL_FT && (own_j = find_name(names, m->n, own)) < 0)
		tsv_die(t, row, "model %s: the order does not know this domain", model);
	if (j < 0)
		tsv_die(t, row, "domain %s: the order does not know it", name);
	d = &m->domain[j];
	if (targets <= 0)
		tsv_die(t, row, "targets must be positive");
	if (nll < 0 || ppl < 1 || error < 0)
		tsv_die(t, row, "nll and stderr cannot be negative, nor ppl below 1");

	if (!same_text(&m->protocol, protocol))
		tsv_die(t, row, "protocol %s: cannot be compared with %s of the other rows", protocol, m->protocol);
	if (!same_text(&d->data_hash, data))
		tsv_die(t, row, "domain %s: data_hash %.12s: other rows have %.12s", name, data, d->data_hash);
	if (d->targets && d->targets != targets)
		tsv_die(t, row, "domain %s: other rows have %lld targets, not %lld", name, (long long)d->targets, (long long)targets);
	d->targets = targets;
	if (!same_text(kind == MODEL_STEP ? &m->model_hash[step] : &ft_hash[own_j], hash))
		tsv_die(t, row, "model %s: model_hash %.12s: other rows have %.12s", model, hash,
		        kind == MODEL_STEP ? m->model_hash[step] : ft_hash[own_j]);

	if (kind == MODEL_FT && own_j != j)
		return; /* valid, but no measure asks how a fine-tuned model does elsewhere */
	cell = kind == MODEL_FT ? &d->ft_ppl : &m->ppl[matrix_at(m, step, j) - m->loss];
	if (!isnan(*cell) && *cell != ppl)
		tsv_die(t, row, "model %s, domain %s: ppl %s, but another row has %s", model, name, real_text(ppl),
		        real_text(*cell));
	*cell = ppl;
	*(kind == MODEL_FT ? &d->ft : matrix_at(m, step, j)) = log(ppl);
	m->max_error = fmax(m->max_error, error);
}

static void read_rows(struct matrix *m, const struct by_name *names, char **ft_hash, const char *path,
                      uint8_t digest[HASH_BYTES])
{
	struct tsv *t = tsv_read(path, "rows");
	struct rows_columns c = {
		tsv_column(t, "model"), tsv_column(t, "model_hash"), tsv_column(t, "domain"), tsv_column(t, "protocol"),
		tsv_column(t, "data_hash"), tsv_column(t, "nll"), tsv_column(t, "targets"), tsv_column(t, "ppl"),
		tsv_find_column(t, "stderr"),
	};

	for (int row = 0; row < t->n_rows; row++)
		add_row(m, names, ft_hash, t, &c, row);
	memcpy(digest, t->sha256, HASH_BYTES);
	tsv_free(t);
}

static void check_complete(const struct matrix *m)
{
	for (int j = 0; j < m->n; j++)
		if (!m->domain[j].data_hash)
			die_input("domain %s: the order names it, no row does (see --partial)", m->domain[j].name);
	for (int k = 0; k <= m->n; k++)
		if (!m->model_hash[k])
			die_input("model M%d (%s%s): no row (see --partial)", k, k ? "after " : "before any training",
			          k ? m->domain[k - 1].name : "");
}

struct matrix *matrix_read(const char *order, const char *const *rows, int n_rows, const char *name, bool partial)
{
	struct tsv *t = tsv_read(order, "order");
	struct by_name *names;
	struct matrix *m = read_domains(t, &names);
	char **ft_hash = xcalloc((size_t)m->n, sizeof *ft_hash);

	m->input = xcalloc((size_t)n_rows + 1, sizeof *m->input);
	memcpy(m->input[0], t->sha256, HASH_BYTES);
	tsv_free(t);
	m->name = xstrdup(name);
	for (int i = 0; i < n_rows; i++)
		read_rows(m, names, ft_hash, rows[i], m->input[i + 1]);
	if (!m->protocol)
		die_input("%s: no rows", n_rows == 1 ? rows[0] : "input");
	if (!partial)
		check_complete(m);
	for (int k = 1; k <= m->n; k++)
		if (m->model_hash[k] && m->model_hash[k - 1] && !strcmp(m->model_hash[k], m->model_hash[k - 1]))
			warn("models M%d and M%d: the same model_hash: was step %d trained?", k - 1, k, k);
	for (int j = 0; j < m->n; j++) {
		m->n_ft += !isnan(m->domain[j].ft);
		free(ft_hash[j]);
	}
	free(ft_hash);
	free(names);
	return m;
}

int matrix_measured(const struct matrix *m)
{
	int n = 0;

	for (int i = 0; i < (m->n + 1) * m->n; i++)
		n += !isnan(m->loss[i]);
	return n;
}

double matrix_best(const struct matrix *m, int j, int first, int *step)
{
	double best = NAN;
	int at = 0;

	for (int k = first; k < m->n; k++) {
		if (isnan(matrix_ppl(m, k, j)))
			return NAN;
		if (!(best <= matrix_ppl(m, k, j))) {
			best = matrix_ppl(m, k, j);
			at = k;
		}
	}
	if (!isnan(best))
		*step = at;
	return best;
}

/* --- the directory ------------------------------------------------------------------------------ */

static struct atomic *begin(const char *dir, const char *file, const char *kind)
{
	char *path = path_join(dir, file);
	struct atomic *a = atomic_open(path);

	free(path);
	tsv_begin(atomic_file(a), kind);
	return a;
}

static void write_domains(const struct matrix *m, FILE *out)
{
	fputs("step\tdomain\tl1\tportion\tcosine\tzs\tft\tcpt\tlc\tbest\tbest_step\ttargets\tdata_hash\n", out);
	for (int j = 0; j < m->n; j++) {
		const struct matrix_domain *d = &m->domain[j];
		int step = -1;
		double best = matrix_best(m, j, 0, &step);

		fprintf(out, "%d\t%s\t%s\t%s\t%s\t", j + 1, d->name, d->l1, d->portion, real_text(d->cosine));
		fprintf(out, "%s\t%s\t%s\t%s\t%s\t", real_text(matrix_ppl(m, 0, j)), real_text(d->ft_ppl),
		        real_text(matrix_ppl(m, j + 1, j)), real_text(matrix_ppl(m, m->n, j)), real_text(best));
		if (step < 0)
			fputs("-", out);
		else
			fprintf(out, "%d", step);
		fprintf(out, "\t%lld\t%s\n", (long long)d->targets, d->data_hash ? d->data_hash : "-");
	}
}

static void write_matrix(const struct matrix *m, FILE *out)
{
	fputs("step\tafter", out);
	for (int j = 0; j < m->n; j++)
		fprintf(out, "\t%s", m->domain[j].name);
	for (int k = 0; k <= m->n; k++) {
		fprintf(out, "\n%d\t%s", k, k ? m->domain[k - 1].name : "-");
		for (int j = 0; j < m->n; j++)
			fprintf(out, "\t%s", real_text(matrix_ppl(m, k, j)));
	}
	fputc('\n', out);
}

/* The same, a line a cell, for tools that like tables tidy. */
static void write_cells(const struct matrix *m, FILE *out)
{
	fputs("step\tafter\tposition\tdomain\tl1\tportion\tdistance\tppl\ttransfer\n", out);
	for (int k = 0; k <= m->n; k++)
		for (int j = 0; j < m->n; j++)
			fprintf(out, "%d\t%s\t%d\t%s\t%s\t%s\t%d\t%s\t%s\n", k, k ? m->domain[k - 1].name : "-", j + 1,
			        m->domain[j].name, m->domain[j].l1, m->domain[j].portion, k - j - 1,
			        real_text(matrix_ppl(m, k, j)), real_text(0 - matrix_change(m, k, j)));
}

static void write_about(const struct matrix *m, FILE *out, const char *order, const char *const *rows, int n_rows)
{
	char hex[HASH_HEX];

	fprintf(out, "key\tvalue\nname\t%s\ntool\t%s\nprotocol\t%s\ndomains\t%d\nft\t%d\n", m->name, option_record(),
	        m->protocol, m->n, m->n_ft);
	fprintf(out, "max_stderr\t%s\nlimit\t%s\n", real_text(m->max_error), real_text(heat_limit(m)));
	for (int i = -1; i < n_rows; i++) {
		const char *path = i < 0 ? order : rows[i], *base = strrchr(path, '/');

		base = base ? base + 1 : path;
		hash_hex(m->input[i + 1], hex);
		fprintf(out, "%s\tsha256 %s %s\n", i < 0 ? "order" : "rows", hex,
		        !strcmp(path, "-") ? "stdin" : tsv_is_clean(base) ? base : "?");
	}
	for (int k = 0; k <= m->n; k++)
		if (m->model_hash[k])
			fprintf(out, "M%d\t%s\n", k, m->model_hash[k]);
}

void matrix_write(const struct matrix *m, const char *dir, const char *order, const char *const *rows, int n_rows)
{
	struct atomic *a;

	a = begin(dir, "matrix.tsv", "matrix");
	write_matrix(m, atomic_file(a));
	atomic_commit(a);
	a = begin(dir, "per-domain.tsv", "matrix-per-domain");
	write_domains(m, atomic_file(a));
	atomic_commit(a);
	a = begin(dir, "cells.tsv", "matrix-cells");
	write_cells(m, atomic_file(a));
	atomic_commit(a);
	a = begin(dir, "about.tsv", "matrix-about");
	write_about(m, atomic_file(a), order, rows, n_rows);
	atomic_commit(a);
}

/* A perplexity, NaN for "-". */
static double read_cell(const struct tsv *t, int row, int column)
{
	double ppl;

	if (!strcmp(t->cell[row][column], "-"))
		return NAN;
	ppl = tsv_real(t, row, column);
	if (ppl < 1)
		tsv_die(t, row, "%s: a perplexity below 1", t->column[column]);
	return ppl;
}

static struct tsv *open_in(const char *dir, const char *file, const char *kind)
{
	char *path = path_join(dir, file);
	struct tsv *t = tsv_read(path, kind);

	free(path);
	return t;
}

static void load_about(struct matrix *m, const char *dir)
{
	struct tsv *t = open_in(dir, "about.tsv", "matrix-about");
	int c_key = tsv_column(t, "key"), c_value = tsv_column(t, "value");

	for (int i = 0; i < t->n_rows; i++) {
		const char *key = tsv_string(t, i, c_key), *value = tsv_string(t, i, c_value), *domain;
		int step;

		if (!strcmp(key, "name"))
			same_text(&m->name, value);
		else if (!strcmp(key, "protocol"))
			same_text(&m->protocol, value);
		else if (!strcmp(key, "max_stderr"))
			m->max_error = tsv_real(t, i, c_value);
		else if (model_parse(key, &step, &domain) == MODEL_STEP && step <= m->n)
			same_text(&m->model_hash[step], value);
	}
	if (!m->name || !m->protocol)
		die_input("%s: name or protocol is missing", t->name);
	tsv_free(t);
}

struct matrix *matrix_load(const char *dir)
{
	struct tsv *t = open_in(dir, "per-domain.tsv", "matrix-per-domain");
	struct by_name *names;
	struct matrix *m = read_domains(t, &names);
	int c_ft = tsv_column(t, "ft"), c_hash = tsv_column(t, "data_hash"), c_targets = tsv_column(t, "targets");

	for (int j = 0; j < m->n; j++) {
		m->domain[j].ft_ppl = read_cell(t, j, c_ft);
		m->domain[j].ft = log(m->domain[j].ft_ppl);
		m->n_ft += !isnan(m->domain[j].ft);
		m->domain[j].targets = tsv_int(t, j, c_targets);
		if (strcmp(tsv_string(t, j, c_hash), "-"))
			m->domain[j].data_hash = xstrdup(t->cell[j][c_hash]);
	}
	tsv_free(t);
	free(names);

	t = open_in(dir, "matrix.tsv", "matrix");
	if (t->n_rows != m->n + 1 || t->n_columns != m->n + 2)
		die_input("%s: %d rows and %d columns where per-domain.tsv asks for %d and %d", t->name, t->n_rows, t->n_columns,
		          m->n + 1, m->n + 2);
	for (int j = 0; j < m->n; j++)
		if (strcmp(t->column[j + 2], m->domain[j].name))
			die_input("%s: column %s where per-domain.tsv has %s", t->name, t->column[j + 2], m->domain[j].name);
	for (int k = 0; k <= m->n; k++) {
		if (tsv_int(t, k, 0) != k)
			tsv_die(t, k, "step %s where step %d is due", t->cell[k][0], k);
		for (int j = 0; j < m->n; j++) {
			double ppl = read_cell(t, k, j + 2);

			m->ppl[matrix_at(m, k, j) - m->loss] = ppl;
			*matrix_at(m, k, j) = log(ppl);
		}
	}
	tsv_free(t);
	load_about(m, dir);
	return m;
}
