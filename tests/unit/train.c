/*
 * The training loop: what is read late, added up in sums or replayed gives the same bytes; an update that must not be
 * is skipped on the device, and the loop ends at the right step.
 */
#include "nn/train.h"

#include <math.h>

#include "death.h"
#include "lib/checked.h"
#include "lib/modeldir.h"
#include "lib/outdir.h"
#include "lib/progress.h"
#include "lib/tokfile.h"
#include "nn/runtime.h"
#include "rng.h"

#define MODEL "tests/data/gpt2/tied"
enum { VOCAB = 101, TOKENS = 2000, T = 16 };

static const th_device cpu = {0, 0};

static struct nn_model *load(th_dtype weights, th_dtype compute)
{
	char *dir = xasprintf("%s/%s", started_in, MODEL);
	struct nn_model *m = nn_model_load_as(dir, cpu, weights, compute, true);

	free(dir);
	return m;
}

static void write_tokens(const char *path)
{
	uint8_t fingerprint[HASH_BYTES] = {1};
	struct tok_writer *w = tok_create(path, VOCAB, fingerprint);
	struct rng r = rng_make(1, 1);
	uint32_t id[TOKENS];

	for (int i = 0; i < TOKENS; i++)
		id[i] = (uint32_t)rng_below(&r, 7) * 3 + (uint32_t)i % 3;
	tok_write(w, id, TOKENS);
	tok_finish(w, TOKENS);
}

/* ---- whole runs, each in a process of its own ---- */

struct run {
	const char *name; /* its folder is name.partial */
	bool late, graph, together;
	th_dtype compute;
	int64_t batch, micro_batch, steps, save_every;
	double lr, dropout;
};

static void train_it(const void *arg)
{
	const struct run *r = arg;
	nn_start("cpu", 1);
	struct nn_model *m = load(TH_F32, r->compute);
	struct corpus *c = corpus_open((const char *const[]){"text.tok"}, 1, NULL, VOCAB);
	struct train_options opt = {.batch = r->batch, .micro_batch = r->micro_batch, .context = T, .lr = r->lr,
	                            .schedule = SCHEDULE_LINEAR, .steps = r->steps, .clip = 0.5, .seed = 1,
	                            .save_every = r->save_every, .eval_every = 20, .late = r->late,
	                            .graph = r->graph, .dropout = {.embd = r->dropout, .attn = r->dropout, .resid = r->dropout}};
	char *from = xasprintf("%s/%s", started_in, MODEL), *staging = dir_begin(r->name, modeldir_files);
	struct training t = {.opt = &opt, .from = from, .model = m, .corpus = c, .valid = c, .staging = staging,
	                     .optim = optim_new(m->params, 0.9, 0.999, 1e-8, 0.1)};

	progress_quiet = true;
	t.optim->together = r->together;
	train(&t);
	char *path = xasprintf("%s/model.safetensors", staging);
	nn_params_save(m->params, path, ST_F32, "", NULL);
	printf("%lld %.17g %.17g\n", (long long)t.step, t.loss, t.loss_sum);
	free(path);
	free(from);
	free(staging);
	optim_free(t.optim);
	corpus_close(c);
	nn_model_free(m);
	th_shutdown();
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
	char *of[2];
	size_t n[2];

	for (int i = 0; i < 2; i++) {
		char *path = xasprintf("%s.partial/%s", i ? b : a, name);
		FILE *f = fopen(path, "r");
		assert_non_null(f);
		of[i] = xmalloc(1 << 20);
		n[i] = fread(of[i], 1, 1 << 20, f);
		fclose(f);
		free(path);
	}
	if (n[0] != n[1] || memcmp(of[0], of[1], n[0]) != 0)
		fail_msg("%s differs between %s and %s", name, a, b);
	free(of[0]);
	free(of[1]);
}

/* All that a run leaves: the log, the state saved before the last step, the model, what it says of itself. */
static void assert_same_run(const struct run *a, const struct run *b)
{
	struct ending x = end_of(train_it, a), y = end_of(train_it, b);

	if (x.code || y.code)
		fail_msg("exit %d and %d: %s%s", x.code, y.code, x.err, y.err);
	assert_string_equal(x.out, y.out);
	assert_same_file(a->name, b->name, "train.log.jsonl");
	assert_same_file(a->name, b->name, "state.safetensors");
	assert_same_file(a->name, b->name, "model.safetensors");
	dir_remove("a.partial");
	dir_remove("b.partial");
}

