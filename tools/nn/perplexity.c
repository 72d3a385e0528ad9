#include "nn/perplexity.h"

#include <math.h>
#include <stdlib.h>

#include "lib/checked.h"
#include "lib/die.h"
#include "lib/rng.h"
#include "lib/sample.h"

struct text text_open(const char *name, const char *path, const struct cut *how, const uint8_t *tokenizer, int64_t vocab,
                      uint64_t sample, bool in_random_order, uint64_t seed)
{
	struct text t = {.name = name};
	double targets = 0;

	t.corpus = corpus_open(&path, 1, tokenizer, vocab);
	t.cut = cut_text(how->protocol, how->setting, t.corpus, how->context, how->prefix);
	t.cut.masking = how->masking;
	if (t.cut.tokens < 2)
		die_input("%s: has nothing to predict: %llu tokens", path, (unsigned long long)t.cut.tokens);
	t.all = cut_windows(&t.cut);
	if (!how->protocol->masked && cut_window(&t.cut, t.all - 1).targets == 0) { /* nothing stands before its only token */
		t.all--;
		warn("%s: the last window has only one token and is left out", path);
	}
	struct rng r = rng_make(seed, rng_stream("windows", hash_number(t.corpus->hash), (uint64_t)how->context));
	t.n = sample && sample < t.all ? sample : t.all;
	if (t.n < t.all) {
		t.window = sample_draw(&r, t.n, t.all);
	} else if (in_random_order) {
		t.window = xcalloc(t.all, sizeof *t.window);
		rng_permutation(&r, t.window, t.all);
	}
	t.targets = xcalloc(t.all, sizeof *t.targets);
	t.weight = xcalloc(t.all, sizeof *t.weight);
	for (uint64_t i = 0; i < t.n; i++) {
		uint64_t at = t.window ? t.window[i] : i;
		struct window w = cut_window(&t.cut, at);
		t.targets[at] = (double)w.targets;
		t.weight[at] = w.weight;
		t.work += (uint64_t)w.length;
		targets += t.targets[at];
	}
	if (targets == 0)
		die_input("%s: has nothing to predict but special tokens", path);
	return t;
}

void text_close(struct text *t)
{
	corpus_close(t->corpus);
	free(t->window);
	free(t->targets);
	free(t->weight);
	free(t->reference);
}

void result_free(struct result *r)
{
	free(r->window_nll);
}

double text_reference_mean(const struct text *t)
{
	double nll = 0, targets = 0;

	for (uint64_t i = 0; i < t->all; i++) {
		nll += t->reference[i];
		targets += t->targets[i];
	}
	return nll / targets;
}

/* --- what the windows scored so far say -------------------------------------------------------------- */

/* A window's part of the logarithm of perplexity: its mean times its weight. */
static double weighted(double nll, double targets, double weight)
{
	return targets == 0 ? 0 : weight == targets ? nll : nll / targets * weight;
}

/*
 * n of the windows have been scored. Their sums, and, if there is a reference and they are not all, the difference
 * estimator: what is known of all windows, plus the mean difference on those scored.
 */
static void conclude(const struct text *t, struct result *r, uint64_t n)
{
	bool estimate = t->reference && n < t->all;
	double *y = xcalloc(n, 2 * sizeof *y), *x = y + n;
	double nll = 0, targets = 0, of_weights = 0, weight = 0; /* sums over the windows scored */
	double all_nll = 0, all_targets = 0, all_of_weights = 0, all_weight = 0; /* over all, nll by the reference */
	uint64_t k = 0;

	for (uint64_t i = 0; i < t->all; i++) {
		double known = estimate ? t->reference[i] : 0, w = weighted(known, t->targets[i], t->weight[i]);

		all_nll += known;
		all_targets += t->targets[i];
		all_of_weights += w;
		all_weight += t->weight[i];
		if (isnan(r->window_nll[i]))
			continue;
		y[k] = r->window_nll[i] - known;
		x[k] = t->targets[i];
		nll += y[k];
		targets += x[k++];
		of_weights += weighted(r->window_nll[i], t->targets[i], t->weight[i]) - w;
		weight += t->weight[i];
	}
	struct ratio mean = sample_ratio(y, x, n, t->all);
	r->windows = n;
	r->error = mean.error;
	r->nll = estimate ? all_nll + mean.value * all_targets : nll;
	r->targets = estimate ? all_targets : targets;
	r->ppl = exp((estimate ? all_of_weights / all_weight : 0) + of_weights / weight);
	free(y);
}

/* --- scoring ------------------------------------------------------------------------------------------- */

struct taking {
	const struct text *t;
	double *nll;
	uint64_t before; /* of t->window have been scored in earlier turns */
	void (*also)(void *arg, const struct scored *s);
	void *arg;
};

static bool take_window(void *arg, const struct scored *s)
{
	struct taking *x = arg;
	uint64_t i = s->index + x->before;
	double nll = scored_sum(s);

	if (!isfinite(nll))
		die("%s: negative log-likelihood is not finite", x->t->name);
	x->nll[x->t->window ? x->t->window[i] : i] = nll;
	x->also(x->arg, s);
	return true;
}

struct result text_evaluate(const struct nn_model *m, const struct text *t, int64_t batch, bool ranks,
                            void (*also)(void *arg, const struct scored *s), void *arg)
{
	struct result r = {.window_nll = xcalloc(t->all, sizeof *r.window_nll)};
	struct taking x = {.t = t, .nll = r.window_nll, .also = also, .arg = arg};
	double known = t->reference ? text_reference_mean(t) : 0;

	for (uint64_t i = 0; i < t->all; i++)
		r.window_nll[i] = NAN;
	do {
		uint64_t n = t->reference ? sample_next(x.before, t->all) : t->n;
		score_text(m, &t->cut, t->window ? t->window + x.before : NULL, n - x.before, batch, ranks, take_window, &x);
		x.before = n;
		conclude(t, &r, n);
		/* An estimate below 0 nats is of too few windows, however alike they are. */
	} while (t->reference && x.before < t->all &&
	         (r.nll < 0 || r.ppl < 1 || !sample_enough(r.error, x.before, r.nll / r.targets - known, t->until)));
	if (isinf(r.ppl))
		die("%s: perplexity is infinite", t->name);
	return r;
}
