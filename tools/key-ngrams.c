/* key-ngrams: the n-grams that are a domain's own, by TF-IDF or by clusters of Sentence-BERT vectors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/atomic.h"
#include "lib/checked.h"
#include "lib/die.h"
#include "lib/hash.h"
#include "lib/kmeans.h"
#include "lib/ngrams.h"
#include "lib/options.h"
#include "lib/progress.h"
#include "lib/reader.h"
#include "lib/tsv.h"
#include "nn/runtime.h"
#include "nn/sbert.h"

static const char *method = "tfidf", *sbert_dir, *output = "-", *device_name = "auto";
static int64_t number = 20, min_words = 1, max_words = 3, min_count = 5, stop_words = 200, candidates = 300, seed, batch = 64, threads;
static uint64_t most_bytes = 20000000;

static const struct option options[] = {
	{0, "method", OPT_CHOICE, &method, "NAME", "how n-grams are chosen", "tfidf|sbert"},
	{'m', "model", OPT_STRING, &sbert_dir, "SBERT_DIR", "for sbert: model directory of sentence-transformers", .unrecorded = true},
	{'n', "number", OPT_INT, &number, "N", "n-grams of each domain", .min = 1, .max = 100000},
	{0, "min-words", OPT_INT, &min_words, "N", "words in an n-gram, at least", .min = 1, .max = NGRAM_MAX_WORDS},
	{0, "max-words", OPT_INT, &max_words, "N", "words in an n-gram, at most", .min = 1, .max = NGRAM_MAX_WORDS},
	{0, "min-count", OPT_INT, &min_count, "N", "occurrences in the domain, at least", .min = 1},
	{0, "stop", OPT_INT, &stop_words, "N", "how many words, the most frequent in all domains, may not begin or end an n-gram"},
	{0, "candidates", OPT_INT, &candidates, "N", "for sbert: n-grams of each domain that are embedded", .min = 1, .max = 1000000},
	{0, "bytes", OPT_SIZE, &most_bytes, "N", "of each text only the lines that begin in the first N bytes are read"},
	{0, "seed", OPT_INT, &seed, "S", "for sbert: of the first cluster centres", .min = INT64_MIN},
	{'o', "output", OPT_STRING, &output, "FILE", "write to FILE; - is stdout", .unrecorded = true},
	{0, "batch", OPT_INT, &batch, "N", "n-grams embedded at once", .min = 1, .max = 65536, .unrecorded = true},
	{0, "device", OPT_STRING, &device_name, "NAME", "auto, cpu, cuda or cuda:N", .unrecorded = true},
	{0, "threads", OPT_INT, &threads, "N", "processor threads; 0: as many as libtorch takes", .max = 4096, .unrecorded = true},
	{0},
};

static const struct tool tool = {"key-ngrams", "n-grams that are a domain's own", "[options] NAME=FILE...", options};

struct candidate {
	uint32_t id; /* in `all` */
	uint64_t count;
	double score;
	int64_t cluster; /* -1: none */
};

struct domain {
	const char *name, *path;
	uint64_t words;
	struct candidate *c;
	size_t n, cap;
};

static struct domain *domain;
static size_t n_domains;
static struct intern all;  /* n-grams that are a candidate anywhere */
static uint32_t *document_frequency; /* domains in which each occurs */
static struct intern stop;

/* --- texts --- */

/* Each text is read three times, so that only one is in memory. */
static char *read_text(const char *path, size_t *size)
{
	struct reader *r = reader_open(path);
	size_t n = 0, cap = 0;
	char *text = NULL, *line;
	ssize_t length;

	while (n < most_bytes && (length = reader_line(r, &line, 1 << 28)) >= 0) {
		while (cap - n < (size_t)length + 1) {
			cap = cap ? 2 * cap : 1 << 20;
			text = xreallocarray(text, cap, 1);
		}
		memcpy(text + n, line, (size_t)length);
		n += (size_t)length;
		text[n++] = '\n';
	}
	reader_close(r);
	*size = n;
	return text;
}

struct counts {
	struct intern *key;
	uint64_t *count;
	size_t n, cap;
	uint64_t words;
};

static void count_one(struct counts *c, uint32_t id)
{
	while (c->n <= id) {
		GROW(c->count, c->n, c->cap);
		c->count[c->n++] = 0;
	}
	c->count[id]++;
}

/* --- words that are frequent everywhere --- */

struct frequent {
	uint32_t id, domains;
	double least; /* relative frequency, in the domain where it is rarest */
};

