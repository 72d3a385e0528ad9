#include "jsonl.h"

#include "death.h"
#include "docset.h"
#include "json.h"
#include "rng.h"
#include "spool.h"

static void scan(char *line, size_t n, struct jsonl_field *field)
{
	field[0].key = "domain";
	field[1].key = "text";
	jsonl_scan(line, n, field, 2, "name", 7);
}

static void check(const char *json, const char *text, size_t n)
{
	struct jsonl_field field[2];
	char *line = malloc(strlen(json) + 1);

	memcpy(line, json, strlen(json) + 1);
	scan(line, strlen(json), field);
	assert_int_equal(field[0].n, 1);
	assert_memory_equal(field[0].text, "d", 1);
	assert_int_equal(field[1].n, n);
	assert_memory_equal(field[1].text, text, n);
	free(line);
}

static void values(void **state)
{
	(void)state;
	check("{\"domain\":\"d\",\"text\":\"\"}", "", 0);
	check(" {\t\"text\" : \"a b\" , \"domain\" :\"d\"}\r ", "a b", 3);
	check("{\"domain\":\"d\",\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t", 8);
	check("{\"domain\":\"d\",\"text\":\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"}", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10);
	check("{\"domain\":\"d\",\"text\":\"a\\u0000b\"}", "a\0b", 3);
	check("{\"\\u0064omain\":\"d\",\"text\":\"x\",\"other\":{\"text\":[\"y\"]}}", "x", 1);
	check("{\"domain\":\"d\",\"text\":\"\x7f\xc3\xa9\xf0\x9f\x98\x80 and more than eight\"}",
	      "\x7f\xc3\xa9\xf0\x9f\x98\x80 and more than eight", 27);
}

/* Special bytes at every offset, so that the scan by eight bytes is seen at each of its edges. */
static void offsets(void **state)
{
	(void)state;
	for (size_t before = 0; before < 20; before++)
		for (size_t after = 0; after < 20; after++) {
			static const struct {
				const char *json, *text;
			} part[] = {{"\\n", "\n"}, {"\xc3\xa9", "\xc3\xa9"}, {"\\\"", "\""}, {"\x7f", "\x7f"},
			            {"\\u00e9", "\xc3\xa9"}};
			char json[200], text[100];

			for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
				snprintf(json, sizeof json, "{\"domain\":\"d\",\"text\":\"%.*s%s%.*s\"}", (int)before,
				         "abcdefghijklmnopqrst", part[i].json, (int)after, "ABCDEFGHIJKLMNOPQRST");
				snprintf(text, sizeof text, "%.*s%s%.*s", (int)before, "abcdefghijklmnopqrst", part[i].text,
				         (int)after, "ABCDEFGHIJKLMNOPQRST");
				check(json, text, strlen(text));
			}
		}
}

static void scan_it(const void *json)
{
	struct jsonl_field field[2];
	char *line = malloc(strlen(json) + 1);

	memcpy(line, json, strlen(json) + 1);
	scan(line, strlen(json), field);
}

static void parse_it(const void *json)
{
	json_free(json_parse(json, strlen(json), "name"));
}

/* Changes to a good line: whatever json.c refuses is refused here with exit 3, and what it takes is taken. */
static void as_strict_as_json(void **state)
{
	static const char good[] =
		"{\"domain\":\"d\", \"n\":-1.5e+3,\"o\":{\"a\":[1,true,null,\"]\\\"\"]},\"text\":\"\\u00e9\xc3\xa9\\n\",\"z\":0}";
	static const char replacement[] = "\"\\{}[]:,0a \x01\x80\xff" "ue-.+";
	struct rng r = rng_make(1, 2);
	int refused = 0, taken = 0;

	(void)state;
	for (int round = 0; round < 600; round++) {
		char line[sizeof good + 1];
		size_t at = rng_below(&r, sizeof good - 1);
		int mine, theirs;

		memcpy(line, good, sizeof good);
		switch (rng_below(&r, 3)) {
		case 0:
			line[at] = replacement[rng_below(&r, sizeof replacement - 1)];
			break;
		case 1:
			memmove(line + at, line + at + 1, sizeof good - at - 1);
			break;
		default:
			memmove(line + at + 1, line + at, sizeof good - at);
			line[at] = replacement[rng_below(&r, sizeof replacement - 1)];
		}
		mine = end_of(scan_it, line).code;
		theirs = end_of(parse_it, line).code;
		if (theirs && mine != 3)
			print_error("refused by json.c, exit %d here: %s\n", mine, line);
		assert_true(mine == 0 || mine == 3);
		assert_true(!theirs || mine == 3);
		if (mine && !theirs) /* a record without its fields */
			assert_dies(scan_it, line, 3, "malformed record: name:7: ");
		refused += mine != 0;
		taken += mine == 0;
	}
	assert_true(refused > 100 && taken > 30);
}

