/*
 * The shim: each operation against a plain formula, each gradient against central differences in f64, the fused
 * operations against a composition of plain ones, in odd sizes and all number types; scopes, errors, determinism.
 */
#include "shim/tensor.h"

#include <malloc.h>
#include <math.h>
#include <time.h>

#include "death.h"
#include "rng.h"

static const th_device cpu = {0, 0};
static const th_key no_key = {0, 0};

/* ---- helpers ---- */

#define SHAPE(...) (int)(sizeof (int64_t[]){__VA_ARGS__} / sizeof(int64_t)), (int64_t[]){__VA_ARGS__}

static struct rng numbers;

static int64_t count(int n_dims, const int64_t *shape)
{
	int64_t n = 1;

	for (int i = 0; i < n_dims; i++)
		n *= shape[i];
	return n;
}

static void *get_memory(size_t n)
{
	void *p = malloc(n ? n : 1);

	assert_non_null(p);
	return p;
}

/* Normal numbers, rounded to bfloat16 so that every type holds them exactly. */
static th_tensor *randn(th_dtype dtype, int n_dims, const int64_t *shape)
{
	int64_t n = count(n_dims, shape);
	double *x = get_memory((size_t)n * sizeof *x);
	th_tensor *t;

	for (int64_t i = 0; i < n; i++)
		x[i] = rng_normal(&numbers);
	t = th_from_host(x, TH_F64, cpu, n_dims, shape);
	free(x);
	return th_to_dtype(th_to_dtype(t, TH_BF16), dtype);
}

static th_tensor *ids(const int64_t *id, int64_t n)
{
	return th_from_host(id, TH_I64, cpu, 1, &n);
}

static double *values(const th_tensor *t) /* you free() it */
{
	double *x = get_memory((size_t)th_numel(t) * sizeof *x);

	th_to_host(t, TH_F64, x);
	return x;
}

/* |a - b| <= tolerance (1 + |b|) everywhere. */
static void assert_near(const th_tensor *a, const th_tensor *b, double tolerance)
{
	double *x = values(a), *y = values(b), worst = 0;

	assert_int_equal(th_numel(a), th_numel(b));
	for (int64_t i = 0; i < th_numel(a); i++) {
		double d = fabs(x[i] - y[i]) / (1 + fabs(y[i]));
		if (!(d <= worst))
			worst = isnan(d) ? INFINITY : d;
	}
	if (worst > tolerance)
		print_error("differs by %g, more than %g\n", worst, tolerance);
	assert_true(worst <= tolerance);
	free(x);
	free(y);
}

static void assert_same_bytes(const th_tensor *a, const th_tensor *b)
{
	size_t n = (size_t)th_numel(a) * th_dtype_size(th_dtype_of(a));
	void *x = get_memory(n), *y = get_memory(n);

	assert_int_equal(th_dtype_of(a), th_dtype_of(b));
	assert_int_equal(th_numel(a), th_numel(b));
	th_to_host(a, th_dtype_of(a), x);
	th_to_host(b, th_dtype_of(b), y);
	assert_memory_equal(x, y, n);
	free(x);
	free(y);
}

static void assert_number(double got, double want, double tolerance)
{
	if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
		print_error("%.17g is not %.17g\n", got, want);
	assert_true(fabs(got - want) <= tolerance * (1 + fabs(want)));
}

static void assert_is_shape(const th_tensor *t, int n_dims, const int64_t *shape)
{
	assert_int_equal(th_dim(t), n_dims);
	for (int i = 0; i < n_dims; i++)
		assert_int_equal(th_size(t, i), shape[i]);
}

static int setup(void **state)
{
	(void)state;
	th_set_threads(1);
	numbers = rng_make(1, 1);
	th_scope_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	th_scope_close();
	return th_live() != 0; /* every test leaves nothing behind */
}

/* ---- gradients against central differences ---- */

typedef th_tensor *function(th_tensor *const *in);

/* A sum of f's elements with fixed unequal weights, so that no gradient is constant. */
static th_tensor *weighed(th_tensor *y)
{
	int64_t n = th_numel(y);
	double *w = get_memory((size_t)n * sizeof *w);
	th_tensor *t;

	for (int64_t i = 0; i < n; i++)
		w[i] = cos(0.7 * (double)i + 0.3);
	t = th_to_dtype(th_from_host(w, TH_F64, cpu, 1, &n), th_dtype_of(y));
	free(w);
	return th_sum(th_mul(th_reshape(y, SHAPE(n)), t));
}

static void set_values(th_tensor *t, const double *x)
{
	int64_t shape[TH_MAX_DIMS];

	for (int i = 0; i < th_dim(t); i++)
		shape[i] = th_size(t, i);
	th_copy_(t, th_from_host(x, TH_F64, cpu, th_dim(t), shape));
}

/* in[]: f64 leaves. Looks at no more than about 60 elements of each. */
static void check_gradient(const char *name, function *f, th_tensor **in, int n)
{
	const double step = 1e-5;

	for (int i = 0; i < n; i++) {
		th_set_grad(in[i], NULL);
		th_requires_grad(in[i], true);
	}
	th_backward(weighed(f(in)));
	th_no_grad_open();
	for (int i = 0; i < n; i++) {
		th_tensor *grad = th_grad(in[i]);
		int64_t size = th_numel(in[i]), stride = 1 + size / 60;

		assert_non_null(grad);
		assert_int_equal(th_numel(grad), size);
		double *g = values(grad), *x = values(in[i]);
		for (int64_t j = 0; j < size; j += stride) {
			double at[2], keep = x[j], slope;
			th_scope_open();
			for (int side = 0; side < 2; side++) {
				x[j] = keep + (side ? step : -step);
				set_values(in[i], x);
				at[side] = th_item(weighed(f(in)));
			}
			th_scope_close();
			x[j] = keep;
			slope = (at[1] - at[0]) / (2 * step);
			if (!(fabs(slope - g[j]) <= 2e-8 * (1 + fabs(slope)) + 1e-8))
				print_error("%s: input %d, element %d: gradient %.12g, difference quotient %.12g\n",
				            name, i, (int)j, g[j], slope);
			assert_true(fabs(slope - g[j]) <= 2e-8 * (1 + fabs(slope)) + 1e-8);
		}
		set_values(in[i], x);
		free(g);
		free(x);
	}
	th_no_grad_close();
	for (int i = 0; i < n; i++)
		th_requires_grad(in[i], false);
}

#define OP(name, expression)                        \
	static th_tensor *f_##name(th_tensor *const *in) \
	{                                               \
		return expression;                          \
	}

OP(add, th_add(in[0], in[1]))
OP(sub, th_sub(in[0], in[1]))
OP(mul, th_mul(in[0], in[1]))
OP(div, th_div(in[0], th_add_scalar(th_mul(in[1], in[1]), 1)))
OP(broadcast, th_mul(in[0], th_narrow(in[1], 0, 1, 1)))
OP(scale, th_scale(in[0], -1.5))
OP(add_scalar, th_mul(th_add_scalar(in[0], 2), in[0]))
OP(tanh, th_tanh(in[0]))
OP(relu, th_relu(in[0]))
OP(silu, th_silu(in[0]))
OP(gelu, th_gelu(in[0]))
OP(gelu_tanh, th_gelu_tanh(in[0]))
OP(swiglu, th_swiglu(in[0], in[1]))
OP(sum, th_sum(th_mul(in[0], in[0])))
OP(sum_dim, th_sum_dim(in[0], 1, false))
OP(mean_dim, th_mean_dim(in[0], -1, true))
OP(norm_dim, th_norm_dim(in[0], 1, false))
OP(softmax, th_softmax(in[0], -1))
OP(log_softmax, th_log_softmax(in[0], 0))
OP(reshape, th_reshape(in[0], SHAPE(7, -1)))
OP(transpose, th_contiguous(th_transpose(in[0], 0, 1)))
OP(cat, th_cat(in, 2, 1))
OP(index_select, th_index_select(in[0], 1, ids((int64_t[]){3, 0, 3}, 3)))
OP(matmul, th_matmul(in[0], th_transpose(in[1], 0, 1)))
OP(to_dtype, th_to_dtype(th_mul(in[0], in[0]), TH_F64))
OP(dropout, th_dropout(in[0], 0.3, (th_key){5, 6}))
OP(clone, th_clone(in[0]))

static void gradients_of_plain_operations(void **state)
{
	static const struct {
		const char *name;
		function *f;
		int n;
	} op[] = {
#define ROW(name, n) {#name, f_##name, n}
		ROW(add, 2), ROW(sub, 2), ROW(mul, 2), ROW(div, 2), ROW(broadcast, 2), ROW(scale, 1), ROW(add_scalar, 1),
		ROW(tanh, 1), ROW(relu, 1), ROW(silu, 1), ROW(gelu, 1), ROW(gelu_tanh, 1), ROW(swiglu, 2), ROW(sum, 1),
		ROW(sum_dim, 1), ROW(mean_dim, 1), ROW(norm_dim, 1), ROW(softmax, 1), ROW(log_softmax, 1),
		ROW(reshape, 1), ROW(transpose, 1), ROW(cat, 2), ROW(index_select, 1), ROW(matmul, 2),
		ROW(to_dtype, 1), ROW(dropout, 1), ROW(clone, 1),
	};

	(void)state;
	for (size_t i = 0; i < sizeof op / sizeof *op; i++) {
		th_tensor *in[] = {randn(TH_F64, SHAPE(5, 7)), randn(TH_F64, SHAPE(5, 7))};
		check_gradient(op[i].name, op[i].f, in, op[i].n);
	}
}

OP(linear, th_linear(in[0], in[1], in[2]))
OP(linear_no_bias, th_linear(in[0], in[1], NULL))
OP(affine, th_affine(in[0], th_transpose(in[1], 0, 1), in[2]))
OP(affine_no_bias, th_affine(in[0], th_transpose(in[1], 0, 1), NULL))
OP(gelu_tanh_affine, th_gelu_tanh_affine(in[0], th_transpose(in[1], 0, 1), in[2]))
OP(gelu_tanh_affine_no_bias, th_gelu_tanh_affine(in[0], th_transpose(in[1], 0, 1), NULL))
OP(layer_norm, th_layer_norm(in[0], in[1], in[2], 1e-5))
OP(layer_norm_no_bias, th_layer_norm(in[0], in[1], NULL, 1e-5))
OP(rms_norm, th_rms_norm(in[0], in[1], 1e-6))
OP(embedding, th_embedding(in[0], th_reshape(ids((int64_t[]){4, 0, 4, 2}, 4), SHAPE(2, 2)), -1))

static void gradients_of_layers(void **state)
{
	(void)state;
	th_tensor *linear[] = {randn(TH_F64, SHAPE(2, 3, 7)), randn(TH_F64, SHAPE(5, 7)), randn(TH_F64, SHAPE(5))};
	check_gradient("linear", f_linear, linear, 3);
	check_gradient("linear without bias", f_linear_no_bias, linear, 2);
	check_gradient("affine", f_affine, linear, 3);
	check_gradient("affine without bias", f_affine_no_bias, linear, 2);
	check_gradient("gelu and affine", f_gelu_tanh_affine, linear, 3);
	check_gradient("gelu and affine without bias", f_gelu_tanh_affine_no_bias, linear, 2);
	th_tensor *norm[] = {randn(TH_F64, SHAPE(2, 3, 37)), randn(TH_F64, SHAPE(37)), randn(TH_F64, SHAPE(37))};
	check_gradient("layer_norm", f_layer_norm, norm, 3);
	check_gradient("layer_norm without bias", f_layer_norm_no_bias, norm, 2);
	check_gradient("rms_norm", f_rms_norm, norm, 2);
	th_tensor *table[] = {randn(TH_F64, SHAPE(6, 3))};
	check_gradient("embedding", f_embedding, table, 1);
}

