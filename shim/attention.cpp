/*
 * attention.cpp: scaled dot-product attention. On the cpu, blocks of query rows: a block's products with all keys it
 * may see are turned into weights while they are in the cache, and multiplied by the values; the backward pass makes
 * the products again and needs only the log-sum-exp of each row.
 *
 * Two ways: by small products within one head, one thread a key head, where libtorch hands out oneDNN's (brgemm(), from
 * 2.9 on) and the machine has AVX-512, for bfloat16 fast products of it; else by batched products over all heads, in f32 or f64.
 */
#include "fused_parts.h"

#include <ATen/native/CPUBlas.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

struct attention_plan {
	int64_t B, H, G, R, T, S, D; /* R = H / G */
	bool causal;
	double scale;
	mask m;
	const int64_t *length; /* (B) or NULL */
	const kernel_table *kernels;
	at::TensorOptions options;
	int64_t size; /* bytes of an element */
	bool small;   /* by small products */

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
				bool causal, const Tensor &length, double scale, double p, th_key key, bool small)
{
	attention_plan a;
	a.B = B, a.H = H, a.G = G, a.R = H / G, a.T = T, a.S = S, a.D = D;
	a.causal = causal, a.scale = scale, a.m = make_mask(p, key);
	a.length = length.defined() ? length.const_data_ptr<int64_t>() : nullptr;
	a.kernels = kernels_of(x), a.options = x.options(), a.size = x.element_size();
	a.small = small;
	return a;
}

/* ---- small products ---- */

static const int64_t BLOCK = 64; /* queries, and keys, of one product */

#if defined CPUBLAS_BRGEMM_F32F32F32 && defined CPUBLAS_BRGEMM_BF16BF16F32
/*
 * c (M, N; f32) = or += a (M, K) b. In bfloat16 b is as kernel_table.pack() leaves it, ldb is N, and K is even: AMX
 * multiplies pairs, and dies of half a one.
 */
static void small_product(bool bf16, int64_t M, int64_t N, int64_t K, const void *a, int64_t lda, const void *b,
			  int64_t ldb, float *c, int64_t ldc, bool add)
{
	if (bf16)
		at::native::cpublas::brgemm(M, N, K, lda, ldb, ldc, add, static_cast<const at::BFloat16 *>(a),
					    static_cast<const at::BFloat16 *>(b), c, true);
	else
		at::native::cpublas::brgemm(M, N, K, lda, ldb, ldc, add, static_cast<const float *>(a),
					    static_cast<const float *>(b), c, false);
}

/* This thread makes no more for now. */
static void small_products_end(bool bf16)
{
	at::native::cpublas::brgemm_release(bf16);
}

/* libtorch may be built without oneDNN, or oneDNN not know the machine: see whether a product comes out right. */
static bool small_products_work(bool bf16)
{
	float a[4 * 4], b[4 * 16], c[4 * 16];
	uint16_t a16[4 * 4], b16[4 * 16];

	for (int i = 0; i < 16; i++)
		a[i] = static_cast<float>(i), a16[i] = at::BFloat16(a[i]).x;
	for (int k = 0; k < 4; k++)
		for (int n = 0; n < 16; n++) {
			b[k * 16 + n] = static_cast<float>(n - 17 * k);
			b16[(k / 2 * 16 + n) * 2 + k % 2] = at::BFloat16(b[k * 16 + n]).x;
		}
	try {
		small_product(bf16, 4, 16, 4, bf16 ? static_cast<void *>(a16) : a, 4,
			      bf16 ? static_cast<void *>(b16) : b, 16, c, 16, false);
		small_products_end(bf16);
	} catch (const std::exception &) {
		return false;
	}
	for (int m = 0; m < 4; m++)
		for (int n = 0; n < 16; n++) {
			float sum = 0;
			for (int k = 0; k < 4; k++)
				sum += a[m * 4 + k] * b[k * 16 + n];
			if (c[m * 16 + n] != sum)
				return false;
		}
	return true;
}
#else
static void small_product(bool, int64_t, int64_t, int64_t, const void *, int64_t, const void *, int64_t, float *, int64_t,
			  bool)
{
	TORCH_CHECK(false, "attention: no small products in this libtorch");
}

