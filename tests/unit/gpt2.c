/*
 * GPT-2, its gradients and AdamW against transformers: dumps of tests/gen-gpt2.py in tests/data/gpt2.
 */
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

#define DATA "tests/data/gpt2/"

/* As in gen-gpt2.py. */
enum { STEPS = 10, WARMUP = 3 };
#define LR 3e-3
#define DECAY 0.1
#define CLIP 1.0

static th_device cpu;

struct reference {
	struct st_file *file;
	int64_t B, T;
	int64_t *id, *target;
};

static const struct st_tensor *get(const struct reference *r, const char *name)
{
	const struct st_tensor *t = st_find(r->file, name);

	if (!t)
		fail_msg("no %s in %s", name, st_name(r->file));
	return t;
}

static struct reference open_reference(const char *model)
{
	char *path = xasprintf(DATA "%s/dump.safetensors", model);
	struct reference r = {.file = st_open(path)};
	const struct st_tensor *id = get(&r, "id");

	r.B = id->shape[0];
	r.T = id->shape[1];
	r.id = xmalloc(id->bytes);
	r.target = xmalloc(id->bytes);
	memcpy(r.id, id->data, id->bytes);
	next_token_targets(r.id, r.B, r.T, r.target);
	free(path);
	return r;
}

static void close_reference(struct reference *r)
{
	st_close(r->file);
	free(r->id);
	free(r->target);
}

static struct nn_model *load(const char *model, th_dtype compute)
{
	char *dir = xasprintf(DATA "%s", model);
	struct nn_model *m = nn_model_load(dir, cpu, compute, true);

	free(dir);
	return m;
}

static th_tensor *ids(const struct reference *r)
{
	return th_from_host(r->id, TH_I64, cpu, 2, (int64_t[]){r->B, r->T});
}

/* Mean loss and its gradient, rows first..first+n of the batch as the given part of a whole. */
static double loss_of(const struct nn_model *m, const struct reference *r, int64_t first, int64_t n)
{
	th_scope_open();
	th_tensor *id = th_from_host(r->id + first * r->T, TH_I64, cpu, 2, (int64_t[]){n, r->T});
	th_tensor *target = th_from_host(r->target + first * r->T, TH_I64, cpu, 1, (int64_t[]){n * r->T});
	th_tensor *loss = nn_loss(m, id, target, 1.0 / (double)(r->B * (r->T - 1)), NULL);
	th_backward(loss);
	double value = th_item(loss);
	th_scope_close();
	return value;
}

/* |a - b| / |b| over all elements */
static double distance(const float *a, const void *b, size_t n)
{
	double d = 0, s = 0;

	for (size_t i = 0; i < n; i++) {
		float y;
		memcpy(&y, (const char *)b + i * sizeof y, sizeof y);
		d += ((double)a[i] - (double)y) * ((double)a[i] - (double)y);
		s += (double)y * (double)y;
	}
	return sqrt(d) / (sqrt(s) + 1e-30);
}

static float *to_host(const th_tensor *t)
{
	float *x = xcalloc((size_t)th_numel(t), sizeof *x);

	th_to_host(t, TH_F32, x);
	return x;
}

static void check_logits(const char *model)
{
	struct reference r = open_reference(model);
	struct nn_model *m = load(model, TH_F32);
	const struct st_tensor *want = get(&r, "logits");

	th_scope_open();
	th_tensor *logits = th_linear(m->family->hidden(m, ids(&r), NULL), m->head, NULL); // (B, T, V)
	float *x = to_host(logits);
	assert_int_equal(th_numel(logits) * 4, want->bytes);
	double worst = 0;
	for (size_t i = 0; i < want->bytes / 4; i++) {
		float y;
		memcpy(&y, (const char *)want->data + 4 * i, 4);
		worst = fmax(worst, fabs((double)x[i] - (double)y));
	}
	th_scope_close();
	print_message("# %s: logits within %.2g\n", model, worst);
	assert_true(worst < 1e-4);
	free(x);
	nn_model_free(m);
	close_reference(&r);
}

