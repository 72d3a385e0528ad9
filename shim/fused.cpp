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
#include <ATen/ops/linear.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
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
struct block_plan {
	int64_t B, H, G, R, T, S, D; /* R = H / G */
	int64_t rows;                /* queries a block, of one head */
	bool causal;
	double scale;

	int64_t keys(int64_t t1) const /* that some query before t1 may see */
	{
		return causal ? std::max<int64_t>(0, std::min(S, t1 + S - T)) : S;
	}
	int64_t seen(int64_t t, const int64_t *length, int64_t b) const
	{
		int64_t n = causal ? std::max<int64_t>(0, std::min(S, t + 1 + S - T)) : S;
		return length ? std::max<int64_t>(0, std::min(n, length[b])) : n;
	}
};

static block_plan make_plan(const Tensor &q, const Tensor &k, bool causal, double scale)
{
	block_plan a;
	a.B = q.size(0), a.H = q.size(1), a.T = q.size(2), a.D = q.size(3);
	a.G = k.size(1), a.S = k.size(2), a.R = a.H / a.G;
	a.causal = causal, a.scale = scale;
	a.rows = std::min<int64_t>(a.T, std::max<int64_t>(16, 128 / a.R));
	return a;
}

/* q (B, H, T, D), queries [t0, t0 + n) -> (B G, R n, D) contiguous */
static Tensor query_block(const Tensor &q, const block_plan &a, int64_t t0, int64_t n)
{
	return q.narrow(2, t0, n).reshape({a.B, a.G, a.R, n, a.D}).reshape({a.B * a.G, a.R * n, a.D}).contiguous();
}

/* Calls row(i, b, h, t) for each row i of a block of n queries from t0 on; i counts as in (B G, R n). */
template <class F> static void for_rows(const block_plan &a, int64_t t0, int64_t n, int64_t keys, const F &row)
{
	at::parallel_for(0, a.B * a.H * n, 1 + 16384 / (keys + 1), [&](int64_t begin, int64_t end) {
		std::vector<uint32_t> words(static_cast<size_t>(mask_words(keys)) + 16);
		for (int64_t i = begin; i < end; i++)
			row(i, i / n / a.H, i / n % a.H, t0 + i % n, words.data());
	});
}

struct Attention : Function<Attention> {
	static Tensor forward(AutogradContext *ctx, const Tensor &q_, const Tensor &k_, const Tensor &v_, bool causal,
	                      const std::optional<Tensor> &length_, double scale, double p, th_key key)
	{
		const Tensor length = length_.value_or(Tensor());
		const block_plan a = make_plan(q_, k_, causal, scale);
		const mask m = make_mask(p, key);
		const Tensor q = q_, k = k_.contiguous(), v = v_.contiguous();
		const Tensor k3 = k.view({a.B * a.G, a.S, a.D}), v3 = v.view({a.B * a.G, a.S, a.D});
		const kernel_table *kernels = kernels_of(q);
		const int64_t size = q.element_size();
		const int64_t *len = length.defined() ? length.const_data_ptr<int64_t>() : nullptr;
		/* laid out as (B, T, H, D), for that is how the next operation wants it */
		Tensor out = at::empty({a.B, a.T, a.H, a.D}, q.options()).transpose(1, 2);
		Tensor lse = at::empty({a.B, a.H, a.T}, q.options().dtype(at::kDouble));
		double *lse_at = lse.data_ptr<double>();

		for (int64_t t0 = 0; t0 < a.T; t0 += a.rows) {
			const int64_t n = std::min(a.rows, a.T - t0), keys = a.keys(t0 + n);
			if (keys == 0) {
				out.narrow(2, t0, n).zero_();
				lse.narrow(2, t0, n).fill_(-INFINITY);
				continue;
			}
			Tensor s = at::bmm(query_block(q, a, t0, n), k3.narrow(1, 0, keys).transpose(1, 2));
			char *at_s = bytes_of(s);
			for_rows(a, t0, n, keys, [&](int64_t i, int64_t b, int64_t h, int64_t t, uint32_t *words) {
				lse_at[(b * a.H + h) * a.T + t] =
					kernels->softmax_row(at_s + i * keys * size, a.seen(t, len, b), keys, scale, &m,
				                         ((b * a.H + h) * a.T + t) * a.S, words);
			});
			out.narrow(2, t0, n).copy_(at::bmm(s, v3.narrow(1, 0, keys)).view({a.B, a.H, n, a.D}));
		}
		ctx->save_for_backward({q, k, v, out, lse, length});
		ctx->saved_data["causal"] = causal;
		ctx->saved_data["scale"] = scale;
		ctx->saved_data["p"] = p;
		save_key(ctx, key);
		return out;
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const variable_list saved = ctx->get_saved_variables();
		const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &lse = saved[4], &length = saved[5];
		const double scale = ctx->saved_data["scale"].toDouble();
		const block_plan a = make_plan(q, k, ctx->saved_data["causal"].toBool(), scale);
		const mask m = make_mask(ctx->saved_data["p"].toDouble(), saved_key(ctx));
		const Tensor k3 = k.view({a.B * a.G, a.S, a.D}), v3 = v.view({a.B * a.G, a.S, a.D});
		const kernel_table *kernels = kernels_of(q);
		const int64_t size = q.element_size();
		const int64_t *len = length.defined() ? length.const_data_ptr<int64_t>() : nullptr;
		const double *lse_at = lse.data_ptr<double>();
		const Tensor g = grad[0];
		Tensor dq = at::empty({a.B, a.T, a.H, a.D}, q.options()).transpose(1, 2);
		Tensor dk = at::zeros({a.B * a.G, a.S, a.D}, q.options().dtype(sum_type(q)));
		Tensor dv = at::zeros_like(dk);

		for (int64_t t0 = 0; t0 < a.T; t0 += a.rows) {
			const int64_t n = std::min(a.rows, a.T - t0), keys = a.keys(t0 + n);
			if (keys == 0) {
				dq.narrow(2, t0, n).zero_();
				continue;
			}
			const Tensor kb = k3.narrow(1, 0, keys), vb = v3.narrow(1, 0, keys);
			const Tensor qb = query_block(q, a, t0, n), gb = query_block(g, a, t0, n), ob = query_block(out, a, t0, n);
			Tensor s = at::bmm(qb, kb.transpose(1, 2)), ds = at::bmm(gb, vb.transpose(1, 2));
			char *at_s = bytes_of(s), *at_ds = bytes_of(ds), *at_g = bytes_of(gb), *at_o = bytes_of(ob);
			for_rows(a, t0, n, keys, [&](int64_t i, int64_t b, int64_t h, int64_t t, uint32_t *words) {
				double delta = kernels->dot(at_g + i * a.D * size, at_o + i * a.D * size, a.D);
				kernels->softmax_row_grad(at_s + i * keys * size, at_ds + i * keys * size, a.seen(t, len, b), keys,
				                          scale, lse_at[(b * a.H + h) * a.T + t], delta, &m,
				                          ((b * a.H + h) * a.T + t) * a.S, words);
			});
			dq.narrow(2, t0, n).copy_(at::bmm(ds, kb).view({a.B, a.H, n, a.D}));
			dk.narrow(1, 0, keys).add_(at::bmm(ds.transpose(1, 2), qb));
			dv.narrow(1, 0, keys).add_(at::bmm(s.transpose(1, 2), gb));
		}
		return {dq, dk.view(k.sizes()).to(k.scalar_type()), dv.view(v.sizes()).to(v.scalar_type()), Tensor(), Tensor(),
		        Tensor(), Tensor(), Tensor()};
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
