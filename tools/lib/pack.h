/*
 * A model directory as one file, palimpsest-pack(5): its files compressed, those with weights as the difference to a
 * model that lies beside. What comes out again is the same, bit for bit, or refused by its hash.
 */
#ifndef PALIMPSEST_PACK_H
#define PALIMPSEST_PACK_H

#include "atomic.h"

/* The files of dir named; from: directory of the model that it is a difference to, or NULL. */
void pack_write(struct atomic *out, const char *dir, const char *const *names, int n, const char *from);

/* Into a directory that exists. A file that is damaged, or of another `from`, ends the tool (exit 3). */
void pack_read(const char *path, const char *dir, const char *from);

#endif
