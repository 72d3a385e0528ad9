#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "options.h"
#include "reader.h"
#include "rng.h"
#include "tsv.h"

static const char *how = "similar", *vectors_path, *given_path, *portions, *start, *out = "-";
static int64_t seed;

static const struct option options[] = {
	{0, "order", OPT_CHOICE, &how, "ORDER", "of the domains",
	 .choices = "similar|random|given|size|reverse|farthest|interleave"},
	{0, "vectors", OPT_STRING, &vectors_path, "FILE", "domain vectors", .unrecorded = true},
	{0, "given", OPT_STRING, &given_path, "FILE", "names in sequence, or an order.tsv", .unrecorded = true},
	{0, "portions", OPT_STRING, &portions, "LIST", "portion after portion: a,b,c; a+b is one"},
	{0, "start", OPT_STRING, &start, "DOMAIN", "first domain, instead of that nearest to @base"},
	{0, "seed", OPT_INT, &seed, "S", "of the random order"},
	{'o', "output", OPT_STRING, &out, "FILE", "write to FILE", .unrecorded = true},
	{0},
};

static const struct tool tool = {
	"order-domains", "decide which domain comes when",
	"[-q] [--order ORDER] [--vectors FILE] [--given FILE] [--portions LIST] [--start DOMAIN] [--seed S] [-o FILE] "
	"domains.tsv", options};

struct domain {
	const char *name, *l1, *portion;
	int64_t bytes;
	int stage; /* domains of a later stage come later; -1: left out */
	int group, round; /* interleave: first domain of the group, how many of the group stand before */
	double *vector; /* unit length; NULL without --vectors */
};

static struct domain *domain;
static int n_domains, n_dims;
static double *base; /* vector of @base, or NULL */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct domain *)a)->name, ((const struct domain *)b)->name);
}

static int find(const struct domain *sorted, int n, const char *name)
{
	struct domain key = {.name = name};
	const struct domain *d = bsearch(&key, sorted, (size_t)n, sizeof *sorted, by_name);

	return d ? (int)(d - sorted) : -1;
}

/* In the order of the table. */
static void read_domains(const char *path)
{
	static struct tsv *t; /* its strings are the domains' */

	t = tsv_read(path, "domains");
	int name = tsv_column(t, "domain"), l1 = tsv_column(t, "l1"), portion = tsv_column(t, "portion");
	int bytes = !strcmp(how, "size") ? tsv_column(t, "train_bytes") : -1;
	struct domain *sorted;

	if (!t->n_rows)
		die_input("no domains: %s", t->name);
	n_domains = t->n_rows;
	domain = xcalloc((size_t)n_domains, sizeof *domain);
	for (int i = 0; i < n_domains; i++) {
		domain[i].name = tsv_string(t, i, name);
		domain[i].l1 = tsv_string(t, i, l1);
		domain[i].portion = tsv_string(t, i, portion);
		if (!is_domain_name(domain[i].name))
			tsv_die(t, i, "bad domain name: %s", domain[i].name);
		if (bytes >= 0)
			domain[i].bytes = tsv_int(t, i, bytes);
	}
	sorted = xcalloc((size_t)n_domains, sizeof *sorted);
	memcpy(sorted, domain, (size_t)n_domains * sizeof *sorted);
	qsort(sorted, (size_t)n_domains, sizeof *sorted, by_name);
	for (int i = 1; i < n_domains; i++)
		if (!strcmp(sorted[i].name, sorted[i - 1].name))
			die_input("bad table: %s: domain %s stands twice", t->name, sorted[i].name);
	free(sorted);
}

static double dot(const double *a, const double *b)
{
	double sum = 0;

	for (int i = 0; i < n_dims; i++)
		sum += a[i] * b[i];
	return sum;
}

