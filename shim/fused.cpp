/*
 * fused.cpp: dropout, GELU, SwiGLU, RMS norm, rotary positions and checkpointing: operations for which libtorch's own
 * are slow or hold too much memory. On the cpu they run on kernels.cpp and product.cpp; on other devices they are put
 * together from libtorch's operations.
 */
#include "fused_parts.h"
#include "graph.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/native_dropout.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <mutex>

mask make_mask(double p, th_key key)
{
	TORCH_CHECK(p >= 0 && p < 1, "dropout: p must be in [0, 1), is ", p);
	return {key.seed, key.stream, static_cast<uint32_t>(std::fmin(std::llround(p * 4294967296.0), 4294967295.0)),
		1 / (1 - p), p > 0};
}

at::Generator fused_seed(at::Device device, th_key key)
{
	uint64_t z = key.seed ^ (key.stream * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019); /* splitmix64's finish */
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
	at::Generator g = at::globalContext().defaultGenerator(device);
	std::lock_guard<std::mutex> lock(g.mutex());
	g.set_current_seed((z ^ (z >> 31)) >> 1);
	return g;
}

/*
 * For devices without our kernels. In a graph the seed is not a constant: the replay sets it, for all masks within,
 * which then are so many successive parts of the generator's one sequence.
 */
at::Generator generator_of(const Tensor &x, th_key key)
{
	return graph_is_recording() ? at::globalContext().defaultGenerator(x.device()) : fused_seed(x.device(), key);
}

void save_key(AutogradContext *ctx, th_key key)
{
	ctx->saved_data["seed"] = static_cast<int64_t>(key.seed);
	ctx->saved_data["stream"] = static_cast<int64_t>(key.stream);
}

th_key saved_key(AutogradContext *ctx)
{
	return {static_cast<uint64_t>(ctx->saved_data["seed"].toInt()),
		static_cast<uint64_t>(ctx->saved_data["stream"].toInt())};
}

/* ---- dropout ---- */

static Tensor apply_dropout(const Tensor &x_, double p, th_key key)
{
	const mask m = make_mask(p, key);
	const Tensor x = x_.contiguous();
	Tensor y = at::empty_like(x);
	const kernel_table *kernels = kernels_of(x);
	const int64_t n = x.numel(), size = x.element_size(), chunks = (n + 4095) / 4096;
	char *from = bytes_of(x), *to = bytes_of(y);
	at::parallel_for(0, chunks, 8, [&](int64_t begin, int64_t end) {
		int64_t start = begin * 4096, stop = std::min(n, end * 4096);
		kernels->dropout(from + start * size, to + start * size, start, stop - start, &m);
	});
	return y;
}

struct Dropout : Function<Dropout> {
	static Tensor forward(AutogradContext *ctx, const Tensor &x, double p, th_key key)
	{
		ctx->saved_data["p"] = p;
		save_key(ctx, key);
		return apply_dropout(x, p, key);
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		return {apply_dropout(grad[0], ctx->saved_data["p"].toDouble(), saved_key(ctx)), Tensor(), Tensor()};
	}
};

/* libtorch's own, on other devices, is one kernel each way, and keeps the mask, a byte an element, for the way back. */
Tensor fused_dropout(const Tensor &x, double p, th_key key)
{
	if (p == 0)
		return x;
	if (!x.is_cpu()) {
		make_mask(p, key); /* checks p */
		generator_of(x, key);
		return std::get<0>(at::native_dropout(x, p, true));
	}
	if (x.scalar_type() == at::kHalf)
		return fused_dropout(x.to(at::kFloat), p, key).to(at::kHalf);
	return Dropout::apply(x, p, key);
}

/* ---- rounding at random ---- */

