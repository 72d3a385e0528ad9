/* kernels.cpp: rows.inc for each number type and instruction set, and the choice among them. */
#include "kernels.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#if defined __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

#if defined __clang__ || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vlane){__VA_ARGS__})
#endif

/* Vectors wider than the machine's are passed among inlined functions only. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define STORED_F32 1
#define STORED_BF16 2
#define STORED_F64 3

typedef float sixteen __attribute__((vector_size(64)));
typedef uint32_t sixteen_words __attribute__((vector_size(64)));
typedef uint16_t sixteen_bf16 __attribute__((vector_size(32)));
#define HELPER static inline __attribute__((always_inline))

/*
 * What instruction sets do in ways of their own.
 * MUL_EVEN: products of the lower 32 bits of eight 64-bit lanes by a 32-bit number. SQRT. NEAREST: to an integer.
 * TIMES_POWER: y 2^n for an integer n in [-126, 127], but 0 where x < low, and then n may be anything.
 * FROM_BF16. TO_BF16: to nearest, ties to even; NaN stays NaN; denormal numbers may become 0.
 */
HELPER sixteen plain_sqrt(const sixteen &x)
{
	sixteen y = x;
	for (int i = 0; i < 16; i++)
		y[i] = sqrtf(x[i]);
	return y;
}

HELPER sixteen plain_nearest(const sixteen &x)
{
	const float whole = 12582912; /* 1.5 2^23, beside which there is no room for a fraction */
	return (x + whole) - whole;
}

/* The product is exact, and what is not a number stays so, which adding to the exponent would not see to. */
HELPER sixteen plain_times_power(const sixteen &y, const sixteen &n, const sixteen &x, float low)
{
	const sixteen_words power = ((sixteen_words)(n + (12582912 + 127))) << 23;
	return x < low ? sixteen{} : y * (sixteen)power;
}

HELPER sixteen plain_from_bf16(const sixteen_bf16 &x)
{
	return (sixteen)(__builtin_convertvector(x, sixteen_words) << 16);
}

HELPER sixteen_bf16 plain_to_bf16(const sixteen &x)
{
	sixteen_words u = (sixteen_words)x;
	u = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
	u = x == x ? u : sixteen_words{} + 0x7fc0;
	return __builtin_convertvector(u, sixteen_bf16);
}

#define MUL_EVEN(a, by) (((a)&0xffffffff) * (uint64_t)(by))
#define SQRT(x) plain_sqrt(x)
#define NEAREST(x) plain_nearest(x)
#define TIMES_POWER(y, n, x, low) plain_times_power(y, n, x, low)
#define FROM_BF16(x) plain_from_bf16(x)
#define TO_BF16(x) plain_to_bf16(x)
namespace plain
{
#include "types.inc"
}
#undef MUL_EVEN
#undef SQRT

#if defined __x86_64__
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2
{
typedef uint64_t half __attribute__((vector_size(32)));
typedef uint64_t whole __attribute__((vector_size(64)));
HELPER whole mul_even(const whole &a, uint32_t by)
{
	whole product;
	half h[2];
	memcpy(h, &a, sizeof h);
	for (int i = 0; i < 2; i++)
		h[i] = (half)_mm256_mul_epu32((__m256i)h[i], _mm256_set1_epi64x(by));
	memcpy(&product, h, sizeof h);
	return product;
}

HELPER sixteen root(const sixteen &x)
{
	sixteen y;
	__m256 h[2];
	memcpy(h, &x, sizeof h);
	for (int i = 0; i < 2; i++)
		h[i] = _mm256_sqrt_ps(h[i]);
	memcpy(&y, h, sizeof y);
	return y;
}
#define MUL_EVEN(a, by) mul_even(a, by)
#define SQRT(x) root(x)
#include "types.inc"
#undef MUL_EVEN
#undef SQRT
#undef NEAREST
#undef TIMES_POWER
#undef FROM_BF16
} // namespace avx2
#pragma GCC pop_options

#define MUL_EVEN(a, by) ((vlong)_mm512_maskz_mul_epu32(0xff, (__m512i)(a), _mm512_set1_epi64(by)))
#define SQRT(x) ((sixteen)_mm512_maskz_sqrt_ps(0xffff, (__m512)(x)))
#define NEAREST(x) ((sixteen)_mm512_maskz_roundscale_ps(0xffff, (__m512)(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC))
#define TIMES_POWER(y, n, x, low)                                                                                      \
	((sixteen)_mm512_maskz_scalef_ps(_mm512_cmp_ps_mask((__m512)(x), _mm512_set1_ps(low), _CMP_NLT_UQ),            \
					 (__m512)(y), (__m512)(n)))
#define FROM_BF16(x) ((sixteen)_mm512_maskz_slli_epi32(0xffff, _mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)(x)), 16))
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
namespace avx512
{
#include "types.inc"
} // namespace avx512
#pragma GCC pop_options
#undef TO_BF16

#define TO_BF16(x) ((sixteen_bf16)_mm512_maskz_cvtneps_pbh(0xffff, (__m512)(x)))
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,prefer-vector-width=512")
namespace avx512_bf16
{
#include "types.inc"
} // namespace avx512_bf16
#pragma GCC pop_options
#endif

#if defined __x86_64__
bool machine_has_avx512()
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl");
}

bool machine_has_bf16()
{
	unsigned a = 0, b, c, d;
	return machine_has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
}

bool machine_is_intel()
{
	return __builtin_cpu_is("intel");
}

/* What oneDNN is told not to go beyond: ONEDNN_MAX_CPU_ISA, of which DNNL_MAX_CPU_ISA is the old name. */
static bool bound_allows(const char *const names[])
{
	const char *bound = getenv("ONEDNN_MAX_CPU_ISA");

	if (!bound)
		bound = getenv("DNNL_MAX_CPU_ISA");
	if (!bound)
		return true;
	for (; *names; names++)
		if (strcasestr(bound, *names))
			return true;
	return false;
}

/* The system must save the tiles' registers: bits 17 and 18 of XCR0. */
static bool processor_has_amx()
{
	unsigned a, b, c = 0, d = 0, state = 0, high;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1) || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return false;
	__asm__("xgetbv" : "=a"(state), "=d"(high) : "c"(0));
	return (d >> 22 & 1) && (d >> 24 & 1) && (state >> 17 & 3) == 3; /* bfloat16, tiles */
}

bool machine_has_amx()
{
	static const char *const amx[] = {"default", "all", "amx", nullptr};
	static const bool has = processor_has_amx() && bound_allows(amx);

	return has;
}

bool machine_multiplies_bf16()
{
	static const char *const avx512[] = {"default", "all", "amx", "bf16", "fp16", "avx10", nullptr};
	static const bool does = machine_has_bf16() && (machine_is_intel() ? machine_has_amx() : bound_allows(avx512));

	return does;
}

const kernel_table *kernels_for(kernel_type type)
{
	static const kernel_table *const *const best =
	    machine_has_bf16()                                               ? avx512_bf16::table
	    : machine_has_avx512()                                           ? avx512::table
	    : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? avx2::table
	                                                                     : plain::table;
	return best[type];
}
#else
bool machine_has_avx512()
{
	return false;
}

bool machine_has_bf16()
{
	return false;
}

bool machine_is_intel()
{
	return false;
}

bool machine_has_amx()
{
	return false;
}

bool machine_multiplies_bf16()
{
	return false;
}

const kernel_table *kernels_for(kernel_type type)
{
	return plain::table[type];
}
#endif
