/* Blanks, line breaks at the ends of a document and inside it. */
#include "text.h"

#include "death.h"

static void ends_and_blanks(void **state)
{
	(void)state;
	assert_true(ends_with("a.gz", ".gz") && ends_with(".gz", ".gz") && ends_with("x", ""));
	assert_false(ends_with("gz", ".gz") || ends_with("a.gzx", ".gz") || ends_with("", "x"));
	assert_true(is_blank("", 0) && is_blank(" \t\n\v\f\r", 6));
	assert_false(is_blank(" x", 2) || is_blank("\0", 1) || is_blank("\xc2\xa0", 2));
}

static void lines(void **state)
{
	static const struct {
		const char *in, *out;
		uint64_t joined;
	} cases[] = {
		{"", "", 0},           {"\n\r\n", "", 0},          {"a", "a", 0},
		{"\r\na\n", "a", 0},   {"a\nb", "a b", 1},         {"a\r\nb", "a b", 1},
		{"a\rb", "a\rb", 0},   {"a\n\n\r\n\rb", "a b", 1}, {"\na\n b\n\nc\n", "a  b c", 2},
		{"a\r\r\nb\rc", "a b\rc", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = strdup(cases[i].in), *p = text;
		uint64_t joined = 0;
		size_t n = trim_lines(&p, strlen(text));

		n = join_lines(p, n, &joined);
		assert_int_equal(n, strlen(cases[i].out));
		assert_memory_equal(p, cases[i].out, n);
		assert_int_equal(joined, cases[i].joined);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(ends_and_blanks), cmocka_unit_test(lines)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
