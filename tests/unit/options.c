#include "options.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "atomic.h"
#include "death.h"
#include "progress.h"
#include "spool.h"

static const char *output, *how;
static int64_t batch;
static uint64_t limit;
static double rate;
static bool keep, fast;
static struct option_list list;

static const struct option options[] = {
	{'o', "output", OPT_STRING, &output, "FILE", "write to FILE", .unrecorded = true},
	{'b', "batch", OPT_INT, &batch, "N", "sequences in a step", .min = 1, .max = 512},
	{0, "limit", OPT_SIZE, &limit, "BYTES", "at most BYTES"},
	{0, "rate", OPT_REAL, &rate, "R", "rate", .min = 0},
	{0, "how", OPT_CHOICE, &how, "HOW", "the way", .choices = "one|two|three"},
	{'k', "keep", OPT_FLAG, &keep, NULL, "keep it"},
	{'f', NULL, OPT_FLAG, &fast, NULL, "fast"},
	{'l', "list", OPT_LIST, &list, "X", "more of them"},
	{0},
};

static const struct tool tool = {"probe", "try the options", "[-k] [FILE...]", options};

static int fresh(void **state)
{
	(void)state;
	output = NULL;
	how = "one";
	batch = 16;
	limit = 20000000;
	rate = 5e-5;
	keep = fast = progress_quiet = false;
	free(list.item);
	list = (struct option_list){0};
	return 0;
}

/* words: "a|b c|d" is {"probe", "a", "b c", "d"} */
struct line {
	char name[6], text[512], *argv[64];
	int argc;
};

static struct line line_of(const char *words)
{
	struct line l = {.name = "probe", .argc = 1};

	snprintf(l.text, sizeof l.text, "%s", words);
	return l;
}

static int parse(struct line *l)
{
	l->argv[0] = l->name;
	for (char *w = *l->text ? l->text : NULL; w;) {
		char *bar = strchr(w, '|');

		l->argv[l->argc++] = w;
		if (bar)
			*bar++ = '\0';
		w = bar;
	}
	return parse_options(l->argc, l->argv, &tool);
}

static void parse_words(const void *words)
{
	struct line l = line_of(words);

	parse(&l);
}

static void forms(void **state)
{
	struct line l = line_of("x|--batch|3|-o|f|-kf|--rate=.5|-|--limit|4Ki|--how=two|-la|-l|b|--list|c|-q|--|-k|--");
	int i = parse(&l);

	(void)state;
	assert_int_equal(batch, 3);
	assert_string_equal(output, "f");
	assert_true(keep && fast && progress_quiet);
	assert_true(rate == .5);
	assert_int_equal(limit, 4096);
	assert_string_equal(how, "two");
	assert_int_equal(list.n, 3);
	assert_string_equal(list.item[0], "a");
	assert_string_equal(list.item[1], "b");
	assert_string_equal(list.item[2], "c");
	assert_int_equal(l.argc - i, 4);
	assert_string_equal(l.argv[i], "x");
	assert_string_equal(l.argv[i + 1], "-");
	assert_string_equal(l.argv[i + 2], "-k");
	assert_string_equal(l.argv[i + 3], "--");
	assert_true(option_given("batch") && option_given("b") && option_given("f") && option_given("list"));
}

static void nothing_given(void **state)
{
	struct line l = line_of("");

	(void)state;
	assert_int_equal(parse(&l), 1);
	assert_int_equal(batch, 16);
	assert_false(option_given("batch"));
	assert_false(option_given("no-such"));
}

static void last_wins(void **state)
{
	struct line l = line_of("--batch|3|--batch|4|-b5");

	(void)state;
	parse(&l);
	assert_int_equal(batch, 5);
}

static void a_value_may_look_like_an_option(void **state)
{
	struct line l = line_of("-o|-k");

	(void)state;
	parse(&l);
	assert_string_equal(output, "-k");
	assert_false(keep);
}

