/*
 * A stream of text of any length to ids, in chunks that are cut where a cut changes nothing, with worker threads.
 * What comes out does not depend on their number. Memory: the tokenizer's, some MB a thread, and the longest stretch
 * of text without such a place, which may have MAX_UNCUT bytes (more: exit 3).
 */
#ifndef PALIMPSEST_TOKEN_STREAM_H
#define PALIMPSEST_TOKEN_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tokenizer.h"

enum { MAX_UNCUT = 16 << 20 };

struct token_stream {
	const struct tokenizer *tokenizer;
	int64_t end;    /* id after each line's newline; each line is then a text of its own. -1: none, one text */
	bool text;      /* ids as text: a line of them for each line, which is a text of its own without its newline */
	int threads;
	const char *name; /* of the input, for messages */

	size_t (*read)(void *source, void *buf, size_t n); /* fewer than n only at the end */
	void *source;
	void (*write_ids)(void *sink, const uint32_t *id, size_t n); /* if not text */
	void (*write_text)(void *sink, const char *s, size_t n);     /* if text */
	void *sink;
};

/* Reads to the end and returns the number of bytes read. Progress is the caller's to start and end. */
uint64_t token_stream(const struct token_stream *t);

#endif
