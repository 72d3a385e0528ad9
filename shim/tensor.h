/*
 * tensor.h: tensors, operations with gradients and an optimiser step for C programs, on libtorch.
 *
 * The names are PyTorch's. The shim knows no model, file, option or JSON.
 *
 * Ownership. A th_tensor belongs to the innermost scope that was open when it was made;
 * th_scope_close() frees all of a scope's handles, save what th_keep() handed to the scope around it.
 * Handles made while no scope is open live until th_shutdown(). Nothing else is freed by hand.
 * Memory that autograd still needs stays alive behind a freed handle.
 *
 * Errors. No function returns an error: every exception reaches the handler of th_on_error(),
 * which must not return. The default handler prints one line on stderr and exits (4 when the device is
 * missing or out of memory, else 1). Memory of the cpu counts as a device's.
 *
 * Threads: one thread of the program calls the shim; libtorch uses th_set_threads() threads inside.
 *
 * Shapes stand in comments, row-major, the last dimension running fastest: // (B, T, C).
 */
#ifndef PALIMPSEST_TENSOR_H
#define PALIMPSEST_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TH_API __attribute__((visibility("default")))

typedef struct th_tensor th_tensor;

typedef enum { TH_F32, TH_BF16, TH_F16, TH_F64, TH_I64, TH_I32, TH_U8, TH_BOOL } th_dtype;

/* ---- errors, process, device ---- */

typedef enum { TH_ERR_FAILED, TH_ERR_DEVICE, TH_ERR_MEMORY } th_error;
typedef void th_error_handler(th_error kind, const char *message); /* must not return; message is one line */
TH_API void th_on_error(th_error_handler *handler);

typedef struct {
	int cuda;  /* 0: cpu */
	int index; /* of the CUDA device */
} th_device;

/* "auto" (CUDA if there is a device, else cpu), "cpu", "cuda", "cuda:N"; no such device: TH_ERR_DEVICE. */
TH_API th_device th_device_of(const char *name);
TH_API const char *th_device_name(th_device d); /* "cpu", "cuda:0"; static memory */
TH_API void th_device_sync(th_device d);        /* waits for queued work; nothing on the cpu */
TH_API void th_set_threads(int n);              /* intra-operation threads on the cpu; 0: libtorch's default */
TH_API int th_threads(void);
TH_API void th_set_deterministic(bool on);      /* only algorithms that give the same bytes every time */
TH_API const char *th_libtorch_version(void);
TH_API bool th_has_cuda(void);                  /* built with CUDA and a device is there */
TH_API void th_shutdown(void);                  /* frees the handles of the outermost scope */

/* ---- scopes ---- */

TH_API void th_scope_open(void);
TH_API void th_scope_close(void);
TH_API th_tensor *th_keep(th_tensor *t); /* hands t to the scope around the innermost; returns t */
TH_API th_tensor *th_become(th_tensor *t, th_tensor *now); /* t is what now is, and holds what it was no longer; returns t */
TH_API size_t th_live(void);             /* number of live handles, for tests */

/* Gradients are recorded unless a no-grad pair is open. */
TH_API void th_no_grad_open(void);
TH_API void th_no_grad_close(void);

/* ---- making tensors, moving data ---- */

#define TH_MAX_DIMS 8

/*
 * Names one random mask, or one rounding at random: its bits are a function of key and element index alone
 * (Philox4x32-10), so a forward pass done again, or a resumed run, drops the same elements, on the cpu with any
 * number of threads and in any dtype. A CUDA device uses libtorch's generator, seeded from the key.
 */
typedef struct {
	uint64_t seed, stream;
} th_key;

TH_API th_tensor *th_empty(th_dtype dtype, th_device d, int n_dims, const int64_t *shape);
TH_API th_tensor *th_zeros(th_dtype dtype, th_device d, int n_dims, const int64_t *shape);
TH_API th_tensor *th_full(double value, th_dtype dtype, th_device d, int n_dims, const int64_t *shape);
TH_API th_tensor *th_arange(int64_t n, th_device d); /* (n) i64: 0..n-1 */
/* Copies host memory of that dtype; data may be unaligned and is not needed afterwards. Does not wait for the device. */
TH_API th_tensor *th_from_host(const void *data, th_dtype dtype, th_device d, int n_dims, const int64_t *shape);
/* In the cpu's memory, for th_to_device() to d and th_copy_later_() from there: pinned if d is CUDA. */
TH_API th_tensor *th_zeros_beside(th_dtype dtype, th_device d, int n_dims, const int64_t *shape);
/* Copies all elements, converted to dtype, to host memory of numel * size bytes. Waits for the device. */
TH_API void th_to_host(const th_tensor *t, th_dtype dtype, void *data);
TH_API double th_item(const th_tensor *t); /* the one element; waits for the device */
/*
 * The same in two parts, so that the device has work while the host waits for a result: the first does not wait, and what becomes of t
 * after it does not matter; the second waits for this copy alone, and frees the th_fetch.
 */
