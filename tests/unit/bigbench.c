/*
 * The metrics, the regular expressions and the random numbers of BIG-bench beside the package's:
 * data/bigbench/metrics.json.gz (parity-bigbench.py).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bigbench.h"
#include "bigbench_score.h"
#include "checked.h"
#include "death.h"
#include "json.h"
#include "numpy_rng.h"
#include "pyregex.h"
#include "text_metrics.h"
#include "utf8.h"

#define MAX 64

static struct json *doc;

static int setup(void **state)
{
	doc = json_read("tests/data/bigbench/metrics.json.gz", 1 << 24);
	return in_scratch(state);
}

static int teardown(void **state)
{
	json_free(doc);
	return out_of_scratch(state);
}

static const json_value *cases(const char *name)
{
	const json_value *v = json_get(json_root(doc), name);

	assert_true(json_count(v) > 4);
	return json_first(v);
}

static const json_value *nth(const json_value *list, int n)
{
	for (list = json_first(list); n > 0; n--)
		list = json_next(list);
	return list;
}

static const char *text(const json_value *v)
{
	return json_string(doc, v, "text");
}

static double real(const json_value *v, const char *key)
{
	return json_real(doc, json_get(v, key), key);
}

static void near(double a, double b)
{
	if (!(fabs(a - b) <= 1e-9 * (1 + fabs(b)))) {
		print_error("%.17g is not %.17g\n", a, b);
		fail();
	}
}

static void test_texts(void **state)
{
	(void)state;
	for (const json_value *c = cases("texts"); c; c = json_next(c)) {
		struct answer a[MAX];
		const char *target[MAX][MAX];
		double rouge[ROUGE_KINDS] = {0}, exact = 0, folded = 0, f1 = 0;
		int n = 0;
		for (const json_value *r = json_first(json_get(c, "responses")), *t = json_first(json_get(c, "targets")); r;
		     r = json_next(r), t = json_next(t), n++) {
			a[n] = (struct answer){text(r), target[n], 0};
			for (const json_value *x = json_first(t); x; x = json_next(x))
				target[n][a[n].n_targets++] = text(x);
			for (int k = 0; k < ROUGE_KINDS; k++)
				rouge[k] += 100 * text_rouge(&a[n], (enum rouge)k);
			exact += text_equals(&a[n]);
			folded += text_equals_folded(&a[n]);
			f1 += text_sequence_f1(&a[n]);
		}
		near(text_bleu(a, (size_t)n), real(c, "bleu"));
		near(exact / n, real(c, "exact"));
		near(folded / n, real(c, "folded"));
		near(f1 / n, real(c, "sequence_f1"));
		for (int k = 0; k < ROUGE_KINDS; k++)
			near(rouge[k] / n, json_real(doc, nth(json_get(c, "rouge"), k), "rouge"));
	}
}

static double number_match(const char *target, const char *response)
{
	struct bb_example e = {.target = &target, .n_targets = 1};
	struct bb_task t = {.n_examples = 1};
	char *copy = xstrdup(response);
	struct bb_reply r = {.example = &e, .response = copy};
	struct bb_result result[BB_MAX_RESULTS];

	assert_int_equal(bb_score(&t, "numeric_match_with_0_1_relative_error", &r, 1, result), 1);
	free(copy);
	return result[0].score;
}

static void test_numbers(void **state)
{
	int yes = 0;

	(void)state;
	for (const json_value *c = cases("numbers"); c; c = json_next(c)) {
		const char *target = text(nth(c, 0)), *response = text(nth(c, 1));
		bool want = json_bool(doc, nth(c, 2), "match");
		/* Python reads the digits of other scripts, too. */
		if (number_match(target, response) != want && (unsigned char)*response < 0x80) {
			print_error("target '%s', response '%s'\n", target, response);
			fail();
		}
		yes += want;
	}
	assert_true(yes > 10);
	/* A tenth, as near as doubles have it, is within; of 0 it is 0.1. */
	assert_true(number_match("10", "11") == 1 && number_match("10", "9") == 1 && number_match("0", "0.1") == 1);
	assert_true(number_match("10", "11.000001") == 0 && number_match("10", "8.999999") == 0 && number_match("0", "0.100001") == 0);
}

