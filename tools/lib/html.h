/*
 * Pieces of a page of HTML that has everything inside it.
 */
#ifndef PALIMPSEST_HTML_H
#define PALIMPSEST_HTML_H

#include <stdio.h>

extern const char html_style[]; /* <style>...</style> */

/* Escaped; a '-' before a digit becomes a minus. */
void html_text(FILE *out, const char *s);
/* Escaped, and no sign changed: for names and hashes. */
void html_name(FILE *out, const char *s);
void html_name_cell(FILE *out, const char *s); /* of a table */
/* A file as a data: URI. */
void html_data_uri(FILE *out, const char *path, const char *type);
/* FOLDER/BASE.FIGURE.svg (base NULL: FOLDER/FIGURE.svg) with a caption; folder NULL: nothing. */
void html_figure(FILE *out, const char *folder, const char *base, const char *figure, const char *caption);

#endif