typedef struct th_fetch th_fetch;
TH_API th_fetch *th_fetch_start(const th_tensor *t, th_dtype dtype);
TH_API void th_fetch_end(th_fetch *f, void *data);

TH_API th_tensor *th_to_dtype(th_tensor *t, th_dtype dtype); /* differentiable; t itself (a new handle) if it has the dtype */
TH_API th_tensor *th_to_device(th_tensor *t, th_device d); /* to a CUDA device without waiting for it */
TH_API th_tensor *th_clone(th_tensor *t);
TH_API void th_copy_(th_tensor *dst, const th_tensor *src); /* in place, with conversion; not recorded */
/* The same to th_zeros_beside() memory without waiting: until th_device_sync(), only the device may have a use for dst. */
TH_API void th_copy_later_(th_tensor *dst, const th_tensor *src);
TH_API void th_copy_all_(th_tensor *const *dst, th_tensor *const *src, int n); /* n of them */
TH_API void th_zero_(th_tensor *t);                         /* in place; not recorded */
TH_API void th_zero_all_(th_tensor *const *t, int n);
TH_API void th_add_(th_tensor *dst, const th_tensor *src);  /* dst += src, of the same shape; in place, in dst's type; not recorded */
/*
 * dst (bf16), of as many elements as src (f32), both contiguous: each is one of the two neighbours of src's, and src's is their mean
 * (stochastic rounding). The choice is a function of key and start + index alone; start is a multiple of 64. In place; not recorded.
 */
TH_API void th_round_(th_tensor *dst, const th_tensor *src, th_key key, int64_t start);

TH_API int th_dim(const th_tensor *t);
TH_API int64_t th_size(const th_tensor *t, int dim); /* dim < 0 counts from the end */
TH_API int64_t th_numel(const th_tensor *t);
TH_API th_dtype th_dtype_of(const th_tensor *t);
TH_API size_t th_dtype_size(th_dtype dtype);

/* ---- shape ---- */

TH_API th_tensor *th_reshape(th_tensor *t, int n_dims, const int64_t *shape); /* one size may be -1 */
TH_API th_tensor *th_transpose(th_tensor *t, int a, int b);
TH_API th_tensor *th_contiguous(th_tensor *t);
TH_API th_tensor *th_narrow(th_tensor *t, int dim, int64_t start, int64_t length); /* a view */
TH_API th_tensor *th_cat(th_tensor *const *t, int n, int dim);
TH_API th_tensor *th_index_select(th_tensor *t, int dim, th_tensor *index); /* index (n) i64 */

/* ---- element-wise and reductions; broadcasting as in PyTorch ---- */

TH_API th_tensor *th_add(th_tensor *a, th_tensor *b);
TH_API th_tensor *th_sub(th_tensor *a, th_tensor *b);
TH_API th_tensor *th_mul(th_tensor *a, th_tensor *b);
TH_API th_tensor *th_div(th_tensor *a, th_tensor *b);
TH_API th_tensor *th_scale(th_tensor *a, double factor);
TH_API th_tensor *th_add_scalar(th_tensor *a, double term);
TH_API th_tensor *th_tanh(th_tensor *a);
TH_API th_tensor *th_relu(th_tensor *a);
TH_API th_tensor *th_silu(th_tensor *a);
TH_API th_tensor *th_gelu(th_tensor *a);      /* exact: x Phi(x) */
TH_API th_tensor *th_gelu_tanh(th_tensor *a); /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))): GPT-2's gelu_new */
TH_API th_tensor *th_swiglu(th_tensor *gate, th_tensor *up); /* silu(gate) up, without the steps between (Shazeer, 2002.05202) */
TH_API th_tensor *th_sum(th_tensor *a);       /* all elements -> () */
TH_API th_tensor *th_sum_dim(th_tensor *a, int dim, bool keep);
TH_API th_tensor *th_mean_dim(th_tensor *a, int dim, bool keep);
TH_API th_tensor *th_norm_dim(th_tensor *a, int dim, bool keep); /* L2 */
TH_API th_tensor *th_softmax(th_tensor *a, int dim);
TH_API th_tensor *th_log_softmax(th_tensor *a, int dim);
TH_API th_tensor *th_argmax(th_tensor *a, int dim); /* i64, without that dimension */
TH_API bool th_all_finite(const th_tensor *a); /* waits for the device */
TH_API th_tensor *th_not_finite(const th_tensor *a); /* () f32, on a's device: 0 if all elements are finite, else 1 */

