/* WordPiece: ids of Hugging Face tokenizers, from a dump; loading, refusing, cutting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "checked.h"
#include "death.h"
#include "rng.h"
#include "tokenizer.h"
#include "wordpiece_golden.h"

static void put_text(const char *name, const char *text)
{
	put_file(name, text, strlen(text));
}

/* tokenizer.json with the golden vocabulary. */
static void put_json(const char *name, const char *normalizer, const char *rest)
{
	char *text = xasprintf("{\"added_tokens\":[{\"id\":0,\"content\":\"[PAD]\",\"special\":true}],%s%s,"
	                       "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\","
		 "\"vocab\":{",
	                       normalizer, rest);
	FILE *f = fopen(name, "w");
	int id = 0;

	assert_non_null(f);
	fputs(text, f);
	for (const char *s = golden_vocab, *end; (end = strchr(s, '\n')); s = end + 1) {
		fprintf(f, id ? ",\"" : "\"");
		for (; s < end; s++) {
			if ((unsigned char)*s < 32 || strchr("\"\\", *s))
				fprintf(f, "\\u%04x", *s);
			else
				putc(*s, f);
		}
		fprintf(f, "\":%d", id++);
	}
	fputs("}}}", f);
	assert_int_equal(fclose(f), 0);
	free(text);
}

static char *encode(const struct tokenizer *t, struct tok_scratch *s, const char *text, size_t n)
{
	struct ids ids = {0};
	char *line = xcalloc(n * 48 + 1, 1), *copy = xmalloc(n ? n : 1);
	size_t at = 0;

	memcpy(copy, text, n); /* exactly n bytes, so that a sanitizer sees a read past the end */
	tokenizer_encode(t, s, copy, n, &ids);
	for (size_t i = 0; i < ids.n; i++)
		at += (size_t)sprintf(line + at, "%s%u", i ? " " : "", ids.id[i]);
	free(ids.id);
	free(copy);
	return line;
}

/* Every golden text, whole and cut wherever tokenizer_split() allows it. */
static void equals_reference(void **state)
{
	(void)state;
	make_dirs("g");
	for (size_t i = 0; i < sizeof golden / sizeof *golden;) {
		static const char *const word[] = {"null", "false", "true"};
		size_t from = i;
		char *normalizer = xasprintf("\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":%s,"
		                             "\"handle_chinese_chars\":%s,\"strip_accents\":%s,\"lowercase\":%s}",
		                             word[golden[i].clean_text + 1], word[golden[i].handle_chinese_chars + 1],
		                             word[golden[i].strip_accents + 1], word[golden[i].lowercase + 1]);
		struct tokenizer *t;
		struct tok_scratch *s;

		put_json("g/tokenizer.json", normalizer, "");
		t = tokenizer_load("g");
		s = tok_scratch_new(t);
		for (; i < sizeof golden / sizeof *golden && golden[i].clean_text == golden[from].clean_text &&
		       golden[i].handle_chinese_chars == golden[from].handle_chinese_chars &&
		       golden[i].strip_accents == golden[from].strip_accents && golden[i].lowercase == golden[from].lowercase;
		     i++) {
			const char *text = golden[i].text;
			size_t n = golden[i].bytes;
			char *ids = encode(t, s, text, n);

			assert_string_equal(ids, golden[i].ids);
			for (size_t k = 0; k <= n; k++) {
				size_t cut = tokenizer_split(t, text, k);
				char *left = encode(t, s, text, cut), *right = encode(t, s, text + cut, n - cut);
				char *both = xasprintf("%s%s%s", left, *left && *right ? " " : "", right);

				assert_true(cut <= k);
				assert_string_equal(both, ids);
				free(left);
				free(right);
				free(both);
			}
			free(ids);
		}
		tok_scratch_free(s);
		tokenizer_free(t);
		free(normalizer);
	}
}

