/*
 * loss.cpp: the last layer with its loss, a part of the rows at a time, so that there are never logits of all: the
 * cross-entropy with its gradient, each row's negative log-likelihood, and the rank of its target.
 */
#include "fused_parts.h"

#include <ATen/Context.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

/*
 * Rows of logits held at a time: as many as fit a budget of bytes, in chunks of equal size. With gradient few chunks matter more: each
 * adds to that of the weights.
 */
static int64_t chunk_rows(int64_t n, int64_t row_bytes, bool gradient)
{
	const int64_t budget = int64_t(gradient ? 256 : 32) << 20;
	const int64_t most = std::max<int64_t>(1, budget / std::max<int64_t>(1, row_bytes));
	const int64_t chunks = (n + most - 1) / most;
	return std::max<int64_t>(1, (n + chunks - 1) / std::max<int64_t>(1, chunks));
}

/*
 * Asked for deterministic algorithms, libtorch sorts the indices of a scatter on CUDA, in case some are equal. There
 * are none among those of cross_entropy_rows(), one in each row.
 */
struct any_algorithm {
	const bool on = at::globalContext().deterministicAlgorithms(), warn = at::globalContext().deterministicAlgorithmsWarnOnly();

	any_algorithm()
	{
		at::globalContext().setDeterministicAlgorithms(false, warn);
	}
	~any_algorithm()
	{
		at::globalContext().setDeterministicAlgorithms(on, warn);
	}
};

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
	const Tensor ignored = target.lt(0), at = target.clamp_min(0).unsqueeze(1);
	const Tensor log_p = at::log_softmax(logits, 1, at::kFloat), own = log_p.gather(1, at);
	loss.copy_(own.squeeze(1).neg().masked_fill_(ignored, 0));
	if (gradient) {
		const any_algorithm guard;
		at::exp_out(logits, log_p);
		logits.scatter_(1, at, own.expm1().to(logits.scalar_type()));
		/* those ignored are finite: see LinearCrossEntropy */
		logits.mul_(ignored.logical_not().unsqueeze(1).to(at::kFloat).mul_(scale));
	}
}

/*
 * A device's fast products of 16-bit numbers want rows of whole 16 bytes, and GPT-2's vocabulary is odd: there the head gets classes of
 * weight 0, whose logits nobody looks at, as nanoGPT's has. For few rows the copy would cost more than it saves. On the cpu this is so for
 * float16, which has no kernels either.
 */
static Tensor with_spare_classes(const Tensor &w, int64_t rows)
{
	if (!w.defined() || rows < 512 || has_kernels(w) || w.element_size() != 2 || w.size(0) % 64 == 0)
		return w;
	std::vector<int64_t> pad(static_cast<size_t>(2 * w.dim()), 0);
	pad.back() = 64 - w.size(0) % 64;
	return at::constant_pad_nd(w, pad);
}

static void check_linear_loss(const Tensor &h, const Tensor &w, const Tensor &b, const Tensor &target)
{
	TORCH_CHECK(h.dim() == 2 && w.dim() == 2 && h.size(1) == w.size(1), "cross entropy: shapes do not fit: h ",
		    h.sizes(), ", w ", w.sizes());
	TORCH_CHECK(!b.defined() || (b.dim() == 1 && b.size(0) == w.size(0)), "cross entropy: bias ", b.sizes(),
		    " does not fit w ", w.sizes());
	TORCH_CHECK(w.size(0) > 0, "cross entropy: no classes");
	TORCH_CHECK(target.dim() == 1 && target.size(0) == h.size(0) && target.scalar_type() == at::kLong,
		    "cross entropy: target must be (", h.size(0), ") i64");
}

static Tensor loss_rows(const Tensor &h)
{
	return at::zeros({h.size(0)}, h.options().dtype(h.is_cpu() ? at::kDouble : at::kFloat));
}

