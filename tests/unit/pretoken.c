/* The words of text: the examples of the pattern, the fast path against the slow one, and that a cut changes nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "char_class.h"
#include "checked.h"
#include "pretoken.h"
#include "rng.h"

/* text is cut at the bars, none of which is in the text itself */
static void check_words(enum pretoken words_of, const char *cut)
{
	char text[256] = "";
	size_t end[256], expected[256], n = 0, words = 0, count;

	for (const char *c = cut; *c; c++)
		if (*c == '|')
			expected[words++] = n;
		else
			text[n++] = *c;
	expected[words++] = n;
	count = pretoken_words(words_of, text, n, end, 256);
	if (count != words)
		fail_msg("%s: %zu words, not %zu", cut, count, words);
	for (size_t i = 0; i < words; i++)
		if (end[i] != expected[i])
			fail_msg("%s: word %zu ends at %zu, not %zu", cut, i, end[i], expected[i]);
}

static void pattern(void **state)
{
	static const char *const cut[] = {
		"Hello| world|!",
		"a| b|  | c|   |\t|d",
		"a|\t|b",
		"a|\n|b",
		"a|\n\n",
		"a| \n",
		"a| |\n|b",
		"a|\n| b",
		"a|  ",
		"it|'s| they|'ll| I|'ve| we|'re| I|'m| he|'d| don|'t",
		"it|'|S| I|'|LL",
		"'s|top",
		"'ll|l",
		"'|lx",
		"'|v",
		"''|s",
		" '|s",
		"x|'',| '",
		"a|'s|'s|'",
		"12|a|34|.|5",
		" 12| ab| .,|c",
		"x|\xc2\xb2| \xc2\xbd|!",                           /* superscript two and a half are numbers */
		"na\xc3\xaf""ve| caf\xc3\xa9|\xe2\x80\xa6",           /* letters of two bytes, dots of three */
		"e|\xcc\x81|e",                                     /* a combining mark is no letter */
		"a|\xc2\xa0|b| |\xe3\x80\x80|b|\xe3\x80\x80\xe3\x80\x80", /* white space, but not the blank that joins */
		"a|\xe2\x80\x8b|b",                                 /* zero width space is none */
		"a|\xff|b| \xc3|b| \xe2\x82\xe2|x",                   /* malformed bytes */
		"a|\xed\xa0\x80\xc0\xaf|a",
		"a|\xc2",
		" \xf0\x9d\x95\xb3| \xf0\x9f\x99\x82",                /* letter and emoji beyond the BMP */
		" ", "'", "\n", "\xff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
		check_words(PRETOKEN_GPT2, cut[i]);
	assert_int_equal(pretoken_words(PRETOKEN_GPT2, "", 0, NULL, 0), 0);
	assert_int_equal(pretoken_word(PRETOKEN_GPT2, "", 0), 0);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
static void pattern_llama3(void **state)
{
	static const char *const cut[] = {
		"Hello| world|!",
		"a| b| | c|  |\td",
		"a|\tb|\xc2\xa0""c",
		"a|\n|b",
		"a|\n\n|  | b",
		"a| \n|\t|1",
		"a| \r\n \n|  | (|x|)\n\n|y",
		"a|  ",
		"it|'S| they|'lL| I|'VE| x|'\xc5\xbf|top|'x",
		"(a|((|a| (|a|.b|.,|c",
		"'s|top|''|s| '|s",
		"123|456|78|a|1",
		"12\xc2\xb2|\xd9\xa3""4|a",
		"\xcc\x81""e|\xff""a|\xff\xc3|a",
		"!\r\n|!| !\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
		check_words(PRETOKEN_LLAMA3, cut[i]);
	check_words(PRETOKEN_QWEN2, "1|2|\xc2\xb2|a| |4|  \n");
}

static void patterns_by_text(void **state)
{
	enum pretoken p = PRETOKEN_LLAMA3;

	(void)state;
	assert_true(pretoken_find("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", &p));
	assert_int_equal(p, PRETOKEN_GPT2);
	assert_false(pretoken_find("", &p));
	assert_false(pretoken_find("\\s+", &p));
}

/* Random text that is rich in what the pattern is about; kind 0: ASCII, 1: any UTF-8, 2: also malformed. */
static size_t random_text(char *text, size_t n, uint64_t seed, int kind)
{
	static const char *const part[] = {
		"a", "the", " word", " ", "  ", "\n", "\t ", "'", "'s", "'ll", "'re", "'x", " '", "1", "42", " 7", ".",
		",\"", "--", "Zz", "\r\n", "'ve", "m", "ll", "incomprehensibilities", "'''", "~", "_", "@", "[", "{",
		"/", ":", "`", "\v", "\x7f", "\x01", "e", "s", "t", "\xc3\xa9", "\xc2\xa0", "\xe3\x80\x80", "\xd0\x9c",
		"\xe4\xb8\xad", "\xf0\x9f\x99\x82", "\xcc\x81", "\xc2\xbd", "\xd9\xa3", "\xe2\x80\x99",
		"\xff", "\x80", "\xc3", "\xe2\x82", "\xf0\x9f", "\xed\xa0\x80", "\xe2", "\xc0",
	};
	static const size_t parts[] = {40, 50, 58};
	struct rng r = rng_make(seed, 0);
	size_t made = 0;

	for (;;) {
		const char *p = part[rng_below(&r, parts[kind])];
		size_t k = strlen(p);

		if (made + k > n)
			return made;
		memcpy(text + made, p, k);
		made += k;
	}
}

static const enum pretoken patterns[] = {PRETOKEN_GPT2, PRETOKEN_LLAMA3, PRETOKEN_QWEN2};

/* All words of at most 300 bytes. */
static size_t find_all(enum pretoken pattern, const char *text, size_t n, size_t *end)
{
	size_t at = 0, count = 0, more;

	while ((more = pretoken_words(pattern, text + at, n - at, end + count, 300 - count)) > 0) {
		for (size_t i = 0; i < more; i++)
			end[count + i] += at;
		count += more;
		at = end[count - 1];
	}
	assert_int_equal(at, n);
	return count;
}

static void fast_is_slow(void **state)
{
	enum { N = 2000 };
	static char text[N];
	static size_t end[N];

	(void)state;
	for (uint64_t seed = 0; seed < 1200; seed++) {
		enum pretoken pattern = patterns[seed / 3 % 3];
		size_t n = random_text(text, seed < 600 ? 150 : N, seed, (int)(seed % 3)), at = 0, done = 0, words;
		size_t max = seed % 7 ? N : 65 + seed % 200; /* batches of several sizes */

		while ((words = pretoken_words(pattern, text + done, n - done, end, max)) > 0) {
			assert_true(words <= max);
			for (size_t i = 0; i < words; i++) {
				at += pretoken_word(pattern, text + at, n - at);
				if (done + end[i] != at)
					fail_msg("seed %d: a word ends at %zu, not %zu", (int)seed, done + end[i], at);
			}
			done += end[words - 1];
		}
		assert_int_equal(done, n);
	}
}

static void split_changes_nothing(void **state)
{
	enum { N = 300 };
	static char text[N];
	static size_t whole[N], part[N];
	size_t splits = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 900; seed++) {
		enum pretoken pattern = patterns[seed / 3 % 3];
		size_t n = random_text(text, N, seed, (int)(seed % 3)), words = find_all(pattern, text, n, whole);

		for (size_t end = 1; end <= n; end++) { /* a reader that has seen text[0..end) */
			size_t k = pretoken_split(pattern, text, end), i = 0, j;

			assert_true(k < end);
			if (k == 0)
				continue;
			splits++;
			i = find_all(pattern, text, k, part);
			for (j = 0; j < i; j++)
				if (part[j] != whole[j])
					fail_msg("seed %d: cut at %zu: the word before it differs", (int)seed, k);
			assert_int_equal(find_all(pattern, text + k, n - k, part), words - i);
			for (j = i; j < words; j++)
				if (k + part[j - i] != whole[j])
					fail_msg("seed %d: cut at %zu: the word behind it differs", (int)seed, k);
		}
	}
	assert_true(splits > 50000);
}

static void classes(void **state)
{
	static const struct {
		uint32_t c;
		enum char_class class;
	} known[] = {{'a', CLASS_LETTER}, {'Z', CLASS_LETTER}, {'0', CLASS_NUMBER}, {' ', CLASS_SPACE},
	             {'\n', CLASS_SPACE}, {0x1c, CLASS_OTHER}, {0x85, CLASS_SPACE}, {0xa0, CLASS_SPACE},
	             {0xaa, CLASS_LETTER}, {0xb2, CLASS_NUMBER}, {0xd7, CLASS_OTHER}, {0x301, CLASS_OTHER},
		     {0x660, CLASS_NUMBER}, {0x1680, CLASS_SPACE}, {0x180e, CLASS_OTHER}, {0x200b, CLASS_OTHER}, {0x2028, CLASS_SPACE},
		     {0x2160, CLASS_NUMBER}, {0x24b6, CLASS_OTHER}, {0x3000, CLASS_SPACE}, {0x3007, CLASS_NUMBER},
		     {0x4e00, CLASS_LETTER}, {0xac00, CLASS_LETTER}, {0xe000, CLASS_OTHER}, {0xfeff, CLASS_OTHER},
		     {0x10d4a, CLASS_LETTER}, {0x1d7ce, CLASS_NUMBER}, {0x1f600, CLASS_OTHER},
		     {0x323af, CLASS_LETTER}, {0x323b0, CLASS_OTHER}, {0xe0100, CLASS_OTHER}, {0x10ffff, CLASS_OTHER}};
	size_t count[4] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (char_class(known[i].c) != known[i].class)
			fail_msg("U+%04X", known[i].c);
	for (uint32_t c = 0; c < 0x110000; c++)
		count[char_class(c)]++;
	assert_int_equal(count[CLASS_LETTER], 141028); /* Unicode 16.0 */
	assert_int_equal(count[CLASS_NUMBER], 1911);
	assert_int_equal(count[CLASS_SPACE], 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pattern),
		cmocka_unit_test(pattern_llama3),
		cmocka_unit_test(patterns_by_text),
		cmocka_unit_test(fast_is_slow),
		cmocka_unit_test(split_changes_nothing),
		cmocka_unit_test(classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