static void cut_lines(void **state)
{
	static const char good[] = "{\"domain\":\"d\",\"o\":[{\"a\":\"\\u00e9\"}],\"text\":\"\\ud83d\\ude00\"}";
	char line[sizeof good];

	(void)state;
	for (size_t n = 0; n < sizeof good - 1; n++) {
		memcpy(line, good, n);
		line[n] = '\0';
		assert_dies(scan_it, line, 3, "name:7: ");
	}
}

static void too_many_members(void **state)
{
	char *line = malloc(20000), *p = line;

	(void)state;
	p += sprintf(p, "{\"domain\":\"d\",\"text\":\"x\"");
	for (int i = 0; i < 1022; i++)
		p += sprintf(p, ",\"%d\":1", i);
	strcpy(p, "}");
	assert_int_equal(end_of(scan_it, line).code, 0);
	strcpy(p, ",\"more\":1}");
	assert_dies(scan_it, line, 3, "too many members");
	free(line);
}

static void documents(void **state)
{
	struct docset set = {0};
	char text[64];

	(void)state;
	for (int i = 0; i < 50000; i++) {
		snprintf(text, sizeof text, "document %d", i);
		assert_true(docset_add(&set, hash_document(text, strlen(text))));
	}
	for (int i = 0; i < 50000; i++) {
		snprintf(text, sizeof text, "document %d", i);
		assert_false(docset_add(&set, hash_document(text, strlen(text))));
	}
	assert_true(docset_add(&set, (struct doc_hash){0, 0}));
	assert_false(docset_add(&set, (struct doc_hash){0, 0}));
	docset_free(&set);
	memset(text, 0, sizeof text); /* length counts, and each bit of each byte */
	for (size_t n = 0; n <= sizeof text; n++) {
		assert_true(docset_add(&set, hash_document(text, n)));
		for (size_t bit = 0; bit < 8 * n; bit++) {
			text[bit / 8] ^= (char)(1 << bit % 8);
			assert_true(docset_add(&set, hash_document(text, n)));
			text[bit / 8] ^= (char)(1 << bit % 8);
		}
	}
	docset_free(&set);
}

static void spools(void **state)
{
	struct spool *s[40];
	char name[20], *big = malloc(1 << 20);

	(void)state;
	memset(big, 'x', 1 << 20);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "spool%d", i);
		put_file(name, "old", 3);
		s[i] = spool_open(name);
	}
	for (int round = 0; round < 300; round++)
		for (int i = 0; i < 40; i++) {
			snprintf(name, sizeof name, "%d.%d;", i, round);
			spool_write(s[i], name, strlen(name));
			if (round == 200 && i % 10 == 0)
				spool_write(s[i], big, 1 << 20); /* larger than the buffer: in sequence all the same */
		}
	for (int i = 39; i >= 0; i--) {
		size_t n = 0;
		char *expected = malloc((1 << 20) + 4096);
		uint64_t bytes = s[i]->bytes;
		const char *map;

		for (int round = 0; round < 300; round++) {
			n += (size_t)sprintf(expected + n, "%d.%d;", i, round);
			if (round == 200 && i % 10 == 0) {
				memcpy(expected + n, big, 1 << 20);
				n += 1 << 20;
			}
		}
		spool_close(s[i]);
		assert_int_equal(bytes, n);
		snprintf(name, sizeof name, "spool%d", i);
		assert_file(name, expected, n);
		map = map_file(name, n);
		assert_memory_equal(map, expected, n);
		unmap_file(map, n);
		free(expected);
	}
	assert_null(map_file("nothing", 0));
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),           cmocka_unit_test(offsets),   cmocka_unit_test(as_strict_as_json),
		cmocka_unit_test(cut_lines),        cmocka_unit_test(too_many_members),
		cmocka_unit_test(documents),        cmocka_unit_test(spools),
	};

	return cmocka_run_group_tests(tests, in_scratch, out_of_scratch);
}
