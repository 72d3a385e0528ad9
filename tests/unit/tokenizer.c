/* Which tokenizers are taken and which refused, and what decides the fingerprint. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "checked.h"
#include "death.h"
#include "die.h"
#include "hash.h"
#include "reader.h"
#include "rng.h"
#include "tokenizer.h"

static char *json; /* tests/gpt2-1024/tokenizer.json, compact and in a fixed order of keys */
static size_t json_size;

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+"

static int set_up(void **state)
{
	json = read_file("tests/gpt2-1024/tokenizer.json", 1 << 20, &json_size);
	return in_scratch(state) || mkdir("t", 0777);
}

/* t/tokenizer.json with the first `from` replaced. */
static void put_changed(const char *from, const char *to)
{
	char *at = strstr(json, from), *text;

	if (!at)
		fail_msg("no %s to change", from);
	text = xasprintf("%.*s%s%s", (int)(at - json), json, to, at + strlen(from));
	put_file("t/tokenizer.json", text, strlen(text));
	free(text);
}

static void load(const void *dir)
{
	tokenizer_free(tokenizer_load(dir));
}

static void refused(void **state)
{
	static const struct {
		const char *from, *to, *said;
	} change[] = {
		{"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}", "normalizer \"NFC\" is not supported"},
		{"\"use_regex\":true", "\"use_regex\":false", "without use_regex is not supported"},
		{"\"pre_tokenizer\":{\"type\":\"ByteLevel\"", "\"pre_tokenizer\":{\"type\":\"Digits\"", "pre_tokenizer \"Digits\" is not supported"},
		{"\"pre_tokenizer\":{\"type\":\"ByteLevel\"", "\"pre_tokenizer\":{\"type\":\"Split\"", "pre_tokenizer \"Split\" is not supported without"},
		{"\"pre_tokenizer\":{", "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
			"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\s+\"},"
			"\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\"}]},\"was\":{", "the pattern \\s+ is not supported"},
		{"\"pre_tokenizer\":{", "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
			"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" GPT2 "\"},"
			"\"behavior\":\"Removed\"},{\"type\":\"ByteLevel\"}]},\"was\":{", "other ways than \"Isolated\""},
		{"\"pre_tokenizer\":{", "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
			"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" GPT2 "\"},"
			"\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\"}]},\"was\":{", "with add_prefix_space"},
		{"\"pre_tokenizer\":{", "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
			"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" GPT2 "\"},"
			"\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]},\"was\":{",
			"with use_regex"},
		{"\"pre_tokenizer\":", "\"pre_tokenized\":", "without a pre_tokenizer"},
		{"\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"Fuse\"", "decoder \"Fuse\" is not supported"},
		{"\"dropout\":null", "\"dropout\":0.1", "dropout"},
		{"\"byte_fallback\":false", "\"byte_fallback\":true", "pre_tokenizer \"ByteLevel\" is not supported"},
		{"\"post_processor\":{", "\"post_processor\":{\"type\":\"Other\"},\"was\":{", "post_processor \"Other\" is not supported"},
		{"\"post_processor\":{", "\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"<s>\",0]},\"was\":{", "sep is not a token"},
		{"\"post_processor\":{", "\"post_processor\":{\"type\":\"RobertaProcessing\","
			"\"cls\":[\"<s>\",1024],\"sep\":[\"a\",1]},\"was\":{",
			"id 1024 of the post_processor is not in the vocabulary"},
		{"\"post_processor\":{", "\"post_processor\":{\"type\":\"TemplateProcessing\","
			"\"single\":[],\"special_tokens\":{}},\"was\":{", "leaves out the text"},
		{"\"post_processor\":{", "\"post_processor\":{\"type\":\"TemplateProcessing\","
			"\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]},\"was\":{", "TemplateProcessing is not supported"},
		{"\"continuing_subword_prefix\":\"\"", "\"continuing_subword_prefix\":\"##\"", "continuing_subword_prefix is not supported"},
		{"\"end_of_word_suffix\":\"\"", "\"end_of_word_suffix\":\"</w>\"", "end_of_word_suffix is not supported"},
		{"\"type\":\"BPE\"", "\"type\":\"Unigram\"", "\"Unigram\" is not supported"},
		{"\"model\":", "\"modell\":", "no \"model\""},
		{"\"vocab\":", "\"vocabulary\":", "vocabulary is not an object"},
		{"\"merges\":", "\"merge\":", "merges is not a list"},
		{"\"!\":0", "\"!\":1", "id 1 stands for two tokens"},
		{"\"!\":0", "\"!\":-1", "out of range"},
		{"\"!\":0", "\"!\":4000000000", "out of range"},
		{"\"!\":0", "\"!\":1.5", "!"},
		{"\"!\":0", "\"!\":\"0\"", "!"},
		{"\"!\":0", "\"!\":1024", "no token has id 0"},
		{"\"!\":0", "\"!!\":0", "no token for byte 0x21"},
		{"\"!\":0", "\"\":0", "empty token"},
		{"\"!\":0", "\"\\\"\":0", "duplicate key"},
		{"{\"id\":1023,", "{\"id\":1022,", "id 1022 stands for two tokens"},
		{"{\"id\":1023,", "{\"id\":1024,", "there twice"},
		{"{\"id\":1023,", "{\"ids\":1023,", "id"},
		{"\"h e\"", "\"h \xc3\xbf\xc3\xbf\"", "merge 3: its right part is not in the vocabulary"},
		{"\"h e\"", "\"\xc3\xbf\xc3\xbf h\"", "merge 3: its left part is not in the vocabulary"},
		{"\"h e\"", "\"h !\"", "merge 3: what it makes is not in the vocabulary"},
		{"\"h e\"", "\"h \xe2\x82\xac\"", "merge 3: "},
		{"\"h e\"", "\"he\"", "merge 3 is not two tokens"},
		{"\"h e\"", "\"h e x\"", "merge 3 is not two tokens"},
		{"\"h e\"", "\"h  e\"", "merge 3 is not two tokens"},
		{"\"h e\"", "\"i n\"", "merge 4 is the same as merge 3"},
		{"\"h e\"", "[\"h\",\"e\",\"x\"]", "merges"},
		{"\"h e\"", "17", "merges"},
		{"\"version\"", "\xff", "tokenizer.json"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
		put_changed(change[i].from, change[i].to);
		assert_dies(load, "t", EXIT_INPUT, change[i].said);
	}
	for (size_t n = 0; n < json_size; n += n < 2000 ? 97 : 1777) { /* cut anywhere */
		put_file("t/tokenizer.json", json, n);
		assert_dies(load, "t", EXIT_INPUT, "tokenizer.json");
	}
	remove("t/tokenizer.json");
	assert_dies(load, "t", EXIT_FAILED, "holds no tokenizer.json");
	assert_dies(load, "nowhere", EXIT_FAILED, "nowhere");
	put_file("t/vocab.json", "{}", 2);
	assert_dies(load, "t", EXIT_FAILED, "no merges.txt");
	remove("t/vocab.json");
}

static void fingerprint(const char *from, const char *to, uint8_t out[HASH_BYTES])
{
	struct tokenizer *t;

	put_changed(from, to);
	t = tokenizer_load("t");
	memcpy(out, tokenizer_fingerprint(t), HASH_BYTES);
	tokenizer_free(t);
	remove("t/tokenizer.json");
}

static void fingerprints(void **state)
{
	static const struct {
		const char *from, *to;
		bool same;
	} change[] = {
		{"\"h e\"", "[\"h\",\"e\"]", true},
		{"\"version\":\"1.0\"", "\"version\":\"1.1\"", true},
		{"\"type\":\"BPE\",", "", true},                       /* as in old files */
		{"\"!\":0,\"\\\"\":1", "\"\\\"\":1,\"!\":0", true},    /* order in the file */
		{"\"!\":0,\"\\\"\":1", "\"!\":1,\"\\\"\":0", false},
		{"\"h e\",\"i n\"", "\"i n\",\"h e\"", false},
		{",\"h e\"", "", false},
		{"\"add_prefix_space\":false", "\"add_prefix_space\":true", false},
		{"\"ignore_merges\":false", "\"ignore_merges\":true", false},
		{"\"special\":true", "\"special\":false", false},
		{"\"lstrip\":false", "\"lstrip\":true", false},
		{"\"pre_tokenizer\":{", "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
			"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" GPT2 "\"},"
			"\"behavior\":\"Isolated\"},"
			"{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},\"was\":{", true},
		{"\"normalized\":false,\"special\":true}]", "\"normalized\":false,\"special\":true},"
			"{\"id\":1024,\"content\":\"<pad>\",\"special\":true}]", false},
	};
	uint8_t original[HASH_BYTES], changed[HASH_BYTES], zero[HASH_BYTES] = {0};

	(void)state;
	fingerprint("", "", original);
	for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
		fingerprint(change[i].from, change[i].to, changed);
		if ((memcmp(original, changed, HASH_BYTES) == 0) != change[i].same)
			fail_msg("%s -> %s", change[i].from, change[i].to);
	}
	assert_false(tokenizer_fingerprint_of("t", changed));
	assert_memory_equal(changed, zero, HASH_BYTES);
	put_changed("", "");
	assert_true(tokenizer_fingerprint_of("t", changed));
	assert_memory_equal(changed, original, HASH_BYTES);
	remove("t/tokenizer.json");
}

