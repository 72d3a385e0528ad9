#include "pack.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "checked.h"
#include "die.h"
#include "hash.h"
#include "outdir.h"
#include "reader.h"
#include "safetensors.h"
#include "spool.h"

#define MAGIC "PLMPACK1"
#define END "PACK-END"
#define CHUNK ((size_t)1 << 20) /* bytes of a file at a time, a multiple of every width */
#define STORED 0x80000000u      /* this plane did not become smaller */
#define MAX_FILES 1000
#define MAX_SIZE ((uint64_t)1 << 50)
#define MAX_APART (1 << 20)
#define LEVEL 6

enum mode { PLAIN, DIFFERENCE };

/* --- words ------------------------------------------------------------------------------------------ */

static uint32_t get_le(const uint8_t *p, int width)
{
	uint32_t x = 0;

	for (int i = width - 1; i >= 0; i--)
		x = x << 8 | p[i];
	return x;
}

static void put_le(uint8_t *p, uint32_t x, int width)
{
	for (int i = 0; i < width; i++)
		p[i] = (uint8_t)(x >> (8 * i));
}

static uint32_t mask_of(int width)
{
	return width == 4 ? 0xffffffffu : (1u << (8 * width)) - 1;
}

/* A float's bits as a number that grows with it, so that the difference of two near each other is small. */
static uint32_t ordered(uint32_t x, int width)
{
	uint32_t sign = 1u << (8 * width - 1);

	return x & sign ? ~x & mask_of(width) : x | sign;
}

static uint32_t unordered(uint32_t x, int width)
{
	uint32_t sign = 1u << (8 * width - 1);

	return x & sign ? x & ~sign : ~x & mask_of(width);
}

/* Small numbers of either sign become small numbers without one. */
static uint32_t fold(uint32_t d, int width)
{
	uint32_t sign = 1u << (8 * width - 1), m = mask_of(width);

	return (d << 1 & m) ^ (d & sign ? m : 0);
}

static uint32_t unfold(uint32_t z, int width)
{
	return z >> 1 ^ (z & 1 ? mask_of(width) : 0);
}

/* A chunk (n bytes) to its planes: the first bytes of all words, then the second ... What is left of a word is itself. */
static void to_planes(const uint8_t *data, const uint8_t *base, size_t n, int width, uint8_t *planes)
{
	size_t words = n / (size_t)width;

	for (size_t i = 0; i < words; i++) {
		uint8_t b[4];

		put_le(b, get_le(data + i * (size_t)width, width), width);
		if (base)
			put_le(b, fold((ordered(get_le(data + i * (size_t)width, width), width) -
			                ordered(get_le(base + i * (size_t)width, width), width)) &
			               mask_of(width), width), width);
		for (int p = 0; p < width; p++)
			planes[(size_t)p * words + i] = b[p];
	}
	memcpy(planes + words * (size_t)width, data + words * (size_t)width, n - words * (size_t)width);
}

static void from_planes(const uint8_t *planes, const uint8_t *base, size_t n, int width, uint8_t *data)
{
	size_t words = n / (size_t)width;

	for (size_t i = 0; i < words; i++) {
		uint8_t b[4];
		uint32_t x;

		for (int p = 0; p < width; p++)
			b[p] = planes[(size_t)p * words + i];
		x = get_le(b, width);
		if (base)
			x = unordered((ordered(get_le(base + i * (size_t)width, width), width) + unfold(x, width)) &
			              mask_of(width), width);
		put_le(data + i * (size_t)width, x, width);
	}
	memcpy(data + words * (size_t)width, planes + words * (size_t)width, n - words * (size_t)width);
}

/*
 * The file that another is a difference to. The two are laid beside each other by their ends, since headers may have
 * other lengths; where there is nothing there are zeros.
 */
struct base {
	const uint8_t *data; /* NULL: no difference */
	uint64_t size;
	uint8_t *chunk;      /* (CHUNK) */
};

/* n bytes that belong to those at `at` of a file of that size; NULL if it is no difference. */
static const uint8_t *beside(const struct base *b, uint64_t size, uint64_t at, size_t n)
{
	int64_t shift = (int64_t)b->size - (int64_t)size, first = (int64_t)at + shift, skip = first < 0 ? -first : 0;

	if (!b->data)
		return NULL;
	memset(b->chunk, 0, n);
	if (skip < (int64_t)n)
		memcpy(b->chunk + skip, b->data + first + skip, n - (size_t)skip);
	return b->chunk;
}

/* --- writing ---------------------------------------------------------------------------------------- */

static uint64_t size_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		die("cannot read %s:", path);
	return (uint64_t)st.st_size;
}

