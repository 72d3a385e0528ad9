/* Rows that were measured before (palimpsest-rows(5)), so that nothing is measured twice. */
#ifndef PALIMPSEST_KNOWN_H
#define PALIMPSEST_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

struct known;

/*
 * Reads tables. They are no inputs in the sense of tsv_inputs(): a row is the same whether it is copied or measured.
 * columns: names of what known_find() returns, with tabs. You known_free() it.
 */
struct known *known_read(const char *const *path, int n, const char *columns);

/* What a row must be. */
struct wanted {
	const char *model_hash, *protocol, *data_hash;
	bool sample;      /* the protocol names the windows, so a standard error is no objection */
	double until;     /* else it must meet this (sample.h); 0: every window was scored */
	double reference; /* nll / targets that the change is against, for until */
};

/* The cells of a row, with tabs between them, which you free(); NULL: there is none. */
char *known_find(const struct known *k, const struct wanted *w);
void known_free(struct known *k);

#endif
