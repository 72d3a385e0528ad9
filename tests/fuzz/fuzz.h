/*
 * Fuzz targets. Each NAME.c defines fuzz(); the harness gives it input after input. A target may call what ends the
 * tool: exit() then returns to the harness, which frees what was left behind and checks that the code was EXIT_INPUT,
 * for hostile input is never the system's fault.
 *
 * With -DFUZZ_ENGINE it is linked with libFuzzer (make fuzz); without, it is a program of its own that needs no clang:
 * fuzz-NAME [-n MUTATIONS] FILE... runs each file and so many random changes of it (fuzz.bats).
 */
#ifndef PALIMPSEST_FUZZ_H
#define PALIMPSEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"

/* In the target. */
void fuzz(const uint8_t *data, size_t n);

/* A regular file with these bytes; valid until the next call. */
const char *fuzz_file(const uint8_t *data, size_t n);
/* The same as stdin, through a pipe; n at most 60000. */
void fuzz_stdin(const uint8_t *data, size_t n);

/* Did f(arg) come to its end? false: it ended the tool, as it may. */
bool fuzz_lives(void (*f)(void *), void *arg);

extern int fuzz_log; /* stderr, even where the messages of die() are not wanted */

#define CHECK(condition)                                                                     \
	do {                                                                                 \
		if (!(condition)) {                                                          \
			dprintf(fuzz_log, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                             \
		}                                                                            \
	} while (0)

#endif
