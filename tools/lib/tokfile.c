#include "tokfile.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "options.h"

/* palimpsest-tok(5) describes the bytes. Offsets in the header and in the trailer: */
enum {
	H_MAGIC = 0,
	H_VERSION = 8,
	H_SIZE = 12,
	H_FLAGS = 16,
	H_WIDTH = 20,
	H_VOCAB = 24,
	H_PROVENANCE = 28,
	H_FINGERPRINT = 32,
	H_FIXED = 64, /* then the provenance, what later minor versions add, zeros, and the CRC */
	T_MAGIC = 0,
	T_COUNT = 8,
	T_SOURCE = 16,
	T_CRC_IDS = 24,
	T_CRC = 28,
	T_BYTES = 32
};

#define VERSION 1
#define MAX_HEADER (1 << 20)
#define CHUNK (1 << 18) /* bytes read or written at a time; a multiple of 8 */

static const char magic[8] = {'p', 'a', 'l', 'i', 'm', 't', 'o', 'k'};
static const char end_magic[8] = {'t', 'o', 'k', '-', 'e', 'n', 'd', '\n'};

static void put16(uint8_t *p, uint16_t x)
{
	x = htole16(x);
	memcpy(p, &x, sizeof x);
}

static void put32(uint8_t *p, uint32_t x)
{
	x = htole32(x);
	memcpy(p, &x, sizeof x);
}

static void put64(uint8_t *p, uint64_t x)
{
	x = htole64(x);
	memcpy(p, &x, sizeof x);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof x);
	return le32toh(x);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof x);
	return le64toh(x);
}

static uint32_t get_id(const uint8_t *p, int width)
{
	uint16_t x;

	if (width == 4)
		return get32(p);
	memcpy(&x, p, sizeof x);
	return le16toh(x);
}

static uint32_t crc(uint32_t start, const void *data, size_t n)
{
	return (uint32_t)crc32_z(start, data, n);
}

/* --- writing --- */

struct tok_writer {
	struct atomic *out;
	uint32_t vocab, crc;
	int width;
	uint64_t count;
};

struct tok_writer *tok_create(const char *path, uint32_t vocab, const uint8_t fingerprint[HASH_BYTES])
{
	struct tok_writer *w = xcalloc(1, sizeof *w);
	const char *record = option_record();
	size_t n = strlen(record), size;
	uint8_t *header;

	if (n > MAX_HEADER / 2)
		n = MAX_HEADER / 2;
	size = (H_FIXED + n + 4 + 7) / 8 * 8;
	header = xcalloc(size, 1);
	w->vocab = vocab;
	w->width = vocab <= 65536 ? 2 : 4;
	memcpy(header + H_MAGIC, magic, sizeof magic);
	put32(header + H_VERSION, VERSION);
	put32(header + H_SIZE, (uint32_t)size);
	put32(header + H_WIDTH, (uint32_t)w->width);
	put32(header + H_VOCAB, vocab);
	put32(header + H_PROVENANCE, (uint32_t)n);
	memcpy(header + H_FINGERPRINT, fingerprint, HASH_BYTES);
	for (size_t i = 0; i < n; i++)
		header[H_FIXED + i] = (uint8_t)record[i] < ' ' || record[i] == 0x7f ? '?' : (uint8_t)record[i];
	put32(header + size - 4, crc(0, header, size - 4));
	w->out = atomic_open(path);
	atomic_write(w->out, header, size);
	free(header);
	return w;
}

void tok_write(struct tok_writer *w, const uint32_t *id, size_t n)
{
	uint8_t buf[CHUNK / 16];

	while (n > 0) {
		size_t m = n < sizeof buf / 4 ? n : sizeof buf / 4, bytes = m * (size_t)w->width;
		uint32_t highest = 0;

		for (size_t i = 0; i < m; i++)
			highest = highest > id[i] ? highest : id[i];
		if (highest >= w->vocab)
			die("cannot write %s: id %u is not below the vocabulary's size %u", atomic_name(w->out), highest, w->vocab);
		if (w->width == 2)
			for (size_t i = 0; i < m; i++)
				put16(buf + 2 * i, (uint16_t)id[i]);
		else
			for (size_t i = 0; i < m; i++)
				put32(buf + 4 * i, id[i]);
		w->crc = crc(w->crc, buf, bytes);
		atomic_write(w->out, buf, bytes);
		w->count += m;
		id += m;
		n -= m;
	}
}

