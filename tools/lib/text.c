#include "text.h"

#include <string.h>

bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

bool is_blank(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] != ' ' && (text[i] < '\t' || text[i] > '\r'))
			return false;
	return true;
}

size_t trim_lines(char **text, size_t n)
{
	char *p = *text;

	while (n && (p[n - 1] == '\n' || p[n - 1] == '\r'))
		n--;
	while (n && (*p == '\n' || *p == '\r')) {
		p++;
		n--;
	}
	*text = p;
	return n;
}

size_t join_lines(char *text, size_t n, uint64_t *joined)
{
	char *in = text, *to = text, *end = text + n, *next;

	while ((next = memchr(in, '\n', (size_t)(end - in)))) {
		char *stop = next;

		while (stop[-1] == '\r') /* the first character is no line break, nor is the last */
			stop--;
		while (*next == '\n' || *next == '\r')
			next++;
		memmove(to, in, (size_t)(stop - in));
		to += stop - in;
		*to++ = ' ';
		in = next;
		++*joined;
	}
	memmove(to, in, (size_t)(end - in));
	return (size_t)(to - text) + (size_t)(end - in);
}
