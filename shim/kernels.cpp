/* kernels.cpp: rows.inc for each number type and instruction set, and the choice among them. */
#include "kernels.h"

#include <cmath>
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

/*
 * MUL_EVEN: products of the lower 32 bits of eight 64-bit lanes by a 32-bit number.
 * SQRT: of sixteen floats.
 */
#define MUL_EVEN(a, by) (((a)&0xffffffff) * (uint64_t)(by))
typedef float sixteen __attribute__((vector_size(64)));
namespace plain
{
static inline __attribute__((always_inline)) sixteen root(const sixteen &a)
{
	sixteen r = a;
	for (int i = 0; i < 16; i++)
		r[i] = sqrtf(a[i]);
	return r;
}
#define SQRT(a) root(a)
#include "types.inc"
#undef SQRT
}
#undef MUL_EVEN

#if defined __x86_64__
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2
{
typedef uint64_t half __attribute__((vector_size(32)));
typedef uint64_t whole __attribute__((vector_size(64)));
static inline __attribute__((always_inline)) whole mul_even(const whole &a, uint32_t by)
{
	whole product;
	half h[2];
	memcpy(h, &a, sizeof h);
	for (int i = 0; i < 2; i++)
		h[i] = (half)_mm256_mul_epu32((__m256i)h[i], _mm256_set1_epi64x(by));
	memcpy(&product, h, sizeof h);
	return product;
}
static inline __attribute__((always_inline)) sixteen root(const sixteen &a)
{
	sixteen r;
	__m256 h[2];
	memcpy(h, &a, sizeof h);
	for (int i = 0; i < 2; i++)
		h[i] = _mm256_sqrt_ps(h[i]);
	memcpy(&r, h, sizeof r);
	return r;
}
#define MUL_EVEN(a, by) mul_even(a, by)
#define SQRT(a) root(a)
#include "types.inc"
#undef SQRT
#undef MUL_EVEN
} // namespace avx2
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
namespace avx512
{
#define MUL_EVEN(a, by) ((vlong)_mm512_maskz_mul_epu32(0xff, (__m512i)(a), _mm512_set1_epi64(by)))
#define SQRT(a) ((sixteen)_mm512_maskz_sqrt_ps(0xffff, (__m512)(a)))
#include "types.inc"
#undef SQRT
#undef MUL_EVEN
} // namespace avx512
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

const kernel_table *kernels_for(kernel_type type)
{
	static const int level =
	    machine_has_avx512() ? 2 : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");

	return level == 2 ? avx512::table[type] : level == 1 ? avx2::table[type] : plain::table[type];
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

const kernel_table *kernels_for(kernel_type type)
{
	return plain::table[type];
}
#endif
