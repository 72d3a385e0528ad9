#include "nn/batches.h"

#include <stdlib.h>
#include <string.h>

#include "lib/checked.h"
#include "lib/die.h"
#include "lib/rng.h"

#define CHECK_IDS 65536

/* A vocabulary larger than the model's is fine as long as no such id stands in the text. */
static void check_ids(const struct tok_reader *r, int64_t vocab)
{
	int64_t *id = xmalloc(CHECK_IDS * sizeof *id);

	for (uint64_t at = 0, n = tok_count(r); at < n; at += CHECK_IDS) {
		size_t some = n - at < CHECK_IDS ? (size_t)(n - at) : CHECK_IDS;
		tok_copy(r, at, some, id);
		for (size_t i = 0; i < some; i++)
			if (id[i] >= vocab)
				die_input("%s: token %llu: id %lld is beyond the model's vocabulary of %lld", tok_name(r),
				          (unsigned long long)(at + i), (long long)id[i], (long long)vocab);
	}
	free(id);
}

struct corpus *corpus_open(const char *const *path, int n, const uint8_t *tokenizer, int64_t vocab)
{
	struct corpus *c = xcalloc(1, sizeof *c);
	struct hash all;

	c->file = xcalloc((size_t)n, sizeof *c->file);
	c->start = xcalloc((size_t)n + 1, sizeof *c->start);
	hash_start(&all);
	for (int i = 0; i < n; i++) {
		struct tok_reader *r = c->file[i] = tok_open(path[i]);
		if (tokenizer && memcmp(tok_fingerprint(r), tokenizer, HASH_BYTES) != 0)
			die_input("%s: was made by another tokenizer than the model's", tok_name(r));
		if (i && memcmp(tok_fingerprint(r), tok_fingerprint(c->file[0]), HASH_BYTES) != 0)
			die_input("%s: was made by another tokenizer than %s", tok_name(r), tok_name(c->file[0]));
		tok_load(r);
		if ((int64_t)tok_vocab(r) > vocab)
			check_ids(r, vocab);
		c->start[i + 1] = c->start[i] + tok_count(r);
		uint8_t one[HASH_BYTES];
		tok_data_hash(r, one);
		hash_add(&all, one, sizeof one);
		c->n++;
	}
	if (n == 1)
		tok_data_hash(c->file[0], c->hash);
	else
		hash_end(&all, c->hash);
	return c;
}

void corpus_close(struct corpus *c)
{
	if (!c)
		return;
	for (int i = 0; i < c->n; i++)
		tok_close(c->file[i]);
	free(c->file);
	free(c->start);
	free(c);
}

uint64_t corpus_tokens(const struct corpus *c)
{
	return c->start[c->n];
}

void corpus_copy(const struct corpus *c, uint64_t start, uint64_t n, int64_t *id)
{
	for (int i = 0; i < c->n && n; i++) {
		if (start >= c->start[i + 1])
			continue;
		uint64_t some = c->start[i + 1] - start < n ? c->start[i + 1] - start : n;
		tok_copy(c->file[i], start - c->start[i], (size_t)some, id);
		start += some;
		id += some;
		n -= some;
	}
}

struct shuffle shuffle_make(const struct corpus *c, int64_t context, uint64_t seed)
{
	struct shuffle s = {.corpus = c, .seed = seed, .epoch = -1, .context = context};

	s.blocks = corpus_tokens(c) / (uint64_t)context;
	s.order = xcalloc(s.blocks ? s.blocks : 1, sizeof *s.order);
	return s;
}

void shuffle_free(struct shuffle *s)
{
	free(s->order);
	s->order = NULL;
}

void shuffle_block(struct shuffle *s, int64_t epoch, uint64_t at, int64_t *id)
{
	if (epoch != s->epoch) {
		struct rng r = rng_make(s->seed, rng_stream("shuffle", hash_number(s->corpus->hash), (uint64_t)epoch));
		rng_permutation(&r, s->order, s->blocks);
		s->epoch = epoch;
	}
	corpus_copy(s->corpus, s->order[at] * (uint64_t)s->context, (uint64_t)s->context, id);
}

void next_token_targets(const int64_t *id, int64_t n, int64_t context, int64_t *target)
{
	for (int64_t i = 0; i < n * context; i++)
		target[i] = (i + 1) % context ? id[i + 1] : -1;
}

uint64_t hash_number(const uint8_t hash[HASH_BYTES])
{
	uint64_t x = 0;

	for (int i = 0; i < 8; i++)
		x = x << 8 | hash[i];
	return x;
}