static void small_products_end(bool)
{
}

static bool small_products_work(bool)
{
	return false;
}
#endif

/* One thread works on a key head, so there must be enough of them. D: of a head, the K of half of the products. */
static bool take_small_products(at::ScalarType type, int64_t key_heads, int64_t D)
{
	static const bool f32 = machine_has_avx512() && small_products_work(false);
	static const bool bf16 = machine_multiplies_bf16() && small_products_work(true);

	return (type == at::kFloat ? f32 : type == at::kBFloat16 && bf16 && D % 2 == 0) &&
	       2 * key_heads >= at::get_num_threads();
}

/* In what type attention is computed, for batched products are of f32 and f64, and whether by small products. */
struct attention_way {
	at::ScalarType type;
	bool small;
};

static attention_way choose_way(at::ScalarType given, int64_t key_heads, int64_t S, int64_t D)
{
	const at::ScalarType wide = given == at::kDouble ? at::kDouble : at::kFloat;

	if (S > 0 && take_small_products(given, key_heads, D))
		return {given, true};
	return {wide, S > 0 && take_small_products(wide, key_heads, D)};
}

/* Memory as tensors have it, from a cache line on: as malloc() has it, each vector and each row of a tile would lie in two. */
template <class T> struct on_lines {
	using value_type = T;

	on_lines() = default;
	template <class U> on_lines(const on_lines<U> &) {}
	T *allocate(size_t n)
	{
		return static_cast<T *>(c10::GetCPUAllocator()->raw_allocate(n * sizeof(T)));
	}
	void deallocate(T *p, size_t)
	{
		c10::GetCPUAllocator()->raw_deallocate(p);
	}
	bool operator==(const on_lines &) const { return true; }
	bool operator!=(const on_lines &) const { return false; }
};
template <class T> using room = std::vector<T, on_lines<T>>;

/* What one thread needs, for all its heads. Dimensions are filled up with zeros: D to 16, keys to BLOCK. */
struct workspace {
	const attention_plan &a;
	const bool bf16;
	const int64_t D, S, size;
	const int64_t ld; /* of rows of S: not a power of two, so that columns do not meet in the cache */
	room<char> turned_k, turned_v; /* (S / BLOCK) panels (D, BLOCK) */
	room<char> flat_k, flat_v;     /* (S, D) */
	room<char> turned_q, turned_g; /* (D, BLOCK) */
	room<float> s, ds;	       /* (BLOCK, ld): products, and in f32 the weights and their gradient */
	room<char> weights, slopes;    /* these in bfloat16: (BLOCK, ld) */
	room<char> packed;	       /* (BLOCK, BLOCK) of these */
	room<float> out;	       /* (BLOCK, D) */
	room<float> dk, dv;	       /* (D, ld), turned */
	std::vector<uint32_t> words;

	workspace(const attention_plan &plan, bool backward)
	    : a(plan), bf16(plan.size == 2), D((plan.D + 15) / 16 * 16), S((plan.S + BLOCK - 1) / BLOCK * BLOCK),
	      size(plan.size), ld(S + 32)
	{
		turned_k.resize(static_cast<size_t>(S * (a.D + 1) * size));
		flat_v.resize(static_cast<size_t>(S * D * size));
		s.resize(static_cast<size_t>(BLOCK * ld));
		out.resize(static_cast<size_t>(BLOCK * D));
		words.resize(static_cast<size_t>(mask_words(S)));
		if (bf16)
			weights.resize(static_cast<size_t>(BLOCK * ld * size));
		if (backward) {
			turned_v.resize(turned_k.size());
			flat_k.resize(static_cast<size_t>(S * D * size));
			turned_q.resize(static_cast<size_t>(D * BLOCK * size));
			turned_g.resize(turned_q.size());
			ds.resize(s.size());
			slopes.resize(weights.size());
			packed.resize(static_cast<size_t>(BLOCK * BLOCK * size));
			dk.resize(static_cast<size_t>(D * ld));
			dv.resize(dk.size());
		}
	}