void tok_finish(struct tok_writer *w, uint64_t source_bytes)
{
	uint8_t trailer[T_BYTES];

	memcpy(trailer + T_MAGIC, end_magic, sizeof end_magic);
	put64(trailer + T_COUNT, w->count);
	put64(trailer + T_SOURCE, source_bytes);
	put32(trailer + T_CRC_IDS, w->crc);
	put32(trailer + T_CRC, crc(0, trailer, T_CRC));
	atomic_write(w->out, trailer, sizeof trailer);
	atomic_commit(w->out);
	free(w);
}

/* --- reading --- */

/*
 * A regular file is mapped, and its trailer checked at once. From a pipe the bytes come through
 * buf, of which the last T_BYTES are always held back: at the end of the pipe they must be the trailer.
 */
struct tok_reader {
	char *name, *provenance;
	int fd;
	uint32_t vocab;
	int width;
	uint8_t fingerprint[HASH_BYTES];
	size_t header; /* bytes */

	const uint8_t *ids; /* when they lie in memory: mapped or loaded */
	void *map;
	size_t map_bytes;
	uint8_t *loaded;

	uint8_t *buf; /* pipe: bytes [start, end) are read and not handed out */
	size_t start, end;
	bool pipe_ended;

	bool have_trailer, verified;
	uint64_t count, source_bytes;
	uint32_t crc_ids;

	uint64_t next; /* for tok_read: ids handed out */
	uint32_t crc;  /* of them */
};

static _Noreturn void damaged(const struct tok_reader *r, uint64_t at, const char *why)
{
	die_input("malformed token file: %s: byte %llu: %s", r->name, (unsigned long long)at, why);
}

static size_t read_some(struct tok_reader *r, void *to, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t m = read(r->fd, (char *)to + got, n - got);

		if (m < 0 && errno == EINTR)
			continue;
		if (m < 0)
			die("cannot read %s:", r->name);
		if (m == 0)
			break;
		got += (size_t)m;
	}
	return got;
}

/* h: H_FIXED bytes of which n are there. Returns the size of the whole header. */
static size_t check_fixed(struct tok_reader *r, const uint8_t *h, size_t n)
{
	size_t size, provenance;

	if (n == 0)
		damaged(r, 0, "empty");
	if (memcmp(h + H_MAGIC, magic, n < sizeof magic ? n : sizeof magic) != 0)
		damaged(r, 0, "no token file");
	if (n < H_FIXED)
		damaged(r, n, "truncated in the header");
	if (get32(h + H_VERSION) != VERSION)
		die_input("malformed token file: %s: byte %d: version %u, only %d is known", r->name, H_VERSION,
		          get32(h + H_VERSION), VERSION);
	size = get32(h + H_SIZE);
	if (size < H_FIXED + 4 || size > MAX_HEADER || size % 8 != 0)
		damaged(r, H_SIZE, "bad header size");
	if (get32(h + H_FLAGS) != 0)
		damaged(r, H_FLAGS, "unknown flags");
	provenance = get32(h + H_PROVENANCE);
	if (provenance > size - H_FIXED - 4)
		damaged(r, H_PROVENANCE, "bad length of the provenance");
	return size;
}

static void check_header(struct tok_reader *r, const uint8_t *h, size_t size)
{
	size_t provenance = get32(h + H_PROVENANCE);

	if (get32(h + size - 4) != crc(0, h, size - 4))
		damaged(r, size - 4, "damaged header: CRC differs");
	r->width = (int)get32(h + H_WIDTH);
	r->vocab = get32(h + H_VOCAB);
	if (r->width != 2 && r->width != 4)
		damaged(r, H_WIDTH, "id width is neither 2 nor 4");
	if (r->width == 2 && r->vocab > 65536)
		damaged(r, H_WIDTH, "ids of 2 bytes cannot hold the vocabulary");
	for (size_t i = 0; i < provenance; i++)
		if (h[H_FIXED + i] < ' ' || h[H_FIXED + i] == 0x7f)
			damaged(r, H_FIXED + i, "control character in the provenance");
	memcpy(r->fingerprint, h + H_FINGERPRINT, HASH_BYTES);
	r->provenance = xstrndup((const char *)h + H_FIXED, provenance);
	r->header = size;
}

