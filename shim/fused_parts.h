/* fused_parts.h: what the operations with gradients of their own, and AdamW, share. */
#ifndef PALIMPSEST_FUSED_PARTS_H
#define PALIMPSEST_FUSED_PARTS_H

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "fused.h"
#include "kernels.h"

#if AT_PARALLEL_OPENMP && !defined _OPENMP
#error "at::parallel_for() would run on one thread: compile with -fopenmp"
#endif

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

mask make_mask(double p, th_key key);
at::Generator generator_of(const Tensor &x, th_key key); /* of x's device; set to the key, but not in a graph */
void save_key(AutogradContext *ctx, th_key key);
th_key saved_key(AutogradContext *ctx);

inline bool has_kernels(const Tensor &x)
{
	return x.is_cpu() &&
	       (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kDouble);
}

inline const kernel_table *kernels_of(const Tensor &x)
{
	return kernels_for(x.scalar_type() == at::kFloat      ? KERNEL_F32
			   : x.scalar_type() == at::kBFloat16 ? KERNEL_BF16
							      : KERNEL_F64);
}

/* The type in which sums over many elements are kept. */
inline at::ScalarType sum_type(const Tensor &x)
{
	return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

inline char *bytes_of(const Tensor &x)
{
	return static_cast<char *>(x.data_ptr());
}

/* Of the sum over n rows: pieces whose size depends on nothing but n, added in order: the same for any number of threads. */
inline int64_t piece_rows(int64_t n)
{
	return std::max<int64_t>(16, (n + 63) / 64);
}

/* Matrix products, without gradients of their own. */
Tensor multiply(const Tensor &x, const Tensor &w, const Tensor &b); /* x (n, I) w^T + b, w (O, I) in any layout; b may be undefined */
void multiply_into(const Tensor &x, const Tensor &w, Tensor &y);    /* y (n, O) = x (n, I) w^T; where y is part of a tensor */
Tensor multiply_turned(const Tensor &a, const Tensor &b);	    /* a^T b: (n, I), (n, O) to (I, O) */
Tensor sum_rows(const Tensor &x);				    /* (n, C) to (C); contiguous */

/* An undefined tensor may not be autograd's input. */
inline std::optional<Tensor> optional(const Tensor &t)
{
	return t.defined() ? std::optional<Tensor>(t) : std::nullopt;
}

#endif
