#include "nn/continue.h"

#include <stdlib.h>
#include <string.h>

#include "lib/checked.h"
#include "nn/kv_cache.h"

#define GROWTH 32 /* tokens for which there is room when a cache is made anew */

/* Tokens of a sequence that are used: the last `n` ones from `from` on. */
struct span {
	size_t from, n;
};

static struct span fit(const struct nn_model *m, size_t n)
{
	size_t most = (size_t)m->positions - 1;

	return n > most ? (struct span){n - most, most} : (struct span){0, n};
}

static th_tensor *ids_on(const struct nn_model *m, const int64_t *id, int64_t rows, int64_t T)
{
	return th_from_host(id, TH_I64, m->device, 2, (int64_t[]){rows, T});
}

/* ---- likelihood ---- */

/* -log p of target[r][t] from h (rows, T, C), added up into sum[r]; targets < 0 are left out, and cost nothing. */
static void add_targets(const struct nn_model *m, th_tensor *h, const int64_t *target, int64_t rows, int64_t T, double *sum)
{
	int64_t n = 0, all = rows * T, *row = xcalloc((size_t)all, sizeof *row), *id = xcalloc((size_t)all, sizeof *id);

	for (int64_t i = 0; i < all; i++)
		if (target[i] >= 0) {
			row[n] = i;
			id[n++] = target[i];
		}
	if (n) {
		float *nll = xcalloc((size_t)n, sizeof *nll);
		h = th_index_select(th_reshape(h, 2, (int64_t[]){-1, th_size(h, 2)}), 0, th_from_host(row, TH_I64, m->device, 1, &n));
		if (m->family->transform)
			h = m->family->transform(m, h);
		th_to_host(th_linear_nll(h, m->head, m->head_bias, th_from_host(id, TH_I64, m->device, 1, &n)), TH_F32, nll);
		for (int64_t i = 0; i < n; i++)
			sum[row[i] / T] += (double)nll[i];
		free(nll);
	}
	free(id);
	free(row);
}

/* Rows of at most T tokens, filled up behind with id 0, which nothing before it sees. */
struct rows {
	int64_t *id, *target;
	int64_t n, T;
};

static struct rows rows_make(int64_t n, int64_t T)
{
	struct rows r = {xcalloc((size_t)(n * T), sizeof *r.id), xcalloc((size_t)(n * T), sizeof *r.target), n, T};

	for (int64_t i = 0; i < n * T; i++)
		r.target[i] = -1;
	return r;
}

static void rows_free(struct rows *r)
{
	free(r->id);
	free(r->target);
}

static size_t longest_of(const struct ids *s, size_t n)
{
	size_t most = 0;

	for (size_t i = 0; i < n; i++)
		most = s[i].n > most ? s[i].n : most;
	return most;
}

/* Every row is prompt and continuation. */
static void score_whole(const struct nn_model *m, const struct ids *prompt, const struct ids *c, size_t n, double *sum)
{
	struct rows r = rows_make((int64_t)n, (int64_t)fit(m, prompt->n + longest_of(c, n)).n);

	for (size_t i = 0; i < n; i++) {
		struct span s = fit(m, prompt->n + c[i].n);
		for (size_t t = 0; t < s.n; t++) {
			size_t at = s.from + t;
			int64_t id = at < prompt->n ? prompt->id[at] : c[i].id[at - prompt->n];
			r.id[i * (size_t)r.T + t] = id;
			if (at >= prompt->n && t > 0)
				r.target[i * (size_t)r.T + t - 1] = id;
		}
	}
	th_scope_open();
	add_targets(m, m->family->hidden(m, ids_on(m, r.id, r.n, r.T), NULL), r.target, r.n, r.T, sum);
	th_scope_close();
	rows_free(&r);
}

/* A row is the prompt's last token and the continuation; all tokens before are in the cache. */
static void score_rest(const struct nn_model *m, const struct nn_cache *before, const struct ids *prompt,
                       const struct ids *c, size_t n, double *sum)
{
	struct rows r = rows_make((int64_t)n, (int64_t)longest_of(c, n));
	int64_t *row = xcalloc(n, sizeof *row); /* row 0, n times */
	size_t T = (size_t)r.T;

	for (size_t i = 0; i < n; i++)
		for (size_t t = 0; t < c[i].n; t++) {
			r.id[i * T + t] = t ? c[i].id[t - 1] : prompt->id[prompt->n - 1];
			r.target[i * T + t] = c[i].id[t];
		}
	th_scope_open();
	struct nn_cache *cache = nn_cache_rows(before, m, row, r.n, r.T);
	add_targets(m, nn_cache_hidden(cache, m, ids_on(m, r.id, r.n, r.T), NULL), r.target, r.n, r.T, sum);
	th_scope_close();
	nn_cache_free(cache);
	free(row);
	rows_free(&r);
}

