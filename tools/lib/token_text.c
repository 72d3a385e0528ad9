#include "token_text.h"

#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "words.h"

enum { PIECE = 65536 };

bool token_text_possible(const struct tokenizer *t)
{
	size_t n;

	return tokenizer_bytes(t, 0, &n) != NULL;
}

/* Hands over the bytes of each token in order. */
static void each_token(const struct tok_reader *r, const struct tokenizer *t,
                       void (*take)(void *arg, const char *bytes, size_t n), void *arg)
{
	int64_t *id = xcalloc(PIECE, sizeof *id);
	unsigned state = 0;

	for (uint64_t at = 0, n = tok_count(r); at < n; at += PIECE) {
		size_t some = n - at < PIECE ? (size_t)(n - at) : PIECE, bytes;
		tok_copy(r, at, some, id);
		for (size_t i = 0; i < some; i++) {
			const char *s = tokenizer_text(t, (uint32_t)id[i], false, &state, &bytes);
			take(arg, s, s ? bytes : 0);
		}
	}
	free(id);
}

struct filling {
	struct token_text *x;
	size_t cap;
};

static void add_token(void *arg, const char *bytes, size_t n)
{
	struct filling *f = arg;
	struct token_text *x = f->x;

	while (f->cap - x->n < n) {
		f->cap = f->cap ? 2 * f->cap : 1 << 16;
		x->text = xreallocarray(x->text, f->cap, 1);
	}
	if (n)
		memcpy(x->text + x->n, bytes, n);
	x->n += n;
	x->start[++x->tokens] = x->n;
}

struct token_text *token_text_read(const struct tok_reader *r, const struct tokenizer *t)
{
	struct token_text *x = xcalloc(1, sizeof *x);
	struct filling f = {x, 0};

	x->start = xcalloc((size_t)tok_count(r) + 1, sizeof *x->start);
	each_token(r, t, add_token, &f);
	if (x->n != tok_source_bytes(r))
		die_input("%s: its ids stand for %zu bytes of text, but it was made of %llu", tok_name(r), x->n,
		          (unsigned long long)tok_source_bytes(r));
	return x;
}

void token_text_free(struct token_text *x)
{
	if (!x)
		return;
	free(x->text);
	free(x->start);
	free(x);
}

struct counting {
	struct word_count words;
	uint64_t bytes;
};

static void count_token(void *arg, const char *bytes, size_t n)
{
	struct counting *c = arg;

	if (n)
		word_count_add(&c->words, bytes, n);
	c->bytes += n;
}

uint64_t token_text_words(const struct tok_reader *r, const struct tokenizer *t)
{
	struct counting c = {0};

	each_token(r, t, count_token, &c);
	return c.bytes == tok_source_bytes(r) ? word_count(&c.words) : 0;
}
