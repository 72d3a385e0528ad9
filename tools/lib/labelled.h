/*
 * Documents with labels: JSON Lines whose objects have the strings domain, l1, portion and text, or a table of
 * tab-separated cells with a header line that has these columns; other members and columns are passed over. Plain,
 * packed or stdin, as reader.h has it, and counted for tsv_inputs(). Mistakes: exit 3 with file and line.
 *
 *	struct labelled *l = labelled_open(path, LABELLED_JSONL);
 *	struct jsonl_field field[N_LABELS];
 *	while (labelled_next(l, field))
 *		...
 *	labelled_close(l);
 */
#ifndef PALIMPSEST_LABELLED_H
#define PALIMPSEST_LABELLED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jsonl.h"

#define MAX_DOCUMENT ((size_t)1 << 28) /* bytes in a line of input */

enum label { LABEL_DOMAIN, LABEL_L1, LABEL_PORTION, LABEL_TEXT, N_LABELS };
enum labelled_format { LABELLED_JSONL, LABELLED_TSV };

struct labelled;

struct labelled *labelled_open(const char *path, enum labelled_format format);
/* The next document, in memory that is the caller's to change until the next call; false at the end. Text is valid UTF-8. */
bool labelled_next(struct labelled *l, struct jsonl_field field[N_LABELS]);
const char *labelled_name(const struct labelled *l);
uint64_t labelled_line(const struct labelled *l);   /* of the document, from 1 */
uint64_t labelled_offset(const struct labelled *l); /* unpacked bytes read */
void labelled_close(struct labelled *l);

#endif
