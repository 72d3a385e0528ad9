#include "labelled.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "reader.h"
#include "tsv.h"
#include "utf8.h"

static const char *const label_name[N_LABELS] = {"domain", "l1", "portion", "text"};

struct labelled {
	struct reader *reader;
	enum labelled_format format;
	int column[N_LABELS], n_columns; /* of a table */
};

static void read_header(struct labelled *l)
{
	char *line, *cell;

	if (reader_line(l->reader, &line, MAX_DOCUMENT) < 0)
		die_input("bad table: %s: empty file", reader_name(l->reader));
	for (int i = 0; i < N_LABELS; i++)
		l->column[i] = -1;
	for (cell = line; cell; l->n_columns++) {
		char *tab = strchr(cell, '\t');

		if (tab)
			*tab++ = '\0';
		for (int i = 0; i < N_LABELS; i++)
			if (!strcmp(cell, label_name[i])) {
				if (l->column[i] >= 0)
					die_input("bad table: %s:1: column %s stands twice", reader_name(l->reader), cell);
				l->column[i] = l->n_columns;
			}
		cell = tab;
	}
	for (int i = 0; i < N_LABELS; i++)
		if (l->column[i] < 0)
			die_input("bad table: %s:1: no column %s in the header line", reader_name(l->reader), label_name[i]);
}

struct labelled *labelled_open(const char *path, enum labelled_format format)
{
	struct labelled *l = xcalloc(1, sizeof *l);

	l->reader = reader_open(path);
	l->format = format;
	reader_hash(l->reader, tsv_inputs());
	if (format == LABELLED_TSV)
		read_header(l);
	return l;
}

/* The cells of a table's line; there are no escapes. */
static void cut(const struct labelled *l, char *line, size_t n, struct jsonl_field *field)
{
	const struct reader *r = l->reader;
	size_t good = utf8_valid(line, n);
	char *cell = line;
	int i = 0;

	if (good < n)
		die_input("invalid UTF-8: %s:%" PRIu64 ": byte %zu", reader_name(r), reader_line_number(r), good + 1);
	do {
		char *tab = memchr(cell, '\t', (size_t)(line + n - cell));
		char *end = tab ? tab : line + n;

		for (int k = 0; k < N_LABELS; k++)
			if (l->column[k] == i) {
				field[k].text = cell;
				field[k].n = (size_t)(end - cell);
			}
		i++;
		cell = tab ? tab + 1 : NULL;
	} while (cell);
	if (i != l->n_columns)
		die_input("bad table: %s:%" PRIu64 ": %d cells, and %d in the header", reader_name(r), reader_line_number(r), i,
		          l->n_columns);
	if (!reader_newline(r))
		die_input("bad table: %s:%" PRIu64 ": the last line has no newline: the file is truncated", reader_name(r),
		          reader_line_number(r));
}

bool labelled_next(struct labelled *l, struct jsonl_field field[N_LABELS])
{
	char *line;
	ssize_t n = reader_line(l->reader, &line, MAX_DOCUMENT);

	if (n < 0)
		return false;
	for (int i = 0; i < N_LABELS; i++)
		field[i] = (struct jsonl_field){.key = label_name[i]};
	if (l->format == LABELLED_TSV)
		cut(l, line, (size_t)n, field);
	else
		jsonl_scan(line, (size_t)n, field, N_LABELS, reader_name(l->reader), reader_line_number(l->reader));
	return true;
}

const char *labelled_name(const struct labelled *l)
{
	return reader_name(l->reader);
}

uint64_t labelled_line(const struct labelled *l)
{
	return reader_line_number(l->reader);
}

uint64_t labelled_offset(const struct labelled *l)
{
	return reader_offset(l->reader);
}

void labelled_close(struct labelled *l)
{
	reader_close(l->reader);
	free(l);
}