/* at: where in the file; ids: bytes between header and trailer. */
static void check_trailer(struct tok_reader *r, const uint8_t *t, uint64_t at, uint64_t ids)
{
	if (memcmp(t + T_MAGIC, end_magic, sizeof end_magic) != 0 || get32(t + T_CRC) != crc(0, t, T_CRC))
		damaged(r, at, "no trailer at the end: truncated, damaged or followed by other bytes");
	r->count = get64(t + T_COUNT);
	r->source_bytes = get64(t + T_SOURCE);
	r->crc_ids = get32(t + T_CRC_IDS);
	if (ids % (uint64_t)r->width != 0 || r->count != ids / (uint64_t)r->width)
		damaged(r, at + T_COUNT, "count of ids differs from the file's size");
	r->have_trailer = true;
}

static void check_crc(struct tok_reader *r, uint32_t sum)
{
	if (sum != r->crc_ids)
		damaged(r, r->header + r->count * (uint64_t)r->width + T_CRC_IDS, "damaged ids: CRC differs");
	r->verified = true;
}

static _Noreturn void bad_id(const struct tok_reader *r, uint64_t index, uint32_t id)
{
	die_input("malformed token file: %s: byte %llu: id %u is not below the vocabulary's size %u", r->name,
	          (unsigned long long)(r->header + index * (uint64_t)r->width), id, r->vocab);
}

struct tok_reader *tok_open(const char *path)
{
	struct tok_reader *r = xcalloc(1, sizeof *r);
	bool is_stdin = strcmp(path, "-") == 0;
	struct stat st;
	off_t at = 0;

	r->name = xstrdup(is_stdin ? "stdin" : path);
	r->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0 || fstat(r->fd, &st) < 0)
		die("cannot open %s:", r->name);
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		die("cannot read %s:", r->name);
	}
	/* A file that is redirected to stdin may have been read in part; its map must begin at a page. */
	if (S_ISREG(st.st_mode) && (!is_stdin || (at = lseek(r->fd, 0, SEEK_CUR)) == 0)) {
		const uint8_t *p;
		size_t size, header;

		if (st.st_size == 0)
			damaged(r, 0, "empty");
		if ((uint64_t)st.st_size > SIZE_MAX)
			die("cannot map %s: too large", r->name);
		size = (size_t)st.st_size;
		r->map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, r->fd, 0);
		if (r->map == MAP_FAILED)
			die("cannot map %s:", r->name);
		r->map_bytes = size;
		p = r->map;
		header = check_fixed(r, p, size);
		if (size < header)
			damaged(r, size, "truncated in the header");
		check_header(r, p, header);
		if (size < header + T_BYTES)
			damaged(r, size, "no trailer at the end: truncated");
		check_trailer(r, p + size - T_BYTES, size - T_BYTES, size - T_BYTES - header);
		r->ids = p + header;
	} else {
		uint8_t fixed[H_FIXED], *h;
		size_t n = read_some(r, fixed, sizeof fixed), header = check_fixed(r, fixed, n);

		h = xmalloc(header);
		memcpy(h, fixed, sizeof fixed);
		n += read_some(r, h + sizeof fixed, header - sizeof fixed);
		if (n < header)
			damaged(r, n, "truncated in the header");
		check_header(r, h, header);
		free(h);
		r->buf = xmalloc(CHUNK + T_BYTES);
	}
	return r;
}

uint32_t tok_vocab(const struct tok_reader *r)
{
	return r->vocab;
}

int tok_id_width(const struct tok_reader *r)
{
	return r->width;
}

const uint8_t *tok_fingerprint(const struct tok_reader *r)
{
	return r->fingerprint;
}

const char *tok_name(const struct tok_reader *r)
{
	return r->name;
}

const char *tok_provenance(const struct tok_reader *r)
{
	return r->provenance;
}

/* Makes [start, end) hold more than the trailer if the pipe has more, and checks the trailer if not. */
static void fill(struct tok_reader *r)
{
	size_t held = r->end - r->start;
	uint64_t at = r->header + r->next * (uint64_t)r->width; /* where in the file `start` is */

	if (r->pipe_ended)
		return;
	memmove(r->buf, r->buf + r->start, held);
	r->start = 0;
	r->end = held + read_some(r, r->buf + held, CHUNK + T_BYTES - held);
	if (r->end == CHUNK + T_BYTES)
		return;
	r->pipe_ended = true;
	if (r->end < T_BYTES)
		damaged(r, at + r->end, "no trailer at the end: truncated");
	r->end -= T_BYTES;
	check_trailer(r, r->buf + r->end, at + r->end, at + r->end - r->header);
}

