/*
 * Spherical k-means (Dhillon and Modha 2001) on vectors of length 1: k centres of length 1, each vector to the centre of
 * largest cosine. The first centres are drawn by k-means++ (Arthur and Vassilvitskii 2007). The same seed: the same bytes.
 */
#ifndef PALIMPSEST_KMEANS_H
#define PALIMPSEST_KMEANS_H

#include <stddef.h>

#include "rng.h"

/*
 * v (n, C), each of length 1; k <= n. cluster (n): 0 .. k-1; centre (k, C). A cluster may end up empty. Ends when nothing
 * changes, after 100 rounds at the latest. Ties: the lower number.
 */
void kmeans(const float *v, size_t n, size_t C, size_t k, struct rng *r, size_t *cluster, double *centre);

double kmeans_cosine(const float *v, const double *centre, size_t C);

#endif
