/*
 * For unit tests: run a function in a child and look at how it ended and what it said.
 * Each test program that uses `in_scratch` runs in a new empty folder that is removed at the end.
 */
#ifndef PALIMPSEST_DEATH_H
#define PALIMPSEST_DEATH_H

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "die.h"
#include "outdir.h"

struct ending {
	int code;       /* exit code, or 128 + signal */
	char out[8192]; /* what it wrote on stdout */
	char err[8192]; /* and on stderr */
};

static void slurp(FILE *f, char *text, size_t size)
{
	size_t n;

	rewind(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
}

struct child {
	pid_t pid;
	FILE *out, *err;
};

/* As fork(): returns 0 in the child, whose output is caught. */
__attribute__((unused)) static pid_t child_begin(struct child *c)
{
	c->out = tmpfile();
	c->err = tmpfile();
	assert_non_null(c->out);
	assert_non_null(c->err);
	fflush(NULL);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		dup2(fileno(c->out), STDOUT_FILENO);
		dup2(fileno(c->err), STDERR_FILENO);
	}
	return c->pid;
}

__attribute__((unused)) static struct ending child_end(struct child *c)
{
	struct ending e;
	int status;

	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	e.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	slurp(c->out, e.out, sizeof e.out);
	slurp(c->err, e.err, sizeof e.err);
	return e;
}

/* Runs f(arg) in a child, which exits with 0 if f returns. */
__attribute__((unused)) static struct ending end_of(void (*f)(const void *), const void *arg)
{
	struct child c;

	if (child_begin(&c) == 0) {
		f(arg);
		exit(0);
	}
	return child_end(&c);
}

/* It ended with this exit code and said a single line, which holds text. */
__attribute__((unused)) static void assert_ending(struct ending e, int code, const char *text, const char *what)
{
	const char *newline = strchr(e.err, '\n');

	if (e.code != code || !strstr(e.err, text) || !newline || newline[1])
		fail_msg("%s: exit %d, said \"%s\"; expected exit %d and one line with \"%s\"", what, e.code, e.err, code, text);
}

/* f(arg) dies so. */
#define assert_dies(f, arg, code, text) assert_ending(end_of(f, arg), code, text, #f)

/* How the last of the calls below ended. */
__attribute__((unused)) static struct ending last_ending;

/* Makes the call in a child; one that it lives through ends with 99. */
#define RUN_IN_CHILD(call)                   \
	do {                                 \
		struct child run_child;      \
		if (child_begin(&run_child) == 0) { \
			(void)(call);        \
			_exit(99);           \
		}                            \
		last_ending = child_end(&run_child); \
	} while (0)

/* A call dies so: DIES(EXIT_INPUT, "duplicate key", json_parse(text, n, "t")); */
#define DIES(code, text, call)                          \
	do {                                            \
		RUN_IN_CHILD(call);                     \
		assert_ending(last_ending, code, text, #call); \
	} while (0)

static char scratch[] = "/tmp/palimpsest-unit-XXXXXX";
__attribute__((unused)) static char started_in[4096]; /* the folder in which the program was called: the tree's root */

__attribute__((unused)) static int in_scratch(void **state)
{
	(void)state;
	return !getcwd(started_in, sizeof started_in) || !mkdtemp(scratch) || chdir(scratch);
}

__attribute__((unused)) static int out_of_scratch(void **state)
{
	(void)state;
	if (chdir("/"))
		return 1;
	dir_remove(scratch);
	return 0;
}

/* How many names match. */
__attribute__((unused)) static int files(const char *pattern)
{
	glob_t g;
	int n = glob(pattern, GLOB_PERIOD, NULL, &g) == 0 ? (int)g.gl_pathc : 0;

	globfree(&g);
	return n;
}

__attribute__((unused)) static void put_file(const char *name, const void *data, size_t n)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

__attribute__((unused)) static void assert_file(const char *name, const void *data, size_t n)
{
	FILE *f = fopen(name, "r");
	char *text = malloc(n + 2);

	assert_non_null(f);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, n + 1, f), n);
	assert_memory_equal(text, data, n);
	free(text);
	fclose(f);
}

#endif
