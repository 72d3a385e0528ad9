/*
 * fused.cpp: dropout, attention, the last layer with its loss, and checkpointing: operations for which libtorch's own
 * are slow or hold too much memory. On the cpu they run on kernels.cpp and libtorch's matrix products; on other devices
 * they are put together from libtorch's operations.
 */
#include "fused.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <cstring>
#include <mutex>

#include "kernels.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

static bool has_kernels(const Tensor &x)
{
	return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kDouble);
}

static const kernel_table *kernels_of(const Tensor &x)
{
	return kernels_for(x.scalar_type() == at::kFloat      ? KERNEL_F32
	                   : x.scalar_type() == at::kBFloat16 ? KERNEL_BF16
	                                                      : KERNEL_F64);
}

/* The type in which sums over many elements are kept. */
static at::ScalarType sum_type(const Tensor &x)
{
	return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

static char *bytes_of(const Tensor &x)
{
	return static_cast<char *>(x.data_ptr());
}

static std::optional<Tensor> optional(const Tensor &t)
{
	return t.defined() ? std::optional<Tensor>(t) : std::nullopt;
}

static mask make_mask(double p, th_key key)
{
	TORCH_CHECK(p >= 0 && p < 1, "dropout: p must be in [0, 1), is ", p);
	return {key.seed, key.stream, static_cast<uint32_t>(std::fmin(std::llround(p * 4294967296.0), 4294967295.0)),
	        1 / (1 - p), p > 0};
}

/* For devices without our kernels: libtorch's own generator, set to a seed made from the key. */
static at::Generator generator_of(const Tensor &x, th_key key)
{
	uint64_t z = key.seed ^ (key.stream * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019); /* splitmix64's finish */
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
	at::Generator g = at::globalContext().defaultGenerator(x.device());
	std::lock_guard<std::mutex> lock(g.mutex());
	g.set_current_seed((z ^ (z >> 31)) >> 1);
	return g;
}

/* ---- dropout ---- */

static Tensor apply_dropout(const Tensor &x_, double p, th_key key)
{
	const mask m = make_mask(p, key);

	if (!has_kernels(x_)) {
		Tensor kept = at::empty_like(x_, x_.options().dtype(at::kFloat)).uniform_(0, 1, generator_of(x_, key)).ge(p);
		return x_.mul(kept).mul(m.scale);
	}
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

static void save_key(AutogradContext *ctx, th_key key)
{
	ctx->saved_data["seed"] = static_cast<int64_t>(key.seed);
	ctx->saved_data["stream"] = static_cast<int64_t>(key.stream);
}

static th_key saved_key(AutogradContext *ctx)
{
	return {static_cast<uint64_t>(ctx->saved_data["seed"].toInt()),
	        static_cast<uint64_t>(ctx->saved_data["stream"].toInt())};
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

Tensor fused_dropout(const Tensor &x, double p, th_key key)
{
	if (p == 0)
		return x;
	if (x.scalar_type() == at::kHalf && x.is_cpu())
		return fused_dropout(x.to(at::kFloat), p, key).to(at::kHalf);
	return Dropout::apply(x, p, key);
}

/* ---- attention ---- */

/*
 * On the cpu: blocks of query rows. A block's products with all keys it may see, (B G, rows, keys), are made by one
 * batched product, turned into weights in place, and multiplied by the values. Heads that share a key head lie in one
 * block. The backward pass makes the products again and needs only the log-sum-exp of each row.
 */
struct attention_plan {
	int64_t B, H, G, R, T, S, D; /* R = H / G */
	int64_t rows;                /* queries a block, of one head */
	bool causal;
	double scale;
	mask m;
	const int64_t *length; /* (B) or NULL */
	const kernel_table *kernels;
	at::TensorOptions options;
	int64_t size; /* bytes of an element */

	int64_t keys(int64_t t1) const /* that some query before t1 may see */
	{
		return causal ? std::max<int64_t>(0, std::min(S, t1 + S - T)) : S;
	}
	int64_t seen(int64_t b, int64_t t) const
	{
		const int64_t n = keys(t + 1);
		return length ? std::max<int64_t>(0, std::min(n, length[b])) : n;
	}
};

/* Rows of D elements, (B, heads, T, D) in some layout of memory. */
struct head_view {
	char *at;
	int64_t b, h, t; /* strides in bytes */

	char *row(int64_t batch, int64_t head, int64_t time) const
	{
		return at + batch * b + head * h + time * t;
	}
};

static head_view view_of(const Tensor &x) // (B, heads, T, D), stride of D 1
{
	const int64_t size = x.element_size();
	return {bytes_of(x), x.stride(0) * size, x.stride(1) * size, x.stride(2) * size};
}

/* `heads` heads of D elements from head `first` on, in x (B, T, all D) contiguous */
static head_view view_of_packed(const Tensor &x, int64_t first, int64_t D)
{
	const int64_t size = x.element_size(), row = x.size(2) * size;
	return {bytes_of(x) + first * D * size, x.size(1) * row, D * size, row};
}

static attention_plan make_plan(const Tensor &x, int64_t B, int64_t H, int64_t G, int64_t T, int64_t S, int64_t D,
                                bool causal, const Tensor &length, double scale, double p, th_key key)
{
	attention_plan a;
	a.B = B, a.H = H, a.G = G, a.R = H / G, a.T = T, a.S = S, a.D = D;
	a.rows = std::min<int64_t>(T, std::max<int64_t>(16, (x.element_size() == 2 ? 128 : 64) / a.R)); /* measured */
	a.causal = causal, a.scale = scale, a.m = make_mask(p, key);
	a.length = length.defined() ? length.const_data_ptr<int64_t>() : nullptr;
	a.kernels = kernels_of(x), a.options = x.options(), a.size = x.element_size();
	return a;
}

/* Calls row(i, b, h, t) for rows [t0, t0 + n) of all heads; i counts them: as (B, heads, n). */
template <class F> static void for_rows(int64_t B, int64_t heads, int64_t t0, int64_t n, int64_t cost, const F &row)
{
	at::parallel_for(0, B * heads * n, 1 + 32768 / (cost + 1), [&](int64_t begin, int64_t end) {
		for (int64_t i = begin; i < end; i++)
			row(i, i / n / heads, i / n % heads, t0 + i % n);
	});
}

/* Times [t0, t0 + n) of all heads -> (B heads, n, D), or (B G, R n, D) for queries, which is the same memory. */
static Tensor gather(const attention_plan &a, const head_view &x, int64_t heads, int64_t t0, int64_t n)
{
	Tensor y = at::empty({a.B * a.G, heads / a.G * n, a.D}, a.options);
	char *to = bytes_of(y);
	const int64_t bytes = a.D * a.size;
	for_rows(a.B, heads, t0, n, a.D, [&](int64_t i, int64_t b, int64_t h, int64_t t) {
		memcpy(to + i * bytes, x.row(b, h, t), static_cast<size_t>(bytes));
	});
	return y;
}

/* lse: (B, H, T) */
static void attention_forward(const attention_plan &a, const head_view &q, const head_view &k, const head_view &v,
                              const head_view &out, double *lse)
{
	const Tensor k3 = gather(a, k, a.G, 0, a.S), v3 = gather(a, v, a.G, 0, a.S);
	std::vector<double> inverse(static_cast<size_t>(a.B * a.H * a.rows));

	for (int64_t t0 = 0; t0 < a.T; t0 += a.rows) {
		const int64_t n = std::min(a.rows, a.T - t0), keys = a.keys(t0 + n);
		Tensor s, o;
		char *at_s = nullptr, *at_o = nullptr;
		if (keys > 0) {
			s = at::bmm(gather(a, q, a.H, t0, n), k3.narrow(1, 0, keys).transpose(1, 2));
			at_s = bytes_of(s);
		}
		at::parallel_for(0, a.B * a.H * n, 1 + 32768 / (keys + 1), [&](int64_t begin, int64_t end) {
			std::vector<uint32_t> words(static_cast<size_t>(mask_words(keys)) + 16);
			for (int64_t i = begin; i < end; i++) {
				const int64_t row = i / n * a.T + t0 + i % n; /* of (B, H, T) */
				lse[row] = a.kernels->softmax_row(at_s + i * keys * a.size, a.seen(i / n / a.H, t0 + i % n), keys, a.scale,
				                                  &a.m, row * a.S, words.data(), &inverse[static_cast<size_t>(i)]);
			}
		});
		if (keys > 0) {
			o = at::bmm(s, v3.narrow(1, 0, keys));
			at_o = bytes_of(o);
		}
		for_rows(a.B, a.H, t0, n, a.D, [&](int64_t i, int64_t b, int64_t h, int64_t t) {
			if (keys > 0)
				a.kernels->scale_row(at_o + i * a.D * a.size, out.row(b, h, t), a.D, inverse[static_cast<size_t>(i)]);
			else
				memset(out.row(b, h, t), 0, static_cast<size_t>(a.D * a.size));
		});
	}
}

/* sum (B G, S, D) += product (B G, keys, D) */
static void add_product(const attention_plan &a, Tensor &sum, const Tensor &x, const Tensor &y)
{
	const int64_t keys = x.size(1), wide = sum.element_size();
	if (sum.scalar_type() == x.scalar_type()) {
		sum.narrow(1, 0, keys).baddbmm_(x, y);
		return;
	}
	const Tensor product = at::bmm(x, y);
	char *to = bytes_of(sum), *from = bytes_of(product);
	at::parallel_for(0, a.B * a.G, 1, [&](int64_t begin, int64_t end) {
		for (int64_t i = begin; i < end; i++)
			a.kernels->add_row(from + i * keys * a.D * a.size, to + i * a.S * a.D * wide, keys * a.D);
	});
}

static void attention_backward(const attention_plan &a, const head_view &q, const head_view &k, const head_view &v,
                               const head_view &out, const double *lse, const head_view &g, const head_view &dq,
                               const head_view &dk, const head_view &dv)
{
	const Tensor k3 = gather(a, k, a.G, 0, a.S), v3 = gather(a, v, a.G, 0, a.S);
	Tensor sum_k = at::zeros({a.B * a.G, a.S, a.D}, a.options.dtype(sum_type(k3))), sum_v = at::zeros_like(sum_k);

	for (int64_t t0 = 0; t0 < a.T; t0 += a.rows) {
		const int64_t n = std::min(a.rows, a.T - t0), keys = a.keys(t0 + n);
		if (keys == 0) {
			for_rows(a.B, a.H, t0, n, a.D, [&](int64_t, int64_t b, int64_t h, int64_t t) {
				memset(dq.row(b, h, t), 0, static_cast<size_t>(a.D * a.size));
			});
			continue;
		}
		const Tensor qb = gather(a, q, a.H, t0, n), gb = gather(a, g, a.H, t0, n);
		const Tensor kb = k3.narrow(1, 0, keys), vb = v3.narrow(1, 0, keys);
		Tensor s = at::bmm(qb, kb.transpose(1, 2)), ds = at::bmm(gb, vb.transpose(1, 2));
		char *at_s = bytes_of(s), *at_ds = bytes_of(ds), *at_g = bytes_of(gb);
		at::parallel_for(0, a.B * a.H * n, 1 + 32768 / (keys + 1), [&](int64_t begin, int64_t end) {
			std::vector<uint32_t> words(static_cast<size_t>(mask_words(keys)) + 16);
			for (int64_t i = begin; i < end; i++) {
				const int64_t b = i / n / a.H, h = i / n % a.H, t = t0 + i % n, row = i / n * a.T + t;
				const double delta = a.kernels->dot(at_g + i * a.D * a.size, out.row(b, h, t), a.D);
				a.kernels->softmax_row_grad(at_s + i * keys * a.size, at_ds + i * keys * a.size, a.seen(b, t), keys, a.scale,
				                            lse[row], delta, &a.m, row * a.S, words.data());
			}
		});
		const Tensor dqb = at::bmm(ds, kb);
		char *at_dq = bytes_of(dqb);
		for_rows(a.B, a.H, t0, n, a.D, [&](int64_t i, int64_t b, int64_t h, int64_t t) {
			memcpy(dq.row(b, h, t), at_dq + i * a.D * a.size, static_cast<size_t>(a.D * a.size));
		});
		add_product(a, sum_k, ds.transpose(1, 2), qb);
		add_product(a, sum_v, s.transpose(1, 2), gb);
	}
	char *at_k = bytes_of(sum_k), *at_v = bytes_of(sum_v);
	const int64_t row = a.D * sum_k.element_size();
	for_rows(a.B, a.G, 0, a.S, a.D, [&](int64_t i, int64_t b, int64_t h, int64_t t) {
		a.kernels->round_row(at_k + i * row, dk.row(b, h, t), a.D);
		a.kernels->round_row(at_v + i * row, dv.row(b, h, t), a.D);
	});
}

static void save_attention(AutogradContext *ctx, bool causal, double scale, double p, th_key key)
{
	ctx->saved_data["causal"] = causal;
	ctx->saved_data["scale"] = scale;
	ctx->saved_data["p"] = p;
	save_key(ctx, key);
}

static Tensor rows_of_ones(const Tensor &x) /* x with its last dimension running fastest */
{
	return x.stride(-1) == 1 ? x : x.contiguous();
}

struct Attention : Function<Attention> {
	static Tensor forward(AutogradContext *ctx, const Tensor &q_, const Tensor &k_, const Tensor &v_, bool causal,
	                      const std::optional<Tensor> &length_, double scale, double p, th_key key)
	{
		const Tensor q = rows_of_ones(q_), k = rows_of_ones(k_), v = rows_of_ones(v_), length = length_.value_or(Tensor());
		const attention_plan a = make_plan(q, q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3), causal,
		                                   length, scale, p, key);
		/* laid out as (B, T, H, D), for that is how the next operation wants it */
		Tensor out = at::empty({a.B, a.T, a.H, a.D}, q.options()).transpose(1, 2);
		Tensor lse = at::empty({a.B, a.H, a.T}, q.options().dtype(at::kDouble));

		attention_forward(a, view_of(q), view_of(k), view_of(v), view_of(out), lse.data_ptr<double>());
		ctx->save_for_backward({q, k, v, out, lse, length});
		save_attention(ctx, causal, scale, p, key);
		return out;
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const variable_list saved = ctx->get_saved_variables();
		const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &lse = saved[4], &length = saved[5];
		const attention_plan a = make_plan(q, q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3),
		                                   ctx->saved_data["causal"].toBool(), length, ctx->saved_data["scale"].toDouble(),
		                                   ctx->saved_data["p"].toDouble(), saved_key(ctx));
		const Tensor g = rows_of_ones(grad[0]);
		Tensor dq = at::empty({a.B, a.T, a.H, a.D}, q.options()).transpose(1, 2);
		Tensor dk = at::empty({a.B, a.S, a.G, a.D}, q.options()).transpose(1, 2);
		Tensor dv = at::empty({a.B, a.S, a.G, a.D}, q.options()).transpose(1, 2);

		attention_backward(a, view_of(q), view_of(k), view_of(v), view_of(out), lse.const_data_ptr<double>(), view_of(g),
		                   view_of(dq), view_of(dk), view_of(dv));
		return {dq, dk, dv, Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
	}
};

/* The same on x (B, T, (H + 2 G) D): nothing is copied apart, and the gradient is one tensor. */
struct PackedAttention : Function<PackedAttention> {
	static attention_plan plan(const Tensor &x, int64_t H, int64_t G, bool causal, const Tensor &length, double scale,
	                           double p, th_key key)
	{
		return make_plan(x, x.size(0), H, G, x.size(1), x.size(1), x.size(2) / (H + 2 * G), causal, length, scale, p, key);
	}

	static Tensor forward(AutogradContext *ctx, const Tensor &x_, int64_t H, int64_t G, bool causal,
	                      const std::optional<Tensor> &length_, double scale, double p, th_key key)
	{
		const Tensor x = x_.contiguous(), length = length_.value_or(Tensor());
		const attention_plan a = plan(x, H, G, causal, length, scale, p, key);
		Tensor out = at::empty({a.B, a.T, H * a.D}, x.options());
		Tensor lse = at::empty({a.B, H, a.T}, x.options().dtype(at::kDouble));

		attention_forward(a, view_of_packed(x, 0, a.D), view_of_packed(x, H, a.D), view_of_packed(x, H + G, a.D),
		                  view_of_packed(out, 0, a.D), lse.data_ptr<double>());
		ctx->save_for_backward({x, out, lse, length});
		ctx->saved_data["heads"] = H;
		ctx->saved_data["key heads"] = G;
		save_attention(ctx, causal, scale, p, key);
		return out;
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const variable_list saved = ctx->get_saved_variables();
		const Tensor &x = saved[0], &out = saved[1], &lse = saved[2], g = grad[0].contiguous();
		const int64_t H = ctx->saved_data["heads"].toInt(), G = ctx->saved_data["key heads"].toInt();
		const attention_plan a = plan(x, H, G, ctx->saved_data["causal"].toBool(), saved[3],
		                              ctx->saved_data["scale"].toDouble(), ctx->saved_data["p"].toDouble(), saved_key(ctx));
		Tensor dx = at::empty_like(x);

		attention_backward(a, view_of_packed(x, 0, a.D), view_of_packed(x, H, a.D), view_of_packed(x, H + G, a.D),
		                   view_of_packed(out, 0, a.D), lse.const_data_ptr<double>(), view_of_packed(g, 0, a.D),
		                   view_of_packed(dx, 0, a.D), view_of_packed(dx, H, a.D), view_of_packed(dx, H + G, a.D));
		return {dx, Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
	}
};

/* libtorch's own; its causal mask counts from the first key, ours from the last, so T != S needs a mask. */
static Tensor library_attention(const Tensor &q, Tensor k, Tensor v, bool causal, const Tensor &length, double scale,
                                double p, th_key key)
{
	const int64_t T = q.size(2), S = k.size(2), R = q.size(1) / k.size(1);
	std::optional<Tensor> seen;

	if (R > 1) {
		k = k.repeat_interleave(R, 1);
		v = v.repeat_interleave(R, 1);
	}
	if (causal && T != S) {
		Tensor row = at::arange(T, q.options().dtype(at::kLong)).add(S - T).unsqueeze(1);
		seen = at::arange(S, row.options()).unsqueeze(0).le(row).view({1, 1, T, S});
		causal = false;
	}
	if (length.defined()) {
		Tensor s = at::arange(S, length.options());
		Tensor inside = s.unsqueeze(0).lt(length.unsqueeze(1)).view({-1, 1, 1, S});
		if (causal)
			inside = inside.logical_and(s.unsqueeze(0).le(s.unsqueeze(1)).view({1, 1, T, S}));
		seen = seen ? seen->logical_and(inside) : inside;
		causal = false;
	}
	if (p > 0)
		generator_of(q, key);
	Tensor out = at::scaled_dot_product_attention(q, k, v, seen, p, causal, scale);
	return seen ? out.nan_to_num(0.0) : out; /* rows that see nothing */
}

Tensor fused_attention(const Tensor &q, const Tensor &k, const Tensor &v, bool causal, const Tensor &length,
                       double scale, double p, th_key key)
{
	TORCH_CHECK(q.dim() == 4 && k.dim() == 4 && v.dim() == 4, "attention: q, k and v must have 4 dimensions, have ",
	            q.dim(), ", ", k.dim(), " and ", v.dim());
	TORCH_CHECK(k.sizes() == v.sizes() && q.size(0) == k.size(0) && q.size(3) == k.size(3) && k.size(1) > 0 &&
	                q.size(1) % k.size(1) == 0,
	            "attention: shapes do not fit: q ", q.sizes(), ", k ", k.sizes(), ", v ", v.sizes());
	TORCH_CHECK(q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
	            "attention: q, k and v differ in type");
	TORCH_CHECK(!length.defined() || (length.dim() == 1 && length.size(0) == q.size(0) && length.scalar_type() == at::kLong),
	            "attention: length must be (", q.size(0), ") i64");
	if (length.defined() && !length.is_contiguous())
		return fused_attention(q, k, v, causal, length.contiguous(), scale, p, key);
	if (!q.is_cpu())
		return library_attention(q, k, v, causal, length, scale, p, key);
	if (!has_kernels(q))
		return fused_attention(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), causal, length, scale, p, key)
			.to(q.scalar_type());
	return Attention::apply(q, k, v, causal, optional(length), scale, p, key);
}

Tensor fused_attention_packed(const Tensor &x, int64_t heads, int64_t key_heads, bool causal, const Tensor &length,
                              double scale, double p, th_key key)
{
	TORCH_CHECK(heads > 0 && key_heads > 0 && heads % key_heads == 0 && x.dim() == 3 &&
	                x.size(2) % (heads + 2 * key_heads) == 0,
	            "attention: ", heads, " heads and ", key_heads, " key heads do not fit ", x.sizes());
	TORCH_CHECK(!length.defined() || (length.dim() == 1 && length.size(0) == x.size(0) && length.scalar_type() == at::kLong),
	            "attention: length must be (", x.size(0), ") i64");
	if (has_kernels(x))
		return PackedAttention::apply(x, heads, key_heads, causal,
		                              optional(length.defined() ? length.contiguous() : length), scale, p, key);
	const int64_t D = x.size(2) / (heads + 2 * key_heads), n[] = {heads, key_heads, key_heads};
	Tensor part[3];
	for (int64_t i = 0, from = 0; i < 3; from += n[i++])
		part[i] = x.narrow(2, from * D, n[i] * D).view({x.size(0), x.size(1), n[i], D}).transpose(1, 2);
	return fused_attention(part[0], part[1], part[2], causal, length, scale, p, key)
	    .transpose(1, 2)
	    .reshape({x.size(0), x.size(1), heads * D});
}

/* ---- GELU ---- */

static Tensor gelu_pass(const Tensor &x, const Tensor &g) /* g undefined: forward */
{
	Tensor y = at::empty_like(x);
	const kernel_table *kernels = kernels_of(x);
	const int64_t size = x.element_size();
	char *from = bytes_of(x), *grad = g.defined() ? bytes_of(g) : nullptr, *to = bytes_of(y);
	at::parallel_for(0, x.numel(), 16384, [&](int64_t begin, int64_t end) {
		if (grad)
			kernels->gelu_grad(from + begin * size, grad + begin * size, to + begin * size, end - begin);
		else
			kernels->gelu(from + begin * size, to + begin * size, end - begin);
	});
	return y;
}

struct Gelu : Function<Gelu> {
	static Tensor forward(AutogradContext *ctx, const Tensor &x_)
	{
		const Tensor x = x_.contiguous();
		ctx->save_for_backward({x});
		return gelu_pass(x, Tensor());
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		return {gelu_pass(ctx->get_saved_variables()[0], grad[0].contiguous())};
	}
};

Tensor fused_gelu_tanh(const Tensor &x)
{
	return has_kernels(x) ? Gelu::apply(x) : at::gelu(x, "tanh");
}

/* ---- last layer and loss ---- */

/* Rows of logits held at a time: as many as fit a budget of bytes, in chunks of equal size. */
static int64_t chunk_rows(int64_t n, int64_t row_bytes)
{
	const int64_t budget = int64_t(256) << 20;
	const int64_t most = std::max<int64_t>(1, budget / std::max<int64_t>(1, row_bytes));
	const int64_t chunks = (n + most - 1) / most;
	return std::max<int64_t>(1, (n + chunks - 1) / std::max<int64_t>(1, chunks));
}

/* logits (n, V) become their gradient (if wanted), loss[i] the row's -log p */
static void cross_entropy_rows(Tensor &logits, const Tensor &target, double scale, bool gradient, Tensor &loss)
{
	const int64_t n = logits.size(0), V = logits.size(1);

	if (has_kernels(logits)) {
		const kernel_table *kernels = kernels_of(logits);
		const int64_t size = logits.element_size(), *want = target.data_ptr<int64_t>();
		char *at_x = bytes_of(logits);
		double *out = loss.data_ptr<double>();
		at::parallel_for(0, n, 1 + 16384 / V, [&](int64_t begin, int64_t end) {
			for (int64_t i = begin; i < end; i++) {
				TORCH_CHECK(want[i] < V, "cross entropy: target ", want[i], " is not below ", V);
				out[i] = kernels->cross_entropy_row(at_x + i * V * size, V, want[i], scale, gradient);
			}
		});
		return;
	}
	const Tensor counts = target.ge(0), at = target.clamp_min(0).unsqueeze(1);
	const Tensor log_p = at::log_softmax(logits, 1, at::kFloat);
	loss.copy_(log_p.gather(1, at).squeeze(1).neg().mul(counts));
	if (gradient) {
		Tensor g = log_p.exp_();
		g.scatter_add_(1, at, at::full_like(at, -1, g.options()));
		logits.copy_(g.mul_(counts.unsqueeze(1).to(g.scalar_type()).mul_(scale)));
	}
}

static void check_linear_loss(const Tensor &h, const Tensor &w, const Tensor &b, const Tensor &target)
{
	TORCH_CHECK(h.dim() == 2 && w.dim() == 2 && h.size(1) == w.size(1), "cross entropy: shapes do not fit: h ", h.sizes(),
	            ", w ", w.sizes());
	TORCH_CHECK(!b.defined() || (b.dim() == 1 && b.size(0) == w.size(0)), "cross entropy: bias ", b.sizes(),
	            " does not fit w ", w.sizes());
	TORCH_CHECK(target.dim() == 1 && target.size(0) == h.size(0) && target.scalar_type() == at::kLong,
	            "cross entropy: target must be (", h.size(0), ") i64");
}

static Tensor loss_rows(const Tensor &h)
{
	return at::zeros({h.size(0)}, h.options().dtype(h.is_cpu() ? at::kDouble : at::kFloat));
}

struct LinearCrossEntropy : Function<LinearCrossEntropy> {
	static Tensor forward(AutogradContext *ctx, const Tensor &h_, const Tensor &w, const std::optional<Tensor> &b_,
	                      const Tensor &target_, double scale, bool gradient)
	{
		const Tensor b = b_.value_or(Tensor());
		const Tensor h = h_.contiguous(), target = target_.contiguous();
		const int64_t N = h.size(0), V = w.size(0), rows = chunk_rows(N, V * h.element_size());
		const bool need_h = gradient && h_.requires_grad(), need_w = gradient && w.requires_grad();
		const bool need_b = gradient && b.defined() && b.requires_grad();
		const at::ScalarType wide = sum_type(h);
		Tensor loss = loss_rows(h), dh, dw, db;

		if (need_h)
			dh = at::empty_like(h);
		if (need_b)
			db = at::zeros({V}, h.options().dtype(wide));
		for (int64_t r = 0; r < N; r += rows) {
			const int64_t n = std::min(rows, N - r);
			const Tensor hc = h.narrow(0, r, n);
			Tensor logits = at::linear(hc, w, optional(b)), part = loss.narrow(0, r, n);
			cross_entropy_rows(logits, target.narrow(0, r, n), scale, need_h || need_w || need_b, part);
			if (need_h) {
				Tensor rows_h = dh.narrow(0, r, n);
				at::mm_out(rows_h, logits, w);
			}
			if (need_w && n == N)
				dw = at::mm(logits.t(), hc);
			else if (need_w && dw.defined() && dw.scalar_type() == h.scalar_type())
				dw.addmm_(logits.t(), hc);
			else if (need_w && dw.defined())
				dw.add_(at::mm(logits.t(), hc));
			else if (need_w)
				dw = at::mm(logits.t(), hc).to(wide);
			if (need_b)
				db.add_(logits.sum(0, false, wide));
		}
		if (N == 0 && need_w)
			dw = at::zeros_like(w);
		ctx->save_for_backward({dh, need_w ? dw.to(w.scalar_type()) : dw, need_b ? db.to(b.scalar_type()) : db});
		return loss.sum().mul(scale).to(wide);
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		variable_list saved = ctx->get_saved_variables();
		const bool one = grad[0].is_cpu() && grad[0].item<double>() == 1;
		for (Tensor &g : saved)
			if (g.defined() && !one)
				g = g.mul(grad[0].to(g.scalar_type()));
		return {saved[0], saved[1], saved[2], Tensor(), Tensor(), Tensor()};
	}
};

Tensor fused_linear_cross_entropy(const Tensor &h, const Tensor &w, const Tensor &b, const Tensor &target, double scale)
{
	check_linear_loss(h, w, b, target);
	return LinearCrossEntropy::apply(h, w, optional(b), target, scale, at::GradMode::is_enabled());
}

Tensor fused_linear_nll(const Tensor &h_, const Tensor &w, const Tensor &b, const Tensor &target_)
{
	at::NoGradGuard guard;
	check_linear_loss(h_, w, b, target_);
	const Tensor h = h_.contiguous(), target = target_.contiguous();
	const int64_t N = h.size(0), rows = chunk_rows(N, w.size(0) * h.element_size());
	Tensor loss = loss_rows(h);

	for (int64_t r = 0; r < N; r += rows) {
		const int64_t n = std::min(rows, N - r);
		Tensor logits = at::linear(h.narrow(0, r, n), w, optional(b)), part = loss.narrow(0, r, n);
		cross_entropy_rows(logits, target.narrow(0, r, n), 0, false, part);
	}
	return loss.to(sum_type(h));
}

/* ---- checkpointing ---- */

/*
 * The backward pass runs f again on detached inputs and goes back through it at once, so gradients of leaves that f
 * uses besides its inputs are added to them as well. `anchor` requires grad, so that the node exists even if no input does.
 */
struct Checkpoint : Function<Checkpoint> {
	static Tensor forward(AutogradContext *ctx, const Tensor & /* anchor */, at::TensorList in, th_function *f, void *context)
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

/* ---- for the gradient's norm ---- */

bool fused_has_kernels(const Tensor &x)
{
	return has_kernels(x);
}

/* Fixed pieces, added in order: the same result for any number of threads. */
double fused_sum_squares(const Tensor &x_)
{
	const int64_t piece = 1 << 16;
	const Tensor x = x_.contiguous();
	const kernel_table *kernels = kernels_of(x);
	const int64_t n = x.numel(), size = x.element_size();
	const char *from = bytes_of(x);
	std::vector<double> sum(static_cast<size_t>((n + piece - 1) / piece));
	at::parallel_for(0, static_cast<int64_t>(sum.size()), 1, [&](int64_t begin, int64_t end) {
		for (int64_t i = begin; i < end; i++)
			sum[static_cast<size_t>(i)] = kernels->sum_squares(from + i * piece * size, std::min(piece, n - i * piece));
	});
	double total = 0;
	for (double s : sum)
		total += s;
	return total;
}
