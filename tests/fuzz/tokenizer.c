/*
 * A tokenizer.json that is taken gives ids below its vocabulary for any text; and parts, cut where it allows, those of the
 * whole. The file is the first line of the input, the text what follows.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tokenizer.h"

static char dir[] = "/tmp/fuzz-tokenizer-XXXXXX", file[sizeof dir + 20];

static void remove_files(void)
{
	unlink(file);
	rmdir(dir);
}

static void put_json(const uint8_t *data, size_t n)
{
	int fd;

	if (!file[0]) {
		CHECK(mkdtemp(dir));
		snprintf(file, sizeof file, "%s/tokenizer.json", dir);
		atexit(remove_files);
	}
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	close(fd);
}

void fuzz(const uint8_t *data, size_t n)
{
	const uint8_t *newline = memchr(data, '\n', n);
	size_t json = newline ? (size_t)(newline - data) : n, length = newline ? n - json - 1 : 0;
	const char *text = newline ? (const char *)newline + 1 : "";
	struct tokenizer *t;
	struct tok_scratch *s;

	put_json(data, json);
	t = tokenizer_load(dir);
	s = tok_scratch_new(t);
	for (unsigned special = 0; special <= ENCODE_SPECIAL; special += ENCODE_SPECIAL) {
		struct ids whole = {0}, parts = {0};
		size_t k = length ? tokenizer_split_part(t, text, length, special) : 0, bytes;
		unsigned state = 0;

		CHECK(k <= length);
		tokenizer_encode_part(t, s, text, length, special, &whole);
		for (size_t i = 0; i < whole.n; i++) {
			CHECK(whole.id[i] < tokenizer_vocab(t));
			tokenizer_text(t, whole.id[i], special, &state, &bytes);
		}
		if (k > 0) {
			tokenizer_encode_part(t, s, text, k, special | ENCODE_MORE, &parts);
			tokenizer_encode_part(t, s, text + k, length - k, special | ENCODE_GOES_ON, &parts);
			CHECK(parts.n == whole.n && memcmp(parts.id, whole.id, whole.n * sizeof *whole.id) == 0);
		}
		free(whole.id);
		free(parts.id);
	}
	tok_scratch_free(s);
	tokenizer_free(t);
}