static void values_of_formulas(void **state)
{
	th_tensor *t = randn(TH_F64, SHAPE(4, 9)), *w = randn(TH_F64, SHAPE(9)), *b = randn(TH_F64, SHAPE(9));
	double *x = values(t), *gain = values(w), *bias = values(b), y[36];

	(void)state;
#define EACH(expression)                               \
	for (int i = 0; i < 36; i++) {                     \
		double v = x[i];                               \
		y[i] = expression;                             \
	}
#define COMPARE(got) assert_near(got, th_from_host(y, TH_F64, cpu, SHAPE(4, 9)), 1e-14)
	EACH(v * 0.5 * (1 + erf(v / sqrt(2))))
	COMPARE(th_gelu(t));
	EACH(0.5 * v * (1 + tanh(sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v))))
	COMPARE(th_gelu_tanh(t));
	EACH(v / (1 + exp(-v)))
	COMPARE(th_silu(t));
	EACH(v > 0 ? v : 0)
	COMPARE(th_relu(t));
	EACH(tanh(v))
	COMPARE(th_tanh(t));
	for (int r = 0; r < 4; r++) {
		double mean = 0, var = 0, square = 0, sum = 0;
		for (int i = 0; i < 9; i++)
			mean += x[9 * r + i] / 9;
		for (int i = 0; i < 9; i++) {
			var += (x[9 * r + i] - mean) * (x[9 * r + i] - mean) / 9;
			square += x[9 * r + i] * x[9 * r + i] / 9;
			sum += exp(x[9 * r + i]);
		}
		for (int i = 0; i < 9; i++)
			y[9 * r + i] = (x[9 * r + i] - mean) / sqrt(var + 1e-5) * gain[i] + bias[i];
		assert_near(th_narrow(th_layer_norm(t, w, b, 1e-5), 0, r, 1), th_from_host(y + 9 * r, TH_F64, cpu, SHAPE(9)), 1e-14);
		for (int i = 0; i < 9; i++)
			y[9 * r + i] = x[9 * r + i] / sqrt(square + 1e-6) * gain[i];
		assert_near(th_narrow(th_rms_norm(t, w, 1e-6), 0, r, 1), th_from_host(y + 9 * r, TH_F64, cpu, SHAPE(9)), 1e-14);
		for (int i = 0; i < 9; i++)
			y[9 * r + i] = exp(x[9 * r + i]) / sum;
		assert_near(th_narrow(th_softmax(t, 1), 0, r, 1), th_from_host(y + 9 * r, TH_F64, cpu, SHAPE(9)), 1e-14);
		for (int i = 0; i < 9; i++)
			y[9 * r + i] = log(y[9 * r + i]);
		assert_near(th_narrow(th_log_softmax(t, 1), 0, r, 1), th_from_host(y + 9 * r, TH_F64, cpu, SHAPE(9)), 1e-14);
	}
	free(x);
	free(gain);
	free(bias);
}

/* Of each factor 2^-18 is lost to rounding, and of the product the product of what hi leaves, 2^-18 too. */
static void products_by_bf16x3(void **state)
{
	static const int64_t shape[][3] = {{1, 1, 1}, {33, 31, 17}, {31, 64, 96}, {600, 384, 40}, {70, 1000, 64}}; /* n, K, O */

	(void)state;
	if (!th_has_bf16x3(cpu))
		skip();
	for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
		const int64_t n = shape[i][0], K = shape[i][1], O = shape[i][2];
		th_tensor *x = th_scale(randn(TH_F32, SHAPE(n, K)), 1 / 3.), *w = th_scale(randn(TH_F32, SHAPE(O, K)), 1 / 7.);
		th_tensor *b = th_scale(randn(TH_F32, SHAPE(O)), 1 / 3.);
		th_tensor *y = th_linear_bf16x3(th_reshape(x, SHAPE(1, n, K)), th_bf16x3_weights(w), b); // (1, n, O)
		double *have = values(y), *u = values(x), *v = values(w), *bias = values(b);

		assert_int_equal(th_size(y, 1), n);
		for (int64_t r = 0; r < n; r++)
			for (int64_t o = 0; o < O; o++) {
				double sum = bias[o], size = fabs(bias[o]);
				for (int64_t k = 0; k < K; k++) {
					sum += u[r * K + k] * v[o * K + k];
					size += fabs(u[r * K + k] * v[o * K + k]);
				}
				assert_true(fabs(have[r * O + o] - sum) <= (3 * 0x1p-18 + (double)(K + 1) * 0x1p-24) * size);
			}
		assert_near(th_gelu_linear_bf16x3(x, th_bf16x3_weights(w), b), th_linear(th_gelu(x), w, b), 2e-5);
		th_set_threads(3);
		assert_same_bytes(th_linear_bf16x3(x, th_bf16x3_weights(w), b), y);
		th_set_threads(1);
		free(have);
		free(u);
		free(v);
		free(bias);
	}
}

/* bfloat16 keeps 8 bits, so a result is within 2^-8 of the f32 one; statistics are f32 inside. */
static void layers_in_bf16(void **state)
{
	th_tensor *x = randn(TH_F32, SHAPE(6, 96)), *w = randn(TH_F32, SHAPE(96)), *b = randn(TH_F32, SHAPE(96));
	th_tensor *h = th_to_dtype(x, TH_BF16), *v = th_to_dtype(w, TH_BF16), *c = th_to_dtype(b, TH_BF16);

	(void)state;
	assert_near(th_layer_norm(h, v, c, 1e-5), th_layer_norm(x, w, b, 1e-5), 0x1p-8);
	assert_near(th_layer_norm(h, w, b, 1e-5), th_layer_norm(x, w, b, 1e-5), 0x1p-8);
	assert_int_equal(th_dtype_of(th_layer_norm(h, w, b, 1e-5)), TH_BF16);
	assert_near(th_rms_norm(h, v, 1e-5), th_rms_norm(x, w, 1e-5), 0x1p-7); /* rounded twice, as the models do */
	assert_near(th_gelu_tanh(h), th_gelu_tanh(x), 0x1p-8);
	assert_near(th_gelu(h), th_gelu(x), 0x1p-8);
	assert_near(th_swiglu(h, h), th_swiglu(x, x), 0x1p-8);
	assert_near(th_softmax(h, 1), th_softmax(x, 1), 0x1p-8);
	assert_near(th_linear(h, th_reshape(v, SHAPE(1, 96)), NULL), th_linear(x, th_reshape(w, SHAPE(1, 96)), NULL), 0x1p-8);
}

/*
 * Products of bfloat16 have a way of their own to the library, and turn a factor for the gradient of weights: value and
 * gradients beside those in f32 of the same numbers. Sums are of up to 80 terms, so rounded factors and gradients
 * differ by that much more.
 */
static void products_in_bf16(void **state)
{
	static th_tensor *(*const op[])(th_tensor *const *) = {f_linear,	 f_linear_no_bias,   f_affine,
							       f_affine_no_bias, f_gelu_tanh_affine, f_gelu_tanh_affine_no_bias};
	static const int64_t size[][3] = {{1, 2, 1}, {31, 33, 17}, {64, 80, 32}, {70, 7, 9001}};

	(void)state;
	for (size_t i = 0; i < sizeof size / sizeof *size; i++)
		for (size_t k = 0; k < sizeof op / sizeof *op; k++) {
			const int64_t n = size[i][0], I = size[i][1], O = size[i][2];
			th_scope_open();
			th_tensor *in[] = {randn(TH_BF16, SHAPE(n, I)), randn(TH_BF16, SHAPE(O, I)), randn(TH_BF16, SHAPE(O))};
			th_tensor *out = randn(TH_BF16, SHAPE(n, O)), *wide[3], *narrow[3], *y[2];
			for (int j = 0; j < 3; j++) {
				wide[j] = th_requires_grad(th_to_dtype(in[j], TH_F32), true);
				narrow[j] = th_requires_grad(in[j], true);
			}
			y[0] = op[k](wide);
			y[1] = op[k](narrow);
			assert_near(y[1], y[0], k < 4 ? 0x1p-7 : 0.06);
			th_backward(th_sum(th_mul(y[0], th_to_dtype(out, TH_F32))));
			th_backward(th_sum(th_mul(y[1], out)));
			for (int j = 0; j < (k % 2 ? 2 : 3); j++)
				assert_near(th_grad(narrow[j]), th_grad(wide[j]), j || O < 1000 ? 0.06 : 0.2);
			th_scope_close();
		}
}

/*
 * In every size that vectors of 16 divide or do not, in all types: values, and gradients, of which that of w adds up 70
 * rounded products.
 */
static void rms_norm_is_its_formula(void **state)
{
	(void)state;
	for (int64_t n = 1; n <= 50; n += n < 18 ? 1 : 15)
		for (int type = 0; type < 4; type++) {
			static const th_dtype types[] = {TH_F64, TH_F32, TH_BF16, TH_F16};
			static const double tolerance[] = {1e-13, 2e-6, 0x1p-5, 0x1p-7};
			th_tensor *in[2][2], *g[2], *y[2];
			for (int side = 0; side < 2; side++) {
				numbers = rng_make(2, (uint64_t)n);
				in[side][0] = th_requires_grad(randn(types[side ? type : 0], SHAPE(70, n)), true);
				in[side][1] = th_requires_grad(randn(types[side ? type : 0], SHAPE(n)), true);
				g[side] = randn(types[side ? type : 0], SHAPE(70, n));
			}
			th_tensor *x = in[0][0], *eps = th_full(sqrt(1e-3), TH_F64, cpu, SHAPE(70, 1));
			th_tensor *parts[] = {th_scale(x, 1 / sqrt((double)n)), eps},
			          *root = th_norm_dim(th_cat(parts, 2, 1), 1, true);
			y[0] = th_mul(th_div(x, root), in[0][1]);
			y[1] = th_rms_norm(in[1][0], in[1][1], 1e-3);
			assert_int_equal(th_dtype_of(y[1]), types[type]);
			assert_near(y[1], y[0], tolerance[type]);
			for (int side = 0; side < 2; side++)
				th_backward(th_sum(th_mul(y[side], g[side])));
			for (int i = 0; i < 2; i++)
				assert_near(th_grad(in[1][i]), th_grad(in[0][i]), tolerance[type]);
		}
	th_tensor *x = randn(TH_F64, SHAPE(9, 33)), *w = randn(TH_F64, SHAPE(9));
	assert_near(th_rms_norm(th_transpose(x, 0, 1), w, 1e-3), th_rms_norm(th_contiguous(th_transpose(x, 0, 1)), w, 1e-3), 0);
}

/* The gradient of w is a sum over all rows: the same bytes for any number of threads. */
static void rms_norm_same_for_all_threads(void **state)
{
	th_tensor *x = randn(TH_BF16, SHAPE(3000, 40)), *w = th_requires_grad(randn(TH_BF16, SHAPE(40)), true), *grad[2];

	(void)state;
	th_requires_grad(x, true);
	for (int i = 0; i < 2; i++) {
		th_set_threads(i + 1);
		th_set_grad(x, NULL);
		th_set_grad(w, NULL);
		th_backward(th_sum(th_rms_norm(x, w, 1e-5)));
		grad[i] = th_cat((th_tensor *[]){th_reshape(th_grad(x), SHAPE(-1)), th_grad(w)}, 2, 0);
	}
	th_set_threads(1);
	assert_same_bytes(grad[0], grad[1]);
}

/* In every size that vectors of 16 divide or do not, in all types: silu(a) b; far out, b a or 0 and no NaN. */
static void swiglu_is_its_formula(void **state)
{
	static const int64_t n[] = {1, 15, 16, 17, 48, 101};

	(void)state;
	for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
		th_tensor *a = th_scale(randn(TH_F64, SHAPE(3, n[i])), 4), *b = randn(TH_F64, SHAPE(3, n[i]));
		th_tensor *want = th_mul(th_silu(a), b);
		assert_near(th_swiglu(a, b), want, 1e-14);
		assert_near(th_swiglu(th_to_dtype(a, TH_F32), th_to_dtype(b, TH_F32)), want, 2e-6);
		assert_near(th_swiglu(th_to_dtype(a, TH_BF16), th_to_dtype(b, TH_BF16)), want, 0x1p-7);
		assert_near(th_swiglu(th_to_dtype(a, TH_F16), th_to_dtype(b, TH_F16)), want, 0x1p-8);
		assert_near(th_swiglu(th_transpose(a, 0, 1), th_transpose(b, 0, 1)), th_contiguous(th_transpose(want, 0, 1)), 1e-14);
	}
	th_tensor *far = th_from_host((float[]){-1e30f, -200, 200, 1e30f}, TH_F32, cpu, SHAPE(4));
	th_tensor *two = th_full(2, TH_F32, cpu, SHAPE(4));
	assert_near(th_swiglu(far, two), th_from_host((float[]){0, 0, 400, 2e30f}, TH_F32, cpu, SHAPE(4)), 1e-6);
	th_requires_grad(far, true);
	th_backward(th_sum(th_swiglu(far, two)));
	assert_near(th_grad(far), th_from_host((float[]){0, 0, 2, 2}, TH_F32, cpu, SHAPE(4)), 1e-6);
	th_requires_grad(far, false);
}

/* ---- rotary positions ---- */

/* cos and sin of t / 3^i, n rows */
static th_tensor *angles(int64_t n, int64_t half)
{
	float *x = get_memory((size_t)(2 * n * half) * sizeof *x);
	th_tensor *t;

	for (int64_t i = 0; i < n; i++)
		for (int64_t k = 0; k < half; k++) {
			x[2 * half * i + k] = (float)cos((double)i / pow(3, (double)k));
			x[2 * half * i + half + k] = (float)sin((double)i / pow(3, (double)k));
		}
	t = th_from_host(x, TH_F32, cpu, SHAPE(n, 2 * half));
	free(x);
	return t;
}

