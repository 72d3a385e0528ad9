#include "bigbench_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "char_class.h"
#include "checked.h"
#include "hash.h"
#include "text_class.h"
#include "text_metrics.h"

#define BUCKETS 15

/* ---- choices ---- */

/* scipy.special.logsumexp, with the largest ones taken apart as scipy does. */
static double log_sum_exp(const double *x, int n)
{
	double top = x[0], others = 0;
	int m = 0;

	for (int i = 1; i < n; i++)
		top = x[i] > top ? x[i] : top;
	for (int i = 0; i < n; i++) {
		m += x[i] == top;
		others += x[i] == top ? 0 : exp(x[i] - top);
	}
	return log1p(others / m) + log(m) + top;
}

/* What the package calls log_prob: made to be the logarithms of probabilities, if the task does not ask otherwise. */
static double *log_probs(const struct bb_task *t, const struct bb_reply *r)
{
	int n = r->example->n_choices;
	double *p = xcalloc((size_t)n, sizeof *p), sum = t->absolute_normalization ? 0 : log_sum_exp(r->choice, n);

	for (int i = 0; i < n; i++)
		p[i] = r->choice[i] - sum;
	return p;
}

int bb_best_choice(const struct bb_task *t, const struct bb_reply *r)
{
	int n = r->example->n_choices, best = 0;
	double *p = log_probs(t, r);
	unsigned ties = 0, which = 0;

	for (int i = 1; i < n; i++)
		best = p[i] > p[best] ? i : best;
	for (int i = 0; i < n; i++)
		ties += p[i] == p[best];
	if (ties > 1) {
		struct hash h;
		uint8_t digest[HASH_BYTES];
		hash_start(&h);
		hash_add(&h, p, (size_t)n * sizeof *p);
		hash_end(&h, digest);
		for (int i = 0; i < HASH_BYTES; i++)
			which = (which * 256 + digest[i]) % ties;
		double top = p[best];
		for (int i = 0; i < n; i++)
			if (p[i] == top && which-- == 0) {
				best = i;
				break;
			}
	}
	free(p);
	return best;
}

static double grade(const struct bb_task *t, const struct bb_reply *r)
{
	return r->example->score[bb_best_choice(t, r)];
}

static double weighted_log_probability(const struct bb_task *t, const struct bb_reply *r)
{
	double sum = 0;

	(void)t;
	for (int i = 0; i < r->example->n_choices; i++)
		sum += r->example->score[i] * r->choice[i];
	return sum;
}

static double weighted_probability(const struct bb_task *t, const struct bb_reply *r)
{
	double sum = 0;

	(void)t;
	for (int i = 0; i < r->example->n_choices; i++)
		sum += r->example->score[i] * exp(r->choice[i]);
	return sum;
}

/* Probabilities of the choices by the model, and by their scores. */
static void probabilities(const struct bb_reply *r, double *p, double *target)
{
	int n = r->example->n_choices;
	double top = r->choice[0], sum = 0, scores = 0;

	for (int i = 0; i < n; i++) {
		top = r->choice[i] > top ? r->choice[i] : top;
		scores += r->example->score[i];
	}
	for (int i = 0; i < n; i++)
		sum += p[i] = exp(r->choice[i] - top);
	for (int i = 0; i < n; i++) {
		p[i] /= sum;
		target[i] = scores == 0 ? 0 : r->example->score[i] / scores;
	}
}

static int first_max(const double *x, int n)
{
	int best = 0;

	for (int i = 1; i < n; i++)
		best = x[i] > x[best] ? i : best;
	return best;
}

