#include "token_stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "progress.h"

enum { CHUNK = 1 << 18 };

/* A part of the stream on its way from the reader through a worker to the writer. */
struct chunk {
	char *text;
	size_t n, cap;
	bool begun; /* its first line, or the text, began before it */
	bool last;  /* the stream ends with it */
	bool done;  /* guarded by the lock */
	struct ids ids;
	char *out; /* ids as text */
	size_t n_out, cap_out;
};

struct stream {
	const struct token_stream *t;
	struct chunk *chunk; /* a ring; chunk i of the stream is chunk[i % n_chunks] */
	uint64_t n_chunks, filled, taken;
	bool ended;
	pthread_mutex_t lock;
	pthread_cond_t work, ready;
	/* the reader's: what it has read beyond the last cut */
	char *rest;
	size_t n_rest, cap_rest;
	bool eof, inside; /* inside: the last cut was in a line */
	uint64_t bytes;
};

static void reserve(char **p, size_t *cap, size_t n)
{
	if (*cap < n) {
		*cap = n;
		*p = xreallocarray(*p, n, 1);
	}
}

/* --- worker ------------------------------------------------------------------------------------ */

static void put_id(struct chunk *c, uint32_t id, bool first)
{
	char digit[10];
	int n = 0;

	do
		digit[n++] = (char)('0' + id % 10);
	while ((id /= 10));
	if (!first)
		c->out[c->n_out++] = ' ';
	while (n)
		c->out[c->n_out++] = digit[--n];
}

static void put_ids(struct chunk *c, bool begun, bool newline)
{
	size_t need = c->n_out + 11 * c->ids.n + 1;

	if (c->cap_out < need)
		reserve(&c->out, &c->cap_out, need + need / 2);
	for (size_t i = 0; i < c->ids.n; i++)
		put_id(c, c->ids.id[i], i == 0 && !begun);
	if (newline)
		c->out[c->n_out++] = '\n';
	c->ids.n = 0;
}

static void encode(const struct token_stream *t, struct tok_scratch *s, struct chunk *c)
{
	unsigned special = t->special ? ENCODE_SPECIAL : 0;
	bool begun = c->begun;

	c->ids.n = c->n_out = 0;
	if (!t->lines) {
		tokenizer_encode_part(t->tokenizer, s, c->text, c->n,
				      special | (begun ? ENCODE_GOES_ON : 0) | (c->last ? 0 : ENCODE_MORE), &c->ids);
		return;
	}
	for (size_t at = 0, n; at < c->n; at += n) {
		const char *newline = memchr(c->text + at, '\n', c->n - at);
		bool whole = newline || c->last; /* the line ends in this chunk */

		n = newline ? (size_t)(newline + 1 - (c->text + at)) : c->n - at;
		if (!begun)
			ids_append(&c->ids, t->before.id, t->before.n);
		tokenizer_encode_part(t->tokenizer, s, c->text + at, n - ((t->text || t->bare) && newline),
				      special | (begun ? ENCODE_GOES_ON : 0) | (whole ? 0 : ENCODE_MORE), &c->ids);
		if (whole)
			ids_append(&c->ids, t->after.id, t->after.n);
		if (t->text)
			put_ids(c, begun, whole);
		begun = false;
	}
}

static void *work(void *arg)
{
	struct stream *s = arg;
	struct tok_scratch *scratch = tok_scratch_new(s->t->tokenizer);

	pthread_mutex_lock(&s->lock);
	for (;;) {
		struct chunk *c;

		while (s->taken == s->filled && !s->ended)
			pthread_cond_wait(&s->work, &s->lock);
		if (s->taken == s->filled)
			break;
		c = &s->chunk[s->taken++ % s->n_chunks];
		pthread_mutex_unlock(&s->lock);
		encode(s->t, scratch, c);
		pthread_mutex_lock(&s->lock);
		c->done = true;
		pthread_cond_signal(&s->ready);
	}
	pthread_mutex_unlock(&s->lock);
	tok_scratch_free(scratch);
	return NULL;
}

/* --- reader and writer ------------------------------------------------------------------------- */

/* Where the stream may be cut: after a newline where lines are texts of their own, else where the tokenizer says. */
static size_t cut(const struct token_stream *t, const struct chunk *c, bool *inside)
{
	const char *newline = t->lines ? memrchr(c->text, '\n', c->n) : NULL;

	*inside = !newline;
	if (newline)
		return (size_t)(newline + 1 - c->text);
	/* Something is left behind the cut, so that the last chunk of a text is known for it. */
	return tokenizer_split_part(t->tokenizer, c->text, c->n - 1, t->special);
}

