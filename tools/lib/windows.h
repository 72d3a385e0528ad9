/* The table of single windows, palimpsest-windows(5): what a model scored on each, and the same read back to compare with. */
#ifndef PALIMPSEST_WINDOWS_H
#define PALIMPSEST_WINDOWS_H

#include <stdint.h>

#include "atomic.h"

extern const char windows_columns[]; /* names of those behind what every row begins with */

/* The lines of one text; each begins with the cells `about`, which end in a tab. nll (n): NaN: not scored, no line. */
void put_windows(struct atomic *out, const char *about, const double *nll, const double *targets, uint64_t n);

struct reference;

/* Of one model, else exit 3. You reference_free() it. */
struct reference *reference_read(const char *path);
/*
 * nll of all n windows of the text with this protocol and data_hash; exit 3 if not all are there, or one of them has not
 * as many targets. name: of the text, for messages. You free() it.
 */
double *reference_nll(const struct reference *r, const char *name, const char *protocol, const char *data_hash,
                      const double *targets, uint64_t n);
void reference_free(struct reference *r);

#endif
