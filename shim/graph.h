/* graph.h: captured graphs of CUDA, for tensor.cpp. The C functions are described in tensor.h. */
#ifndef PALIMPSEST_GRAPH_H
#define PALIMPSEST_GRAPH_H

#include <c10/core/Device.h>

#include "tensor.h"

bool graph_possible(); /* on a CUDA device */
th_graph *graph_record(c10::Device device, void (*body)(void *context), void *context);
void graph_replay(th_graph *g);
void graph_free(th_graph *g);

/* Is a body being run on a CUDA device for a graph? Then generators of random numbers are not to be set. */
bool graph_is_recording();

#endif