/* ---- layers ---- */

TH_API th_tensor *th_matmul(th_tensor *a, th_tensor *b);
/* x (..., I), w (O, I), b (O) or NULL -> (..., O): x w^T + b, the layout of torch.nn.Linear */
TH_API th_tensor *th_linear(th_tensor *x, th_tensor *w, th_tensor *b);
/*
 * th_linear() of f32 on a processor with AMX, which multiplies bfloat16: each factor as two of them, by three products (BF16x3,
 * arXiv 1904.06376). A factor is exact to 2^-17 of itself, sums are f32. w as the first function makes it of (O, I), b (O) and
 * not NULL; without gradients. Only where th_has_bf16x3().
 */
TH_API bool th_has_bf16x3(th_device d);
TH_API th_tensor *th_bf16x3_weights(const th_tensor *w);
TH_API th_tensor *th_linear_bf16x3(th_tensor *x, const th_tensor *w, const th_tensor *b);
/* The same of the GELU of x, which is computed to within 2e-7 of x. */
TH_API th_tensor *th_gelu_linear_bf16x3(th_tensor *x, const th_tensor *w, const th_tensor *b);
/* x (..., I), w (I, O), b (O) or NULL -> (..., O): x w + b, the layout of GPT-2's Conv1D */
TH_API th_tensor *th_affine(th_tensor *x, th_tensor *w, th_tensor *b);
/* th_affine(th_gelu_tanh(x), w, b), for which only x is kept until the backward pass. */
TH_API th_tensor *th_gelu_tanh_affine(th_tensor *x, th_tensor *w, th_tensor *b);
/*
 * id (...) i64, w (V, C) -> (..., C). Ids must be in [0, V): checked by the caller. The gradient of a row is added up
 * in f32; that of row `padding` is 0 (torch.nn.Embedding's padding_idx), -1: of none.
 */
TH_API th_tensor *th_embedding(th_tensor *w, th_tensor *id, int64_t padding);
/* x (..., C), w (C), b (C) or NULL; statistics in f32 whatever x is. Ba, Kiros, Hinton, 1607.06450 */
TH_API th_tensor *th_layer_norm(th_tensor *x, th_tensor *w, th_tensor *b, double eps);
TH_API th_tensor *th_rms_norm(th_tensor *x, th_tensor *w, double eps);

/* Each element is 0 with probability p, else x / (1 - p). p == 0: x itself. The mask is stored on a CUDA device alone. */
TH_API th_tensor *th_dropout(th_tensor *x, double p, th_key key);

/*
 * Rotary positions (Su et al., 2104.09864). x (B, T, H D), table (T or more, D) f32: row t holds the cos of D / 2 angles
 * and then their sin. In every head, elements i and i + D / 2 of time t, as a point of the plane, are turned by angle
 * i of row t -> (B, T, H D). Computed in f32 (f64 from f64). The table has no gradient.
 */
TH_API th_tensor *th_rope(th_tensor *x, th_tensor *table);

/*
 * Scaled dot-product attention, softmax(scale q k^T + mask) v with dropout p on the weights.
 * q (B, H, T, D), k and v (B, G, S, D) with H a multiple of G, -> (B, H, T, D).
 * causal: query t sees keys up to t + S - T. length (B) i64 or NULL: keys at or past a row's length are hidden.
 * The mask is th_dropout()'s of a (B, H, T, S) tensor, which never exists: the gradient is made from q, k, v and the
 * log-sum-exp of each row. A row that sees no key gives 0.
 */
TH_API th_tensor *th_attention(th_tensor *q, th_tensor *k, th_tensor *v, bool causal, th_tensor *length,
                               double scale, double p, th_key key);

/* The same with q, k and v side by side, x (B, T, (H + 2 G) D), as one product makes them -> (B, T, H D). Faster. */
TH_API th_tensor *th_attention_packed(th_tensor *x, int heads, int key_heads, bool causal, th_tensor *length,
                                      double scale, double p, th_key key);

/* logits (N, V), target (N) i64; rows with target < 0 are ignored -> () f32 (f64 from f64): sum of -log p(target) */
TH_API th_tensor *th_cross_entropy_sum(th_tensor *logits, th_tensor *target);

