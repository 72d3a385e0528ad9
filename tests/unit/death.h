/*
 * For unit tests: run a function in a child and look at how it ended and what it said.
 * Each test program that uses `in_scratch` runs in a new empty folder that is removed at the end.
 */
#ifndef PALIMPSEST_DEATH_H
#define PALIMPSEST_DEATH_H

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

#include "atomic.h"

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

/* Runs f(arg) in a child, which exits with 0 if f returns. */
__attribute__((unused)) static struct ending end_of(void (*f)(const void *), const void *arg)
{
	struct ending e;
	FILE *out = tmpfile(), *err = tmpfile();
	int status;
	pid_t pid;

	assert_non_null(out);
	assert_non_null(err);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fileno(out), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		f(arg);
		exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	e.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	slurp(out, e.out, sizeof e.out);
	slurp(err, e.err, sizeof e.err);
	return e;
}

/* f(arg) ends with this exit code and says a single line, which holds text. */
__attribute__((unused)) static void assert_dies(void (*f)(const void *), const void *arg, int code, const char *text)
{
	struct ending e = end_of(f, arg);

	if (e.code != code || !strstr(e.err, text))
		print_error("exit %d, said: %s\n", e.code, e.err);
	assert_int_equal(e.code, code);
	assert_non_null(strstr(e.err, text));
	assert_non_null(strchr(e.err, '\n'));
	assert_string_equal(strchr(e.err, '\n'), "\n");
}

static char scratch[] = "/tmp/palimpsest-unit-XXXXXX";

__attribute__((unused)) static int in_scratch(void **state)
{
	(void)state;
	return !mkdtemp(scratch) || chdir(scratch);
}

__attribute__((unused)) static int out_of_scratch(void **state)
{
	(void)state;
	if (chdir("/"))
		return 1;
	dir_remove(scratch);
	return 0;
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
