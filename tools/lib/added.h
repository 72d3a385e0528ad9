/*
 * Added tokens: contents that are found in a text before it goes to the model, as Hugging Face tokenizers find them. Some are
 * looked for in the text as it is, the others in what the normalizer makes of it. Special ones count only on demand.
 */
#ifndef PALIMPSEST_ADDED_H
#define PALIMPSEST_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"
#include "json.h"

enum { MAX_ADDED = 1 << 14, MAX_ADDED_BYTES = 1024 };

struct added_token {
	char *content;
	char *pattern; /* what is looked for: the content, or its normalized form; set by added_ready() */
	size_t n;      /* bytes of the pattern, which may hold any byte */
	uint32_t id;
	bool special;
	bool normalized;     /* looked for in normalized text */
	bool lstrip, rstrip; /* takes in the white space on its left, right */
	bool single_word;    /* not inside a word */
};

struct added {
	struct added_token *token; /* by id once they are ready */
	size_t n, cap;
	/* of normalized text, and of text as it is: sorted by pattern */
	struct added_set {
		const struct added_token **token;
		size_t n, first[257]; /* those whose first byte is c are token[first[c]] to token[first[c + 1] - 1] */
		size_t longest;
		bool ordinary; /* one at least is not special */
	} set[2];
};

/* The content is copied. One that is there already gets the new flags; the same with another id, or an id twice: exit 3. */
void added_put(struct added *a, const struct added_token *token, const char *path);
void added_put_json(struct added *a, const struct json *doc, const json_value *token, uint32_t id, const char *path);
void added_free(struct added *a);

/* When all are there. normalize makes a content into its pattern (malloc()ed) and *n bytes; NULL: it stays as it is. */
void added_ready(struct added *a, char *(*normalize)(const void *model, const char *content, size_t *n), const void *model,
		 const char *path);

const struct added_token *added_by_id(const struct added *a, uint32_t id); /* NULL: none. Once they are ready. */
const struct added_token *added_by_content(const struct added *a, const char *content);

/* Is there anything to look for? special: special ones, too. */
bool added_any(const struct added *a, bool normalized, bool special);

/*
 * The next token that counts in text[0..n), with the white space that it takes in: text[*start..*end). NULL: no more.
 * What stands between the last one's end (s->done before the call) and *start is a piece of ordinary text.
 */
struct added_scan {
	const struct added_set *set;
	const char *text;
	size_t n;
	bool special;    /* special ones count */
	bool blank;      /* ' ' is white space */
	size_t at, done; /* 0 at first */
};
const struct added_token *added_next(struct added_scan *s, size_t *start, size_t *end);

/*
 * Does any token, counting or not, stand in text[0..n) over k, or end or begin there? If not, and text[k - 1] is no white
 * space, the text may be cut at k. blank_before: a blank may be thought before each byte.
 */
bool added_touches(const struct added_set *set, const char *text, size_t n, size_t k, bool blank_before);

/* For fingerprints: adds nothing if there is nothing but special tokens without flags. */
void added_hash(const struct added *a, struct hash *h);

#endif
