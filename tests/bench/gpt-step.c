/*
 * gpt-step [B T C LAYERS HEADS V [f32|bf16 [DROPOUT [STEPS [THREADS]]]]]: times training steps of a GPT-2 on the shim
 * alone: forward, loss, backward, clipping, AdamW. Random weights and tokens. Without arguments: the demo's model.
 * With OPS=1 in the environment it times single operations of that model, forward and backward, instead.
 */
#include "shim/tensor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

enum { MAX_LAYERS = 48, PER_LAYER = 12, MAX_PARAMS = 4 + PER_LAYER * MAX_LAYERS };
enum { WTE, WPE, LNF_W, LNF_B, LAYERS_FROM };
enum { LN1_W, LN1_B, QKV_W, QKV_B, PROJ_W, PROJ_B, LN2_W, LN2_B, FC_W, FC_B, OUT_W, OUT_B };

static const th_device cpu = {0, 0};
static int64_t B = 16, T = 256, C = 192, V = 8192;
static int layers = 6, heads = 6, n_params;
static th_dtype type = TH_F32;
static double p = 0.1;
static th_tensor *master[MAX_PARAMS], *w[MAX_PARAMS], *grad[MAX_PARAMS], *m[MAX_PARAMS], *v[MAX_PARAMS];

#define SHAPE(...) (int)(sizeof (int64_t[]){__VA_ARGS__} / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}

