/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef PALIMPSEST_UTF8_H
#define PALIMPSEST_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the longest valid beginning of s: n if all is valid, else where the first bad sequence starts. */
size_t utf8_valid(const char *s, size_t n);

/*
 * A copy that is valid and ends in NUL: U+FFFD in place of each longest beginning of a bad sequence, as Python's
 * errors="replace" puts it, and of each NUL. ends false: more bytes may follow, and a sequence that is not yet whole is
 * left away. You free() it.
 */
char *utf8_repaired(const char *s, size_t n, bool ends);

/* Bytes (1 to 4) of code point c, which must be no surrogate and at most 0x10ffff. */
size_t utf8_put(char out[4], uint32_t c);

#endif
