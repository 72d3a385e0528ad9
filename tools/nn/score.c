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

/* Room for one batch, (B, T) each. */
struct batch {
	int64_t *id, *target, *rank;
	float *f32;
	double *nll;
};

static void score_batch(const struct nn_model *m, int64_t B, int64_t T, struct batch *b)
{
	th_scope_open();
	th_tensor *ids = th_from_host(b->id, TH_I64, m->device, 2, (int64_t[]){B, T});
	th_tensor *targets = th_from_host(b->target, TH_I64, m->device, 1, (int64_t[]){B * T}), *rank = NULL;
	th_to_host(nn_nll_rank(m, ids, targets, b->rank ? &rank : NULL), TH_F32, b->f32);
	if (rank)
		th_to_host(rank, TH_I64, b->rank);
	th_scope_close();
	for (int64_t i = 0; i < B * T; i++) /* from 1 nat on, an f32 is such a multiple; rint() keeps what is not finite */
		b->nll[i] = rint((double)b->f32[i] * 0x1p24) * 0x1p-24;
}

void score_text(const struct nn_model *m, const struct cut *c, const uint64_t *which, uint64_t n, int64_t batch, bool ranks,
                void (*take)(void *arg, const struct scored *s), void *arg)
{
	size_t most = (size_t)(batch * c->context);
	struct batch room = {xcalloc(most, sizeof *room.id), xcalloc(most, sizeof *room.target),
	                     ranks ? xcalloc(most, sizeof *room.rank) : NULL, xcalloc(most, sizeof *room.f32),
	                     xcalloc(most, sizeof *room.nll)};

	for (uint64_t i = 0; i < n;) {
		int64_t T = cut_window(c, which ? which[i] : i).length, B = 0;
		while (B < batch && i + (uint64_t)B < n) {
			uint64_t w = which ? which[i + (uint64_t)B] : i + (uint64_t)B;
			if (cut_window(c, w).length != T)
				break;
			cut_fill(c, w, room.id + B * T, room.target + B * T);
			B++;
		}
		score_batch(m, B, T, &room);
		for (int64_t b = 0; b < B; b++, i++)
			take(arg, &(struct scored){i, cut_window(c, which ? which[i] : i), room.target + b * T, room.nll + b * T,
			                           ranks ? room.rank + b * T : NULL});
	}
	free(room.id);
	free(room.target);
	free(room.rank);
	free(room.f32);
	free(room.nll);
}

struct mean {
	double sum;
	int64_t targets;
};

static void add_to_mean(void *arg, const struct scored *s)
{
	struct mean *m = arg;

	m->sum += scored_sum(s);
	m->targets += s->window.targets;
}

double score_mean(const struct nn_model *m, const struct cut *c, int64_t batch)
{
	struct mean mean = {0};

	score_text(m, c, NULL, cut_windows(c), batch, false, add_to_mean, &mean);
	return mean.sum / (double)mean.targets;
}