/* Dimensions are the columns v0, v1 ... */
static void read_vectors(const char *path)
{
	struct tsv *t = tsv_read(path, "vectors");
	int name = tsv_column(t, "domain"), first = tsv_column(t, "v0"), model = tsv_find_column(t, "model_hash");

	for (n_dims = 0; first + n_dims < t->n_columns; n_dims++) {
		char expected[16];

		snprintf(expected, sizeof expected, "v%d", n_dims);
		if (strcmp(t->column[first + n_dims], expected))
			break;
	}
	for (int i = 0; i < t->n_rows; i++) {
		const char *n = tsv_string(t, i, name);
		double *v = xcalloc((size_t)n_dims, sizeof *v), **place = NULL, norm;

		if (model >= 0 && strcmp(tsv_string(t, i, model), tsv_string(t, 0, model)))
			tsv_die(t, i, "vector of %s is of another model than that of %s", n, tsv_string(t, 0, name));
		if (!strcmp(n, "@base"))
			place = &base;
		for (int d = 0; d < n_domains && !place; d++)
			if (!strcmp(domain[d].name, n))
				place = &domain[d].vector;
		for (int k = 0; k < n_dims; k++)
			v[k] = tsv_real(t, i, first + k);
		norm = sqrt(dot(v, v));
		if (!isfinite(norm) || norm < 1e-300)
			tsv_die(t, i, "vector of %s has no direction", n);
		for (int k = 0; k < n_dims; k++)
			v[k] /= norm;
		if (place && *place)
			tsv_die(t, i, "%s stands twice", n);
		if (place)
			*place = v;
		else
			free(v);
	}
	for (int d = 0; d < n_domains; d++)
		if (!domain[d].vector)
			die_input("no vector: %s: domain %s", t->name, domain[d].name);
	tsv_free(t);
}

/*
 * Numbers the stages: without --portions all is one, or, where the order is a walk, wiki comes first and then
 * the other portions as they first appear.
 */
static void set_stages(bool walk)
{
	int n = 0;

	for (int i = 0; i < n_domains; i++)
		domain[i].stage = portions ? -1 : 0;
	if (!portions && walk) {
		for (int i = 0; i < n_domains; i++)
			domain[i].stage = strcmp(domain[i].portion, "wiki") ? -1 : 0;
		for (int i = 0; i < n_domains; i++) {
			if (domain[i].stage >= 0)
				continue;
			n++;
			for (int k = i; k < n_domains; k++)
				if (!strcmp(domain[k].portion, domain[i].portion))
					domain[k].stage = n;
		}
	}
	if (portions) {
		char *list = xstrdup(portions), *rest = list, *stage, *name;

		for (; (stage = strsep(&rest, ",")); n++)
			while ((name = strsep(&stage, "+"))) {
				int found = 0;

				for (int i = 0; i < n_domains; i++)
					if (!strcmp(domain[i].portion, name)) {
						if (domain[i].stage >= 0)
							die_usage("portion stands twice: %s", name);
						found++;
					}
				if (!found)
					die_input("unknown portion: '%s': no domain is in it", name);
				for (int i = 0; i < n_domains; i++)
					if (!strcmp(domain[i].portion, name))
						domain[i].stage = n;
			}
		free(list);
		for (int i = 0; i < n_domains; i++)
			if (domain[i].stage < 0)
				warn("left out: %s: portion %s", domain[i].name, domain[i].portion);
	}
}

/* Those that stay, stage after stage; their sequence inside a stage is kept. */
static void sort_stages(void)
{
	struct domain *sorted = xcalloc((size_t)n_domains, sizeof *sorted);
	int n = 0, last = 0;

	for (int i = 0; i < n_domains; i++)
		if (domain[i].stage > last)
			last = domain[i].stage;
	for (int stage = 0; stage <= last; stage++)
		for (int i = 0; i < n_domains; i++)
			if (domain[i].stage == stage)
				sorted[n++] = domain[i];
	free(domain);
	domain = sorted;
	n_domains = n;
}