static void count_word(void *arg, const struct ngram *g)
{
	struct counts *c = arg;

	c->words++;
	count_one(c, intern_add(c->key, g->key, g->n_key));
}

static int by_least(const void *a, const void *b)
{
	const struct frequent *x = a, *y = b;

	if (x->least != y->least)
		return x->least < y->least ? 1 : -1;
	return (x->id > y->id) - (x->id < y->id);
}

static void find_stop_words(void)
{
	struct intern word = {0};
	struct frequent *f = NULL;
	size_t n = 0, cap = 0;

	for (size_t d = 0; d < n_domains; d++) {
		size_t size;
		char *text = read_text(domain[d].path, &size);
		struct counts c = {.key = &word};
		ngrams_visit(text, size, 1, count_word, &c);
		if (c.words == 0)
			die_input("%s: holds no words", domain[d].path);
		hash_add_file(tsv_inputs(), domain[d].path);
		domain[d].words = c.words;
		for (size_t id = 0; id < c.n; id++) {
			double frequency = (double)c.count[id] / (double)c.words;
			if (id == n) {
				GROW(f, n, cap);
				f[n++] = (struct frequent){(uint32_t)id, 0, INFINITY};
			}
			if (c.count[id] > 0) {
				f[id].domains++;
				f[id].least = fmin(f[id].least, frequency);
			}
		}
		free(c.count);
		free(text);
		progress_update(d + 1, NULL);
	}
	for (size_t i = 0; i < n; i++)
		if (f[i].domains < n_domains)
			f[i].least = 0;
	qsort(f, n, sizeof *f, by_least);
	for (size_t i = 0; i < n && i < (size_t)stop_words && f[i].least > 0; i++) {
		size_t length;
		const char *s = intern_text(&word, f[i].id, &length);
		intern_add(&stop, s, length);
	}
	free(f);
	intern_free(&word);
}

/* --- candidates --- */

/* One character is no word to begin or end with, nor is a number or a stop word. */
static bool is_plain(const struct word *w, const char *s, size_t n)
{
	size_t characters = 0;

	for (size_t i = 0; i < n; i++)
		characters += ((unsigned char)s[i] & 0xc0) != 0x80;
	return !w->number && characters > 1 && intern_find(&stop, s, n) < 0;
}

static bool has_command(const struct ngram *g)
{
	for (int i = 0; i < g->words; i++)
		if (g->word[i].command)
			return true;
	return false;
}

static bool is_candidate(const struct ngram *g)
{
	const char *end = g->key + g->n_key, *first_end = memchr(g->key, ' ', g->n_key), *last = end;

	if (g->words < min_words || has_command(g))
		return false;
	while (last > g->key && last[-1] != ' ')
		last--;
	return is_plain(&g->word[0], g->key, (size_t)((first_end ? first_end : end) - g->key)) &&
	       is_plain(&g->word[g->words - 1], last, (size_t)(end - last));
}

static void count_candidate(void *arg, const struct ngram *g)
{
	struct counts *c = arg;

	if (is_candidate(g))
		count_one(c, intern_add(c->key, g->key, g->n_key));
}

static void find_candidates(struct domain *d)
{
	struct intern key = {0};
	struct counts c = {.key = &key};
	size_t size;
	char *text = read_text(d->path, &size);

	ngrams_visit(text, size, (int)max_words, count_candidate, &c);
	for (size_t id = 0; id < c.n; id++) {
		size_t length;
		const char *s = intern_text(&key, (uint32_t)id, &length);
		if (c.count[id] < (uint64_t)min_count)
			continue;
		GROW(d->c, d->n, d->cap);
		d->c[d->n++] = (struct candidate){intern_add(&all, s, length), c.count[id], 0, -1};
	}
	free(c.count);
	intern_free(&key);
	free(text);
}

struct presence {
	size_t domain;
	size_t *last; /* domain, from 1, in which each n-gram was met last */
};

static void note_presence(void *arg, const struct ngram *g)
{
	struct presence *p = arg;
	int64_t id = intern_find(&all, g->key, g->n_key);

	if (id >= 0 && p->last[id] != p->domain && !has_command(g)) {
		p->last[id] = p->domain;
		document_frequency[id]++;
	}
}

