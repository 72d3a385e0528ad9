#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "checked.h"
#include "die.h"

#define CHUNK ((size_t)256 << 10) /* of one file, written at once */
#define TOTAL ((size_t)256 << 20) /* of all */

static struct spool *all;
static size_t held;

static void put(struct spool *s, const char *data, size_t n)
{
	int fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		die("cannot write %s:", s->path);
	while (n) {
		ssize_t done = write(fd, data, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			die("cannot write %s:", s->path);
		data += done;
		n -= (size_t)done;
	}
#ifdef SYNC_FILE_RANGE_WRITE
	if (s->stays)
		sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
	if (close(fd))
		die("cannot write %s:", s->path);
}

static void flush(struct spool *s)
{
	if (s->n)
		put(s, s->buffer, s->n);
	s->n = 0;
}

static void drop_buffer(struct spool *s)
{
	flush(s);
	free(s->buffer);
	s->buffer = NULL;
	held -= s->cap;
	s->cap = 0;
}

struct spool *spool_open(const char *path)
{
	struct spool *s = xcalloc(1, sizeof *s);

	s->path = xstrdup(path);
	if (unlink(path) && errno != ENOENT)
		die("cannot write %s:", path);
	put(s, NULL, 0);
	s->next = all;
	all = s;
	return s;
}

void spool_write(struct spool *s, const void *data, size_t n)
{
	s->bytes += n;
	if (s->n + n > CHUNK)
		flush(s);
	if (n > CHUNK) {
		put(s, data, n);
		return;
	}
	if (s->n + n > s->cap) {
		size_t cap = s->cap ? s->cap : 4096;

		while (cap < s->n + n)
			cap *= 2;
		s->buffer = xreallocarray(s->buffer, cap, 1);
		held += cap - s->cap;
		s->cap = cap;
	}
	memcpy(s->buffer + s->n, data, n);
	s->n += n;
	if (held > TOTAL)
		for (struct spool *o = all; o; o = o->next)
			drop_buffer(o);
}

void spool_close(struct spool *s)
{
	drop_buffer(s);
	for (struct spool **o = &all; *o; o = &(*o)->next)
		if (*o == s) {
			*o = s->next;
			break;
		}
	free(s->path);
	free(s);
}

const void *map_file(const char *path, uint64_t bytes)
{
	void *map;
	int fd;

	if (!bytes)
		return NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("cannot read %s:", path);
	map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		die("cannot map %s:", path);
	madvise(map, bytes, MADV_SEQUENTIAL);
	close(fd);
	return map;
}

void unmap_file(const void *map, uint64_t bytes)
{
	if (map)
		munmap((void *)(uintptr_t)map, bytes);
}
