#include "reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "ahead.h"
#include "checked.h"
#include "die.h"
#include "text.h"

#define PIPE_BYTES (1 << 20) /* asked of a pipe: with the usual 64 kB its two ends wait for each other */
#define WINDOW (512 << 10)   /* text held at once, unless a line is longer */
#define DIRECT (64 << 10)    /* asked for at once, from which on bytes go where they are wanted, not through the window */
#define PACKED (256 << 10)   /* compressed bytes held at once */

struct reader {
	char *name;
	int fd;
	bool ended;           /* no more bytes will come */
	bool sniffed, packed; /* format known; it is gzip */
	bool in_member;       /* between the first byte of a gzip member and its end */
	bool any_member;      /* at least one member is complete */
	uint64_t raw_bytes;   /* read from fd */
	z_stream z;
	unsigned char *in;
	char *text; /* text[start, end) is ready; one byte more is kept for a NUL */
	size_t start, end, cap;
	uint64_t offset, line_number;
	bool newline;
	struct hash *hash[2]; /* NULL: not asked for */
	struct ahead *ahead;  /* reads and hashes a long file */
};

struct reader *reader_open(const char *path)
{
	struct reader *r = xcalloc(1, sizeof *r);

	if (!strcmp(path, "-")) {
		r->fd = STDIN_FILENO;
		r->name = xstrdup("stdin");
	} else {
		r->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (r->fd < 0)
			die("cannot open %s:", path);
		r->name = xstrdup(path);
		posix_fadvise(r->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
#ifdef F_SETPIPE_SZ
	fcntl(r->fd, F_SETPIPE_SZ, PIPE_BYTES); /* if it is a pipe, and if that much is allowed */
#endif
	r->cap = WINDOW;
	r->text = xmalloc(r->cap);
	return r;
}

void reader_hash(struct reader *r, struct hash *h)
{
	r->hash[r->hash[0] != NULL] = h;
}

static size_t read_some(struct reader *r, void *buf, size_t n)
{
	ssize_t got;

	if (r->hash[0] && !r->ahead && r->raw_bytes >= WINDOW - 1)
		r->ahead = ahead_start(r->fd, r->hash);
	got = r->ahead ? ahead_take(r->ahead, buf, n) : read_hashed(r->fd, buf, n, r->hash);
	if (got < 0)
		die("cannot read %s:", r->name);
	r->raw_bytes += (uint64_t)got;
	return (size_t)got;
}

/* Compressed bytes become available in z; false at the end of the file. */
static bool refill(struct reader *r)
{
	if (r->z.avail_in)
		return true;
	r->z.next_in = r->in;
	r->z.avail_in = (uInt)read_some(r, r->in, PACKED);
	return r->z.avail_in > 0;
}

static _Noreturn void bad_gzip(const struct reader *r, const char *why)
{
	die_input("bad gzip data: %s: byte %" PRIu64 ": %s", r->name, r->raw_bytes - r->z.avail_in, why);
}

/*
 * inflate() itself, member after member: gzread() takes a cut file for a short one, and ignores what follows the
 * last member.
 */
static size_t unpack_some(struct reader *r, void *buf, size_t n)
{
	r->z.next_out = buf;
	r->z.avail_out = n > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)n;
	n = r->z.avail_out;
	while (r->z.avail_out == n) {
		int code;

		if (!refill(r)) {
			if (r->in_member)
				bad_gzip(r, "unexpected end: the file is truncated");
			break;
		}
		if (!r->in_member && r->any_member && inflateReset(&r->z) != Z_OK)
			die("cannot unpack %s: zlib failed", r->name);
		r->in_member = true;
		code = inflate(&r->z, Z_NO_FLUSH);
		if (code == Z_STREAM_END) {
			r->in_member = false;
			r->any_member = true;
		} else if (code == Z_MEM_ERROR) {
			die("out of memory: unpacking %s", r->name);
		} else if (code == Z_DATA_ERROR && r->any_member && r->z.total_out == 0) {
			bad_gzip(r, "not a gzip member");
		} else if (code != Z_OK && code != Z_BUF_ERROR) {
			bad_gzip(r, code == Z_DATA_ERROR && r->z.msg ? r->z.msg : "not understood");
		}
	}
	return n - r->z.avail_out;
}

/* The first bytes tell the format. They are read into the text window, and moved if they are packed. */
static void sniff(struct reader *r)
{
	size_t got;

	r->sniffed = true;
	do {
		got = read_some(r, r->text + r->end, r->cap - 1 - r->end);
		r->end += got;
	} while (got && r->end < 2);
	r->z.avail_in = (uInt)r->end; /* if they are packed */
	if (r->end >= 2 && !memcmp(r->text, "\x1f\x8b", 2)) {
		r->packed = true;
		r->in = xmalloc(r->end > PACKED ? r->end : PACKED);
		memcpy(r->in, r->text, r->end);
		r->z.next_in = r->in;
		r->end = 0;
		if (inflateInit2(&r->z, 15 + 16) != Z_OK)
			die("cannot unpack %s: zlib failed", r->name);
	} else if (r->end < 2 && ends_with(r->name, ".gz")) {
		bad_gzip(r, "unexpected end: the file is truncated");
	}
}

/* At least one byte into buf, or 0 at the end. */
static size_t more(struct reader *r, void *buf, size_t n)
{
	size_t got;

	if (r->ended || !n)
		return 0;
	got = r->packed ? unpack_some(r, buf, n) : read_some(r, buf, n);
	r->ended = !got;
	return got;
}

/* At least one byte more behind text[end), with the window moved or grown if it is full; false at the end. */
static bool fill(struct reader *r)
{
	size_t before = r->end;

	if (r->start == r->end)
		before = r->start = r->end = 0;
	if (!r->sniffed) {
		sniff(r);
		if (r->end)
			return true;
	}
	if (r->start && r->cap - 1 - r->end < r->cap / 4) {
		memmove(r->text, r->text + r->start, r->end - r->start);
		r->end -= r->start;
		r->start = 0;
		before = r->end;
	}
	if (r->end + 1 == r->cap) {
		r->text = xreallocarray(r->text, r->cap, 2);
		r->cap *= 2;
	}
	r->end += more(r, r->text + r->end, r->cap - 1 - r->end);
	return r->end > before;
}

size_t reader_read(struct reader *r, void *buf, size_t n)
{
	size_t done = 0, part;

	while (done < n) {
		if (r->start < r->end) {
			part = r->end - r->start < n - done ? r->end - r->start : n - done;
			memcpy((char *)buf + done, r->text + r->start, part);
			r->start += part;
			done += part;
		} else if (r->sniffed && n - done >= DIRECT) {
			part = more(r, (char *)buf + done, n - done);
			if (!part)
				break;
			done += part;
		} else if (!fill(r)) {
			break;
		}
	}
	r->offset += done;
	return done;
}

ssize_t reader_line(struct reader *r, char **line, size_t max_line)
{
	size_t seen = 0, n; /* text[start, start + seen) has no newline */
	char *end;

	for (;;) {
		end = memchr(r->text + r->start + seen, '\n', r->end - r->start - seen);
		n = end ? (size_t)(end - r->text) - r->start : r->end - r->start;
		if (max_line && n > max_line)
			die_input("line too long: %s:%" PRIu64 ": more than %zu bytes", r->name, r->line_number + 1,
			          max_line);
		if (end)
			break;
		seen = n;
		if (!fill(r))
			break;
	}
	if (!end && !n)
		return -1;
	r->newline = end;
	*line = r->text + r->start;
	(*line)[n] = '\0';
	r->start += n + r->newline;
	r->offset += n + r->newline;
	r->line_number++;
	return (ssize_t)n;
}

bool reader_newline(const struct reader *r)
{
	return r->newline;
}

uint64_t reader_line_number(const struct reader *r)
{
	return r->line_number;
}

uint64_t reader_offset(const struct reader *r)
{
	return r->offset;
}

const char *reader_name(const struct reader *r)
{
	return r->name;
}

void reader_close(struct reader *r)
{
	if (!r)
		return;
	if (r->packed)
		inflateEnd(&r->z);
	ahead_stop(r->ahead);
	if (r->fd != STDIN_FILENO)
		close(r->fd);
	free(r->in);
	free(r->text);
	free(r->name);
	free(r);
}

char *reader_rest(struct reader *r, size_t max, size_t *size)
{
	size_t cap = 0, n = 0, got;
	char *data = NULL;

	do {
		if (n == cap) {
			cap = cap ? 2 * cap : 64 << 10;
			data = xreallocarray(data, cap, 1);
		}
		got = reader_read(r, data + n, cap - n);
		n += got;
		if (n > max)
			die_input("file too large: %s: more than %zu bytes", r->name, max);
	} while (got);
	data = xreallocarray(data, n + 1, 1);
	data[n] = '\0';
	if (size)
		*size = n;
	return data;
}

char *read_file(const char *path, size_t max, size_t *size)
{
	struct reader *r = reader_open(path);
	char *data = reader_rest(r, max, size);

	reader_close(r);
	return data;
}
