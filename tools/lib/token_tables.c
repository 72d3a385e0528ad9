#include "token_tables.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"

struct token_scores *token_scores_new(uint64_t tokens, bool ranks)
{
	struct token_scores *s = xcalloc(1, sizeof *s);

	s->tokens = tokens;
	s->nll = xcalloc(tokens, sizeof *s->nll);
	s->rank = ranks ? xcalloc(tokens, sizeof *s->rank) : NULL;
	for (uint64_t i = 0; i < tokens; i++)
		s->nll[i] = NAN;
	return s;
}

void token_scores_free(struct token_scores *s)
{
	if (!s)
		return;
	free(s->nll);
	free(s->rank);
	free(s);
}

/* --- classes --- */

const char classes_columns[] = "class\tnll\ttargets";

void put_classes(struct atomic *out, const char *about, const struct token_scores *s, const struct token_text *x,
                 const struct word_bands *bands)
{
	double nll[TOKEN_CLASSES] = {0};
	unsigned long long targets[TOKEN_CLASSES] = {0};
	uint8_t *mark = mark_text(x->text, x->n, bands);

	for (uint64_t i = 0; i < s->tokens; i++) {
		if (isnan(s->nll[i]))
			continue;
		enum token_class class = token_class(mark + x->start[i], x->start[i + 1] - x->start[i]);
		nll[class] += s->nll[i];
		targets[class]++;
	}
	for (int c = 0; c < TOKEN_CLASSES; c++)
		atomic_printf(out, "%s%s\t%.17g\t%llu\n", about, token_class_name((enum token_class)c), nll[c], targets[c]);
	free(mark);
}

/* --- ranks --- */

const char ranks_columns[] = "scope\tngram\toccurrences\tnll\ttargets\tmean\tmedian\tmrr\ttop1\ttop10";

struct ranks {
	int64_t *rank;
	size_t n, cap;
	double nll;
};

static void add_rank(struct ranks *r, const struct token_scores *s, uint64_t token)
{
	if (s->rank[token] == 0)
		return;
	GROW(r->rank, r->n, r->cap);
	r->rank[r->n++] = s->rank[token];
	r->nll += s->nll[token];
}

static int ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Empties r. */
static void put_line(struct atomic *out, const char *about, const char *scope, const char *ngram, size_t n_ngram,
                     int64_t occurrences, struct ranks *r)
{
	double sum = 0, inverse = 0;
	size_t top1 = 0, top10 = 0, n = r->n;

	atomic_printf(out, "%s%s\t%.*s\t", about, scope, (int)n_ngram, ngram);
	if (occurrences < 0)
		atomic_printf(out, "-");
	else
		atomic_printf(out, "%lld", (long long)occurrences);
	atomic_printf(out, "\t%.17g\t%zu\t", r->nll, n);
	if (n == 0) {
		atomic_printf(out, "-\t-\t-\t-\t-\n");
		return;
	}
	qsort(r->rank, n, sizeof *r->rank, ascending);
	for (size_t i = 0; i < n; i++) { /* in ascending order: the same sums in whatever order they came */
		sum += (double)r->rank[i];
		inverse += 1 / (double)r->rank[i];
		top1 += r->rank[i] == 1;
		top10 += r->rank[i] <= 10;
	}
	double median = (double)(r->rank[(n - 1) / 2] + r->rank[n / 2]) / 2, count = (double)n;
	atomic_printf(out, "%.17g\t%.17g\t%.17g\t%.17g\t%.17g\n", sum / count, median, inverse / count, (double)top1 / count,
	              (double)top10 / count);
	r->n = 0;
	r->nll = 0;
}

/* The first token that ends behind byte `at`. */
static uint64_t token_at(const struct token_text *x, size_t at)
{
	uint64_t low = 0, high = x->tokens;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		if (x->start[mid + 1] > at)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int by_ngram(const void *a, const void *b)
{
	const struct occurrence *x = a, *y = b;

	if (x->ngram != y->ngram)
		return x->ngram < y->ngram ? -1 : 1;
	return (x->start > y->start) - (x->start < y->start);
}

static void put_ngrams(struct atomic *out, const char *about, const struct token_scores *s, const struct token_text *x,
                       const struct ngrams *set)
{
	size_t n;
	struct occurrence *o = ngrams_find(set, x->text, x->n, &n);
	bool *inside = xcalloc(s->tokens, sizeof *inside);
	uint64_t *scored = xcalloc(set->key.n ? set->key.n : 1, sizeof *scored), all = 0;
	struct ranks r = {0};

	if (n)
		qsort(o, n, sizeof *o, by_ngram);
	for (size_t i = 0; i < n; i++) {
		bool any = false;
		for (uint64_t t = token_at(x, o[i].start); t < x->tokens && x->start[t] < o[i].end; t++) {
			inside[t] = x->start[t + 1] > x->start[t];
			any = any || s->rank[t];
		}
		scored[o[i].ngram] += any;
		all += any;
	}
	for (uint64_t t = 0; t < s->tokens; t++)
		if (inside[t])
			add_rank(&r, s, t);
	put_line(out, about, "ngrams", "-", 1, (int64_t)all, &r);
	for (size_t id = 0, i = 0; id < set->key.n; id++) {
		size_t n_key;
		const char *key = intern_text(&set->key, (uint32_t)id, &n_key);
		for (; i < n && o[i].ngram == id; i++)
			for (uint64_t t = token_at(x, o[i].start); t < x->tokens && x->start[t] < o[i].end; t++)
				if (x->start[t + 1] > x->start[t])
					add_rank(&r, s, t);
		put_line(out, about, "ngram", key, n_key, (int64_t)scored[id], &r);
	}
	free(r.rank);
	free(scored);
	free(inside);
	free(o);
}

void put_ranks(struct atomic *out, const char *about, const struct token_scores *s, const struct token_text *x,
               const struct ngrams *set)
{
	struct ranks r = {0};

	for (uint64_t t = 0; t < s->tokens; t++)
		add_rank(&r, s, t);
	put_line(out, about, "all", "-", 1, -1, &r);
	free(r.rank);
	if (set)
		put_ngrams(out, about, s, x, set);
}