/* With special tokens in the text, too, whatever they take in and ask for; and near its end, without any punctuation. */
static void parts_with_specials_are_the_whole(void **state)
{
	static const char *const part[] = {" ", "  ", "\n", "\xc2\xa0", "[A]", "[B]", "[C]", "[A", "un", "able", ",",
	                                   "\xcc\x81", "\x01", "\xe6\x96\x87", "a b "};
	struct tokenizer *t;
	struct tok_scratch *s;
	struct ids whole = {0}, parts = {0};
	char text[400];
	size_t splits = 0, n;

	(void)state;
	make_dirs("p");
	put_text("p/tokenizer.json", "{\"added_tokens\":[{\"id\":1,\"content\":\"[A]\",\"special\":true},"
		 "{\"id\":2,\"content\":\"[B]\",\"special\":true,\"lstrip\":true,\"rstrip\":true},"
		 "{\"id\":3,\"content\":\"[C]\",\"special\":true,\"single_word\":true}],"
		 "\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
		 "\"model\":{\"type\":\"WordPiece\","
		 "\"vocab\":{\"[UNK]\":0,\"[A]\":1,\"[B]\":2,\"[C]\":3,\"un\":4,\"##able\":5,\"able\":6,\",\":7,"
		 "\"a\":8,\"b\":9,\"[\":10,\"##un\":11}}}");
	t = tokenizer_load("p");
	s = tok_scratch_new(t);
	for (uint64_t seed = 0; seed < 500; seed++) {
		struct rng r = rng_make(seed, 0);

		for (text[0] = '\0'; (n = strlen(text)) < 100;)
			strcat(text, part[rng_below(&r, sizeof part / sizeof *part)]);
		whole.n = 0;
		tokenizer_encode_part(t, s, text, n, ENCODE_SPECIAL, &whole);
		for (size_t seen = 1; seen <= n; seen++) {
			size_t k = tokenizer_split_part(t, text, seen, true);

			assert_true(k < seen);
			splits += k > 0;
			parts.n = 0;
			tokenizer_encode_part(t, s, text, k, ENCODE_SPECIAL | ENCODE_MORE, &parts);
			tokenizer_encode_part(t, s, text + k, n - k, ENCODE_SPECIAL | ENCODE_GOES_ON, &parts);
			if (parts.n != whole.n || memcmp(parts.id, whole.id, whole.n * sizeof *whole.id) != 0)
				fail_msg("seed %d: \"%s\" cut at %zu", (int)seed, text, k);
		}
	}
	assert_true(splits > 30000);
	for (text[0] = '\0'; strlen(text) < 390;)
		strcat(text, "able un ");
	assert_in_range(tokenizer_split_part(t, text, strlen(text), true), 380, 390);
	free(whole.id);
	free(parts.id);
	tok_scratch_free(s);
	tokenizer_free(t);
}

static void vocab_txt_is_the_same(void **state)
{
	struct tokenizer *json, *txt;
	struct tok_scratch *s;
	char *ids;

	(void)state;
	make_dirs("j");
	make_dirs("v");
	put_json("j/tokenizer.json", "\"normalizer\":{\"type\":\"BertNormalizer\"}", "");
	put_text("v/vocab.txt", golden_vocab);
	json = tokenizer_load("j");
	txt = tokenizer_load("v");
	assert_memory_equal(tokenizer_fingerprint(json), tokenizer_fingerprint(txt), HASH_BYTES);
	assert_int_equal(tokenizer_vocab(json), tokenizer_vocab(txt));
	assert_int_equal(tokenizer_special(txt, "[UNK]"), 1);
	assert_int_equal(tokenizer_special(txt, "[CLS]"), -1);
	tokenizer_free(txt);

	put_text("v/tokenizer_config.json", "{\"do_lower_case\": false, \"strip_accents\": null}");
	txt = tokenizer_load("v");
	assert_memory_not_equal(tokenizer_fingerprint(json), tokenizer_fingerprint(txt), HASH_BYTES);
	s = tok_scratch_new(txt);
	ids = encode(txt, s, "Hello", 5);
	assert_string_not_equal(ids, "2"); /* the vocabulary has only hello */
	free(ids);
	tok_scratch_free(s);
	tokenizer_free(txt);
	tokenizer_free(json);
}

