/* safetensors: what is written is what the reference writes, what is read is no more than what the reference reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "checked.h"
#include "death.h"
#include "reader.h"
#include "rng.h"
#include "safetensors.h"

#define PYTHON "build/refs/bin/python" /* from where the program was called */

static const char path[] = "a.safetensors", other[] = "b.safetensors";

/* A file from a header's text and so many bytes of data. length: of the header, as the file tells it. */
static void forge(const char *header, size_t n, uint64_t length, size_t data)
{
	FILE *f = fopen(other, "wb");

	assert_non_null(f);
	fwrite(&length, 8, 1, f);
	fwrite(header, 1, n, f);
	while (data--)
		putc(7, f);
	fclose(f);
}

#define REFUSES(header, data, words)                                         \
	do {                                                                 \
		forge(header, sizeof(header) - 1, sizeof(header) - 1, data); \
		DIES(EXIT_INPUT, words, st_open(other));                     \
		assert_non_null(strstr(last_ending.err, other));                   \
	} while (0)

#define ACCEPTS(header, data)                                                \
	do {                                                                 \
		forge(header, sizeof(header) - 1, sizeof(header) - 1, data); \
		st_close(st_open(other));                                    \
	} while (0)

static const float f32[6] = {0, 1, -2, 3.5f, 1e-30f, 4};
static const uint16_t bf16[3] = {0x3f80, 0x4000, 0xbf80};
static const int64_t i64 = -5;
static const struct st_tensor tensors[] = {
	{"scalar", ST_I64, 0, {0}, &i64, 8},
	{"h.0.weight", ST_F32, 2, {2, 3}, f32, 24},
	{"none", ST_F32, 2, {0, 5}, NULL, 0},
	{"b\xc3\xa9 \"q\"", ST_BF16, 1, {3}, bf16, 6},
};
static const char *const metadata[] = {"format", "pt", NULL};

static void assert_same_files(void)
{
	size_t n, m;
	char *a = read_file(path, 10000, &n), *b = read_file(other, 10000, &m);

	assert_int_equal(n, m);
	assert_memory_equal(a, b, n);
	free(a);
	free(b);
}

static void round_trip(void **state)
{
	struct st_file *f;
	struct st_writer *w;

	(void)state;
	st_write(path, tensors, 4, metadata);
	f = st_open(path);
	assert_string_equal(st_name(f), path);
	assert_int_equal(st_count(f), 4);
	assert_string_equal(st_metadata(f, "format"), "pt");
	assert_null(st_metadata(f, "other"));
	for (size_t i = 0; i < 4; i++) {
		const struct st_tensor *t = st_find(f, tensors[i].name);

		assert_non_null(t);
		assert_int_equal(t->dtype, tensors[i].dtype);
		assert_int_equal(t->n_dims, tensors[i].n_dims);
		assert_memory_equal(t->shape, tensors[i].shape, sizeof t->shape);
		assert_int_equal(t->bytes, tensors[i].bytes);
		for (int again = 0; again < 2 && t->bytes; again++) {
			assert_memory_equal(t->data, tensors[i].data, t->bytes);
			st_pass(t->data, t->bytes); /* which it survives */
		}
	}
	assert_null(st_find(f, "h.0"));
	assert_null(st_find(f, "__metadata__"));
	assert_null(st_at(f, 4));
	for (size_t i = 1; i < 4; i++)
		assert_true((const char *)st_at(f, i)->data >= (const char *)st_at(f, i - 1)->data);
	st_close(f);

	w = st_begin(other, tensors, 4, metadata); /* in odd pieces */
	st_put(w, &i64, 8);
	st_put(w, f32, 5);
	st_put(w, (const char *)f32 + 5, 19);
	st_put(w, bf16, 6);
	st_end(w);
	assert_same_files();

	st_write(path, NULL, 0, NULL);
	f = st_open(path);
	assert_int_equal(st_count(f), 0);
	assert_null(st_find(f, "x"));
	assert_null(st_metadata(f, "format"));
	st_close(f);
}

static void cut_anywhere(void **state)
{
	size_t n;
	char *bytes;
	FILE *f;

	(void)state;
	st_write(path, tensors, 4, metadata);
	bytes = read_file(path, 10000, &n);
	for (size_t i = 0; i <= n + 1; i++) {
		if (i == n)
			continue;
		f = fopen(other, "wb");
		fwrite(bytes, 1, i <= n ? i : n, f);
		if (i > n)
			putc(0, f);
		fclose(f);
		DIES(EXIT_INPUT, other, st_open(other));
	}
	free(bytes);
}