/* Bytes of the numbers that most of the weights are made of; 1 for other files. */
static int width_of(const char *path)
{
	size_t n = strlen(path), most = 0;
	struct st_file *f;
	int width = 1;

	if (n < 12 || strcmp(path + n - 12, ".safetensors"))
		return 1;
	f = st_open(path);
	for (size_t i = 0; i < st_count(f); i++)
		if (st_at(f, i)->bytes > most) {
			most = st_at(f, i)->bytes;
			width = (int)st_dtype_size(st_at(f, i)->dtype);
		}
	st_close(f);
	return width > 4 ? 4 : width;
}

static void write_plane(struct atomic *out, const uint8_t *plane, size_t n)
{
	uLongf bound = compressBound((uLong)n);
	uint8_t *z = xmalloc(bound), head[4];
	bool stored;

	if (compress2(z, &bound, plane, (uLong)n, LEVEL) != Z_OK)
		die("cannot compress");
	stored = bound >= n;
	put_le(head, stored ? (uint32_t)n | STORED : (uint32_t)bound, 4);
	atomic_write(out, head, 4);
	atomic_write(out, stored ? plane : z, stored ? n : bound);
	free(z);
}

static void write_chunks(struct atomic *out, const uint8_t *data, const struct base *base, uint64_t size, int width)
{
	uint8_t *planes = xmalloc(CHUNK);

	for (uint64_t at = 0; at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK, plane = n / (size_t)width;

		to_planes(data + at, beside(base, size, at, n), n, width, planes);
		for (int p = 0; p < width; p++) /* the last one has what is left of a word, too */
			write_plane(out, planes + (size_t)p * plane, p < width - 1 ? plane : n - (size_t)(width - 1) * plane);
	}
	free(planes);
}

/* Weights of the same model may have another header; other files of another size are other files. */
static bool near(uint64_t a, uint64_t b, int width)
{
	uint64_t apart = a > b ? a - b : b - a;

	return apart == 0 || (width > 1 && apart <= MAX_APART && apart % 8 == 0);
}

static void write_file(struct atomic *out, const char *dir, const char *name, const char *from)
{
	char *path = path_join(dir, name), *other = from ? path_join(from, name) : NULL;
	uint64_t size = size_of(path);
	int width = width_of(path);
	struct stat st;
	bool there = other && stat(other, &st) == 0 && st.st_size > 0 && size > 0;
	bool difference = there && width_of(other) == width && near(size, (uint64_t)st.st_size, width);
	const void *data = map_file(path, size);
	struct base base = {difference ? map_file(other, (uint64_t)st.st_size) : NULL,
	                    difference ? (uint64_t)st.st_size : 0, xmalloc(CHUNK)};
	uint8_t head[12], digest[HASH_BYTES];

	put_le(head, (uint32_t)strlen(name), 2);
	atomic_write(out, head, 2);
	atomic_write(out, name, strlen(name));
	put_le(head, (uint32_t)size, 4);
	put_le(head + 4, (uint32_t)(size >> 32), 4);
	head[8] = difference ? DIFFERENCE : PLAIN;
	head[9] = (uint8_t)width;
	atomic_write(out, head, 10);
	hash_file(path, digest);
	atomic_write(out, digest, sizeof digest);
	if (difference) {
		hash_file(other, digest);
		atomic_write(out, digest, sizeof digest);
	}
	write_chunks(out, data, &base, size, width);
	unmap_file(data, size);
	if (base.data)
		unmap_file(base.data, base.size);
	free(base.chunk);
	free(path);
	free(other);
}

void pack_write(struct atomic *out, const char *dir, const char *const *names, int n, const char *from)
{
	uint8_t head[4];

	if (n > MAX_FILES)
		die_input("%s: %d files: at most %d are possible", dir, n, MAX_FILES);
	atomic_write(out, MAGIC, 8);
	put_le(head, (uint32_t)n, 4);
	atomic_write(out, head, 4);
	for (int i = 0; i < n; i++)
		write_file(out, dir, names[i], from);
	atomic_write(out, END, 8);
}

/* --- reading ---------------------------------------------------------------------------------------- */

static void get(struct reader *r, void *p, size_t n)
{
	if (reader_read(r, p, n) != n)
		die_input("%s: truncated at byte %llu", reader_name(r), (unsigned long long)reader_offset(r));
}

