#include "utf8.h"

#include <string.h>

#include "checked.h"

size_t utf8_valid(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t i = 0;

	while (i < n) {
		unsigned char c = p[i], low = 0x80, high = 0xbf;
		size_t more;
		uint64_t eight;

		if (c < 0x80) {
			for (; i + 8 <= n; i += 8) {
				memcpy(&eight, p + i, 8);
				if (eight & UINT64_C(0x8080808080808080))
					break;
			}
			while (i < n && p[i] < 0x80)
				i++;
			continue;
		}
		/* Unicode, table 3-7: only the second byte has a range that depends on the first */
		if (c < 0xc2 || c > 0xf4)
			return i;
		more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		if (c == 0xe0)
			low = 0xa0;
		else if (c == 0xed)
			high = 0x9f;
		else if (c == 0xf0)
			low = 0x90;
		else if (c == 0xf4)
			high = 0x8f;
		if (n - i <= more || p[i + 1] < low || p[i + 1] > high)
			return i;
		for (size_t k = 2; k <= more; k++)
			if ((p[i + k] & 0xc0) != 0x80)
				return i;
		i += more + 1;
	}
	return n;
}

size_t utf8_put(char out[4], uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Bytes of the bad sequence at s[0..n), n > 0, that could still have become a good one; *open: with more bytes behind. At least 1. */
static size_t bad_bytes(const unsigned char *s, size_t n, bool *open)
{
	unsigned char c = s[0], low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	size_t whole = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4, k = 1;

	*open = false;
	if (c < 0xc2 || c > 0xf4)
		return 1;
	for (; k < n && k < whole && s[k] >= low && s[k] <= high; k++) {
		low = 0x80;
		high = 0xbf;
	}
	*open = k == n;
	return k;
}

char *utf8_repaired(const char *s, size_t n, bool ends)
{
	char *out = xmalloc(3 * n + 1), *to = out;

	for (size_t i = 0; i < n;) {
		size_t good = utf8_valid(s + i, n - i);
		for (size_t k = 0; k < good; k++)
			if (s[i + k])
				*to++ = s[i + k];
			else
				to += utf8_put(to, 0xfffd);
		i += good;
		if (i == n)
			break;
		bool open;
		i += bad_bytes((const unsigned char *)s + i, n - i, &open);
		if (open && !ends)
			break;
		to += utf8_put(to, 0xfffd);
	}
	*to = 0;
	return out;
}
