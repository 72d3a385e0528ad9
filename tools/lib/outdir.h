/*
 * A folder of output, such as a model, that appears whole or not at all, and replaces nothing but an earlier result.
 * Every failure ends the tool with one line and exit 1.
 */
#ifndef PALIMPSEST_OUTDIR_H
#define PALIMPSEST_OUTDIR_H

#define DIR_MARK ".unfinished" /* in a staging folder from its making until its commit: what is beside it is ours; nothing in a result is called so */

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
char *dir_begin_empty(const char *path, const char *const *known); /* you free() the name, after dir_commit() */
/*
 * fsyncs what is inside, but removes files NAME.tmp.PID of runs that were killed, if it did not start empty; renames. Ends the tool (exit 1)
 * if dir_check_replaceable() would, by then.
 */
void dir_commit(const char *path, const char *staging);
void dir_remove(const char *path); /* rm -r; a missing one is no error */

void make_dirs(const char *path); /* mkdir -p */

#endif
