/* Weights in one file or in several with an index: what is found, in what order it is hashed, what does not fit. */
#include "weights.h"

#include "checked.h"
#include "death.h"

#define A "m-00001-of-00002.safetensors"
#define B "m-00002-of-00002.safetensors"
#define INDEX "d/model.safetensors.index.json"

static const float x[3] = {1, 2, 3};
static const struct st_tensor tensors[] = {
	{"w.b", ST_F32, 1, {1}, x, 4},
	{"w.a", ST_F32, 1, {1}, x + 1, 4},
	{"w.c", ST_F32, 1, {1}, x + 2, 4},
};

static void put_text(const char *name, const char *text)
{
	put_file(name, text, strlen(text));
}

/* w.b and w.a in the second file of the two, w.c in the first; the index in another order than the files' names. */
static int set_up(void **state)
{
	if (in_scratch(state))
		return -1;
	make_dirs("d");
	st_write("d/" A, &tensors[2], 1, NULL);
	st_write("d/" B, tensors, 2, NULL);
	put_text("d/config.json", "{}");
	return 0;
}

static void put_map(const char *map)
{
	char *text = xasprintf("{\"metadata\": {\"total_size\": 7}, \"weight_map\": {%s}}\n", map);

	put_text(INDEX, text);
	free(text);
}

#define RIGHT "\"w.a\": \"" B "\", \"w.b\": \"" B "\", \"w.c\": \"" A "\""

static void one_file(void **state)
{
	struct weights *w;

	(void)state;
	make_dirs("single");
	st_write("single/model.safetensors", tensors, 3, NULL);
	put_text("single/model.safetensors.index.json", "not looked at, as in transformers");
	w = weights_open("single");
	assert_string_equal(weights_name(w), "single/model.safetensors");
	assert_int_equal(weights_count(w), 3);
	assert_string_equal(weights_at(w, 1)->name, "w.a");
	assert_null(weights_at(w, 3));
	assert_ptr_equal(weights_find(w, "w.c"), weights_at(w, 2));
	assert_null(weights_find(w, "w"));
	assert_string_equal(weights_file(w, weights_at(w, 0)), "single/model.safetensors");
	weights_close(w);
	make_dirs("empty");
	DIES(EXIT_FAILED, "cannot open empty/model.safetensors: No such file", weights_open("empty"));
}

static void several_files(void **state)
{
	struct weights *w;

	(void)state;
	put_map(RIGHT);
	w = weights_open("d");
	assert_string_equal(weights_name(w), INDEX);
	assert_int_equal(weights_count(w), 3);
	for (size_t i = 0; i < 3; i++) {
		const struct st_tensor *t = weights_find(w, tensors[i].name);

		assert_non_null(t);
		assert_memory_equal(t->data, tensors[i].data, 4);
		assert_string_equal(weights_file(w, t), i == 2 ? "d/" A : "d/" B);
	}
	assert_string_equal(weights_at(w, 0)->name, "w.c"); /* of the file whose name comes first */
	assert_string_equal(weights_at(w, 1)->name, "w.b");
	assert_null(weights_at(w, 3));
	assert_null(weights_find(w, "w.d"));
	weights_close(w);
}

static void hash_is_that_of_the_files_in_the_order_of_their_names(void **state)
{
	uint8_t have[HASH_BYTES], want[HASH_BYTES];
	struct hash h;

	(void)state;
	put_map(RIGHT);
	hash_start(&h);
	weights_hash("d", &h);
	hash_end(&h, have);
	hash_start(&h);
	hash_add_file(&h, "d/" A);
	hash_add_file(&h, "d/" B);
	hash_end(&h, want);
	assert_memory_equal(have, want, HASH_BYTES);
}

#define REFUSES(map, words)                                   \
	do {                                                  \
		put_map(map);                                 \
		DIES(EXIT_INPUT, words, weights_open("d"));   \
		assert_non_null(strstr(last_ending.err, INDEX)); \
	} while (0)

static void what_does_not_fit(void **state)
{
	static const char *const names[] = {"../" A, "/etc/x.safetensors", "s/" A, "..", ".safetensors", "", "m.bin"};

	(void)state;
	REFUSES(RIGHT ", \"w.d\": \"" A "\"", "tensor w.d is missing from " A);
	REFUSES("\"w.a\": \"" B "\", \"w.c\": \"" A "\"", "tensor w.b of " B " is not listed");
	REFUSES("\"w.a\": \"" B "\", \"w.b\": \"" A "\", \"w.c\": \"" A "\"", "tensor w.b lies in " B ", not in " A);
	REFUSES(RIGHT ", \"w.a\": \"" B "\"", "duplicate key");
	REFUSES("", "weight_map: object with members expected");
	REFUSES("\"w.a\": 1", "w.a: string expected");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *map = xasprintf(RIGHT ", \"w.d\": \"%s\"", names[i]), *words = xasprintf("'%s' is no name", names[i]);

		REFUSES(map, words);
		free(map);
		free(words);
	}
	put_text(INDEX, "{\"metadata\": {}}");
	DIES(EXIT_INPUT, "weight_map", weights_open("d"));
	put_text(INDEX, "[]");
	DIES(EXIT_INPUT, "weight_map", weights_open("d"));
	put_map(RIGHT ", \"w.d\": \"none.safetensors\"");
	DIES(EXIT_FAILED, "cannot open d/none.safetensors: No such file", weights_open("d"));

	st_write("d/twice.safetensors", tensors, 1, NULL);
	REFUSES("\"w.a\": \"" B "\", \"w.b\": \"twice.safetensors\", \"w.c\": \"" A "\"",
	        "tensor w.b lies in " B " and in twice.safetensors");
	put_text("d/cut.safetensors", "short");
	put_map(RIGHT ", \"w.d\": \"cut.safetensors\"");
	DIES(EXIT_INPUT, "d/cut.safetensors", weights_open("d"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_file),
		cmocka_unit_test(several_files),
		cmocka_unit_test(hash_is_that_of_the_files_in_the_order_of_their_names),
		cmocka_unit_test(what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, set_up, out_of_scratch);
}
