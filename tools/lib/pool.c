#include "pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checked.h"
#include "die.h"
#include "spool.h"

#define WRITE ((uint64_t)1 << 20) /* bytes of neighbours that are written at once */

struct entry {
	uint64_t key;
	uint64_t bytes; /* the newline included; BLANK is set if it is no document */
};

#define BLANK ((uint64_t)1 << 63)

struct pool {
	char *path, *index_path;
	struct spool *text, *index; /* until sealed */
	uint64_t docs, bytes, entries, last_key;
	const struct entry *entry; /* mapped */
};

struct pool *pool_open(const char *path)
{
	struct pool *p = xcalloc(1, sizeof *p);

	p->path = xstrdup(path);
	p->index_path = xasprintf("%s.index", path);
	p->text = spool_open(p->path);
	p->index = spool_open(p->index_path);
	return p;
}

static void put(struct pool *p, uint64_t key, const char *text, size_t n, uint64_t flag)
{
	struct entry e = {key, (n + 1) | flag};

	spool_write(p->text, text, n);
	spool_write(p->text, "\n", 1);
	spool_write(p->index, &e, sizeof e);
	p->bytes += n + 1;
	p->entries++;
	p->last_key = key;
}

void pool_put(struct pool *p, uint64_t key, const char *text, size_t n)
{
	put(p, key, text, n, 0);
	p->docs++;
}

void pool_put_blank(struct pool *p, const char *text, size_t n)
{
	put(p, p->last_key, text, n, BLANK);
}

uint64_t pool_docs(const struct pool *p)
{
	return p->docs;
}

uint64_t pool_bytes(const struct pool *p)
{
	return p->bytes;
}

void pool_seal(struct pool *p)
{
	spool_close(p->text);
	spool_close(p->index);
	p->text = p->index = NULL;
	p->entry = map_file(p->index_path, p->entries * sizeof *p->entry);
}

static bool is_in(uint64_t key, struct range range)
{
	return key >= range.from && key < range.to;
}

static uint64_t size_of(const struct entry *e)
{
	return e->bytes & ~BLANK;
}

uint64_t pool_bytes_in(const struct pool *p, struct range range)
{
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < p->entries; i++)
		if (is_in(p->entry[i].key, range))
			bytes += size_of(&p->entry[i]);
	return bytes;
}

/*
 * The smallest key K such that entries with keys in [from, K] have at least want bytes; false if all have fewer. A radix
 * descent, 16 bits a time: four passes over the index, and memory that does not depend on it.
 */
static bool key_at(const struct pool *p, uint64_t from, uint64_t want, uint64_t *result)
{
	uint64_t *sum = xcalloc(1 << 16, sizeof *sum), prefix = 0, below = 0;
	bool enough = true;

	for (int shift = 48; shift >= 0 && enough; shift -= 16) {
		uint64_t digit = 0;

		memset(sum, 0, sizeof *sum << 16);
		for (uint64_t i = 0; i < p->entries; i++) {
			uint64_t key = p->entry[i].key;

			if (key >= from && (shift == 48 || key >> (shift + 16) == prefix))
				sum[key >> shift & 0xffff] += size_of(&p->entry[i]);
		}
		while (digit < 0x10000 && below + sum[digit] < want)
			below += sum[digit++];
		enough = digit < 0x10000;
		prefix = prefix << 16 | digit;
	}
	free(sum);
	*result = prefix;
	return enough;
}

struct range pool_at_least(const struct pool *p, uint64_t from, uint64_t bytes)
{
	uint64_t key;

	return (struct range){from, key_at(p, from, bytes, &key) ? key + 1 : POOL_END, 0};
}

struct range pool_at_most(const struct pool *p, uint64_t from, uint64_t bytes)
{
	struct range r = {from, POOL_END, 0};
	uint64_t key, sum;

	if (bytes == UINT64_MAX || !key_at(p, from, bytes + 1, &key))
		return r;
	r.to = key;
	sum = pool_bytes_in(p, r);
	for (uint64_t i = 0; i < p->entries; i++) { /* documents that are equal, each with the blank lines behind it */
		if (p->entry[i].key != key)
			continue;
		r.equals += !(p->entry[i].bytes & BLANK);
		if ((sum += size_of(&p->entry[i])) > bytes)
			break;
	}
	r.equals--; /* the one that was too many */
	return r;
}

/* equals: how many documents of each part's key `to` there were, up to this entry. */
static int part_of(const struct entry *e, const struct part *part, uint64_t *equals, int n)
{
	while (--n >= 0) {
		if (!part[n].path)
			continue;
		if (is_in(e->key, part[n].range))
			break;
		if (e->key == part[n].range.to && (equals[n] += !(e->bytes & BLANK)) <= part[n].range.equals)
			break;
	}
	return n;
}

void pool_divide(const struct pool *p, struct part *part, int n, void (*check)(void))
{
	const char *text = map_file(p->path, p->bytes);
	struct spool **to = xcalloc((size_t)n + 1, sizeof *to);
	uint64_t start = 0, end = 0, *equals = xcalloc((size_t)n + 1, sizeof *equals);
	int current = -1;

	for (int k = 0; k < n; k++) {
		part[k].docs = part[k].bytes = 0;
		if (part[k].path) {
			to[k] = spool_open(part[k].path);
			to[k]->stays = true;
		}
	}
	for (uint64_t i = 0; i < p->entries; i++) {
		const struct entry *e = &p->entry[i];
		int k = part_of(e, part, equals, n);

		if (k != current || end - start > WRITE) {
			if (current >= 0)
				spool_write(to[current], text + start, end - start);
			start = end;
			current = k;
			check();
		}
		end += size_of(e);
		if (k >= 0) {
			part[k].bytes += size_of(e);
			part[k].docs += !(e->bytes & BLANK);
		}
	}
	if (current >= 0)
		spool_write(to[current], text + start, end - start);
	for (int k = 0; k < n; k++)
		if (to[k])
			spool_close(to[k]);
	free(to);
	free(equals);
	unmap_file(text, p->bytes);
}

void pool_keep(struct pool *p)
{
	unmap_file(p->entry, p->entries * sizeof *p->entry);
	if (unlink(p->index_path))
		die("cannot remove %s:", p->index_path);
	free(p->index_path);
	free(p->path);
	free(p);
}

void pool_remove(struct pool *p)
{
	if (unlink(p->path))
		die("cannot remove %s:", p->path);
	pool_keep(p);
}