/* No flipped bit of the header crashes the reader; what it then accepts lies inside the file. */
static void header_bits_flipped(void **state)
{
	size_t n;
	char *bytes;
	uint64_t header;
	int refused = 0, taken = 0;

	(void)state;
	st_write(path, tensors, 4, metadata);
	bytes = read_file(path, 10000, &n);
	memcpy(&header, bytes, 8);
	for (size_t i = 0; i < 8 * (8 + header); i++) {
		FILE *out = fopen(other, "wb");

		bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
		fwrite(bytes, 1, n, out);
		fclose(out);
		bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
		RUN_IN_CHILD(({
				 struct st_file *f = st_open(other);
				 volatile char sum = 0;

				 for (size_t k = 0; k < st_count(f); k++)
					 for (size_t j = 0; j < st_at(f, k)->bytes; j++)
						 sum = (char)(sum ^ ((const char *)st_at(f, k)->data)[j]);
				 st_close(f);
			 }));
		int code = last_ending.code;
		assert_true(code == EXIT_INPUT || code == 99);
		refused += code == EXIT_INPUT;
		taken += code == 99; /* a letter of a name or of the metadata */
	}
	assert_true(refused > taken);
	free(bytes);
}

static void refuses_lies(void **state)
{
	(void)state;
	ACCEPTS("{}", 0);
	ACCEPTS("{}      ", 0);
	ACCEPTS("{\"a\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[0,4]}}", 4);
	REFUSES("", 0, "header does not begin with {");
	REFUSES("[]", 0, "header does not begin with {");
	REFUSES(" {}", 0, "header does not begin with {");
	REFUSES("{}x", 0, "bytes after the value");
	REFUSES("{} \0", 0, "bytes after the value");
	REFUSES("{}", 1, "bytes after the last tensor");
	REFUSES("{\"a\":1}", 0, "a: expected dtype");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, "expected dtype");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"x\":1}}", 4, "expected dtype");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0]}}", 4, "expected dtype");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,8]}}", 4, "expected dtype");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]}}", 4, "expected dtype");
	REFUSES("{\"a\":{\"dtype\":\"F8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "a: unknown dtype");
	REFUSES("{\"a\":{\"dtype\":\"u8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "unknown dtype");
	REFUSES("{\"a\":{\"dtype\":1,\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "a: string expected");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]}}", 4, "a: negative");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[-2,-2],\"data_offsets\":[0,4]}}", 4, "a: negative");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4.0],\"data_offsets\":[0,4]}}", 4, "a: integer expected");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4e0]}}", 4, "a: integer expected");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[\"4\"],\"data_offsets\":[0,4]}}", 4, "a: integer expected");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, "dimensions");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,4]}}", 4, "do not fit");
	REFUSES("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "do not fit");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]}}", 4, "do not fit");
	/* 2^32 * 2^32 and 2^62 * 4 are 0 modulo 2^64 */
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "overflows");
	REFUSES("{\"a\":{\"dtype\":\"F32\",\"shape\":[2147483648,2147483648],\"data_offsets\":[0,0]}}", 0, "overflows");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[1,5]}}", 5, "a: a gap");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 3, "a: data ends behind");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[9007199254740992],\"data_offsets\":[0,9007199254740992]}}", 3,
	        "a: data ends behind");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
	        "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6, "b: overlaps");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
	        "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "overlaps");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
	        "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[5,9]}}", 9, "b: a gap");
	REFUSES("{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
	        "\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "duplicate key");
	REFUSES("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: values must be strings");
	REFUSES("{\"__metadata__\":{\"a\":{}}}", 0, "__metadata__: values must be strings");
	REFUSES("{\"__metadata__\":[]}", 0, "__metadata__: object expected");

	forge("{}", 2, 3, 0);
	DIES(EXIT_INPUT, "longer than the file", st_open(other));
	forge("{}", 2, UINT64_MAX, 0);
	DIES(EXIT_INPUT, "larger than 100 MB", st_open(other));
	forge("{}", 2, 100000001, 0);
	DIES(EXIT_INPUT, "larger than 100 MB", st_open(other));
	DIES(EXIT_FAILED, "No such file", st_open("/nonexistent/x"));
	DIES(EXIT_FAILED, "directory", st_open("."));
	DIES(EXIT_FAILED, "not a regular file", st_open("/dev/null"));
}

