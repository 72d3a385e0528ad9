#include "fuzz.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "rng.h"

/*
 * The linker sends exit(), the allocator, mmap() and inflateInit2() of the code under test here (--wrap), so that a call
 * that ends the tool can be left with longjmp() and all that it held given back. Blocks are kept in a hash set.
 */
_Noreturn void __real_exit(int code);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__real_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *p, size_t n);
int __real_inflateInit2_(z_streamp z, int bits, const char *version, int size);

_Noreturn void __wrap_exit(int code);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *p, size_t n);
int __wrap_inflateInit2_(z_streamp z, int bits, const char *version, int size);

#define SLOTS (1 << 20)
#define INPUT_FD 40 /* kept from one input to the next; lower ones that the code leaves open are closed */
#define MAX_MAPS 64

static void *block[SLOTS];
static size_t used[SLOTS / 2], n_used; /* slots ever taken since the last sweep */
static struct {
	void *p;
	size_t n;
} maps[MAX_MAPS];
static size_t n_maps;
static jmp_buf *catcher;
int fuzz_log = STDERR_FILENO;

static bool died; /* since the last sweep */

/* What the C library itself allocates, as for xasprintf(), is not given back after a death. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static size_t slot_of(const void *p)
{
	size_t i = (size_t)((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15u >> 44;

	while (block[i] && block[i] != p)
		i = (i + 1) % SLOTS;
	return i;
}

static void *track(void *p)
{
	size_t i;

	if (!p || !catcher)
		return p;
	CHECK(n_used < SLOTS / 2);
	i = slot_of(p);
	block[i] = p;
	used[n_used++] = i;
	return p;
}

/* Deletes and moves back what was pushed behind (open addressing). */
static void untrack(void *p)
{
	size_t i = slot_of(p), j = i;

	if (!p || !block[i])
		return;
	block[i] = NULL;
	while (j = (j + 1) % SLOTS, block[j]) {
		void *q = block[j];

		block[j] = NULL;
		size_t k = slot_of(q);
		block[k] = q;
		if (k != j)
			used[n_used++] = k;
	}
}

