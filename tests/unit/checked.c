#include "checked.h"

#include <limits.h>

#include "death.h"

static void sizes_overflow(void **state)
{
	size_t n;

	(void)state;
	assert_true(mul_size(SIZE_MAX / 2, 2, &n));
	assert_int_equal(n, SIZE_MAX - 1);
	assert_false(mul_size(SIZE_MAX / 2 + 1, 2, &n));
	assert_true(add_size(SIZE_MAX - 1, 1, &n));
	assert_false(add_size(SIZE_MAX, 1, &n));
}

static void i64_texts(void **state)
{
	static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1x", "0x10", "1.0", "9223372036854775808",
	                                  "-9223372036854775809", "--1", "1e3"};
	int64_t i;

	(void)state;
	assert_true(parse_i64("9223372036854775807", &i));
	assert_true(i == INT64_MAX);
	assert_true(parse_i64("-9223372036854775808", &i));
	assert_true(i == INT64_MIN);
	assert_true(parse_i64("007", &i));
	assert_int_equal(i, 7);
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
		assert_false(parse_i64(bad[k], &i));
}

static void real_texts(void **state)
{
	static const char *const bad[] = {"", "nan", "NaN", "-nan", "inf", "-inf", "infinity", " 1", "1 ", "1e", "1e999",
	                                  "-1e999", "e5", ".", "-", "1,5", "0x", "0x10", "0x1.8p1", "1.5f"};
	double x;

	(void)state;
	assert_true(parse_real("5e-5", &x));
	assert_true(x == 5e-5);
	assert_true(parse_real("-.5", &x));
	assert_true(x == -0.5);
	assert_true(parse_real("+2.", &x));
	assert_true(x == 2);
	assert_true(parse_real("1e-320", &x)); /* subnormal: small, not wrong */
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
		assert_false(parse_real(bad[k], &x));
}

static void size_texts(void **state)
{
	static const char *const bad[] = {"", "-1", "k", "1 k", "1kk", "1K", "1m", "1Mib", "1.5G", "18446744073709551616",
	                                  "18446744073709551615k", "17179869184Gi", " 1", "+1"};
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {{"0", 0}, {"12", 12}, {"3k", 3000}, {"4M", 4000000}, {"5G", UINT64_C(5000000000)}, {"6Ki", 6144},
	            {"7Mi", 7 << 20}, {"8Gi", UINT64_C(8) << 30}, {"18446744073709551615", UINT64_MAX}};
	uint64_t n;

	(void)state;
	for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
		assert_true(parse_size(good[k].text, &n));
		assert_true(n == good[k].value);
	}
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
		assert_false(parse_size(bad[k], &n));
}

static void alloc_overflow(const void *arg)
{
	(void)arg;
	xreallocarray(NULL, SIZE_MAX / 2, 3);
}

static void calloc_overflow(const void *arg)
{
	(void)arg;
	xcalloc(SIZE_MAX / 2, 3);
}

static void memory_that_cannot_be(void **state)
{
	(void)state;
	assert_dies(alloc_overflow, NULL, 1, "out of memory: ");
	assert_dies(calloc_overflow, NULL, 1, "out of memory: ");
}

static void strings(void **state)
{
	char *s;
	static const struct {
		const char *dir, *name, *path;
	} join[] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}};

	(void)state;
	for (size_t k = 0; k < sizeof join / sizeof *join; k++) {
		s = path_join(join[k].dir, join[k].name);
		assert_string_equal(s, join[k].path);
		free(s);
	}
	static const char *const last[][2] = {{"a/b", "b"}, {"a/b//", "b"}, {"b", "b"}, {"/b", "b"}, {"/", ""}, {"", ""}};
	for (size_t k = 0; k < sizeof last / sizeof *last; k++) {
		s = path_last(last[k][0]);
		assert_string_equal(s, last[k][1]);
		free(s);
	}
	s = xstrndup("abcdef", 3);
	assert_string_equal(s, "abc");
	free(s);
	s = xasprintf("%d-%s", 7, "x");
	assert_string_equal(s, "7-x");
	free(s);
	s = xcalloc(0, 8); /* a pointer, even for nothing */
	assert_non_null(s);
	free(s);
}

static void grow(void **state)
{
	int *v = NULL;
	size_t n = 0, cap = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		GROW(v, n, cap);
		v[n++] = i;
	}
	for (int i = 0; i < 1000; i++)
		assert_int_equal(v[i], i);
	assert_true(cap >= 1000 && cap <= 2048);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_overflow), cmocka_unit_test(i64_texts),
		cmocka_unit_test(real_texts),     cmocka_unit_test(size_texts),
		cmocka_unit_test(memory_that_cannot_be), cmocka_unit_test(strings),
		cmocka_unit_test(grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