static void writer_refuses_mistakes(void **state)
{
	static const struct st_tensor wrong = {"w", ST_F32, 1, {3}, f32, 8},
				      huge = {"w", ST_F64, 2, {1ll << 40, 1ll << 40}, f32, 0},
				      right = {"w", ST_F32, 1, {3}, f32, 12};
	struct stat st;

	(void)state;
	unlink(other);
	DIES(EXIT_FAILED, "do not fit the shape", st_write(other, &wrong, 1, NULL));
	DIES(EXIT_FAILED, "overflows", st_write(other, &huge, 1, NULL));
	DIES(EXIT_FAILED, "4 bytes less", ({
		     struct st_writer *w = st_begin(other, &right, 1, NULL);
		     st_put(w, f32, 8);
		     st_end(w);
	     }));
	DIES(EXIT_FAILED, "more data", ({
		     struct st_writer *w = st_begin(other, &right, 1, NULL);
		     st_put(w, f32, 16);
	     }));
	assert_int_equal(stat(other, &st), -1);
}

static uint16_t one(enum st_dtype dtype, float x)
{
	uint16_t out;
	bool wrong = st_from_f32(dtype, &x, 1, &out) == 0;

	assert_int_equal(wrong, (out & 0x7fff) >= (dtype == ST_F16 ? 0x7c00 : 0x7f80));
	return out;
}

/* Every f16 and bf16 is kept; half way between two goes to the even one, more than that up, less down. */
static void rounds_to_nearest_even(void **state)
{
	(void)state;
	for (int dtype = 0; dtype < 2; dtype++) {
		enum st_dtype d = dtype ? ST_BF16 : ST_F16;
		unsigned infinity = dtype ? 0x7f80 : 0x7c00;
		double value[2] = {0};

		for (unsigned i = 0; i < infinity; i++) {
			for (unsigned k = 0; k < 2; k++) {
				unsigned bits = i + k;
				int exponent = dtype ? (int)(bits >> 7) : (int)(bits >> 10);
				double fraction = dtype ? (bits & 0x7f) / 128. : (bits & 0x3ff) / 1024.;
				int bias = dtype ? 127 : 15;

				value[k] = exponent ? ldexp(1 + fraction, exponent - bias) : ldexp(fraction, 1 - bias);
			}
			double back;
			uint16_t stored = (uint16_t)i;
			assert_true(st_to_f64(d, &stored, 1, &back) && back == value[0]);
			stored |= 0x8000;
			assert_true(st_to_f64(d, &stored, 1, &back) && back == -value[0]);
			float low = (float)value[0], half = (float)((value[0] + value[1]) / 2);
			assert_int_equal(one(d, low), i);
			assert_int_equal(one(d, -low), i | 0x8000);
			assert_int_equal(one(d, half), i + (i & 1));
			assert_int_equal(one(d, nextafterf(half, INFINITY)), i + 1);
			assert_int_equal(one(d, nextafterf(half, 0)), i);
		}
		assert_int_equal(one(d, INFINITY), infinity);
		assert_int_equal(one(d, -INFINITY), infinity | 0x8000);
		assert_true((one(d, NAN) & 0x7fff) > infinity);
		assert_int_equal(one(d, FLT_MAX), infinity);
	}
	char odd[41] = {0};
	double back[5];
	float x[5] = {65519, 65520, -1e30f, FLT_MAX, -INFINITY}, y[5];
	uint16_t out[5];
	assert_int_equal(st_from_f32(ST_F16, x, 5, out), 1);
	assert_int_equal(out[0], 0x7bff);
	assert_int_equal(st_from_f32(ST_BF16, x, 5, out), 3);
	assert_int_equal(st_from_f32(ST_F32, x, 5, y), 4);
	assert_int_equal(st_from_f32(ST_F32, x, 4, y), 4);
	assert_memory_equal(x, y, sizeof x);
	memcpy(odd + 1, x, sizeof x);
	assert_true(st_to_f64(ST_F32, odd + 1, 5, back) && back[0] == 65519 && back[3] == (double)FLT_MAX && isinf(back[4]));
	memcpy(odd + 1, back, sizeof back);
	memset(back, 0, sizeof back);
	assert_true(st_to_f64(ST_F64, odd + 1, 5, back) && back[2] == (double)-1e30f);
	for (int i = 0; i < 4; i++) {
		uint16_t special[] = {0x7c00, 0xfc00, 0x7e00, 0x7f80};
		assert_true(st_to_f64(i < 3 ? ST_F16 : ST_BF16, special + i, 1, back));
		assert_true(i == 2 ? isnan(back[0]) : isinf(back[0]) && (back[0] < 0) == (i == 1));
	}
	assert_false(st_to_f64(ST_I64, odd, 1, back));
}

