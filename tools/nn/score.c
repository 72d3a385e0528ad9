#include "nn/score.h"

#include <stdlib.h>

#include "lib/checked.h"

uint64_t score_windows(const struct corpus *c, int64_t context)
{
	uint64_t tokens = corpus_tokens(c), T = (uint64_t)context;

	return tokens / T + (tokens % T != 0);
}

int64_t score_length(const struct corpus *c, int64_t context, uint64_t window)
{
	uint64_t left = corpus_tokens(c) - window * (uint64_t)context;

	return left < (uint64_t)context ? (int64_t)left : context;
}

/* B windows of T tokens each: sums[b] in double, over values that each came as f32. */
static void score_batch(const struct nn_model *m, const int64_t *id, int64_t B, int64_t T, double *sums)
{
	int64_t *target = xcalloc((size_t)(B * T), sizeof *target);
	float *nll = xcalloc((size_t)(B * T), sizeof *nll);

	next_token_targets(id, B, T, target);
	th_scope_open();
	th_tensor *ids = th_from_host(id, TH_I64, m->device, 2, (int64_t[]){B, T});
	th_tensor *targets = th_from_host(target, TH_I64, m->device, 1, (int64_t[]){B * T});
	th_to_host(nn_nll(m, ids, targets), TH_F32, nll);
	th_scope_close();

	for (int64_t b = 0; b < B; b++) {
		sums[b] = 0;
		for (int64_t t = 0; t < T - 1; t++)
			sums[b] += (double)nll[b * T + t];
	}
	free(nll);
	free(target);
}

void score_nll(const struct nn_model *m, const struct corpus *c, int64_t context, const uint64_t *window, uint64_t n,
               int64_t batch, double *nll, void (*done)(void *arg, uint64_t windows), void *arg)
{
	int64_t *id = xcalloc((size_t)(batch * context), sizeof *id);

	for (uint64_t i = 0; i < n;) {
		int64_t T = score_length(c, context, window ? window[i] : i), B = 0;
		while (B < batch && i + (uint64_t)B < n) {
			uint64_t w = window ? window[i + (uint64_t)B] : i + (uint64_t)B;
			if (score_length(c, context, w) != T)
				break;
			corpus_copy(c, w * (uint64_t)context, (uint64_t)T, id + B * T);
			B++;
		}
		score_batch(m, id, B, T, nll + i);
		i += (uint64_t)B;
		if (done)
			done(arg, i);
	}
	free(id);
}
