#include "nn/family.h"

#include <stdlib.h>

#include "lib/checked.h"
#include "lib/die.h"
#include "lib/rng.h"

static const struct nn_family *const families[] = {
	[MODEL_GPT2] = &nn_gpt2,
	[MODEL_BERT] = &nn_bert,
	[MODEL_ROBERTA] = &nn_roberta,
	[MODEL_LLAMA] = &nn_llama,
	[MODEL_MISTRAL] = &nn_llama,
	[MODEL_QWEN2] = &nn_llama,
};

nn_activation *const nn_activations[] = {[MODEL_GELU] = th_gelu,
                                         [MODEL_GELU_TANH] = th_gelu_tanh,
                                         [MODEL_RELU] = th_relu,
                                         [MODEL_SILU] = th_silu,
                                         [MODEL_TANH] = th_tanh};

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

struct nn_model nn_model_outline_of(const struct model_config *config)
{
	/* RoBERTa's positions are counted from behind the padding's */
	int64_t lost = config->family == MODEL_ROBERTA ? config->pad_token_id + 1 : 0;

	return (struct nn_model){.family = families[config->family], .config = *config, .positions = config->n_positions - lost};
}

struct nn_model nn_model_outline(const char *dir)
{
	struct model_config c;

	model_config_read(&c, dir);
	return nn_model_outline_of(&c);
}

struct nn_model *nn_model_load_by(const struct nn_family *family, const struct model_config *config, const char *dir,
                                  th_device device, th_dtype weights, th_dtype compute, bool train)
{
	struct nn_model *m = xcalloc(1, sizeof *m);

	*m = nn_model_outline_of(config);
	m->family = family;
	m->device = device;
	m->compute = compute;
	m->train = train;
	m->params = nn_params_open(dir, model_prefix(config), device);
	m->params->dtype = weights;
	m->call = xcalloc((size_t)config->n_layer, sizeof *m->call);
	family->load(m);
	nn_params_loaded(m->params, family->ignored);

	for (int i = 0; i < m->params->n && train; i++) {
		th_requires_grad(m->params->item[i].value, true);
		if (m->params->item[i].copy)
			th_requires_grad(m->params->item[i].copy, true);
	}
	nn_cast(m);
	return m;
}

struct nn_model *nn_model_load_as(const char *dir, th_device device, th_dtype weights, th_dtype compute, bool train)
{
	struct model_config c;

	model_config_read(&c, dir);
	return nn_model_load_by(families[c.family], &c, dir, device, weights, compute, train);
}

struct nn_model *nn_model_load(const char *dir, th_device device, th_dtype compute, bool train)
{
	return nn_model_load_as(dir, device, train ? TH_F32 : compute, compute, train);
}

void nn_model_free(struct nn_model *m)
{
	if (!m)
		return;
	m->family->unload(m);
	nn_params_free(m->params);
	free(m->call);
	free(m);
}

void nn_model_save(const struct nn_model *m, const char *path, enum st_dtype dtype)
{
	nn_params_save(m->params, path, dtype, model_prefix(&m->config), m->family->bare);
}

static th_tensor *empty_like(const th_tensor *t, th_dtype dtype, th_device device)
{
	int64_t shape[TH_MAX_DIMS];

	for (int d = 0; d < th_dim(t); d++)
		shape[d] = th_size(t, d);
	return th_empty(dtype, device, th_dim(t), shape);
}

th_tensor *nn_compute(struct nn_model *m, th_tensor *param)
{
	if (th_dtype_of(param) == m->compute)
		return param;

	struct nn_param *p = m->params->item;
	while (p->value != param)
		p++;
	if (!p->copy)
		p->copy = empty_like(param, m->compute, m->device);
	return p->copy;
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
		th_tensor *y = m->recompute ? th_checkpoint(call_layer, &m->call[i], &x, 1) : f(m, i, x, dropout);
		x = i ? th_become(x, y) : th_keep(y); /* no layer's output outlives the next layer, unless autograd needs it */
		th_scope_close();
	}
	return x;
}