/* All but the prompt's last token, once for all rows; call it with a scope of its own open. */
static struct nn_cache *read_prompt(const struct nn_model *m, const struct ids *prompt)
{
	struct nn_cache *cache = nn_cache_new(m, 1);
	int64_t before = (int64_t)prompt->n - 1, *id = xcalloc(prompt->n, sizeof *id);

	for (int64_t i = 0; i < before; i++)
		id[i] = prompt->id[i];
	nn_cache_reserve(cache, m, before);
	if (before) {
		th_scope_open();
		nn_cache_hidden(cache, m, ids_on(m, id, 1, before), NULL);
		th_scope_close();
	}
	free(id);
	return cache;
}

size_t nn_continuations(const struct nn_model *m, const struct ids *prompt, const struct ids *continuation, size_t n,
                        const struct continue_options *opt, double *log_likelihood)
{
	size_t cut = 0, longest = 0;

	for (size_t i = 0; i < n; i++) {
		size_t all = prompt->n + continuation[i].n;
		cut += fit(m, all).from > 0;
		longest = all > longest ? all : longest;
		log_likelihood[i] = 0;
	}
	if (longest == 0)
		return 0;
	/* A cached row is no work for the model, but memory. */
	bool cached = opt->cache && cut == 0 && prompt->n > 0 && n > 0;
	size_t tokens = (size_t)opt->batch * (cached ? 4 : 1) / fit(m, longest).n, rows = tokens ? tokens : 1;

	th_no_grad_open();
	th_scope_open();
	struct nn_cache *before = cached ? read_prompt(m, prompt) : NULL;
	for (size_t i = 0; i < n; i += rows) {
		size_t some = n - i < rows ? n - i : rows;
		if (longest_of(continuation + i, some) == 0)
			continue; /* nothing to score */
		if (cached)
			score_rest(m, before, prompt, continuation + i, some, log_likelihood + i);
		else
			score_whole(m, prompt, continuation + i, some, log_likelihood + i);
	}
	nn_cache_free(before);
	th_scope_close();
	th_no_grad_close();
	for (size_t i = 0; i < n; i++)
		log_likelihood[i] = log_likelihood[i] == 0 ? 0 : -log_likelihood[i];
	return cut;
}

/* ---- generation ---- */

struct text {
	size_t which;
	int64_t *id;  /* what the model sees */
	int64_t n, most; /* tokens in it now, and at the end at most */
};

static struct text text_of(const struct nn_model *m, const struct ids *prompt, size_t which, int64_t max_tokens)
{
	struct span s = fit(m, prompt->n);
	struct text t = {.which = which, .n = (int64_t)s.n, .most = (int64_t)s.n + max_tokens};

	t.most = t.most < m->positions ? t.most : m->positions;
	t.id = xcalloc((size_t)t.most, sizeof *t.id);
	for (size_t i = 0; i < s.n; i++)
		t.id[i] = prompt->id[s.from + i];
	return t;
}

/* The likeliest next token of each row: h (rows, C) -> id[rows] */
static void likeliest(const struct nn_model *m, th_tensor *h, int64_t *id)
{
	if (m->family->transform)
		h = m->family->transform(m, h);
	th_to_host(th_argmax(th_to_dtype(th_linear(h, m->head, m->head_bias), TH_F32), 1), TH_I64, id);
}

/* False: the text has ended. */
static bool extend(struct text *t, int64_t id, const struct continue_options *opt, continue_take *take, void *arg)
{
	if (id == opt->end)
		return false;
	t->id[t->n++] = id;
	return !take(arg, t->which, id) && t->n < t->most;
}

static void generate_anew(const struct nn_model *m, struct text *t, const struct continue_options *opt, continue_take *take, void *arg)
{
	int64_t id;

	do {
		th_scope_open();
		th_tensor *h = m->family->hidden(m, ids_on(m, t->id, 1, t->n), NULL); // (1, T, C)
		likeliest(m, th_reshape(th_narrow(h, 1, t->n - 1, 1), 2, (int64_t[]){1, -1}), &id);
		th_scope_close();
	} while (extend(t, id, opt, take, arg));
}

