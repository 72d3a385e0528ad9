/*
 * An optimiser's moments in a safetensors file, m.NAME and v.NAME, and for a run that goes on later its parameters too, param.NAME.
 * A tensor that is missing in a file, or not of the model's shape: exit 3.
 */
#ifndef PALIMPSEST_STATE_H
#define PALIMPSEST_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/safetensors.h"
#include "nn/optim.h"

/* A number of 8 bytes; value is borrowed. */
struct st_tensor state_scalar(const char *name, enum st_dtype dtype, const void *value);
void state_get_scalar(const struct st_file *f, const char *name, enum st_dtype dtype, void *value);

/* Atomic. extra: with their data; they come first in the file. */
void state_write(const char *path, const struct optim *o, bool params, const struct st_tensor *extra, size_t n_extra);
void state_get_params(const struct st_file *f, struct nn_params *params);
/* And the number of updates. others: of another run, and so an input like any other: as optim_load(). */
void state_get_moments(const struct st_file *f, struct optim *o, bool others);

/* The moments, to hand on to the next domain; not finite: exit 1. */
void optim_save(const struct optim *o, const char *path);
/* A moment missing, of a wrong shape, not finite, or of squares and negative: exit 3. */
void optim_load(struct optim *o, const char *path);

#endif
