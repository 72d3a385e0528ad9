#include "reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include "checked.h"
#include "death.h"

#define BIG 3000000 /* several windows */

static char *big;

/* Deterministic text that packs neither to nothing nor not at all, with lines of 1 to 200 bytes. */
static int make_big(void **state)
{
	uint32_t x = 1;

	if (in_scratch(state))
		return 1;
	big = malloc(BIG);
	for (int i = 0; i < BIG; i++) {
		x = x * 1664525 + 1013904223;
		big[i] = x >> 24 < 3 ? '\n' : (char)('a' + (x >> 28));
	}
	big[BIG - 1] = '\n';
	return 0;
}

static int drop_big(void **state)
{
	free(big);
	return out_of_scratch(state);
}

static size_t pack(const char *data, size_t n, unsigned char **out)
{
	z_stream z = {0};
	size_t cap = n + n / 100 + 1000;

	*out = malloc(cap);
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)(uintptr_t)data;
	z.avail_in = (uInt)n;
	z.next_out = *out;
	z.avail_out = (uInt)cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	n = z.total_out;
	deflateEnd(&z);
	return n;
}

static void put_packed(const char *name, const char *data, size_t n, const char *mode)
{
	unsigned char *packed;
	FILE *f = fopen(name, mode);

	n = pack(data, n, &packed);
	assert_non_null(f);
	assert_int_equal(fwrite(packed, 1, n, f), n);
	fclose(f);
	free(packed);
}

static void check_lines(const char *name, const char *data, size_t n)
{
	struct reader *r = reader_open(name);
	uint64_t number = 0, offset = 0;
	char *line;
	ssize_t len;

	while ((len = reader_line(r, &line, 0)) >= 0) {
		assert_true(offset + (size_t)len <= n);
		assert_memory_equal(line, data + offset, (size_t)len);
		assert_int_equal(line[len], 0);
		offset += (size_t)len + reader_newline(r);
		assert_int_equal(reader_offset(r), offset);
		assert_int_equal(reader_line_number(r), ++number);
	}
	assert_int_equal(offset, n);
	assert_int_equal(reader_line(r, &line, 0), -1); /* and stays there */
	reader_close(r);
}

static void check_reads(const char *name, const char *data, size_t n, size_t step)
{
	struct reader *r = reader_open(name);
	char *buf = malloc(step);
	size_t got, done = 0;

	do {
		got = reader_read(r, buf, step);
		assert_true(done + got <= n);
		assert_memory_equal(buf, data + done, got);
		done += got;
		assert_int_equal(reader_offset(r), done);
	} while (got == step);
	assert_int_equal(done, n);
	assert_int_equal(reader_read(r, buf, step), 0);
	free(buf);
	reader_close(r);
}

static void plain_and_packed(void **state)
{
	static const size_t step[] = {1, 1000, 524288, 700001, 5000000};

	(void)state;
	put_file("plain", big, BIG);
	put_packed("packed", big, BIG, "w"); /* the name does not tell */
	for (int i = 0; i < 100; i++)       /* members that end anywhere */
		put_packed("members.gz", big + (size_t)i * (BIG / 100), BIG / 100, i ? "a" : "w");
	put_packed("members.gz", "", 0, "a");
	check_lines("plain", big, BIG);
	check_lines("packed", big, BIG);
	check_lines("members.gz", big, BIG);
	for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
		check_reads("plain", big, BIG, step[i]);
		check_reads("packed", big, BIG, step[i]);
		check_reads("members.gz", big, BIG, step[i]);
	}
}

static void ends(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} t[] = {{"", 0}, {"x", 1}, {"\n", 1}, {"a\nb", 3}, {"a\nb\n", 4}, {"\n\n", 2}, {"a\0b\n\0", 5}, {"\x1f", 1}};
	char *line;
	struct reader *r;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		put_file("end", t[i].text, t[i].n);
		check_lines("end", t[i].text, t[i].n);
		put_packed("end", t[i].text, t[i].n, "w");
		check_lines("end", t[i].text, t[i].n);
	}
	put_file("end", "a\nb", 3);
	r = reader_open("end");
	assert_int_equal(reader_line(r, &line, 0), 1);
	assert_true(reader_newline(r));
	assert_int_equal(reader_line(r, &line, 0), 1);
	assert_false(reader_newline(r));
	reader_close(r);
}

static void one_long_line(void **state)
{
	char *text = malloc(BIG);

	(void)state;
	memset(text, 'x', BIG);
	text[100] = '\n';
	text[BIG - 101] = '\n';
	put_file("long", text, BIG);
	check_lines("long", text, BIG);
	put_packed("long", text, BIG, "w");
	check_lines("long", text, BIG);
	free(text);
}