static void ids_and_bytes(void **state)
{
	struct tokenizer *t;
	struct tok_scratch *s;
	struct ids out = {0};
	size_t n;

	(void)state;
	put_changed("", "");
	t = tokenizer_load("t");
	s = tok_scratch_new(t);
	assert_int_equal(tokenizer_vocab(t), 1024);
	assert_int_equal(tokenizer_special(t, "<|endoftext|>"), 1023);
	assert_int_equal(tokenizer_special(t, "[CLS]"), -1);
	assert_int_equal(tokenizer_special(t, "he"), -1);
	assert_false(tokenizer_is_text(t, 1023));
	assert_false(tokenizer_is_text(t, 1024));
	assert_true(tokenizer_is_text(t, 1022));
	assert_null(tokenizer_bytes(t, 1024, &n));
	assert_memory_equal(tokenizer_bytes(t, 1023, &n), "<|endoftext|>", 13);
	assert_int_equal(n, 13);
	for (int c = 0; c < 256; c++) { /* each byte is a token that is this byte */
		char byte = (char)c;

		out.n = 0;
		tokenizer_encode(t, s, &byte, 1, &out);
		assert_int_equal(out.n, 1);
		assert_int_equal(*tokenizer_bytes(t, out.id[0], &n), byte);
		assert_int_equal(n, 1);
	}
	out.n = 0;
	tokenizer_encode(t, s, "", 0, &out);
	assert_int_equal(out.n, 0);
	tokenizer_encode(t, s, "<|endoftext|>", 13, &out); /* ordinary text */
	for (size_t i = 0; i < out.n; i++)
		assert_true(tokenizer_is_text(t, out.id[i]));
	assert_true(out.n > 1);
	free(out.id);
	tok_scratch_free(s);
	tokenizer_free(t);
	remove("t/tokenizer.json");
}

