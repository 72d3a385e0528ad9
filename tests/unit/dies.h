/*
 * Death tests: does a call end the process with this exit code and exactly one line on stderr?
 *
 *	DIES(EXIT_INPUT, "duplicate key", json_parse(text, n, "t"));
 *
 * The call runs in a child; the line must hold the given words. Include after cmocka.h.
 */
#ifndef PALIMPSEST_TEST_DIES_H
#define PALIMPSEST_TEST_DIES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "die.h"

static char dies_line[4200]; /* what the last child said */

static inline int dies_wait(pid_t child, int fd)
{
	size_t n = 0;
	ssize_t got;
	int status = 0;

	while (n < sizeof dies_line - 1 && (got = read(fd, dies_line + n, sizeof dies_line - 1 - n)) > 0)
		n += (size_t)got;
	dies_line[n] = '\0';
	close(fd);
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define DIES_RUN(result, call)                                \
	do {                                                  \
		int dies_pipe[2];                             \
		pid_t dies_child;                             \
		assert_int_equal(pipe(dies_pipe), 0);         \
		fflush(NULL);                                 \
		dies_child = fork();                          \
		assert_true(dies_child >= 0);                 \
		if (dies_child == 0) {                        \
			dup2(dies_pipe[1], 2);                \
			close(dies_pipe[0]);                  \
			close(dies_pipe[1]);                  \
			(void)(call);                         \
			_exit(99); /* it lived */             \
		}                                             \
		close(dies_pipe[1]);                          \
		(result) = dies_wait(dies_child, dies_pipe[0]); \
	} while (0)

#define DIES(code, words, call)                                                                               \
	do {                                                                                                  \
		int dies_code;                                                                                \
		char *dies_newline;                                                                           \
		DIES_RUN(dies_code, call);                                                                    \
		dies_newline = strchr(dies_line, '\n');                                                       \
		if (dies_code != (code) || !strstr(dies_line, (words)) || !dies_newline || dies_newline[1])   \
			fail_msg("%s: exit %d, said \"%s\"; expected exit %d, one line with \"%s\"", #call, \
			         dies_code, dies_line, (int)(code), (words));                                 \
	} while (0)

#endif