static void count_documents(void)
{
	struct presence p = {.last = xcalloc(all.n ? all.n : 1, sizeof *p.last)};

	document_frequency = xcalloc(all.n ? all.n : 1, sizeof *document_frequency);
	for (size_t d = 0; d < n_domains; d++) {
		size_t size;
		char *text = read_text(domain[d].path, &size);
		p.domain = d + 1;
		ngrams_visit(text, size, (int)max_words, note_presence, &p);
		free(text);
		progress_update(2 * n_domains + d + 1, NULL);
	}
	free(p.last);
}

static int by_score(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	size_t nx, ny;

	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	const char *s = intern_text(&all, x->id, &nx), *t = intern_text(&all, y->id, &ny);
	int order = memcmp(s, t, nx < ny ? nx : ny);
	return order ? order : (nx > ny) - (nx < ny);
}

/* A part of a longer candidate that has at least three quarters of its occurrences says nothing more: score 0. */
static void drop_parts(struct domain *d)
{
	int64_t *place = xcalloc(all.n ? all.n : 1, sizeof *place);

	for (size_t i = 0; i < d->n; i++)
		place[d->c[i].id] = (int64_t)i + 1;
	for (size_t i = 0; i < d->n; i++) {
		size_t n;
		const char *s = intern_text(&all, d->c[i].id, &n);
		for (size_t from = 0; from < n; from++) {
			if (from > 0 && s[from - 1] != ' ')
				continue;
			for (size_t to = from + 1; to <= n; to++) {
				if ((to < n && s[to] != ' ') || to - from == n)
					continue;
				int64_t id = intern_find(&all, s + from, to - from);
				if (id >= 0 && place[id] && 4 * d->c[i].count >= 3 * d->c[place[id] - 1].count)
					d->c[place[id] - 1].score = 0;
			}
		}
	}
	free(place);
}

/* Scores by TF-IDF, best first; those that score 0 go. */
static void rank_candidates(struct domain *d)
{
	for (size_t i = 0; i < d->n; i++)
		d->c[i].score = (double)d->c[i].count / (double)d->words *
		                log((double)n_domains / (double)document_frequency[d->c[i].id]);
	drop_parts(d);
	if (d->n)
		qsort(d->c, d->n, sizeof *d->c, by_score);
	while (d->n && d->c[d->n - 1].score <= 0)
		d->n--;
}

/* --- Sentence-BERT --- */

static float *embed(struct sbert *model, const struct domain *d, size_t n)
{
	size_t C = sbert_width(model);
	struct ids *ids = xcalloc(n, sizeof *ids);
	float *v = xcalloc(n * C, sizeof *v);

	for (size_t i = 0; i < n; i++) {
		size_t length;
		const char *s = intern_text(&all, d->c[i].id, &length);
		sbert_ids(model, s, length, &ids[i]);
	}
	sbert_embed(model, ids, n, (size_t)batch, v, NULL);
	for (size_t i = 0; i < n; i++) {
		double norm = 0;
		for (size_t c = 0; c < C; c++)
			norm += (double)v[i * C + c] * (double)v[i * C + c];
		if (!(norm > 0) || !isfinite(norm))
			die_input("%s: gives an n-gram of domain %s a vector without a direction", sbert_dir, d->name);
		for (size_t c = 0; c < C; c++)
			v[i * C + c] = (float)((double)v[i * C + c] / sqrt(norm));
		free(ids[i].id);
	}
	free(ids);
	return v;
}

/* One n-gram of each cluster, the nearest to its centre; scored by the cosine to the domain's vector. */
static void cluster_candidates(struct sbert *model, struct domain *d)
{
	size_t n = d->n < (size_t)candidates ? d->n : (size_t)candidates, C = sbert_width(model);
	size_t k = n < (size_t)number ? n : (size_t)number;

	if (n == 0)
		return;
	float *v = embed(model, d, n);
	size_t *cluster = xcalloc(n, sizeof *cluster);
	double *centre = xcalloc(k * C, sizeof *centre), *mean = xcalloc(C, sizeof *mean), norm = 0;
	struct candidate *chosen = xcalloc(k, sizeof *chosen);
	struct hash h;
	uint8_t digest[HASH_BYTES];
	uint64_t name = 0;

	hash_start(&h);
	hash_add(&h, d->name, strlen(d->name));
	hash_end(&h, digest);
	for (int i = 0; i < 8; i++)
		name = name << 8 | digest[i];
	struct rng r = rng_make((uint64_t)seed, rng_stream("key-ngrams", name, 0));
	kmeans(v, n, C, k, &r, cluster, centre);

	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < C; c++)
			mean[c] += d->c[i].score * (double)v[i * C + c];
	for (size_t c = 0; c < C; c++)
		norm += mean[c] * mean[c];
	for (size_t c = 0; c < C && norm > 0; c++)
		mean[c] /= sqrt(norm);
	size_t made = 0;
	for (size_t j = 0; j < k; j++) {
		size_t best = n;
		double most = -INFINITY;
		for (size_t i = 0; i < n; i++) {
			double cosine = cluster[i] == j ? kmeans_cosine(v + i * C, centre + j * C, C) : -INFINITY;
			if (cosine > most)
				most = cosine, best = i;
		}
		if (best == n)
			continue; /* empty */
		chosen[made] = d->c[best];
		chosen[made].score = kmeans_cosine(v + best * C, mean, C);
		chosen[made++].cluster = (int64_t)j;
	}
	free(d->c);
	d->c = chosen;
	d->n = made;
	qsort(d->c, d->n, sizeof *d->c, by_score);
	free(mean);
	free(centre);
	free(cluster);
	free(v);
}

