/*
 * Protocols: what perplexity means. A protocol cuts a text into windows, says which tokens of a window are scored with
 * what before them, and how perplexity is formed from the windows' sums. A new one is one more entry of the table in protocol.c.
 */
#ifndef PALIMPSEST_PROTOCOL_H
#define PALIMPSEST_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/batches.h"
#include "nn/masking.h"

/* One pass of one sequence through the model. */
struct window {
	int64_t length;  /* tokens that go in */
	int64_t targets; /* tokens that are scored */
	uint64_t place;  /* where in the text the token stands that target[0] is, were it scored; target[t]: at place + t */
	double weight;   /* of the window's mean negative log-likelihood in the perplexity's logarithm */
};

struct protocol;

/* A text, cut. */
struct cut {
	const struct protocol *protocol;
	const struct corpus *corpus;
	int64_t context; /* most tokens in a window, at least 2 */
	int64_t setting; /* the number after the protocol's name, as S in strided:S; else 0 */
	int64_t prefix;  /* id that stands before a text, or -1 */
	uint64_t tokens; /* of the text; set by cut_text() */
	const struct masking *masking; /* for a protocol that masks; set by the caller */
};

struct protocol {
	const char *name;
	const char *setting;     /* name of the number that follows the name and a colon; NULL: none */
	int64_t min_setting, usual_setting; /* usual: where none is given; 0: one must be */
	bool in_context;         /* the setting may not be larger than the context */
	bool needs_prefix;
	bool masked;             /* for masked language models, and for no others */
	uint64_t (*windows)(const struct cut *c);
	struct window (*window)(const struct cut *c, uint64_t i);
	/* What goes into the model and what is to come out: id[t] and target[t], t < length; target -1: not scored. */
	void (*fill)(const struct cut *c, uint64_t i, const struct window *w, int64_t *id, int64_t *target);
};

/* "disjoint" or "strided:512". *setting: the number, 0 if the protocol has none. Unknown or wrong: exit 2. */
const struct protocol *protocol_parse(const char *text, int64_t *setting);
struct cut cut_text(const struct protocol *p, int64_t setting, const struct corpus *c, int64_t context, int64_t prefix);
uint64_t cut_windows(const struct cut *c);
struct window cut_window(const struct cut *c, uint64_t i); /* i < cut_windows(c) */
/* id (length), target (length) */
void cut_fill(const struct cut *c, uint64_t i, int64_t *id, int64_t *target);

#endif