	/* Row i of the block's weights, and of their gradient, as elements. */
	void *weight(int64_t i)
	{
		return bf16 ? static_cast<void *>(&weights[i * ld * size]) : &s[i * ld];
	}
	void *slope(int64_t i)
	{
		return bf16 ? static_cast<void *>(&slopes[i * ld * size]) : &ds[i * ld];
	}

	int64_t panel() const /* bytes of one of turned_k */
	{
		return (bf16 ? (a.D + 1) / 2 * 2 : a.D) * BLOCK * size;
	}

	/* x: all S rows of a head, t bytes apart */
	void turn(const head_view &x, int64_t b, int64_t h, room<char> &to) const
	{
		for (int64_t t = 0; t < a.S; t += BLOCK)
			a.kernels->pack(x.row(b, h, t), x.t / size, true, a.D, std::min(BLOCK, a.S - t), BLOCK,
					&to[panel() * (t / BLOCK)]);
	}

	/* x: all S rows of a head, filled up with rows of zeros */
	void flatten(const head_view &x, int64_t b, int64_t h, room<char> &to) const
	{
		a.kernels->pack(x.row(b, h, 0), x.t / size, false, a.S, a.D, D, to.data());
		const int64_t used = (bf16 ? (a.S + 1) / 2 * 2 : a.S) * D * size;
		if (S * D * size > used)
			memset(&to[used], 0, static_cast<size_t>(S * D * size - used));
	}

	/* c (n, keys; ld apart) = rows x turned panels */
	void products(const head_view &x, int64_t b, int64_t h, int64_t t, int64_t n, int64_t keys,
		      const room<char> &panels, room<float> &c) const
	{
		for (int64_t k = 0; k < keys; k += BLOCK)
			small_product(bf16, n, BLOCK, a.D, x.row(b, h, t), std::max(a.D, x.t / size),
				      &panels[panel() * (k / BLOCK)], BLOCK, &c[k], ld, false);
	}

	/*
	 * c (D, keys; ld apart) += turned (D, n) times rows (n, keys; ld apart): the transpose of a gradient of keys or
	 * values, so that not the long rows have to be turned but a block of queries or of their gradient, and once, in
	 * the end, c.
	 */
	void add_products(const room<char> &turned, const void *rows, int64_t n, int64_t keys, room<float> &c)
	{
		const int64_t K = bf16 ? (n + 1) / 2 * 2 : n; /* a last row of zeros in the packed part */
		for (int64_t k = 0; k < keys; k += BLOCK) {
			const char *part = static_cast<const char *>(rows) + k * size;
			if (bf16) {
				a.kernels->pack(part, ld, false, n, BLOCK, BLOCK, packed.data());
				part = packed.data();
			}
			small_product(bf16, a.D, BLOCK, K, turned.data(), BLOCK, part, bf16 ? BLOCK : ld, &c[k], ld, true);
		}
	}
};

static int64_t whole_blocks(int64_t n)
{
	return (n + BLOCK - 1) / BLOCK * BLOCK;
}