static void check_gradients(const char *model, th_dtype compute, double loss_tolerance, double tolerance, int64_t micro)
{
	struct reference r = open_reference(model);
	struct nn_model *m = load(model, compute);
	double want, loss = 0, worst = 0;

	memcpy(&want, get(&r, "loss")->data, sizeof want);
	for (int64_t b = 0; b < r.B; b += micro) {
		loss += loss_of(m, &r, b, r.B - b < micro ? r.B - b : micro);
		nn_gather_grads(m);
	}
	for (int i = 0; i < m->params->n; i++) {
		char *name = xasprintf("grad.%s", m->params->item[i].name);
		const struct st_tensor *t = get(&r, name);
		th_scope_open();
		th_tensor *grad = th_grad(m->params->item[i].value);
		assert_non_null(grad);
		assert_int_equal(th_dtype_of(grad), TH_F32);
		assert_int_equal(th_numel(grad) * 4, t->bytes);
		float *g = to_host(grad);
		double d = distance(g, t->data, t->bytes / 4);
		if (!(d < tolerance))
			fail_msg("%s: gradient of %s is off by %g", model, m->params->item[i].name, d);
		worst = fmax(worst, d);
		free(g);
		th_scope_close();
		free(name);
	}
	print_message("# %s, %s, %d at once: loss within %.2g, gradients %.2g\n", model, compute == TH_F32 ? "f32" : "bf16",
	              (int)micro, fabs(loss - want), worst);
	assert_true(fabs(loss - want) < loss_tolerance);
	nn_zero_grads(m);
	nn_model_free(m);
	close_reference(&r);
}

static void check_steps(const char *model)
{
	struct reference r = open_reference(model);
	struct nn_model *m = load(model, TH_F32);
	struct optim *o = optim_new(m->params, 0.9, 0.999, 1e-8, DECAY);
	double worst = 0;

	for (int s = 0; s < STEPS; s++) {
		double want, loss = loss_of(m, &r, 0, r.B);
		memcpy(&want, (const char *)get(&r, "losses")->data + s * (int)sizeof want, sizeof want);
		worst = fmax(worst, fabs(loss - want));
		nn_gather_grads(m);
		optim_clip(o, CLIP);
		optim_step(o, LR * schedule_factor(SCHEDULE_LINEAR, s, STEPS, WARMUP, 0));
		nn_zero_grads(m);
		nn_cast(m);
	}
	print_message("# %s: ten losses within %.2g\n", model, worst);
	assert_true(worst < 1e-4);
	optim_free(o);
	nn_model_free(m);
	close_reference(&r);
}

static const char *const models[] = {"tied", "bare", "one-head"};
#define EACH_MODEL(m) for (size_t m = 0; m < sizeof models / sizeof *models; m++)

static void logits(void **state)
{
	(void)state;
	EACH_MODEL(i)
		check_logits(models[i]);
}

static void gradients(void **state)
{
	(void)state;
	EACH_MODEL(i)
		check_gradients(models[i], TH_F32, 1e-5, 1e-4, 100);
}

static void gradients_of_micro_batches(void **state)
{
	(void)state;
	EACH_MODEL(i)
		check_gradients(models[i], TH_F32, 1e-5, 1e-4, 1);
}

/* 8 bits of mantissa: what is checked is that nothing is missing or counted twice. */
static void gradients_in_bf16(void **state)
{
	(void)state;
	EACH_MODEL(i) {
		check_gradients(models[i], TH_BF16, 2e-2, 6e-2, 100);
		check_gradients(models[i], TH_BF16, 2e-2, 6e-2, 1);
	}
}

static void ten_steps(void **state)
{
	(void)state;
	EACH_MODEL(i)
		check_steps(models[i]);
}

/* One value a target, and their sum is the loss. */
static void nll(void **state)
{
	(void)state;
	struct reference r = open_reference("tied");
	struct nn_model *m = load("tied", TH_F32);
	double want, sum = 0;

	th_scope_open();
	th_tensor *target = th_from_host(r.target, TH_I64, cpu, 1, (int64_t[]){r.B * r.T});
	float *x = to_host(nn_nll(m, ids(&r), target));
	th_scope_close();
	for (int64_t i = 0; i < r.B * r.T; i++) {
		if (r.target[i] < 0)
			assert_true(x[i] == 0);
		sum += (double)x[i];
	}
	memcpy(&want, get(&r, "loss")->data, sizeof want);
	assert_true(fabs(sum / (double)(r.B * (r.T - 1)) - want) < 1e-5);
	free(x);
	nn_model_free(m);
	close_reference(&r);
}