/* Pairs as complex numbers, multiplied by those of the table; the table may be longer than the text. */
static void rope_is_its_formula(void **state)
{
	static const int64_t halves[] = {1, 3, 8, 16, 17, 32, 50};
	enum { B = 2, T = 5, H = 3, ROWS = 7 };

	(void)state;
	for (size_t n = 0; n < sizeof halves / sizeof *halves; n++) {
		int64_t half = halves[n], D = 2 * half;
		th_tensor *x = randn(TH_F64, SHAPE(B, T, H * D)), *table = angles(ROWS, half), *got = th_rope(x, table);
		double *in = values(x), *turn = values(table), *want = get_memory(B * T * H * (size_t)D * sizeof *want);

		for (int64_t row = 0; row < B * T; row++)
			for (int64_t h = 0; h < H; h++)
				for (int64_t i = 0; i < half; i++) {
					const int64_t at = (row * H + h) * D + i;
					const double c = turn[row % T * D + i], s = turn[row % T * D + half + i];
					want[at] = in[at] * c - in[at + half] * s;
					want[at + half] = in[at + half] * c + in[at] * s;
				}
		th_tensor *exact = th_from_host(want, TH_F64, cpu, SHAPE(B, T, H * D));
		assert_is_shape(got, SHAPE(B, T, H * D));
		assert_near(got, exact, 1e-15);
		assert_near(th_rope(th_to_dtype(x, TH_F32), table), exact, 1e-6);
		assert_near(th_rope(th_to_dtype(x, TH_BF16), table), exact, 0x1p-8);
		assert_near(th_rope(th_to_dtype(x, TH_F16), table), exact, 0x1p-10); /* as on a device without our kernels */
		assert_int_equal(th_dtype_of(th_rope(th_to_dtype(x, TH_BF16), table)), TH_BF16);
		assert_near(th_rope(th_transpose(th_contiguous(th_transpose(x, 0, 1)), 0, 1), table), exact, 1e-15);
		free(in);
		free(turn);
		free(want);
	}
}

static th_tensor *rope_angles;
OP(rope, th_rope(in[0], rope_angles))

static void rope_gradient(void **state)
{
	(void)state;
	rope_angles = angles(6, 19);
	check_gradient("rope", f_rope, (th_tensor *[]){randn(TH_F64, SHAPE(2, 4, 2 * 38))}, 1);
	th_tensor *h = th_requires_grad(randn(TH_F16, SHAPE(2, 6, 38)), true),
	          *f = th_requires_grad(th_to_dtype(th_detach(h), TH_F32), true);
	th_backward(weighed(th_rope(h, rope_angles)));
	th_backward(weighed(th_rope(f, rope_angles)));
	assert_near(th_grad(h), th_grad(f), 0x1p-9);
	th_requires_grad(h, false);
	th_requires_grad(f, false);
	/* the length of a pair stays, so the gradient of the squares' sum is that of the squares alone */
	th_tensor *x = th_requires_grad(randn(TH_F32, SHAPE(2, 6, 38)), true), *y = th_rope(x, rope_angles);
	th_backward(th_sum(th_mul(y, y)));
	assert_near(th_grad(x), th_scale(x, 2), 1e-6);
	th_requires_grad(x, false);
}

/* ---- dropout ---- */

/* The definition in kernels.h, one element at a time. */
static bool dropped(th_key key, uint64_t i, double p)
{
	uint64_t block = i / 64 * 16 + i % 16;
	uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)key.stream, (uint32_t)(key.stream >> 32)};
	uint32_t seed[2] = {(uint32_t)key.seed, (uint32_t)(key.seed >> 32)}, word[4];

	philox4x32(counter, seed, word);
	return word[i / 16 % 4] < p * 4294967296.0;
}

static void dropout_is_philox(void **state)
{
	static const int64_t sizes[] = {1, 7, 16, 63, 64, 65, 129, 5000, 70001};
	const th_key key = {0x123456789abcdef0, 0xfedcba9876543210};

	(void)state;
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
		for (th_dtype type = TH_F32; type <= TH_F64; type++) {
			th_scope_open();
			double *y = values(th_dropout(th_full(2, type, cpu, SHAPE(sizes[s])), 0.2, key));
			for (int64_t i = 0; i < sizes[s]; i++)
				assert_number(y[i], dropped(key, (uint64_t)i, 0.2) ? 0 : 2.5, type == TH_F64 ? 0 : 1e-6);
			free(y);
			th_scope_close();
		}
}

static void dropout_drops_its_share(void **state)
{
	th_tensor *x = th_full(1, TH_F32, cpu, SHAPE(1000, 1000));
	double n = 1e6, kept = th_item(th_sum(th_dropout(x, 0.1, (th_key){1, 2}))) * 0.9 / n;

	(void)state;
	assert_true(fabs(kept - 0.9) < 5 * sqrt(0.9 * 0.1 / n));
	th_tensor *a = th_dropout(x, 0.5, (th_key){1, 2}), *b = th_dropout(x, 0.5, (th_key){1, 3});
	double both = th_item(th_sum(th_mul(a, b))) / 4 / n; /* independent streams: a quarter */
	assert_true(fabs(both - 0.25) < 5 * sqrt(0.25 * 0.75 / n));
	assert_same_bytes(th_dropout(x, 0, no_key), x);
}

static void dropout_same_for_all_threads(void **state)
{
	th_tensor *x = randn(TH_F32, SHAPE(100, 1001)), *one = th_dropout(x, 0.1, (th_key){3, 4});

	(void)state;
	th_set_threads(2);
	assert_same_bytes(th_dropout(x, 0.1, (th_key){3, 4}), one);
	th_set_threads(1);
	assert_near(th_dropout(th_to_dtype(x, TH_BF16), 0.1, (th_key){3, 4}), one, 0x1p-8);
}

/* ---- attention ---- */

struct attention {
	int64_t B, H, G, T, S, D;
	bool causal;
	const int64_t *length;
	double scale, p;
	th_key key;
};

static th_tensor *fused(const struct attention *a, th_tensor *const *in)
{
	return th_attention(in[0], in[1], in[2], a->causal, a->length ? ids(a->length, a->B) : NULL, a->scale, a->p, a->key);
}

/* The same from plain operations, a mask of -inf and a dropout mask from ones. */
static th_tensor *composed(const struct attention *a, th_tensor *const *in)
{
	int64_t n = a->B * a->H * a->T * a->S;
	double *hide = get_memory((size_t)n * sizeof *hide);
	int64_t *head = get_memory((size_t)a->H * sizeof *head);
	th_dtype type = th_dtype_of(in[0]);
	th_tensor *k, *v, *mask, *weights;

	for (int64_t i = 0; i < n; i++) {
		int64_t s = i % a->S, t = i / a->S % a->T, b = i / a->S / a->T / a->H;
		hide[i] = (a->causal && s > t + a->S - a->T) || (a->length && s >= a->length[b]) ? -INFINITY : 0;
	}
	for (int64_t h = 0; h < a->H; h++)
		head[h] = h / (a->H / a->G);
	mask = th_to_dtype(th_from_host(hide, TH_F64, cpu, SHAPE(a->B, a->H, a->T, a->S)), type);
	k = th_index_select(in[1], 1, ids(head, a->H));
	v = th_index_select(in[2], 1, ids(head, a->H));
	free(hide);
	free(head);
	weights = th_softmax(th_add(th_scale(th_matmul(in[0], th_transpose(k, 2, 3)), a->scale), mask), -1);
	if (a->p > 0)
		weights = th_mul(weights, th_dropout(th_full(1, type, cpu, SHAPE(a->B, a->H, a->T, a->S)), a->p, a->key));
	return th_matmul(weights, v);
}

static void compare_attention(const struct attention *a, th_dtype type, double tolerance)
{
	th_tensor *wide[3] = {randn(TH_F64, SHAPE(a->B, a->H, a->T, a->D)), randn(TH_F64, SHAPE(a->B, a->G, a->S, a->D)),
	                      randn(TH_F64, SHAPE(a->B, a->G, a->S, a->D))};
	th_tensor *in[3], *y, *want;

	for (int i = 0; i < 3; i++) {
		in[i] = th_requires_grad(th_detach(th_to_dtype(wide[i], type)), true);
		th_requires_grad(wide[i], true);
	}
	y = fused(a, in);
	want = composed(a, wide);
	assert_int_equal(th_dtype_of(y), type);
	assert_is_shape(y, SHAPE(a->B, a->H, a->T, a->D));
	assert_near(y, want, tolerance);
	th_no_grad_open();
	assert_near(fused(a, in), want, tolerance);
	th_no_grad_close();
	th_backward(th_sum(th_mul(y, y)));
	th_backward(th_sum(th_mul(want, want)));
	for (int i = 0; i < 3; i++)
		assert_near(th_grad(in[i]), th_grad(wide[i]), tolerance * 8);
}