static void small_forward(const attention_plan &a, const head_view &q, const head_view &k, const head_view &v,
			  const head_view &out, double *lse)
{
	at::parallel_for(0, a.B * a.G, 1, [&](int64_t begin, int64_t end) {
		workspace w(a, false);
		for (int64_t task = begin; task < end; task++) {
			const int64_t b = task / a.G, g = task % a.G;
			w.turn(k, b, g, w.turned_k);
			w.flatten(v, b, g, w.flat_v);
			for (int64_t h = g * a.R; h < (g + 1) * a.R; h++)
				for (int64_t t0 = 0; t0 < a.T; t0 += BLOCK) {
					const int64_t n = std::min(BLOCK, a.T - t0),
						      keys = whole_blocks(a.keys(t0 + n));
					double inverse[BLOCK];
					w.products(q, b, h, t0, n, keys, w.turned_k, w.s);
					for (int64_t i = 0; i < n; i++) {
						const int64_t row = (b * a.H + h) * a.T + t0 + i;
						lse[row] = a.kernels->softmax_row(&w.s[i * w.ld], w.weight(i), a.seen(b, t0 + i),
										  keys, a.scale, &a.m, row * a.S,
										  w.words.data(), &inverse[i]);
					}
					if (keys > 0)
						small_product(w.bf16, n, w.D, keys, w.weight(0), w.ld, w.flat_v.data(), w.D,
							      w.out.data(), w.D, false);
					else
						std::fill(w.out.begin(), w.out.end(), 0.0f);
					for (int64_t i = 0; i < n; i++)
						a.kernels->scale_row(&w.out[i * w.D], out.row(b, h, t0 + i), a.D,
								     inverse[i]);
				}
		}
		small_products_end(w.bf16);
	});
}

static void small_backward(const attention_plan &a, const head_view &q, const head_view &k, const head_view &v,
			   const head_view &out, const double *lse, const head_view &grad, const head_view &dq,
			   const head_view &dk, const head_view &dv)
{
	at::parallel_for(0, a.B * a.G, 1, [&](int64_t begin, int64_t end) {
		workspace w(a, true);
		for (int64_t task = begin; task < end; task++) {
			const int64_t b = task / a.G, g = task % a.G;
			w.turn(k, b, g, w.turned_k);
			w.turn(v, b, g, w.turned_v);
			w.flatten(k, b, g, w.flat_k);
			std::fill(w.dk.begin(), w.dk.end(), 0.0f);
			std::fill(w.dv.begin(), w.dv.end(), 0.0f);
			for (int64_t h = g * a.R; h < (g + 1) * a.R; h++)
				for (int64_t t0 = 0; t0 < a.T; t0 += BLOCK) {
					const int64_t n = std::min(BLOCK, a.T - t0),
						      keys = whole_blocks(a.keys(t0 + n));
					if (keys == 0) {
						for (int64_t i = 0; i < n; i++)
							memset(dq.row(b, h, t0 + i), 0,
							       static_cast<size_t>(a.D * a.size));
						continue;
					}
					double delta[BLOCK];
					w.products(q, b, h, t0, n, keys, w.turned_k, w.s);
					w.products(grad, b, h, t0, n, keys, w.turned_v, w.ds);
					for (int64_t i = 0; i < n; i++) /* all at once: their rows lie far apart, and may come together */
						delta[i] = a.kernels->dot(grad.row(b, h, t0 + i), out.row(b, h, t0 + i), a.D);
					for (int64_t i = 0; i < n; i++) {
						const int64_t row = (b * a.H + h) * a.T + t0 + i;
						a.kernels->softmax_row_grad(&w.s[i * w.ld], &w.ds[i * w.ld], w.weight(i), w.slope(i),
									    a.seen(b, t0 + i), keys, a.scale, lse[row],
									    delta[i], &a.m, row * a.S, w.words.data());
					}
					small_product(w.bf16, n, w.D, keys, w.slope(0), w.ld, w.flat_k.data(), w.D, w.out.data(),
						      w.D, false);
					for (int64_t i = 0; i < n; i++)
						a.kernels->scale_row(&w.out[i * w.D], dq.row(b, h, t0 + i), a.D, 1);
					a.kernels->transpose(q.row(b, h, t0), q.t / w.size, w.turned_q.data(), BLOCK, n, a.D);
					a.kernels->transpose(grad.row(b, h, t0), grad.t / w.size, w.turned_g.data(), BLOCK, n, a.D);
					w.add_products(w.turned_q, w.slope(0), n, keys, w.dk);
					w.add_products(w.turned_g, w.weight(0), n, keys, w.dv);
				}
			a.kernels->transpose_sums(w.dk.data(), w.ld, dk.row(b, g, 0), dk.t / w.size, a.D, a.S);
			a.kernels->transpose_sums(w.dv.data(), w.ld, dv.row(b, g, 0), dv.t / w.size, a.D, a.S);
		}
		small_products_end(w.bf16);
	});
}

