/*
 * Any family of language models against transformers: logits, loss, gradients, ten steps of AdamW, in f32 and bf16, from
 * the dumps of tests/gen-models.py. And that dropout is a function of its key.
 *
 *	static const char *const models[] = {"tests/data/gpt2/tied", ..., NULL};
 *	const struct CMUnitTest tests[] = {PARITY_TESTS(models), ...};
 *
 * A header, because each unit test is a program.
 */
#ifndef PALIMPSEST_PARITY_H
#define PALIMPSEST_PARITY_H

#include "nn/family.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "lib/checked.h"
#include "lib/safetensors.h"
#include "nn/batches.h"
#include "nn/optim.h"
#include "nn/runtime.h"

/* As in gen-models.py. */
enum { STEPS = 10, WARMUP = 3 };
#define LR 3e-3
#define DECAY 0.1
#define CLIP 1.0

static const th_device cpu = {0, 0};

struct reference {
	const char *dir;
	struct st_file *file;
	int64_t B, T, targets;
	int64_t *id, *target; // (B, T)
};

static const struct st_tensor *get(const struct reference *r, const char *name)
{
	const struct st_tensor *t = st_find(r->file, name);

	if (!t)
		fail_msg("no %s in %s", name, st_name(r->file));
	return t;
}

static struct reference open_reference(const char *dir)
{
	char *path = xasprintf("%s/dump.safetensors", dir);
	struct reference r = {.dir = dir, .file = st_open(path)};
	const struct st_tensor *id = get(&r, "id");

	r.B = id->shape[0];
	r.T = id->shape[1];
	r.id = xmalloc(id->bytes);
	r.target = xmalloc(id->bytes);
	memcpy(r.id, id->data, id->bytes);
	if (st_find(r.file, "target"))
		memcpy(r.target, get(&r, "target")->data, id->bytes);
	else
		next_token_targets(r.id, r.B, r.T, r.target);
	for (int64_t i = 0; i < r.B * r.T; i++)
		r.targets += r.target[i] >= 0;
	free(path);
	return r;
}

static void close_reference(struct reference *r)
{
	st_close(r->file);
	free(r->id);
	free(r->target);
}

static double reference_loss(const struct reference *r)
{
	double loss;

	memcpy(&loss, get(r, "loss")->data, sizeof loss);
	return loss;
}

/* Of n rows from the first on. */
static th_tensor *ids(const struct reference *r, int64_t first, int64_t n)
{
	return th_from_host(r->id + first * r->T, TH_I64, cpu, 2, (int64_t[]){n, r->T});
}

static th_tensor *targets(const struct reference *r, int64_t first, int64_t n)
{
	return th_from_host(r->target + first * r->T, TH_I64, cpu, 1, (int64_t[]){n * r->T});
}

/* Their part of the mean loss, and its gradient. */
static double loss_of(const struct nn_model *m, const struct reference *r, int64_t first, int64_t n)
{
	th_scope_open();
	th_tensor *loss = nn_loss(m, ids(r, first, n), targets(r, first, n), 1.0 / (double)r->targets, NULL);
	th_backward(loss);
	double value = th_item(loss);
	th_scope_close();
	return value;
}

/* |a - b|, or with a NULL |b|: of n floats, b unaligned */
static double distance(const float *a, const void *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++) {
		float y;
		memcpy(&y, (const char *)b + i * sizeof y, sizeof y);
		double d = (a ? (double)a[i] : 0) - (double)y;
		sum += d * d;
	}
	return sqrt(sum);
}

static float *to_host(const th_tensor *t)
{
	float *x = xcalloc((size_t)th_numel(t), sizeof *x);

	th_to_host(t, TH_F32, x);
	return x;
}

static void check_logits(const char *dir)
{
	struct reference r = open_reference(dir);
	struct nn_model *m = nn_model_load(dir, cpu, TH_F32, true);
	const struct st_tensor *want = get(&r, "logits");
	double worst = 0;

	th_scope_open();
	th_tensor *logits = nn_logits(m, ids(&r, 0, r.B)); // (B, T, V)
	float *x = to_host(logits);
	assert_int_equal(th_numel(logits) * 4, want->bytes);
	th_scope_close();
	for (size_t i = 0; i < want->bytes / 4; i++) {
		float y;
		memcpy(&y, (const char *)want->data + 4 * i, 4);
		worst = fmax(worst, fabs((double)x[i] - (double)y));
	}
	print_message("# %s: logits within %.2g\n", dir, worst);
	assert_true(worst < 1e-4);
	free(x);
	nn_model_free(m);
	close_reference(&r);
}

