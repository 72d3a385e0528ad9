/* Strict JSON: what must be read, what must be refused and where, and how long it may take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <time.h>
#include <cmocka.h>

#include "checked.h"
#include "death.h"
#include "json.h"

/* Parses a copy in memory of exactly that size, so that a sanitizer sees a read past the end. */
static struct json *parse(const char *text, size_t n)
{
	char *copy = xmalloc(n ? n : 1);
	struct json *doc;

	memcpy(copy, text, n);
	doc = json_parse(copy, n, "t.json");
	free(copy);
	return doc;
}

#define REFUSES(text, words) DIES(EXIT_INPUT, words, parse(text, sizeof text - 1))

static void reads_values(void **state)
{
	static const char text[] = " {\"a\": [1, -2, 3.5, 1e-5, true, false, null, \"x\"], \"b\": {\"c\": {}}, \"\": [],\r\n"
				   "\t\"s\": \"q\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\ude00\xc3\xa9\xf0\x9f\x98\x80\x7f\"} ";
	struct json *doc = parse(text, sizeof text - 1);
	const json_value *root = json_root(doc), *a = json_get(root, "a"), *v;

	(void)state;
	assert_true(json_is_object(root));
	assert_int_equal(json_count(root), 4);
	assert_int_equal(json_count(a), 8);
	v = json_first(a);
	assert_int_equal(json_int(doc, v, "v"), 1);
	v = json_next(v);
	assert_int_equal(json_int(doc, v, "v"), -2);
	assert_true(json_real(doc, v, "v") == -2);
	v = json_next(v);
	assert_true(json_real(doc, v, "v") == 3.5);
	DIES(EXIT_INPUT, "t.json: width: integer expected", json_int(doc, v, "width"));
	v = json_next(v);
	assert_true(json_real(doc, v, "v") == 1e-5);
	v = json_next(v);
	assert_true(json_bool(doc, v, "v"));
	v = json_next(v);
	assert_false(json_bool(doc, v, "v"));
	v = json_next(v);
	assert_true(json_is_null(v));
	v = json_next(v);
	assert_string_equal(json_string(doc, v, "v"), "x");
	assert_null(json_next(v));
	assert_string_equal(json_string(doc, json_get(root, "s"), "s"),
	                    "q\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9\xf0\x9f\x98\x80\x7f");
	assert_string_equal(json_key(json_next(json_first(root))), "b");
	assert_null(json_get(root, "none"));
	assert_null(json_get(a, "a"));
	assert_null(json_get(NULL, "a"));
	assert_false(json_is_null(NULL));
	assert_null(json_first(json_get(root, "")));
	json_free(doc);
}

static void converts_exactly(void **state)
{
	static const char text[] = "{\"big\": 9007199254740992, \"over\": 9007199254740993, \"neg\": -9007199254740992,"
				   "\"under\": -9007199254740993, \"one\": 1.0, \"exp\": 1e3, "
				   "\"huge\": 1000000000000000019884624838656,"
				   "\"zero\": -0, \"n\": null, \"f\": 0.1, \"s\": \"x\", \"b\": true, \"after\": 7}";
	struct json *doc = parse(text, sizeof text - 1);
	const json_value *o = json_root(doc);

	(void)state;
	assert_true(json_get_int(doc, o, "big", 0) == 9007199254740992);
	assert_true(json_get_int(doc, o, "neg", 0) == -9007199254740992);
	DIES(EXIT_INPUT, "over: integer", json_get_int(doc, o, "over", 0));
	DIES(EXIT_INPUT, "under: integer", json_get_int(doc, o, "under", 0));
	DIES(EXIT_INPUT, "one: integer", json_get_int(doc, o, "one", 0));
	DIES(EXIT_INPUT, "exp: integer", json_get_int(doc, o, "exp", 0));
	DIES(EXIT_INPUT, "huge: integer", json_get_int(doc, o, "huge", 0));
	DIES(EXIT_INPUT, "zero: integer", json_get_int(doc, o, "zero", 0));
	DIES(EXIT_INPUT, "s: integer", json_get_int(doc, o, "s", 0));
	DIES(EXIT_INPUT, "s: number", json_get_real(doc, o, "s", 0));
	DIES(EXIT_INPUT, "b: number", json_get_real(doc, o, "b", 0));
	DIES(EXIT_INPUT, "s: true or false", json_get_bool(doc, o, "s", 0));
	DIES(EXIT_INPUT, "b: string", json_get_string(doc, o, "b", ""));
	DIES(EXIT_INPUT, "x: missing", json_int(doc, json_get(o, "x"), "x"));
	assert_int_equal(json_get_int(doc, o, "after", 0), 7);
	assert_true(json_get_real(doc, o, "huge", 0) == 1e30 || json_get_real(doc, o, "huge", 0) > 9e29);
	assert_int_equal(json_get_int(doc, o, "n", 5), 5);
	assert_int_equal(json_get_int(doc, o, "none", 5), 5);
	assert_true(json_get_real(doc, o, "f", 5) == 0.1);
	assert_true(json_get_bool(doc, o, "n", true));
	assert_string_equal(json_get_string(doc, o, "n", "d"), "d");
	json_free(doc);
}

