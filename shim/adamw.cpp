/* adamw.cpp: the optimiser's passes over memory: the norm of all gradients, and AdamW. */
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>

#include "fused_parts.h"

typedef std::vector<Tensor> tensors;

/* Fixed pieces, added in order: the same result for any number of threads. */
static double sum_squares(const Tensor &x_)
{
	const int64_t piece = 1 << 16;
	const Tensor x = x_.contiguous();
	const kernel_table *kernels = kernels_of(x);
	const int64_t n = x.numel(), size = x.element_size();
	const char *from = bytes_of(x);
	std::vector<double> sum(static_cast<size_t>((n + piece - 1) / piece));
	at::parallel_for(0, static_cast<int64_t>(sum.size()), 1, [&](int64_t begin, int64_t end) {
		for (int64_t i = begin; i < end; i++)
			sum[static_cast<size_t>(i)] =
			    kernels->sum_squares(from + i * piece * size, std::min(piece, n - i * piece));
	});
	double total = 0;
	for (double s : sum)
		total += s;
	return total;
}

Tensor fused_norm(const tensors &grad)
{
	TORCH_CHECK(!grad.empty(), "grad_norm: no tensors");
	if (std::all_of(grad.begin(), grad.end(), has_kernels)) {
		double total = 0;
		for (const Tensor &g : grad)
			total += sum_squares(g);
		return at::full({}, std::sqrt(total), at::kFloat);
	}
	tensors wide, narrow, norm; /* of one type each: then there is one kernel for many */
	for (const Tensor &g : grad)
		(g.scalar_type() == at::kFloat ? wide : narrow).push_back(g);
	for (const tensors &same : {wide, narrow})
		if (!same.empty())
			for (const Tensor &one : at::_foreach_norm(same, 2, at::kFloat))
				norm.push_back(one);
	return at::linalg_vector_norm(at::stack(norm));
}

static bool is_plain(const Tensor &t, at::ScalarType type)
{
	return t.is_cpu() && t.scalar_type() == type && t.is_contiguous();
}

/* Everything in one pass, from the gradients as they are to the copies. */
static void adamw_of_ours(const adamw_tensors &t, const adamw_factors &f)
{
	for (size_t i = 0; i < t.param.size(); i++) {
		const bool half = t.grad[i].scalar_type() == at::kBFloat16;
		const Tensor g = t.grad[i].to(half ? at::kBFloat16 : at::kFloat).contiguous();
		const kernel_table *kernels = kernels_of(g);
		float *p = t.param[i].data_ptr<float>(), *m = t.m[i].data_ptr<float>(), *v = t.v[i].data_ptr<float>();
		uint16_t *copy = t.copy[i].defined() ? reinterpret_cast<uint16_t *>(bytes_of(t.copy[i])) : nullptr;
		at::parallel_for(0, g.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
			kernels->adamw(p + begin, bytes_of(g) + begin * g.element_size(), m + begin, v + begin,
				       copy ? copy + begin : nullptr, end - begin, &f);
		});
	}
}

static void adamw_of_libtorch(adamw_tensors &t, const Tensor &factor, const th_adamw &opt, const Tensor &skip)
{
	tensors copy, from;

	for (size_t i = 0; i < t.param.size(); i++) {
		Tensor &p = t.param[i], &g = t.grad[i];
		g = g.to(p.scalar_type());
		if (g.strides() != p.strides()) /* CUDA's kernel goes through all of them side by side */
			g = at::empty_like(p).copy_(g);
		p = p.detach();
		if (t.copy[i].defined()) {
			copy.push_back(t.copy[i]);
			from.push_back(p);
		}
	}
	if (factor.defined())
		at::_foreach_mul_(t.grad, factor);
	const tensors step(t.param.size(),
			   at::full({}, static_cast<double>(opt.step), t.param[0].options().dtype(at::kFloat)));
	at::_fused_adamw_(t.param, t.grad, t.m, t.v, {}, step, opt.lr, opt.beta1, opt.beta2, opt.weight_decay, opt.eps,
			  false, false, std::nullopt, optional(skip));
	if (!copy.empty())
		at::_foreach_copy_(copy, from);
}

void fused_adamw(adamw_tensors t, const Tensor &norm, const Tensor &skip, const th_adamw &opt)
{
	bool ours = true;
	Tensor factor;

	if (t.param.empty())
		return;
	for (size_t i = 0; i < t.param.size(); i++) {
		const Tensor &p = t.param[i], &copy = t.copy[i];
		TORCH_CHECK(p.sizes() == t.grad[i].sizes() && p.sizes() == t.m[i].sizes() && p.sizes() == t.v[i].sizes() &&
				(!copy.defined() || copy.sizes() == p.sizes()),
			    "adamw: shapes of parameter ", i, " differ");
		ours = ours && is_plain(p, at::kFloat) && is_plain(t.m[i], at::kFloat) && is_plain(t.v[i], at::kFloat) &&
		       t.grad[i].is_cpu() && (!copy.defined() || is_plain(copy, at::kBFloat16));
	}
	if (opt.clip > 0)
		factor = norm.add(1e-6).reciprocal().mul(opt.clip).clamp_max(1);
	if (!ours) {
		adamw_of_libtorch(t, factor, opt, skip);
		return;
	}
	if (skip.defined() && skip.item<float>() == 1)
		return;
	const double steps = static_cast<double>(opt.step);
	adamw_of_ours(t, {factor.defined() ? factor.item<float>() : 1, static_cast<float>(1 - opt.lr * opt.weight_decay),
			  static_cast<float>(1 - opt.beta1), static_cast<float>(opt.beta2), static_cast<float>(1 - opt.beta2),
			  static_cast<float>(opt.eps),
			  static_cast<float>(opt.lr / (1 - std::pow(opt.beta1, steps))),
			  static_cast<float>(1 / std::sqrt(1 - std::pow(opt.beta2, steps)))});
}
