/*
 * kernels.h: the loops over memory that libtorch has no fast operation for. No libtorch here: plain pointers,
 * one thread; the caller divides the work. A table a number type; inside, the instruction set is chosen at
 * run time, and results do not depend on how rows or ranges are divided among threads.
 */
#ifndef PALIMPSEST_KERNELS_H
#define PALIMPSEST_KERNELS_H

#include <cstdint>

/*
 * A random mask. Element i is dropped if word (i / 16) % 4 of Philox4x32-10 with the key `seed` and the counter
 * (block, stream), block = i / 64 * 16 + i % 16, is below threshold. This order of words lets 16 lanes of a vector
 * hold 16 blocks with no shuffling.
 */
struct mask {
	uint64_t seed, stream;
	uint32_t threshold; /* p * 2^32, rounded */
	double scale;       /* of kept elements: 1 / (1 - p) */
	bool on;            /* false: keep all, do not scale */
};

/* What one AdamW step is made of beside its tensors; th_adamw in tensor.h has the formula. */
struct adamw_factors {
	float gradient;              /* which gradients are multiplied by */
	float keep;                  /* of a parameter: 1 - lr wd */
	float fresh1, beta2, fresh2; /* fresh: 1 - b1, 1 - b2, which of a b that was rounded to a float would be less exact */
	float eps;
	float rate;                  /* lr / (1 - b1^step) */
	float root;                  /* 1 / sqrt(1 - b2^step) */
};

/* Words that a caller must lend for the bits of n elements from any start. */
constexpr int64_t mask_words(int64_t n)
{
	return (n + 63 + 63) / 64 * 64 + 15; /* whole groups of 64, and a last vector that reaches past them */
}

/* Pointers are to elements of the table's type: float, bfloat16 (as its bits) or double. */
struct kernel_table {
	/* y[i] = x[i] * scale or 0, i in [0, n); element 0 has the index start (a multiple of 64). y may be x. */
	void (*dropout)(const void *x, void *y, int64_t start, int64_t n, const mask *m);

	/*
	 * Attention: products and sums are f32, or f64 for f64, whatever the elements are.
	 *
	 * One row of weights, from products s: p[0, seen) = exp(scale s - max), dropped; p[seen, n) = 0. *inverse: what these
	 * must still be multiplied by to be softmax(scale s); the products with the values are shorter than the row.
	 * index: of p[0] in the mask. Returns the log-sum-exp (-inf if seen is 0). p may be s.
	 */
	double (*softmax_row)(const void *s, void *p, int64_t seen, int64_t n, double scale, const mask *m, int64_t index,
	                      uint32_t *words, double *inverse);
	/*
	 * Its gradient: s holds the products q k, g the gradient of the dropped weights. With w = exp(scale s - lse)
	 * and keep = 0 or the mask's scale: p = w keep (the dropped weights) and d = scale w (g keep - delta), as elements.
	 * p may be s, and d may be g, where these are elements.
	 */
	void (*softmax_row_grad)(const void *s, const void *g, void *p, void *d, int64_t seen, int64_t n, double scale,
	                         double lse, double delta, const mask *m, int64_t index, uint32_t *words);
	void (*scale_row)(const void *sum, void *y, int64_t n, double factor); /* y = factor sum, as elements */

	/* GPT-2's GELU, with tanh; gelu_grad: d = g times its slope at x, and y = gelu(x) again, unless NULL. d may be g. */
	void (*gelu)(const void *x, void *y, int64_t n);
	void (*gelu_grad)(const void *x, const void *g, void *d, void *y, int64_t n);

	/* y = silu(a) b, and from its gradient g those of a and b. y may be a or b; da and db any of a, b and g. */
	void (*swiglu)(const void *a, const void *b, void *y, int64_t n);
	void (*swiglu_grad)(const void *a, const void *b, const void *g, void *da, void *db, int64_t n);

