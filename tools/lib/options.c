#include "options.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "progress.h"

#define LABEL_WIDTH 34 /* widest label that still moves the column of the help texts */

static bool help, version;

static const struct option built_in[] = {
	{'h', "help", OPT_FLAG, &help, NULL, "print this help", .unrecorded = true},
	{0, "version", OPT_FLAG, &version, NULL, "print the version", .unrecorded = true},
	{'q', "quiet", OPT_FLAG, &progress_quiet, NULL, "no progress", .unrecorded = true},
	{0},
};

static const struct tool *current;
static bool *given; /* one for each entry of current->options */

static const struct option *find_in(const struct option *table, const char *name, size_t n)
{
	for (const struct option *o = table; o->type; o++)
		if ((n == 1 && o->short_name == *name) ||
		    (n > 1 && o->long_name && strlen(o->long_name) == n && !memcmp(o->long_name, name, n)))
			return o;
	return NULL;
}

static const struct option *find(const char *name, size_t n)
{
	const struct option *o = find_in(current->options, name, n);

	return o ? o : find_in(built_in, name, n);
}

/* Shortest text that reads back as the same number. */
static char *real_text(double x)
{
	char text[40];

	if (fabs(x) < 1e15 && x == floor(x))
		return xasprintf("%.0f", x);
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, x);
		if (strtod(text, NULL) == x)
			break;
	}
	return xstrdup(text);
}

static char *size_text(uint64_t n)
{
	static const struct {
		char suffix[3];
		uint64_t factor;
	} unit[] = {{"G", 1000000000}, {"Gi", 1 << 30}, {"M", 1000000}, {"Mi", 1 << 20}, {"k", 1000}, {"Ki", 1 << 10}};

	for (size_t i = 0; n && i < sizeof unit / sizeof *unit; i++)
		if (n % unit[i].factor == 0)
			return xasprintf("%" PRIu64 "%s", n / unit[i].factor, unit[i].suffix);
	return xasprintf("%" PRIu64, n);
}

/* The value in force, or NULL if there is none to show; you free() it. */
static char *value_text(const struct option *o)
{
	switch (o->type) {
	case OPT_INT:
		return xasprintf("%" PRId64, *(int64_t *)o->value);
	case OPT_SIZE:
		return size_text(*(uint64_t *)o->value);
	case OPT_REAL:
		return real_text(*(double *)o->value);
	case OPT_STRING:
	case OPT_CHOICE:
		return *(const char **)o->value ? xstrdup(*(const char **)o->value) : NULL;
	default:
		return NULL;
	}
}

static char *label(const struct option *o)
{
	char letter[] = "    ";
	const char *arg = o->type == OPT_FLAG ? "" : o->arg ? o->arg : o->choices ? o->choices : "VALUE";

	if (o->short_name)
		memcpy(letter, (char[]){'-', o->short_name, o->long_name ? ',' : ' '}, 3);
	return xasprintf("  %s%s%s%s%s", letter, o->long_name ? "--" : "", o->long_name ? o->long_name : "",
	                 *arg ? " " : "", arg);
}

static void print_table(const struct option *table, int width)
{
	for (const struct option *o = table; o->type; o++) {
		char *l = label(o), *v = value_text(o);

		printf("%-*s  %s", width, l, o->help ? o->help : "");
		if (o->arg && o->choices)
			printf(": %s", o->choices);
		if (v)
			printf(" [%s]", v);
		if (o->type == OPT_LIST)
			printf(" (may be repeated)");
		putchar('\n');
		free(l);
		free(v);
	}
}

static int label_width(const struct option *table, int width)
{
	for (const struct option *o = table; o->type; o++) {
		char *l = label(o);
		int n = (int)strlen(l);

		if (n > width && n <= LABEL_WIDTH)
			width = n;
		free(l);
	}
	return width;
}

static _Noreturn void print_help(void)
{
	int width = label_width(current->options, label_width(built_in, 0));

	printf("usage: %s%s%s\n", current->name, *current->synopsis ? " " : "", current->synopsis);
	printf("%s: %s\n\n", current->name, current->purpose);
	print_table(current->options, width);
	print_table(built_in, width);
	close_stdout();
	exit(EXIT_DONE);
}

