/*
 * product.cpp: matrix products of layers, with a bias, and their gradients, where libtorch's own way to the library
 * that multiplies is a detour.
 */
#include "fused_parts.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

/*
 * oneDNN's product with a bias, which libtorch offers as an operator of its compiler. Its own operators, in bfloat16,
 * first fill the result with the bias, and then read it: a fifth more time. In f32 they multiply by MKL, which has no
 * AVX-512 on processors that are not Intel's: there oneDNN takes a tenth less time, with a vocabulary a third; on
 * Intel's it takes a tenth more.
 */
static const std::optional<c10::OperatorHandle> &onednn_linear()
{
	static const std::optional<c10::OperatorHandle> op =
	    c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
	return op;
}

static bool is_bf16(const Tensor &x)
{
	return x.is_cpu() && x.scalar_type() == at::kBFloat16;
}

static bool multiplies_bf16(const Tensor &x)
{
	return is_bf16(x) && machine_multiplies_bf16();
}

static bool fit(const Tensor &x, const Tensor &w)
{
	return w.is_cpu() && w.scalar_type() == x.scalar_type() && x.numel() > 0 && w.numel() > 0 && w.dim() == 2 &&
	       x.size(-1) == w.size(1);
}

static bool takes_onednn(const Tensor &x, const Tensor &w)
{
	const bool wide = x.is_cpu() && x.scalar_type() == at::kFloat && machine_has_avx512() && !machine_is_intel();

	return (wide || multiplies_bf16(x)) && fit(x, w) && onednn_linear().has_value();
}

static bool takes_f32(const Tensor &x, const Tensor &w)
{
	return is_bf16(x) && !machine_multiplies_bf16() && fit(x, w);
}

/*
 * Columns of a product that are made at a time where there are many: with the vocabulary's all at once oneDNN takes a
 * fifth more time.
 */
static const int64_t PART = 4096;

static Tensor multiply_by_parts(const Tensor &x, const Tensor &w, const Tensor &b)
{
	const int64_t O = w.size(0);
	Tensor y = at::empty({x.size(0), O}, x.options());

	for (int64_t i = 0; i < O; i += PART) {
		const int64_t m = std::min(PART, O - i);
		const Tensor part = w.narrow(0, i, m).t();
		Tensor columns = y.narrow(1, i, m);
		if (b.defined())
			at::addmm_out(columns, b.narrow(0, i, m), x, part);
		else
			at::mm_out(columns, x, part);
	}
	return y;
}

static Tensor in_f32(const Tensor &x)
{
	return x.defined() ? x.to(at::kFloat) : x;
}

/* y (n, O) = x (n, I) w^T + b, all of bfloat16, by products of f32; parts of a vocabulary, for their copies are twice as large */
static void multiply_in_f32(const Tensor &x, const Tensor &w, const Tensor &b, const Tensor &y)
{
	const int64_t I = x.size(1), O = w.size(0);

	if (I > 2 * PART) {
		Tensor sum = at::zeros(y.sizes(), y.options().dtype(at::kFloat));
		if (b.defined())
			sum.copy_(b.expand_as(sum));
		for (int64_t i = 0; i < I; i += PART) {
			const int64_t m = std::min(PART, I - i);
			sum.addmm_(in_f32(x.narrow(1, i, m)), in_f32(w.narrow(1, i, m)).t());
		}
		y.copy_(sum);
		return;
	}
	const Tensor wide = in_f32(x);
	for (int64_t i = 0; i < O; i += PART) {
		const int64_t m = std::min(PART, O - i);
		y.narrow(1, i, m).copy_(multiply(wide, in_f32(w.narrow(0, i, m)), in_f32(b.defined() ? b.narrow(0, i, m) : b)));
	}
}

Tensor multiply(const Tensor &x, const Tensor &w, const Tensor &b)
{
	if (takes_f32(x, w)) {
		const Tensor y = at::empty({x.size(0), w.size(0)}, x.options());
		multiply_in_f32(x, w, b, y);
		return y;
	}
	if (!takes_onednn(x, w))
		return at::linear(x, w, optional(b));
	if (multiplies_bf16(x)) {
		if (w.size(0) > 2 * PART)
			return multiply_by_parts(x, w, b);
		if (!b.defined()) /* the operator with a bias takes a twentieth more */
			return at::mm(x, w.t());
	}
	const at::AutoDispatchBelowADInplaceOrView guard;
	std::vector<c10::IValue> stack{x, w, b.defined() ? c10::IValue(b) : c10::IValue(), "none",
				       c10::List<std::optional<at::Scalar>>(), c10::IValue()};
	onednn_linear()->callBoxed(&stack);
	return stack[0].toTensor();
}

void multiply_into(const Tensor &x, const Tensor &w, Tensor &y)
{
	if (takes_f32(x, w))
		multiply_in_f32(x, w, Tensor(), y);
	else
		at::mm_out(y, x, w.t());
}

/* to (m, n) = x (n, m)^T */
static void turn(const Tensor &x, Tensor &to)
{
	const int64_t n = x.size(0), m = x.size(1), ld = x.stride(0), size = x.element_size();
	const kernel_table *kernels = kernels_of(x);
	const char *from = bytes_of(x);
	char *y = bytes_of(to);

	at::parallel_for(0, (n + 31) / 32, 1 + 16384 / (32 * m), [&](int64_t begin, int64_t end) {
		const int64_t first = 32 * begin;
		kernels->transpose(from + first * ld * size, ld, y + first * size, to.stride(0), std::min(n, 32 * end) - first, m);
	});
}

