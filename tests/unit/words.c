/* Words, small letters, counts as Python's re.split(r"\s+") gives them; interned strings. */
#include "words.h"

#include "death.h"
#include "intern.h"

static void check_words(const char *text, const char *want)
{
	struct word w = {0};
	char have[512] = "";

	while (word_next(text, strlen(text), &w))
		snprintf(have + strlen(have), sizeof have - strlen(have), "%s%.*s%s%s", w.joined ? "+" : " ", (int)(w.end - w.start),
		         text + w.start, w.command ? "\\" : "", w.number ? "#" : "");
	assert_string_equal(have, want);
}

static void words(void **state)
{
	(void)state;
	check_words("", "");
	check_words(" .,! ", "");
	check_words("a b", " a+b");
	check_words("long-range  order", " long+range+order");
	check_words("it's. Next", " it+s Next");
	check_words("a--b a-\nb x\ny", " a b+a b+x y");
	check_words("in 1999 or x9", " in+1999#+or+x9");
	check_words("$\\alpha\\in A$", " alpha\\ in\\+A");
	check_words("na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87 \xff x\xe2\x80\x93y", " na\xc3\xafve+\xe4\xb8\xad\xe6\x96\x87 x y");
	check_words("end\xc3", " end");
}

static void check_fold(const char *s, const char *want)
{
	char out[64];
	size_t n = word_fold(s, strlen(s), out);

	out[n] = 0;
	assert_string_equal(out, want);
}

static void folding(void **state)
{
	(void)state;
	check_fold("", "");
	check_fold("Abc-XYZ9", "abc-xyz9");
	check_fold("\xc3\x89T\xc3\x89 \xce\xa9 \xd0\x96", "\xc3\xa9t\xc3\xa9 \xcf\x89 \xd0\xb6");
	check_fold("\xc8\xba", "\xe2\xb1\xa5"); /* two bytes that become three */
	check_fold("A\xff" "B\xc3", "a\xff" "b\xc3");
}

static void check_count(const char *text, size_t n, uint64_t want)
{
	for (size_t piece = 1; piece <= n + 1; piece++) {
		struct word_count c = {0};
		for (size_t i = 0; i < n; i += piece)
			word_count_add(&c, text + i, n - i < piece ? n - i : piece);
		assert_int_equal(word_count(&c), want);
	}
}

#define COUNT(text, want) check_count(text, sizeof text - 1, want)

/* The wanted numbers are what Python says of the same text (bytes that are no UTF-8: with errors="replace"). */
static void counts(void **state)
{
	(void)state;
	COUNT("", 1);
	COUNT("one", 1);
	COUNT("one two", 2);
	COUNT(" one\n\ttwo \n", 4);
	COUNT("a\x1c" "b\x1f" "c\x1b" "d", 3);
	COUNT("a\xc2\xa0" "b\xe2\x80\x83\xe3\x80\x80" "c\xe2\x80\x8b" "d", 3); /* no-break, em, ideographic; zero width is none */
	COUNT("a\xc2\x85" "b\xe1\x9a\x80" "c", 3);
	COUNT("a\xe2\x80", 1);
	COUNT("a\xe2 b\xf0\x9f\x98\x80 c", 3);
	COUNT("\0 \0", 2);
}

static void interned(void **state)
{
	struct intern t = {0};
	char s[16];
	size_t n;

	(void)state;
	assert_int_equal(intern_find(&t, "x", 1), -1);
	for (int again = 0; again < 2; again++)
		for (int i = 0; i < 5000; i++)
			assert_int_equal(intern_add(&t, s, (size_t)snprintf(s, sizeof s, "%d", i)), i);
	assert_int_equal(t.n, 5000);
	assert_int_equal(intern_find(&t, "4999", 4), 4999);
	assert_int_equal(intern_find(&t, "499", 3), 499);
	assert_int_equal(intern_find(&t, "5000", 4), -1);
	assert_int_equal(intern_find(&t, "", 0), -1);
	assert_int_equal(intern_add(&t, "", 0), 5000);
	assert_int_equal(intern_find(&t, "", 0), 5000);
	assert_memory_equal(intern_text(&t, 1234, &n), "1234", 4);
	assert_int_equal(n, 4);
	intern_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words), cmocka_unit_test(folding), cmocka_unit_test(counts), cmocka_unit_test(interned),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