static void lines_then_bytes(void **state)
{
	struct reader *r;
	char *line, rest[8];

	(void)state;
	put_file("mixed", "head\nbody", 9);
	r = reader_open("mixed");
	assert_int_equal(reader_line(r, &line, 0), 4);
	assert_int_equal(reader_read(r, rest, sizeof rest), 4);
	assert_memory_equal(rest, "body", 4);
	reader_close(r);
}

static void from_stdin(void **state)
{
	struct reader *r;
	char *line;
	int keep = dup(STDIN_FILENO), p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "one\ntwo\n", 8), 8);
	close(p[1]);
	dup2(p[0], STDIN_FILENO);
	close(p[0]);
	r = reader_open("-");
	assert_string_equal(reader_name(r), "stdin");
	assert_int_equal(reader_line(r, &line, 0), 3);
	assert_int_equal(reader_line(r, &line, 0), 3);
	assert_string_equal(line, "two");
	assert_int_equal(reader_line(r, &line, 0), -1);
	reader_close(r);
	dup2(keep, STDIN_FILENO);
	close(keep);
}

/* A packed file that comes a few bytes at a time: no chunk border may matter. */
static void drip(void **state)
{
	unsigned char *packed;
	size_t n = pack(big, 5000, &packed), done = 0;
	int keep = dup(STDIN_FILENO), p[2];
	char text[6000];
	struct reader *r;

	(void)state;
	assert_int_equal(pipe(p), 0);
	fflush(NULL);
	if (fork() == 0) {
		for (size_t i = 0; i < n; i++)
			if (write(p[1], packed + i, 1) != 1 || (i < 20 && usleep(2000)))
				_exit(1);
		_exit(0);
	}
	close(p[1]);
	dup2(p[0], STDIN_FILENO);
	close(p[0]);
	r = reader_open("-");
	done = reader_read(r, text, sizeof text);
	assert_int_equal(done, 5000);
	assert_memory_equal(text, big, done);
	reader_close(r);
	dup2(keep, STDIN_FILENO);
	close(keep);
	wait(NULL);
	free(packed);
}

static void read_all(const void *name)
{
	struct reader *r = reader_open(name);
	char buf[65536];

	while (reader_read(r, buf, sizeof buf))
		;
	reader_close(r);
}

static void read_lines_of_10(const void *name)
{
	struct reader *r = reader_open(name);
	char *line;

	while (reader_line(r, &line, 10) >= 0)
		;
	reader_close(r);
}

static void damage(void **state)
{
	unsigned char *packed;
	size_t n = pack(big, 300, &packed), m;

	(void)state;
	for (size_t cut = 0; cut < n; cut++) { /* no beginning of a .gz passes for a whole one */
		put_file("cut.gz", packed, cut);
		assert_dies(read_all, "cut.gz", 3, "truncated");
	}
	for (size_t i = 0; i < n; i++) { /* header flags that only add fields aside, no flipped bit passes */
		if (i >= 3 && i <= 9)
			continue;
		packed[i] ^= 0x10;
		put_file("flip.gz", packed, n);
		if (i < 2)
			assert_int_equal(end_of(read_all, "flip.gz").code, 0); /* plain bytes then: told by content */
		else
			assert_dies(read_all, "flip.gz", 3, "bad gzip data: flip.gz: byte ");
		packed[i] ^= 0x10;
	}
	packed = realloc(packed, 2 * n + 8);
	memcpy(packed + n, "trailing", 8);
	put_file("trail.gz", packed, n + 8);
	assert_dies(read_all, "trail.gz", 3, "not a gzip member");
	memset(packed + n, 0, 8);
	put_file("trail.gz", packed, n + 8);
	assert_dies(read_all, "trail.gz", 3, "not a gzip member");
	memcpy(packed + n, packed, n);
	for (m = n + 1; m < 2 * n; m++) { /* a second member that is cut */
		put_file("second.gz", packed, m);
		assert_dies(read_all, "second.gz", 3, "truncated");
	}
	free(packed);
	n = pack(big, BIG, &packed); /* larger than all buffers */
	put_file("cut.gz", packed, n - 1);
	assert_dies(read_all, "cut.gz", 3, "truncated");
	packed[n / 2] ^= 1;
	put_file("flip.gz", packed, n);
	assert_dies(read_all, "flip.gz", 3, "bad gzip data");
	free(packed);
}

