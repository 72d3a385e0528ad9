/* Token files: through a file and through a pipe, whole, cut, damaged and extended at every byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <time.h>
#include <sys/stat.h>
#include <zlib.h>
#include <cmocka.h>

#include "checked.h"
#include "death.h"
#include "options.h"
#include "reader.h"
#include "rng.h"
#include "tokfile.h"

static const char path[] = "a.tok", other[] = "b.tok";
static uint8_t fingerprint[HASH_BYTES];

static int set_up(void **state)
{
	static char name[] = "tokfile-test", *argv[] = {name, NULL};
	static const struct option none[] = {{0}};
	static const struct tool tool = {"tokfile-test", "test", "", none};

	parse_options(1, argv, &tool);
	for (int i = 0; i < HASH_BYTES; i++)
		fingerprint[i] = (uint8_t)(7 * i + 1);
	return in_scratch(state);
}

static uint32_t *make(const char *to, uint32_t vocab, size_t n, size_t step)
{
	struct rng r = rng_make(n, vocab);
	uint32_t *id = xcalloc(n + 1, sizeof *id);
	struct tok_writer *w = tok_create(to, vocab, fingerprint);

	for (size_t i = 0; i < n; i++)
		id[i] = (uint32_t)rng_below(&r, vocab);
	if (n > 1) {
		id[0] = vocab - 1;
		id[1] = 0;
	}
	for (size_t i = 0; i < n; i += step)
		tok_write(w, id + i, n - i < step ? n - i : step);
	tok_finish(w, 12345678901);
	return id;
}

/* A child writes the bytes into a pipe, a few at a time; the pipe becomes stdin. */
static pid_t feed(const void *data, size_t n, size_t step)
{
	int fd[2];
	pid_t child;

	assert_int_equal(pipe(fd), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		close(fd[0]);
		for (size_t i = 0; i < n; i += step)
			if (write(fd[1], (const char *)data + i, n - i < step ? n - i : step) < 0)
				break;
		_exit(0);
	}
	close(fd[1]);
	dup2(fd[0], 0);
	close(fd[0]);
	return child;
}

static void check_reader(const char *from, const uint32_t *id, uint32_t vocab, size_t n, size_t step, bool load)
{
	struct tok_reader *r = tok_open(from);
	uint32_t *got = xcalloc(n + step + 1, sizeof *got);
	int64_t *wide = xcalloc(n + 1, sizeof *wide);
	size_t m, total = 0;

	assert_int_equal(tok_vocab(r), vocab);
	assert_int_equal(tok_id_width(r), vocab <= 65536 ? 2 : 4);
	assert_memory_equal(tok_fingerprint(r), fingerprint, HASH_BYTES);
	assert_string_equal(tok_provenance(r), option_record());
	if (load) {
		tok_load(r);
		assert_int_equal(tok_count(r), n);
		assert_true(tok_source_bytes(r) == 12345678901);
		tok_copy(r, 0, n, wide);
		for (size_t i = 0; i < n; i++)
			assert_true(wide[i] == id[i]);
		if (n > 10) {
			tok_copy(r, n - 7, 7, wide);
			for (size_t i = 0; i < 7; i++)
				assert_true(wide[i] == id[n - 7 + i]);
		}
		DIES(EXIT_FAILED, "cannot take", tok_copy(r, n, 1, wide));
		DIES(EXIT_FAILED, "cannot take", tok_copy(r, UINT64_MAX, 1, wide));
		DIES(EXIT_FAILED, "cannot take", tok_copy(r, 1, SIZE_MAX, wide));
	}
	while ((m = tok_read(r, got + total, step)) > 0) {
		total += m;
		assert_true(total <= n);
	}
	assert_int_equal(total, n);
	assert_memory_equal(got, id, n * sizeof *id);
	assert_int_equal(tok_count(r), n);
	assert_true(tok_source_bytes(r) == 12345678901);
	tok_close(r);
	free(got);
	free(wide);
}

