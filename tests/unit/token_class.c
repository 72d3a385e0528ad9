/* Classes of tokens, and n-grams in a text. */
#include "token_class.h"

#include "death.h"
#include "ngrams.h"

/* Classes of the pieces of text between bars, which are not part of it. */
static void check(const char *cut, const char *want)
{
	char text[512], have[512] = "";
	size_t n = 0, start = 0;

	for (const char *p = cut; *p; p++)
		if (*p != '|')
			text[n++] = *p;
	struct word_bands *bands = word_bands_of("", 0);
	uint8_t *mark = mark_text(text, n, bands);
	for (const char *p = cut;; p++) {
		if (*p && *p != '|')
			continue;
		size_t end = (size_t)(p - cut);
		for (const char *q = cut; q < p; q++)
			end -= *q == '|';
		const char *name = token_class_name(token_class(mark + start, end - start));
		snprintf(have + strlen(have), sizeof have - strlen(have), "%.2s ", strncmp(name, "word", 4) ? name : "wo");
		start = end;
		if (!*p)
			break;
	}
	assert_string_equal(have, want);
	free(mark);
	word_bands_free(bands);
}

static void classes(void **state)
{
	(void)state;
	check("", "sp ");
	check("The| cat|,| 9| lives|.|\n|  |\t|\n\n|\r\n| \n |x", "wo wo pu di wo pu ne sp sp ne ne ne wo ");
	check(" 3rd|'s|.5| (|)| 1999|-|a", "wo wo di pu pu di pu wo ");
	check("na|\xc3|\xafve| \xe2\x80|\x94|\xc2\xb2|\xc2\xa0", "wo wo wo pu pu di sp ");
	check("\xff|\xc3", "pu pu ");
	check("a||b", "wo sp wo "); /* nothing between: a token without text */
}

static void latex(void **state)
{
	(void)state;
	check("a |$|x|^2| +| 1|$|,| b", "wo la la la la la la pu wo ");
	check("$$|a|$$| b|\\(|c|\\)| d|\\[|e|\\]| f", "la la la wo la la la wo la la la wo ");
	check("use| \\|emph|{|it|}| 5|\\%", "wo la la pu wo pu di la ");
	check("it| costs| $|5| or| $|10|.", "wo wo pu di wo pu di pu ");       /* money */
	check("$|5| million| and| $|7", "pu di wo wo pu di ");
	check("a| $| b| $| c", "wo pu wo pu wo ");
	check("$|open\n|x|$|y", "pu wo wo pu wo ");                            /* maths stays in its line */
	check("$|a\\$|b|$| c", "la la la la wo ");                             /* an escaped sign does not close */
	check("5\\$|x", "la wo ");
	check("$|67.6|\\|%$| less", "la la la la wo ");
	check("$|x|$|0| $|x|$|9", "pu wo pu di pu wo pu di ");               /* a digit behind it */
	check("$|x|$|/|$|y|$|:| $$|z|$$|0", "la la la pu la la la pu la la la di ");
	check("\\", "la ");
	check("\\(|never| closed", "la wo wo ");
	check("$|a| $|b|", "pu wo pu wo sp ");
}

static void bands(void **state)
{
	char text[40000] = "";
	size_t n = 0;

	(void)state;
	/* w0 .. w1199: the first 100 three times, the next 900 twice, the others once; numbers do not count */
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 1200; i++)
			if (round == 0 || (round == 1 && i < 1000) || i < 100)
				n += (size_t)snprintf(text + n, sizeof text - n, i % 2 ? "W%04d " : "w%04d ", i);
	for (int i = 0; i < 1000; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "77 ");
	struct word_bands *b = word_bands_of(text, n);
	const char *look = "w0000 W0099 w0100 w0999 w1000 w1199 unsee 77";
	uint8_t *mark = mark_text(look, strlen(look), b);
	static const enum token_class want[] = {TOKEN_WORD_1, TOKEN_WORD_1, TOKEN_WORD_2, TOKEN_WORD_2,
	                                        TOKEN_WORD_3, TOKEN_WORD_3, TOKEN_WORD_4, TOKEN_DIGITS};
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(token_class(mark + 6 * i, i < 7 ? 5 : 2), want[i]);
	/* the last letters of a word in pieces have its band */
	assert_int_equal(token_class(mark + 36, 3), TOKEN_WORD_4);
	free(mark);
	word_bands_free(b);
}

/* --- n-grams --- */

static void put(void *arg, const struct ngram *g)
{
	char *out = arg;

	sprintf(out + strlen(out), "%.*s|", (int)g->n_key, g->key);
	assert_true(g->word[g->words - 1].end > g->word[0].start);
}

static void visits(void **state)
{
	char out[512] = "";

	(void)state;
	ngrams_visit("The Cat sat-in. It", 18, 3, put, out);
	assert_string_equal(out, "the|cat|the cat|sat|cat sat|the cat sat|in|sat in|cat sat in|it|");
	*out = 0;
	ngrams_visit("a b c", 5, 1, put, out);
	assert_string_equal(out, "a|b|c|");
}

static void finding(void **state)
{
	struct ngrams set = {0};
	size_t n;

	(void)state;
	assert_null(ngrams_find(&set, "a", 1, &n));
	assert_int_equal(n, 0);
	assert_int_equal(ngrams_add(&set, "Long-range order"), 0);
	assert_int_equal(ngrams_add(&set, "order"), 1);
	assert_int_equal(ngrams_add(&set, "long range ORDER"), 0);
	assert_int_equal(ngrams_add(&set, " ."), -1);
	assert_int_equal(ngrams_add(&set, "a. b"), -1);
	assert_int_equal(ngrams_add(&set, "1 2 3 4 5 6 7 8 9"), -1);

	const char *text = "Order: long range order, LONG-RANGE Order; long order";
	struct occurrence *o = ngrams_find(&set, text, strlen(text), &n);
	static const struct occurrence want[] = {{0, 5, 1}, {18, 23, 1}, {7, 23, 0}, {36, 41, 1}, {25, 41, 0}, {48, 53, 1}};
	assert_int_equal(n, 6);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(o[i].start, want[i].start);
		assert_int_equal(o[i].end, want[i].end);
		assert_int_equal(o[i].ngram, want[i].ngram);
	}
	free(o);
	ngrams_free(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes), cmocka_unit_test(latex), cmocka_unit_test(bands), cmocka_unit_test(visits),
		cmocka_unit_test(finding),
	};

	return cmocka_run_group_tests_name("token_class", tests, NULL, NULL);
}