static void failures(void **state)
{
	(void)state;
	assert_dies(read_all, "missing", 1, "cannot open missing: No such file");
	make_dirs("folder");
	assert_dies(read_all, "folder", 1, "cannot read folder: Is a directory");
	put_file("lines", "0123456789\n01234567890\n", 23);
	assert_dies(read_lines_of_10, "lines", 3, "line too long: lines:2: more than 10 bytes");
	put_file("lines", "0123456789\n01234567890", 22);
	assert_dies(read_lines_of_10, "lines", 3, "lines:2");
	put_file("lines", "0123456789\n0123456789", 21);
	assert_int_equal(end_of(read_lines_of_10, "lines").code, 0);
	put_file("lines", big, BIG);
	assert_dies(read_lines_of_10, "lines", 3, "line too long: lines:");
}

static void read_5(const void *name)
{
	size_t n;

	free(read_file(name, 5, &n));
}

static void whole_files(void **state)
{
	char *text;
	size_t n;

	(void)state;
	put_file("five", "12345", 5);
	text = read_file("five", 5, &n);
	assert_int_equal(n, 5);
	assert_string_equal(text, "12345");
	free(text);
	put_file("six", "123456", 6);
	assert_dies(read_5, "six", 3, "file too large: six: more than 5 bytes");
	put_packed("bomb", big, BIG, "w");
	assert_dies(read_5, "bomb", 3, "file too large: bomb");
	put_file("big", big, BIG);
	text = read_file("big", BIG, NULL);
	assert_memory_equal(text, big, BIG);
	free(text);
	put_file("nothing", "", 0);
	text = read_file("nothing", 0, &n);
	assert_int_equal(n, 0);
	assert_string_equal(text, "");
	free(text);
}

/* What is hashed is the file, however it is read and packed. */
static void hashes(void **state)
{
	char buf[1000], *line;
	ssize_t length;

	(void)state;
	put_file("plain", big, BIG);
	put_packed("packed", big, BIG / 2, "w");
	put_packed("packed", big + BIG / 2, BIG / 2, "a");
	for (int i = 0; i < 4; i++) {
		const char *name = i % 2 ? "packed" : "plain";
		uint8_t want[HASH_BYTES], have[HASH_BYTES];
		struct hash h, other;
		struct reader *r = reader_open(name);

		hash_start(&h);
		hash_start(&other);
		hash_add(&other, "x", 1);
		reader_hash(r, &h);
		reader_hash(r, &other);
		for (size_t at = 0, n; i < 2 && (n = reader_read(r, buf, sizeof buf)) > 0; at += n)
			assert_memory_equal(buf, big + at, n);
		for (size_t at = 0; i >= 2 && (length = reader_line(r, &line, 0)) >= 0; at += (size_t)length + 1)
			assert_memory_equal(line, big + at, length);
		assert_int_equal(reader_offset(r), BIG);
		reader_close(r);
		hash_end(&h, have);
		hash_file(name, want);
		assert_memory_equal(have, want, HASH_BYTES);
		hash_start(&h);
		hash_add(&h, "x", 1);
		hash_add_file(&h, name);
		hash_end(&h, want);
		hash_end(&other, have);
		assert_memory_equal(have, want, HASH_BYTES);
	}
}

/* A hashed file that is longer than a window is read by a thread; here it waits for room, then for bytes of a pipe that stays open. */
static void closed_early(void **state)
{
	struct hash h;
	char *buf = malloc(BIG);
	struct reader *r;
	int fd;

	(void)state;
	put_file("plain", big, BIG);
	hash_start(&h);
	r = reader_open("plain");
	reader_hash(r, &h);
	assert_int_equal(reader_read(r, buf, BIG / 2), BIG / 2);
	assert_memory_equal(buf, big, BIG / 2);
	reader_close(r);

	assert_int_equal(mkfifo("fifo", 0600), 0);
	fd = open("fifo", O_RDWR);
	hash_start(&h);
	r = reader_open("fifo");
	reader_hash(r, &h);
	for (size_t at = 0; at < BIG; at += 30000) {
		assert_int_equal(write(fd, big + at, 30000), 30000);
		assert_int_equal(reader_read(r, buf, 30000), 30000);
		assert_memory_equal(buf, big + at, 30000);
	}
	reader_close(r);
	close(fd);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_and_packed), cmocka_unit_test(ends),
		cmocka_unit_test(one_long_line),    cmocka_unit_test(lines_then_bytes),
		cmocka_unit_test(from_stdin),       cmocka_unit_test(drip),
		cmocka_unit_test(damage),           cmocka_unit_test(failures),
		cmocka_unit_test(whole_files),      cmocka_unit_test(hashes),
		cmocka_unit_test(closed_early),
	};

	return cmocka_run_group_tests(tests, make_big, drop_big);
}
