/*
 * The one option parser. A tool describes its options in a table; parsing, -h,
 * defaults in the help and the provenance record all come from that table.
 *
 *	static const char *out = "-";
 *	static int64_t batch = 16;
 *	static const struct option options[] = {
 *		{'o', "output", OPT_STRING, &out, "FILE", "write to FILE"},
 *		{0, "batch", OPT_INT, &batch, "N", "sequences in an optimiser step", .min = 1},
 *		{0}
 *	};
 *	static const struct tool tool = {
 *		"cpt-step", "train a model on one domain",
 *		"-m IN_DIR -o OUT_DIR [options] TRAIN.tok...", options};
 *	int i = parse_options(argc, argv, &tool); // argv[i..argc) are the operands
 *
 * Long options are --name VALUE or --name=VALUE; short ones -n VALUE, -nVALUE, and
 * flags may be bundled. `--` ends the options; `-` is an operand. Options may stand
 * after operands. Every tool also has -h/--help (stdout, exit 0), --version and
 * -q/--quiet (no progress), which need no entry.
 */
#ifndef PALIMPSEST_OPTIONS_H
#define PALIMPSEST_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum option_type {
	OPT_FLAG = 1, /* bool *: no value, sets true */
	OPT_STRING,   /* const char **: points into argv */
	OPT_INT,      /* int64_t *, at least .min (and at most .max if that is not 0) */
	OPT_SIZE,     /* uint64_t *, with parse_size()'s suffixes */
	OPT_REAL,     /* double *, at least .min (and at most .max if that is not 0) */
	OPT_CHOICE,   /* const char **: one of .choices, "a|b|c" */
	OPT_LIST      /* struct option_list *: may be given many times */
};

struct option_list {
	const char **item;
	int n;
};

struct option {
	char short_name;       /* 0: none */
	const char *long_name; /* NULL: none */
	enum option_type type; /* 0 ends the table */
	void *value;           /* holds the default until the option is seen */
	const char *arg;       /* name of the value in the help */
	const char *help;      /* one line, lower case, no full stop */
	const char *choices;   /* OPT_CHOICE only */
	double min, max;
	bool unrecorded; /* cannot change the output's content (threads, device, file names): not in option_record() */
};

struct tool {
	const char *name;
	const char *purpose;  /* one line, as in the manual page's NAME */
	const char *synopsis; /* what follows the name; the same words as in the manual page */
	const struct option *options;
};

#define PALIMPSEST_VERSION "0.1.0"

/*
 * Parses argv, sets the values, moves the operands to the end of argv and returns
 * the index of the first. Misuse: one line, exit 2. Also sets tool_name and
 * restores the default action of SIGPIPE. A file over the limit (SIGXFSZ) is an error of the write.
 */
int parse_options(int argc, char **argv, const struct tool *tool);

/* True if the option with this long name (or one-letter name) stood on the command line. */
bool option_given(const char *name);

/*
 * "cpt-step 0.1.0 --batch 16 --lr 5e-05 ...": tool, version and every recorded option
 * with its value in force, in the table's order; the same for every call that gives the
 * same content. For headers and logs. Points to static memory.
 */
const char *option_record(void);

#endif
