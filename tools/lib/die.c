#include "die.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"

const char *tool_name = "palimpsest";

/* Who gives up leaves its memory to the system. Who succeeds must not, and LeakSanitizer watches. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>

static int giving_up;

int __lsan_is_turned_off(void)
{
	return giving_up;
}

#define GIVE_UP() (giving_up = 1)
#else
#define GIVE_UP() ((void)0)
#endif

/* One write for the whole line, so that lines of parallel tools do not mix. */
static void say(const char *fmt, va_list ap, const char *suffix)
{
	char line[4096];
	int error = errno;
	size_t n;

	progress_clear();
	n = (size_t)snprintf(line, sizeof line, "%s: ", tool_name);
	if (n < sizeof line - 1)
		vsnprintf(line + n, sizeof line - n, fmt, ap);
	n = strlen(line);
	if (fmt[0] && fmt[strlen(fmt) - 1] == ':' && n < sizeof line - 1)
		snprintf(line + n, sizeof line - n, " %s", strerror(error));
	for (char *c = line; *c; c++) /* a hostile file name must not forge a second line */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	fprintf(stderr, "%s%s\n", line, suffix);
	errno = error;
}

_Noreturn void die_with(enum exit_code code, const char *fmt, va_list ap)
{
	say(fmt, ap, code == EXIT_USAGE ? " (try -h)" : "");
	GIVE_UP();
	exit(code);
}

#define DEFINE_DIE(name, code)                \
	_Noreturn void name(const char *fmt, ...) \
	{                                         \
		va_list ap;                           \
		va_start(ap, fmt);                    \
		die_with(code, fmt, ap);              \
	}

DEFINE_DIE(die, EXIT_FAILED)
DEFINE_DIE(die_usage, EXIT_USAGE)
DEFINE_DIE(die_input, EXIT_INPUT)
DEFINE_DIE(die_device, EXIT_DEVICE)

void warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap, "");
	va_end(ap);
}
