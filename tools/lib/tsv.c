#include "tsv.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "options.h"
#include "reader.h"
#include "utf8.h"

#define MAX_BYTES ((size_t)1 << 30)
#define MAX_COLUMNS 100000

static bool has_control(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return true;
	return false;
}

/* Cuts a line at its tabs, in place, into cell[0, max); returns how many cells it has. */
static int cut(char *line, char **cell, int max)
{
	int n = 0;

	for (char *c = line;; c++) {
		char *end = strchrnul(c, '\t');
		bool last = !*end;

		if (n < max)
			cell[n] = c;
		n++;
		*end = '\0';
		if (last)
			return n;
		c = end;
	}
}

static int count_cells(const char *line)
{
	int n = 1;

	while ((line = strchr(line, '\t'))) {
		line++;
		n++;
	}
	return n;
}

/* The first line of a table; *kind_ok: of the kind that was asked for. */
static bool is_first_line(const char *line, const char *kind, const char *name, uint64_t number)
{
	static const char magic[] = "#palimpsest-";
	size_t n = strlen(kind);
	const char *rest = line + sizeof magic - 1;

	if (strncmp(line, magic, sizeof magic - 1))
		return false;
	if (strncmp(rest, kind, n) || rest[n] != ' ')
		die_input("bad table: %s:%" PRIu64 ": %.*s where #palimpsest-%s is expected", name, number,
		          (int)strcspn(line, " \t"), line, kind);
	if (strcspn(rest + n + 1, "\t") != 1 || rest[n + 1] != '1')
		die_input("bad table: %s:%" PRIu64 ": version %.*s of #palimpsest-%s is not known", name, number,
		          (int)strcspn(rest + n + 1, "\t"), rest + n + 1, kind);
	return true;
}

static void read_header(struct tsv *t, char *line, uint64_t number)
{
	t->n_columns = count_cells(line);
	if (t->n_columns > MAX_COLUMNS)
		die_input("bad table: %s:%" PRIu64 ": more than %d columns", t->name, number, MAX_COLUMNS);
	t->column = xcalloc((size_t)t->n_columns, sizeof *t->column);
	cut(line, t->column, t->n_columns);
	for (int i = 0; i < t->n_columns; i++) {
		if (!*t->column[i])
			die_input("bad table: %s:%" PRIu64 ": column %d has no name", t->name, number, i + 1);
		if (t->n_columns > 1000) /* wide tables of numbers: a duplicate there is found by its reader */
			continue;
		for (int j = 0; j < i; j++)
			if (!strcmp(t->column[i], t->column[j]))
				die_input("bad table: %s:%" PRIu64 ": column %s stands twice", t->name, number,
				          t->column[i]);
	}
}

static void same_header(const struct tsv *t, char *line, uint64_t number)
{
	char *next = line;

	for (int i = 0; i < t->n_columns; i++) {
		size_t n = strcspn(next, "\t");

		if (strlen(t->column[i]) != n || memcmp(t->column[i], next, n) || !next[n] != (i == t->n_columns - 1))
			die_input("bad table: %s:%" PRIu64 ": header differs from the one before", t->name, number);
		next += n + 1;
	}
}

struct tsv *tsv_read(const char *path, const char *kind)
{
	struct tsv *t = xcalloc(1, sizeof *t);
	struct reader *r;
	struct hash h;
	char **flat = NULL; /* all cells, row after row */
	size_t size, n_flat = 0, cap_flat = 0, n_lines = 0, cap_lines = 0;
	uint64_t number = 0;
	enum { FIRST, HEADER, ROWS } expect = FIRST;