/* The next chunk of the stream; false at its end. */
static bool fill(struct stream *s, struct chunk *c)
{
	size_t want = CHUNK, k = 0, got;

	if (s->n_rest > want)
		want = s->n_rest;
	reserve(&c->text, &c->cap, want);
	if (s->n_rest)
		memcpy(c->text, s->rest, s->n_rest);
	c->n = s->n_rest;
	s->n_rest = 0;
	c->begun = s->inside;
	for (;;) {
		if (!s->eof) {
			got = s->t->read(s->t->source, c->text + c->n, want - c->n);
			s->eof = got < want - c->n;
			s->bytes += got;
			c->n += got;
		}
		c->last = s->eof;
		if (s->eof)
			return c->n > 0;
		if ((k = cut(s->t, c, &s->inside)) > 0)
			break;
		if (want >= MAX_UNCUT)
			die_input("cannot tokenize: %s: byte %llu: more than %d MiB without a place to cut", s->t->name,
				  (unsigned long long)(s->bytes - c->n), MAX_UNCUT >> 20);
		want *= 2;
		reserve(&c->text, &c->cap, want);
	}
	s->n_rest = c->n - k;
	reserve(&s->rest, &s->cap_rest, s->n_rest);
	memcpy(s->rest, c->text + k, s->n_rest);
	c->n = k;
	return true;
}

static void put(struct stream *s, struct chunk *c)
{
	if (s->t->text)
		s->t->write_text(s->t->sink, c->out, c->n_out);
	else
		s->t->write_ids(s->t->sink, c->ids.id, c->ids.n);
	progress_update(s->bytes, NULL);
	if (c->cap > 4 * CHUNK) { /* a pathological stretch is over: give its memory back */
		free(c->text);
		free(c->ids.id);
		free(c->out);
		memset(c, 0, sizeof *c);
	}
}

static void run_threads(struct stream *s)
{
	pthread_t *thread = xcalloc((size_t)s->t->threads, sizeof *thread);
	uint64_t written = 0;
	bool more = true;
	int error;

	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->ready, NULL);
	for (int i = 0; i < s->t->threads; i++)
		if ((error = pthread_create(&thread[i], NULL, work, s)))
			die("cannot start thread %d of %d: %s", i + 1, s->t->threads, strerror(error));
	while (more || written < s->filled) {
		struct chunk *oldest = &s->chunk[written % s->n_chunks];
		bool done, full = s->filled - written == s->n_chunks;

		pthread_mutex_lock(&s->lock);
		while ((full || !more) && !oldest->done)
			pthread_cond_wait(&s->ready, &s->lock);
		done = written < s->filled && oldest->done;
		pthread_mutex_unlock(&s->lock);
		if (done) {
			put(s, oldest);
			oldest->done = false;
			written++;
			continue;
		}
		more = fill(s, &s->chunk[s->filled % s->n_chunks]);
		pthread_mutex_lock(&s->lock);
		if (more)
			s->filled++;
		else
			s->ended = true;
		pthread_cond_broadcast(&s->work);
		pthread_mutex_unlock(&s->lock);
		more = more && !s->eof;
	}
	pthread_mutex_lock(&s->lock);
	s->ended = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->lock);
	for (int i = 0; i < s->t->threads; i++)
		pthread_join(thread[i], NULL);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->ready);
	free(thread);
}

static void run_alone(struct stream *s)
{
	struct tok_scratch *scratch = tok_scratch_new(s->t->tokenizer);

	while (!s->eof && fill(s, s->chunk)) {
		encode(s->t, scratch, s->chunk);
		put(s, s->chunk);
	}
	tok_scratch_free(scratch);
}

uint64_t token_stream(const struct token_stream *t)
{
	/* several for each worker, which goes on while this thread reads or writes */
	struct stream s = {.t = t, .n_chunks = t->threads > 1 ? 4 * (uint64_t)t->threads + 8 : 1};

	s.chunk = xcalloc(s.n_chunks, sizeof *s.chunk);
	if (t->threads > 1)
		run_threads(&s);
	else
		run_alone(&s);
	for (uint64_t i = 0; i < s.n_chunks; i++) {
		free(s.chunk[i].text);
		free(s.chunk[i].ids.id);
		free(s.chunk[i].out);
	}
	free(s.chunk);
	free(s.rest);
	return s.bytes;
}