/* The prompts of rows texts, filled up behind; -> next[rows] */
static void read_prompts(const struct nn_model *m, struct nn_cache *cache, const struct text *t, int64_t rows, int64_t *next)
{
	int64_t T = 0, *n = xcalloc((size_t)rows, sizeof *n), *last = xcalloc((size_t)rows, sizeof *last);

	for (int64_t b = 0; b < rows; b++) {
		n[b] = t[b].n;
		T = n[b] > T ? n[b] : T;
	}
	int64_t *id = xcalloc((size_t)(rows * T), sizeof *id);
	for (int64_t b = 0; b < rows; b++) {
		memcpy(id + b * T, t[b].id, (size_t)n[b] * sizeof *id);
		last[b] = b * T + n[b] - 1;
	}
	nn_cache_reserve(cache, m, T + GROWTH);
	th_scope_open();
	th_tensor *h = nn_cache_hidden(cache, m, ids_on(m, id, rows, T), n); // (B, T, C)
	h = th_reshape(h, 2, (int64_t[]){rows * T, -1});
	likeliest(m, th_index_select(h, 0, th_from_host(last, TH_I64, m->device, 1, &rows)), next);
	th_scope_close();
	free(id);
	free(last);
	free(n);
}

/* The texts still under way come first; those that ended leave the cache once they are half of it. */
static int64_t drop_ended(const struct nn_model *m, struct nn_cache **cache, struct text *t, int64_t *next, bool *going, int64_t rows,
                          int64_t left)
{
	int64_t n = 0, *row;

	if (left == 0 || left * 2 > rows)
		return left == 0 ? 0 : rows;
	row = xcalloc((size_t)left, sizeof *row);
	for (int64_t b = 0; b < rows; b++)
		if (going[b]) {
			struct text swap = t[n];
			t[n] = t[b];
			t[b] = swap;
			next[n] = next[b];
			going[b] = false;
			going[n] = true;
			row[n++] = b;
		}
	struct nn_cache *all = *cache;
	*cache = nn_cache_rows(all, m, row, n, GROWTH);
	nn_cache_free(all);
	free(row);
	return n;
}

static void generate_cached(const struct nn_model *m, struct text *t, int64_t rows, const struct continue_options *opt,
                            continue_take *take, void *arg)
{
	struct nn_cache *cache = nn_cache_new(m, rows);
	int64_t *next = xcalloc((size_t)rows, sizeof *next);
	bool *going = xcalloc((size_t)rows, sizeof *going);

	th_scope_open();
	read_prompts(m, cache, t, rows, next);
	for (int64_t b = 0; b < rows; b++)
		going[b] = true;
	for (;;) {
		int64_t left = 0;
		for (int64_t b = 0; b < rows; b++) {
			going[b] = going[b] && extend(&t[b], next[b], opt, take, arg);
			left += going[b];
		}
		rows = drop_ended(m, &cache, t, next, going, rows, left);
		if (rows == 0)
			break;
		/* A text that has ended takes its last place again and again. */
		int64_t *more = xcalloc((size_t)rows, sizeof *more);
		for (int64_t b = 0; b < rows; b++)
			more[b] = going[b];
		nn_cache_reserve(cache, m, 1);
		th_scope_open();
		th_tensor *h = nn_cache_hidden(cache, m, ids_on(m, next, rows, 1), more);
		likeliest(m, th_reshape(h, 2, (int64_t[]){rows, -1}), next);
		th_scope_close();
		free(more);
	}
	th_scope_close();
	nn_cache_free(cache);
	free(going);
	free(next);
}

static int by_length(const void *a, const void *b)
{
	const struct text *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->which < y->which ? -1 : x->which > y->which;
}

void nn_generate(const struct nn_model *m, const struct ids *prompt, size_t n, const struct continue_options *opt, continue_take *take,
                 void *arg)
{
	struct text *t = xcalloc(n ? n : 1, sizeof *t);

	for (size_t i = 0; i < n; i++)
		t[i] = text_of(m, &prompt[i], i, opt->max_tokens);
	qsort(t, n, sizeof *t, by_length);
	th_no_grad_open();
	for (size_t i = 0; i < n;) {
		size_t some = 1;
		/* Those of similar length: what is filled up costs as much as what is there. */
		while (opt->cache && i + some < n && (int64_t)(some + 1) * t[i + some].n <= opt->batch)
			some++;
		if (opt->cache)
			generate_cached(m, t + i, (int64_t)some, opt, take, arg);
		else
			generate_anew(m, t + i, opt, take, arg);
		i += some;
	}
	th_no_grad_close();
	for (size_t i = 0; i < n; i++)
		free(t[i].id);
	free(t);
}