static void later_token_wins(void **state)
{
	struct tokenizer *t;
	struct tok_scratch *s;
	char *ids;

	(void)state;
	make_dirs("w");
	put_text("w/vocab.txt", "[UNK]\r\na\r\n\r\na\r\n##b");
	t = tokenizer_load("w");
	s = tok_scratch_new(t);
	assert_int_equal(tokenizer_vocab(t), 5);
	ids = encode(t, s, "a ab c", 6);
	assert_string_equal(ids, "3 3 4 0");
	free(ids);
	tok_scratch_free(s);
	tokenizer_free(t);
}

/* A byte outside of UTF-8 stands for U+FFFD, which is dropped. */
static void drops_invalid_utf8(void **state)
{
	static const char text[] = "a\xff" "b\xc3 \xe4\xb8 b\xed\xa0\x80 \xf0\x9f\x98 \xc0\x80" "a\xe4";
	struct tokenizer *t;
	struct tok_scratch *s;
	char *ids;

	(void)state;
	make_dirs("i");
	put_text("i/vocab.txt", "[UNK]\na\nb\n##b\n");
	t = tokenizer_load("i");
	s = tok_scratch_new(t);
	ids = encode(t, s, text, sizeof text - 1);
	assert_string_equal(ids, "1 3 2 1");
	free(ids);
	tok_scratch_free(s);
	tokenizer_free(t);
}

/* Sorting a long run of marks must not take quadratic time; nor a word that is never found. */
static void long_runs(void **state)
{
	enum { N = 1 << 20 };
	struct tokenizer *t;
	struct tok_scratch *s;
	char *text = xmalloc(2 * N), *ids;

	(void)state;
	make_dirs("l");
	put_text("l/vocab.txt", "[UNK]\na\n##b\n");
	t = tokenizer_load("l");
	s = tok_scratch_new(t);
	for (size_t i = 0; i < N; i++)
		memcpy(text + 2 * i, i % 2 ? "\xcc\xa3" : "\xcc\x81", 2); /* below, above */
	text[0] = text[1] = 'a';
	alarm(60);
	ids = encode(t, s, text, 2 * N);
	assert_string_equal(ids, "0");
	free(ids);
	memset(text, 'b', 2 * N);
	ids = encode(t, s, text, 2 * N);
	assert_string_equal(ids, "0");
	alarm(0);
	free(ids);
	free(text);
	tok_scratch_free(s);
	tokenizer_free(t);
}

static void refuses(const char *words, const char *json)
{
	make_dirs("r");
	put_text("r/tokenizer.json", json);
	DIES(EXIT_INPUT, words, tokenizer_load("r"));
}

