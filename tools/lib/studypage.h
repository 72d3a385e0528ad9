/*
 * The page about a study: findings, tables and figures, everything inside it.
 */
#ifndef PALIMPSEST_STUDYPAGE_H
#define PALIMPSEST_STUDYPAGE_H

#include <stdio.h>

struct study_page {
	const char *title;
	const char *runs;    /* table of runs */
	const char *tables;  /* directory of study-stats */
	const char *figures; /* directory of study.sh; NULL: no figures */
	const char *cost, *disk; /* tables of what it took; NULL: none */
};

/* Malformed tables end the tool (exit 3). */
void study_page(FILE *out, const struct study_page *p);

#endif