/* --- */

static void put_domain(struct atomic *out, const struct domain *d)
{
	for (size_t i = 0; i < d->n && i < (size_t)number; i++) {
		size_t n;
		const char *s = intern_text(&all, d->c[i].id, &n);
		atomic_printf(out, "%s\t%.*s\t%.9g\t%llu\t", d->name, (int)n, s, d->c[i].score, (unsigned long long)d->c[i].count);
		if (d->c[i].cluster < 0)
			atomic_printf(out, "-\n");
		else
			atomic_printf(out, "%lld\n", (long long)d->c[i].cluster);
	}
	if (d->n < (size_t)number)
		warn("domain %s: only %zu n-grams", d->name, d->n);
}

static void read_operands(char **arg, size_t n)
{
	n_domains = n;
	domain = xcalloc(n, sizeof *domain);
	for (size_t i = 0; i < n; i++) {
		char *equals = strchr(arg[i], '=');
		struct stat st;
		if (!equals)
			die_usage("'%s' is not NAME=FILE", arg[i]);
		*equals = 0;
		domain[i].name = arg[i];
		domain[i].path = equals + 1;
		if (!is_domain_name(domain[i].name))
			die_usage("'%s' cannot be the name of a domain", domain[i].name);
		if (strcmp(domain[i].path, "-") == 0)
			die_usage("%s: a text is read several times, which stdin cannot be", domain[i].name);
		if (stat(domain[i].path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
			die_usage("%s: a text is read several times, which %s cannot be: it is no file", domain[i].name,
			          domain[i].path);
		for (size_t k = 0; k < i; k++)
			if (strcmp(domain[k].name, domain[i].name) == 0)
				die_usage("two domains are named '%s'", domain[i].name);
	}
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool);
	bool sbert = strcmp(method, "sbert") == 0;
	struct sbert *model = NULL;

	if (argc - first < 2)
		die_usage("at least two domains are needed, to tell one from the other");
	if (sbert != (sbert_dir != NULL))
		die_usage(sbert ? "--method sbert needs -m SBERT_DIR" : "-m goes with --method sbert");
	if (min_words > max_words)
		die_usage("--min-words is more than --max-words");
	read_operands(argv + first, (size_t)(argc - first));
	if (sbert)
		model = sbert_load(sbert_dir, nn_start(device_name, threads), TH_F32);

	progress_start("finding", "texts", 3 * n_domains);
	find_stop_words();
	for (size_t d = 0; d < n_domains; d++) {
		find_candidates(&domain[d]);
		progress_update(n_domains + d + 1, NULL);
	}
	count_documents();
	progress_end();

	struct atomic *out = atomic_open(output);
	tsv_begin(atomic_file(out), "ngrams");
	atomic_printf(out, "domain\tngram\tscore\tcount\tcluster\n");
	progress_start("choosing", "domains", n_domains);
	for (size_t d = 0; d < n_domains; d++) {
		rank_candidates(&domain[d]);
		if (sbert)
			cluster_candidates(model, &domain[d]);
		put_domain(out, &domain[d]);
		free(domain[d].c);
		progress_update(d + 1, NULL);
	}
	progress_end();
	atomic_commit(out);
	close_stdout();

	free(domain);
	free(document_frequency);
	intern_free(&all);
	intern_free(&stop);
	if (model) {
		sbert_free(model);
		th_shutdown();
	}
	return EXIT_DONE;
}
