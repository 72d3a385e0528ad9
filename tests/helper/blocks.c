/*
 * blocks FILE.tok CONTEXT SEED EPOCHS: the blocks that cpt-step trains on, in its order, a line of ids each; an empty
 * line after each epoch.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/checked.h"
#include "nn/batches.h"

int main(int argc, char **argv)
{
	int64_t context, seed, epochs;

	if (argc != 5 || !parse_i64(argv[2], &context) || !parse_i64(argv[3], &seed) || !parse_i64(argv[4], &epochs))
		return 2;
	struct corpus *c = corpus_open((const char *const *)argv + 1, 1, NULL, INT32_MAX);
	struct shuffle s = shuffle_make(c, context, (uint64_t)seed);
	int64_t *id = xcalloc((size_t)context, sizeof *id);

	for (int64_t e = 0; e < epochs; e++, puts(""))
		for (uint64_t b = 0; b < s.blocks; b++) {
			shuffle_block(&s, e, b, id);
			for (int64_t t = 0; t < context; t++)
				printf("%lld%c", (long long)id[t], t + 1 < context ? ' ' : '\n');
		}
	free(id);
	shuffle_free(&s);
	corpus_close(c);
	return 0;
}