static void misuse(void **state)
{
	static const struct {
		const char *words, *message;
	} bad[] = {
		{"--nosuch", "probe: unknown option: --nosuch (try -h)"},
		{"--b|3", "unknown option: --b"},
		{"--bat|3", "unknown option: --bat"},
		{"-x", "unknown option: -x"},
		{"-kx", "unknown option: -x in -kx"},
		{"--batch", "option needs a value: --batch"},
		{"-b", "option needs a value: -b"},
		{"-kb", "option needs a value: -b"},
		{"--keep=1", "option takes no value: --keep"},
		{"--batch|0", "bad value: --batch 0: must be from 1 to 512"},
		{"--batch=513", "must be from 1 to 512"},
		{"--batch|1.5", "bad value: --batch 1.5: not a whole number"},
		{"--batch|", "not a whole number"},
		{"--batch|99999999999999999999", "not a whole number"},
		{"--rate|nan", "bad value: --rate nan: not a number"},
		{"--rate|inf", "not a number"},
		{"--rate|-1", "must be at least 0"},
		{"--limit|-1", "not a size"},
		{"--limit|5X", "not a size"},
		{"--how|four", "bad value: --how four: must be one of one|two|three"},
		{"--how|one|--how|on", "must be one of"},
		{"--how|one|--how|", "must be one of"},
		{"--how|one|two", ""},
		{"--nosuch\nprobe: all is well", "unknown option: --nosuch?probe: all is well"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (*bad[i].message)
			assert_dies(parse_words, bad[i].words, 2, bad[i].message);
		else
			assert_int_equal(end_of(parse_words, bad[i].words).code, 0);
}

static void help(void **state)
{
	struct ending e = end_of(parse_words, "-h");
	static const char expect[] =
		"usage: probe [-k] [FILE...]\n"
		"probe: try the options\n"
		"\n"
		"  -o, --output FILE  write to FILE\n"
		"  -b, --batch N      sequences in a step [16]\n"
		"      --limit BYTES  at most BYTES [20M]\n"
		"      --rate R       rate [5e-05]\n"
		"      --how HOW      the way: one|two|three [one]\n"
		"  -k, --keep         keep it\n"
		"  -f                 fast\n"
		"  -l, --list X       more of them (may be repeated)\n"
		"  -h, --help         print this help\n"
		"      --version      print the version\n"
		"  -q, --quiet        no progress\n";

	(void)state;
	assert_int_equal(e.code, 0);
	assert_string_equal(e.out, expect);
	assert_string_equal(e.err, "");
	e = end_of(parse_words, "--help");
	assert_string_equal(e.out, expect);
	e = end_of(parse_words, "--version");
	assert_int_equal(e.code, 0);
	assert_string_equal(e.out, "probe " PALIMPSEST_VERSION "\n");
}

static void help_to_full_disk(const void *arg)
{
	(void)arg;
	assert_non_null(freopen("/dev/full", "w", stdout));
	parse_words("-h");
}

static void help_needs_room(void **state)
{
	(void)state;
	assert_dies(help_to_full_disk, NULL, 1, "probe: cannot write stdout: No space left on device");
}

static void record(void **state)
{
	struct line l = line_of("-k|-l|a b|--list|it's|-o|x|--rate|0.1|-l|two\tlines\n");

	(void)state;
	parse(&l);
	assert_string_equal(option_record(), "probe " PALIMPSEST_VERSION " --batch 16 --limit 20M --rate 0.1 --how one --keep"
	                                     " --list 'a b' --list 'it'\\''s' --list two?lines?");
	rate = 1.0 / 3;
	limit = 1 << 20;
	assert_non_null(strstr(option_record(), " --limit 1Mi --rate 0.3333333333333333 "));
}

static void ignore_pipe(const void *arg)
{
	(void)arg;
	signal(SIGPIPE, SIG_IGN);
	parse_words("");
	raise(SIGPIPE);
}

static void write_too_much(const void *arg)
{
	struct rlimit most = {4, 4};
	FILE *f = tmpfile();

	(void)arg;
	parse_words("");
	setrlimit(RLIMIT_FSIZE, &most);
	assert_int_equal(write(fileno(f), "12345678", 8), 4);
	assert_int_equal(write(fileno(f), "5678", 4), -1);
	assert_int_equal(errno, EFBIG);
	execlp("sh", "sh", "-c", "kill -s XFSZ $$", NULL);
}

static void write_to_closed_stdout(const void *arg)
{
	FILE *f;

	(void)arg;
	close(STDOUT_FILENO);
	parse_words("");
	f = fopen("/dev/null", "w");
	assert_true(f && fileno(f) > 2);
	puts("data");
	close_stdout();
}

/* An input gets shorter while it is in use. */
static void cut_what_is_mapped(const void *arg)
{
	const char *map;

	(void)arg;
	parse_words("");
	put_file("mapped", "text", 4);
	assert_int_equal(truncate("mapped", 1 << 20), 0);
	map = map_file("mapped", 1 << 20);
	atomic_write(atomic_open("result"), "x", 1);
	assert_int_equal(truncate("mapped", 0), 0);
	_exit(map[1 << 19]);
}

static void surroundings(void **state)
{
	(void)state;
	assert_int_equal(end_of(ignore_pipe, NULL).code, 128 + SIGPIPE);
	assert_int_equal(end_of(write_too_much, NULL).code, 128 + SIGXFSZ);
	assert_dies(write_to_closed_stdout, NULL, 1, "cannot write stdout: Bad file descriptor");
	assert_dies(cut_what_is_mapped, NULL, 1, "probe: an input was cut");
	assert_int_equal(files("result*"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(forms, fresh),
		cmocka_unit_test_setup(nothing_given, fresh),
		cmocka_unit_test_setup(last_wins, fresh),
		cmocka_unit_test_setup(a_value_may_look_like_an_option, fresh),
		cmocka_unit_test_setup(misuse, fresh),
		cmocka_unit_test_setup(help, fresh),
		cmocka_unit_test_setup(help_needs_room, fresh),
		cmocka_unit_test_setup(record, fresh),
		cmocka_unit_test_setup(surroundings, fresh),
	};

	return cmocka_run_group_tests(tests, in_scratch, out_of_scratch);
}