/* ---- batched products: f32 and f64 ---- */

/* Calls row(i, b, h, t) for rows [t0, t0 + n) of all heads; i counts them: as (B, heads, n). */
template <class F> static void for_rows(int64_t B, int64_t heads, int64_t t0, int64_t n, int64_t cost, const F &row)
{
	at::parallel_for(0, B * heads * n, 1 + 32768 / (cost + 1), [&](int64_t begin, int64_t end) {
		for (int64_t i = begin; i < end; i++)
			row(i, i / n / heads, i / n % heads, t0 + i % n);
	});
}

/* Times [t0, t0 + n) of all heads -> (B G, heads / G n, D), so that heads that share a key head lie together. */
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

static void scatter(const attention_plan &a, const Tensor &y, const head_view &x, int64_t heads, int64_t t0, int64_t n)
{
	const char *from = bytes_of(y);
	const int64_t bytes = a.D * a.size;
	for_rows(a.B, heads, t0, n, a.D, [&](int64_t i, int64_t b, int64_t h, int64_t t) {
		memcpy(x.row(b, h, t), from + i * bytes, static_cast<size_t>(bytes));
	});
}

static void batched_forward(const attention_plan &a, const head_view &q, const head_view &k, const head_view &v,
			    const head_view &out, double *lse)
{
	const Tensor k3 = gather(a, k, a.G, 0, a.S), v3 = gather(a, v, a.G, 0, a.S);
	const int64_t rows = std::max<int64_t>(16, BLOCK / a.R);
	std::vector<double> inverse(static_cast<size_t>(a.B * a.H * rows));

	for (int64_t t0 = 0; t0 < a.T; t0 += rows) {
		const int64_t n = std::min(rows, a.T - t0), keys = a.keys(t0 + n);
		const Tensor s = at::bmm(gather(a, q, a.H, t0, n), k3.narrow(1, 0, keys).transpose(1, 2));
		char *at_s = bytes_of(s);
		at::parallel_for(0, a.B * a.H * n, 1 + 32768 / (keys + 1), [&](int64_t begin, int64_t end) {
			std::vector<uint32_t> words(static_cast<size_t>(mask_words(keys)));
			for (int64_t i = begin; i < end; i++) {
				const int64_t row = i / n * a.T + t0 + i % n; /* of (B, H, T) */
				char *p = at_s + i * keys * a.size;
				lse[row] =
				    a.kernels->softmax_row(p, p, a.seen(i / n / a.H, t0 + i % n), keys, a.scale, &a.m,
							   row * a.S, words.data(), &inverse[static_cast<size_t>(i)]);
			}
		});
		const Tensor o = at::bmm(s, v3.narrow(1, 0, keys));
		char *at_o = bytes_of(o);
		for_rows(a.B, a.H, t0, n, a.D, [&](int64_t i, int64_t b, int64_t h, int64_t t) {
			a.kernels->scale_row(at_o + i * a.D * a.size, out.row(b, h, t), a.D,
					     inverse[static_cast<size_t>(i)]);
		});
	}
}

