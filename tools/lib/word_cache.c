#include "word_cache.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "die.h"

#define HUGE_PAGE ((size_t)2 << 20)

void word_cache_open(struct word_cache *c, int bits)
{
	const size_t size = sizeof *c->pair << bits;

	c->bits = bits;
	c->pair = aligned_alloc(size < HUGE_PAGE ? sizeof *c->pair : HUGE_PAGE, size);
	if (!c->pair)
		die("cannot allocate %zu bytes:", size);
	madvise(c->pair, size, MADV_HUGEPAGE); /* looked up at random: each small page would be a miss of its own */
	memset(c->pair, 0, size);
}

void word_cache_close(struct word_cache *c)
{
	free(c->pair);
}