/* With CPU=1 in the environment, the process's own time: for one thread on a busy machine. */
static double now(void)
{
	struct timespec t;

	clock_gettime(getenv("CPU") ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

static double uniform(void)
{
	static uint64_t s = 88172645463325252;

	s ^= s << 13, s ^= s >> 7, s ^= s << 17;
	return (double)(s >> 11) * 0x1p-53;
}

static th_tensor *noise(double size, int n_dims, const int64_t *shape)
{
	int64_t n = 1;
	float *x;
	th_tensor *t;

	for (int i = 0; i < n_dims; i++)
		n *= shape[i];
	x = malloc((size_t)n * sizeof *x);
	for (int64_t i = 0; i < n; i++)
		x[i] = (float)(size * (uniform() - 0.5));
	t = th_from_host(x, TH_F32, cpu, n_dims, shape);
	free(x);
	return t;
}

static void add(th_tensor *t)
{
	int64_t n = th_numel(t);

	master[n_params] = th_requires_grad(t, true);
	m[n_params] = th_zeros(TH_F32, cpu, 1, &n);
	v[n_params] = th_zeros(TH_F32, cpu, 1, &n);
	for (int i = 0; i < 2; i++) {
		th_tensor **s = i ? &v[n_params] : &m[n_params];
		int64_t shape[2] = {th_size(t, 0), th_dim(t) > 1 ? th_size(t, 1) : 0};
		*s = th_reshape(*s, th_dim(t), shape);
	}
	n_params++;
}

static void make_model(void)
{
	const double s = 0.07;

	add(noise(s, SHAPE(V, C)));
	add(noise(s, SHAPE(T, C)));
	add(th_full(1, TH_F32, cpu, SHAPE(C)));
	add(th_zeros(TH_F32, cpu, SHAPE(C)));
	for (int l = 0; l < layers; l++) {
		for (int i = 0; i < 2; i++) {
			add(th_full(1, TH_F32, cpu, SHAPE(C)));
			add(th_zeros(TH_F32, cpu, SHAPE(C)));
			add(noise(s, SHAPE(C, i ? 4 * C : 3 * C)));
			add(th_zeros(TH_F32, cpu, SHAPE(i ? 4 * C : 3 * C)));
			add(noise(s, SHAPE(i ? 4 * C : C, C)));
			add(th_zeros(TH_F32, cpu, SHAPE(C)));
		}
	}
}

static th_key key(int layer, int place)
{
	return (th_key){42, (uint64_t)(layer * 8 + place)};
}

static th_tensor *attention(th_tensor *qkv, int l)
{
	return th_attention_packed(qkv, heads, heads, true, NULL, 1 / sqrt((double)C / heads), p, key(l, 0));
}

static th_tensor *block(th_tensor *x, int l)
{
	th_tensor **q = w + LAYERS_FROM + PER_LAYER * l, *h;

	h = th_layer_norm(x, q[LN1_W], q[LN1_B], 1e-5);
	h = attention(th_affine(h, q[QKV_W], q[QKV_B]), l);
	x = th_add(x, th_dropout(th_affine(h, q[PROJ_W], q[PROJ_B]), p, key(l, 1)));
	h = th_layer_norm(x, q[LN2_W], q[LN2_B], 1e-5);
	h = th_affine(th_gelu_tanh(th_affine(h, q[FC_W], q[FC_B])), q[OUT_W], q[OUT_B]);
	return th_add(x, th_dropout(h, p, key(l, 2)));
}

static double step(th_tensor *id, th_tensor *target, int64_t count)
{
	th_tensor *x, *loss, *norm;
	double value;

	th_scope_open();
	for (int i = 0; i < n_params; i++)
		w[i] = th_to_dtype(master[i], type);
	x = th_add(th_embedding(w[WTE], id, -1), th_narrow(w[WPE], 0, 0, T));
	x = th_dropout(x, p, key(layers, 0));
	for (int l = 0; l < layers; l++) {
		th_scope_open();
		x = th_keep(block(x, l));
		th_scope_close();
	}
	x = th_reshape(th_layer_norm(x, w[LNF_W], w[LNF_B], 1e-5), SHAPE(B * T, C));
	loss = th_linear_cross_entropy(x, w[WTE], NULL, target, 1.0 / (double)(B * T));
	th_backward(loss);
	for (int i = 0; i < n_params; i++)
		grad[i] = th_grad(master[i]);
	norm = th_grad_norm(grad, n_params);
	th_adamw_step(master, grad, m, v, NULL, n_params, &(th_adamw){1e-3, 0.9, 0.999, 1e-8, 0, count, NULL, 1, norm});
	for (int i = 0; i < n_params; i++)
		th_set_grad(master[i], NULL);
	value = th_item(loss);
	th_scope_close();
	return value;
}

/* ---- single operations ---- */

static th_tensor *leaf[4];

static void time_op(const char *name, th_tensor *(*f)(void))
{
	double forward = INFINITY, backward = INFINITY;

	for (int i = 0; i < 7; i++) {
		th_scope_open();
		double t0 = now();
		th_tensor *y = f();
		double t1 = now();
		if (t1 - t0 < forward)
			forward = t1 - t0;
		th_tensor *loss = th_sum(y); /* its gradient is a broadcast 1: made contiguous by whoever needs it */
		t0 = now();
		th_backward(loss);
		t1 = now();
		if (t1 - t0 < backward)
			backward = t1 - t0;
		for (int j = 0; j < 4; j++)
			if (leaf[j])
				th_set_grad(leaf[j], NULL);
		th_scope_close();
	}
	printf("%-24s forward %8.3f ms  backward %8.3f ms\n", name, forward * 1e3, backward * 1e3);
}

static th_tensor *op_layer_norm(void) { return th_layer_norm(leaf[0], leaf[1], leaf[2], 1e-5); }
static th_tensor *op_gelu(void) { return th_gelu_tanh(leaf[0]); }
static th_tensor *op_dropout(void) { return th_dropout(leaf[0], p, key(0, 1)); }
static th_tensor *op_add(void) { return th_add(leaf[0], leaf[1]); }
static th_tensor *op_affine(void) { return th_affine(leaf[0], leaf[1], leaf[2]); }
static th_tensor *op_attention(void) { return attention(leaf[0], 0); }
static th_tensor *op_embedding(void) { return th_embedding(leaf[0], leaf[3], -1); }
static th_tensor *op_loss(void) { return th_linear_cross_entropy(leaf[0], leaf[1], NULL, leaf[3], 1.0 / (double)(B * T)); }
static th_tensor *op_cast(void) { return th_to_dtype(leaf[0], TH_BF16); }

static th_tensor *leaf_of(th_tensor *t)
{
	return th_requires_grad(th_detach(th_to_dtype(t, type)), true);
}

static void time_ops(th_tensor *id, th_tensor *target)
{
	memset(leaf, 0, sizeof leaf);
#define TIME(name, f, a, b, c, d)                             \
	do {                                                      \
		th_scope_open();                                      \
		leaf[0] = a, leaf[1] = b, leaf[2] = c, leaf[3] = d;   \
		time_op(name, f);                                     \
		memset(leaf, 0, sizeof leaf);                         \
		th_scope_close();                                     \
	} while (0)
#define N(...) leaf_of(noise(1, SHAPE(__VA_ARGS__)))
	TIME("layer_norm", op_layer_norm, N(B, T, C), N(C), N(C), NULL);
	TIME("gelu_tanh (4C)", op_gelu, N(B, T, 4 * C), NULL, NULL, NULL);
	if (p > 0)
		TIME("dropout", op_dropout, N(B, T, C), NULL, NULL, NULL);
	TIME("add", op_add, N(B, T, C), N(B, T, C), NULL, NULL);
	TIME("affine C -> 3C", op_affine, N(B, T, C), N(C, 3 * C), N(3 * C), NULL);
	TIME("affine C -> C", op_affine, N(B, T, C), N(C, C), N(C), NULL);
	TIME("affine C -> 4C", op_affine, N(B, T, C), N(C, 4 * C), N(4 * C), NULL);
	TIME("affine 4C -> C", op_affine, N(B, T, 4 * C), N(4 * C, C), N(C), NULL);
	TIME("attention", op_attention, N(B, T, 3 * C), NULL, NULL, NULL);
	TIME("embedding", op_embedding, N(V, C), NULL, NULL, id);
	TIME("loss", op_loss, N(B * T, C), N(V, C), NULL, target);
	TIME("f32 to bf16", op_cast, th_requires_grad(noise(1, SHAPE(12 * C, C)), true), NULL, NULL, NULL);
}

int main(int argc, char **argv)
{
	int steps = 5, threads = 0;
	int64_t *ids;
	double total = 0, best = INFINITY, loss = 0;
	struct rusage use;
	th_tensor *id, *target;

	if (argc > 6) {
		B = atoll(argv[1]), T = atoll(argv[2]), C = atoll(argv[3]), V = atoll(argv[6]);
		layers = atoi(argv[4]), heads = atoi(argv[5]);
	}
	if (argc > 7)
		type = strcmp(argv[7], "bf16") == 0 ? TH_BF16 : TH_F32;
	if (argc > 8)
		p = atof(argv[8]);
	if (argc > 9)
		steps = atoi(argv[9]);
	if (argc > 10)
		threads = atoi(argv[10]);
	if (layers > MAX_LAYERS)
		return 2;
	th_set_threads(threads);
	ids = malloc((size_t)(B * T) * sizeof *ids);
	for (int64_t i = 0; i < B * T; i++)
		ids[i] = (int64_t)(uniform() * uniform() * (double)V);
	id = th_from_host(ids, TH_I64, cpu, SHAPE(B, T));
	target = th_from_host(ids, TH_I64, cpu, SHAPE(B * T));
	free(ids);
	printf("B %d T %d C %d layers %d heads %d V %d %s dropout %g threads %d\n", (int)B, (int)T, (int)C, layers, heads,
	       (int)V, type == TH_BF16 ? "bf16" : "f32", p, th_threads());
	if (getenv("OPS")) {
		time_ops(id, target);
	} else {
		make_model();
		for (int i = 0; i <= steps; i++) { /* the first warms up */
			double t = now();
			loss = step(id, target, i + 1);
			t = now() - t;
			if (i) {
				total += t;
				best = t < best ? t : best;
			}
		}
		getrusage(RUSAGE_SELF, &use);
		printf("step %.1f ms (best %.1f), %.0f tokens/s, loss %.4f, peak %.2f GB, system %.1f of %.1f s\n",
		       1e3 * total / steps, 1e3 * best, (double)(B * T) * steps / total, loss,
		       (double)use.ru_maxrss / 1048576, seconds(use.ru_stime),
		       seconds(use.ru_stime) + seconds(use.ru_utime));
	}
	th_shutdown();
	return 0;
}
