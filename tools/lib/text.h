/* Small questions about text. */
#ifndef PALIMPSEST_TEXT_H
#define PALIMPSEST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool ends_with(const char *s, const char *end);
bool is_blank(const char *text, size_t n); /* ASCII white space alone, or nothing */

/* Leaves away line breaks (\n and \r) at both ends: *text and the result, its length, are what lies between. */
size_t trim_lines(char **text, size_t n);

/* Of trimmed text: each run of line breaks that has a \n becomes one blank, in place. Returns the new length; *joined counts them. */
size_t join_lines(char *text, size_t n, uint64_t *joined);

#endif