static void batched_backward(const attention_plan &a, const head_view &q, const head_view &k, const head_view &v,
			     const head_view &out, const double *lse, const head_view &grad, const head_view &dq,
			     const head_view &dk, const head_view &dv)
{
	const Tensor k3 = gather(a, k, a.G, 0, a.S), v3 = gather(a, v, a.G, 0, a.S);
	const int64_t rows = std::max<int64_t>(16, BLOCK / a.R);
	Tensor sum_k = at::zeros_like(k3), sum_v = at::zeros_like(v3);

	for (int64_t t0 = 0; t0 < a.T; t0 += rows) {
		const int64_t n = std::min(rows, a.T - t0), keys = a.keys(t0 + n);
		const Tensor qb = gather(a, q, a.H, t0, n), gb = gather(a, grad, a.H, t0, n);
		const Tensor kb = k3.narrow(1, 0, keys), vb = v3.narrow(1, 0, keys);
		const Tensor s = at::bmm(qb, kb.transpose(1, 2)), ds = at::bmm(gb, vb.transpose(1, 2));
		char *at_s = bytes_of(s), *at_ds = bytes_of(ds), *at_g = bytes_of(gb);
		at::parallel_for(0, a.B * a.H * n, 1 + 32768 / (keys + 1), [&](int64_t begin, int64_t end) {
			std::vector<uint32_t> words(static_cast<size_t>(mask_words(keys)));
			for (int64_t i = begin; i < end; i++) {
				const int64_t b = i / n / a.H, h = i / n % a.H, t = t0 + i % n, row = i / n * a.T + t;
				const double delta = a.kernels->dot(at_g + i * a.D * a.size, out.row(b, h, t), a.D);
				char *p = at_s + i * keys * a.size, *d = at_ds + i * keys * a.size;
				a.kernels->softmax_row_grad(p, d, p, d, a.seen(b, t), keys, a.scale, lse[row], delta, &a.m,
							    row * a.S, words.data());
			}
		});
		scatter(a, at::bmm(ds, kb), dq, a.H, t0, n);
		sum_k.narrow(1, 0, keys).baddbmm_(ds.transpose(1, 2), qb);
		sum_v.narrow(1, 0, keys).baddbmm_(s.transpose(1, 2), gb);
	}
	scatter(a, sum_k, dk, a.G, 0, a.S);
	scatter(a, sum_v, dv, a.G, 0, a.S);
}

/* lse: (B, H, T) */
static void attention_forward(const attention_plan &a, const head_view &q, const head_view &k, const head_view &v,
			      const head_view &out, double *lse)
{
	(a.small ? small_forward : batched_forward)(a, q, k, v, out, lse);
}

static void attention_backward(const attention_plan &a, const head_view &q, const head_view &k, const head_view &v,
			       const head_view &out, const double *lse, const head_view &grad, const head_view &dq,
			       const head_view &dk, const head_view &dv)
{
	(a.small ? small_backward : batched_backward)(a, q, k, v, out, lse, grad, dq, dk, dv);
}

static void save_attention(AutogradContext *ctx, bool causal, double scale, double p, th_key key, attention_way way)
{
	ctx->saved_data["type"] = static_cast<int64_t>(way.type);
	ctx->saved_data["small"] = way.small;
	ctx->saved_data["causal"] = causal;
	ctx->saved_data["scale"] = scale;
	ctx->saved_data["p"] = p;
	save_key(ctx, key);
}

static attention_way saved_way(AutogradContext *ctx)
{
	return {static_cast<at::ScalarType>(ctx->saved_data["type"].toInt()), ctx->saved_data["small"].toBool()};
}

/* x (B, heads, T, D) such that rows of D lie whole and apart */
static Tensor in_rows(const Tensor &x)
{
	return x.stride(3) == 1 && x.stride(2) >= x.size(3) ? x : x.contiguous();
}

struct Attention : Function<Attention> {
	static Tensor forward(AutogradContext *ctx, const Tensor &q_, const Tensor &k_, const Tensor &v_, bool causal,
			      const std::optional<Tensor> &length_, double scale, double p, th_key key, attention_way way)
	{
		const Tensor q = in_rows(q_.to(way.type)), k = in_rows(k_.to(way.type)),
			     v = in_rows(v_.to(way.type)), length = length_.value_or(Tensor());
		const attention_plan a = make_plan(q, q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3),
						   causal, length, scale, p, key, way.small);
		/* laid out as (B, T, H, D), for that is how the next operation wants it */
		Tensor out = at::empty({a.B, a.T, a.H, a.D}, q.options()).transpose(1, 2);
		Tensor lse = at::empty({a.B, a.H, a.T}, q.options().dtype(at::kDouble));

