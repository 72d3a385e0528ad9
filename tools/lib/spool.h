/*
 * Many files that are appended to in turn, with bounded memory and no file held open: for sorting a stream into
 * more files than descriptors. Not atomic: the files belong into a staging directory (atomic.h).
 */
#ifndef PALIMPSEST_SPOOL_H
#define PALIMPSEST_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool {
	char *path;
	char *buffer;
	size_t n, cap;
	uint64_t bytes; /* written so far */
	bool stays;     /* set it for a file that will not be removed again: the disk begins on it at once, not when it is synced */
	struct spool *next;
};

struct spool *spool_open(const char *path); /* removes what was there; the file exists at once */
void spool_write(struct spool *s, const void *data, size_t n); /* failure: exit 1 */
void spool_close(struct spool *s); /* writes what is buffered, and frees */

/* Maps a file of that many bytes for reading; NULL if bytes is 0. unmap_file() it. */
const void *map_file(const char *path, uint64_t bytes);
void unmap_file(const void *map, uint64_t bytes);

#endif
