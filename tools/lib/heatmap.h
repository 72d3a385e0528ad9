/*
 * The transfer matrix for a person's eyes on a terminal, and the colours that it shares with the report.
 * Blue: better than zero-shot, orange: worse (safe for all common kinds of colour blindness).
 */
#ifndef PALIMPSEST_HEATMAP_H
#define PALIMPSEST_HEATMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "matrix.h"
#include "metrics.h"

enum color { COLOR_NONE, COLOR_256, COLOR_24BIT };

struct screen {
	enum color color;
	bool utf8;
	int width; /* columns */
};

/* What out can show; when: "auto", "always" or "never". NO_COLOR, COLORTERM, TERM and COLUMNS are heeded. */
struct screen screen_of(FILE *out, const char *when);

/* x in [-1, 1], clamped; x < 0 is better: blue. */
void heat_rgb(double x, uint8_t rgb[3]);
/* Should text on that colour be white? */
bool heat_is_dark(const uint8_t rgb[3]);
/* The change at which the colours end: nearly all cells are within it, and at least 1 %. */
double heat_limit(const struct matrix *m);

/* The main figures in a table and in words. */
void summary_print(FILE *out, const struct matrix *m, const struct metrics *s, struct screen screen);
/*
 * Rows: checkpoints 1..n; columns: domains in the order's sequence; cells: change in perplexity against
 * zero-shot, in percent where there is room for it. What is too large for the screen is averaged in squares.
 */
void heatmap_print(FILE *out, const struct matrix *m, struct screen screen);

#endif