/*
 * The same from the last hidden layer, in chunks of rows, so that the (N, V) logits never exist:
 * h (N, C), w (V, C), b (V) or NULL, target (N) i64 (< 0: ignored) -> () f32: scale * sum of -log p(target).
 * The gradient is computed together with the value. scale is a constant, such as 1 / (targets of the whole batch).
 */
TH_API th_tensor *th_linear_cross_entropy(th_tensor *h, th_tensor *w, th_tensor *b, th_tensor *target, double scale);
/* Without gradient, one value a row: (N) f32, -log p(target), 0 where target < 0. */
TH_API th_tensor *th_linear_nll(th_tensor *h, th_tensor *w, th_tensor *b, th_tensor *target);
/*
 * Likewise in chunks: (N) i64, the number of logits greater than the target's, 0 where target < 0. Those equal to it do not
 * count, so of classes that tie each has the best rank of them; in bf16 many tie.
 */
TH_API th_tensor *th_linear_rank(th_tensor *h, th_tensor *w, th_tensor *b, th_tensor *target);

/* ---- gradients ---- */

TH_API th_tensor *th_requires_grad(th_tensor *t, bool on); /* t must be a leaf; returns t */
TH_API void th_backward(th_tensor *loss);                  /* () ; gradients are added to the leaves' */
TH_API th_tensor *th_grad(th_tensor *t);                   /* NULL before the first backward; shares memory */
/*
 * Is all there is of t's gradient that of rows that th_embedding() took of it? So it is on the cpu; th_grad() makes a whole
 * table of it, in place.
 */
TH_API bool th_grad_is_rows(const th_tensor *t);
/* sum += t's gradient, if there is one, which t has no more then. Of rows, no whole table is made. Not recorded. */
TH_API void th_move_grad(th_tensor *sum, th_tensor *t);
TH_API void th_set_grad(th_tensor *t, th_tensor *grad);    /* NULL: none */
TH_API th_tensor *th_detach(th_tensor *t);

/*
 * Activation checkpointing: calls f(context, in) now without recording and again in the backward
 * pass; only in[] is kept between, and context must live until then. f must give the same result both times, and return
 * one tensor. Leaves that f uses besides in[] get their gradients, too.
 */
typedef th_tensor *th_function(void *context, th_tensor *const *in, int n);
TH_API th_tensor *th_checkpoint(th_function *f, void *context, th_tensor *const *in, int n);

/* ---- captured graphs ---- */

/*
 * Work of a CUDA device that is done again and again with the same shapes: captured once, then launched as one piece.
 *
 * body(context) is called four times, three of them to warm up. It must do the same each time, use no value of a device
 * on the host, close the scopes that it opens, and leave what others are to read in tensors that were there before, as
 * they must be when th_graph_replay() runs: a replay reads and writes the same memory. An error in it ends the tool as
 * any other. On the cpu nothing is gained: body is called in each replay, and not before.
 */
typedef struct th_graph th_graph;
TH_API bool th_graph_possible(th_device d); /* false on the cpu, and if the shim was built without CUDA's headers */
TH_API th_graph *th_graph_record(th_device d, void (*body)(void *context), void *context);
/* Does not wait. All masks within are a function of key, on the cpu of those keys that body gives. */
TH_API void th_graph_replay(th_graph *g, th_device d, th_key key);
TH_API void th_graph_free(th_graph *g); /* NULL: nothing */

/* ---- optimiser ---- */

/*
 * AdamW (Loshchilov and Hutter, 1711.05101) on n parameters in one fused pass, from gradients g of any type, clipped as
 * torch's clip_grad_norm_ does: g = g min(1, clip / (norm + 1e-6));
 * m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
 * p = p - lr wd p - lr (m / (1-b1^step)) / (sqrt(v / (1-b2^step)) + eps).  step counts from 1.
 * All in place; then each copy of a parameter, where there is one, is made the same as it, in its own type. grad may change.
 */
typedef struct {
	double lr, beta1, beta2, eps, weight_decay;
	int64_t step;
	const th_tensor *skip; // () f32 on their device: if it is 1, nothing changes; NULL: does not matter
	double clip;           /* 0: the gradients are taken as they are */
	const th_tensor *norm; // () f32 on their device: of all gradients; only if clip > 0
} th_adamw;
/* copy, or any of it, may be NULL. */
TH_API void th_adamw_step(th_tensor *const *param, th_tensor *const *grad, th_tensor *const *m, th_tensor *const *v,
                          th_tensor *const *copy, int n, const th_adamw *opt);

/* L2 norm of all n tensors together, () f32 on their device; NaN or inf if any element is. */
TH_API th_tensor *th_grad_norm(th_tensor *const *grad, int n);

#ifdef __cplusplus
}
#endif

#endif