static _Noreturn void bad_range(const char *spelled, const char *text, const struct option *o)
{
	char *low = real_text(o->min), *high = real_text(o->max);

	if (o->max != 0)
		die_usage("bad value: %s %s: must be from %s to %s", spelled, text, low, high);
	die_usage("bad value: %s %s: must be at least %s", spelled, text, low);
}

static bool in_range(const struct option *o, double x)
{
	return x >= o->min && (o->max == 0 || x <= o->max);
}

static bool is_choice(const char *choices, const char *text)
{
	size_t n = strlen(text);

	for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
		if (n && strcspn(c, "|") == n && !memcmp(c, text, n))
			return true;
	return false;
}

/* spelled: the option as the user wrote it, for messages. */
static void set(const struct option *o, const char *spelled, const char *text)
{
	struct option_list *list;
	int64_t whole;
	uint64_t u;
	double x;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)o->value = true;
		break;
	case OPT_STRING:
		*(const char **)o->value = text;
		break;
	case OPT_INT:
		if (!parse_i64(text, &whole))
			die_usage("bad value: %s %s: not a whole number", spelled, text);
		if (!in_range(o, (double)whole))
			bad_range(spelled, text, o);
		*(int64_t *)o->value = whole;
		break;
	case OPT_SIZE:
		if (!parse_size(text, &u))
			die_usage("bad value: %s %s: not a size such as 4096, 20M or 1Gi", spelled, text);
		if (!in_range(o, (double)u))
			bad_range(spelled, text, o);
		*(uint64_t *)o->value = u;
		break;
	case OPT_REAL:
		if (!parse_real(text, &x))
			die_usage("bad value: %s %s: not a number", spelled, text);
		if (!in_range(o, x))
			bad_range(spelled, text, o);
		*(double *)o->value = x;
		break;
	case OPT_CHOICE:
		if (!is_choice(o->choices, text))
			die_usage("bad value: %s %s: must be one of %s", spelled, text, o->choices);
		*(const char **)o->value = text;
		break;
	case OPT_LIST:
		list = o->value;
		list->item = xreallocarray(list->item, (size_t)list->n + 1, sizeof *list->item);
		list->item[list->n++] = text;
		break;
	}
	for (int i = 0; current->options[i].type; i++)
		given[i] |= o == &current->options[i];
	if (help)
		print_help();
	if (version) {
		printf("%s %s\n", current->name, PALIMPSEST_VERSION);
		close_stdout();
		exit(EXIT_DONE);
	}
}

/* A long option in arg (after "--"); *next is the argument after it. Returns true if that was used up. */
static bool parse_long(char *spelled, char *next)
{
	const char *name = spelled + 2;
	size_t n = strcspn(name, "=");
	char *value = name[n] ? spelled + 2 + n + 1 : NULL;
	const struct option *o = n > 1 ? find(name, n) : NULL;
	char *shown;

	if (!o)
		die_usage("unknown option: %s", spelled);
	shown = xasprintf("--%.*s", (int)n, name);
	if (o->type == OPT_FLAG && value)
		die_usage("option takes no value: %s", shown);
	if (o->type != OPT_FLAG && !value && !next)
		die_usage("option needs a value: %s", shown);
	set(o, shown, value ? value : next);
	free(shown);
	return o->type != OPT_FLAG && !value;
}

/* A bundle of short options; as above. */
static bool parse_short(char *bundle, char *next)
{
	for (char *c = bundle + 1; *c; c++) {
		const struct option *o = find(c, 1);
		char spelled[] = {'-', *c, '\0'};

		if (!o)
			die_usage("unknown option: %s%s%s", spelled, bundle[2] ? " in " : "", bundle[2] ? bundle : "");
		if (o->type == OPT_FLAG) {
			set(o, spelled, NULL);
			continue;
		}
		if (!c[1] && !next)
			die_usage("option needs a value: %s", spelled);
		set(o, spelled, c[1] ? c + 1 : next);
		return !c[1];
	}
	return false;
}

/*
 * A tool started with a standard descriptor closed would get it for the first file it opens, and mix messages into
 * data. /dev/null opened the wrong way round makes use of it an error instead.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
			_exit(EXIT_FAILED);
}

/* The write that went too far says so: EFBIG. A command that the tool runs has the default action. */
static void on_file_size(int sig)
{
	(void)sig;
}