void nn_cast(struct nn_model *m)
{
	th_tensor **list = xcalloc((size_t)m->params->n, 2 * sizeof *list), **value = list + m->params->n;
	int n = 0;

	for (int i = 0; i < m->params->n; i++)
		if (m->params->item[i].copy) {
			list[n] = m->params->item[i].copy;
			value[n++] = m->params->item[i].value;
		}
	th_copy_all_(list, value, n);
	free(list);
}

/* The gradient of an f32 parameter that is computed with by a copy, too; NULL: none. */
static th_tensor *grad_in_f32(struct nn_param *p)
{
	bool rows = th_grad_is_rows(p->value) && th_grad(p->copy);
	th_tensor *g = rows ? th_grad(p->copy) : nn_param_grad(p);

	if (g)
		g = th_to_dtype(g, TH_F32);
	if (rows) /* not before: they would be rounded to the copy's type */
		th_move_grad(g, p->value);
	return g;
}

/* One after the other, so that what is added up is gone before the next sum is made. */
void nn_gather_grads(struct nn_model *m)
{
	for (int i = 0; i < m->params->n; i++) {
		struct nn_param *p = &m->params->item[i];
		bool own = th_dtype_of(p->value) == TH_F32;

		if (own && !p->copy)
			continue;
		if (!own && !p->sum)
			p->sum = empty_like(p->value, TH_F32, m->device);
		th_scope_open();
		th_tensor *g = own ? grad_in_f32(p) : nn_param_grad(p);
		if (g && !own)
			th_copy_(p->sum, g);
		nn_param_drop_grad(p);
		if (own)
			th_set_grad(p->value, g);
		else
			p->summed = g != NULL;
		th_scope_close();
	}
}

void nn_sums_start(struct nn_model *m)
{
	th_tensor **sum = xcalloc((size_t)m->params->n, sizeof *sum);

	for (int i = 0; i < m->params->n; i++) {
		struct nn_param *p = &m->params->item[i];
		if (!p->sum)
			p->sum = empty_like(p->value, TH_F32, m->device);
		p->summed = true;
		sum[i] = p->sum;
	}
	th_zero_all_(sum, m->params->n);
	free(sum);
}

/* Where there is a sum, nn_param_grad() adds to it what lies elsewhere. */
void nn_sum_grads(struct nn_model *m)
{
	th_scope_open();
	for (int i = 0; i < m->params->n; i++)
		nn_param_grad(&m->params->item[i]);
	th_scope_close();
}

void nn_zero_grads(struct nn_model *m)
{
	for (int i = 0; i < m->params->n; i++)
		nn_param_drop_grad(&m->params->item[i]);
}

/* Which rows are scored: with masking, a few of all. */
struct rows {
	th_tensor *row, *target; // (N), (N)
	th_tensor *back;         // (B T): where each one's result lies among N and a 0 behind them
};

static struct rows scored_rows(const struct nn_model *m, th_tensor *target)
{
	int64_t all = th_numel(target), n = 0;
	int64_t *t = xcalloc((size_t)all, sizeof *t), *row = xcalloc((size_t)all, sizeof *row),
	        *back = xcalloc((size_t)all, sizeof *back);
	struct rows r;

	th_to_host(target, TH_I64, t);
	for (int64_t i = 0; i < all; i++)
		if (t[i] >= 0) {
			back[i] = n;
			t[n] = t[i]; /* n <= i */
			row[n++] = i;
		} else {
			back[i] = -1;
		}
	if (n == 0) /* no operation on nothing: a row that is not scored */
		t[n++] = -1;
	for (int64_t i = 0; i < all; i++)
		if (back[i] < 0)
			back[i] = n;
	r.row = th_from_host(row, TH_I64, m->device, 1, (int64_t[]){n});
	r.target = th_from_host(t, TH_I64, m->device, 1, (int64_t[]){n});
	r.back = th_from_host(back, TH_I64, m->device, 1, (int64_t[]){all});
	free(back);
	free(row);
	free(t);
	return r;
}