static void assert_specials(int64_t bos, int64_t eos, int64_t cls, int64_t sep, int64_t pad, int64_t mask, int64_t unk)
{
	struct special_tokens s;

	tokenizer_specials("t", &s);
	assert_int_equal(s.bos, bos);
	assert_int_equal(s.eos, eos);
	assert_int_equal(s.cls, cls);
	assert_int_equal(s.sep, sep);
	assert_int_equal(s.pad, pad);
	assert_int_equal(s.mask, mask);
	assert_int_equal(s.unk, unk);
}

static void find_specials(const void *dir)
{
	struct special_tokens s;

	tokenizer_specials(dir, &s);
}

/* From the files that name them, and without these by their usual names. */
static void specials(void **state)
{
	static const char added[] = "\"special\":true},{\"id\":1024,\"content\":\"<s>\",\"special\":true},"
		"{\"id\":1025,\"content\":\"</s>\",\"special\":true},{\"id\":1026,\"content\":\"<mask>\",\"special\":true}";
	static const char bert[] = "[PAD]\nthe\n[UNK]\n[SEP]\n[CLS]\n[MASK]\n";
	static const char config[] = "{\"bos_token\": \"</s>\", \"mask_token\": {\"content\": \"<s>\"}, \"eos_token\": null}";
	static const char map[] = "{\"bos_token\": \"<s>\", \"pad_token\": {\"content\": \"<mask>\", \"lstrip\": false},"
		" \"sep_token\": \"is not there\"}";

	(void)state;
	put_changed("", "");
	assert_specials(1023, 1023, -1, -1, -1, -1, 1023);
	put_changed("\"special\":true}", added);
	assert_specials(1024, 1025, 1024, 1025, -1, 1026, 1023);
	put_file("t/tokenizer_config.json", config, sizeof config - 1);
	assert_specials(1025, -1, 1024, 1025, -1, 1024, 1023);
	put_file("t/special_tokens_map.json", map, sizeof map - 1);
	assert_specials(1025, -1, 1024, -1, 1026, 1024, 1023);
	put_file("t/tokenizer_config.json", "{\"bos_token\": 7}", 16);
	assert_dies(find_specials, "t", EXIT_INPUT, "bos_token");
	remove("t/tokenizer.json");
	remove("t/tokenizer_config.json");
	remove("t/special_tokens_map.json");
	put_file("t/vocab.txt", bert, sizeof bert - 1);
	assert_specials(-1, -1, 4, 3, 0, 5, 2);
	remove("t/vocab.txt");
}