void *__wrap_malloc(size_t n)
{
	return track(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return track(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
	untrack(p);
	return track(__real_realloc(p, n));
}

void __wrap_free(void *p)
{
	untrack(p);
	__real_free(p);
}

void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	void *p = __real_mmap(at, n, protection, flags, fd, offset);

	if (p != MAP_FAILED && catcher) {
		CHECK(n_maps < MAX_MAPS);
		maps[n_maps].p = p;
		maps[n_maps++].n = n;
	}
	return p;
}

int __wrap_munmap(void *p, size_t n)
{
	for (size_t i = 0; i < n_maps; i++)
		if (maps[i].p == p) {
			CHECK(maps[i].n == n);
			maps[i] = maps[--n_maps];
			break;
		}
	return __real_munmap(p, n);
}

static void *zalloc(void *opaque, unsigned n, unsigned size)
{
	(void)opaque;
	return __wrap_calloc(n, size);
}

static void zfree(void *opaque, void *p)
{
	(void)opaque;
	__wrap_free(p);
}

int __wrap_inflateInit2_(z_streamp z, int bits, const char *version, int size)
{
	z->zalloc = zalloc;
	z->zfree = zfree;
	return __real_inflateInit2_(z, bits, version, size);
}

_Noreturn void __wrap_exit(int code)
{
	if (!catcher)
		__real_exit(code);
	CHECK(code == EXIT_INPUT);
	died = true;
	longjmp(*catcher, 1);
}

/* Code that came to its end has freed everything itself. */
static void sweep(void)
{
	CHECK(died || n_maps == 0);
	for (size_t i = 0; i < n_used; i++)
		if (block[used[i]]) {
			CHECK(died);
			__real_free(block[used[i]]);
			block[used[i]] = NULL;
		}
	n_used = 0;
	died = false;
	while (n_maps > 0) {
		n_maps--;
		__real_munmap(maps[n_maps].p, maps[n_maps].n);
	}
}

bool fuzz_lives(void (*f)(void *), void *arg)
{
	jmp_buf here, *outer = catcher;
	volatile bool lived = false;

	if (!setjmp(here)) {
		catcher = &here;
		f(arg);
		lived = true;
	}
	catcher = outer;
	return lived;
}

static void write_all(int fd, const uint8_t *data, size_t n)
{
	while (n > 0) {
		ssize_t m = write(fd, data, n);

		CHECK(m > 0);
		data += m;
		n -= (size_t)m;
	}
}

const char *fuzz_file(const uint8_t *data, size_t n)
{
	static char path[40];
	int fd = memfd_create("input", 0);

	CHECK(fd >= 0);
	CHECK(dup2(fd, INPUT_FD) == INPUT_FD);
	close(fd);
	write_all(INPUT_FD, data, n);
	snprintf(path, sizeof path, "/proc/self/fd/%d", INPUT_FD);
	return path;
}

void fuzz_stdin(const uint8_t *data, size_t n)
{
	int fd[2];

	CHECK(n <= 60000 && pipe(fd) == 0);
	write_all(fd[1], data, n);
	close(fd[1]);
	CHECK(dup2(fd[0], STDIN_FILENO) == STDIN_FILENO);
	close(fd[0]);
}

struct bytes {
	const uint8_t *data;
	size_t n;
};

static void call(void *arg)
{
	const struct bytes *b = arg;

	fuzz(b->data, b->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static unsigned first_free;
	struct bytes b = {data, n};

	if (!first_free) {
		cJSON_Hooks hooks = {__wrap_malloc, __wrap_free};
		int fd = dup(STDERR_FILENO);

		cJSON_InitHooks(&hooks);
		first_free = (unsigned)fd;
		close(fd);
	}
	fuzz_lives(call, &b);
	sweep();
	close_range(first_free, INPUT_FD - 1, 0);
	return 0;
}

#ifndef FUZZ_ENGINE
static void replay(const uint8_t *data, size_t n)
{
	uint8_t *copy = __real_malloc(n ? n : 1); /* of its size exactly, for a sanitizer */

	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	__real_free(copy);
}

/* The input cut, with a bit flipped, a byte set, a piece doubled or left out. */
static size_t mutate(struct rng *r, uint8_t *data, size_t n, size_t max)
{
	size_t at, m;

	for (uint64_t k = 1 + rng_below(r, 3); k > 0; k--) {
		if (n == 0)
			return 0;
		at = (size_t)rng_below(r, n);
		m = (size_t)rng_below(r, n - at) + 1;
		switch (rng_below(r, 5)) {
		case 0:
			n = at;
			break;
		case 1:
			data[at] = (uint8_t)(data[at] ^ 1 << rng_below(r, 8));
			break;
		case 2:
			data[at] = (uint8_t)"\0\xff\"{}[],:\\9-\n\t\x7f\x80"[rng_below(r, 16)];
			break;
		case 3:
			if (n + m > max)
				break;
			memmove(data + at + m, data + at, n - at);
			n += m;
			break;
		case 4:
			memmove(data + at, data + at + m, n - at - m);
			n -= m;
			break;
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	static uint8_t data[1 << 16], other[1 << 16];
	int first = 1;
	unsigned long mutations = 0, total = 0;

	if (argc > 2 && strcmp(argv[1], "-n") == 0) {
		mutations = strtoul(argv[2], NULL, 10);
		first = 3;
	}
	stderr = fopen("/dev/null", "w"); /* the messages of die(): as many as inputs. A sanitizer's go to 2. */
	for (int i = first; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		struct rng r = rng_make(mutations, (uint64_t)i);
		size_t n;

		if (!f) {
			perror(argv[i]);
			return 1;
		}
		n = fread(data, 1, sizeof data / 2, f);
		fclose(f);
		replay(data, n);
		for (unsigned long k = 0; k < mutations; k++) {
			memcpy(other, data, n);
			replay(other, mutate(&r, other, n, sizeof other - 8));
		}
		total += 1 + mutations;
	}
	printf("%lu inputs\n", total);
	return 0;
}
#endif
