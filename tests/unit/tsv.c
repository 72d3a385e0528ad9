#include "tsv.h"

#include "death.h"
#include "utf8.h"

static struct tsv *table(const char *text)
{
	put_file("table", text, strlen(text));
	return tsv_read("table", "rows");
}

static void reading(void **state)
{
	struct tsv *t = table("#palimpsest-rows 1\tmade by hand\nname\tn\tx\na\t7\t0.5\n\xc3\xa9\t-1\t1e3\nz\t\t\n");

	(void)state;
	assert_int_equal(t->n_columns, 3);
	assert_int_equal(t->n_rows, 3);
	assert_int_equal(tsv_column(t, "x"), 2);
	assert_int_equal(tsv_find_column(t, "none"), -1);
	assert_string_equal(tsv_string(t, 1, 0), "\xc3\xa9");
	assert_int_equal(tsv_int(t, 1, 1), -1);
	assert_true(tsv_real(t, 1, 2) == 1000);
	assert_int_equal(t->line[2], 5);
	assert_string_equal(t->cell[2][1], "");
	tsv_free(t);

	t = table("#palimpsest-rows 1\none\n"); /* no rows; one column */
	assert_int_equal(t->n_rows, 0);
	tsv_free(t);
}

/* All that was read so far, table after table; packed files as they lie there. */
static void inputs(void **state)
{
	static const char first[] = "#palimpsest-rows 1\nk\n1\n", second[] = "#palimpsest-rows 1\nm\n";
	uint8_t want[HASH_BYTES];
	char hex[HASH_HEX], line[300];
	struct hash h;
	struct tsv *t;
	FILE *f = tmpfile();

	(void)state;
	hash_start(tsv_inputs());
	tsv_begin(f, "order");
	t = table(first);
	hash_file("table", want);
	assert_memory_equal(t->sha256, want, HASH_BYTES);
	tsv_free(t);
	tsv_begin(f, "order");
	t = table(second);
	hash_file("table", want);
	assert_memory_equal(t->sha256, want, HASH_BYTES);
	tsv_free(t);
	tsv_begin(f, "order");
	rewind(f);

	assert_non_null(fgets(line, sizeof line, f));
	assert_null(strstr(line, "inputs"));
	hash_start(&h);
	for (int i = 0; i < 2; i++) {
		struct hash copy;

		hash_add(&h, i ? second : first, strlen(i ? second : first));
		copy = h;
		hash_end(&copy, want);
		hash_hex(want, hex);
		assert_non_null(fgets(line, sizeof line, f));
		assert_non_null(strstr(line, "\tinputs sha256 "));
		assert_memory_equal(strstr(line, "sha256 ") + 7, hex, 64);
		assert_string_equal(strstr(line, "sha256 ") + 7 + 64, "\n");
	}
	fclose(f);
}

static void concatenated(void **state)
{
	struct tsv *t = table("#palimpsest-rows 1\ta\nk\tv\n1\t2\n#palimpsest-rows 1\tb\nk\tv\n3\t4\n5\t6\n");

	(void)state;
	assert_int_equal(t->n_rows, 3);
	assert_int_equal(tsv_int(t, 2, 1), 6);
	assert_int_equal(t->line[1], 6);
	tsv_free(t);
}

static void read_it(const void *text)
{
	tsv_free(table(text));
}

static void read_bytes(const void *name)
{
	tsv_free(tsv_read(name, "rows"));
}

static void use_it(const void *text)
{
	struct tsv *t = table("#palimpsest-rows 1\nname\tn\tx\n\tseven\tnan\n");
	const char *what = text;

	if (!strcmp(what, "string"))
		tsv_string(t, 0, 0);
	else if (!strcmp(what, "int"))
		tsv_int(t, 0, 1);
	else if (!strcmp(what, "real"))
		tsv_real(t, 0, 2);
	else
		tsv_column(t, "y");
}