		attention_forward(a, view_of(q), view_of(k), view_of(v), view_of(out), lse.data_ptr<double>());
		out = out.to(q_.scalar_type());
		ctx->save_for_backward({q_, k_, v_, out, lse, length});
		save_attention(ctx, causal, scale, p, key, way);
		return out;
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const variable_list saved = ctx->get_saved_variables();
		const attention_way way = saved_way(ctx);
		const at::ScalarType given = saved[0].scalar_type();
		const Tensor q = in_rows(saved[0].to(way.type)), k = in_rows(saved[1].to(way.type)),
			     v = in_rows(saved[2].to(way.type)), out = saved[3].to(way.type),
			     g = in_rows(grad[0].to(way.type)), &lse = saved[4], &length = saved[5];
		const attention_plan a =
		    make_plan(q, q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3),
			      ctx->saved_data["causal"].toBool(), length, ctx->saved_data["scale"].toDouble(),
			      ctx->saved_data["p"].toDouble(), saved_key(ctx), way.small);
		Tensor dq = at::empty({a.B, a.T, a.H, a.D}, q.options()).transpose(1, 2);
		Tensor dk = at::empty({a.B, a.S, a.G, a.D}, q.options()).transpose(1, 2);
		Tensor dv = at::empty({a.B, a.S, a.G, a.D}, q.options()).transpose(1, 2);

		attention_backward(a, view_of(q), view_of(k), view_of(v), view_of(out), lse.const_data_ptr<double>(),
				   view_of(g), view_of(dq), view_of(dk), view_of(dv));
		return {dq.to(given), dk.to(given), dv.to(given), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
	}
};

/* The same on x (B, T, (H + 2 G) D): nothing is copied apart, and the gradient is one tensor. */
struct PackedAttention : Function<PackedAttention> {
	static attention_plan plan(const Tensor &x, int64_t H, int64_t G, bool causal, const Tensor &length,
				   double scale, double p, th_key key, bool small)
	{
		return make_plan(x, x.size(0), H, G, x.size(1), x.size(1), x.size(2) / (H + 2 * G), causal, length,
				 scale, p, key, small);
	}

