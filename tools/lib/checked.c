#include "checked.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"

static _Noreturn void no_memory(size_t n)
{
	die("out of memory: %zu bytes", n);
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		no_memory(n);
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (!mul_size(n, size, &bytes))
		die("out of memory: %zu elements of %zu bytes", n, size);
	p = calloc(bytes ? bytes : 1, 1);
	if (!p)
		no_memory(bytes);
	return p;
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (!mul_size(n, size, &bytes))
		die("out of memory: %zu elements of %zu bytes", n, size);
	p = realloc(p, bytes ? bytes : 1);
	if (!p)
		no_memory(bytes);
	return p;
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n), bytes;
	char *copy;

	if (!add_size(len, 1, &bytes))
		no_memory(len);
	copy = xmalloc(bytes);
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("out of memory: formatting a string");
	return s;
}

char *path_join(const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return xasprintf("%s%s%s", dir, n && dir[n - 1] != '/' ? "/" : "", name);
}

char *path_last(const char *path)
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		;
	return xstrndup(path + start, end - start);
}

bool parse_i64(const char *text, int64_t *out)
{
	const char *digits = text + (*text == '-');
	long long value;

	if (!*digits || digits[strspn(digits, "0123456789")])
		return false;
	errno = 0;
	value = strtoll(text, NULL, 10);
	if (errno)
		return false;
	*out = value;
	return true;
}

bool parse_real(const char *text, double *out)
{
	double value;
	char *end;

	if (text[strspn(text, "+-.0123456789eE")]) /* strtod() skips blanks, and takes "nan" and "0x10" */
		return false;
	value = strtod(text, &end);
	if (end == text || *end || !isfinite(value))
		return false;
	*out = value;
	return true;
}

bool parse_size(const char *text, uint64_t *out)
{
	static const struct {
		const char *suffix;
		uint64_t factor;
	} unit[] = {
		{"", 1},
		{"k", 1000},
		{"M", 1000000},
		{"G", 1000000000},
		{"Ki", UINT64_C(1) << 10},
		{"Mi", UINT64_C(1) << 20},
		{"Gi", UINT64_C(1) << 30},
	};
	size_t digits = strspn(text, "0123456789");
	unsigned long long value;

	if (!digits)
		return false;
	errno = 0;
	value = strtoull(text, NULL, 10);
	if (errno)
		return false;
	for (size_t i = 0; i < sizeof unit / sizeof *unit; i++)
		if (!strcmp(text + digits, unit[i].suffix))
			return !__builtin_mul_overflow((uint64_t)value, unit[i].factor, out);
	return false;
}
