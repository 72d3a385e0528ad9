/*
 * A thread that reads a file ahead of whoever takes its bytes, and adds them to hashes on the way: a hash of the input
 * then costs no time where there is a second processor.
 */
#ifndef PALIMPSEST_AHEAD_H
#define PALIMPSEST_AHEAD_H

#include <sys/types.h>

#include "hash.h"

/*
 * read(), again where a signal interrupts it, and what it got is added to the hashes; hash: up to two, NULL where there is
 * none.
 */
ssize_t read_hashed(int fd, void *buf, size_t n, struct hash *const hash[2]);

struct ahead;

/* The hashes are the thread's until ahead_take() has told the end. */
struct ahead *ahead_start(int fd, struct hash *const hash[2]);
ssize_t ahead_take(struct ahead *a, void *buf, size_t n); /* as read(): how many bytes; 0: the end; -1: errno says why */
void ahead_stop(struct ahead *a); /* wherever it is; fd stays open, NULL is allowed */

#endif