/* --- characters with byte fallback, as Llama 2 ----------------------------------------------------- */

#define MARK "\xe2\x96\x81"
#define NORMAL "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"" MARK "\"}," \
	"{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}]},"
#define METASPACE(more) "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\"" more "},"

/* Ids: <s>, then the 256 bytes, then these in order. */
static const char *const pieces[] = {MARK, "a", "b", "c", "\xc3\xa9", MARK "a", "ab", MARK "ab", "abc", MARK MARK, "bc",
                                     MARK "a" MARK};
enum { BLANK = 257, A, B, C, E_ACUTE, _A, AB, _AB, ABC, __, BC, _A_ };

static struct tokenizer *load_chars(const char *front, const char *model, const char *added)
{
	size_t n, size;
	char *text;
	FILE *f = open_memstream(&text, &size);
	struct tokenizer *t;

	fprintf(f, "{%s\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true}%s],"
		"\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"fuse_unk\":true,%s\"vocab\":{\"<s>\":0", front, added, model);
	for (int i = 0; i < 256; i++)
		fprintf(f, ",\"<0x%02X>\":%d", i, i + 1);
	for (n = 0; n < sizeof pieces / sizeof *pieces; n++)
		fprintf(f, ",\"%s\":%zu", pieces[n], 257 + n);
	fprintf(f, "},\"merges\":[[\"" MARK "\",\"a\"],\"a b\",[\"" MARK "a\",\"b\"],\"b c\",\"ab c\",\"" MARK " " MARK "\"]}}");
	fclose(f);
	put_file("t/tokenizer.json", text, size);
	free(text);
	t = tokenizer_load("t");
	remove("t/tokenizer.json");
	return t;
}