static void refuses_mistakes(void **state)
{
	(void)state;
	REFUSES("", "t.json: byte 0: text ends");
	REFUSES("  ", "byte 2: text ends");
	REFUSES("\xef\xbb\xbf{}", "byte 0: not a value");
	REFUSES("{} x", "byte 3: bytes after");
	REFUSES("{}\0", "byte 2: bytes after");
	REFUSES("1 2", "byte 2: bytes after");
	REFUSES("nul", "byte 0: not a value");
	REFUSES("True", "byte 0: not a value");
	REFUSES("NaN", "not a value");
	REFUSES("-Infinity", "bad number");
	REFUSES("[1,]", "byte 3: not a value");
	REFUSES("[,1]", "byte 1: not a value");
	REFUSES("[1 2]", "byte 3: ',' or ']'");
	REFUSES("{\"a\":1,}", "byte 7: key expected");
	REFUSES("{\"a\" 1}", "byte 5: ':'");
	REFUSES("{\"a\":1 \"b\":2}", "byte 7: ','");
	REFUSES("{a:1}", "byte 1: key expected");
	REFUSES("{'a':1}", "byte 1: key expected");
	REFUSES("[1] // comment", "byte 4: bytes after");
	REFUSES("01", "byte 1: bytes after");
	REFUSES("-", "byte 0: bad number");
	REFUSES("-01", "bytes after");
	REFUSES("+1", "not a value");
	REFUSES(".5", "not a value");
	REFUSES("1.", "bad number");
	REFUSES("1.e3", "bad number");
	REFUSES("1e", "bad number");
	REFUSES("1e+", "bad number");
	REFUSES("0x10", "bytes after");
	REFUSES("1e999", "number is too large");
	REFUSES("-1e999", "number is too large");
	REFUSES("1234567890123456789012345678901234567890123456789012345678901234", "too many digits");
	REFUSES("\"a\nb\"", "byte 2: control character");
	REFUSES("\"a\0b\"", "byte 2: control character");
	REFUSES("\"\\u0000\"", "NUL in a string");
	REFUSES("\"\\x\"", "byte 2: unknown escape");
	REFUSES("\"\\u12g4\"", "byte 5: bad \\u");
	REFUSES("\"\\ud800\"", "lone surrogate");
	REFUSES("\"\\udc00\"", "lone surrogate");
	REFUSES("\"\\ud800\\ud800\"", "lone surrogate");
	REFUSES("\"\\ud800x\"", "lone surrogate");
	REFUSES("\"\\ude00\\ud83d\"", "lone surrogate");
	REFUSES("\"\x80\"", "byte 1: invalid UTF-8");
	REFUSES("\"\xc0\x80\"", "invalid UTF-8");
	REFUSES("\"\xc1\xbf\"", "invalid UTF-8");
	REFUSES("\"\xe0\x80\x80\"", "invalid UTF-8");
	REFUSES("\"\xed\xa0\x80\"", "invalid UTF-8");
	REFUSES("\"\xf0\x80\x80\x80\"", "invalid UTF-8");
	REFUSES("\"\xf4\x90\x80\x80\"", "invalid UTF-8");
	REFUSES("\"\xf5\x80\x80\x80\"", "invalid UTF-8");
	REFUSES("\"\xff\"", "invalid UTF-8");
	REFUSES("\"\xe2\x82", "invalid UTF-8");
}

static void refuses_duplicates(void **state)
{
	static const char fine[] = "{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}"; /* one key, many objects */

	(void)state;
	REFUSES("{\"a\":1,\"b\":2,\"a\":3}", "byte 13: duplicate key");
	REFUSES("{\"a\":1,\"\\u0061\":3}", "duplicate key");
	REFUSES("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":3}", "duplicate key");
	REFUSES("{\"\":1,\"\":3}", "duplicate key");
	REFUSES("[{\"x\":{\"a\":1,\"a\":3}}]", "duplicate key");
	json_free(parse(fine, sizeof fine - 1));
}