static void test_choices(void **state)
{
	(void)state;
	for (const json_value *c = cases("choices"); c; c = json_next(c)) {
		static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
		const json_value *p = json_first(json_get(c, "log_prob")), *s = json_first(json_get(c, "scores"));
		struct bb_example e[MAX];
		struct bb_reply r[MAX];
		double score[MAX][8], log_prob[MAX][8];
		size_t n = 0;
		for (; p; p = json_next(p), s = json_next(s), n++) {
			e[n] = (struct bb_example){.choice = (const char **)names, .score = score[n], .n_choices = (int)json_count(p)};
			for (int k = 0; k < e[n].n_choices; k++) {
				log_prob[n][k] = json_real(doc, nth(p, k), "log_prob");
				score[n][k] = json_real(doc, nth(s, k), "score");
			}
			r[n] = (struct bb_reply){.example = &e[n], .choice = log_prob[n]};
		}
		struct bb_task t = {.n_examples = n};
		for (const json_value *m = json_first(json_get(c, "result")); m; m = json_next(m)) {
			struct bb_result result[BB_MAX_RESULTS];
			assert_int_equal(bb_score(&t, json_key(m), r, n, result), 1);
			assert_true(result[0].computed);
			near(result[0].score, json_real(doc, m, json_key(m)));
		}
	}
}

/* Per character, of which a letter with an accent is one; where there are several targets the package gives their sum alone. */
static void test_likelihoods(void **state)
{
	const char *target[] = {"na\xc3\xafve idea", "b"};
	double log_prob[] = {-6, -9};
	struct bb_example e = {.target = target, .n_targets = 1};
	struct bb_task t = {.n_examples = 1};
	struct bb_reply r = {.example = &e, .target = log_prob};
	struct bb_result x[BB_MAX_RESULTS];

	(void)state;
	assert_int_equal(bb_score(&t, "log_likelihood", &r, 1, x), 3);
	near(x[0].score, -6);
	near(x[1].score, -3);
	near(x[2].score, -0.6);
	e.n_targets = 2;
	assert_int_equal(bb_score(&t, "log_likelihood", &r, 1, x), 1);
	near(x[0].score, log(exp(-6) + exp(-9)));
}

/* The match and, for every beginning of the text after which it is called final, the same match. */
static void test_regexes(void **state)
{
	int found = 0, final = 0;

	(void)state;
	for (const json_value *c = cases("regexes"); c; c = json_next(c)) {
		const char *why, *pattern = text(nth(c, 0)), *subject = text(nth(c, 1)), *want = text(nth(c, 2));
		size_t at, n = strlen(subject);
		struct pyregex *r = pyregex_compile(pattern, &why, &at);
		assert_non_null(r);
		struct pyregex_match m = pyregex_find(r, subject, n);
		if (m.end - m.start != strlen(want) || memcmp(subject + m.start, want, strlen(want)) != 0) {
			print_error("'%s' in '%s': '%.*s', not '%s'\n", pattern, subject, (int)(m.end - m.start),
			            subject + m.start, want);
			fail();
		}
		found += m.found;
		for (size_t k = 0; k < n; k++) {
			if (utf8_valid(subject, k) != k)
				continue;
			struct pyregex_match part = pyregex_find(r, subject, k);
			final += part.final;
			if (part.final)
				assert_true(m.found && part.start == m.start && part.end == m.end);
		}
		pyregex_free(r);
	}
	assert_true(found > 100 && final > 100);
}

static void test_regex_refusals(void **state)
{
	static const char *const bad[] = {"(?=a)", "(?P<x>a)", "(a)\\1", "a**", "a*+", "*a", "(a", "a)", "[a", "[b-a]",
	                                  "a{3,2}", "a{2000}", "\\q", "(?i)é", "(?s)a", "^*", "\\", "[\\d-a-\\d]x[",
	                                  "((((a{1000}){1000}))){9}"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *why = NULL;
		size_t at = 1000;
		struct pyregex *r = pyregex_compile(bad[i], &why, &at);
		if (r)
			print_error("'%s' is taken\n", bad[i]);
		assert_null(r);
		assert_non_null(why);
		assert_true(at <= strlen(bad[i]));
	}
}