/* Dropout: the same key the same loss, another step another; and in the mean about the loss without. */
static void dropout(void **state)
{
	(void)state;
	struct reference r = open_reference("tied");
	struct nn_model *m = load("tied", TH_F32);
	struct nn_dropout all = {.embd = 0.3, .attn = 0.3, .resid = 0.3, .seed = 5}, one;
	double loss[2], base = 0;

	for (int kind = 0; kind < 8; kind++) {
		one = all;
		one.embd = kind == 0 ? 0.3 : 0;
		one.attn = kind == 1 ? 0.3 : 0;
		one.resid = kind == 2 ? 0.3 : 0;
		if (kind > 3)
			one = all;
		one.seed += kind == 4;
		one.domain += kind == 5;
		one.step += kind == 6;
		one.micro_step += kind == 7;
		for (int again = 0; again < 2; again++) {
			th_scope_open();
			th_tensor *target = th_from_host(r.target, TH_I64, cpu, 1, (int64_t[]){r.B * r.T});
			loss[again] = th_item(nn_loss(m, ids(&r), target, 1, kind == 3 ? NULL : &one));
			th_scope_close();
		}
		assert_true(loss[0] == loss[1]); /* a mask is a function of its key */
		if (kind == 0)
			base = loss[0];
		else
			assert_true(loss[0] != base); /* each place and each part of the key matters */
	}
	nn_model_free(m);
	close_reference(&r);
}

static void keys_differ(void **state)
{
	(void)state;
	struct nn_dropout d = {.embd = 0.1, .seed = 1};
	th_key seen[3 * 4 * 2 * 2];
	int n = 0;

	for (d.step = 0; d.step < 2; d.step++)
		for (d.micro_step = 0; d.micro_step < 2; d.micro_step++)
			for (int layer = 0; layer < 3; layer++)
				for (int place = 0; place < 4; place++)
					seen[n++] = nn_dropout_key(&d, layer, place);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
			assert_true(seen[i].stream != seen[j].stream);
}

static void schedules(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum schedule kind;
	} kind[] = {{"linear", SCHEDULE_LINEAR},
	            {"cosine", SCHEDULE_COSINE},
	            {"constant_with_warmup", SCHEDULE_CONSTANT},
	            {"warmup_stable_decay", SCHEDULE_WSD}};
	struct reference r = {.file = st_open(DATA "schedules.safetensors")};

	for (size_t i = 0; i < sizeof kind / sizeof *kind; i++)
		for (int warmup = 0; warmup <= 4; warmup += 4) {
			char *name = xasprintf("%s.%d", kind[i].name, warmup);
			const struct st_tensor *t = get(&r, name);
			for (int s = 0; s < 20; s++) {
				double want;
				memcpy(&want, (const char *)t->data + s * (int)sizeof want, sizeof want);
				double have = schedule_factor(kind[i].kind, s, 20, warmup, 5);
				if (!(fabs(have - want) < 1e-12))
					fail_msg("%s: step %d: %.17g, not %.17g", name, s, have, want);
			}
			free(name);
		}
	st_close(r.file);
}

/* Handles: a pass through the model leaves none behind. */
static void no_handles_left(void **state)
{
	(void)state;
	struct reference r = open_reference("tied");
	struct nn_model *m = load("tied", TH_BF16);
	struct optim *o = optim_new(m->params, 0.9, 0.999, 1e-8, 0);

	size_t before = th_live();
	for (int i = 0; i < 3; i++) {
		loss_of(m, &r, 0, r.B);
		nn_gather_grads(m);
		optim_clip(o, CLIP);
		optim_step(o, LR);
		nn_zero_grads(m);
		nn_cast(m);
	}
	assert_int_equal(th_live(), before);
	optim_free(o);
	nn_model_free(m);
	close_reference(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logits),        cmocka_unit_test(gradients),   cmocka_unit_test(gradients_of_micro_batches),
		cmocka_unit_test(gradients_in_bf16), cmocka_unit_test(ten_steps), cmocka_unit_test(nll),
		cmocka_unit_test(dropout),       cmocka_unit_test(keys_differ), cmocka_unit_test(schedules),
		cmocka_unit_test(no_handles_left),
	};

	cpu = nn_start("cpu", 1);
	int failed = cmocka_run_group_tests_name("gpt2", tests, NULL, NULL);
	th_shutdown();
	return failed;
}
