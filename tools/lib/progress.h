/*
 * The one progress line, on stderr: redrawn ten times a second at most on a terminal,
 * a plain line a minute otherwise, nothing after -q. Nothing is printed for work shorter
 * than a second. Only one may be open at a time.
 */
#ifndef PALIMPSEST_PROGRESS_H
#define PALIMPSEST_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

extern bool progress_quiet; /* set by -q */

/* total 0: not known. unit: "tokens", "bytes", "rows" ... Strings are borrowed until the end. */
void progress_start(const char *what, const char *unit, uint64_t total);
/* done: absolute, in units. note: short text after the rate, such as "loss 3.21", or NULL. */
void progress_update(uint64_t done, const char *note);
void progress_end(void);   /* leaves a last line on a terminal */
void progress_clear(void); /* wipes the line before a message; the next update redraws it */

#endif
