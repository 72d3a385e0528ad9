/* Merging, against the definition carried out literally on the small vocabulary of tests/gpt2-1024. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "rng.h"
#include "tokenizer.h"

static struct tokenizer *t;

static int load(void **state)
{
	(void)state;
	t = tokenizer_load("tests/gpt2-1024");
	return 0;
}

static int unload(void **state)
{
	(void)state;
	tokenizer_free(t);
	return 0;
}

/*
 * Ids of one word: merge after merge in the order of rank, which is that of the ids, each through the whole word from left to
 * right. A token is kept as its end; the start is the end of the one before.
 */
static size_t merge_literally(const char *word, size_t n, uint32_t *id)
{
	static uint32_t of_byte[256];
	size_t *end = xcalloc(n + 1, sizeof *end), tokens = n, k;

	if (of_byte['!'] == of_byte['"'])
		for (uint32_t i = 0; i < 256; i++)
			of_byte[(unsigned char)*tokenizer_bytes(t, i, &k)] = i;
	for (size_t i = 0; i < n; i++) {
		id[i] = of_byte[(unsigned char)word[i]];
		end[i] = i + 1;
	}
	for (uint32_t made = 256; made + 1 < tokenizer_vocab(t); made++) {
		const char *bytes = tokenizer_bytes(t, made, &k);
		size_t out = 0;

		for (size_t i = 0; i < tokens; i++) {
			size_t start = out ? end[out - 1] : 0;

			id[out] = id[i];
			end[out] = end[i];
			if (i + 1 < tokens && end[i + 1] - start == k && memcmp(word + start, bytes, k) == 0) {
				id[out] = made;
				end[out] = end[++i];
			}
			out++;
		}
		tokens = out;
	}
	free(end);
	return tokens;
}

static void check(struct tok_scratch *s, const char *word, size_t n)
{
	uint32_t *expected = xcalloc(n + 1, sizeof *expected);
	size_t tokens = merge_literally(word, n, expected);
	struct ids out = {0};

	tokenizer_encode(t, s, word, n, &out);
	if (out.n != tokens)
		fail_msg("%.40s... (%zu bytes): %zu ids, not %zu", word, n, out.n, tokens);
	for (size_t i = 0; i < tokens; i++)
		if (out.id[i] != expected[i])
			fail_msg("%.40s... (%zu bytes): id %zu is %u, not %u", word, n, i, out.id[i], expected[i]);
	free(out.id);
	free(expected);
}

static void random_word(struct rng *r, char *word, size_t n)
{
	static const char *const alphabet[] = {"a", "ab", "etaoin", "theandingerou", "abcdefghijklmnopqrstuvwxyz"};
	const char *letters = alphabet[rng_below(r, 5)];

	for (size_t i = 0; i < n; i++)
		word[i] = letters[rng_below(r, strlen(letters))];
}

/* All lengths around the borders of the caches, of scanning and of the heap; each word twice, so that caches answer too. */
static void words(void **state)
{
	struct tok_scratch *s = tok_scratch_new(t);
	struct rng r = rng_make(1, 0);
	char word[200];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		size_t n = 1 + rng_below(&r, i % 10 ? 60 : sizeof word);

		random_word(&r, word, n);
		if (i % 3 == 0)
			word[0] = ' ', word[n - 1] = 'x';
		check(s, word, n);
		check(s, word, n);
	}
	tok_scratch_free(s);
}

/* Longer than a window of merging, so with seams; and text that ends at the end of its memory. */
static void long_words(void **state)
{
	static const size_t length[] = {32767, 32768, 32769, 40000, 65536, 100001};
	struct tok_scratch *s = tok_scratch_new(t);
	struct rng r = rng_make(2, 0);

	(void)state;
	for (size_t i = 0; i < sizeof length / sizeof *length; i++) {
		for (int k = 0; k < 4; k++) {
			char *word = xmalloc(length[i]); /* no byte more, for the address sanitizer to see */

			random_word(&r, word, length[i]);
			if (k == 3)
				memset(word, 'a', length[i]);
			check(s, word, length[i]);
			free(word);
		}
	}
	tok_scratch_free(s);
}

static void linear_time(void **state)
{
	enum { N = 10000000 };
	struct tok_scratch *s = tok_scratch_new(t);
	struct ids out = {0};
	char *word = xmalloc(N);
	size_t bytes = 0, k;

	(void)state;
	memset(word, 'e', N);
	tokenizer_encode(t, s, word, N, &out);
	for (size_t i = 0; i < out.n; i++) {
		tokenizer_bytes(t, out.id[i], &k);
		bytes += k;
	}
	assert_int_equal(bytes, N);
	free(out.id);
	free(word);
	tok_scratch_free(s);
}

/* More words than the caches hold, in one text: the ids are those of the words one by one, and the same the second time. */
static void caches(void **state)
{
	enum { WORDS = 200000 };
	struct tok_scratch *s = tok_scratch_new(t);
	struct rng r = rng_make(3, 0);
	struct ids first = {0}, second = {0};
	char *text = xmalloc(WORDS * 21), word[20];
	uint32_t id[20];
	size_t n = 0, at = 0;

	(void)state;
	for (int i = 0; i < WORDS; i++) {
		size_t k = 2 + rng_below(&r, sizeof word - 2);

		random_word(&r, word, k);
		word[0] = ' ';
		memcpy(text + n, word, k);
		n += k;
	}
	tokenizer_encode(t, s, text, n, &first);
	tokenizer_encode(t, s, text, n, &second);
	assert_int_equal(first.n, second.n);
	assert_memory_equal(first.id, second.id, first.n * sizeof *first.id);
	for (size_t start = 0, end; start < n; start = end) {
		const char *blank = memchr(text + start + 1, ' ', n - start - 1);
		size_t tokens;

		end = blank ? (size_t)(blank - text) : n;
		if (start % 16 == 0) { /* the definition is slow */
			tokens = merge_literally(text + start, end - start, id);
			assert_true(at + tokens <= first.n);
			assert_memory_equal(first.id + at, id, tokens * sizeof *id);
		}
		for (size_t bytes = 0, k; bytes < end - start; bytes += k)
			tokenizer_bytes(t, first.id[at++], &k);
	}
	assert_int_equal(at, first.n);
	free(first.id);
	free(second.id);
	free(text);
	tok_scratch_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(long_words),
		cmocka_unit_test(linear_time),
		cmocka_unit_test(caches),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
