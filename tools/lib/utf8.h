/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef PALIMPSEST_UTF8_H
#define PALIMPSEST_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length of the longest valid beginning of s: n if all is valid, else where the first bad sequence starts. */
size_t utf8_valid(const char *s, size_t n);

/* Bytes (1 to 4) of code point c, which must be no surrogate and at most 0x10ffff. */
size_t utf8_put(char out[4], uint32_t c);

#endif