/* A mapped input was cut, or its disk failed. */
static _Noreturn void on_bus_error(int sig)
{
	static const char why[] = ": an input was cut, or cannot be read any more, while it was in use\n";
	const struct iovec line[] = {{(char *)tool_name, strlen(tool_name)}, {(char *)why, sizeof why - 1}};

	(void)sig;
	if (writev(STDERR_FILENO, line, 2) < 0) {
		/* there is no other way to say so */
	}
	atomic_remove_all();
	_exit(EXIT_FAILED);
}

int parse_options(int argc, char **argv, const struct tool *tool)
{
	int n_options = 0, n_operands = 0, n_entries = 0, i;
	char **sorted = xcalloc((size_t)argc + 1, sizeof *sorted);
	char **operand = xcalloc((size_t)argc + 1, sizeof *operand);

	fill_standard_descriptors();
	signal(SIGPIPE, SIG_DFL);
	if (signal(SIGXFSZ, on_file_size) == SIG_IGN)
		signal(SIGXFSZ, SIG_IGN);
	signal(SIGBUS, on_bus_error);
	tool_name = tool->name;
	current = tool;
	while (tool->options[n_entries].type)
		n_entries++;
	free(given);
	given = xcalloc((size_t)n_entries + 1, sizeof *given);

	for (i = 1; i < argc; i++) {
		char *arg = argv[i];
		bool used_next;

		if (arg[0] != '-' || !arg[1]) {
			operand[n_operands++] = arg;
			continue;
		}
		sorted[n_options++] = arg;
		if (!strcmp(arg, "--")) {
			i++;
			break;
		}
		used_next = (arg[1] == '-' ? parse_long : parse_short)(arg, i + 1 < argc ? argv[i + 1] : NULL);
		if (used_next)
			sorted[n_options++] = argv[++i];
	}
	while (i < argc)
		operand[n_operands++] = argv[i++];

	if (n_options)
		memcpy(argv + 1, sorted, (size_t)n_options * sizeof *argv);
	if (n_operands)
		memcpy(argv + 1 + n_options, operand, (size_t)n_operands * sizeof *argv);
	free(sorted);
	free(operand);
	return argc > 0 ? 1 + n_options : 0;
}

bool option_given(const char *name)
{
	const struct option *o = current ? find_in(current->options, name, strlen(name)) : NULL;

	return o && given[o - current->options];
}

/* One word of the record: quoted if it is not plain, so that the record can be read back and stands on one line. */
static void put_word(FILE *out, const char *s)
{
	bool plain = *s && !s[strcspn(s, " '\"\\$`*?[]{}()<>|&;#~!")];

	if (!plain)
		putc('\'', out);
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			putc('?', out);
		else if (*s == '\'')
			fputs("'\\''", out);
		else
			putc(*s, out);
	if (!plain)
		putc('\'', out);
}

static void put_option(FILE *out, const struct option *o, const char *value)
{
	fprintf(out, o->long_name ? " --%s" : " -%.1s", o->long_name ? o->long_name : &o->short_name);
	if (value) {
		putc(' ', out);
		put_word(out, value);
	}
}

const char *option_record(void)
{
	static char *record;
	size_t n;
	FILE *out;

	free(record);
	record = NULL;
	out = open_memstream(&record, &n);
	if (!out)
		die("out of memory: option record");
	fprintf(out, "%s %s", tool_name, PALIMPSEST_VERSION);
	for (const struct option *o = current ? current->options : built_in; o->type; o++) {
		char *v;

		if (o->unrecorded)
			continue;
		v = value_text(o);
		if (v)
			put_option(out, o, v);
		free(v);
		if (o->type == OPT_FLAG && *(bool *)o->value)
			put_option(out, o, NULL);
		if (o->type == OPT_LIST)
			for (int i = 0; i < ((struct option_list *)o->value)->n; i++)
				put_option(out, o, ((struct option_list *)o->value)->item[i]);
	}
	if (ferror(out) || fclose(out) || !record) /* glibc can lose the text in fclose() and not tell */
		die("out of memory: option record");
	return record;
}
