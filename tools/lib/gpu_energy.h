/*
 * What the GPUs took that a program may use: their own counters, by NVIDIA's management library, which is looked for when
 * the program runs.
 */
#ifndef PALIMPSEST_GPU_ENERGY_H
#define PALIMPSEST_GPU_ENERGY_H

#include <stdbool.h>

/*
 * Begins to count. Returns how many GPUs are counted: those of CUDA_VISIBLE_DEVICES, or all; 0 without the library, or where
 * no counter can be read.
 */
int gpu_energy_begin(void);

/* Joules of all of them since it began. false if one can no longer be read. Call it once; it ends counting. */
bool gpu_energy_end(double *joules);

#endif