/* No pattern takes long: (a*)*b on a text without b. */
static void test_regex_time(void **state)
{
	char subject[5000];
	const char *why;
	size_t at;
	struct pyregex *r = pyregex_compile("(?:a*)*(?:a|a)*(?:a*a*)*b", &why, &at);

	static char pattern[1000001];

	(void)state;
	memset(subject, 'a', sizeof subject);
	assert_false(pyregex_find(r, subject, sizeof subject).found);
	pyregex_free(r);
	memset(pattern, 'a', 1000000); /* too large, not too deep for the stack */
	assert_null(pyregex_compile(pattern, &why, &at));
	r = pyregex_compile("(?:(?:(?:(?:(?:){1000}){1000}){1000}){1000}){1000}a", &why, &at);
	assert_non_null(r);
	assert_true(pyregex_find(r, subject, 1).found);
	pyregex_free(r);
}

static void test_random(void **state)
{
	static const uint32_t below[] = {1, 2, 3, 7, 100, 65537};

	(void)state;
	for (const json_value *c = cases("random"); c; c = json_next(c)) {
		struct numpy_rng r = numpy_rng_make((uint32_t)json_int(doc, nth(c, 0), "seed"));
		size_t n = (size_t)json_int(doc, nth(c, 1), "n"), *p = xcalloc(n, sizeof *p), i = 0;
		numpy_rng_permutation(&r, p, n);
		for (const json_value *v = json_first(nth(c, 2)); v; v = json_next(v))
			assert_int_equal(p[i++], json_int(doc, v, "permutation"));
		for (i = 0; i < sizeof below / sizeof *below; i++)
			assert_int_equal(numpy_rng_below(&r, below[i]), json_int(doc, nth(nth(c, 3), (int)i), "below"));
		free(p);
	}
}

static void test_stop_string(void **state)
{
	struct bb_task t = {.stop_string = "##"};
	bool final;
	char *s;

	(void)state;
#define IS(in, chars, out, ends) \
	s = bb_response(&t, in, chars, &final); \
	assert_string_equal(s, out); \
	assert_int_equal(final, ends); \
	free(s)
	IS("one ## two", 100, "one ##", true);
	IS("one # two", 100, "one # two", false);
	IS("## two ##", 100, "## two ##", false); /* as the package: not at the very beginning, and then not at all */
	IS("é## two", 2, "é#", true);
	t.regex = pyregex_compile("[0-9]+", &(const char *){NULL}, &(size_t){0});
	IS("a 12 b", 100, "12", true);
	IS("a 12", 100, "12", false);
	IS("a 12", 4, "12", true);
	IS("a ## 12", 100, "", true);
	IS("a", 100, "", false);
	pyregex_free(t.regex);
#undef IS
}