static void round_trips(void **state)
{
	static const uint32_t vocabs[] = {1, 50257, 65536, 65537, 4294967295u};
	static const size_t sizes[] = {0, 1, 7, 1000, 300001};

	(void)state;
	for (size_t v = 0; v < sizeof vocabs / sizeof *vocabs; v++) {
		for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
			uint32_t *id = make(path, vocabs[v], sizes[s], s % 2 ? 1000 : 1 << 20);
			size_t n;
			char *bytes = read_file(path, 1 << 24, &n);

			for (int load = 0; load < 2; load++) {
				static const size_t steps[] = {1, 1000, 1 << 20};

				for (size_t k = 0; k < 3; k++) {
					pid_t child;

					check_reader(path, id, vocabs[v], sizes[s], steps[k], load);
					child = feed(bytes, n, sizes[s] > 1000 ? 4097 : 1 + 2 * k);
					check_reader("-", id, vocabs[v], sizes[s], steps[k], load);
					waitpid(child, NULL, 0);
				}
			}
			free(bytes);
			free(id);
		}
	}
}

static void same_bytes_however_written(void **state)
{
	size_t n, m;
	char *a, *b;

	(void)state;
	free(make(path, 50257, 5000, 1));
	free(make(other, 50257, 5000, 4999));
	a = read_file(path, 1 << 20, &n);
	b = read_file(other, 1 << 20, &m);
	assert_int_equal(n, m);
	assert_memory_equal(a, b, n);
	assert_memory_equal(a, "palimtok\1\0\0\0", 12);
	assert_int_equal(n % 8, 0);
	free(a);
	free(b);
}

