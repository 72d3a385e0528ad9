/*
 * Messages and exit codes: the only way in which a tool complains or gives up.
 *
 * Every message is one line on stderr, `tool: what failed: subject: why`, lower
 * case, no full stop. A format that ends in ':' has ": strerror(errno)" put in
 * place of the colon, so  die("cannot open %s:", path)  needs no third argument.
 */
#ifndef PALIMPSEST_DIE_H
#define PALIMPSEST_DIE_H

#include <stdarg.h>

/* What every tool's exit code means (palimpsest(7), EXIT STATUS). */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1, /* the system or a limit stood in the way: disk, permission, memory */
	EXIT_USAGE = 2,  /* the command line is wrong */
	EXIT_INPUT = 3,  /* an input is malformed, truncated or does not fit the others */
	EXIT_DEVICE = 4  /* no such device, or it is out of memory: try elsewhere */
};

/* The tool's name, without directories. Set by parse_options(). */
extern const char *tool_name;

#define DIE_PRINTF __attribute__((format(printf, 1, 2)))

_Noreturn void die(const char *fmt, ...) DIE_PRINTF;        /* exits with EXIT_FAILED */
_Noreturn void die_usage(const char *fmt, ...) DIE_PRINTF;  /* EXIT_USAGE; adds "(try -h)" */
_Noreturn void die_input(const char *fmt, ...) DIE_PRINTF;  /* EXIT_INPUT */
_Noreturn void die_device(const char *fmt, ...) DIE_PRINTF; /* EXIT_DEVICE */
void warn(const char *fmt, ...) DIE_PRINTF;                 /* says it and goes on */

/* For code that picks the exit code at run time. */
_Noreturn void die_with(enum exit_code code, const char *fmt, va_list ap);

#endif