static void attention_is_its_formula(void **state)
{
	static const int64_t length[] = {3, 1000}, some[] = {130, 57};
	static const struct attention a[] = {
		{1, 1, 1, 1, 1, 4, true, NULL, 1, 0, {0, 0}},
		{2, 3, 3, 7, 7, 8, true, NULL, 0.35, 0, {0, 0}},
		{2, 4, 2, 7, 9, 5, true, length, 0.4, 0, {0, 0}},
		{2, 4, 2, 7, 9, 5, true, length, 0.4, 0.25, {1, 2}},
		{2, 4, 1, 129, 129, 16, true, NULL, 0.25, 0, {0, 0}},
		{2, 2, 2, 129, 129, 16, true, NULL, 0.25, 0.1, {8, 9}},
		{1, 2, 1, 300, 300, 8, true, NULL, 0.3, 0.1, {8, 9}},
		{2, 2, 2, 129, 140, 16, false, some, 0.25, 0, {0, 0}},
		{2, 2, 1, 129, 140, 16, false, some, 0.25, 0.5, {3, 4}},
		{1, 2, 2, 1, 77, 8, true, NULL, 0.3, 0, {0, 0}},
		{2, 6, 6, 256, 256, 32, true, NULL, 0.2, 0.1, {3, 5}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof a / sizeof *a; i++) {
		th_scope_open();
		compare_attention(&a[i], TH_F64, 1e-12);
		compare_attention(&a[i], TH_F32, 2e-6);
		compare_attention(&a[i], TH_BF16, 0.02);
		th_scope_close();
	}
}

OP(attention, th_attention(in[0], in[1], in[2], true, ids((int64_t[]){6, 9}, 2), 0.4, 0.2, ((th_key){1, 2})))

static void attention_gradient(void **state)
{
	th_tensor *in[] = {randn(TH_F64, SHAPE(2, 4, 7, 5)), randn(TH_F64, SHAPE(2, 2, 9, 5)), randn(TH_F64, SHAPE(2, 2, 9, 5))};

	(void)state;
	check_gradient("attention", f_attention, in, 3);
}

/* q, k and v as views of one (B, T, 3 C) tensor, as GPT-2 has them; the result in that layout, too. */
static void attention_of_views(void **state)
{
	enum { B = 2, T = 35, H = 3, D = 8, C = H * D };
	th_tensor *all = th_requires_grad(randn(TH_F32, SHAPE(B, T, 3 * C)), true), *view[3], *whole[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		view[i] = th_transpose(th_reshape(th_narrow(all, 2, i * C, C), SHAPE(B, T, H, D)), 1, 2);
		whole[i] = th_requires_grad(th_detach(th_contiguous(view[i])), true);
	}
	th_tensor *a = th_attention(view[0], view[1], view[2], true, NULL, 0.3, 0.1, (th_key){1, 1});
	th_tensor *b = th_attention(whole[0], whole[1], whole[2], true, NULL, 0.3, 0.1, (th_key){1, 1});
	assert_same_bytes(a, b);
	th_backward(weighed(th_reshape(th_transpose(a, 1, 2), SHAPE(B, T, C))));
	th_backward(weighed(th_reshape(th_transpose(b, 1, 2), SHAPE(B, T, C))));
	for (int i = 0; i < 3; i++)
		assert_near(th_transpose(th_reshape(th_narrow(th_grad(all), 2, i * C, C), SHAPE(B, T, H, D)), 1, 2),
		            th_grad(whole[i]), 1e-6);
}

static void attention_packed(void **state)
{
	enum { B = 2, T = 67, H = 4, D = 8 };
	const int64_t length[] = {67, 40};

	(void)state;
	for (int G = 1; G <= H; G *= 2)
		for (th_dtype type = TH_F32; type <= TH_F64; type++) {
			const int n[] = {H, G, G};
			th_scope_open();
			th_tensor *x = th_requires_grad(randn(type, SHAPE(B, T, (H + 2 * G) * D)), true), *part[3], *want;
			th_tensor *y = th_attention_packed(x, H, G, true, ids(length, B), 0.3, 0.2, (th_key){4, 4});
			th_backward(weighed(y));
			th_tensor *g = th_clone(th_grad(x));
			th_set_grad(x, NULL);
			for (int i = 0, from = 0; i < 3; from += n[i++] * D)
				part[i] = th_transpose(th_reshape(th_narrow(x, 2, from, n[i] * D), SHAPE(B, T, n[i], D)), 1, 2);
			want = th_attention(part[0], part[1], part[2], true, ids(length, B), 0.3, 0.2, (th_key){4, 4});
			want = th_reshape(th_transpose(want, 1, 2), SHAPE(B, T, H * D));
			assert_same_bytes(y, want);
			th_backward(weighed(want));
			assert_near(th_grad(x), g, type == TH_F64 ? 1e-14 : type == TH_F32 ? 1e-6 : 0.02);
			th_scope_close();
		}
}

/* A row that may see no key gives zeros, not NaN: a query before the first key, a sequence of length 0. */
static void attention_that_sees_nothing(void **state)
{
	static const int64_t length[] = {0};
	const struct attention a = {1, 2, 2, 5, 3, 4, true, NULL, 0.5, 0, {0, 0}};
	th_tensor *in[] = {randn(TH_F32, SHAPE(1, 2, 5, 4)), randn(TH_F32, SHAPE(1, 2, 3, 4)), randn(TH_F32, SHAPE(1, 2, 3, 4))};

	(void)state;
	for (int i = 0; i < 3; i++)
		th_requires_grad(in[i], true);
	th_tensor *y = fused(&a, in), *none;
	assert_number(th_item(th_sum(th_mul(th_narrow(y, 2, 0, 2), th_narrow(y, 2, 0, 2)))), 0, 0);
	assert_true(th_item(th_sum(th_mul(y, y))) > 0.1);
	none = th_attention(in[0], in[1], in[2], false, ids(length, 1), 0.5, 0, no_key);
	assert_number(th_item(th_sum(th_mul(none, none))), 0, 0);
	th_backward(th_add(th_sum(th_mul(y, y)), th_sum(none)));
	for (int i = 0; i < 3; i++)
		assert_true(th_all_finite(th_grad(in[i])));
}

/* ---- loss ---- */

static th_tensor *composed_loss(th_tensor *h, th_tensor *w, th_tensor *b, th_tensor *target, double scale)
{
	return th_scale(th_cross_entropy_sum(th_linear(h, w, b), target), scale);
}

static th_tensor *some_targets(int64_t n, int64_t V, bool ignore)
{
	int64_t *id = get_memory((size_t)n * sizeof *id);
	th_tensor *t;

	for (int64_t i = 0; i < n; i++)
		id[i] = ignore && i % 5 == 2 ? (i % 2 ? -1 : -100) : (int64_t)rng_below(&numbers, (uint64_t)V);
	t = ids(id, n);
	free(id);
	return t;
}

static void cross_entropy_is_its_formula(void **state)
{
	th_tensor *x = randn(TH_F64, SHAPE(6, 11));
	int64_t target[] = {3, -1, 0, 10, -100, 5};
	double *v = values(x), want = 0;

	(void)state;
	for (int r = 0; r < 6; r++) {
		double sum = 0;
		for (int i = 0; i < 11; i++)
			sum += exp(v[11 * r + i]);
		want += target[r] < 0 ? 0 : log(sum) - v[11 * r + target[r]];
	}
	free(v);
	assert_number(th_item(th_cross_entropy_sum(x, ids(target, 6))), want, 1e-14);
	assert_number(th_item(th_cross_entropy_sum(th_to_dtype(x, TH_F32), ids(target, 6))), want, 1e-6);
}

static void compare_loss(int64_t N, int64_t C, int64_t V, bool bias, th_dtype type, double tolerance)
{
	th_tensor *wide[] = {randn(TH_F64, SHAPE(N, C)), randn(TH_F64, SHAPE(V, C)), randn(TH_F64, SHAPE(V))}, *in[3];
	th_tensor *target = some_targets(N, V, true), *loss, *want;
	const double scale = 1.0 / (double)N;
	int n = bias ? 3 : 2;

	for (int i = 0; i < 3; i++) {
		in[i] = th_requires_grad(th_detach(th_to_dtype(wide[i], type)), true);
		th_requires_grad(wide[i], true);
	}
	loss = th_linear_cross_entropy(in[0], in[1], bias ? in[2] : NULL, target, scale);
	want = composed_loss(wide[0], wide[1], bias ? wide[2] : NULL, target, scale);
	assert_int_equal(th_dim(loss), 0);
	assert_int_equal(th_dtype_of(loss), type == TH_F64 ? TH_F64 : TH_F32);
	assert_number(th_item(loss), th_item(want), tolerance);
	th_backward(th_scale(loss, 3)); /* a gradient other than 1 */
	th_backward(th_scale(want, 3));
	for (int i = 0; i < n; i++) {
		assert_int_equal(th_dtype_of(th_grad(in[i])), type);
		assert_near(th_grad(in[i]), th_grad(wide[i]), tolerance);
	}
	th_no_grad_open();
	assert_number(th_item(th_linear_cross_entropy(in[0], in[1], bias ? in[2] : NULL, target, scale)), th_item(want), tolerance);
	th_tensor *rows = th_linear_nll(in[0], in[1], bias ? in[2] : NULL, target);
	assert_is_shape(rows, SHAPE(N));
	assert_number(th_item(th_scale(th_sum(rows), scale)), th_item(want), tolerance);
	if (N > 2)
		assert_number(th_item(th_narrow(rows, 0, 2, 1)), 0, 0);
	th_no_grad_close();
}

static void linear_cross_entropy_is_its_formula(void **state)
{
	static const int64_t size[][3] = {{1, 4, 1}, {1, 4, 2}, {7, 5, 17}, {129, 16, 1000}, {33, 8, 4097}};

	(void)state;
	for (size_t i = 0; i < sizeof size / sizeof *size; i++)
		for (int bias = 0; bias < 2; bias++) {
			th_scope_open();
			compare_loss(size[i][0], size[i][1], size[i][2], bias, TH_F64, 1e-12);
			compare_loss(size[i][0], size[i][1], size[i][2], bias, TH_F32, 2e-6);
			compare_loss(size[i][0], size[i][1], size[i][2], bias, TH_BF16, 0.02);
			th_scope_close();
		}
}

/* More logits than one chunk holds. */
static void linear_cross_entropy_in_chunks(void **state)
{
	(void)state;
	compare_loss(700, 4, 50257, true, TH_F64, 1e-12);
	compare_loss(1400, 4, 50257, false, TH_F32, 2e-6);
	compare_loss(2700, 4, 50257, false, TH_BF16, 0.02);
	compare_loss(90, 4, 50257, true, TH_BF16, 0.02);
}

/* Against logits that are there: the same product, so that a tie in one is a tie in the other. */
static void compare_rank(int64_t N, int64_t C, int64_t V, bool bias, th_dtype dtype)
{
	th_scope_open();
	th_tensor *h = randn(dtype, SHAPE(N, C)), *w = randn(dtype, SHAPE(V, C)), *b = bias ? randn(dtype, SHAPE(V)) : NULL;
	int64_t *want = calloc((size_t)N, sizeof *want), *have = calloc((size_t)N, sizeof *have);
	double *x = calloc((size_t)(N * V), sizeof *x);

	for (int64_t i = 0; i < N; i++)
		want[i] = i % 5 == 2 ? -1 : i * 7919 % V;
	th_to_host(th_linear(h, w, b), TH_F64, x);
	th_tensor *rank = th_linear_rank(h, w, b, ids(want, N));
	assert_is_shape(rank, SHAPE(N));
	assert_int_equal(th_dtype_of(rank), TH_I64);
	th_to_host(rank, TH_I64, have);
	for (int64_t i = 0; i < N; i++) {
		int64_t greater = 0;
		for (int64_t v = 0; v < V && want[i] >= 0; v++)
			greater += x[i * V + v] > x[i * V + want[i]];
		assert_int_equal(have[i], greater);
	}
	free(x);
	free(have);
	free(want);
	th_scope_close();
}

static void rank_of_the_target(void **state)
{
	(void)state;
	for (int bias = 0; bias < 2; bias++) {
		compare_rank(1, 4, 1, bias, TH_F32);
		compare_rank(7, 5, 17, bias, TH_F64);
		compare_rank(33, 8, 4097, bias, TH_F32);
		compare_rank(33, 8, 4097, bias, TH_BF16);
	}

	/* ties have the best rank among them; and the bias counts */
	float one[] = {1}, w[] = {3, 5, 5, 5, 7, 3}, b[] = {9, 0, 0, 0, 0, 0};
	int64_t all[] = {0, 1, 2, 3, 4, 5}, plain[] = {4, 1, 1, 1, 0, 4}, biased[] = {0, 2, 2, 2, 1, 5}, have[6];
	th_scope_open();
	th_tensor *h = th_matmul(th_full(1, TH_F32, cpu, SHAPE(6, 1)), th_from_host(one, TH_F32, cpu, SHAPE(1, 1)));
	th_tensor *weight = th_from_host(w, TH_F32, cpu, SHAPE(6, 1));
	th_to_host(th_linear_rank(h, weight, NULL, ids(all, 6)), TH_I64, have);
	assert_memory_equal(have, plain, sizeof have);
	th_to_host(th_linear_rank(h, weight, th_from_host(b, TH_F32, cpu, SHAPE(6)), ids(all, 6)), TH_I64, have);
	assert_memory_equal(have, biased, sizeof have);
	th_scope_close();
}

/* More logits than one chunk holds: 128 MiB. Every row's rank is its target, as class v has the logit -v. */
static void rank_in_chunks(void **state)
{
	enum { N = 1400, V = 50257 };
	int64_t *want = calloc(N, sizeof *want), *have = calloc(N, sizeof *have);

	(void)state;
	th_scope_open();
	for (int64_t i = 0; i < N; i++)
		want[i] = i * 7919 % V;
	th_tensor *w = th_scale(th_to_dtype(th_reshape(th_arange(V, cpu), SHAPE(V, 1)), TH_F32), -1);
	th_to_host(th_linear_rank(th_full(1, TH_F32, cpu, SHAPE(N, 1)), w, NULL, ids(want, N)), TH_I64, have);
	assert_memory_equal(have, want, N * sizeof *have);
	th_scope_close();
	free(have);
	free(want);
}

OP(loss, th_linear_cross_entropy(in[0], in[1], in[2], ids((int64_t[]){0, -1, 16, 3}, 4), 0.25))
OP(plain_loss, th_cross_entropy_sum(in[0], ids((int64_t[]){0, -1, 4, 3}, 4)))

static void loss_gradient(void **state)
{
	th_tensor *in[] = {randn(TH_F64, SHAPE(4, 5)), randn(TH_F64, SHAPE(17, 5)), randn(TH_F64, SHAPE(17))};

	(void)state;
	check_gradient("linear_cross_entropy", f_loss, in, 3);
	check_gradient("cross_entropy_sum", f_plain_loss, in, 1);
}

static void loss_of_extreme_logits(void **state)
{
	float x[] = {1e4f, -1e4f, 3e4f, 0, 0, 0}, unit[] = {1};
	th_tensor *w = th_from_host(x, TH_F32, cpu, SHAPE(6, 1)), *h = th_from_host(unit, TH_F32, cpu, SHAPE(1, 1));

	(void)state;
	th_requires_grad(w, true);
	th_tensor *loss = th_linear_cross_entropy(h, w, NULL, ids((int64_t[]){1}, 1), 1);
	assert_number(th_item(loss), 4e4, 1e-7);
	th_backward(loss);
	assert_true(th_all_finite(th_grad(w)));
	x[0] = NAN; /* shows in the loss, never hides */
	assert_true(isnan(th_item(th_linear_nll(h, th_from_host(x, TH_F32, cpu, SHAPE(6, 1)), NULL, ids((int64_t[]){1}, 1)))));
}

/* A word that cannot be, wherever in the vocabulary and in the parts that it is gone through by. */
static void loss_without_some_words(void **state)
{
	enum { N = 4096, V = 4100, PART = 2048 }; /* th_linear_nll() takes three parts */
	static const int64_t some[][2] = {{0, 1}, {5, 1}, {PART, 1}, {PART - 1, 2}, {2 * PART, V - 2 * PART}};
	th_tensor *h = randn(TH_F32, SHAPE(N, 8)), *w = randn(TH_F32, SHAPE(V, 8));

	(void)state;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		for (int infinite = 0; infinite < 2; infinite++)
			for (int64_t n = 3; n <= N; n += N - 3) {
				th_scope_open();
				const int64_t from = some[i][0], words = some[i][1];
				th_tensor *few = th_narrow(h, 0, 0, n),
				          *target = th_add(some_targets(n, 4, false), th_full(1, TH_I64, cpu, SHAPE(1)));
				th_tensor *b = th_zeros(TH_F32, cpu, SHAPE(V)); /* targets are 1 to 4 */
				th_copy_(th_narrow(b, 0, from, words),
				         th_full(infinite ? -INFINITY : -1e30, TH_F32, cpu, SHAPE(words)));
				double want = th_item(composed_loss(few, w, b, target, 1));
				assert_true(isfinite(want));
				assert_number(th_item(th_sum(th_linear_nll(few, w, b, target))), want, 1e-5);
				assert_number(th_item(th_linear_cross_entropy(few, w, b, target, 1)), want, 1e-5);
				th_scope_close();
			}
}

/* What is ignored may be anything. */
static void loss_of_ignored_rows(void **state)
{
	float x[] = {1, 2, NAN, INFINITY, 3, 4};
	th_tensor *h = th_requires_grad(th_from_host(x, TH_F32, cpu, SHAPE(3, 2)), true), *target = ids((int64_t[]){1, -1, 0}, 3);
	th_tensor *w = th_requires_grad(randn(TH_F32, SHAPE(5, 2)), true), *rows = ids((int64_t[]){0, 2}, 2);

	(void)state;
	th_tensor *want = composed_loss(th_index_select(h, 0, rows), w, NULL, ids((int64_t[]){1, 0}, 2), 1);
	th_backward(want);
	th_tensor *dh = th_grad(h), *dw = th_grad(w);
	for (int i = 0; i < 2; i++) {
		th_tensor *of_h = th_requires_grad(th_detach(h), true), *of_w = th_requires_grad(th_detach(w), true);
		th_tensor *loss = i ? th_linear_cross_entropy(of_h, of_w, NULL, target, 1)
		                    : th_cross_entropy_sum(th_linear(of_h, of_w, NULL), target);
		assert_number(th_item(loss), th_item(want), 1e-6);
		th_backward(loss);
		if (i)
			assert_near(th_grad(of_w), dw, 1e-6);
		assert_near(th_index_select(th_grad(of_h), 0, rows), th_index_select(dh, 0, rows), 1e-6);
		assert_near(th_narrow(th_grad(of_h), 0, 1, 1), th_zeros(TH_F32, cpu, SHAPE(1, 2)), 0);
	}
}

/* ---- rounding at random ---- */

static void adding_in_place(void **state)
{
	th_tensor *a = th_full(1, TH_F32, cpu, SHAPE(3)), *b = th_full(0x1p-9, TH_BF16, cpu, SHAPE(3));

	(void)state;
	th_add_(a, b);
	assert_near(a, th_full(1 + 0x1p-9, TH_F32, cpu, SHAPE(3)), 0); /* in a's type */
}

static void rounding_is_fair(void **state)
{
	enum { N = 1 << 16 };
	/* a quarter on the way to the next */
	th_tensor *x = th_full(1 + 0x1p-9, TH_F32, cpu, SHAPE(N)), *y = th_empty(TH_BF16, cpu, SHAPE(N));
	th_tensor *again = th_empty(TH_BF16, cpu, SHAPE(N)), *exact = randn(TH_F32, SHAPE(N));
	double *v, up = 0;

	(void)state;
	th_round_(y, x, (th_key){1, 2}, 0);
	v = values(y);
	for (int i = 0; i < N; i++) {
		assert_true(v[i] == 1 || v[i] == 1 + 0x1p-7);
		up += v[i] > 1;
	}
	free(v);
	assert_true(fabs(up / N - 0.25) < 0.01);
	/* in parts it is the same; with another key another */
	th_round_(th_narrow(again, 0, 0, 6400), th_narrow(x, 0, 0, 6400), (th_key){1, 2}, 0);
	th_round_(th_narrow(again, 0, 6400, N - 6400), th_narrow(x, 0, 6400, N - 6400), (th_key){1, 2}, 6400);
	assert_same_bytes(again, y);
	th_round_(again, x, (th_key){1, 3}, 0);
	assert_true(th_item(th_sum(th_sub(again, y))) != 0);
	/* what bf16 holds stays; numbers below 0 are as fair */
	th_round_(y, exact, (th_key){1, 2}, 0);
	assert_near(y, exact, 0);
	th_round_(y, th_full(-1 - 0x1p-8, TH_F32, cpu, SHAPE(N)), (th_key){1, 2}, 0);
	assert_true(fabs(th_item(th_sum(th_to_dtype(y, TH_F64))) / N + 1 + 0x1p-8) < 1e-4);
}

/* A word that stands in many places: its gradient in bf16 is the sum rounded once. */
static void embedding_adds_up_in_f32(void **state)
{
	enum { N = 3000 };
	int64_t id[N] = {0};
	th_tensor *w = th_requires_grad(randn(TH_BF16, SHAPE(2, 5)), true);

	(void)state;
	th_backward(th_sum(th_embedding(w, ids(id, N), -1)));
	assert_near(th_narrow(th_grad(w), 0, 0, 1), th_to_dtype(th_full(N, TH_F32, cpu, SHAPE(1, 5)), TH_BF16), 0);
	assert_near(th_narrow(th_grad(w), 0, 1, 1), th_full(0, TH_F32, cpu, SHAPE(1, 5)), 0);
}

/* torch.nn.Embedding's padding_idx */
static void padding_has_no_gradient(void **state)
{
	(void)state;
	for (int bf16 = 0; bf16 < 2; bf16++) {
		th_tensor *w = th_requires_grad(randn(bf16 ? TH_BF16 : TH_F32, SHAPE(3, 5)), true);
		th_tensor *x = th_embedding(w, ids((int64_t[]){1, 2, 1, 0}, 4), 1);
		assert_near(th_narrow(x, 0, 2, 1), th_narrow(w, 0, 1, 1), 0);
		th_backward(th_sum(x));
		for (int i = 0; i < 3; i++)
			assert_near(th_narrow(th_grad(w), 0, i, 1),
			            th_to_dtype(th_full(i != 1, TH_F32, cpu, SHAPE(1, 5)), th_dtype_of(w)), 0);
	}
}

/* Its gradient is g's rows, at the ids. */
static th_tensor *looked_up(th_tensor *w, const int64_t *id, int64_t n, th_tensor *g)
{
	return th_sum(th_mul(th_embedding(w, ids(id, n), -1), th_to_dtype(g, th_dtype_of(w))));
}

/* Of a table that is looked up, and multiplied by too: rows of the one gradient are added to the other, in any type. */
static void gradient_of_rows(void **state)
{
	const int64_t id[] = {4, 0, 4, 2, 4};
	th_tensor *dense = randn(TH_F64, SHAPE(5, 3)), *g = randn(TH_F64, SHAPE(5, 3)), *add = th_zeros(TH_F64, cpu, SHAPE(5, 3));

	(void)state;
	for (int i = 0; i < 5; i++)
		th_add_(th_narrow(add, 0, id[i], 1), th_narrow(g, 0, i, 1));
	for (int t = 0; t < 3; t++) {
		const th_dtype type[] = {TH_F64, TH_F32, TH_BF16};
		th_tensor *w = th_requires_grad(th_to_dtype(randn(TH_F64, SHAPE(5, 3)), type[t]), true);
		th_tensor *wide = th_requires_grad(randn(TH_F32, SHAPE(5, 3)), true), *sum = th_clone(th_to_dtype(dense, type[t]));
		/* alone, and once more to the same */
		th_backward(looked_up(w, id, 5, g));
		assert_true(th_grad_is_rows(w));
		assert_near(th_grad(w), add, type[t] == TH_BF16 ? 0.02 : 1e-6);
		assert_false(th_grad_is_rows(w));
		th_backward(looked_up(w, id, 5, g));
		assert_near(th_grad(w), th_scale(add, 2), type[t] == TH_BF16 ? 0.03 : 1e-6);
		th_set_grad(w, NULL);
		/* beside another use of it, in one pass */
		th_backward(th_add(looked_up(w, id, 5, g), th_sum(th_mul(w, th_to_dtype(dense, type[t])))));
		assert_false(th_grad_is_rows(w));
		assert_near(th_grad(w), th_add(dense, add), type[t] == TH_BF16 ? 0.03 : 1e-6);
		/* of what was made of another tensor */
		th_set_grad(w, NULL);
		th_backward(looked_up(th_scale(w, 2), id, 5, g));
		assert_near(th_grad(w), th_scale(add, 2), type[t] == TH_BF16 ? 0.03 : 1e-6);
		/* rows in f32, of two passes, to a sum in any type: rounded once */
		for (int pass = 0; pass < 2; pass++)
			th_backward(looked_up(wide, id, 5, g));
		assert_true(th_grad_is_rows(wide));
		th_move_grad(sum, wide);
		assert_null(th_grad(wide));
		assert_near(sum, th_to_dtype(th_add(dense, th_scale(add, 2)), type[t]), type[t] == TH_BF16 ? 0 : 1e-6);
		th_move_grad(sum, wide); /* there is none */
		assert_near(sum, th_to_dtype(th_add(dense, th_scale(add, 2)), type[t]), type[t] == TH_BF16 ? 0 : 1e-6);
	}
}

/* ---- gradients, checkpointing ---- */

static void leaves_and_gradients(void **state)
{
	th_tensor *x = th_requires_grad(th_full(3, TH_F32, cpu, SHAPE(2)), true);

	(void)state;
	assert_null(th_grad(x));
	th_backward(th_sum(th_mul(x, x)));
	th_backward(th_sum(x)); /* adds */
	assert_near(th_grad(x), th_full(7, TH_F32, cpu, SHAPE(2)), 0);
	th_zero_(th_grad(x));
	assert_near(th_grad(x), th_full(0, TH_F32, cpu, SHAPE(2)), 0);
	th_set_grad(x, th_full(5, TH_F32, cpu, SHAPE(2)));
	assert_near(th_grad(x), th_full(5, TH_F32, cpu, SHAPE(2)), 0);
	th_set_grad(x, NULL);
	assert_null(th_grad(x));
	th_backward(th_sum(th_mul(th_detach(x), x)));
	assert_near(th_grad(x), th_full(3, TH_F32, cpu, SHAPE(2)), 0);
}

struct layer {
	th_tensor *w;
	int calls;
};

static th_tensor *run_layer(void *context, th_tensor *const *in, int n)
{
	struct layer *l = context;

	assert_int_equal(n, 2);
	l->calls++;
	return th_mul(th_tanh(th_dropout(th_linear(in[0], l->w, NULL), 0.2, (th_key){1, 2})), in[1]);
}

static void checkpoint_changes_nothing(void **state)
{
	struct layer l = {th_requires_grad(randn(TH_F64, SHAPE(5, 5)), true), 0};
	th_tensor *in[] = {th_requires_grad(randn(TH_F64, SHAPE(3, 5)), true), randn(TH_F64, SHAPE(3, 5))};
	th_tensor *plain = run_layer(&l, in, 2), *dx, *dw;

	(void)state;
	th_backward(weighed(plain));
	dx = th_clone(th_grad(in[0]));
	dw = th_clone(th_grad(l.w));
	for (int only_leaf = 0; only_leaf < 2; only_leaf++) { /* also when no input needs a gradient, but a leaf inside does */
		size_t before;
		th_set_grad(in[0], NULL);
		th_set_grad(l.w, NULL);
		th_requires_grad(in[0], !only_leaf);
		l.calls = 0;
		before = th_live();
		th_tensor *again = th_checkpoint(run_layer, &l, in, 2);
		assert_int_equal(th_live(), before + 1);
		assert_int_equal(l.calls, 1);
		assert_same_bytes(again, plain);
		before = th_live();
		th_tensor *loss = weighed(again);
		before = th_live();
		th_backward(loss);
		assert_int_equal(th_live(), before);
		assert_int_equal(l.calls, 2);
		assert_same_bytes(th_grad(l.w), dw);
		if (!only_leaf)
			assert_same_bytes(th_grad(in[0]), dx);
	}
	th_no_grad_open();
	l.calls = 0;
	assert_same_bytes(th_checkpoint(run_layer, &l, in, 2), plain);
	assert_int_equal(l.calls, 1);
	th_no_grad_close();
}

static th_tensor *two_layers(void *context, th_tensor *const *in, int n)
{
	return th_checkpoint(run_layer, context, (th_tensor *[]){th_checkpoint(run_layer, context, in, n), in[1]}, n);
}

static void checkpoint_inside_checkpoint(void **state)
{
	struct layer l = {th_requires_grad(randn(TH_F64, SHAPE(5, 5)), true), 0};
	th_tensor *in[] = {th_requires_grad(randn(TH_F64, SHAPE(3, 5)), true), randn(TH_F64, SHAPE(3, 5))}, *dw;

	(void)state;
	th_backward(weighed(run_layer(&l, (th_tensor *[]){run_layer(&l, in, 2), in[1]}, 2)));
	dw = th_clone(th_grad(l.w));
	th_set_grad(l.w, NULL);
	th_backward(weighed(th_checkpoint(two_layers, &l, in, 2)));
	assert_near(th_grad(l.w), dw, 1e-14);
}

/* ---- optimiser ---- */

static void adamw_is_its_formula(void **state)
{
	enum { N = 37 };
	const double beta2[] = {0.99, 0.9999999}; /* the second is no float, and 1 less it is far from 1 less the nearest one */

	(void)state;
	for (int k = 0; k < 2; k++) {
		th_tensor *p = randn(TH_F32, SHAPE(N)), *m = th_zeros(TH_F32, cpu, SHAPE(N)), *v = th_zeros(TH_F32, cpu, SHAPE(N));
		double *x = values(p), a[N] = {0}, b[N] = {0};
		th_requires_grad(p, true);
		for (int64_t step = 1; step <= 5; step++) {
			th_tensor *g = randn(TH_F32, SHAPE(N));
			double *d = values(g), left = 1 - pow(0.9, (double)step), left2 = 1 - pow(beta2[k], (double)step);
			for (int i = 0; i < N; i++) {
				a[i] = 0.9 * a[i] + 0.1 * d[i];
				b[i] = beta2[k] * b[i] + (1 - beta2[k]) * d[i] * d[i];
				x[i] -= 1e-2 * 0.1 * x[i];
				x[i] -= 1e-2 * (a[i] / left) / (sqrt(b[i] / left2) + 1e-8);
			}
			th_adamw_step(&p, &g, &m, &v, NULL, 1, &(th_adamw){1e-2, 0.9, beta2[k], 1e-8, 0.1, step});
			free(d);
		}
		assert_near(p, th_from_host(x, TH_F64, cpu, SHAPE(N)), 1e-6);
		assert_near(m, th_from_host(a, TH_F64, cpu, SHAPE(N)), 1e-6);
		assert_near(v, th_from_host(b, TH_F64, cpu, SHAPE(N)), 1e-6);
		free(x);
	}
}

/* As it is with all in f32, to the rounding of what stays bf16, whole vectors or not, divided among threads or not. */
static void adamw_from_bf16_to_copies(void **state)
{
	(void)state;
	for (int64_t n = 1; n < 1 << 16; n = 5 * n + 12) {
		th_tensor *p[3], *g[3], *m[3], *v[3], *copy[3];
		th_tensor *grad = th_to_dtype(randn(TH_F32, SHAPE(n, 1)), TH_BF16), *from = randn(TH_F32, SHAPE(n, 1));
		for (int i = 0; i < 3; i++) {
			p[i] = th_clone(from);
			g[i] = i ? grad : th_to_dtype(grad, TH_F32);
			copy[i] = i ? th_empty(TH_BF16, cpu, SHAPE(n, 1)) : NULL;
			m[i] = th_full(0.1, TH_F32, cpu, SHAPE(n, 1));
			v[i] = th_full(0.2, TH_F32, cpu, SHAPE(n, 1));
		}
		th_adamw opt = {1e-2, 0.9, 0.99, 1e-8, 0.1, 3, NULL, 0.5, th_grad_norm(g, 2)};
		th_adamw_step(p, g, m, v, copy, 2, &opt);
		th_set_threads(3);
		th_adamw_step(p + 2, g + 2, m + 2, v + 2, copy + 2, 1, &opt);
		th_set_threads(1);
		for (int i = 1; i < 3; i++) {
			assert_same_bytes(p[i], p[0]);
			assert_same_bytes(m[i], m[0]);
			assert_same_bytes(v[i], v[0]);
			assert_same_bytes(copy[i], th_to_dtype(p[i], TH_BF16));
		}
		assert_true(th_item(th_norm_dim(th_reshape(th_sub(p[1], from), SHAPE(-1)), 0, false)) > 1e-5);
		/* a copy of a type that libtorch has to see to */
		th_tensor *wide = th_clone(from), *copy64 = th_empty(TH_F64, cpu, SHAPE(n, 1));
		th_tensor *m0 = th_full(0.1, TH_F32, cpu, SHAPE(n, 1)), *v0 = th_full(0.2, TH_F32, cpu, SHAPE(n, 1));
		th_adamw_step(&wide, &grad, &m0, &v0, &copy64, 1, &opt);
		assert_near(wide, p[1], 1e-6);
		assert_near(copy64, wide, 0);
	}
	th_tensor *tiny = th_full(3e-39, TH_F32, cpu, SHAPE(20)), *zero = th_zeros(TH_F32, cpu, SHAPE(20));
	th_tensor *copy = th_empty(TH_BF16, cpu, SHAPE(20)), *m = th_clone(zero), *v = th_clone(zero);
	th_adamw_step(&tiny, &zero, &m, &v, &copy, 1, &(th_adamw){1e-2, 0.9, 0.99, 1e-8, 0, 1});
	assert_same_bytes(copy, th_to_dtype(tiny, TH_BF16));
	assert_number(th_item(th_sum(th_to_dtype(copy, TH_F64))) * 1e39, 60, 0.02);
}

static void clipping(void **state)
{
	th_tensor *g[] = {th_full(3, TH_F32, cpu, SHAPE(4, 100)), th_full(4, TH_F32, cpu, SHAPE(400))};
	th_tensor *norm = th_grad_norm(g, 2);

	(void)state;
	assert_number(th_item(norm), 100, 1e-6);
	/* where beta1 is 0, the first moment is the gradient */
	for (int clip = 0; clip <= 1000; clip = clip ? 10 * clip : 1) {
		const double factor = clip && clip <= 100 ? clip / (100 + 1e-6) : 1;
		th_tensor *p[2], *m[2], *v[2];
		for (int i = 0; i < 2; i++) {
			p[i] = th_zeros(TH_F32, cpu, SHAPE(400));
			m[i] = th_zeros(TH_F32, cpu, SHAPE(400));
			v[i] = th_zeros(TH_F32, cpu, SHAPE(400));
		}
		th_tensor *flat[] = {th_reshape(g[0], SHAPE(400)), g[1]};
		th_adamw opt = {1e-2, 0, 0.99, 1e-8, 0, 1, NULL, clip, clip ? norm : NULL};
		th_adamw_step(p, flat, m, v, NULL, 2, &opt);
		for (int i = 0; i < 2; i++)
			assert_near(m[i], th_full((3 + i) * factor, TH_F32, cpu, SHAPE(400)), 1e-7);
	}
	th_copy_(th_narrow(g[1], 0, 3, 1), th_full(INFINITY, TH_F32, cpu, SHAPE(1)));
	assert_false(isfinite(th_item(th_grad_norm(g, 2))));
	th_tensor *big = th_full(1e-3, TH_F32, cpu, SHAPE(1 << 22)); /* a long sum of small squares */
	assert_number(th_item(th_grad_norm(&big, 1)), 1e-3 * 2048, 1e-6);
	th_tensor *half = th_full(3, TH_BF16, cpu, SHAPE(16));
	assert_number(th_item(th_grad_norm(&half, 1)), 12, 1e-7);
}

/* ---- tensors ---- */

static void moving_data(void **state)
{
	static const double x[] = {0, 1, -2.5, 100};
	unsigned char bytes[33];
	float f[4];
	int64_t n[4];

	(void)state;
	memcpy(bytes + 1, x, sizeof x); /* unaligned */
	for (th_dtype type = TH_F32; type <= TH_I32; type++) {
		th_tensor *t = th_to_dtype(th_from_host(bytes + 1, TH_F64, cpu, SHAPE(2, 2)), type);
		assert_int_equal(th_dtype_of(t), type);
		assert_is_shape(t, SHAPE(2, 2));
		assert_int_equal(th_size(t, -1), 2);
		assert_int_equal(th_numel(t), 4);
		th_to_host(t, TH_F32, f);
		assert_true(f[0] == 0 && f[1] == 1 && f[2] == (type < TH_I64 ? -2.5f : -2) && f[3] == 100);
		th_to_host(th_transpose(t, 0, 1), TH_I64, n); /* the view's order */
		assert_true(n[0] == 0 && n[1] == -2 && n[2] == 1 && n[3] == 100);
	}
	th_to_host(th_arange(4, cpu), TH_I64, n);
	assert_true(n[0] == 0 && n[3] == 3);
	assert_int_equal(th_dtype_size(TH_BF16), 2);
	assert_int_equal(th_dtype_size(TH_I64), 8);
	assert_int_equal(th_numel(th_empty(TH_U8, cpu, SHAPE(3, 0, 2))), 0);
	th_tensor *a = th_zeros(TH_F32, cpu, SHAPE(3)), *b = th_clone(a);
	th_copy_(a, th_arange(3, cpu));
	assert_number(th_item(th_sum(a)), 3, 0);
	assert_number(th_item(th_sum(b)), 0, 0);
	assert_true(th_all_finite(a));
	assert_false(th_all_finite(th_full(NAN, TH_BF16, cpu, SHAPE(3))));
	assert_string_equal(th_device_name(cpu), "cpu");
	assert_non_null(strchr(th_libtorch_version(), '.'));
	assert_int_equal(th_threads(), 1);
	th_device_sync(cpu);
}

static void scopes(void **state)
{
	size_t before = th_live();
	th_tensor *kept = NULL;

	(void)state;
	th_scope_open();
	th_tensor *outer = th_full(1, TH_F32, cpu, SHAPE(1));
	for (int i = 0; i < 100; i++) {
		th_scope_open();
		th_tensor *a = th_full(i, TH_F32, cpu, SHAPE(1)), *b = th_add(a, outer), *c = th_add(b, b);
		th_add(c, c);
		if (i % 10 == 0)
			assert_ptr_equal(th_keep(b), b);
		th_keep(outer); /* not the innermost scope's: stays where it is */
		assert_int_equal(th_live(), before + 1 + (size_t)(i + 9) / 10 + 4);
		th_scope_close();
		if (i % 10 == 0) {
			kept = b;
			assert_number(th_item(kept), i + 1, 0);
		}
		assert_int_equal(th_live(), before + 1 + (size_t)i / 10 + 1);
	}
	assert_number(th_item(th_keep(kept)), 91, 0);
	th_scope_close();
	assert_int_equal(th_live(), before + 1);
	assert_number(th_item(kept), 91, 0);
}

/* A handle of an outer scope that is something else from now on. */
static void becomes(void **state)
{
	(void)state;
	th_tensor *x = th_full(1, TH_F32, cpu, SHAPE(1));
	size_t before = th_live();

	th_scope_open();
	th_tensor *y = th_add(x, x);
	assert_ptr_equal(th_become(x, y), x);
	assert_number(th_item(y), 2, 0);
	th_scope_close();
	assert_number(th_item(x), 2, 0);
	assert_ptr_equal(th_become(x, x), x);
	assert_number(th_item(x), 2, 0);
	assert_int_equal(th_live(), before);
}

#if defined __GLIBC__
/* What freed tensors leave between things that stay is enough for others of their size. */
static void memory_is_used_again(void **state)
{
	enum { N = 8, SIZE = 16 << 20 };
	void *stays[N];
	size_t arena = 0;

	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		th_scope_open();
		for (int i = 0; i < N; i++) {
			th_empty(TH_F32, cpu, SHAPE(SIZE / 4));
			if (turn == 0)
				stays[i] = malloc(SIZE / 8);
		}
		th_scope_close();
		if (turn == 1)
			assert_int_equal(mallinfo2().arena, arena);
		arena = mallinfo2().arena;
	}
	for (int i = 0; i < N; i++)
		free(stays[i]);
}
#endif