/* Brier score over all choices (per choice, not per example), and expected calibration error (Naeini et al. 2015). */
static void calibration(const struct bb_reply *r, size_t n, double *brier, double *error)
{
	double confidence[BUCKETS] = {0}, right[BUCKETS] = {0}, count[BUCKETS] = {0}, sum = 0, choices = 0;

	for (size_t i = 0; i < n; i++) {
		int m = r[i].example->n_choices, b = 0;
		double *p = xcalloc((size_t)m, sizeof *p), *target = xcalloc((size_t)m, sizeof *target);
		probabilities(&r[i], p, target);
		for (int k = 0; k < m; k++)
			sum += target[k] * (p[k] - 1) * (p[k] - 1) + (1 - target[k]) * p[k] * p[k];
		choices += m;
		int best = first_max(p, m);
		while (b < BUCKETS - 1 && !(p[best] < (double)(b + 1) / BUCKETS))
			b++;
		confidence[b] += p[best];
		right[b] += best == first_max(target, m);
		count[b]++;
		free(p);
		free(target);
	}
	*brier = sum / choices;
	*error = 0;
	for (int b = 0; b < BUCKETS; b++)
		if (count[b] > 0)
			*error += count[b] / (double)n * fabs(right[b] / count[b] - confidence[b] / count[b]);
}

struct label {
	const char *name;
	double hit, missed, wrong;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

/* Mean over labels of 2 hit / (2 hit + missed + wrong): sklearn's f1_score, average macro. NULL: fine. */
static const char *macro_f1(const struct bb_task *t, const struct bb_reply *r, size_t n, double *score)
{
	struct label *l = xcalloc(2 * n, sizeof *l);
	size_t labels = 0;
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		const struct bb_example *e = r[i].example;
		int ones = 0, right = 0, best = bb_best_choice(t, &r[i]);
		double all = 0;
		for (int k = 0; k < e->n_choices; k++) {
			all += e->score[k];
			if (e->score[k] == 1) {
				ones++;
				right = k;
			}
		}
		if (ones != 1 || all != 1) {
			free(l);
			return "an example has not exactly one choice with score 1 and all others with 0";
		}
		bool hit = best == right;
		l[labels++] = (struct label){e->choice[right], hit, !hit, 0};
		if (!hit)
			l[labels++] = (struct label){e->choice[best], 0, 0, 1};
	}
	qsort(l, labels, sizeof *l, by_name);
	size_t distinct = 0;
	for (size_t i = 0; i < labels;) {
		struct label all = l[i];
		for (i++; i < labels && strcmp(l[i].name, all.name) == 0; i++) {
			all.hit += l[i].hit;
			all.missed += l[i].missed;
			all.wrong += l[i].wrong;
		}
		sum += 2 * all.hit / (2 * all.hit + all.missed + all.wrong);
		distinct++;
	}
	*score = sum / (double)distinct;
	free(l);
	return NULL;
}

/* ---- texts ---- */

static struct answer answer_of(const struct bb_reply *r)
{
	return (struct answer){r->response, r->example->target, r->example->n_targets};
}

static double exact(const struct bb_task *t, const struct bb_reply *r)
{
	struct answer a = answer_of(r);

	(void)t;
	return text_equals(&a);
}

static double folded(const struct bb_task *t, const struct bb_reply *r)
{
	struct answer a = answer_of(r);

	(void)t;
	return text_equals_folded(&a);
}

static double sequence_f1(const struct bb_task *t, const struct bb_reply *r)
{
	struct answer a = answer_of(r);

	(void)t;
	return text_sequence_f1(&a);
}

/* The package divides by the target itself, so a negative one accepts every number. */
static double numeric_match(const struct bb_task *t, const struct bb_reply *r)
{
	double want, got;

	(void)t;
	if (!text_float(r->example->target[0], &want) || !text_float(r->response, &got))
		return 0;
	return fabs(got - want) / (want != 0 ? want : 1) <= 0.1;
}

static double rouge_1(const struct bb_task *t, const struct bb_reply *r)
{
	struct answer a = answer_of(r);

	(void)t;
	return 100 * text_rouge(&a, ROUGE_1);
}