	static Tensor forward(AutogradContext *ctx, const Tensor &x_, int64_t H, int64_t G, bool causal,
			      const std::optional<Tensor> &length_, double scale, double p, th_key key,
			      attention_way way)
	{
		const Tensor x = x_.to(way.type).contiguous(), length = length_.value_or(Tensor());
		const attention_plan a = plan(x, H, G, causal, length, scale, p, key, way.small);
		Tensor out = at::empty({a.B, a.T, H * a.D}, x.options());
		Tensor lse = at::empty({a.B, H, a.T}, x.options().dtype(at::kDouble));

		attention_forward(a, view_of_packed(x, 0, a.D), view_of_packed(x, H, a.D),
				  view_of_packed(x, H + G, a.D), view_of_packed(out, 0, a.D), lse.data_ptr<double>());
		out = out.to(x_.scalar_type());
		ctx->save_for_backward({x_, out, lse, length});
		ctx->saved_data["heads"] = H;
		ctx->saved_data["key heads"] = G;
		save_attention(ctx, causal, scale, p, key, way);
		return out;
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const variable_list saved = ctx->get_saved_variables();
		const attention_way way = saved_way(ctx);
		const Tensor x = saved[0].to(way.type).contiguous(), out = saved[1].to(way.type),
			     g = grad[0].to(way.type).contiguous(), &lse = saved[2];
		const int64_t H = ctx->saved_data["heads"].toInt(), G = ctx->saved_data["key heads"].toInt();
		const attention_plan a =
		    plan(x, H, G, ctx->saved_data["causal"].toBool(), saved[3], ctx->saved_data["scale"].toDouble(),
			 ctx->saved_data["p"].toDouble(), saved_key(ctx), way.small);
		Tensor dx = at::empty_like(x);

		attention_backward(a, view_of_packed(x, 0, a.D), view_of_packed(x, H, a.D),
				   view_of_packed(x, H + G, a.D), view_of_packed(out, 0, a.D),
				   lse.const_data_ptr<double>(), view_of_packed(g, 0, a.D), view_of_packed(dx, 0, a.D),
				   view_of_packed(dx, H, a.D), view_of_packed(dx, H + G, a.D));
		return {dx.to(saved[0].scalar_type()), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
	}
};

/* (B, G, S, D) -> (B, G R, S, D): each head R times */
static Tensor repeat_heads(const Tensor &x, int64_t R)
{
	const int64_t B = x.size(0), G = x.size(1), S = x.size(2), D = x.size(3);
	return x.unsqueeze(2).expand({B, G, R, S, D}).reshape({B, G * R, S, D});
}

/*
 * libtorch's own; its causal mask counts from the first key, ours from the last, so T != S needs a mask. Without a mask it takes flash
 * attention for bfloat16 and float16, dropout included, and in deterministic mode that kernel's deterministic backward pass; else its
 * memory-efficient attention. Flash attention alone takes fewer key heads than heads as they are.
 */
static Tensor library_attention(const Tensor &q, Tensor k, Tensor v, bool causal, const Tensor &length, double scale,
				double p, th_key key)
{
	const int64_t T = q.size(2), S = k.size(2), R = q.size(1) / k.size(1);
	const bool flash = !length.defined() && (!causal || T == S) && q.size(3) <= 256 &&
			   (q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf);
	std::optional<Tensor> seen;

	if (R > 1 && !flash) {
		k = repeat_heads(k, R);
		v = repeat_heads(v, R);
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
	Tensor out = at::scaled_dot_product_attention(q, k, v, seen, p, causal, scale, R > 1 && flash);
	return seen ? out.masked_fill(seen->any(-1, true).logical_not(), 0) : out; /* rows that see nothing */
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
	TORCH_CHECK(!length.defined() ||
			(length.dim() == 1 && length.size(0) == q.size(0) && length.scalar_type() == at::kLong),
		    "attention: length must be (", q.size(0), ") i64");
	if (length.defined() && !length.is_contiguous())
		return fused_attention(q, k, v, causal, length.contiguous(), scale, p, key);
	if (!q.is_cpu())
		return library_attention(q, k, v, causal, length, scale, p, key);
	const attention_way way = choose_way(q.scalar_type(), k.size(0) * k.size(1), k.size(2), q.size(3));
	return Attention::apply(q, k, v, causal, optional(length), scale, p, key, way);
}

Tensor fused_attention_packed(const Tensor &x, int64_t heads, int64_t key_heads, bool causal, const Tensor &length,
			      double scale, double p, th_key key)
{
	TORCH_CHECK(heads > 0 && key_heads > 0 && heads % key_heads == 0 && x.dim() == 3 &&
			x.size(2) % (heads + 2 * key_heads) == 0,
		    "attention: ", heads, " heads and ", key_heads, " key heads do not fit ", x.sizes());
	TORCH_CHECK(!length.defined() ||
			(length.dim() == 1 && length.size(0) == x.size(0) && length.scalar_type() == at::kLong),
		    "attention: length must be (", x.size(0), ") i64");
	const int64_t D = x.size(2) / (heads + 2 * key_heads), n[] = {heads, key_heads, key_heads};
	if (x.is_cpu())
		return PackedAttention::apply(x, heads, key_heads, causal,
					      optional(length.defined() ? length.contiguous() : length), scale, p, key,
					      choose_way(x.scalar_type(), x.size(0) * key_heads, x.size(1), D));
	Tensor part[3];
	for (int64_t i = 0, from = 0; i < 3; from += n[i++])
		part[i] = x.narrow(2, from * D, n[i] * D).view({x.size(0), x.size(1), n[i], D}).transpose(1, 2);
	return fused_attention(part[0], part[1], part[2], causal, length, scale, p, key)
	    .transpose(1, 2)
	    .reshape({x.size(0), x.size(1), heads * D});
}
