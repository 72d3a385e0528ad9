/*
 * A file of output that appears whole or not at all.
 *
 * A file is written under a temporary name in its own directory and renamed by
 * atomic_commit() after flush and fsync; the directory is fsynced too. Whatever
 * was not committed is removed on exit() and on SIGINT, SIGTERM, SIGHUP, SIGPIPE; after
 * kill -9 a file NAME.tmp.PID may stay behind, which no stage reads.
 * Every failure ends the tool with one line and exit 1.
 */
#ifndef PALIMPSEST_ATOMIC_H
#define PALIMPSEST_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct atomic;

/*
 * path "-" is stdout, for which commit only flushes and checks. The file of another output that is not yet committed: exit 2. Names of
 * descriptors (/dev/stdout, /dev/fd/N), devices and pipes are written in place.
 */
struct atomic *atomic_open(const char *path);
FILE *atomic_file(struct atomic *a);            /* borrowed: write here, do not close */
const char *atomic_name(const struct atomic *a); /* for messages */
void atomic_write(struct atomic *a, const void *data, size_t n); /* n bytes, checked */
int atomic_printf(struct atomic *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void atomic_commit(struct atomic *a); /* and frees a */
void atomic_abort(struct atomic *a);  /* removes the temporary file and frees a */

/* At the very end of every tool that writes on stdout: flushes and dies if that fails. */
void close_stdout(void);

void atomic_remove_all(void); /* whatever is not committed, for a signal handler */

/* What atomic_commit() is made of, for outdir.c. */
char *follow_links(const char *path); /* the file that a link names, there or not, or else path itself; you free() it */
bool is_at(int fd, const char *path); /* does path still name what we have open? Someone may have removed that, and another run begun one */
bool sync_fd(int fd);                 /* fsync(); a file system that cannot is no error */
void sync_parent(const char *path);   /* the folder that path stands in, after a rename; it may end the tool */

#endif