	r = reader_open(path);
	hash_start(&h);
	reader_hash(r, &h);
	reader_hash(r, tsv_inputs());
	t->name = xstrdup(reader_name(r));
	t->text = reader_rest(r, MAX_BYTES, &size);
	reader_close(r);
	hash_end(&h, t->sha256);
	if (!size)
		die_input("bad table: %s: empty file", t->name);
	if (t->text[size - 1] != '\n')
		die_input("bad table: %s: last line has no newline: the file is truncated", t->name);
	for (char *line = t->text, *end; line < t->text + size; line = end + 1) {
		size_t n, bad;

		number++;
		end = memchr(line, '\n', (size_t)(t->text + size - line));
		n = (size_t)(end - line);
		*end = '\0';
		bad = utf8_valid(line, n);
		if (bad < n)
			die_input("bad table: %s:%" PRIu64 ": byte %zu is not UTF-8", t->name, number, bad + 1);
		for (size_t i = 0; i < n; i++)
			if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
				die_input("bad table: %s:%" PRIu64 ": byte %zu is a control character", t->name,
				          number, i + 1);
		if (expect == HEADER) {
			if (t->column)
				same_header(t, line, number);
			else
				read_header(t, line, number);
			expect = ROWS;
			continue;
		}
		if (is_first_line(line, kind, t->name, number)) {
			expect = HEADER;
			continue;
		}
		if (expect == FIRST)
			die_input("bad table: %s:1: does not start with #palimpsest-%s 1", t->name, kind);
		if (t->n_rows == INT_MAX)
			die_input("bad table: %s: too many rows", t->name);
		while (cap_flat - n_flat < (size_t)t->n_columns) {
			cap_flat = cap_flat ? 2 * cap_flat : 64;
			flat = xreallocarray(flat, cap_flat, sizeof *flat);
		}
		if (cut(line, flat + n_flat, t->n_columns) != t->n_columns)
			die_input("bad table: %s:%" PRIu64 ": not %d cells as in the header", t->name, number,
			          t->n_columns);
		n_flat += (size_t)t->n_columns;
		GROW(t->line, n_lines, cap_lines);
		t->line[n_lines++] = number;
		t->n_rows++;
	}
	if (expect == HEADER)
		die_input("bad table: %s: ends before its header: the file is truncated", t->name);
	t->cell = xcalloc((size_t)t->n_rows + 1, sizeof *t->cell);
	t->cell[0] = flat;
	for (int i = 1; i < t->n_rows; i++)
		t->cell[i] = flat + (size_t)i * (size_t)t->n_columns;
	return t;
}

void tsv_free(struct tsv *t)
{
	if (!t)
		return;
	free(t->cell[0]);
	free(t->cell);
	free(t->column);
	free(t->line);
	free(t->text);
	free(t->name);
	free(t);
}

int tsv_find_column(const struct tsv *t, const char *name)
{
	for (int i = 0; i < t->n_columns; i++)
		if (!strcmp(t->column[i], name))
			return i;
	return -1;
}

int tsv_column(const struct tsv *t, const char *name)
{
	int i = tsv_find_column(t, name);

	if (i < 0)
		die_input("bad table: %s: column %s is missing", t->name, name);
	return i;
}

void tsv_die(const struct tsv *t, int row, const char *fmt, ...)
{
	char *message;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		die("out of memory: formatting a message");
	va_end(ap);
	die_input("bad table: %s:%" PRIu64 ": %s", t->name, t->line[row], message);
}

const char *tsv_string(const struct tsv *t, int row, int column)
{
	const char *s = t->cell[row][column];

	if (!*s)
		tsv_die(t, row, "%s is empty", t->column[column]);
	return s;
}

double tsv_real(const struct tsv *t, int row, int column)
{
	double x;

	if (!parse_real(t->cell[row][column], &x))
		tsv_die(t, row, "%s is no number: %s", t->column[column], t->cell[row][column]);
	return x;
}

int64_t tsv_int(const struct tsv *t, int row, int column)
{
	int64_t i;

	if (!parse_i64(t->cell[row][column], &i))
		tsv_die(t, row, "%s is no whole number: %s", t->column[column], t->cell[row][column]);
	return i;
}

struct hash *tsv_inputs(void)
{
	static struct hash inputs;
	static bool started;

	if (!started)
		hash_start(&inputs);
	started = true;
	return &inputs;
}

void tsv_begin(FILE *out, const char *kind)
{
	struct hash inputs = *tsv_inputs(); /* a copy: there may be more tables, and more to read */
	uint8_t digest[HASH_BYTES];
	char hex[HASH_HEX];

	fprintf(out, "#palimpsest-%s 1\t%s", kind, option_record());
	if (inputs.bytes) {
		hash_end(&inputs, digest);
		hash_hex(digest, hex);
		fprintf(out, "\tinputs sha256 %s", hex);
	}
	putc('\n', out);
}

int tsv_is_clean(const char *s)
{
	size_t n = strlen(s);

	return n && utf8_valid(s, n) == n && !has_control(s, n);
}

int is_domain_name(const char *s)
{
	return tsv_is_clean(s) && strlen(s) <= 200 && *s != '-' && *s != '@' && strncmp(s, "#palimpsest-", 12) && !strchr(s, '/') &&
	       strcmp(s, ".") && strcmp(s, "..") && strcmp(s, "step") && strcmp(s, "after");
}
