#include "nn/score.h"

#include <math.h>
#include <stdlib.h>

#include "lib/checked.h"

double scored_sum(const struct scored *s)
{
	double sum = 0;

	for (int64_t t = 0; t < s->window.length; t++)
		if (s->target[t] >= 0)
			sum += s->nll[t];
	return sum;
}

/* Windows that go through the model together: B of T tokens, the first of them number `first` of all. */
struct batch {
	uint64_t first;
	int64_t B, T;
	int64_t *id, *target, *rank; // (B, T) each
	float *f32;
	double *nll;
	th_fetch *coming_nll, *coming_rank;
};

static struct batch batch_new(size_t most, bool ranks)
{
	return (struct batch){.id = xcalloc(most, sizeof(int64_t)), .target = xcalloc(most, sizeof(int64_t)),
	                      .rank = ranks ? xcalloc(most, sizeof(int64_t)) : NULL, .f32 = xcalloc(most, sizeof(float)),
	                      .nll = xcalloc(most, sizeof(double))};
}

static void batch_free(struct batch *b)
{
	free(b->id);
	free(b->target);
	free(b->rank);
	free(b->f32);
	free(b->nll);
}

static void start(const struct nn_model *m, struct batch *b)
{
	const th_device cpu = {0, 0};

	th_scope_open();
	th_tensor *ids = th_from_host(b->id, TH_I64, cpu, 2, (int64_t[]){b->B, b->T});
	th_tensor *targets = th_from_host(b->target, TH_I64, cpu, 1, (int64_t[]){b->B * b->T}), *rank = NULL;
	b->coming_nll = th_fetch_start(nn_nll_rank(m, ids, targets, b->rank ? &rank : NULL), TH_F32);
	if (rank)
		b->coming_rank = th_fetch_start(rank, TH_I64);
	th_scope_close();
}

static void finish(struct batch *b)
{
	th_fetch_end(b->coming_nll, b->f32);
	if (b->rank)
		th_fetch_end(b->coming_rank, b->rank);
	for (int64_t i = 0; i < b->B * b->T; i++) /* from 1 nat on, an f32 is such a multiple; rint() keeps what is not finite */
		b->nll[i] = rint((double)b->f32[i] * 0x1p24) * 0x1p-24;
}

/* False: no more of them. */
static bool hand_over(const struct cut *c, const uint64_t *which, struct batch *b,
                      bool (*take)(void *arg, const struct scored *s), void *arg)
{
	bool more = true;

	finish(b);
	for (int64_t i = 0; i < b->B; i++) {
		uint64_t at = b->first + (uint64_t)i;
		more &= take(arg, &(struct scored){at, cut_window(c, which ? which[at] : at), b->target + i * b->T, b->nll + i * b->T,
		                                   b->rank ? b->rank + i * b->T : NULL});
	}
	b->B = 0;
	return more;
}

/* A batch is read when the next one is under way, so that a GPU goes from one to the other. */
void score_text(const struct nn_model *m, const struct cut *c, const uint64_t *which, uint64_t n, int64_t batch, bool ranks,
                bool (*take)(void *arg, const struct scored *s), void *arg)
{
	size_t most = (size_t)(batch * c->context);
	struct batch turn[2] = {batch_new(most, ranks), batch_new(most, ranks)}, *b = &turn[0], *before = &turn[1];
	bool more = true;

	for (uint64_t i = 0; i < n && more; i += (uint64_t)b->B) {
		struct batch *other = before;
		before = b;
		b = other;
		b->first = i;
		b->T = cut_window(c, which ? which[i] : i).length;
		while (b->B < batch && i + (uint64_t)b->B < n) {
			uint64_t w = which ? which[i + (uint64_t)b->B] : i + (uint64_t)b->B;
			if (cut_window(c, w).length != b->T)
				break;
			cut_fill(c, w, b->id + b->B * b->T, b->target + b->B * b->T);
			b->B++;
		}
		start(m, b);
		if (before->B)
			more = hand_over(c, which, before, take, arg);
	}
	if (b->B)
		hand_over(c, which, b, take, arg);
	batch_free(&turn[0]);
	batch_free(&turn[1]);
}

struct mean {
	double sum;
	int64_t targets;
	uint64_t windows;
	const volatile sig_atomic_t *stop;
};

static bool add_to_mean(void *arg, const struct scored *s)
{
	struct mean *m = arg;

	m->sum += scored_sum(s);
	m->targets += s->window.targets;
	m->windows++;
	return !*m->stop;
}

double score_mean(const struct nn_model *m, const struct cut *c, int64_t batch, const volatile sig_atomic_t *stop)
{
	struct mean mean = {.stop = stop};

	score_text(m, c, NULL, cut_windows(c), batch, false, add_to_mean, &mean);
	return mean.windows < cut_windows(c) ? (double)NAN : mean.sum / (double)mean.targets;
}
