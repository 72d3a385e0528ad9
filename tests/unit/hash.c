/* SHA-256 against NIST's vectors (FIPS 180-4 examples, SHA256ShortMsg), in one piece and in many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "hash.h"

static void expect(const void *data, size_t n, size_t step, const char *hex)
{
	struct hash h;
	uint8_t digest[HASH_BYTES];
	char text[HASH_HEX];

	hash_start(&h);
	for (size_t i = 0; i < n; i += step)
		hash_add(&h, (const char *)data + i, n - i < step ? n - i : step);
	hash_end(&h, digest);
	hash_hex(digest, text);
	assert_string_equal(text, hex);
}

static void vectors(void **state)
{
	static const struct {
		const char *text, *hex;
	} t[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
	         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		for (size_t step = 1; step < 120; step++)
			expect(t[i].text, strlen(t[i].text), step, t[i].hex);
}

static void a_million_a(void **state)
{
	const char *hex = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
	char *a = malloc(1000000);

	(void)state;
	memset(a, 'a', 1000000);
	expect(a, 1000000, 1000000, hex);
	expect(a, 1000000, 63, hex);
	expect(a, 1000000, 64, hex);
	expect(a, 1000000, 65, hex);
	free(a);
}

/* Each length around the padding's edges, chained: SHA-256 of all digests of 0..199 bytes of value = length. */
static void every_length(void **state)
{
	struct hash chain;
	uint8_t digest[HASH_BYTES], data[200];
	char hex[HASH_HEX];

	(void)state;
	hash_start(&chain);
	for (size_t n = 0; n < sizeof data; n++) {
		struct hash h;

		memset(data, (int)n, n);
		hash_start(&h);
		hash_add(&h, data, n);
		hash_end(&h, digest);
		hash_add(&chain, digest, sizeof digest);
	}
	hash_end(&chain, digest);
	hash_hex(digest, hex);
	assert_string_equal(hex, "6f979b0f53f1f6efc88ce8829b3e9c0d7711e102a3cfe31394c5d6c3232047ad");
}

static void file(void **state)
{
	char path[] = "/tmp/palimpsest-hash-XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "wb");
	uint8_t digest[HASH_BYTES];
	char hex[HASH_HEX];

	(void)state;
	for (int i = 0; i < 1000000; i++)
		putc('a', f);
	fclose(f);
	hash_file(path, digest);
	hash_hex(digest, hex);
	assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
		cmocka_unit_test(a_million_a),
		cmocka_unit_test(every_length),
		cmocka_unit_test(file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