/* Made while no scope is open: th_shutdown() frees it. */
static void outermost_scope(void **state)
{
	(void)state;
	assert_int_equal(th_live(), 0);
	th_tensor *t = th_full(1, TH_F32, cpu, SHAPE(1));
	assert_ptr_equal(th_keep(t), t);
	assert_int_equal(th_live(), 1);
	th_shutdown();
	assert_int_equal(th_live(), 0);
}

/* Autograd keeps what it needs behind freed handles. */
static void freed_handles(void **state)
{
	th_tensor *x = th_requires_grad(randn(TH_F32, SHAPE(64, 64)), true), *y = x;

	(void)state;
	for (int i = 0; i < 4; i++) {
		th_scope_open();
		y = th_keep(th_tanh(th_matmul(y, x)));
		th_scope_close();
	}
	th_backward(th_sum(y));
	assert_true(th_all_finite(th_grad(x)));
}

static void no_grad_pairs(void **state)
{
	th_tensor *x = th_requires_grad(th_full(2, TH_F32, cpu, SHAPE(1)), true), *y;

	(void)state;
	th_no_grad_open();
	th_no_grad_open();
	th_no_grad_close();
	y = th_mul(x, x); /* still off */
	th_no_grad_close();
	th_backward(th_sum(th_add(th_mul(y, x), x)));
	assert_number(th_item(th_grad(x)), 5, 0);
}