static void late_is_the_same(void **state)
{
	(void)state;
	write_tokens("text.tok");
	for (int bf16 = 0; bf16 < 2; bf16++)
		for (int64_t micro = 2; micro <= 4; micro += 2) {
			struct run a = {.name = "a", .compute = bf16 ? TH_BF16 : TH_F32, .batch = 4, .micro_batch = micro, .steps = 47,
			                .save_every = 13, .lr = 1e-2, .dropout = 0.1};
			struct run b = a;
			b.name = "b";
			b.late = b.together = true;
			assert_same_run(&a, &b);
		}
}

/*
 * 125 blocks, 4 a step: the last step of an epoch has one. Without dropout: the cpu has no generator that goes on from
 * mask to mask.
 */
static void replays_are_the_same(void **state)
{
	(void)state;
	for (int bf16 = 0; bf16 < 2; bf16++)
		for (int64_t micro = bf16 ? 2 : 4; micro >= 2; micro--) {
			struct run a = {.name = "a", .compute = bf16 ? TH_BF16 : TH_F32, .batch = 4, .micro_batch = micro, .steps = 47,
			                .save_every = 13, .lr = 1e-2};
			struct run b = a;
			b.name = "b";
			b.graph = b.late = b.together = true;
			/*
			 * The one pass of the smaller step leaves a bf16 gradient, which differs from its f32 copy in
			 * the norm's rounding.
			 */
			if (bf16)
				a.steps = b.steps = 31;
			assert_same_run(&a, &b);
		}
}

static void not_finite_ends_it(void **state)
{
	struct run r[2] = {{.name = "a"}, {.name = "b", .late = true, .together = true}};

	(void)state;
	for (int i = 0; i < 2; i++) {
		r[i].batch = r[i].micro_batch = 4;
		r[i].steps = 9;
		r[i].save_every = 1;
		r[i].lr = 1e30;
		assert_dies(train_it, &r[i], 1, "loss is not a number: step 2");
	}
	assert_same_file("a", "b", "train.log.jsonl");
	assert_same_file("a", "b", "state.safetensors");
	dir_remove("a.partial");
	dir_remove("b.partial");
}

/* ---- the update ---- */

static void one_pass(struct nn_model *m, int64_t first)
{
	int64_t id[2 * T], target[2 * T];

	for (int i = 0; i < 2 * T; i++)
		id[i] = (first + i * i) % VOCAB;
	next_token_targets(id, 2, T, target);
	th_scope_open();
	th_backward(nn_loss(m, th_from_host(id, TH_I64, cpu, 2, (int64_t[]){2, T}),
	                    th_from_host(target, TH_I64, cpu, 1, (int64_t[]){2 * T}), 1.0 / 30, NULL));
	th_scope_close();
}

/* Bytes of all parameters and moments; you free() it. */
static char *bytes_of(const struct optim *o, size_t *n)
{
	char *all = xmalloc(1 << 20);

	*n = 0;
	for (int i = 0; i < o->params->n; i++) {
		th_tensor *t[] = {o->params->item[i].value, o->m[i], o->v[i]};
		for (int j = 0; j < 3; j++) {
			th_to_host(t[j], th_dtype_of(t[j]), all + *n);
			*n += (size_t)th_numel(t[j]) * th_dtype_size(th_dtype_of(t[j]));
		}
	}
	return all;
}

static bool same_bytes(const struct optim *a, const struct optim *b)
{
	size_t n, k;
	char *x = bytes_of(a, &n), *y = bytes_of(b, &k);
	bool same = n == k && memcmp(x, y, n) == 0;

	free(x);
	free(y);
	return same;
}

static const struct kind {
	th_dtype weights, compute, moments;
	bool offload;
} kinds[] = {{TH_F32, TH_F32, TH_F32, false},
             {TH_F32, TH_BF16, TH_F32, false},
             {TH_F32, TH_BF16, TH_F32, true},
             {TH_F32, TH_BF16, TH_BF16, false},
             {TH_BF16, TH_BF16, TH_BF16, true},
             {TH_BF16, TH_BF16, TH_F32, false}};