static void read_plane(struct reader *r, uint8_t *plane, size_t n, uint8_t *z, size_t room)
{
	uint8_t head[4];
	uint32_t size;
	uLongf got = (uLongf)n;

	get(r, head, 4);
	size = get_le(head, 4);
	if (size & STORED) {
		if ((size & ~STORED) != n)
			die_input("%s: a plane of the wrong size before byte %llu", reader_name(r),
			          (unsigned long long)reader_offset(r));
		get(r, plane, n);
		return;
	}
	if (size > room)
		die_input("%s: a plane that is too large before byte %llu", reader_name(r), (unsigned long long)reader_offset(r));
	get(r, z, size);
	if (uncompress(plane, &got, z, size) != Z_OK || got != n)
		die_input("%s: damaged before byte %llu", reader_name(r), (unsigned long long)reader_offset(r));
}

static void read_chunks(struct reader *r, struct atomic *out, const struct base *base, uint64_t size, int width, struct hash *h)
{
	size_t room = compressBound((uLong)CHUNK);
	uint8_t *planes = xmalloc(CHUNK), *data = xmalloc(CHUNK), *z = xmalloc(room);

	for (uint64_t at = 0; at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK, plane = n / (size_t)width;

		for (int p = 0; p < width; p++)
			read_plane(r, planes + (size_t)p * plane, p < width - 1 ? plane : n - (size_t)(width - 1) * plane, z, room);
		from_planes(planes, beside(base, size, at, n), n, width, data);
		hash_add(h, data, n);
		atomic_write(out, data, n);
	}
	free(planes);
	free(data);
	free(z);
}

/* The file that it is a difference to, by its hash; mapped. */
static struct base open_base(struct reader *r, const char *from, const char *name, const uint8_t digest[HASH_BYTES])
{
	struct base b = {.chunk = xmalloc(CHUNK)};
	uint8_t found[HASH_BYTES];
	char *path;

	if (!from)
		die_input("%s: %s is a difference: give --from", reader_name(r), name);
	path = path_join(from, name);
	b.size = size_of(path);
	hash_file(path, found);
	if (memcmp(found, digest, HASH_BYTES))
		die_input("%s: not what %s is a difference to: %s", reader_name(r), name, path);
	b.data = map_file(path, b.size);
	free(path);
	return b;
}

static void read_packed_file(struct reader *r, const char *dir, const char *from)
{
	uint8_t head[10], digest[HASH_BYTES], other[HASH_BYTES], found[HASH_BYTES];
	char name[256], *path;
	struct base base = {0};
	struct atomic *a;
	struct hash h;
	uint64_t size;
	size_t n;

	get(r, head, 2);
	n = get_le(head, 2);
	if (n == 0 || n >= sizeof name)
		die_input("%s: not a name of a file before byte %llu", reader_name(r), (unsigned long long)reader_offset(r));
	get(r, name, n);
	name[n] = '\0';
	if (strlen(name) != n || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, DIR_MARK))
		die_input("%s: not a name of a file before byte %llu", reader_name(r), (unsigned long long)reader_offset(r));
	get(r, head, 10);
	size = get_le(head, 4) | (uint64_t)get_le(head + 4, 4) << 32;
	if (size > MAX_SIZE || head[8] > DIFFERENCE || (head[9] != 1 && head[9] != 2 && head[9] != 4) ||
	    (head[8] == DIFFERENCE && size == 0))
		die_input("%s: %s: a size or kind that cannot be", reader_name(r), name);
	get(r, digest, sizeof digest);
	if (head[8] == DIFFERENCE) {
		get(r, other, sizeof other);
		base = open_base(r, from, name, other);
	}
	path = path_join(dir, name);
	a = atomic_open(path);
	hash_start(&h);
	read_chunks(r, a, &base, size, head[9], &h);
	hash_end(&h, found);
	if (memcmp(found, digest, HASH_BYTES))
		die_input("%s: %s: damaged: its hash is another", reader_name(r), name);
	atomic_commit(a);
	if (base.data)
		unmap_file(base.data, base.size);
	free(base.chunk);
	free(path);
}

void pack_read(const char *path, const char *dir, const char *from)
{
	struct reader *r = reader_open(path);
	uint8_t head[12], end[8];
	uint32_t n;

	get(r, head, 12);
	if (memcmp(head, MAGIC, 8))
		die_input("%s: not made by model-pack", path);
	n = get_le(head + 8, 4);
	if (n > MAX_FILES)
		die_input("%s: %u files: at most %d are possible", path, n, MAX_FILES);
	for (uint32_t i = 0; i < n; i++)
		read_packed_file(r, dir, from);
	get(r, end, 8);
	if (memcmp(end, END, 8))
		die_input("%s: does not end where it should", path);
	if (reader_read(r, end, 1))
		die_input("%s: more behind its end", path);
	reader_close(r);
}
