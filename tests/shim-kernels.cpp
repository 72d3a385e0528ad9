/*
 * The shim's loops for every instruction set that this machine has, against the plain ones, in exact-sized memory.
 * tests/shim.bats builds it with sanitizers. Prints "ok" or what differs.
 */
#include "../shim/kernels.cpp"

#include <cstdio>
#include <cstdlib>
#include <vector>

static const char *const type_name[] = {"f32", "bf16", "f64"};
static const size_t element_size[] = {4, 2, 8}, sum_size[] = {4, 4, 8};
static const kernel_type sums_of[] = {KERNEL_F32, KERNEL_F32, KERNEL_F64};
static int failures;

static double get(const void *p, kernel_type type, int64_t i)
{
	if (type == KERNEL_F32)
		return static_cast<const float *>(p)[i];
	if (type == KERNEL_F64)
		return static_cast<const double *>(p)[i];
	uint32_t u = static_cast<uint32_t>(static_cast<const uint16_t *>(p)[i]) << 16;
	float f;
	memcpy(&f, &u, sizeof f);
	return f;
}

static void set(void *p, kernel_type type, int64_t i, double v)
{
	const float f = static_cast<float>(v);
	uint32_t u;

	memcpy(&u, &f, sizeof u);
	if (type == KERNEL_F32)
		static_cast<float *>(p)[i] = f;
	else if (type == KERNEL_F64)
		static_cast<double *>(p)[i] = v;
	else
		static_cast<uint16_t *>(p)[i] = static_cast<uint16_t>(u >> 16);
}

/* Memory of just that size, so that the sanitizer sees a step beyond. */
struct memory {
	void *p;
	explicit memory(size_t n) : p(malloc(n ? n : 1)) {}
	memory(const memory &) = delete;
	~memory() { free(p); }
	operator void *() const { return p; }
};

static double number(int64_t i) /* in (-4, 4), no pattern */
{
	return static_cast<double>(static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15 >> 40) / (1 << 21) - 4;
}

typedef std::vector<double> results;

static void run(const kernel_table *t, kernel_type type, int64_t n, results &r)
{
	const kernel_type sums = sums_of[type];
	const size_t size = static_cast<size_t>(n);
	const memory x(size * element_size[type]), y(size * element_size[type]), d(size * element_size[type]);
	const memory s(size * sum_size[type]), g(size * sum_size[type]), words(sizeof(uint32_t) * static_cast<size_t>(mask_words(n)));
	mask m = {0x1234567890abcdef, 0xfedcba0987654321, 1000000000, 1.25, true};
	auto fill = [&] {
		for (int64_t i = 0; i < n; i++) {
			set(x, type, i, number(i));
			set(y, type, i, number(i + n));
			set(s, sums, i, number(i + 2 * n));
			set(g, sums, i, number(i + 3 * n));
		}
	};
	auto keep = [&](const void *p, kernel_type of) {
		for (int64_t i = 0; i < n; i++)
			r.push_back(get(p, of, i));
	};

	fill();
	t->dropout(x, y, 3 * 64, n, &m);
	keep(y, type);
	for (int on = 0; on < 2; on++)
		for (int64_t seen : {int64_t(0), n / 2, n}) {
			double inverse;
			m.on = on;
			fill();
			r.push_back(t->softmax_row(s, x, seen, n, 0.7, &m, 12345, static_cast<uint32_t *>(words.p), &inverse));
			r.push_back(inverse);
			keep(x, type);
			fill();
			t->softmax_row_grad(s, g, x, d, seen, n, 0.7, 3.5, 0.1, &m, 12345, static_cast<uint32_t *>(words.p));
			keep(x, type);
			keep(d, type);
		}
	fill();
	t->scale_row(s, x, n, 1.7);
	keep(x, type);
	t->gelu(y, x, n);
	keep(x, type);
	t->gelu_grad(y, x, x, d, n);
	keep(x, type);
	keep(d, type);
	fill();
	if (t->gelu_erf)
		t->gelu_erf(y, y, n);
	keep(y, type);
	fill();
	t->add_rows(x, n / 3, 3, n / 3, s);
	t->add_rows(x, 1, n, 1, g);
	keep(s, sums);
	keep(g, sums);
	fill();
	t->swiglu(x, y, d, n);
	keep(d, type);
	t->swiglu_grad(x, y, d, x, y, n);
	keep(x, type);
	keep(y, type);
	fill();
	t->rope(x, y, s, n / 2, -1);
	keep(y, type);
	fill();
	const double inverse = t->rms_norm_row(x, y, d, n, 1e-5);
	r.push_back(inverse);
	keep(d, type);
	t->rms_norm_row_grad(x, y, d, inverse, d, s, n);
	keep(d, type);
	keep(s, sums);
	fill();
	r.push_back(t->dot(x, y, n));
	r.push_back(t->sum_squares(x, n));
	r.push_back(t->log_sum_exp_row(x, n));
	r.push_back(t->cross_entropy_row(x, n, n / 2, 0.5, true));
	keep(x, type);
	for (int copied = 0; t->adamw && copied < 2; copied++) {
		const memory v(size * sizeof(float)), copy(size * 2);
		const adamw_factors f = {0.5f, 0.999f, 0.1f, 0.99f, 0.01f, 1e-8f, 0.02f, 1.5f};
		fill();
		for (int64_t i = 0; i < n; i++)
			set(v, KERNEL_F32, i, number(i + 4 * n) + 4);
		t->adamw(static_cast<float *>(s.p), x, static_cast<float *>(g.p), static_cast<float *>(v.p),
		         copied ? static_cast<uint16_t *>(copy.p) : nullptr, n, &f);
		keep(s, KERNEL_F32);
		keep(g, KERNEL_F32);
		keep(v, KERNEL_F32);
		if (copied)
			keep(copy, KERNEL_BF16);
	}
}