static void swap(int i, int k)
{
	struct domain d = domain[i];

	domain[i] = domain[k];
	domain[k] = d;
}

static void reverse(void)
{
	for (int i = 0; i < n_domains / 2; i++)
		swap(i, n_domains - 1 - i);
}

/* From the names in sequence and not from the table's, so that only the set of names counts. */
static void shuffle(void)
{
	struct rng r = rng_make((uint64_t)seed, rng_stream("order-domains", 0, 0));
	uint64_t *p = xcalloc((size_t)n_domains, sizeof *p);
	struct domain *shuffled = xcalloc((size_t)n_domains, sizeof *shuffled);

	qsort(domain, (size_t)n_domains, sizeof *domain, by_name);
	rng_permutation(&r, p, (uint64_t)n_domains);
	for (int i = 0; i < n_domains; i++)
		shuffled[i] = domain[p[i]];
	free(p);
	free(domain);
	domain = shuffled;
}

static int by_size(const void *x, const void *y)
{
	const struct domain *a = x, *b = y;

	if (a->bytes != b->bytes)
		return a->bytes > b->bytes ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int by_round(const void *x, const void *y)
{
	const struct domain *a = x, *b = y;

	return a->round != b->round ? a->round - b->round : a->group - b->group;
}

/*
 * Round-robin over the groups of each stage: the r-th round takes the r-th of each that has so many. Both keep the
 * table's sequence.
 */
static void interleave(void)
{
	for (int i = 0; i < n_domains; i++) {
		struct domain *d = &domain[i];

		while (domain[d->group].stage != d->stage || strcmp(domain[d->group].l1, d->l1))
			d->group++;
		for (int k = 0; k < i; k++)
			d->round += domain[k].group == d->group;
	}
	qsort(domain, (size_t)n_domains, sizeof *domain, by_round);
}

/* Takes the domains of the file, in its sequence; the others are left out. */
static void take_given(const char *path)
{
	struct hash before = *tsv_inputs();
	struct reader *r = reader_open(path);
	char *text, *rest, *line;
	struct domain *sorted = xcalloc((size_t)n_domains, sizeof *sorted);
	struct domain *taken = xcalloc((size_t)n_domains, sizeof *taken);
	const char *shown = !strcmp(path, "-") ? "stdin" : path;
	struct tsv *t = NULL;
	struct stat st;
	int n = 0, line_number = 0, row = 0, column = 0;

	reader_hash(r, tsv_inputs());
	text = rest = reader_rest(r, (size_t)1 << 28, NULL);
	reader_close(r);
	if (!strncmp(text, "#palimpsest-", 12)) {
		if (!strcmp(path, "-") || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)))
			die_usage("cannot read an order from %s: give the name of a file", shown);
		*tsv_inputs() = before; /* read again, hashed once */
		t = tsv_read(path, "order");
		column = tsv_column(t, "domain");
	}
	memcpy(sorted, domain, (size_t)n_domains * sizeof *sorted);
	qsort(sorted, (size_t)n_domains, sizeof *sorted, by_name);
	for (;;) {
		int found;

		if (t) {
			if (row == t->n_rows)
				break;
			line_number = (int)t->line[row];
			line = (char *)(uintptr_t)tsv_string(t, row++, column);
		} else {
			if (!(line = strsep(&rest, "\n")))
				break;
			line_number++;
			if (!*line)
				continue;
		}
		found = find(sorted, n_domains, line);
		if (found < 0)
			die_input("unknown domain: %s:%d: %s", shown, line_number, line);
		if (sorted[found].bytes < 0)
			die_input("domain stands twice: %s:%d: %s", shown, line_number, line);
		taken[n++] = sorted[found];
		sorted[found].bytes = -1;
	}
	if (!n)
		die_input("no domains: %s", shown);
	for (int i = 0; i < n_domains; i++)
		if (sorted[i].bytes >= 0)
			warn("left out: %s: not in %s", sorted[i].name, shown);
	tsv_free(t);
	free(text);
	free(sorted);
	free(domain);
	domain = taken;
	n_domains = n;
}

