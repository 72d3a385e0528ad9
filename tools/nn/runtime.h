/* What every tool that computes does first. */
#ifndef PALIMPSEST_RUNTIME_H
#define PALIMPSEST_RUNTIME_H

#include <stdint.h>

#include "shim/tensor.h"

/*
 * From now on the shim's errors end the tool with one line: exit 4 if the device is missing or out of memory, else 1.
 * Takes only algorithms that give the same bytes every time. threads 0: libtorch's default.
 */
th_device nn_start(const char *device, int64_t threads);
/* From now on such a line ends in this text, a constant: how to do without what is being tried. "": nothing */
void nn_error_note(const char *note);

#endif
