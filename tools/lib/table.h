/*
 * A table in the making that is written three times: TSV with every digit (tsv.h), Markdown and LaTeX with as many as
 * a person reads.
 */
#ifndef PALIMPSEST_TABLE_H
#define PALIMPSEST_TABLE_H

#include <stdio.h>

struct table;

/* kind: of the TSV's first line; columns: names separated by blanks. You table_free() it. */
struct table *table_new(const char *kind, const char *columns);
/* One cell after the other, row after row. */
void table_text(struct table *t, const char *s);      /* "" becomes "-" */
void table_int(struct table *t, long long n);
void table_real(struct table *t, double x, const char *format); /* format: for people, such as "%.2f"; NaN: "-" */
/* DIR/NAME.tsv, .md and .tex; dies if a row is not complete (a bug). */
void table_write(const struct table *t, const char *dir, const char *name);
void table_free(struct table *t);

/* A cell's text in Markdown. */
void md_text(FILE *out, const char *s);

#endif