/* ids: ended by -1 */
static void assert_ids(struct tokenizer *t, unsigned flags, const char *text, const int *ids)
{
	struct tok_scratch *s = tok_scratch_new(t);
	struct ids out = {0};
	size_t n = 0;

	tokenizer_encode_part(t, s, text, strlen(text), flags, &out);
	while (ids[n] >= 0)
		n++;
	for (size_t i = 0; i < n && i < out.n; i++)
		if ((int)out.id[i] != ids[i])
			fail_msg("\"%s\": id %zu is %u, not %d", text, i, out.id[i], ids[i]);
	if (out.n != n)
		fail_msg("\"%s\": %zu ids, not %zu", text, out.n, n);
	free(out.id);
	tok_scratch_free(s);
}

#define IDS(...) (const int[]){__VA_ARGS__, -1}
#define BYTE(b) ((b) + 1)

static void characters(void **state)
{
	struct tokenizer *t = load_chars(NORMAL, "", "");

	(void)state;
	assert_ids(t, 0, "ab", IDS(_AB));
	assert_ids(t, 0, " ab", IDS(BLANK, _AB)); /* the blank that is put there, and this one */
	assert_ids(t, 0, "  c", IDS(__, BLANK, C));
	assert_ids(t, ENCODE_GOES_ON, "ab", IDS(AB));
	assert_ids(t, 0, "", (const int[]){-1});
	assert_ids(t, 0, "abc", IDS(_AB, C));
	assert_ids(t, 0, "b" MARK "a", IDS(BLANK, B, _A));
	assert_ids(t, 0, "\xc3\xa9\xe4\xb8\xad\n", IDS(BLANK, E_ACUTE, BYTE(0xe4), BYTE(0xb8), BYTE(0xad), BYTE('\n')));
	assert_ids(t, 0, "a\xc3" "b", IDS(_A, BYTE(0xc3), B)); /* malformed */
	assert_ids(t, 0, "a<s>a", IDS(_A, BYTE('<'), BYTE('s'), BYTE('>'), A));
	assert_ids(t, ENCODE_SPECIAL, "a<s>a<s>", IDS(_A, 0, _A, 0));
	assert_true(tokenizer_is_text(t, BYTE('A')) && tokenizer_is_text(t, E_ACUTE) && tokenizer_is_text(t, ABC));
	assert_false(tokenizer_is_text(t, 0) || tokenizer_is_text(t, _A_));
	tokenizer_free(t);

	t = load_chars(METASPACE(""), "", ""); /* always, split */
	assert_ids(t, 0, " ab", IDS(_AB));
	assert_ids(t, 0, "ab", IDS(_AB));
	assert_ids(t, 0, "a  a", IDS(_A, BLANK, _A));
	tokenizer_free(t);
	t = load_chars(METASPACE(",\"prepend_scheme\":\"first\",\"split\":false"), "", "");
	assert_ids(t, ENCODE_SPECIAL, "a  a<s>a  c", IDS(_A, BLANK, _A, 0, A, __, C));
	assert_ids(t, ENCODE_SPECIAL, "<s>a", IDS(0, A));
	tokenizer_free(t);
	t = load_chars(METASPACE(",\"add_prefix_space\":false,\"prepend_scheme\":\"never\",\"split\":false"),
	               "\"ignore_merges\":true,", "");
	assert_ids(t, 0, "bc", IDS(BC));
	assert_ids(t, 0, " a ", IDS(_A_)); /* no merge makes it */
	assert_ids(t, 0, " a a", IDS(_A, _A));
	assert_ids(t, 0, "<0x41>", IDS(BYTE('A')));
	assert_ids(t, 0, "<0x4g>", IDS(BYTE('<'), BYTE('0'), BYTE('x'), BYTE('4'), BYTE('g'), BYTE('>')));
	tokenizer_free(t);
}

