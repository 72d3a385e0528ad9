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
	bool lines;     /* each line, with its newline, is a text of its own; if not, the whole */
	bool bare;      /* lines: without their newlines */
	bool text;      /* lines: ids as text, a line of them for each line, which is taken without its newline */
	struct ids before, after; /* lines: ids put round each */
	bool special;   /* special tokens in the text count */
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