static int python(const char *code)
{
	char *command = xasprintf("%s/" PYTHON " -c '%s' %s %s", started_in, code, path, other);
	int status = system(command);

	free(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void need_python(void)
{
	char *python = path_join(started_in, PYTHON);
	bool there = access(python, X_OK) == 0;

	free(python);
	if (!there) {
		print_message(PYTHON " is not there\n");
		skip();
	}
}

static void reference_reads_and_writes_the_same(void **state)
{
	/* In the reference writer's own order: by alignment, then by name. */
	static const struct st_tensor sorted[] = {
		{"z", ST_I64, 0, {0}, &i64, 8},
		{"a", ST_F32, 2, {2, 3}, f32, 24},
		{"e", ST_F32, 2, {0, 5}, NULL, 0},
		{"b.c", ST_I16, 1, {3}, bf16, 6},
		{"\xc3\xa9 \"\\", ST_U8, 1, {3}, "\1\2\3", 3},
	};
	struct st_file *f;

	(void)state;
	need_python();
	st_write(path, sorted, 5, metadata);
	assert_int_equal(python("import sys, numpy as np\n"
				"from safetensors.numpy import load_file, save_file\n"
				"d = load_file(sys.argv[1])\n"
				"assert len(d) == 5 and d[\"z\"].shape == () and d[\"z\"] == -5\n"
				"assert d[\"a\"].tolist() == [[0, 1, -2], [3.5, np.float32(1e-30), 4]]\n"
				"assert d[\"e\"].shape == (0, 5)\n"
				"assert d[\"\\u00e9 \\\"\\\\\"].tolist() == [1, 2, 3]\n"
				"save_file(d, sys.argv[2], {\"format\": \"pt\"})\n"),
	                 0);
	assert_same_files();
	f = st_open(other);
	assert_int_equal(st_count(f), 5);
	assert_memory_equal(st_find(f, "a")->data, f32, 24);
	st_close(f);
	/* BF16 through torch, if it is there. */
	st_write(path, tensors, 4, metadata);
	assert_int_equal(python("import sys\n"
				"try: import torch\n"
				"except ImportError: sys.exit(0)\n"
				"from safetensors.torch import load_file\n"
				"d = load_file(sys.argv[1])\n"
				"assert d[\"b\\u00e9 \\\"q\\\"\"].tolist() == [1, 2, -1]\n"),
	                 0);
}

static void open_close(const char *name)
{
	st_close(st_open(name));
}

/* On files that are nearly right: whatever the reference reader refuses is refused here. */
static void never_more_permissive(void **state)
{
	enum { N = 1500 };
	int taken = 0, stricter = 0;
	char *command;
	FILE *verdicts;

	(void)state;
	need_python();
	unlink(path);
	unlink(other);
	command = xasprintf("%s/" PYTHON " %s/tests/mutate-safetensors.py . %d", started_in, started_in, N);
	verdicts = popen(command, "r");
	assert_non_null(verdicts);
	for (int i = 0; i < N; i++) {
		char *name = xasprintf("%d", i);
		int reference;

		assert_int_equal(fscanf(verdicts, "%d", &reference), 1);
		RUN_IN_CHILD(open_close(name));
		int code = last_ending.code;
		if (code != EXIT_INPUT && code != 99)
			fail_msg("file %d: exit %d, said %s", i, code, last_ending.err);
		if (code == 99 && !reference)
			fail_msg("file %d is taken, but the reference refuses it; look at %s", i, name);
		taken += code == 99;
		stricter += code != 99 && reference;
		unlink(name);
		free(name);
	}
	assert_int_equal(pclose(verdicts), 0);
	print_message("%d of %d files taken, %d more by the reference\n", taken, N, stricter);
	assert_true(taken > N / 5);
	assert_true(stricter < N / 5);
	free(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),   cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(refuses_lies), cmocka_unit_test(header_bits_flipped),
		cmocka_unit_test(writer_refuses_mistakes), cmocka_unit_test(rounds_to_nearest_even),
		cmocka_unit_test(reference_reads_and_writes_the_same),
		cmocka_unit_test(never_more_permissive),
	};

	return cmocka_run_group_tests(tests, in_scratch, out_of_scratch);
}