static struct optim *optim_for(struct nn_model *m, const struct kind *k)
{
	return optim_make(m->params, &(struct optim_options){.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1,
	                                                     .moments = k->moments, .offload = k->offload, .seed = 3});
}

/* After an update that counts, so that there are moments: whatever the types, not a bit changes. */
static void skipped_update(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (int together = 0; together < 2; together++) {
			struct nn_model *m = load(kinds[i].weights, kinds[i].compute);
			struct optim *o = optim_for(m, &kinds[i]);
			size_t n, k;

			o->together = together;
			for (int s = 0; s < 2; s++) {
				char *before = bytes_of(o, &n), *after;
				one_pass(m, s);
				th_scope_open();
				for (int j = 0; s && j < m->params->n; j++) {
					th_tensor *param = m->params->item[j].value, *g = th_grad(param);
					if (g)
						th_set_grad(param, th_scale(g, NAN));
				}
				th_tensor *norm = optim_clip(o, 0.5);
				assert_int_equal(!isfinite(th_item(norm)), s);
				optim_step(o, 1e-2, th_not_finite(norm));
				th_scope_close();
				after = bytes_of(o, &k);
				assert_int_equal(n, k);
				assert_int_equal(memcmp(before, after, n) == 0, s);
				for (int j = 0; j < m->params->n; j++)
					assert_null(nn_param_grad(&m->params->item[j]));
				free(before);
				free(after);
			}
			optim_free(o);
			nn_model_free(m);
		}
}

static void together_is_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct nn_model *m[2];
		struct optim *o[2];

		for (int j = 0; j < 2; j++) {
			m[j] = load(kinds[i].weights, kinds[i].compute);
			o[j] = optim_for(m[j], &kinds[i]);
			o[j]->together = j;
			for (int s = 0; s < 3; s++) {
				th_tensor *skip = th_zeros(TH_F32, cpu, 0, NULL);
				one_pass(m[j], s);
				optim_clip(o[j], 0.5);
				optim_step(o[j], 1e-2, j ? skip : NULL);
			}
			for (int k = 0; k < m[j]->params->n; k++) {
				th_tensor *copy = m[j]->params->item[k].copy;
				th_tensor *want = copy ? th_to_dtype(m[j]->params->item[k].value, kinds[i].compute) : NULL;
				if (copy)
					assert_true(th_item(th_sum(th_mul(th_sub(copy, want), th_sub(copy, want)))) == 0);
			}
		}
		assert_true(same_bytes(o[0], o[1]));
		for (int j = 0; j < 2; j++) {
			optim_free(o[j]);
			nn_model_free(m[j]);
		}
	}
}

/* Two passes, added up in both ways; and a start forgets what was there. */
static void sums_of_gradients(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct nn_model *m = load(kinds[i].weights, kinds[i].compute), *n = load(kinds[i].weights, kinds[i].compute);

		nn_sums_start(m);
		one_pass(m, 5);
		nn_sum_grads(m);
		nn_sums_start(m);
		for (int s = 0; s < 2; s++) {
			one_pass(m, s);
			nn_sum_grads(m);
			one_pass(n, s);
			nn_gather_grads(n);
		}
		for (int j = 0; j < m->params->n; j++) {
			th_scope_open();
			th_tensor *a = nn_param_grad(&m->params->item[j]), *b = nn_param_grad(&n->params->item[j]);
			assert_int_equal(th_dtype_of(a), TH_F32);
			assert_null(th_grad(m->params->item[j].value));
			assert_true(th_item(th_sum(th_mul(th_sub(a, b), th_sub(a, b)))) == 0);
			assert_true(th_item(th_sum(th_mul(a, a))) > 0);
			th_scope_close();
		}
		nn_model_free(m);
		nn_model_free(n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* these fork, which must be before libtorch has threads */
		cmocka_unit_test(late_is_the_same),
		cmocka_unit_test(replays_are_the_same),
		cmocka_unit_test(not_finite_ends_it),
		cmocka_unit_test(skipped_update),
		cmocka_unit_test(together_is_the_same),
		cmocka_unit_test(sums_of_gradients),
	};

	return cmocka_run_group_tests(tests, in_scratch, out_of_scratch);
}
