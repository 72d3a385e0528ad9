/* fused.h: operations with gradients of their own, for tensor.cpp. Shapes and meaning as in tensor.h. */
#ifndef PALIMPSEST_FUSED_H
#define PALIMPSEST_FUSED_H

#include <ATen/core/Tensor.h>

#include "tensor.h"

at::Tensor fused_dropout(const at::Tensor &x, double p, th_key key);
/* length may be undefined */
at::Tensor fused_attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, bool causal,
			   const at::Tensor &length, double scale, double p, th_key key);
at::Tensor fused_attention_packed(const at::Tensor &x, int64_t heads, int64_t key_heads, bool causal,
				  const at::Tensor &length, double scale, double p, th_key key);
void fused_round(at::Tensor &dst, const at::Tensor &src, th_key key, int64_t start);
at::Tensor fused_embedding(const at::Tensor &w, const at::Tensor &id, int64_t padding);
/* sum += grad, which may be sparse, as a table's is: rows are added in the wider of both types, and rounded once */
void fused_add_grad(at::Tensor &sum, const at::Tensor &grad);
/* b may be undefined; w in any layout */
at::Tensor fused_linear(const at::Tensor &x, const at::Tensor &w, const at::Tensor &b);
/* x (n, I), w (I, O); b may be undefined */
at::Tensor fused_affine(const at::Tensor &x, const at::Tensor &w, const at::Tensor &b);
bool fused_has_bf16x3(at::Device device);
at::Tensor fused_bf16x3_weights(const at::Tensor &w);
/* gelu: of th_gelu(x) */
at::Tensor fused_linear_bf16x3(const at::Tensor &x, const at::Tensor &w, const at::Tensor &b, bool gelu);
at::Tensor fused_gelu_tanh(const at::Tensor &x);
at::Tensor fused_gelu_tanh_affine(const at::Tensor &x, const at::Tensor &w, const at::Tensor &b);
at::Tensor fused_swiglu(const at::Tensor &gate, const at::Tensor &up);
at::Tensor fused_rms_norm(const at::Tensor &x, const at::Tensor &w, double eps);
at::Tensor fused_rope(const at::Tensor &x, const at::Tensor &table);
/* b may be undefined */
at::Tensor fused_linear_cross_entropy(const at::Tensor &h, const at::Tensor &w, const at::Tensor &b,
				      const at::Tensor &target, double scale);
at::Tensor fused_linear_nll(const at::Tensor &h, const at::Tensor &w, const at::Tensor &b, const at::Tensor &target);
at::Tensor fused_linear_rank(const at::Tensor &h, const at::Tensor &w, const at::Tensor &b, const at::Tensor &target);
at::Tensor fused_checkpoint(th_function *f, void *context, const std::vector<at::Tensor> &in);
/* Calls f with handles in a scope of their own. Defined in tensor.cpp. */
at::Tensor call_function(th_function *f, void *context, const std::vector<at::Tensor> &in);

/* libtorch's own generator of that device, set to a seed made from the key. */
at::Generator fused_seed(at::Device device, th_key key);

at::Tensor fused_norm(const std::vector<at::Tensor> &grad);
struct adamw_tensors {
	std::vector<at::Tensor> param, grad, m, v, copy; /* of copy, any may be undefined */
};
/* norm is there if opt.clip > 0; skip may be undefined */
void fused_adamw(adamw_tensors t, const at::Tensor &norm, const at::Tensor &skip, const th_adamw &opt);

#endif