/* A training step twice, bytes compared. */
static th_tensor *step(th_dtype type)
{
	numbers = rng_make(7, 7);
	th_tensor *x = randn(type, SHAPE(40, 64)), *w = th_requires_grad(randn(TH_F32, SHAPE(64, 192)), true);
	th_tensor *e = th_requires_grad(randn(TH_F32, SHAPE(500, 64)), true), *v = th_zeros(TH_F32, cpu, SHAPE(64, 192));
	th_tensor *h = th_affine(x, th_to_dtype(w, type), NULL), *part[3], *m = th_zeros(TH_F32, cpu, SHAPE(64, 192));
	for (int i = 0; i < 3; i++)
		part[i] = th_transpose(th_reshape(th_narrow(h, 1, 64 * i, 64), SHAPE(1, 40, 4, 16)), 1, 2);
	h = th_attention(part[0], part[1], part[2], true, NULL, 0.25, 0.1, (th_key){1, 2});
	h = th_add(x, th_dropout(th_reshape(th_transpose(h, 1, 2), SHAPE(40, 64)), 0.1, (th_key){1, 3}));
	th_backward(th_linear_cross_entropy(h, th_to_dtype(e, type), NULL, some_targets(40, 500, false), 1.0 / 40));
	th_tensor *g[] = {th_grad(w), th_grad(e)};
	th_adamw_step(&w, g, &m, &v, NULL, 1, &(th_adamw){1e-3, 0.9, 0.999, 1e-8, 0.01, 1, NULL, 1, th_grad_norm(g, 2)});
	return th_cat((th_tensor *[]){th_reshape(th_detach(w), SHAPE(-1)), th_reshape(g[1], SHAPE(-1))}, 2, 0);
}

