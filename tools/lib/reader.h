/*
 * Reading bytes and lines from a plain file, a .gz file or stdin ("-").
 * Compression is told by the content, not by the name. A .gz that ends before its
 * trailer is malformed (exit 3), which gzread() alone does not say; so are bytes
 * after its last member that are no gzip member. Errors end the tool.
 */
#ifndef PALIMPSEST_READER_H
#define PALIMPSEST_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hash.h"

struct reader;

struct reader *reader_open(const char *path); /* missing file: exit 1; you reader_close() it */
/*
 * From now on what is read from the file is added to h, as it lies there (compressed): at the end, what sha256sum hashes.
 * Two hashes can be had at once.
 */
void reader_hash(struct reader *r, struct hash *h);
size_t reader_read(struct reader *r, void *buf, size_t n); /* fewer than n only at the end */
/*
 * Next line without its '\n', NUL-terminated, in the reader's own buffer until the next call.
 * Returns its length, or -1 at the end. NUL bytes may stand inside. If max_line is not 0, a longer
 * line ends the tool (exit 3), so memory stays bounded.
 */
ssize_t reader_line(struct reader *r, char **line, size_t max_line);
bool reader_newline(const struct reader *r);       /* did the last line end in '\n'? */
uint64_t reader_line_number(const struct reader *r); /* of the last line, from 1 */
uint64_t reader_offset(const struct reader *r);     /* uncompressed bytes handed out so far */
const char *reader_name(const struct reader *r);    /* "stdin" for "-" */
void reader_close(struct reader *r);

/* All that is left, with a NUL after it; more than max: exit 3. You free() it. */
char *reader_rest(struct reader *r, size_t max, size_t *size);
char *read_file(const char *path, size_t max, size_t *size); /* the whole of a small file, likewise */

#endif