void fused_round(Tensor &dst, const Tensor &src, th_key key, int64_t start)
{
	TORCH_CHECK(src.scalar_type() == at::kFloat && dst.scalar_type() == at::kBFloat16 &&
			src.numel() == dst.numel() && src.is_contiguous() && dst.is_contiguous() && start % 64 == 0,
		    "round: from contiguous f32 to bf16 of the same size, from a multiple of 64 on");
	if (!has_kernels(src)) {
		const Tensor bits = src.view(at::kInt); /* whose sum, of what is not a number, may be a number */
		const th_key here = {key.seed, key.stream + static_cast<uint64_t>(start) * 0x9E3779B97F4A7C15};
		const Tensor low = at::empty_like(bits).random_(0, 65536, generator_of(src, here));
		const Tensor rounded = bits.add(low).bitwise_and_(-65536).view(at::kFloat);
		dst.copy_(at::where(src.isnan(), src, rounded).view_as(dst));
		return;
	}
	const mask m = make_mask(0, key);
	const kernel_table *kernels = kernels_of(dst);
	const int64_t n = src.numel(), chunks = (n + 4095) / 4096;
	const float *from = src.const_data_ptr<float>();
	char *to = bytes_of(dst);
	at::parallel_for(0, chunks, 8, [&](int64_t begin, int64_t end) {
		const int64_t at = begin * 4096, stop = std::min(n, end * 4096);
		kernels->round_random(from + at, to + at * 2, start + at, stop - at, &m);
	});
}

/* ---- GELU ---- */

static Tensor gelu_pass(const Tensor &x)
{
	Tensor y = at::empty_like(x);
	const kernel_table *kernels = kernels_of(x);
	const int64_t size = x.element_size();
	char *from = bytes_of(x), *to = bytes_of(y);
	at::parallel_for(0, x.numel(), 16384, [&](int64_t begin, int64_t end) {
		kernels->gelu(from + begin * size, to + begin * size, end - begin);
	});
	return y;
}

/* to: g times the slope at x, may be g; y, if defined: gelu(x) again */
static void gelu_grad_pass(const Tensor &x, const Tensor &g, const Tensor &to, const Tensor &y)
{
	const kernel_table *kernels = kernels_of(x);
	const int64_t size = x.element_size();
	char *from = bytes_of(x), *slope = bytes_of(g), *d = bytes_of(to), *again = y.defined() ? bytes_of(y) : nullptr;
	at::parallel_for(0, x.numel(), 16384, [&](int64_t begin, int64_t end) {
		const int64_t at = begin * size;
		kernels->gelu_grad(from + at, slope + at, d + at, again ? again + at : nullptr, end - begin);
	});
}

struct Gelu : Function<Gelu> {
	static Tensor forward(AutogradContext *ctx, const Tensor &x_)
	{
		const Tensor x = x_.contiguous();
		ctx->save_for_backward({x});
		return gelu_pass(x);
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const Tensor x = ctx->get_saved_variables()[0], dx = at::empty_like(x);

		gelu_grad_pass(x, grad[0].contiguous(), dx, Tensor());
		return {dx};
	}
};

Tensor fused_gelu_tanh(const Tensor &x)
{
	return has_kernels(x) ? Gelu::apply(x) : at::gelu(x, "tanh");
}

/* Only what goes into the activation is kept, a quarter less of a layer; what comes out, the backward pass makes again. */
struct GeluAffine : Function<GeluAffine> {
	static Tensor forward(AutogradContext *ctx, const Tensor &x, const Tensor &w, const std::optional<Tensor> &b)
	{
		ctx->save_for_backward({x, w});
		ctx->saved_data["bias"] = b && b->requires_grad();
		return multiply(gelu_pass(x), w.t(), b.value_or(Tensor()));
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const variable_list saved = ctx->get_saved_variables();
		const Tensor &x = saved[0], &w = saved[1], g = grad[0].contiguous();
		Tensor dx, dw, db, y;

		if (ctx->needs_input_grad(0)) {
			dx = multiply(g, w, Tensor()); /* of y, so far */
			if (ctx->needs_input_grad(1))
				y = at::empty_like(x);
			gelu_grad_pass(x, dx, dx, y);
		}
		if (ctx->needs_input_grad(1))
			dw = multiply_turned(y.defined() ? y : gelu_pass(x), g);
		if (ctx->saved_data["bias"].toBool())
			db = sum_rows(g);
		return {dx, dw, db};
	}
};

Tensor fused_gelu_tanh_affine(const Tensor &x, const Tensor &w, const Tensor &b)
{
	if (!has_kernels(x))
		return fused_affine(fused_gelu_tanh(x), w, b);
	return GeluAffine::apply(x.contiguous(), w, optional(b));
}

/* ---- SwiGLU ---- */

