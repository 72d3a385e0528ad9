/*
 * One page about one or several sequences: HTML with everything inside it, or a table for a terminal.
 */
#ifndef PALIMPSEST_REPORT_H
#define PALIMPSEST_REPORT_H

#include <stdio.h>

#include "heatmap.h"
#include "matrix.h"
#include "metrics.h"

struct study {
	const char *dir; /* of transfer-matrix */
	char *base;      /* its name, as it begins the names of its figures */
	bool alike;      /* of the same domains as the first */
	struct matrix *m;
	struct metrics *s;
};

/* Reads the directories; what cannot be compared ends the tool (exit 3). You studies_free() them. */
struct study *studies_load(const char *const *dirs, int n);
void studies_free(struct study *v, int n);

/*
 * figures: a folder with course.svg, distance.svg and for each study BASE.heat.svg, BASE.sequence.svg,
 * BASE.forgetting.svg and BASE.l1.svg, which are put into the page; NULL: a page without them.
 */
void report_html(FILE *out, const char *title, const struct study *v, int n, const char *figures);

/* The measures that people ask for first, side by side. */
void report_text(FILE *out, const struct study *v, int n, struct screen screen);

#endif