static double rouge_2(const struct bb_task *t, const struct bb_reply *r)
{
	struct answer a = answer_of(r);

	(void)t;
	return 100 * text_rouge(&a, ROUGE_2);
}

static double rouge_lsum(const struct bb_task *t, const struct bb_reply *r)
{
	struct answer a = answer_of(r);

	(void)t;
	return 100 * text_rouge(&a, ROUGE_LSUM);
}

/* ---- likelihoods of targets ---- */

static double log_likelihood(const struct bb_task *t, const struct bb_reply *r)
{
	(void)t;
	return log_sum_exp(r->target, r->example->n_targets);
}

static double per_char(const struct bb_task *t, const struct bb_reply *r)
{
	double chars = 0;

	(void)t;
	for (const char *p = r->example->target[0]; *p; p++)
		chars += (*p & 0xc0) != 0x80;
	return r->target[0] / chars;
}

static double per_word(const struct bb_task *t, const struct bb_reply *r)
{
	const char *s = r->example->target[0];
	size_t n = strlen(s);
	double words = 0;
	bool inside = false;

	(void)t;
	for (size_t at = 0; at < n;) {
		uint32_t c = 0;
		int length = utf8_char((const unsigned char *)s + at, n - at, &c);
		words += !text_space(c) && !inside;
		inside = !text_space(c);
		at += length > 0 ? (size_t)length : 1;
	}
	return r->target[0] / words;
}

/* ---- all together ---- */

typedef double per_example(const struct bb_task *t, const struct bb_reply *r);

/* f NULL: no mean over examples. */
static const struct metric {
	const char *name;   /* in the task file */
	const char *result; /* NULL: the same */
	enum bb_kind kind;
	per_example *f;
} metrics[] = {
	{"multiple_choice_grade", NULL, BB_CHOICE, grade},
	{"calibration_multiple_choice_brier_score", NULL, BB_CHOICE, NULL},
	{"expected_calibration_error", NULL, BB_CHOICE, NULL},
	{"weighted_log_probabilities", NULL, BB_CHOICE, weighted_log_probability},
	{"weighted_probabilities", NULL, BB_CHOICE, weighted_probability},
	{"macro_f1", NULL, BB_CHOICE, NULL},
	{"exact_str_match", NULL, BB_TEXT, exact},
	{"case_insensitive_str_match", NULL, BB_TEXT, folded},
	{"sequence_f1", NULL, BB_TEXT, sequence_f1},
	{"numeric_match_with_0_1_relative_error", NULL, BB_TEXT, numeric_match},
	{"bleu", NULL, BB_TEXT, NULL},
	{"rouge", "rouge1", BB_TEXT, rouge_1},
	{"rouge", "rouge2", BB_TEXT, rouge_2},
	{"rouge", "rougeLsum", BB_TEXT, rouge_lsum},
	{"bleurt", NULL, BB_MODEL, NULL},
	{"log_likelihood", NULL, BB_LIKELIHOOD, log_likelihood},
	{"log_likelihood", "log_likelihood_per_word", BB_LIKELIHOOD, per_word},
	{"log_likelihood", "log_likelihood_per_char", BB_LIKELIHOOD, per_char},
};
#define N_METRICS (sizeof metrics / sizeof *metrics)

enum bb_kind bb_kind_of(const char *metric)
{
	for (size_t i = 0; i < N_METRICS; i++)
		if (strcmp(metrics[i].name, metric) == 0)
			return metrics[i].kind;
	return BB_UNKNOWN;
}

bool bb_is_result(const char *metric)
{
	for (size_t i = 0; i < N_METRICS; i++)
		if (metrics[i].result && strcmp(metrics[i].result, metric) == 0)
			return true;
	return strcmp(metric, BB_AGGREGATE) == 0;
}