/*
 * similar: nearest neighbour, greedily, from @base on. farthest: farthest-first traversal (Gonzalez 1985), the domain
 * whose nearest one already visited, @base included, is most distant. The sequence grows at the front of domain[].
 */
static void walk(bool farthest)
{
	double *near = xcalloc((size_t)n_domains, sizeof *near); /* similarity to the nearest visited */

	if (!vectors_path)
		die_usage("--order %s needs --vectors", how);
	if (!base && !start)
		die_input("no vector: %s: @base (or give --start)", vectors_path);
	qsort(domain, (size_t)n_domains, sizeof *domain, by_name); /* ties: the first by name */
	sort_stages();
	for (int i = 0; i < n_domains; i++)
		near[i] = base ? dot(base, domain[i].vector) : -1;
	for (int step = 0; step < n_domains; step++) {
		int best = step;

		for (int i = step; i < n_domains && domain[i].stage == domain[step].stage; i++) {
			double a = step && !farthest ? dot(domain[step - 1].vector, domain[i].vector) : near[i];
			double b = step && !farthest ? dot(domain[step - 1].vector, domain[best].vector) : near[best];

			if (farthest ? a < b : a > b)
				best = i;
		}
		if (!step && start) {
			for (best = 0; best < n_domains && strcmp(domain[best].name, start); best++)
				;
			if (best == n_domains)
				die_input("unknown domain: --start %s", start);
			if (domain[best].stage != domain[0].stage)
				die_usage("--start %s: it is not in the first portion", start);
		}
		for (; best > step; best--) { /* the others keep their sequence by name */
			double other = near[best];

			swap(best, best - 1);
			near[best] = near[best - 1];
			near[best - 1] = other;
		}
		for (int i = step + 1; i < n_domains; i++)
			near[i] = fmax(near[i], dot(domain[step].vector, domain[i].vector));
	}
	free(near);
}

static void write_order(void)
{
	struct atomic *a = atomic_open(out);

	tsv_begin(atomic_file(a), "order");
	atomic_printf(a, "step\tdomain\tl1\tportion\tcosine\n");
	for (int i = 0; i < n_domains; i++) {
		const double *previous = i ? domain[i - 1].vector : base;

		atomic_printf(a, "%d\t%s\t%s\t%s\t", i + 1, domain[i].name, domain[i].l1, domain[i].portion);
		if (previous && domain[i].vector)
			atomic_printf(a, "%.8f\n", dot(previous, domain[i].vector));
		else
			atomic_printf(a, "-\n");
	}
	atomic_commit(a);
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool);
	bool walks = !strcmp(how, "similar") || !strcmp(how, "farthest");

	if (argc - first != 1)
		die_usage("expected one domains.tsv, got %d", argc - first);
	if (!strcmp(how, "given") && !given_path)
		die_usage("--order given needs --given");
	if (given_path && strcmp(how, "given") && strcmp(how, "reverse"))
		die_usage("--given does not go with --order %s", how);
	if (start && !walks)
		die_usage("--start does not go with --order %s", how);

	read_domains(argv[first]);
	if (given_path)
		take_given(given_path);
	set_stages(walks);
	sort_stages();
	if (vectors_path)
		read_vectors(vectors_path);
	if (walks)
		walk(!strcmp(how, "farthest"));
	else if (!strcmp(how, "random"))
		shuffle();
	else if (!strcmp(how, "size"))
		qsort(domain, (size_t)n_domains, sizeof *domain, by_size);
	else if (!strcmp(how, "reverse"))
		reverse();
	else if (!strcmp(how, "interleave"))
		interleave();
	if (!walks)
		sort_stages();
	write_order();
	return EXIT_DONE;
}