/* (B, T, C) -> (B T, C) */
static th_tensor *flat(th_tensor *h)
{
	return th_reshape(h, 2, (int64_t[]){-1, th_size(h, 2)});
}

/* What the head is applied to, of the scored rows alone: (B, T, C) -> (N, C) */
static th_tensor *scored(const struct nn_model *m, th_tensor *h, const struct rows *r)
{
	h = th_index_select(flat(h), 0, r->row);
	return m->family->transform ? m->family->transform(m, h) : h;
}

th_tensor *nn_loss(const struct nn_model *m, th_tensor *id, th_tensor *target, double scale,
                   const struct nn_dropout *dropout)
{
	th_scope_open();
	th_tensor *h = m->family->hidden(m, id, dropout); // (B, T, C)
	if (m->family->masked) {
		struct rows r = scored_rows(m, target);
		h = scored(m, h, &r);
		target = r.target;
	} else {
		h = flat(h);
		target = th_to_device(target, m->device);
	}
	th_tensor *loss = th_keep(th_linear_cross_entropy(h, m->head, m->head_bias, target, scale));
	th_scope_close();
	return loss;
}

/* Values of scored rows at their places among all targets, 0 at the others. */
static th_tensor *spread(const struct nn_model *m, th_tensor *value, const struct rows *r)
{
	th_tensor *zero = th_zeros(th_dtype_of(value), m->device, 1, (int64_t[]){1});

	return th_index_select(th_cat((th_tensor *[]){value, zero}, 2, 0), 0, r->back);
}

th_tensor *nn_nll_rank(const struct nn_model *m, th_tensor *id, th_tensor *target, th_tensor **rank)
{
	th_tensor *nll;

	th_no_grad_open();
	th_scope_open();
	th_tensor *h = m->family->hidden(m, id, NULL); // (B, T, C)
	if (m->family->masked) {
		struct rows r = scored_rows(m, target);
		h = scored(m, h, &r); // (N, C)
		nll = th_keep(spread(m, th_linear_nll(h, m->head, m->head_bias, r.target), &r));
		if (rank)
			*rank = th_keep(spread(m, th_linear_rank(h, m->head, m->head_bias, r.target), &r));
	} else {
		h = flat(h);
		target = th_to_device(target, m->device);
		nll = th_keep(th_linear_nll(h, m->head, m->head_bias, target));
		if (rank)
			*rank = th_keep(th_linear_rank(h, m->head, m->head_bias, target));
	}
	th_scope_close();
	th_no_grad_close();
	return nll;
}

th_tensor *nn_nll(const struct nn_model *m, th_tensor *id, th_tensor *target)
{
	return nn_nll_rank(m, id, target, NULL);
}

th_tensor *nn_logits(const struct nn_model *m, th_tensor *id)
{
	th_scope_open();
	th_tensor *h = m->family->hidden(m, id, NULL); // (B, T, C)
	if (m->family->transform)
		h = m->family->transform(m, h);
	th_tensor *logits = th_keep(th_linear(h, m->head, m->head_bias));
	th_scope_close();
	return logits;
}

int64_t nn_most_tokens(const struct nn_model *m, const char *dir)
{
	int64_t window = m->config.attention_window, most = window && window < m->positions ? window : m->positions;

	if (most < 2)
		die_input("%s: has only %lld position: there would be nothing to predict", dir, (long long)most);
	return most;
}

int64_t nn_context(const struct nn_model *m, const char *dir, int64_t asked)
{
	int64_t positions = m->positions, most = nn_most_tokens(m, dir);

	if (asked == 0)
		asked = most < 1024 ? most : 1024;
	if (asked > positions)
		die_input("%s: context of %lld tokens is longer than the model's %lld positions", dir, (long long)asked,
		          (long long)positions);
	if (asked > most)
		die_input("%s: context of %lld tokens is longer than the model's sliding_window %lld: not supported", dir,
		          (long long)asked, (long long)most);
	if (asked < 2)
		die_usage("--context is 1: there would be nothing to predict");
	return asked;
}