	/*
	 * One head of 2 half elements: the pairs (x[i], x[i + half]) turned by angles whose cos and then sin are in turn[],
	 * as f32, or f64 for f64. sign: 1, or -1 to turn back. y may be x.
	 */
	void (*rope)(const void *x, void *y, const void *turn, int64_t half, double sign);

	/* sum of a[i] b[i] */
	double (*dot)(const void *a, const void *b, int64_t n);
	/* sum of a[i]^2 */
	double (*sum_squares)(const void *a, int64_t n);

	/*
	 * Normalised by the root of the mean square: y = x r, rounded, times w, with r = 1 / sqrt(mean of x^2 + eps),
	 * which is returned. y may be x. From its gradient g: dx is that of x, and that of w is added to dw, as f32, or
	 * f64 for f64. dx may be g.
	 */
	double (*rms_norm_row)(const void *x, const void *w, void *y, int64_t n, double eps);
	void (*rms_norm_row_grad)(const void *x, const void *w, const void *g, double r, void *dx, void *dw, int64_t n);

	double (*log_sum_exp_row)(const void *x, int64_t n); /* -inf if all are */
	/*
	 * Cross-entropy of one row of n logits: returns -log softmax(x)[target]. With gradient, x becomes
	 * scale (softmax(x) - onehot(target)). target < 0: returns 0, gradient 0.
	 */
	double (*cross_entropy_row)(void *x, int64_t n, int64_t target, double scale, bool gradient);

	/* sum[j] += x[i * ld + j], i < rows, j < columns; sums as f32, or f64 for f64 */
	void (*add_rows)(const void *x, int64_t ld, int64_t rows, int64_t columns, void *sum);

	/* The rest is for f32 and bfloat16; NULL for f64. */

	/*
	 * GELU by erf, to within 2e-7 of x: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26. For where a result
	 * is rounded more than that. y may be x.
	 */
	void (*gelu_erf)(const void *x, void *y, int64_t n);

	/* AdamW in place on n parameters p with moments m and v; g: gradients, as elements; copy: p as bfloat16, or NULL. */
	void (*adamw)(float *p, const void *g, float *m, float *v, uint16_t *copy, int64_t n, const adamw_factors *f);

	/* y[j * ldy + i] = x[i * ldx + j], as elements; i < rows, j < columns; of elements, and of sums */
	void (*transpose)(const void *x, int64_t ldx, void *y, int64_t ldy, int64_t rows, int64_t columns);
	void (*transpose_sums)(const float *x, int64_t ldx, void *y, int64_t ldy, int64_t rows, int64_t columns);
	/*
	 * b (k, n), or (n, k) if transposed, to a panel filled up with zeros to width, a multiple of 16: (k, width), or for
	 * bfloat16 ((k + 1) / 2, width, 2), pairs of k together, as the machine's products want it.
	 */
	void (*pack)(const void *b, int64_t ld, bool transposed, int64_t k, int64_t n, int64_t width, void *panel);

	/*
	 * For bfloat16, else NULL. y[i] is the neighbour of x[i] below or above it, the nearer the likelier, so that x[i] is the mean:
	 * the low half of element start + i's word (see struct mask) decides. start: a multiple of 64.
	 */
	void (*round_random)(const float *x, void *y, int64_t start, int64_t n, const mask *m);
};

enum kernel_type { KERNEL_F32, KERNEL_BF16, KERNEL_F64 };
const kernel_table *kernels_for(kernel_type type);
bool machine_has_avx512(); /* F, BW, DQ and VL */
bool machine_has_bf16();   /* these and AVX-512 BF16 */
bool machine_is_intel();
bool machine_has_amx();    /* for bfloat16; and oneDNN is not told to leave it alone */
/*
 * Whether oneDNN's products of bfloat16 are faster than those of f32: by AMX, or by AVX-512 BF16 of others than Intel
 * (a Xeon whose AMX is off takes half again as long as for f32; others' have not been measured). Without either they
 * take four to eight times as long.
 */
bool machine_multiplies_bf16();

#endif