static void write_bytes(const char *to, const void *data, size_t n)
{
	FILE *f = fopen(to, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
}

static void use(const char *from, bool load)
{
	struct tok_reader *r = tok_open(from);
	uint32_t id[100];

	if (load)
		tok_load(r);
	else
		while (tok_read(r, id, 100) > 0)
			;
	tok_close(r);
}

/* Must die with exit 3 as a file and as a pipe, loaded and read. */
static void all_refuse(const void *data, size_t n, const char *words)
{
	write_bytes(other, data, n);
	for (int load = 0; load < 2; load++) {
		pid_t child;

		DIES(EXIT_INPUT, other, use(other, load));
		assert_non_null(strstr(last_ending.err, "byte "));
		assert_non_null(strstr(last_ending.err, words));
		child = feed(data, n, 1 << 16);
		DIES(EXIT_INPUT, "stdin: byte ", use("-", load));
		assert_non_null(strstr(last_ending.err, words));
		waitpid(child, NULL, 0);
	}
}

static void cut_anywhere(void **state)
{
	size_t n;
	char *bytes;

	(void)state;
	free(make(path, 50257, 20, 20));
	bytes = read_file(path, 1 << 20, &n);
	for (size_t i = 0; i < n; i++)
		all_refuse(bytes, i, i == 0 ? "empty" : "truncated");
	free(bytes);
}

static void any_bit_flipped(void **state)
{
	size_t n;
	char *bytes;

	(void)state;
	free(make(path, 50257, 5, 20));
	bytes = read_file(path, 1 << 20, &n);
	for (size_t i = 0; i < n; i++) {
		bytes[i] = (char)(bytes[i] ^ 1 << (i % 8));
		all_refuse(bytes, n, "");
		bytes[i] = (char)(bytes[i] ^ 1 << (i % 8));
	}
	free(bytes);
}

static void anything_appended(void **state)
{
	size_t n;
	char *bytes, *more;

	(void)state;
	free(make(path, 70000, 5, 20));
	bytes = read_file(path, 1 << 20, &n);
	more = xcalloc(2, n);
	memcpy(more, bytes, n);
	all_refuse(more, n + 1, "followed by other bytes");
	all_refuse(more, n + 32, "followed by other bytes");
	memcpy(more + n, bytes, n); /* two files in a row */
	all_refuse(more, 2 * n, "count of ids");
	free(more);
	free(bytes);
}

static uint32_t sum(const void *data, size_t n)
{
	return (uint32_t)crc32_z(0, data, n);
}

/* Well-formed by its sums, wrong by its content. */
static void lies(void **state)
{
	size_t n, header;
	unsigned char *bytes;
	uint32_t x;

	(void)state;
	free(make(path, 50257, 20, 20));
	bytes = (unsigned char *)read_file(path, 1 << 20, &n);
	memcpy(&x, bytes + 12, 4);
	header = x;
#define FORGE(at, value, words)                              \
	do {                                                 \
		uint32_t was, now = (value), s;              \
		memcpy(&was, bytes + (at), 4);               \
		memcpy(bytes + (at), &now, 4);               \
		s = sum(bytes, header - 4);                  \
		memcpy(bytes + header - 4, &s, 4);           \
		all_refuse(bytes, n, words);                 \
		memcpy(bytes + (at), &was, 4);               \
		s = sum(bytes, header - 4);                  \
		memcpy(bytes + header - 4, &s, 4);           \
	} while (0)
	FORGE(8, 2, "version 2");
	FORGE(8, 0, "version 0");
	FORGE(12, 0, "header size");
	FORGE(12, 0xfffffff8, "header size");
	FORGE(12, 60, "header size");
	FORGE(12, (uint32_t)header + 1, "header size");
	FORGE(12, 1 << 20, "truncated");
	FORGE(16, 1, "unknown flags");
	FORGE(20, 1, "id width");
	FORGE(20, 8, "id width");
	FORGE(24, 65537, "cannot hold");
	FORGE(24, 50256, "id 50256 is not below the vocabulary's size 50256");
	FORGE(24, 0, "is not below");
	FORGE(28, 0xffffffff, "provenance");
	FORGE(28, (uint32_t)header - 64 - 4 + 1, "provenance");
	FORGE(64, 0x0a0a0a0a, "control character");
	FORGE(20, 4, ""); /* 20 ids of 2 bytes are not 20 of 4 */
	memset(bytes + header, 0xff, 2); /* an id above all, with the sums right */
	x = sum(bytes + header, n - 32 - header);
	memcpy(bytes + n - 8, &x, 4);
	x = sum(bytes + n - 32, 28);
	memcpy(bytes + n - 4, &x, 4);
	all_refuse(bytes, n, "id 65535 is not below");
	free(bytes);
	all_refuse("#!/bin/sh\n", 10, "no token file");
}

/* What palimpsest-tok(5) lets a reader skip: bytes after the provenance. */
static void skips_what_it_may(void **state)
{
	uint32_t *id = make(path, 50257, 20, 20), x;
	size_t n, header;
	unsigned char *bytes, *longer;

	(void)state;
	bytes = (unsigned char *)read_file(path, 1 << 20, &n);
	memcpy(&x, bytes + 12, 4);
	header = x;
	longer = xcalloc(n + 64, 1);
	memcpy(longer, bytes, header - 4);
	memset(longer + header - 4, 'x', 60);
	x = (uint32_t)header + 64;
	memcpy(longer + 12, &x, 4);
	x = sum(longer, header + 60);
	memcpy(longer + header + 60, &x, 4);
	memcpy(longer + header + 64, bytes + header, n - header);
	write_bytes(other, longer, n + 64);
	check_reader(other, id, 50257, 20, 7, true);
	check_reader(other, id, 50257, 20, 7, false);
	free(id);
	free(bytes);
	free(longer);
}

static void refuses_by_the_writer(void **state)
{
	struct stat st;
	struct tok_writer *w;
	static const uint32_t bad[] = {1, 2, 3};

	(void)state;
	unlink(other);
	DIES(EXIT_FAILED, "id 3 is not below", (w = tok_create(other, 3, fingerprint), tok_write(w, bad, 3)));
	assert_int_equal(stat(other, &st), -1);
	DIES(EXIT_FAILED, "No such file", tok_open("/nonexistent/x.tok"));
	DIES(EXIT_FAILED, "directory", tok_open("."));
}

static void data_hash_is_of_the_ids(void **state)
{
	uint8_t a[HASH_BYTES], b[HASH_BYTES];
	struct tok_reader *r;
	struct tok_writer *w;
	static const uint32_t id[] = {1, 2, 3};
	static const uint8_t bytes[] = {2, 0, 0, 0, 1, 0, 2, 0, 3, 0};
	struct hash h;

	(void)state;
	w = tok_create(path, 10, fingerprint);
	tok_write(w, id, 3);
	tok_finish(w, 5);
	r = tok_open(path);
	tok_load(r);
	tok_data_hash(r, a);
	tok_close(r);
	hash_start(&h);
	hash_add(&h, bytes, sizeof bytes);
	hash_end(&h, b);
	assert_memory_equal(a, b, HASH_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),       cmocka_unit_test(same_bytes_however_written),
		cmocka_unit_test(cut_anywhere),      cmocka_unit_test(any_bit_flipped),
		cmocka_unit_test(anything_appended), cmocka_unit_test(lies),
		cmocka_unit_test(skips_what_it_may), cmocka_unit_test(refuses_by_the_writer),
		cmocka_unit_test(data_hash_is_of_the_ids),
	};

	return cmocka_run_group_tests(tests, set_up, out_of_scratch);
}
