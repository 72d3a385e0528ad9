#include "nn/optim.h"

#include <math.h>
#include <stdlib.h>

#include "lib/checked.h"

#define PI 3.14159265358979323846

double schedule_factor(enum schedule kind, int64_t step, int64_t total, int64_t warmup, int64_t decay)
{
	if (step < warmup)
		return (double)step / (double)warmup;

	double left = (double)(total - step), all = (double)(total - warmup > 1 ? total - warmup : 1);
	switch (kind) {
	case SCHEDULE_LINEAR:
		return left > 0 ? left / all : 0;
	case SCHEDULE_COSINE:
		return 0.5 * (1 + cos(PI * (double)(step - warmup) / all));
	case SCHEDULE_WSD:
		if (step < total - decay)
			return 1;
		if (step >= total)
			return 0;
		return 0.5 * (1 + cos(PI * (double)(step - (total - decay)) / (double)(decay > 1 ? decay : 1)));
	default:
		return 1;
	}
}

static th_tensor *zeros_like(const th_tensor *t, th_device device)
{
	int64_t shape[TH_MAX_DIMS];

	for (int d = 0; d < th_dim(t); d++)
		shape[d] = th_size(t, d);
	return th_zeros(TH_F32, device, th_dim(t), shape);
}

struct optim *optim_new(struct nn_params *params, double beta1, double beta2, double eps, double weight_decay)
{
	struct optim *o = xcalloc(1, sizeof *o);
	size_t n = (size_t)params->n;

	*o = (struct optim){.params = params, .beta1 = beta1, .beta2 = beta2, .eps = eps, .weight_decay = weight_decay};
	th_tensor ***list[] = {&o->m, &o->v, &o->p, &o->g, &o->pm, &o->pv};
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		*list[i] = xcalloc(n, sizeof **list[i]);
	for (size_t i = 0; i < n; i++) {
		o->m[i] = zeros_like(params->item[i].value, params->device);
		o->v[i] = zeros_like(params->item[i].value, params->device);
	}
	return o;
}

void optim_free(struct optim *o)
{
	if (!o)
		return;
	free(o->m);
	free(o->v);
	free(o->p);
	free(o->g);
	free(o->pm);
	free(o->pv);
	free(o);
}

/* Matrices decay; biases and the weights of norms do not. */
static bool decays(const th_tensor *t)
{
	return th_dim(t) >= 2;
}

enum group { DECAY, NO_DECAY, ALL };

/* Fills the scratch lists with a group's parameters that have a gradient. */
static int gather(struct optim *o, enum group group)
{
	int n = 0;

	for (int i = 0; i < o->params->n; i++) {
		th_tensor *p = o->params->item[i].value, *g = th_grad(p);
		if (!g || (group != ALL && decays(p) != (group == DECAY)))
			continue;
		o->p[n] = p;
		o->g[n] = g;
		o->pm[n] = o->m[i];
		o->pv[n] = o->v[i];
		n++;
	}
	return n;
}

double optim_clip(struct optim *o, double clip)
{
	th_scope_open();
	th_no_grad_open();
	int n = gather(o, ALL);
	double norm = 0;
	if (n) {
		th_tensor *total = th_grad_norm(o->g, n);
		norm = th_item(total);
		if (clip > 0 && isfinite(norm))
			th_clip_grad(o->g, n, clip, total);
	}
	th_no_grad_close();
	th_scope_close();
	return norm;
}

void optim_step(struct optim *o, double lr)
{
	th_adamw opt = {lr, o->beta1, o->beta2, o->eps, 0, ++o->updates};

	th_scope_open();
	th_no_grad_open();
	for (enum group group = DECAY; group <= NO_DECAY; group++) {
		int n = gather(o, group);
		opt.weight_decay = group == DECAY ? o->weight_decay : 0;
		if (n)
			th_adamw_step(o->p, o->g, o->pm, o->pv, n, &opt);
	}
	th_no_grad_close();
	th_scope_close();
}