static void mistakes(void **state)
{
	static const struct {
		const char *text, *message;
	} bad[] = {
		{"", "bad table: table: empty file"},
		{"name\tn\n", "bad table: table:1: does not start with #palimpsest-rows 1"},
		{"#palimpsest-order 1\nname\n", "table:1: #palimpsest-order where #palimpsest-rows is expected"},
		{"#palimpsest-rowset 1\nname\n", "#palimpsest-rowset where"},
		{"#palimpsest-rows 2\nname\n", "version 2 of #palimpsest-rows is not known"},
		{"#palimpsest-rows 10\nname\n", "version 10 of"},
		{"#palimpsest-rows\nname\n", "is expected"},
		{"#palimpsest-rows 1\n", "ends before its header"},
		{"#palimpsest-rows 1\nname\tn\na\t1", "no newline: the file is truncated"},
		{"#palimpsest-rows 1\nname\tn\na\n", "table:3: not 2 cells"},
		{"#palimpsest-rows 1\nname\tn\na\t1\t2\n", "table:3: not 2 cells"},
		{"#palimpsest-rows 1\nname\tn\n\n", "table:3: not 2 cells"},
		{"#palimpsest-rows 1\nname\t\n", "table:2: column 2 has no name"},
		{"#palimpsest-rows 1\n\n", "table:2: column 1 has no name"},
		{"#palimpsest-rows 1\nn\tm\tn\n", "table:2: column n stands twice"},
		{"#palimpsest-rows 1\nn\r\n", "table:2: byte 2 is a control character"},
		{"#palimpsest-rows 1\nn\na\xff\n", "table:3: byte 2 is not UTF-8"},
		{"#palimpsest-rows 1\nn\na\n#palimpsest-rows 1\nm\n", "table:5: header differs"},
		{"#palimpsest-rows 1\nn\na\n#palimpsest-rows 1\nn\tm\n", "table:5: header differs"},
		{"#palimpsest-rows 1\nn\tm\na\tb\n#palimpsest-rows 1\nn\n", "table:5: header differs"},
		{"#palimpsest-rows 1\nn\na\n#palimpsest-rows 1\n", "ends before its header"},
		{"#palimpsest-rows 1\nn\na\n#palimpsest-order 1\nn\n", "table:4: #palimpsest-order where"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_dies(read_it, bad[i].text, 3, bad[i].message);
	put_file("nul", "#palimpsest-rows 1\nn\na\0b\n", 25);
	assert_dies(read_bytes, "nul", 3, "nul:3: byte 2 is a control character");
	assert_dies(read_bytes, "missing", 1, "cannot open missing: ");
	assert_dies(use_it, "string", 3, "bad table: table:3: name is empty");
	assert_dies(use_it, "int", 3, "bad table: table:3: n is no whole number: seven");
	assert_dies(use_it, "real", 3, "bad table: table:3: x is no number: nan");
	assert_dies(use_it, "column", 3, "bad table: table: column y is missing");
}

static void writing(void **state)
{
	FILE *f = fopen("written", "w");
	struct tsv *t;

	(void)state;
	tsv_begin(f, "rows");
	fputs("a\n1\n", f);
	fclose(f);
	t = tsv_read("written", "rows");
	assert_int_equal(t->n_rows, 1);
	tsv_free(t);
}

static void names(void **state)
{
	static const char *const good[] = {"cs.CL", "Culture_and_the_arts__Visual_arts", "a b", "\xc3\xa9", "...", "#x"};
	static const char *const bad[] = {"", ".", "..", "-x", "@base", "a/b", "a\tb", "a\nb", "a\x7f", "\xff", "\xc3",
	                                  "\xed\xa0\x80", "step", "after"};
	char longest[202];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_true(is_domain_name(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(is_domain_name(bad[i]));
	memset(longest, 'x', 201);
	longest[201] = '\0';
	assert_false(is_domain_name(longest));
	assert_true(is_domain_name(longest + 1));
	assert_true(tsv_is_clean(longest));
	assert_true(tsv_is_clean("@base"));
	assert_false(tsv_is_clean(""));
}

/* Every code point survives, and no string of up to 4 bytes is valid but those. */
static void utf8(void **state)
{
	uint32_t valid = 0;
	char s[4];

	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		size_t n;

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		n = utf8_put(s, c);
		assert_int_equal(utf8_valid(s, n), n);
		for (size_t k = 1; k < n; k++)
			assert_int_equal(utf8_valid(s, k), 0);
	}
	for (uint32_t lead = 0x80; lead < 0x100; lead++) /* 4 bytes: 3-byte beginnings, last byte good or bad */
		for (uint32_t rest = 0; rest < 0x10000; rest++) {
			memcpy(s, (char[]){(char)lead, (char)(rest >> 8), (char)rest, (char)0x80}, 4);
			valid += utf8_valid(s, 4) == 4 && lead >= 0xf0;
			s[3] = 'x';
			assert_true(lead < 0xf0 || utf8_valid(s, 4) == 0);
		}
	assert_int_equal(valid, (0x110000 - 0x10000) / 64);
	assert_int_equal(utf8_valid("ascii ascii ascii\xc0\x80", 19), 17);
	assert_int_equal(utf8_valid("\xed\xa0\x80", 3), 0);
	assert_int_equal(utf8_valid("a\xf4\x90\x80\x80", 5), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading), cmocka_unit_test(concatenated), cmocka_unit_test(mistakes),
		cmocka_unit_test(writing), cmocka_unit_test(names),        cmocka_unit_test(utf8),
		cmocka_unit_test(inputs),
	};

	return cmocka_run_group_tests(tests, in_scratch, out_of_scratch);
}
