#include "nn/optim.h"

#include <math.h>
#include <stdlib.h>

#include "lib/checked.h"
#include "lib/rng.h"

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

static th_tensor *zeros_like(const th_tensor *t, th_dtype dtype, th_device device, bool beside)
{
	int64_t shape[TH_MAX_DIMS];

	for (int d = 0; d < th_dim(t); d++)
		shape[d] = th_size(t, d);
	return (beside ? th_zeros_beside : th_zeros)(dtype, device, th_dim(t), shape);
}

struct optim *optim_make(struct nn_params *params, const struct optim_options *opt)
{
	struct optim *o = xcalloc(1, sizeof *o);
	size_t n = (size_t)params->n;

	*o = (struct optim){.params = params, .opt = *opt, .together = params->device.cuda};
	o->m = xcalloc(n, sizeof(th_tensor *));
	o->v = xcalloc(n, sizeof(th_tensor *));
	o->list = xcalloc(n, 5 * sizeof(th_tensor *));
	o->norm = th_zeros(TH_F32, params->device, 0, NULL);
	for (size_t i = 0; i < n; i++) {
		o->m[i] = zeros_like(params->item[i].value, opt->moments, params->device, opt->offload);
		o->v[i] = zeros_like(params->item[i].value, opt->moments, params->device, opt->offload);
	}
	return o;
}

struct optim *optim_new(struct nn_params *params, double beta1, double beta2, double eps, double weight_decay)
{
	return optim_make(params, &(struct optim_options){
		.beta1 = beta1, .beta2 = beta2, .eps = eps, .weight_decay = weight_decay, .moments = TH_F32});
}

void optim_free(struct optim *o)
{
	if (!o)
		return;
	free(o->m);
	free(o->v);
	free(o->list);
	free(o);
}

th_tensor *optim_clip(struct optim *o, double clip)
{
	int n = 0;

	th_scope_open();
	for (int i = 0; i < o->params->n; i++) {
		th_tensor *g = nn_param_grad(&o->params->item[i]);
		if (g)
			o->list[n++] = g;
	}
	if (n)
		th_copy_(o->norm, th_grad_norm(o->list, n));
	else
		th_zero_(o->norm);
	o->clip = clip;
	th_scope_close();
	return o->norm;
}

/* Decays as the Trainer has it: all but biases and what belongs to norms, which in these families is what is no matrix. */
static bool decays(const th_tensor *t)
{
	return th_dim(t) >= 2;
}

enum { PART = 1 << 22 }; /* elements that are converted at a time; a multiple of 64 */

enum what { PARAM, M, V };

/* Elements [at, at + n) of t, as f32 on the device: t's own memory if it is that already. */
static th_tensor *part_of(th_tensor *t, int64_t at, int64_t n, th_device device)
{
	th_tensor *flat = th_narrow(th_reshape(t, 1, (int64_t[]){-1}), 0, at, n);

	return th_to_dtype(th_to_device(flat, device), TH_F32);
}

/* What part_of() gave, back into t, if it was a copy. */
static void put_part(const struct optim *o, th_tensor *t, const th_tensor *part, int64_t at, enum what what, int i)
{
	static const char *const purpose[] = {"round parameter", "round first moment", "round second moment"};
	int64_t n = th_numel(part);

	th_tensor *to = th_narrow(th_reshape(t, 1, (int64_t[]){-1}), 0, at, n);
	if (th_dtype_of(t) == TH_BF16) {
		uint64_t when = rng_stream("round", o->opt.domain, (uint64_t)o->updates);
		th_tensor *rounded = o->opt.offload ? th_empty(TH_BF16, o->params->device, 1, &n) : to;
		th_round_(rounded, part, (th_key){o->opt.seed, rng_stream(purpose[what], when, (uint64_t)i)}, at);
		if (rounded != to)
			(what == PARAM ? th_copy_ : th_copy_later_)(to, rounded);
	} else if (o->opt.offload && what != PARAM) {
		th_copy_later_(to, part);
	}
}

/* Is nothing to be converted but, on the cpu where it costs no memory, the gradient? */
static bool is_plain(const struct optim *o, int i, const th_tensor *g)
{
	return th_dtype_of(o->params->item[i].value) == TH_F32 && (th_dtype_of(g) == TH_F32 || !o->params->device.cuda) &&
	       o->opt.moments == TH_F32 && !o->opt.offload;
}

static void update(struct optim *o, int i, th_tensor *g, const th_adamw *opt)
{
	th_device device = o->params->device;
	th_tensor *param = o->params->item[i].value, *copy = o->params->item[i].copy;
	int64_t n = th_numel(param);

	if (is_plain(o, i, g)) {
		th_adamw_step(&param, &g, &o->m[i], &o->v[i], &copy, 1, opt);
		return;
	}
	for (int64_t at = 0; at < n; at += PART) {
		th_scope_open();
		int64_t some = n - at < PART ? n - at : PART;
		th_tensor *p = part_of(param, at, some, device), *d = part_of(g, at, some, device);
		th_tensor *m = part_of(o->m[i], at, some, device), *v = part_of(o->v[i], at, some, device);
		th_adamw_step(&p, &d, &m, &v, NULL, 1, opt);
		put_part(o, param, p, at, PARAM, i);
		put_part(o, o->m[i], m, at, M, i);
		put_part(o, o->v[i], v, at, V, i);
		th_scope_close();
	}
	if (copy)
		th_copy_(copy, param);
}

/* The plain parameters that decay, or those that do not, in one pass; they have no gradient afterwards. */
static void update_together(struct optim *o, bool decay, const th_adamw *opt)
{
	th_tensor **p = o->list, **g = p + o->params->n, **m = g + o->params->n, **v = m + o->params->n;
	th_tensor **copy = v + o->params->n;
	int n = 0;

	th_scope_open();
	for (int i = 0; i < o->params->n; i++) {
		struct nn_param *param = &o->params->item[i];
		th_tensor *grad = nn_param_grad(param);
		if (!grad || !is_plain(o, i, grad) || decays(param->value) != decay)
			continue;
		p[n] = param->value;
		g[n] = grad;
		m[n] = o->m[i];
		v[n] = o->v[i];
		copy[n++] = param->copy;
		nn_param_drop_grad(param);
	}
	th_adamw_step(p, g, m, v, copy, n, opt);
	th_scope_close();
}

/* Parameter by parameter, so that there is never more than one gradient in two types, and each is freed as soon as may be. */
void optim_step(struct optim *o, double lr, const th_tensor *skip)
{
	th_adamw opt = {lr, o->opt.beta1, o->opt.beta2, o->opt.eps, 0, ++o->updates, skip, o->clip, o->norm};

	th_no_grad_open();
	for (int decay = 0; o->together && decay < 2; decay++) {
		opt.weight_decay = decay ? o->opt.weight_decay : 0;
		update_together(o, decay, &opt);
	}
	for (int i = 0; i < o->params->n; i++) {
		struct nn_param *p = &o->params->item[i];
		th_scope_open();
		th_tensor *g = nn_param_grad(p);
		opt.weight_decay = decays(p->value) ? o->opt.weight_decay : 0;
		if (g)
			update(o, i, g, &opt);
		nn_param_drop_grad(p);
		th_scope_close();
	}
	o->clip = 0;
	th_no_grad_close();
}
