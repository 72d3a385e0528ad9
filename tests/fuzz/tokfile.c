/* A file, the same through a pipe, read in pieces and loaded: all four are taken with the same ids, or none is. */
#include "fuzz.h"

#include <zlib.h>

#include "tokfile.h"

struct reading {
	const char *path;
	int load;
	uint64_t n, sum, source;
};

static void read_it(void *arg)
{
	struct reading *r = arg;
	struct tok_reader *t = tok_open(r->path);
	uint64_t n = 0, sum = 0;

	if (r->load) {
		int64_t id;

		tok_load(t);
		for (; n < tok_count(t); n++) {
			tok_copy(t, n, 1, &id);
			CHECK(id >= 0 && id < tok_vocab(t));
			sum = 31 * sum + (uint64_t)id;
		}
	} else {
		uint32_t id[7];
		size_t m;

		while ((m = tok_read(t, id, 7)) > 0)
			for (size_t i = 0; i < m; i++, n++) {
				CHECK(id[i] < tok_vocab(t));
				sum = 31 * sum + id[i];
			}
		CHECK(tok_count(t) == n);
	}
	r->n = n;
	r->sum = sum;
	r->source = tok_source_bytes(t);
	CHECK(strlen(tok_provenance(t)) < 1 << 20);
	tok_close(t);
}

static void compare(const uint8_t *data, size_t n)
{
	struct reading first = {.path = fuzz_file(data, n)};
	bool lives = fuzz_lives(read_it, &first);

	for (int i = 1; i < 4; i++) {
		struct reading r = {.path = i & 2 ? "-" : first.path, .load = i & 1};

		if (i & 2) {
			if (n > 60000)
				continue;
			fuzz_stdin(data, n);
		}
		CHECK(fuzz_lives(read_it, &r) == lives);
		CHECK(!lives || (r.n == first.n && r.sum == first.sum && r.source == first.source));
	}
}

static void put_crc(uint8_t *at, const uint8_t *data, size_t n)
{
	uint32_t crc = (uint32_t)crc32_z(0, data, n);

	memcpy(at, &crc, sizeof crc);
}

/* As it is, and with its sums made right, or nothing behind them would ever be reached. */
void fuzz(const uint8_t *data, size_t n)
{
	uint32_t header = 0;
	uint8_t *copy;

	compare(data, n);
	if (n < 16 + 32)
		return;
	memcpy(&header, data + 12, 4);
	if (header < 68 || header > n - 32)
		return;
	copy = malloc(n);
	memcpy(copy, data, n);
	put_crc(copy + header - 4, copy, header - 4);
	put_crc(copy + n - 8, copy + header, n - 32 - header);
	put_crc(copy + n - 4, copy + n - 32, 28);
	compare(copy, n);
	free(copy);
}