static const int64_t SMALL = 1 << 20; /* elements of a product, up to which oneDNN makes some, such as 768 x 768, in one thread */

/* y (m, O) = a^T b, of a (n, m), turned in room for (m, n); a small one is divided among threads */
static void multiply_part_turned(const Tensor &a, const Tensor &b, const Tensor &room, const Tensor &y)
{
	const int64_t m = a.size(1), grain = y.numel() <= SMALL ? 1 : m;

	at::parallel_for(0, (m + 31) / 32, grain, [&](int64_t begin, int64_t end) {
		const at::AutoDispatchBelowADInplaceOrView guard;
		const int64_t i = 32 * begin, some = std::min(m, 32 * end) - i;
		Tensor turned = room.narrow(0, i, some), rows = y.narrow(0, i, some);
		turn(a.narrow(1, i, some), turned);
		at::mm_out(rows, turned, b);
	});
}

/*
 * From one row of n bfloat16 to the next: rows whole KiBs apart share few sets of the cache. Others stay close, for of
 * an odd n oneDNN reads one more, which must be a number.
 */
static int64_t apart(int64_t n)
{
	return n % 512 == 0 ? n + 32 : n;
}

static Tensor multiply_turned_in_f32(const Tensor &a, const Tensor &b)
{
	const int64_t I = a.size(1);
	const Tensor wide = in_f32(b), y = at::empty({I, b.size(1)}, a.options());

	for (int64_t i = 0; i < I; i += PART) {
		const int64_t m = std::min(PART, I - i);
		y.narrow(0, i, m).copy_(at::mm(in_f32(a.narrow(1, i, m)).t(), wide));
	}
	return y;
}

/*
 * In bfloat16 the first factor is turned in memory, some of its columns at a time: oneDNN turns it too, but so slowly
 * that with AMX the product takes a third more time.
 */
Tensor multiply_turned(const Tensor &a, const Tensor &b)
{
	const int64_t n = a.size(0), I = a.size(1);

	if (is_bf16(a) && !machine_multiplies_bf16())
		return multiply_turned_in_f32(a, b);
	if (!multiplies_bf16(a) || a.numel() == 0 || a.stride(1) != 1)
		return at::mm(a.t(), b);
	const Tensor y = at::empty({I, b.size(1)}, a.options());
	const Tensor room = at::empty({std::min(I, PART), apart(n)}, a.options()).narrow(1, 0, n);
	for (int64_t i = 0; i < I; i += PART) {
		const int64_t m = std::min(PART, I - i);
		multiply_part_turned(a.narrow(1, i, m), b, room, y.narrow(0, i, m));
	}
	return y;
}

Tensor sum_rows(const Tensor &x)
{
	if (!has_kernels(x))
		return x.sum(0);
	const kernel_table *kernels = kernels_of(x);
	const int64_t n = x.size(0), C = x.size(1), rows = piece_rows(n), pieces = (n + rows - 1) / rows;
	Tensor sums = at::zeros({pieces, C}, x.options().dtype(sum_type(x)));
	const char *from = bytes_of(x);
	char *to = bytes_of(sums);

	at::parallel_for(0, pieces, 1 + 16384 / (rows * C + 1), [&](int64_t begin, int64_t end) {
		for (int64_t i = begin; i < end; i++)
			kernels->add_rows(from + i * rows * C * x.element_size(), C, std::min(rows, n - i * rows), C,
					  to + i * C * sums.element_size());
	});
	return sums.sum(0).to(x.scalar_type());
}

struct Product : Function<Product> {
	static Tensor forward(AutogradContext *ctx, const Tensor &x, const Tensor &w, const std::optional<Tensor> &b)
	{
		ctx->save_for_backward({x, w});
		ctx->saved_data["bias"] = b && b->requires_grad();
		return multiply(x, w, b.value_or(Tensor()));
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const variable_list saved = ctx->get_saved_variables();
		const Tensor &x = saved[0], &w = saved[1], g = grad[0].contiguous();
		Tensor dx, dw, db;

		if (ctx->needs_input_grad(0))
			dx = multiply(g, w.t(), Tensor());
		if (ctx->needs_input_grad(1)) /* in the layout of w */
			dw = w.is_contiguous() ? multiply_turned(g, x) : multiply_turned(x, g).t();
		if (ctx->saved_data["bias"].toBool())
			db = sum_rows(g);
		return {dx, dw, db};
	}
};

Tensor fused_linear(const Tensor &x, const Tensor &w, const Tensor &b)
{
	if (!(takes_onednn(x, w) || takes_f32(x, w)) || (b.defined() && b.scalar_type() != x.scalar_type()))
		return at::linear(x, w, optional(b));
	std::vector<int64_t> shape = x.sizes().vec();
	shape.back() = w.size(0);
	return Product::apply(x.reshape({-1, w.size(1)}).contiguous(), w, optional(b)).view(shape);
}

Tensor fused_affine(const Tensor &x, const Tensor &w, const Tensor &b)
{
	return fused_linear(x, w.t(), b);
}