/* Up to n bytes' worth of ids that follow those handed out; *bytes is a multiple of the width. */
static const uint8_t *next_bytes(struct tok_reader *r, size_t n, size_t *bytes)
{
	const uint8_t *p;
	size_t width = (size_t)r->width, m;

	if (r->ids) {
		uint64_t left = r->count - r->next;

		m = left < n / width ? (size_t)left : n / width;
		p = r->ids + r->next * width;
	} else {
		if (r->end - r->start < T_BYTES + width && !r->pipe_ended)
			fill(r);
		m = r->end - r->start;
		if (!r->pipe_ended)
			m -= T_BYTES;
		m = (m < n ? m : n) / width;
		p = r->buf + r->start;
		r->start += m * width;
	}
	*bytes = m * width;
	if (m == 0 && n >= width && !r->verified)
		check_crc(r, r->crc);
	r->next += m;
	return p;
}

size_t tok_read(struct tok_reader *r, uint32_t *id, size_t n)
{
	size_t done = 0, bytes, width = (size_t)r->width;

	while (done < n) {
		size_t want = (n - done) < CHUNK / 4 ? n - done : CHUNK / 4;
		uint64_t first = r->next;
		const uint8_t *p = next_bytes(r, want * width, &bytes);

		if (bytes == 0)
			break;
		if (!r->verified)
			r->crc = crc(r->crc, p, bytes);
		for (size_t i = 0; i < bytes / width; i++) {
			id[done + i] = get_id(p + i * width, r->width);
			if (id[done + i] >= r->vocab)
				bad_id(r, first + i, id[done + i]);
		}
		done += bytes / width;
	}
	return done;
}

static void check_ids(struct tok_reader *r, const uint8_t *p, uint64_t first, size_t bytes)
{
	size_t n = bytes / (size_t)r->width;
	uint32_t most = 0;

	for (size_t i = 0; i < n; i++) { /* no branch, so that it is vectorised */
		uint32_t id = get_id(p + i * (size_t)r->width, r->width);

		most = id > most ? id : most;
	}
	if (n == 0 || most < r->vocab)
		return;
	for (size_t i = 0;; i++) {
		uint32_t id = get_id(p + i * (size_t)r->width, r->width);

		if (id >= r->vocab)
			bad_id(r, first + i, id);
	}
}

void tok_load(struct tok_reader *r)
{
	size_t bytes, cap = 0, n = 0;
	uint64_t first = 0;

	if (r->ids && r->verified) {
		r->next = 0;
		return;
	}
	if (r->next)
		die("cannot load %s: it has been read in part", r->name);
	for (;;) {
		const uint8_t *p = next_bytes(r, CHUNK, &bytes);

		if (bytes == 0)
			break;
		r->crc = crc(r->crc, p, bytes);
		check_ids(r, p, first, bytes);
		first = r->next;
		if (r->ids)
			continue;
		if (n + bytes > cap) {
			cap = cap ? 2 * cap : 4 * CHUNK;
			r->loaded = xreallocarray(r->loaded, cap, 1);
		}
		memcpy(r->loaded + n, p, bytes);
		n += bytes;
	}
	if (!r->ids) {
		r->ids = r->loaded ? r->loaded : r->buf;
		r->count = r->next;
	}
	r->next = 0;
}

uint64_t tok_count(const struct tok_reader *r)
{
	return r->count;
}

uint64_t tok_source_bytes(const struct tok_reader *r)
{
	return r->source_bytes;
}

void tok_copy(const struct tok_reader *r, uint64_t start, size_t n, int64_t *id)
{
	const uint8_t *p;

	if (!r->ids || !r->verified || start > r->count || n > r->count - start)
		die("cannot take %zu ids at %llu from %s: it has %llu", n, (unsigned long long)start, r->name,
		    (unsigned long long)r->count);
	p = r->ids + start * (uint64_t)r->width;
	for (size_t i = 0; i < n; i++)
		id[i] = get_id(p + i * (size_t)r->width, r->width);
}

void tok_data_hash(const struct tok_reader *r, uint8_t out[HASH_BYTES])
{
	uint8_t width[4];
	struct hash h;

	if (!r->ids || !r->verified)
		die("cannot hash %s: it is not loaded", r->name);
	put32(width, (uint32_t)r->width);
	hash_start(&h);
	hash_add(&h, width, sizeof width);
	hash_add(&h, r->ids, (size_t)r->count * (size_t)r->width);
	hash_end(&h, out);
}

void tok_close(struct tok_reader *r)
{
	if (!r)
		return;
	if (r->map)
		munmap(r->map, r->map_bytes);
	if (r->fd != STDIN_FILENO)
		close(r->fd);
	free(r->loaded);
	free(r->buf);
	free(r->provenance);
	free(r->name);
	free(r);
}