static void refuses_what_it_cannot_do(void **state)
{
#define PRE "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
	(void)state;
	refuses("no \"vocab\"", "{\"model\":{\"type\":\"WordPiece\"}," PRE "}");
	refuses("holds no [UNK]", "{\"model\":{\"type\":\"WordPiece\","
		 "\"vocab\":{\"a\":0}}," PRE "}");
	refuses("same id", "{\"model\":{\"type\":\"WordPiece\","
		 "\"vocab\":{\"[UNK]\":0,\"a\":0}}," PRE "}");
	refuses("has id -1", "{\"model\":{\"type\":\"WordPiece\","
		 "\"vocab\":{\"[UNK]\":-1}}," PRE "}");
	refuses("has id 9999999999", "{\"model\":{\"type\":\"WordPiece\","
		 "\"vocab\":{\"[UNK]\":9999999999}}," PRE "}");
	refuses("max_input_chars_per_word",
	        "{\"model\":{\"type\":\"WordPiece\",\"max_input_chars_per_word\":0,\"vocab\":{\"[UNK]\":0}}," PRE "}");
	refuses("pre_tokenizer of type BertPreTokenizer", "{\"model\":{\"type\":\"WordPiece\","
		 "\"vocab\":{\"[UNK]\":0}}}");
	refuses("normalizer of type BertNormalizer",
	        "{\"normalizer\":{\"type\":\"NFC\"},\"model\":{\"type\":\"WordPiece\","
		 "\"vocab\":{\"[UNK]\":0}}," PRE "}");
	refuses("is not special", "{\"added_tokens\":[{\"content\":\"x\",\"id\":0}],\"model\":{\"type\":\"WordPiece\","
	                          "\"vocab\":{\"[UNK]\":0}}," PRE "}");
	refuses("has id 4, but 1 in the vocabulary", "{\"added_tokens\":[{\"content\":\"[MASK]\",\"id\":4,\"special\":true,\"normalized\":false}],"
	        "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"[MASK]\":1}}," PRE "}");
	make_dirs("n");
	put_text("n/vocab.txt", "a\nb\n");
	DIES(EXIT_INPUT, "holds no [UNK]", tokenizer_load("n"));
	put_text("n/vocab.txt", "[UNK]\nb\xff\n");
	DIES(EXIT_INPUT, "byte 7 is not UTF-8", tokenizer_load("n"));
	put_text("n/vocab.txt", "[UNK]\n");
	put_text("n/tokenizer_config.json", "{\"do_basic_tokenize\": false}");
	DIES(EXIT_INPUT, "do_basic_tokenize", tokenizer_load("n"));
	put_text("n/tokenizer_config.json", "{\"never_split\": [\"x\"]}");
	DIES(EXIT_INPUT, "never_split", tokenizer_load("n"));
	put_text("n/tokenizer_config.json", "{\"tokenizer_class\": \"BertJapaneseTokenizer\"}");
	DIES(EXIT_INPUT, "tokenizer_class \"BertJapaneseTokenizer\" is supported with a tokenizer.json only", tokenizer_load("n"));
	put_text("n/tokenizer_config.json", "{\"cls_token\": \"<s>\"}");
	DIES(EXIT_INPUT, "cls_token \"<s>\"", tokenizer_load("n"));
	put_text("n/tokenizer_config.json", "{\"unk_token\": {\"content\": \"<unk>\"}}");
	DIES(EXIT_INPUT, "unk_token \"<unk>\"", tokenizer_load("n"));
	put_text("n/tokenizer_config.json", "{\"mask_token\": {\"content\": \"[MASK]\", \"lstrip\": true}}");
	DIES(EXIT_INPUT, "mask_token \"[MASK]\"", tokenizer_load("n"));
	put_text("n/tokenizer_config.json", "{\"added_tokens_decoder\": {\"1\": {\"content\": \"new\", \"special\": true}}}");
	DIES(EXIT_INPUT, "\"new\" is not in the vocabulary", tokenizer_load("n"));
	put_text("n/tokenizer_config.json",
	         "{\"added_tokens_decoder\": {\"0\": {\"content\": \"[UNK]\", \"special\": true, "
	         "\"normalized\": true}}}");
	DIES(EXIT_INPUT, "normalized text", tokenizer_load("n"));
	put_text("n/tokenizer_config.json",
	         "{\"tokenizer_class\": \"DistilBertTokenizer\", \"cls_token\": \"[CLS]\", \"pad_token\": null,"
		 "\"unk_token\": {\"content\": \"[UNK]\"}, \"added_tokens_decoder\": {\"0\": {\"content\": \"[UNK]\", "
		 "\"special\": true}}}");
	tokenizer_free(tokenizer_load("n"));
	put_text("n/added_tokens.json", "{\"new\": 1}");
	DIES(EXIT_INPUT, "added_tokens.json: token \"new\"", tokenizer_load("n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_reference), cmocka_unit_test(vocab_txt_is_the_same),
		cmocka_unit_test(parts_with_specials_are_the_whole),
		cmocka_unit_test(later_token_wins), cmocka_unit_test(drops_invalid_utf8),
		cmocka_unit_test(long_runs),        cmocka_unit_test(refuses_what_it_cannot_do),
	};

	return cmocka_run_group_tests(tests, in_scratch, out_of_scratch);
}
