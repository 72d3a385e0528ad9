#include "word_cache.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "die.h"

#define HUGE_PAGE ((size_t)2 << 20)

word_pair *word_cache_new(int bits)
{
	const size_t size = sizeof(word_pair) << bits;
	word_pair *cache = aligned_alloc(size < HUGE_PAGE ? sizeof *cache : HUGE_PAGE, size);

	if (!cache)
		die("cannot allocate %zu bytes:", size);
	madvise(cache, size, MADV_HUGEPAGE); /* looked up at random: each small page would be a miss of its own */
	memset(cache, 0, size);
	return cache;
}