/* NULL: the loss does not depend on it */
static const struct st_tensor *reference_grad(const struct reference *r, const struct nn_param *p)
{
	char *name = xasprintf("grad.%s", p->name);
	const struct st_tensor *t = st_find(r->file, name);

	free(name);
	return t;
}

/*
 * A parameter that changes nothing, such as a bias of the keys where all keys get the same, has a gradient of nothing but
 * rounding: it is measured against the largest.
 */
static void check_gradients(const char *dir, th_dtype compute, double loss_tolerance, double tolerance, int64_t micro)
{
	struct reference r = open_reference(dir);
	struct nn_model *m = nn_model_load(dir, cpu, compute, true);
	double loss = 0, worst = 0, largest = 0;
	size_t with_grad = 0;

	for (int64_t b = 0; b < r.B; b += micro) {
		loss += loss_of(m, &r, b, r.B - b < micro ? r.B - b : micro);
		nn_gather_grads(m);
	}
	for (int i = 0; i < m->params->n; i++) {
		const struct st_tensor *t = reference_grad(&r, &m->params->item[i]);
		with_grad += t != NULL;
		if (t)
			largest = fmax(largest, distance(NULL, t->data, t->bytes / 4));
	}
	for (int i = 0; i < m->params->n; i++) {
		const struct st_tensor *t = reference_grad(&r, &m->params->item[i]);
		th_scope_open();
		th_tensor *grad = th_grad(m->params->item[i].value);
		if (!grad || !t) { /* neither or both */
			assert_true(!grad && !t);
			th_scope_close();
			continue;
		}
		double size = distance(NULL, t->data, t->bytes / 4);
		assert_int_equal(th_dtype_of(grad), TH_F32);
		assert_int_equal(th_numel(grad) * 4, t->bytes);
		float *g = to_host(grad);
		double d = distance(g, t->data, t->bytes / 4) / (size > 1e-6 * largest ? size : largest);
		if (!(d < tolerance))
			fail_msg("%s: gradient of %s is off by %g", dir, m->params->item[i].name, d);
		worst = fmax(worst, d);
		free(g);
		th_scope_close();
	}
	print_message("# %s, %s, %d at once: loss within %.2g, gradients %.2g\n", dir, compute == TH_F32 ? "f32" : "bf16",
	              (int)micro, fabs(loss - reference_loss(&r)), worst);
	assert_true(fabs(loss - reference_loss(&r)) < loss_tolerance);
	/* all of the reference's: beside them it holds id, logits, loss, losses and perhaps target */
	assert_int_equal(with_grad, st_count(r.file) - 4 - (st_find(r.file, "target") != NULL));
	nn_zero_grads(m);
	nn_model_free(m);
	close_reference(&r);
}

static void check_steps(const char *dir)
{
	struct reference r = open_reference(dir);
	struct nn_model *m = nn_model_load(dir, cpu, TH_F32, true);
	struct optim *o = optim_new(m->params, 0.9, 0.999, 1e-8, DECAY);
	double worst = 0;

	for (int s = 0; s < STEPS; s++) {
		double want, loss = loss_of(m, &r, 0, r.B);
		memcpy(&want, (const char *)get(&r, "losses")->data + s * (int)sizeof want, sizeof want);
		worst = fmax(worst, fabs(loss - want));
		nn_gather_grads(m);
		optim_clip(o, CLIP);
		optim_step(o, LR * schedule_factor(SCHEDULE_LINEAR, s, STEPS, WARMUP, 0), NULL);
		nn_zero_grads(m);
	}
	print_message("# %s: ten losses within %.2g\n", dir, worst);
	assert_true(worst < 1e-4);
	optim_free(o);
	nn_model_free(m);
	close_reference(&r);
}

/* *state: the models' directories, NULL at the end */
#define EACH_MODEL(dir) for (const char *const *dir = *state; *dir; dir++)

static void parity_logits(void **state)
{
	EACH_MODEL(dir)
		check_logits(*dir);
}

static void parity_gradients(void **state)
{
	EACH_MODEL(dir)
		check_gradients(*dir, TH_F32, 1e-5, 1e-4, 100);
}

static void parity_gradients_of_micro_batches(void **state)
{
	EACH_MODEL(dir)
		check_gradients(*dir, TH_F32, 1e-5, 1e-4, 1);
}