static void load_wrong(const void *front)
{
	tokenizer_free(load_chars(front, "", ""));
}

static void characters_refused(void **state)
{
	static const char *const wrong[][2] = {
		{"", "without U+2581"},
		{"\"normalizer\":{\"type\":\"NFC\"},", "normalizer \"NFC\""},
		{"\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"" MARK "\"},", "normalizer \"Prepend\""},
		{"\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" \"},\"content\":\"" MARK "\"},", "normalizer \"Replace\""},
		{NORMAL METASPACE(""), "normalizer \"Prepend\""},
		{NORMAL "\"pre_tokenizer\":{\"type\":\"Digits\"},", "pre_tokenizer \"Digits\""},
		{METASPACE(",\"prepend_scheme\":\"last\""), "prepend_scheme \"last\""},
		{"\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\"},", "pre_tokenizer \"Metaspace\""},
		{NORMAL "\"decoder\":{\"type\":\"CTC\"},", "decoder \"CTC\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_dies(load_wrong, wrong[i][0], EXIT_INPUT, wrong[i][1]);
}

/* Texts in parts, cut wherever tokenizer_split_part() says so, give the ids of the whole. */
static void parts_are_the_whole(void **state)
{
	static const char *const part[] = {"a", "b", "c", "ab", " ", "  ", MARK, "\xc3\xa9", "\xc3", "<s>", "<x>",
	                                   "<xx>", "na", "\n", ".", "\xe4\xb8\xad", "a b c "};
	static const char added[] = ",{\"id\":269,\"content\":\"<x>\",\"lstrip\":true},"
		"{\"id\":270,\"content\":\"<xx>\",\"rstrip\":true,\"normalized\":true},"
		"{\"id\":271,\"content\":\"na\",\"single_word\":true,\"normalized\":false},"
		"{\"id\":272,\"content\":\"c <\",\"normalized\":true}";
	static const char *const kind[][2] = {{NORMAL, ""}, {NORMAL, added}, {METASPACE(""), added},
		{METASPACE(",\"prepend_scheme\":\"first\",\"split\":false"), added}};
	size_t splits = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 800; seed++) {
		struct tokenizer *t = load_chars(kind[seed % 4][0], "", kind[seed % 4][1]);
		struct tok_scratch *s = tok_scratch_new(t);
		struct rng r = rng_make(seed, 0);
		unsigned special = seed / 4 % 2 ? ENCODE_SPECIAL : 0;
		char text[160] = "";
		struct ids whole = {0}, parts = {0};
		size_t n;

		while ((n = strlen(text)) < 140)
			strcat(text, part[rng_below(&r, sizeof part / sizeof *part)]);
		tokenizer_encode_part(t, s, text, n, special, &whole);
		for (size_t seen = 1; seen <= n; seen++) {
			size_t k = tokenizer_split_part(t, text, seen, special);

			if (k == 0)
				continue;
			splits++;
			parts.n = 0;
			tokenizer_encode_part(t, s, text, k, special | ENCODE_MORE, &parts);
			tokenizer_encode_part(t, s, text + k, n - k, special | ENCODE_GOES_ON, &parts);
			if (parts.n != whole.n || memcmp(parts.id, whole.id, whole.n * sizeof *whole.id) != 0)
				fail_msg("seed %d: \"%s\" cut at %zu", (int)seed, text, k);
		}
		free(whole.id);
		free(parts.id);
		tok_scratch_free(s);
		tokenizer_free(t);
	}
	assert_true(splits > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),
		cmocka_unit_test(fingerprints),
		cmocka_unit_test(ids_and_bytes),
		cmocka_unit_test(specials),
		cmocka_unit_test(characters),
		cmocka_unit_test(characters_refused),
		cmocka_unit_test(parts_are_the_whole),
	};

	return cmocka_run_group_tests(tests, set_up, out_of_scratch);
}