static void compare(const char *name, kernel_type type, int64_t n, const results &got, const results &want)
{
	const double tolerance = type == KERNEL_BF16 ? 0.01 : type == KERNEL_F32 ? 2e-5 : 1e-12;

	for (size_t i = 0; i < want.size(); i++)
		if (!(got[i] == want[i]) && !(std::fabs(got[i] - want[i]) <= tolerance * (1e-2 + std::fabs(want[i])))) {
			printf("%s %s n %d, result %d: %.9g, plain %.9g\n", name, type_name[type], static_cast<int>(n),
			       static_cast<int>(i), got[i], want[i]);
			failures++;
			return;
		}
}

/* transpose(), transpose_sums() and pack() against their definition. */
static void turn(const char *name, const kernel_table *t, kernel_type type, int64_t rows, int64_t columns)
{
	const int before = failures;
	const size_t size = element_size[type], n = static_cast<size_t>(rows * columns);
	const memory sums(n * sizeof(float)), out(n * size), b(n * size);
	const int64_t width = (columns + 15) / 16 * 16, deep = type == KERNEL_BF16 ? (rows + 1) / 2 * 2 : rows;
	const memory panel(static_cast<size_t>(deep * width) * size);

	for (int64_t i = 0; i < rows * columns; i++) {
		set(sums, KERNEL_F32, i, static_cast<double>(i % 200));
		set(b, type, i, static_cast<double>(i % 200));
	}
	for (bool from_sums : {false, true}) {
		if (from_sums)
			t->transpose_sums(static_cast<float *>(sums.p), columns, out, rows, rows, columns);
		else
			t->transpose(b, columns, out, rows, rows, columns);
		for (int64_t i = 0; i < rows * columns; i++)
			failures += get(out, type, i % columns * rows + i / columns) != static_cast<double>(i % 200);
	}
	for (bool transposed : {false, true}) {
		t->pack(b, transposed ? rows : columns, transposed, rows, columns, width, panel);
		for (int64_t k = 0; k < deep; k++)
			for (int64_t c = 0; c < width; c++) {
				const int64_t from = transposed ? c * rows + k : k * columns + c;
				const double want = k < rows && c < columns ? static_cast<double>(from % 200) : 0;
				failures += get(panel, type, type == KERNEL_BF16 ? (k / 2 * width + c) * 2 + k % 2
				                                                 : k * width + c) != want;
			}
	}
	if (failures > before)
		printf("%s %s: transpose or pack of %d x %d is wrong\n", name, type_name[type], static_cast<int>(rows),
		       static_cast<int>(columns));
}