/* 8 bits of mantissa: what is checked is that nothing is missing or counted twice. */
static void parity_gradients_in_bf16(void **state)
{
	EACH_MODEL(dir) {
		check_gradients(*dir, TH_BF16, 2e-2, 6e-2, 100);
		check_gradients(*dir, TH_BF16, 2e-2, 6e-2, 1);
	}
}

static void parity_ten_steps(void **state)
{
	EACH_MODEL(dir)
		check_steps(*dir);
}

/* One value a target, and their sum is the loss. */
static void parity_nll(void **state)
{
	EACH_MODEL(dir) {
		struct reference r = open_reference(*dir);
		struct nn_model *m = nn_model_load(*dir, cpu, TH_F32, false);
		double sum = 0;

		th_scope_open();
		float *x = to_host(nn_nll(m, ids(&r, 0, r.B), targets(&r, 0, r.B)));
		th_scope_close();
		for (int64_t i = 0; i < r.B * r.T; i++) {
			if (r.target[i] < 0)
				assert_true(x[i] == 0);
			sum += (double)x[i];
		}
		assert_true(fabs(sum / (double)r.targets - reference_loss(&r)) < 1e-5);
		free(x);
		nn_model_free(m);
		close_reference(&r);
	}
}

/* A pass through the model, forward and backward, leaves no handles behind. */
static void parity_no_handles_left(void **state)
{
	EACH_MODEL(dir) {
		struct reference r = open_reference(*dir);
		struct nn_model *m = nn_model_load(*dir, cpu, TH_BF16, true);
		struct optim *o = optim_new(m->params, 0.9, 0.999, 1e-8, 0);

		loss_of(m, &r, 0, r.B); /* a family may keep what it makes once */
		size_t before = th_live();
		for (int i = 0; i < 3; i++) {
			loss_of(m, &r, 0, r.B);
			nn_gather_grads(m);
			optim_clip(o, CLIP);
			optim_step(o, LR, NULL);
			nn_zero_grads(m);
		}
		assert_int_equal(th_live(), before);
		optim_free(o);
		nn_model_free(m);
		close_reference(&r);
	}
}

static double loss_with(const struct nn_model *m, const struct reference *r, const struct nn_dropout *d)
{
	double loss[2];

	for (int again = 0; again < 2; again++) {
		th_scope_open();
		loss[again] = th_item(nn_loss(m, ids(r, 0, r->B), targets(r, 0, r->B), 1, d));
		th_scope_close();
	}
	assert_true(loss[0] == loss[1]); /* a mask is a function of its key */
	return loss[0];
}

/* Each place that the family has, and each part of the key, matters; the Llama family has attention's alone. */
static void check_dropout(const char *dir)
{
	struct reference r = open_reference(dir);
	struct nn_model *m = nn_model_load(r.dir, cpu, TH_F32, true);
	const struct nn_dropout all = {.embd = 0.3, .attn = 0.3, .resid = 0.3, .seed = 5};
	const bool everywhere = m->family != &nn_llama;
	double none = loss_with(m, &r, NULL), base = loss_with(m, &r, &all);
	struct nn_dropout one[4] = {all, all, all, all};

	assert_true(base != none);
	assert_true((loss_with(m, &r, &(struct nn_dropout){.embd = 0.3}) != none) == everywhere);
	assert_true((loss_with(m, &r, &(struct nn_dropout){.resid = 0.3}) != none) == everywhere);
	assert_true(loss_with(m, &r, &(struct nn_dropout){.attn = 0.3}) != none);
	one[0].seed++;
	one[1].domain++;
	one[2].step++;
	one[3].micro_step++;
	for (int i = 0; i < 4; i++)
		assert_true(loss_with(m, &r, &one[i]) != base);
	nn_model_free(m);
	close_reference(&r);
}

static void parity_dropout(void **state)
{
	EACH_MODEL(dir)
		check_dropout(*dir);
}

#define PARITY_TEST(test, models) cmocka_unit_test_prestate(test, (void *)(models))
#define PARITY_TESTS(models)                                                                      \
	PARITY_TEST(parity_logits, models), PARITY_TEST(parity_gradients, models),                    \
		PARITY_TEST(parity_gradients_of_micro_batches, models),                                   \
		PARITY_TEST(parity_gradients_in_bf16, models), PARITY_TEST(parity_ten_steps, models),     \
		PARITY_TEST(parity_nll, models), PARITY_TEST(parity_dropout, models),                     \
		PARITY_TEST(parity_no_handles_left, models)

#endif