static void same_bytes_every_time(void **state)
{
	(void)state;
	th_set_deterministic(true);
	for (int threads = 1; threads <= 2; threads++) {
		th_set_threads(threads);
		assert_same_bytes(step(TH_F32), step(TH_F32));
		assert_same_bytes(step(TH_BF16), step(TH_BF16));
	}
	th_set_deterministic(false);
}

/* ---- what a device does while the host goes on; on the cpu, too, where nothing is late ---- */

/* The cpu, then the GPU if there is one. */
#define EACH_DEVICE(d)                                                \
	for (th_device d = cpu, *d##_end = &d; d##_end;               \
	     d##_end = !d.cuda && th_has_cuda() ? (d = (th_device){1, 0}, &d) : NULL)

/* What was fetched is what was there when the fetch began, whatever is done to the tensor meanwhile. */
static void fetching(void **state)
{
	enum { N = 100000 };
	double x[3], *big = get_memory(N * sizeof *big);
	float f[3];

	(void)state;
	EACH_DEVICE(d) {
		th_tensor *t = th_from_host((double[]){1, 2.5, -3}, TH_F64, d, SHAPE(3)), *one = th_full(1, TH_F64, d, SHAPE(N));
		th_fetch *a = th_fetch_start(t, TH_F64), *b = th_fetch_start(t, TH_F32);
		th_zero_(t);
		th_fetch *c = th_fetch_start(t, TH_F64);
		th_fetch_end(c, x);
		assert_true(x[0] == 0 && x[2] == 0);
		th_fetch_end(a, x);
		assert_true(x[0] == 1 && x[1] == 2.5 && x[2] == -3);
		th_fetch_end(b, f);
		assert_true(f[0] == 1 && f[1] == 2.5f && f[2] == -3);
		/* many uploads from one buffer, which is changed at once */
		th_tensor *sum = th_zeros(TH_F64, d, SHAPE(N));
		for (int i = 1; i <= 50; i++) {
			th_scope_open();
			for (int j = 0; j < N; j++)
				big[j] = i + j % 3;
			th_add_(sum, th_from_host(big, TH_F64, d, SHAPE(N)));
			th_add_(sum, th_to_device(th_from_host(big, TH_F64, cpu, SHAPE(N)), d));
			memset(big, 0, N * sizeof *big);
			th_scope_close();
		}
		th_to_host(sum, TH_F64, big);
		for (int j = 0; j < N; j++)
			assert_true(big[j] == 2 * (50 * 51 / 2 + 50 * (j % 3)));
		/* and back into pinned memory */
		th_tensor *beside = th_zeros_beside(TH_F64, d, SHAPE(N));
		for (int i = 0; i < 10; i++)
			th_copy_later_(beside, th_add(th_to_device(beside, d), one));
		th_device_sync(d);
		assert_number(th_item(th_sum(beside)), 10.0 * N, 0);
	}
	free(big);
}

static void lists_of_tensors(void **state)
{
	(void)state;
	EACH_DEVICE(d) {
		th_tensor *from[] = {th_full(1.5, TH_F32, d, SHAPE(7)), th_full(2, TH_F32, d, SHAPE(2, 3))};
		th_tensor *to[] = {th_zeros(TH_BF16, d, SHAPE(7)), th_zeros(TH_BF16, d, SHAPE(2, 3))};
		th_copy_all_(to, from, 2);
		assert_near(to[0], from[0], 0);
		assert_near(to[1], from[1], 0);
		th_zero_all_(to, 2);
		assert_number(th_item(th_sum(to[1])), 0, 0);
		th_copy_all_(to, from, 0);
		th_zero_all_(to, 0);
		assert_number(th_item(th_sum(from[1])), 12, 0);
	}
}

static void skipping_an_update(void **state)
{
	const double bad[] = {NAN, INFINITY, -INFINITY};

	(void)state;
	EACH_DEVICE(d) {
		th_tensor *p[4], *m[4], *v[4], *was[3];
		for (int i = 0; i < 4; i++) { /* 0: as a skipped one begins; 1: all is well; 2: without the question; 3: not finite */
			p[i] = th_full(1, TH_F32, d, SHAPE(5));
			m[i] = th_full(0.1, TH_F32, d, SHAPE(5));
			v[i] = th_full(0.2, TH_F32, d, SHAPE(5));
			th_tensor *g = th_full(i == 3 ? NAN : 0.5, TH_F32, d, SHAPE(5)), *norm = th_grad_norm(&g, 1);
			th_adamw opt = {1e-2, 0.9, 0.99, 1e-8, 0.1, 3, i == 2 ? NULL : th_not_finite(norm), 0.7, norm};
			if (i)
				th_adamw_step(&p[i], &g, &m[i], &v[i], NULL, 1, &opt);
		}
		was[0] = p[1], was[1] = m[1], was[2] = v[1];
		assert_same_bytes(was[0], p[2]);
		assert_same_bytes(was[1], m[2]);
		assert_same_bytes(was[2], v[2]);
		assert_same_bytes(p[0], p[3]);
		assert_same_bytes(m[0], m[3]);
		assert_same_bytes(v[0], v[3]);
		assert_true(th_item(th_sum(p[1])) < 5);
		for (int i = 0; i < 3; i++) {
			th_tensor *t = th_zeros(TH_F64, d, SHAPE(2, 2));
			assert_number(th_item(th_not_finite(t)), 0, 0);
			th_copy_(th_narrow(t, 0, 1, 1), th_full(bad[i], TH_F64, cpu, SHAPE(1, 2)));
			assert_number(th_item(th_not_finite(t)), 1, 0);
			assert_int_equal(th_dtype_of(th_not_finite(t)), TH_F32);
		}
	}
}

struct work {
	th_tensor *x, *w, *sum;
	double p;
	int calls;
};

/* sum += w's gradient of a loss with dropout of x */
static void work(void *arg)
{
	struct work *k = arg;

	k->calls++;
	th_scope_open();
	th_tensor *h = th_dropout(th_mul(k->x, k->w), k->p, (th_key){1, 1});
	th_backward(th_sum(h));
	th_add_(k->sum, th_grad(k->w));
	th_set_grad(k->w, NULL);
	th_scope_close();
}

static void replaying(void **state)
{
	(void)state;
	EACH_DEVICE(d) {
		if (d.cuda && !th_graph_possible(d))
			skip();
		struct work k = {th_zeros(TH_F32, d, SHAPE(10000)), th_requires_grad(th_full(2, TH_F32, d, SHAPE(10000)), true),
		                 th_zeros(TH_F32, d, SHAPE(10000))};
		th_graph *g = th_graph_record(d, work, &k);
		assert_int_equal(k.calls, d.cuda ? 4 : 0);
		th_zero_(k.sum);
		for (int i = 1; i <= 10; i++) {
			th_copy_(k.x, th_full(i, TH_F32, d, SHAPE(10000)));
			th_graph_replay(g, d, no_key);
		}
		assert_near(k.sum, th_full(55, TH_F32, cpu, SHAPE(10000)), 0);
		th_graph_free(g);

		/* masks by the key of the replay */
		th_tensor *got[3];
		k.p = 0.3;
		g = th_graph_record(d, work, &k);
		for (int i = 0; i < 3; i++) {
			th_zero_(k.sum);
			th_copy_(k.x, th_full(1, TH_F32, d, SHAPE(10000)));
			th_graph_replay(g, d, (th_key){5, i == 2});
			got[i] = th_clone(k.sum);
		}
		assert_same_bytes(got[0], got[1]);
		assert_true(fabs(th_item(th_sum(got[2])) / 10000 - 1) < 0.05);
		th_tensor *both = th_mul(got[0], got[2]); /* independent: 0.49 of them are in both */
		if (d.cuda)
			assert_true(fabs(th_item(th_sum(both)) * 0.49 / 10000 - 0.49) < 0.05);
		th_graph_free(g);
	}
	th_graph_free(NULL);
	assert_false(th_graph_possible(cpu));
}

/* ---- a GPU against the cpu ---- */

/* Where there is none: skips the test. */
static th_device gpu(void)
{
	if (!th_has_cuda())
		skip();
	return (th_device){1, 0};
}

static th_tensor *leaf(th_tensor *t, th_dtype type, th_device d)
{
	return th_requires_grad(th_to_device(th_to_dtype(t, type), d), true);
}

/* A layer of each kind with attention by fewer key heads, and the loss: value and gradients, one after the other in f64 on the cpu. */
static th_tensor *layers_on(th_device d, th_dtype type, double p)
{
	enum { B = 2, L = 70, C = 64, V = 500 };

	numbers = rng_make(11, 3);
	th_tensor *e = leaf(randn(TH_F32, SHAPE(V, C)), TH_F32, d), *a = leaf(th_scale(randn(TH_F32, SHAPE(C, 2 * C)), 0.2), type, d);
	th_tensor *w = leaf(th_scale(randn(TH_F32, SHAPE(C, C)), 0.2), type, d), *n = leaf(randn(TH_F32, SHAPE(C)), type, d);
	th_tensor *head = leaf(th_scale(randn(TH_F32, SHAPE(V, C)), 0.3), type, d), *bias = leaf(randn(TH_F32, SHAPE(V)), type, d);
	th_tensor *id = th_to_device(th_reshape(some_targets(B * L, V, false), SHAPE(B, L)), d);
	th_tensor *target = th_to_device(some_targets(B * L, V, true), d), *table = th_to_device(angles(L, C / 2), d);

	th_tensor *x = th_to_dtype(th_embedding(e, id, -1), type);
	x = th_rope(th_layer_norm(x, n, NULL, 1e-5), table);
	x = th_add(x, th_attention_packed(th_affine(x, a, NULL), 4, 2, true, NULL, 0.25, p, (th_key){1, 2}));
	x = th_add(x, th_dropout(th_gelu_tanh(th_linear(x, w, NULL)), p, (th_key){1, 3}));
	x = th_add(x, th_swiglu(x, th_rms_norm(x, n, 1e-5)));
	x = th_reshape(x, SHAPE(B * L, C));
	th_tensor *loss = th_linear_cross_entropy(x, head, bias, target, 0.01);
	th_backward(loss);

	th_tensor *all[] = {loss, th_linear_nll(x, head, bias, target), th_grad(e), th_grad(a), th_grad(w), th_grad(n),
	                    th_grad(head), th_grad(bias)};
	for (int i = 0; i < 8; i++)
		all[i] = th_detach(th_reshape(th_to_dtype(th_to_device(all[i], cpu), TH_F64), SHAPE(-1)));
	return th_cat(all, 8, 0);
}

static void gpu_as_cpu(void **state)
{
	th_device d = gpu();

	(void)state;
	assert_near(layers_on(d, TH_F32, 0), layers_on(cpu, TH_F32, 0), 2e-4);
	assert_near(layers_on(d, TH_BF16, 0), layers_on(cpu, TH_F32, 0), 0.1);
	th_set_deterministic(true);
	for (th_dtype type = TH_F32; type <= TH_BF16; type++)
		for (int i = 0; i < 2; i++)
			assert_same_bytes(layers_on(d, type, 0.1 * i), layers_on(d, type, 0.1 * i));
	th_set_deterministic(false);
}

/* Means over many masks come near to no dropout at all. */
static void gpu_dropout(void **state)
{
	th_device d = gpu();
	th_tensor *x = th_full(1, TH_F32, d, SHAPE(1000, 1000)), *one = leaf(th_full(1, TH_F32, cpu, SHAPE(1000, 1000)), TH_F32, d);

	(void)state;
	th_tensor *y = th_dropout(one, 0.1, (th_key){1, 2});
	th_backward(th_sum(y));
	assert_same_bytes(th_grad(one), y);
	assert_same_bytes(th_dropout(x, 0.1, (th_key){1, 2}), y);
	assert_true(fabs(th_item(th_sum(y)) * 0.9 / 1e6 - 0.9) < 5 * sqrt(0.9 * 0.1 / 1e6));
	th_tensor *a = th_dropout(x, 0.5, (th_key){1, 2}), *b = th_dropout(x, 0.5, (th_key){1, 3});
	assert_true(fabs(th_item(th_sum(th_mul(a, b))) / 4 / 1e6 - 0.25) < 5 * sqrt(0.25 * 0.75 / 1e6));
	for (th_dtype type = TH_F32; type <= TH_BF16; type++) {
		th_tensor *q = th_to_device(randn(type, SHAPE(1, 2, 128, 64)), d), *sum = th_zeros(TH_F32, d, SHAPE(1, 2, 128, 64));
		th_tensor *plain = th_attention(q, q, q, true, NULL, 0.125, 0, no_key);
		for (uint64_t i = 0; i < 400; i++)
			th_add_(sum, th_attention(q, q, q, true, NULL, 0.125, 0.1, (th_key){1, i}));
		th_tensor *off = th_sub(th_scale(sum, 1.0 / 400), plain);
		assert_true(sqrt(th_item(th_sum(th_mul(off, off))) / 128 / 128) < 0.05);
		assert_same_bytes(th_attention(q, q, q, true, NULL, 0.125, 0.1, (th_key){1, 7}),
		                  th_attention(q, q, q, true, NULL, 0.125, 0.1, (th_key){1, 7}));
	}
}

static void gpu_optimiser(void **state)
{
	th_device d = gpu();
	th_tensor *of[2][4][3], *copy[2][3];

	(void)state;
	for (int on = 0; on < 2; on++) {
		numbers = rng_make(5, 5);
		for (int k = 0; k < 4; k++)
			for (int i = 0; i < 3; i++)
				of[on][k][i] = th_to_device(k < 2 ? randn(TH_F32, SHAPE(33, 100 + i))
				                                  : th_zeros(TH_F32, cpu, SHAPE(33, 100 + i)), on ? d : cpu);
		for (int i = 0; i < 3; i++)
			copy[on][i] = i == 1 ? NULL : th_empty(TH_BF16, on ? d : cpu, SHAPE(33, 100 + i));
		for (int s = 1; s <= 3; s++) {
			th_tensor *norm = th_grad_norm(of[on][1], 3), *g[3]; /* which may change */
			for (int i = 0; i < 3; i++)
				g[i] = th_clone(of[on][1][i]);
			assert_number(th_item(norm), sqrt(33 * 303), 0.05);
			th_adamw_step(of[on][0], g, of[on][2], of[on][3], copy[on], 3,
			              &(th_adamw){1e-2, 0.9, 0.99, 1e-8, 0.1, s, th_not_finite(norm), 1, norm});
		}
	}
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 4; k++)
			assert_near(of[1][k][i], of[0][k][i], 1e-5);
		for (int on = 0; on < 2 && copy[on][i]; on++)
			assert_same_bytes(copy[on][i], th_to_dtype(of[on][0][i], TH_BF16));
	}
	th_tensor *x = th_full(1 + 0x1p-9, TH_F32, d, SHAPE(1 << 20)), *y = th_empty(TH_BF16, d, SHAPE(1 << 20));
	th_round_(y, x, (th_key){1, 2}, 0);
	assert_number(th_item(th_sum(th_to_dtype(y, TH_F64))) / (1 << 20), 1 + 0x1p-9, 1e-5);
	th_tensor *g[] = {th_full(3, TH_BF16, d, SHAPE(100)), th_full(4, TH_F32, d, SHAPE(100))};
	assert_number(th_item(th_grad_norm(g, 2)), 50, 1e-6);
}