struct Swiglu : Function<Swiglu> {
	static Tensor forward(AutogradContext *ctx, const Tensor &gate_, const Tensor &up_)
	{
		const Tensor gate = gate_.contiguous(), up = up_.contiguous();
		Tensor y = at::empty_like(gate);
		const kernel_table *kernels = kernels_of(gate);
		const int64_t size = gate.element_size();
		char *a = bytes_of(gate), *b = bytes_of(up), *to = bytes_of(y);
		at::parallel_for(0, gate.numel(), 16384, [&](int64_t begin, int64_t end) {
			kernels->swiglu(a + begin * size, b + begin * size, to + begin * size, end - begin);
		});
		ctx->save_for_backward({gate, up});
		return y;
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const variable_list saved = ctx->get_saved_variables();
		const Tensor &gate = saved[0], &up = saved[1], g = grad[0].contiguous();
		Tensor dgate = at::empty_like(gate), dup = at::empty_like(up);
		const kernel_table *kernels = kernels_of(gate);
		const int64_t size = gate.element_size();
		char *a = bytes_of(gate), *b = bytes_of(up), *from = bytes_of(g), *da = bytes_of(dgate),
		     *db = bytes_of(dup);
		at::parallel_for(0, gate.numel(), 16384, [&](int64_t begin, int64_t end) {
			const int64_t at = begin * size;
			kernels->swiglu_grad(a + at, b + at, from + at, da + at, db + at, end - begin);
		});
		return {dgate, dup};
	}
};

Tensor fused_swiglu(const Tensor &gate, const Tensor &up)
{
	TORCH_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type(),
		    "swiglu: shapes or types differ: ", gate.sizes(), " and ", up.sizes());
	return has_kernels(gate) && up.is_cpu() ? Swiglu::apply(gate, up) : at::silu(gate).mul(up);
}

/* ---- norm by the root of the mean square ---- */

struct RmsNorm : Function<RmsNorm> {
	static Tensor forward(AutogradContext *ctx, const Tensor &x_, const Tensor &w_, double eps)
	{
		const Tensor x = x_.contiguous(), w = w_.contiguous();
		Tensor y = at::empty_like(x);
		const kernel_table *kernels = kernels_of(x);
		const int64_t C = w.numel(), n = x.numel() / C, row = C * x.element_size();
		Tensor r = at::empty({n}, x.options().dtype(at::kDouble)); /* of each row */
		char *from = bytes_of(x), *by = bytes_of(w), *to = bytes_of(y);
		double *out = r.data_ptr<double>();
		at::parallel_for(0, n, 1 + 16384 / C, [&](int64_t begin, int64_t end) {
			for (int64_t i = begin; i < end; i++)
				out[i] = kernels->rms_norm_row(from + i * row, by, to + i * row, C, eps);
		});
		ctx->save_for_backward({x, w, r});
		return y;
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const variable_list saved = ctx->get_saved_variables();
		const Tensor &x = saved[0], &w = saved[1], g = grad[0].contiguous();
		const kernel_table *kernels = kernels_of(x);
		const int64_t C = w.numel(), n = x.numel() / C, row = C * x.element_size();
		const int64_t rows = piece_rows(n), pieces = (n + rows - 1) / rows;
		Tensor dx = at::empty_like(x), dw = at::zeros({pieces, C}, x.options().dtype(sum_type(x)));
		char *from = bytes_of(x), *by = bytes_of(w), *slope = bytes_of(g), *to = bytes_of(dx), *sums = bytes_of(dw);
		const double *r = saved[2].const_data_ptr<double>();
		at::parallel_for(0, pieces, 1, [&](int64_t begin, int64_t end) {
			for (int64_t i = begin * rows; i < std::min(n, end * rows); i++)
				kernels->rms_norm_row_grad(from + i * row, by, slope + i * row, r[i], to + i * row,
							   sums + i / rows * C * dw.element_size(), C);
		});
		return {dx, dw.sum(0).to(w.scalar_type()), Tensor()};
	}
};

Tensor fused_rms_norm(const Tensor &x, const Tensor &w, double eps)
{
	TORCH_CHECK(w.dim() == 1 && x.dim() >= 1 && x.size(-1) == w.size(0) && w.size(0) > 0 && x.scalar_type() == w.scalar_type(),
		    "rms norm: shapes do not fit: x ", x.sizes(), ", w ", w.sizes());
	if (has_kernels(x) && w.is_cpu())
		return RmsNorm::apply(x, w, eps);
	const Tensor wide = x.to(sum_type(x));
	return wide.mul(wide.square().mean(-1, true).add(eps).rsqrt()).to(x.scalar_type()).mul(w);
}