static void truncated_anywhere(void **state)
{
	static const char text[] = "{\"k\\u00e9y\": [1.5e3, \"\xc3\xa9\\ud83d\\ude00\", {\"b\": [true, null]}], \"z\": {}}";

	(void)state;
	json_free(parse(text, sizeof text - 1));
	for (size_t n = 0; n < sizeof text - 1; n++)
		DIES(EXIT_INPUT, "malformed JSON: t.json: byte", parse(text, n));
}

static void depth(void **state)
{
	char text[2 * 65 + 1];

	(void)state;
	for (int i = 0; i < 65; i++) {
		text[i] = '[';
		text[65 + i] = ']';
	}
	json_free(parse(text + 1, 2 * 64));
	DIES(EXIT_INPUT, "byte 64: nested too deeply", parse(text, 2 * 65));

	char *bomb = xmalloc(10000000);
	memset(bomb, '[', 10000000);
	DIES(EXIT_INPUT, "nested too deeply", json_parse(bomb, 10000000, "bomb"));
	for (size_t i = 0; i + 5 <= 10000000; i += 5)
		memcpy(bomb + i, "{\"a\":", 5);
	DIES(EXIT_INPUT, "nested too deeply", json_parse(bomb, 10000000, "bomb"));
	free(bomb);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A quadratic search for duplicates would take minutes here. */
static void big_objects_are_fast(void **state)
{
	char *text = NULL;
	size_t n = 0, members = 0;
	FILE *f = open_memstream(&text, &n);
	double start = seconds();
	struct json *doc;

	(void)state;
	putc('{', f);
	for (int i = 0; i < 300000; i++)
		fprintf(f, "%s\"a key of some length %d\": %d", i ? ", " : "", i, i);
	putc('}', f);
	fclose(f);
	doc = json_parse(text, n, "big");
	for (const json_value *v = json_first(json_root(doc)); v; v = json_next(v), members++)
		assert_int_equal(json_int(doc, v, "v"), members);
	assert_int_equal(members, 300000);
	json_free(doc);
	assert_true(seconds() - start < 5);
	free(text);
}

static void writes(void **state)
{
	static const double reals[] = {0, 1, -1, 0.1, 1e-5, 5e-5, 1. / 3, 1e300, 4.9406564584124654e-324, 123456789012345680.};
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);
	struct json *doc;

	(void)state;
	putc('[', f);
	json_put_string(f, "a\"\\\n\t\x01\xc3\xa9\xff\x7f/");
	for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
		putc(',', f);
		json_put_real(f, reals[i]);
	}
	fputs(",", f);
	json_put_real(f, NAN);
	putc(',', f);
	json_put_real(f, -INFINITY);
	putc(']', f);
	fclose(f);
	assert_non_null(strstr(text, ",1e-05,5e-05,"));
	doc = parse(text, n);
	const json_value *v = json_first(json_root(doc));
	assert_string_equal(json_string(doc, v, "s"), "a\"\\\n\t\x01\xc3\xa9\xef\xbf\xbd\x7f/");
	for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
		v = json_next(v);
		assert_true(json_real(doc, v, "r") == reals[i]);
	}
	assert_true(json_is_null(v = json_next(v)));
	assert_true(json_is_null(json_next(v)));
	json_free(doc);
	free(text);
}

static void reads_files(void **state)
{
	char path[] = "/tmp/palimpsest-json-XXXXXX";
	int fd = mkstemp(path);
	struct json *doc;

	(void)state;
	assert_int_equal(write(fd, "{\"a\": 1}\n", 9), 9);
	close(fd);
	doc = json_read(path, 100);
	assert_int_equal(json_get_int(doc, json_root(doc), "a", 0), 1);
	json_free(doc);
	DIES(EXIT_INPUT, path, json_read(path, 8));
	unlink(path);
	DIES(EXIT_FAILED, path, json_read(path, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_values),       cmocka_unit_test(converts_exactly),
		cmocka_unit_test(refuses_mistakes),   cmocka_unit_test(refuses_duplicates),
		cmocka_unit_test(truncated_anywhere), cmocka_unit_test(depth),
		cmocka_unit_test(big_objects_are_fast), cmocka_unit_test(writes),
		cmocka_unit_test(reads_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
