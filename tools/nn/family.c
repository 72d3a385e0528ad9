#include "nn/family.h"

#include <stdlib.h>

#include "lib/checked.h"
#include "lib/die.h"
#include "lib/rng.h"

static const struct nn_family *const families[] = {[MODEL_GPT2] = &nn_gpt2};

struct nn_layer_call {
	const struct nn_model *m;
	nn_layer *f;
	int layer;
	const struct nn_dropout *dropout;
};

th_key nn_dropout_key(const struct nn_dropout *d, int layer, int place)
{
	if (!d)
		return (th_key){0, 0};
	uint64_t when = rng_stream("dropout step", rng_stream("dropout domain", d->domain, d->step), d->micro_step);
	return (th_key){d->seed, rng_stream("dropout place", when, (uint64_t)layer << 8 | (uint64_t)place)};
}

struct nn_model *nn_model_load(const char *dir, th_device device, th_dtype compute, bool train)
{
	struct nn_model *m = xcalloc(1, sizeof *m);

	model_config_read(&m->config, dir);
	size_t which = (size_t)m->config.family;
	m->family = which < sizeof families / sizeof *families ? families[which] : NULL;
	if (!m->family)
		die_input("%s: a model of this kind (%s) cannot be trained or scored", dir, m->config.architecture);
	m->device = device;
	m->compute = compute;
	m->params = nn_params_open(dir, m->family->prefix, device);
	m->call = xcalloc((size_t)m->config.n_layer, sizeof *m->call);
	m->family->load(m);
	nn_params_loaded(m->params, m->family->ignored);

	if (train) {
		for (int i = 0; i < m->params->n; i++)
			th_requires_grad(m->params->item[i].value, true);
		for (int i = 0; i < m->n_copies; i++)
			th_requires_grad(m->copy[i].copy, true);
	}
	nn_cast(m);
	return m;
}

void nn_model_free(struct nn_model *m)
{
	if (!m)
		return;
	m->family->unload(m);
	nn_params_free(m->params);
	free(m->copy);
	free(m->call);
	free(m);
}

void nn_model_save(const struct nn_model *m, const char *path, enum st_dtype dtype)
{
	nn_params_save(m->params, path, dtype, m->family->prefix, m->family->bare);
}

th_tensor *nn_compute(struct nn_model *m, th_tensor *param)
{
	if (m->compute == TH_F32)
		return param;

	int64_t shape[TH_MAX_DIMS];
	for (int d = 0; d < th_dim(param); d++)
		shape[d] = th_size(param, d);
	GROW(m->copy, m->n_copies, m->cap_copies);
	struct nn_copy *c = &m->copy[m->n_copies++];
	*c = (struct nn_copy){param, th_empty(m->compute, m->device, th_dim(param), shape)};
	return c->copy;
}

static th_tensor *call_layer(void *context, th_tensor *const *in, int n)
{
	const struct nn_layer_call *c = context;

	(void)n;
	return c->f(c->m, c->layer, in[0], c->dropout);
}

th_tensor *nn_layers(const struct nn_model *m, nn_layer *f, th_tensor *x, const struct nn_dropout *dropout)
{
	for (int i = 0; i < (int)m->config.n_layer; i++) {
		m->call[i] = (struct nn_layer_call){m, f, i, dropout};
		th_scope_open();
		x = th_keep(m->recompute ? th_checkpoint(call_layer, &m->call[i], &x, 1) : f(m, i, x, dropout));
		th_scope_close();
	}
	return x;
}

void nn_cast(struct nn_model *m)
{
	for (int i = 0; i < m->n_copies; i++)
		th_copy_(m->copy[i].copy, m->copy[i].param);
}

void nn_gather_grads(struct nn_model *m)
{
	th_no_grad_open();
	th_scope_open();
	for (int i = 0; i < m->n_copies; i++) {
		th_tensor *grad = th_grad(m->copy[i].copy);
		if (!grad)
			continue;
		th_tensor *sum = th_grad(m->copy[i].param);
		grad = th_to_dtype(grad, TH_F32);
		th_set_grad(m->copy[i].param, sum ? th_add(sum, grad) : grad);
		th_set_grad(m->copy[i].copy, NULL);
	}
	th_scope_close();
	th_no_grad_close();
}

void nn_zero_grads(struct nn_model *m)
{
	for (int i = 0; i < m->params->n; i++)
		th_set_grad(m->params->item[i].value, NULL);
}

th_tensor *nn_loss(const struct nn_model *m, th_tensor *id, th_tensor *target, double scale,
                   const struct nn_dropout *dropout)
{
	th_scope_open();
	th_tensor *h = m->family->hidden(m, id, dropout); // (B, T, C)
	h = th_reshape(h, 2, (int64_t[]){-1, th_size(h, 2)});
	th_tensor *loss = th_keep(th_linear_cross_entropy(h, m->head, NULL, target, scale));
	th_scope_close();
	return loss;
}

th_tensor *nn_nll(const struct nn_model *m, th_tensor *id, th_tensor *target)
{
	th_no_grad_open();
	th_scope_open();
	th_tensor *h = m->family->hidden(m, id, NULL); // (B, T, C)
	h = th_reshape(h, 2, (int64_t[]){-1, th_size(h, 2)});
	th_tensor *nll = th_keep(th_linear_nll(h, m->head, NULL, target));
	th_scope_close();
	th_no_grad_close();
	return nll;
}

int64_t nn_context(const struct nn_model *m, const char *dir, int64_t asked)
{
	int64_t positions = m->config.n_positions;

	if (asked == 0)
		asked = positions < 1024 ? positions : 1024;
	if (asked > positions)
		die_input("%s: context of %lld tokens is longer than the model's %lld positions", dir, (long long)asked,
		          (long long)positions);
	if (asked < 2)
		die_usage("--context is 1: there would be nothing to predict");
	return asked;
}