/* ---- rotary positions ---- */

/* x (B, T, H D); table (T, D): cos, sin. sign -1 turns back, which is the gradient's way. */
static Tensor turn_heads(const Tensor &x, const Tensor &table, double sign)
{
	const int64_t B = x.size(0), T = x.size(1), D = table.size(1), H = x.size(2) / D;

	if (!has_kernels(x)) {
		const at::ScalarType wide = sum_type(x);
		const Tensor pairs = x.to(wide).view({B, T, H, 2, D / 2}), turn = table.to(wide).view({T, 1, 2, D / 2});
		const Tensor a = pairs.select(3, 0), b = pairs.select(3, 1), c = turn.select(2, 0),
			     s = turn.select(2, 1).mul(sign);
		return at::stack({a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))}, 3).view(x.sizes()).to(
		    x.scalar_type());
	}
	Tensor y = at::empty_like(x);
	const Tensor turn = table.to(sum_type(x));
	const kernel_table *kernels = kernels_of(x);
	const int64_t head = D * x.element_size(), row = D * turn.element_size();
	char *from = bytes_of(x), *to = bytes_of(y), *by = bytes_of(turn);
	at::parallel_for(0, B * T, 1 + 16384 / (H * D + 1), [&](int64_t begin, int64_t end) {
		for (int64_t i = begin; i < end; i++)
			for (int64_t h = 0; h < H; h++)
				kernels->rope(from + (i * H + h) * head, to + (i * H + h) * head, by + i % T * row,
					      D / 2, sign);
	});
	return y;
}

struct Rope : Function<Rope> {
	static Tensor forward(AutogradContext *ctx, const Tensor &x, const Tensor &table)
	{
		ctx->save_for_backward({table});
		return turn_heads(x.contiguous(), table, 1);
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		return {turn_heads(grad[0].contiguous(), ctx->get_saved_variables()[0], -1), Tensor()};
	}
};

Tensor fused_rope(const Tensor &x, const Tensor &table)
{
	TORCH_CHECK(table.dim() == 2 && table.scalar_type() == at::kFloat && table.size(1) > 0 && table.size(1) % 2 == 0,
		    "rope: table must be (T, D) f32 with an even D, is ", table.sizes());
	TORCH_CHECK(x.dim() == 3 && x.size(1) <= table.size(0) && x.size(2) % table.size(1) == 0,
		    "rope: shapes do not fit: x ", x.sizes(), ", table ", table.sizes());
	return Rope::apply(x, table.narrow(0, 0, x.size(1)).contiguous());
}

/* ---- checkpointing ---- */

/*
 * The backward pass runs f again on detached inputs and goes back through it at once, so gradients of leaves that f
 * uses besides its inputs are added to them as well. `anchor` requires grad, so that the node exists even if no input
 * does.
 */
struct Checkpoint : Function<Checkpoint> {
	static Tensor forward(AutogradContext *ctx, const Tensor & /* anchor */, at::TensorList in, th_function *f,
			      void *context)
	{
		const std::vector<Tensor> all(in.begin(), in.end());
		ctx->save_for_backward(all);
		ctx->saved_data["f"] = reinterpret_cast<int64_t>(f);
		ctx->saved_data["context"] = reinterpret_cast<int64_t>(context);
		return call_function(f, context, all);
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const at::AutoGradMode recording(true);
		std::vector<Tensor> in;
		for (const Tensor &t : ctx->get_saved_variables())
			in.push_back(t.detach().requires_grad_(t.requires_grad()));
		const Tensor out = call_function(reinterpret_cast<th_function *>(ctx->saved_data["f"].toInt()),
						 reinterpret_cast<void *>(ctx->saved_data["context"].toInt()), in);
		if (out.requires_grad())
			torch::autograd::backward({out}, {grad[0]});
		variable_list result{Tensor()};
		for (const Tensor &t : in)
			result.push_back(t.grad());
		result.insert(result.end(), 2, Tensor());
		return result;
	}
};

Tensor fused_checkpoint(th_function *f, void *context, const std::vector<Tensor> &in)
{
	if (!at::GradMode::is_enabled())
		return call_function(f, context, in);
	const Tensor anchor = at::empty({0}).requires_grad_(true);
	return Checkpoint::apply(anchor, at::TensorList(in), f, context);
}
