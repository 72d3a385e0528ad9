/* Bytes and lines of a file, plain or compressed: both ways take it or neither does, and see the same bytes. */
#include "fuzz.h"

#include "reader.h"

struct sum {
	const char *path;
	uint64_t bytes, sum;
};

static void add(struct sum *s, const char *p, size_t n)
{
	s->bytes += n;
	for (size_t i = 0; i < n; i++)
		s->sum = 31 * s->sum + (unsigned char)p[i];
}

static void by_bytes(void *arg)
{
	struct sum *s = arg;
	struct reader *r = reader_open(s->path);
	char buf[1000];
	size_t n;

	while ((n = reader_read(r, buf, sizeof buf)) > 0)
		add(s, buf, n);
	CHECK(reader_offset(r) == s->bytes);
	reader_close(r);
}

static void by_lines(void *arg)
{
	struct sum *s = arg;
	struct reader *r = reader_open(s->path);
	uint64_t lines = 0;
	char *line;
	ssize_t n;

	while ((n = reader_line(r, &line, 0)) >= 0) {
		CHECK(line[n] == '\0' && !memchr(line, '\n', (size_t)n));
		CHECK(reader_line_number(r) == ++lines);
		add(s, line, (size_t)n);
		if (reader_newline(r))
			add(s, "\n", 1);
	}
	CHECK(reader_offset(r) == s->bytes);
	reader_close(r);
}

void fuzz(const uint8_t *data, size_t n)
{
	const char *path = fuzz_file(data, n);
	struct sum a = {.path = path}, b = {.path = path}, c = {.path = "-"};
	bool lives = fuzz_lives(by_bytes, &a);

	CHECK(fuzz_lives(by_lines, &b) == lives);
	CHECK(!lives || (a.bytes == b.bytes && a.sum == b.sum));
	if (n <= 60000) {
		fuzz_stdin(data, n);
		CHECK(fuzz_lives(by_bytes, &c) == lives);
		CHECK(!lives || (a.bytes == c.bytes && a.sum == c.sum));
	}
}