static void mean_of(const struct bb_task *t, per_example *f, const struct bb_reply *r, size_t n, struct bb_result *out)
{
	double sum = 0, squares = 0, *x = xcalloc(n, sizeof *x);

	for (size_t i = 0; i < n; i++)
		sum += x[i] = f(t, &r[i]);
	out->score = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (x[i] - out->score) * (x[i] - out->score);
	/* Drawn without replacement: Cochran, Sampling Techniques, 2.5. */
	if (n == t->n_examples)
		out->error = 0;
	else if (n > 1)
		out->error = sqrt((1 - (double)n / (double)t->n_examples) * squares / (double)(n - 1) / (double)n);
	free(x);
}

static bool several_targets(const struct bb_reply *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (r[i].example->n_targets > 1)
			return true;
	return false;
}

static double bleu(const struct bb_reply *r, size_t n)
{
	struct answer *a = xcalloc(n, sizeof *a);

	for (size_t i = 0; i < n; i++)
		a[i] = answer_of(&r[i]);
	double score = text_bleu(a, n);
	free(a);
	return score;
}

static void compute(const struct metric *m, const struct bb_task *t, const struct bb_reply *r, size_t n, struct bb_result *out)
{
	double brier, error;

	*out = (struct bb_result){m->result ? m->result : m->name, true, NULL, 0, (double)NAN};
	if (m->kind == BB_MODEL)
		out->why = "it needs a model of its own";
	else if (strcmp(m->name, "numeric_match_with_0_1_relative_error") == 0 && several_targets(r, n))
		out->why = "an example has several targets";
	else if (m->f)
		mean_of(t, m->f, r, n, out);
	else if (strcmp(m->name, "macro_f1") == 0)
		out->why = macro_f1(t, r, n, &out->score);
	else if (strcmp(m->name, "bleu") == 0)
		out->score = bleu(r, n);
	else {
		calibration(r, n, &brier, &error);
		out->score = strcmp(m->name, "expected_calibration_error") == 0 ? error : brier;
	}
	if (!out->why && !isfinite(out->score))
		out->why = "it is not finite";
	out->computed = !out->why;
}

int bb_score(const struct bb_task *t, const char *metric, const struct bb_reply *r, size_t n, struct bb_result result[BB_MAX_RESULTS])
{
	int found = 0;

	for (size_t i = 0; i < N_METRICS; i++) {
		if (strcmp(metrics[i].name, metric) != 0)
			continue;
		if (metrics[i].result && metrics[i].kind == BB_LIKELIHOOD && several_targets(r, n))
			continue; /* the package gives the one number alone */
		compute(&metrics[i], t, r, n, &result[found++]);
	}
	if (found)
		return found;
	result[0] = (struct bb_result){metric, false, "it is not known", 0, (double)NAN};
	return 1;
}

bool bb_range(const struct bb_task *t, const char *name, double *low, double *high)
{
	static const struct {
		const char *name;
		double low, high;
	} range[] = {
		{"bleu", 0, 100}, {"sequence_f1", 0, 100}, {"bleurt", -0.1, 1.1}, {"calibration_multiple_choice_brier_score", 0, 1},
		{"expected_calibration_error", 0, 1}, {"exact_str_match", 0, 1}, {"case_insensitive_str_match", 0, 1},
		{"log_likelihood", -10, 0}, {"multiple_choice_grade", 0, 1}, {"numeric_match_with_0_1_relative_error", 0, 1},
		{"rouge1", 0, 100}, {"rouge2", 0, 100}, {"rougeLsum", 0, 100}, {"weighted_log_probabilities", -10, 0},
		{"weighted_probabilities", -1, 1}, {"macro_f1", 0, 1},
	};

	for (size_t i = 0; i < sizeof range / sizeof *range; i++)
		if (strcmp(range[i].name, name) == 0) {
			*low = range[i].low;
			*high = range[i].high;
			if (strcmp(name, "multiple_choice_grade") == 0)
				*low = t->chance;
			return *high > *low;
		}
	return false;
}
