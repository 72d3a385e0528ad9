#include "nn/score.h"

#include <stdlib.h>

#include "lib/checked.h"

double scored_sum(const struct scored *s)
{
	double sum = 0;

	for (int64_t t = 0; t < s->window.length; t++)
		if (s->target[t] >= 0)
			sum += (double)s->nll[t];
	return sum;
}

/* id, target (B, T) -> nll (B, T) */
static void score_batch(const struct nn_model *m, int64_t B, int64_t T, const int64_t *id, const int64_t *target, float *nll)
{
	th_scope_open();
	th_tensor *ids = th_from_host(id, TH_I64, m->device, 2, (int64_t[]){B, T});
	th_tensor *targets = th_from_host(target, TH_I64, m->device, 1, (int64_t[]){B * T});
	th_to_host(nn_nll(m, ids, targets), TH_F32, nll);
	th_scope_close();
}

void score_text(const struct nn_model *m, const struct cut *c, const uint64_t *which, uint64_t n, int64_t batch,
                void (*take)(void *arg, const struct scored *s), void *arg)
{
	size_t most = (size_t)(batch * c->context);
	int64_t *id = xcalloc(most, sizeof *id), *target = xcalloc(most, sizeof *target);
	float *nll = xcalloc(most, sizeof *nll);

	for (uint64_t i = 0; i < n;) {
		int64_t T = cut_window(c, which ? which[i] : i).length, B = 0;
		while (B < batch && i + (uint64_t)B < n) {
			uint64_t w = which ? which[i + (uint64_t)B] : i + (uint64_t)B;
			if (cut_window(c, w).length != T)
				break;
			cut_fill(c, w, id + B * T, target + B * T);
			B++;
		}
		score_batch(m, B, T, id, target, nll);
		for (int64_t b = 0; b < B; b++, i++)
			take(arg, &(struct scored){i, cut_window(c, which ? which[i] : i), target + b * T, nll + b * T});
	}
	free(nll);
	free(target);
	free(id);
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

	score_text(m, c, NULL, cut_windows(c), batch, add_to_mean, &mean);
	return mean.sum / (double)mean.targets;
}