/* round_random(): one of the two neighbours, bit by bit the same as the plain one, and nothing to choose where there is no rest. */
static void rounding(const char *name, const kernel_table *t, int64_t n)
{
	const int before = failures;
	const size_t size = static_cast<size_t>(n);
	const memory x(size * sizeof(float)), y(size * 2), want(size * 2);
	const mask m = {0x1234567890abcdef, 0xfedcba0987654321, 0, 1, false};
	uint32_t bits[2];

	for (int64_t i = 0; i < n; i++)
		set(x, KERNEL_F32, i, i % 5 ? number(i) : INFINITY * (i % 2 ? -1 : 1));
	if (n > 1)
		set(x, KERNEL_F32, 1, NAN);
	t->round_random(static_cast<float *>(x.p), y, 3 * 64, n, &m);
	plain::table[KERNEL_BF16]->round_random(static_cast<float *>(x.p), want, 3 * 64, n, &m);
	failures += memcmp(y, want, size * 2) != 0;
	for (int64_t i = 0; i < n; i++) {
		const float a = static_cast<float *>(x.p)[i], b = static_cast<float>(get(y, KERNEL_BF16, i));
		memcpy(bits, &a, sizeof a);
		memcpy(bits + 1, &b, sizeof b);
		failures += std::isnan(a) ? !std::isnan(b) : bits[1] - (bits[0] & 0xffff0000) > (bits[0] & 0xffff ? 0x10000 : 0);
	}
	if (failures > before)
		printf("%s: rounding of %d is wrong\n", name, static_cast<int>(n));
}

/* To the nearest, of two the even one; beyond the largest is infinite. What is denormal may be 0. */
static void nearest(const char *name, const kernel_table *t)
{
	const int before = failures;
	const int64_t n = 20000;
	const memory x(n * sizeof(float)), y(n * 2);

	for (int64_t i = 0; i < n; i++) { /* halves, what is next to them, and all else; every exponent */
		const uint64_t bits = static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15;
		const uint32_t u = static_cast<uint32_t>(bits >> 32), low = (i % 3 ? u : 0x8000 + static_cast<uint32_t>(i / 3 % 3) - 1) & 0xffff;
		const uint32_t all = (u & 0xffff0000) | low;
		memcpy(static_cast<float *>(x.p) + i, &all, sizeof all);
	}
	for (int64_t i = 0; i < 4; i++)
		set(x, KERNEL_F32, 100 + 7 * i, (i & 1 ? -1.0 : 1.0) * (i & 2 ? INFINITY : 3.4e38));
	t->scale_row(x, y, n, 1);
	for (int64_t i = 0; i < n; i++) {
		const float a = static_cast<float *>(x.p)[i];
		const uint16_t got = static_cast<uint16_t *>(y.p)[i];
		uint32_t u;
		memcpy(&u, &a, sizeof u);
		const uint16_t want = static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
		const bool tiny = std::fabs(a) < 1.18e-38f && (got & 0x7fff) == 0;
		failures += std::isnan(a) ? !std::isnan(get(y, KERNEL_BF16, i)) : got != want && !tiny;
	}
	if (failures > before)
		printf("%s: rounding to the nearest is wrong\n", name);
}

/* exp, as the gradient of attention shows it, from where it is 0 to where it is nearly too large. */
static void exponentials(const char *name, const kernel_table *t, kernel_type type)
{
	const int before = failures;
	const kernel_type sums = sums_of[type];
	const double low = sums == KERNEL_F64 ? -INFINITY : -87.33f, edge[] = {-INFINITY, -3e38, -1e4, -87.34, -87.32, -1e-40, 0, 88};
	const int64_t n = 2091;
	const size_t size = static_cast<size_t>(n);
	const memory s(size * sum_size[type]), g(size * sum_size[type]), p(size * element_size[type]), d(size * element_size[type]);
	const mask m = {1, 1, 0, 1, false};
	const double tolerance = type == KERNEL_BF16 ? 0x1p-8 : type == KERNEL_F32 ? 3e-7 : 1e-15;
	uint32_t words[1];

	for (int64_t i = 0; i < n; i++) {
		set(s, sums, i, i < 8 ? edge[i] : static_cast<double>(88 * 10 - i) / 10);
		set(g, sums, i, 1);
	}
	set(s, sums, 9, static_cast<double>(-87.33f));
	set(s, sums, 10, static_cast<double>(std::nextafter(-87.33f, -90.0f)));
	t->softmax_row_grad(s, g, p, d, n, n, 1, 0, 0, &m, 0, words);
	for (int64_t i = 0; i < n; i++) {
		const double at = get(s, sums, i), want = at < low ? 0 : std::exp(at);
		failures += !(std::fabs(get(p, type, i) - want) <= tolerance * want);
		failures += !(std::fabs(get(d, type, i) - want) <= tolerance * want);
	}
	if (failures > before)
		printf("%s %s: exp is wrong\n", name, type_name[type]);
}

