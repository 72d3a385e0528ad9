/*
 * Tables: tab-separated text with a versioned first line.
 *
 *	#palimpsest-NAME 1<TAB>provenance
 *	column<TAB>column...
 *	value<TAB>value...
 *
 * What follows the version on the first line, after a tab, tells what made the table: tool, version and options and,
 * after another tab, "inputs sha256 HEX", of the bytes of all that was read for it: `cat INPUTS | sha256sum`.
 * A reader ignores it. Several tables of one kind may be concatenated: a repeated first
 * line and header are skipped if the header is the same. Columns are found by name, so a writer may add some.
 * A last line without '\n' is a truncated file. Mistakes: exit 3 with file and line.
 */
#ifndef PALIMPSEST_TSV_H
#define PALIMPSEST_TSV_H

#include <stdint.h>
#include <stdio.h>

#include "hash.h"

struct tsv {
	char *name;     /* file, for messages */
	char **column;  /* n_columns names */
	int n_columns;
	char ***cell;   /* cell[row][column] */
	uint64_t *line; /* line number of each row, from 1 */
	int n_rows;
	char *text;     /* the memory behind all strings */
	uint8_t sha256[HASH_BYTES]; /* of the file's bytes */
};

struct tsv *tsv_read(const char *path, const char *kind); /* kind: "rows", "order" ...; "-": stdin */
void tsv_free(struct tsv *t);
int tsv_column(const struct tsv *t, const char *name);      /* index; missing: exit 3 */
int tsv_find_column(const struct tsv *t, const char *name); /* index or -1 */
const char *tsv_string(const struct tsv *t, int row, int column); /* not empty, else exit 3 */
double tsv_real(const struct tsv *t, int row, int column);
int64_t tsv_int(const struct tsv *t, int row, int column);
/* exit 3: "FILE:LINE: message" */
_Noreturn void tsv_die(const struct tsv *t, int row, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * The hash of this process's inputs. tsv_read() adds the tables' bytes; a tool that makes a table of other files
 * adds them as it reads: reader_hash(r, tsv_inputs()).
 */
struct hash *tsv_inputs(void);

/* First line, with option_record() and the hash of what has been read so far, if anything has. */
void tsv_begin(FILE *out, const char *kind);

/* 1 if s can stand in a cell: valid UTF-8, not empty, no control characters. */
int tsv_is_clean(const char *s);
/*
 * 1 if s is a domain name: clean, no '/', not "." or "..", not "step" or "after" (columns beside the domains' in
 * matrix.tsv), not starting with '-', '@' or "#palimpsest-", at most 200 bytes.
 */
int is_domain_name(const char *s);

#endif
