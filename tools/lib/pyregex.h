/*
 * Regular expressions as Python's re writes and matches them (str patterns), as far as they have no memory: literals,
 * ., classes, \d \w \s and their opposites, groups, |, the quantifiers, greedy or lazy, ^ $ \A \Z \b \B, and (?i) in
 * front, for ASCII patterns. Look-around, references and other flags are refused. Matching takes time in proportion to
 * pattern x text, whatever they are.
 */
#ifndef PALIMPSEST_PYREGEX_H
#define PALIMPSEST_PYREGEX_H

#include <stdbool.h>
#include <stddef.h>

struct pyregex;

/* You pyregex_free() it. NULL: *why says what is wrong, in static memory, and *at the byte. pattern: UTF-8. */
struct pyregex *pyregex_compile(const char *pattern, const char **why, size_t *at);
void pyregex_free(struct pyregex *r);
int pyregex_groups(const struct pyregex *r); /* capturing ones */

struct pyregex_match {
	bool found;
	size_t start, end; /* bytes: of group 1 if the pattern has groups, else of the whole; equal if the group took no part */
	bool final;        /* would be the same whatever stood behind the text */
};

/* The first of re.findall(pattern, text). text: valid UTF-8, n bytes. */
struct pyregex_match pyregex_find(const struct pyregex *r, const char *text, size_t n);

#endif