/* Where there are no kernels of ours, which here is float16 alone; of many rows with spare classes. */
static void loss_in_f16(void **state)
{
	enum { V = 33, C = 16 };

	(void)state;
	for (int k = 0; k < 4; k++) {
		const int64_t N = k < 2 ? 20 : 600, bias = k % 2;
		th_tensor *got[2][5];
		for (int i = 0; i < 2; i++) {
			numbers = rng_make(9, 9);
			th_tensor *h = leaf(randn(TH_F32, SHAPE(N, C)), i ? TH_F16 : TH_F32, cpu),
			          *w = leaf(th_scale(randn(TH_F32, SHAPE(V, C)), 0.25), i ? TH_F16 : TH_F32, cpu);
			th_tensor *b = bias ? leaf(randn(TH_F32, SHAPE(V)), i ? TH_F16 : TH_F32, cpu) : NULL;
			th_tensor *target = some_targets(N, V, true);
			got[i][0] = th_linear_cross_entropy(h, w, b, target, 10 / (double)N);
			th_backward(got[i][0]);
			got[i][1] = th_grad(h), got[i][2] = th_grad(w), got[i][3] = b ? th_grad(b) : th_grad(h);
			got[i][4] = th_linear_nll(h, w, b, target);
		}
		for (int j = 0; j < 5; j++)
			assert_near(got[1][j], got[0][j], 5e-3);
		compare_rank(N, C, V, bias, TH_F16);
	}
	th_set_deterministic(true);
	assert_near(th_linear_nll(randn(TH_F16, SHAPE(2, 4)), th_zeros(TH_F16, cpu, SHAPE(3, 4)), NULL, ids((int64_t[]){1, -1}, 2)),
	            th_from_host((double[]){log(3), 0}, TH_F64, cpu, SHAPE(2)), 1e-3);
	th_set_deterministic(false);
}

/* ---- errors ---- */

static jmp_buf back;
static th_error kind;
static char said[2048];

static void remember(th_error k, const char *message)
{
	kind = k;
	snprintf(said, sizeof said, "%s", message);
	longjmp(back, 1);
}

/* The statement must call the handler with this kind and one line that holds text. */
#define FAILS(expected, text, statement)                                   \
	do {                                                                   \
		th_on_error(remember);                                             \
		said[0] = '\0';                                                    \
		if (setjmp(back) == 0) {                                           \
			statement;                                                     \
			th_on_error(NULL);                                             \
			fail_msg("no error from: %s", #statement);                     \
		}                                                                  \
		th_on_error(NULL);                                                 \
		if (kind != (expected) || !strstr(said, text))                     \
			print_error("kind %d, said: %s\n", (int)kind, said);           \
		assert_int_equal(kind, expected);                                  \
		assert_non_null(strstr(said, text));                               \
		assert_null(strchr(said, '\n'));                                   \
	} while (0)

static void errors(void **state)
{
	th_tensor *a = th_zeros(TH_F32, cpu, SHAPE(2, 3)), *b = th_zeros(TH_F32, cpu, SHAPE(4, 5));
	th_tensor *q = th_zeros(TH_F32, cpu, SHAPE(1, 3, 4, 2)), *k = th_zeros(TH_F32, cpu, SHAPE(1, 2, 4, 2));
	int64_t shape[TH_MAX_DIMS + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
#ifndef __SANITIZE_ADDRESS__
	const int64_t huge[] = {1, INT64_C(1) << 50};
#endif

	(void)state;
	FAILS(TH_ERR_FAILED, "shapes cannot be multiplied", th_matmul(a, b));
	FAILS(TH_ERR_FAILED, "must match", th_add(a, b));
	FAILS(TH_ERR_FAILED, "affine", th_affine(a, b, NULL));
	FAILS(TH_ERR_FAILED, "copy: shapes differ", th_copy_(a, b));
	FAILS(TH_ERR_FAILED, "rms norm: shapes", th_rms_norm(a, th_reshape(b, SHAPE(1, -1)), 1e-5));
	FAILS(TH_ERR_FAILED, "swiglu: shapes", th_swiglu(a, b));
	FAILS(TH_ERR_FAILED, "swiglu: shapes or types", th_swiglu(a, th_to_dtype(a, TH_BF16)));
	FAILS(TH_ERR_FAILED, "rope: shapes do not fit", th_rope(th_zeros(TH_F32, cpu, SHAPE(1, 5, 6)), angles(4, 3)));
	FAILS(TH_ERR_FAILED, "rope: shapes do not fit", th_rope(th_zeros(TH_F32, cpu, SHAPE(1, 5, 6)), angles(5, 2)));
	FAILS(TH_ERR_FAILED, "even D", th_rope(th_zeros(TH_F32, cpu, SHAPE(1, 5, 6)), th_zeros(TH_F32, cpu, SHAPE(5, 3))));
	FAILS(TH_ERR_FAILED, "f32", th_rope(th_zeros(TH_F32, cpu, SHAPE(1, 5, 6)), th_zeros(TH_F64, cpu, SHAPE(5, 6))));
	FAILS(TH_ERR_FAILED, "attention: shapes", th_attention(q, k, k, true, NULL, 1, 0, no_key));
	FAILS(TH_ERR_FAILED, "attention: 3 heads and 2", th_attention_packed(th_zeros(TH_F32, cpu, SHAPE(1, 1, 7)), 3, 2, true,
	                                                                       NULL, 1, 0, no_key));
	FAILS(TH_ERR_FAILED, "attention: length", th_attention(q, q, q, true, a, 1, 0, no_key));
	FAILS(TH_ERR_FAILED, "cross entropy: shapes", th_linear_cross_entropy(a, b, NULL, ids(shape, 2), 1));
	FAILS(TH_ERR_FAILED, "cross entropy: no classes",
	      th_linear_cross_entropy(a, th_zeros(TH_F32, cpu, SHAPE(0, 3)), NULL, ids((int64_t[]){-1, -1}, 2), 1));
	FAILS(TH_ERR_FAILED, "target 9 is not below 2", th_linear_rank(a, a, NULL, ids((int64_t[]){9, 0}, 2)));
	FAILS(TH_ERR_FAILED, "target 9 is not below 2", th_linear_nll(a, a, NULL, ids((int64_t[]){9, 0}, 2)));
	FAILS(TH_ERR_FAILED, "p must be in [0, 1)", th_dropout(a, 1.5, no_key));
	FAILS(TH_ERR_FAILED, "0 to 8 dimensions", th_zeros(TH_F32, cpu, TH_MAX_DIMS + 1, shape));
	FAILS(TH_ERR_FAILED, "unknown dtype", th_zeros((th_dtype)99, cpu, SHAPE(1)));
	FAILS(TH_ERR_FAILED, "unknown device 'tpu'", th_device_of("tpu"));
	FAILS(TH_ERR_FAILED, "unknown device 'cuda:x'", th_device_of("cuda:x"));
	FAILS(TH_ERR_FAILED, "unknown device 'cuda:1x'", th_device_of("cuda:1x"));
	FAILS(TH_ERR_FAILED, "does not require grad", th_backward(th_sum(a)));
	FAILS(TH_ERR_FAILED, "cannot be converted to Scalar", th_item(a));
	FAILS(TH_ERR_FAILED, "none is open", th_no_grad_close());
#ifndef __SANITIZE_ADDRESS__ /* which ends the program instead */
	FAILS(TH_ERR_MEMORY, "allocate", th_zeros(TH_F64, cpu, 2, huge));
#endif
	assert_number(th_item(th_sum(a)), 0, 0); /* and it goes on */
}

static void missing_device(void **state)
{
	(void)state;
	if (th_has_cuda())
		FAILS(TH_ERR_DEVICE, "no device 'cuda:99'", th_device_of("cuda:99"));
	else
		FAILS(TH_ERR_DEVICE, "no device 'cuda': there is no CUDA here", th_device_of("cuda"));
	assert_int_equal(th_device_of("auto").cuda, th_has_cuda());
	assert_int_equal(th_device_of("cpu").cuda, 0);
}

static void ask_for_device(const void *name)
{
	th_device_of(name);
}

static void close_nothing(const void *none)
{
	(void)none;
	for (;;)
		th_scope_close();
}

static void default_handler(void **state)
{
	(void)state;
	assert_dies(ask_for_device, "cuda:99", 4, "no device 'cuda:99'");
	assert_dies(ask_for_device, "tpu", 1, "unknown device");
	assert_dies(close_nothing, NULL, 1, "no scope is open");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_handler), /* first: it forks, which must be before libtorch has threads */
		cmocka_unit_test(outermost_scope),
#if defined __GLIBC__
		TEST(memory_is_used_again), /* before others leave holes */
#endif
		TEST(gradients_of_plain_operations),
		TEST(gradients_of_layers),
		TEST(values_of_formulas),
		TEST(products_by_bf16x3),
		TEST(layers_in_bf16),
		TEST(products_in_bf16),
		TEST(rms_norm_is_its_formula),
		TEST(rms_norm_same_for_all_threads),
		TEST(swiglu_is_its_formula),
		TEST(rope_is_its_formula),
		TEST(rope_gradient),
		TEST(dropout_is_philox),
		TEST(dropout_drops_its_share),
		TEST(dropout_same_for_all_threads),
		TEST(attention_is_its_formula),
		TEST(attention_gradient),
		TEST(attention_of_views),
		TEST(attention_packed),
		TEST(attention_that_sees_nothing),
		TEST(cross_entropy_is_its_formula),
		TEST(linear_cross_entropy_is_its_formula),
		TEST(linear_cross_entropy_in_chunks),
		TEST(rank_of_the_target),
		TEST(rank_in_chunks),
		TEST(loss_gradient),
		TEST(loss_of_extreme_logits),
		TEST(loss_without_some_words),
		TEST(loss_of_ignored_rows),
		TEST(leaves_and_gradients),
		TEST(adding_in_place),
		TEST(rounding_is_fair),
		TEST(embedding_adds_up_in_f32),
		TEST(padding_has_no_gradient),
		TEST(gradient_of_rows),
		TEST(checkpoint_changes_nothing),
		TEST(checkpoint_inside_checkpoint),
		TEST(adamw_is_its_formula),
		TEST(adamw_from_bf16_to_copies),
		TEST(clipping),
		TEST(moving_data),
		TEST(scopes),
		TEST(becomes),
		TEST(freed_handles),
		TEST(no_grad_pairs),
		TEST(same_bytes_every_time),
		TEST(fetching),
		TEST(lists_of_tensors),
		TEST(skipping_an_update),
		TEST(replaying),
		TEST(loss_in_f16),
		TEST(gpu_as_cpu),
		TEST(gpu_dropout),
		TEST(gpu_optimiser),
		TEST(errors),
		TEST(missing_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