static void test_repair(void **state)
{
	static const struct {
		const char *in, *ends, *goes_on;
	} c[] = {
		{"a\xe2\x82", "a\xef\xbf\xbd", "a"}, {"\xff" "b", "\xef\xbf\xbd" "b", "\xef\xbf\xbd" "b"},
		{"\xf0\x9f\x92", "\xef\xbf\xbd", ""}, {"\xe2\x28\xa1", "\xef\xbf\xbd(\xef\xbf\xbd", "\xef\xbf\xbd(\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"é\xc3", "é\xef\xbf\xbd", "é"}, {"", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof c / sizeof *c; i++)
		for (int ends = 0; ends < 2; ends++) {
			char *s = utf8_repaired(c[i].in, strlen(c[i].in), ends);
			assert_string_equal(s, ends ? c[i].ends : c[i].goes_on);
			free(s);
		}
}

/* ---- task files that are refused ---- */

#define TASK(fields, examples) "{\"name\": \"t\", " fields ", \"examples\": [" examples "]}"
#define CHOICE "\"metrics\": [\"multiple_choice_grade\"], \"preferred_score\": \"multiple_choice_grade\""
#define TEXT "\"metrics\": [\"bleu\"], \"preferred_score\": \"bleu\""
#define GOOD "{\"input\": \"a\", \"target_scores\": {\"x\": 1, \"y\": 0}}"
#define ANSWER "{\"input\": \"a\", \"target\": \"x\"}"

static void read_task(const void *task)
{
	struct bb_suite s = {0};

	put_file("t.json", task, strlen(task));
	bb_read(&s, "t.json", 42);
	bb_free(&s);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *task, *word;
	} bad[] = {
		{"[]", "no object"},
		{"{", "t.json"},
		{TASK("\"metrics\": [], \"preferred_score\": \"bleu\"", ANSWER), "metrics"},
		{TASK("\"metrics\": [3], \"preferred_score\": \"bleu\"", ANSWER), "metrics"},
		{TASK("\"metrics\": [\"bleu\"]", ANSWER), "preferred_score"},
		{TASK("\"metrics\": [\"rouge\"], \"preferred_score\": \"rouge\"", ANSWER), "rouge1, rouge2 and rougeLsum"},
		{"{" TEXT ", \"examples\": [" ANSWER "]}", "name"},
		{TASK(TEXT, ""), "examples"},
		{"{\"name\": \"t\", \"subtasks\": []}", "no subtasks"},
		{"{\"name\": \"t\"}", "no subtasks"},
		{"{\"name\": \"t\", \"subtasks\": [3]}", "subtasks"},
		{TASK(TEXT ", \"subtasks\": []", ANSWER), "beside examples"},
		{TASK(TEXT, "3"), "one is no object"},
		{TASK(TEXT, "{\"target\": \"x\"}"), "no input"},
		{TASK(TEXT, "{\"input\": \"x\"}"), "neither target nor"},
		{TASK(TEXT, GOOD), "has no target"},
		{TASK(CHOICE, ANSWER), "has no target_scores"},
		{TASK(CHOICE, "{\"input\": \"a\", \"target_scores\": {}}"), "at least one choice"},
		{TASK(CHOICE, "{\"input\": \"a\", \"target_scores\": {\"x\": \"1\"}}"), "target_scores"},
		{TASK(CHOICE, "{\"input\": \"a\", \"target_scores\": {\"x\": 0.5, \"y\": 0.5}}"), "no choice is better"},
		{TASK(CHOICE, "{\"input\": \"a\", \"target_scores\": {\"x\": 1}}"), "at random would score"},
		{TASK(TEXT, "{\"input\": \"a\", \"target\": []}"), "an empty list"},
		{TASK(TEXT, "{\"input\": \"a\", \"target\": 3}"), "target: string expected"},
		{TASK(TEXT ", \"task_prefix\": 1", ANSWER), "task_prefix"},
		{TASK(TEXT ", \"choice_prefix\": null", ANSWER), "choice_prefix"},
		{TASK(TEXT ", \"stop_string\": 1", ANSWER), "stop_string"},
		{TASK(TEXT ", \"append_choices_to_input\": \"no\"", ANSWER), "append_choices_to_input"},
		{TASK(TEXT ", \"output_regex\": \"a(?=b)\"", ANSWER), "output_regex: byte 2"},
		{TASK(TEXT ", \"output_regex\": \"(a)(b)\"", ANSWER), "more than one group"},
	};

	(void)state;
	read_task(TASK(TEXT, ANSWER));
	read_task(TASK(CHOICE, GOOD));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_dies(read_task, bad[i].task, 3, bad[i].word);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),       cmocka_unit_test(test_numbers),        cmocka_unit_test(test_choices),
		cmocka_unit_test(test_regexes),     cmocka_unit_test(test_regex_refusals), cmocka_unit_test(test_regex_time),
		cmocka_unit_test(test_random),      cmocka_unit_test(test_stop_string),    cmocka_unit_test(test_repair),
		cmocka_unit_test(test_refusals),    cmocka_unit_test(test_likelihoods),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