struct LinearCrossEntropy : Function<LinearCrossEntropy> {
	static Tensor forward(AutogradContext *ctx, const Tensor &h_, const Tensor &w_, const std::optional<Tensor> &b_,
			      const Tensor &target_, double scale, bool gradient)
	{
		const int64_t N = h_.size(0), V = w_.size(0), rows = chunk_rows(N, V * h_.element_size(), gradient);
		const Tensor w = with_spare_classes(w_, N), b = with_spare_classes(b_.value_or(Tensor()), N);
		const Tensor target = target_.contiguous();
		const Tensor h = h_.contiguous().masked_fill(target.lt(0).unsqueeze(1), 0); /* 0 times what is ignored may be NaN */
		const bool need_h = gradient && h_.requires_grad(), need_w = gradient && w_.requires_grad();
		const bool need_b = gradient && b_ && b_->requires_grad();
		const at::ScalarType wide = sum_type(h);
		Tensor loss = loss_rows(h), dh, dw, db;

		if (need_h)
			dh = at::empty_like(h);
		if (need_b)
			db = at::zeros({w.size(0)}, h.options().dtype(wide));
		for (int64_t r = 0; r < N; r += rows) {
			const int64_t n = std::min(rows, N - r);
			const Tensor hc = h.narrow(0, r, n);
			const Tensor logits = multiply(hc, w, b);
			Tensor own = logits.narrow(1, 0, V), part = loss.narrow(0, r, n);
			cross_entropy_rows(own, target.narrow(0, r, n), scale, need_h || need_w || need_b, part);
			if (need_h) {
				Tensor rows_h = dh.narrow(0, r, n);
				multiply_into(logits, w.t(), rows_h);
			}
			if (need_w && dw.defined() && dw.scalar_type() == h.scalar_type()) {
				dw.addmm_(logits.t(), hc);
			} else if (need_w) {
				const Tensor some = multiply_turned(logits, hc);
				dw = dw.defined() ? dw.add_(some) : n == N ? some : some.to(wide);
			}
			if (need_b)
				db.add_(logits.sum(0, false, wide));
		}
		if (N == 0 && need_w)
			dw = at::zeros_like(w);
		ctx->save_for_backward({dh, need_w ? dw.narrow(0, 0, V).to(w.scalar_type()) : dw,
		                        need_b ? db.narrow(0, 0, V).to(b.scalar_type()) : db});
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

static double add_logs(double a, double b)
{
	const double most = a > b ? a : b;
	return a == -INFINITY ? b : b == -INFINITY ? a : most + std::log(std::exp(a - most) + std::exp(b - most));
}

/*
 * By parts of the vocabulary, all rows at once: so weights are read once, and what oneDNN does to bfloat16 ones first,
 * a copy in an order of its own, is done once, and small. Of each row the log-sum-exp so far is kept, and the target's
 * logit.
 */
template <typename scalar>
static void nll_by_parts(const Tensor &h, const Tensor &w, const Tensor &b, const Tensor &target, Tensor &loss)
{
	const int64_t N = h.size(0), V = w.size(0), part = chunk_rows(V, N * h.element_size(), false);
	const int64_t *want = target.const_data_ptr<int64_t>();
	const kernel_table *kernels = kernels_of(h);
	double *out = loss.data_ptr<double>();
	std::vector<double> lse(static_cast<size_t>(N), -INFINITY);

	for (int64_t c = 0; c < V; c += part) {
		const int64_t n = std::min(part, V - c);
		const Tensor logits = multiply(h, w.narrow(0, c, n), b.defined() ? b.narrow(0, c, n) : b);
		scalar *x = logits.data_ptr<scalar>();
		at::parallel_for(0, N, 1 + 16384 / n, [&](int64_t begin, int64_t end) {
			for (int64_t i = begin; i < end; i++) {
				TORCH_CHECK(want[i] < V, "cross entropy: target ", want[i], " is not below ", V);
				scalar *row = x + i * n;
				double &sum = lse[static_cast<size_t>(i)];
				sum = add_logs(sum, kernels->log_sum_exp_row(row, n));
				if (want[i] >= c && want[i] < c + n)
					out[i] = static_cast<double>(row[want[i] - c]);
			}
		});
	}
	for (int64_t i = 0; i < N; i++)
		out[i] = want[i] < 0 ? 0 : lse[static_cast<size_t>(i)] - out[i];
}

Tensor fused_linear_nll(const Tensor &h_, const Tensor &w_, const Tensor &b_, const Tensor &target_)
{
	at::NoGradGuard guard;
	check_linear_loss(h_, w_, b_, target_);
	const Tensor h = h_.contiguous(), target = target_.contiguous();
	const int64_t N = h.size(0), V = w_.size(0);
	const Tensor w = with_spare_classes(w_, N), b = with_spare_classes(b_, N);
	Tensor loss = loss_rows(h);

	if (has_kernels(h) && N > 0) {
		const at::ScalarType type = h.scalar_type();
		(type == at::kDouble  ? nll_by_parts<double>
		 : type == at::kFloat ? nll_by_parts<float>
		                      : nll_by_parts<at::BFloat16>)(h, w, b, target, loss);
		return loss.to(sum_type(h));
	}
	const int64_t rows = chunk_rows(N, V * h.element_size(), false);
	for (int64_t r = 0; r < N; r += rows) {
		const int64_t n = std::min(rows, N - r);
		Tensor logits = multiply(h.narrow(0, r, n), w, b).narrow(1, 0, V), part = loss.narrow(0, r, n);
		cross_entropy_rows(logits, target.narrow(0, r, n), 0, false, part);
	}
	return loss.to(sum_type(h));
}

/* A row whose target's logit is NaN counts none as greater. */
Tensor fused_linear_rank(const Tensor &h_, const Tensor &w_, const Tensor &b_, const Tensor &target_)
{
	at::NoGradGuard guard;
	check_linear_loss(h_, w_, b_, target_);
	const Tensor h = h_.contiguous(), target = target_.contiguous();
	const int64_t N = h.size(0), V = w_.size(0), rows = chunk_rows(N, V * h.element_size(), false);
	const Tensor w = with_spare_classes(w_, N), b = with_spare_classes(b_, N);
	Tensor rank = at::zeros({N}, target.options());

	if (N > 0 && target.is_cpu()) /* a device has an assertion of its own, and to ask it would be to wait */
		TORCH_CHECK(target.max().item<int64_t>() < V, "rank: target ", target.max().item<int64_t>(), " is not below ", V);
	for (int64_t r = 0; r < N; r += rows) {
		const int64_t n = std::min(rows, N - r);
		const Tensor want = target.narrow(0, r, n);
		const Tensor logits = multiply(h.narrow(0, r, n), w, b).narrow(1, 0, V);
		const Tensor own = logits.gather(1, want.clamp_min(0).unsqueeze(1));
		rank.narrow(0, r, n).copy_(logits.gt(own).sum(1).mul_(want.ge(0)));
	}
	return rank;
}