/* What is not a number stays so, whatever its bits and its place; what cannot be has no part in a sum. */
static void not_numbers(const char *name, const kernel_table *t, kernel_type type)
{
	const int before = failures;
	const int64_t n = 70;
	const size_t size = static_cast<size_t>(n);
	const memory x(size * element_size[type]), y(size * element_size[type]), one(size * element_size[type]);
	const kernel_type sums = sums_of[type];
	const memory s(size * sum_size[type]);
	const mask m = {1, 1, 0, 1, false};
	uint32_t words[1];
	double inverse;

	for (uint64_t bits : {0x7fc00000u, 0x7fffffffu, 0x7fc10000u, 0xffc00000u, 0xffffffffu})
		for (int64_t at : {0, 20, 69}) {
			for (int64_t i = 0; i < n; i++) {
				set(x, type, i, 1);
				set(one, type, i, 1);
				set(s, sums, i, 1);
			}
			/* f64 has more bits of exponent; all are little-endian */
			const uint64_t f64 = (bits | 0x00380000) << 32, bf16 = bits >> 16;
			memcpy(static_cast<char *>(x.p) + static_cast<size_t>(at) * element_size[type],
			       type == KERNEL_F64 ? &f64 : type == KERNEL_F32 ? &bits : &bf16, element_size[type]);
			memcpy(static_cast<char *>(s.p) + static_cast<size_t>(at) * sum_size[type], sums == KERNEL_F64 ? &f64 : &bits,
			       sum_size[type]);
			t->gelu(x, y, n);
			failures += !std::isnan(get(y, type, at));
			t->swiglu(x, one, y, n);
			failures += !std::isnan(get(y, type, at));
			failures += !std::isnan(t->softmax_row(s, y, n, n, 1, &m, 0, words, &inverse));
			failures += !std::isnan(t->log_sum_exp_row(x, n));
			failures += !std::isnan(t->cross_entropy_row(x, n, 5, 1, false));
		}
	for (int64_t i = 0; i < n; i++)
		set(x, type, i, -INFINITY);
	failures += t->log_sum_exp_row(x, n) != -INFINITY;
	set(x, type, 69, 3);
	failures += t->log_sum_exp_row(x, n) != 3;
	if (failures > before)
		printf("%s %s: what is not a number becomes one, or the other way round\n", name, type_name[type]);
}

/* GELU by erf against libm's. */
static void erfs(const char *name, const kernel_table *t)
{
	double worst = 0;

	for (int i = -12000; i <= 12000; i++) {
		const float x = static_cast<float>(i) / 1000;
		float y;
		t->gelu_erf(&x, &y, 1);
		worst = std::fmax(worst, std::fabs(y - x * std::erfc(-x / std::sqrt(2.)) / 2) / std::fmax(1, std::fabs(x)));
	}
	if (!(worst < 2e-7)) {
		printf("%s: GELU by erf is %g off\n", name, worst);
		failures++;
	}
}

static void check(const char *name, const kernel_table *const *table)
{
	for (int64_t n : {1, 2, 16, 17, 64, 100, 1000})
		rounding(name, table[KERNEL_BF16], n);
	nearest(name, table[KERNEL_BF16]);
	erfs(name, table[KERNEL_F32]);
	for (kernel_type type : {KERNEL_F32, KERNEL_BF16, KERNEL_F64}) {
		not_numbers(name, table[type], type);
		exponentials(name, table[type], type);
		for (int64_t n : {1, 7, 15, 16, 17, 63, 64, 65, 100, 129, 1000, 5000}) {
			results got, want;
			run(table[type], type, n, got);
			run(plain::table[type], type, n, want);
			compare(name, type, n, got, want);
		}
		if (type != KERNEL_F64)
			for (int64_t rows : {1, 2, 15, 16, 33, 64})
				for (int64_t columns : {1, 5, 16, 40, 64})
					turn(name, table[type], type, rows, columns);
	}
}

int main()
{
	check("plain", plain::table);
#if defined __x86_64__
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		check("avx2", avx2::table);
	if (machine_has_avx512())
		check("avx512", avx512::table);
	if (machine_has_bf16())
		check("avx512_bf16", avx512_bf16::table);
#endif
	puts(failures ? "failed" : "ok");
	return failures != 0;
}
