/*
 * Output that appears whole or not at all.
 *
 * A file is written under a temporary name in its own directory and renamed by
 * atomic_commit() after flush and fsync; the directory is fsynced too. Whatever
 * was not committed is removed on exit() and on SIGINT, SIGTERM, SIGHUP, SIGPIPE; after
 * kill -9 a file NAME.tmp.PID may stay behind, which no stage reads.
 * Every failure ends the tool with one line and exit 1.
 */
#ifndef PALIMPSEST_ATOMIC_H
#define PALIMPSEST_ATOMIC_H

#include <stddef.h>
#include <stdio.h>

struct atomic;

/* path "-" is stdout, for which commit only flushes and checks. The file of another output that is not yet committed: exit 2. */
struct atomic *atomic_open(const char *path);
FILE *atomic_file(struct atomic *a);            /* borrowed: write here, do not close */
const char *atomic_name(const struct atomic *a); /* for messages */
void atomic_write(struct atomic *a, const void *data, size_t n); /* n bytes, checked */
int atomic_printf(struct atomic *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void atomic_commit(struct atomic *a); /* and frees a */
void atomic_abort(struct atomic *a);  /* removes the temporary file and frees a */

/*
 * Ends the tool (exit 1) if PATH is there and is neither an empty folder nor an earlier result, since it would be replaced whole.
 * known: what a result holds, NULL at the end: patterns of names in PATH, those of folders with a slash at their end. The first is
 * the name of a file that every result has.
 */
void dir_check_replaceable(const char *path, const char *const *known);

/*
 * A directory of several files: they are made in the staging directory, which becomes
 * PATH in one rename when all are there. A directory that stood there before is
 * exchanged and then removed, so PATH is at every moment the old one or the new one.
 * The staging directory is PATH.partial and is NOT removed on exit: a tool that can
 * resume finds its state there. dir_begin() makes it if it is not there, and locks it
 * until the commit: a second run with the same PATH ends (exit 1). One at a time.
 */
char *dir_begin(const char *path, const char *const *known); /* you free() the staging directory's name */
/*
 * Removes what a run that was killed left. A folder that neither dir_begin() made nor dir_check_replaceable() would have replaced
 * ends the tool (exit 1).
 */
void dir_empty(const char *staging);
/* For a tool that resumes nothing: staging starts empty, and is removed on exit() if it was not committed. */
char *dir_begin_empty(const char *path, const char *const *known);
/* fsyncs what is inside, but removes NAME.tmp.PID of runs that were killed; renames. */
void dir_commit(const char *path, const char *staging);
void dir_remove(const char *path); /* rm -r; a missing one is no error */

void make_dirs(const char *path); /* mkdir -p */

/* At the very end of every tool that writes on stdout: flushes and dies if that fails. */
void close_stdout(void);

#endif
