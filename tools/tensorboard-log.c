/* tensorboard-log: training logs as TensorBoard reads them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "json.h"
#include "options.h"
#include "outdir.h"
#include "reader.h"
#include "tsv.h"

#define MAX_LINE ((size_t)1 << 20)
#define NAME "events.out.tfevents.0.palimpsest"

static const char *out, *prefix = "train";

static const struct option options[] = {
	{'o', "output", OPT_STRING, &out, "DIR", "log directory of one run, for tensorboard --logdir", .unrecorded = true},
	{0, "prefix", OPT_STRING, &prefix, "TEXT", "what the names of the curves begin with"},
	{0}
};

static const struct tool tool = {
	"tensorboard-log", "training logs as TensorBoard reads them",
	"-o DIR [--prefix TEXT] LOG.jsonl...", options};

/* --- CRC-32C (Castagnoli), as RFC 3720 has it ---------------------------------------------------------- */

static uint32_t crc32c(const uint8_t *p, size_t n)
{
	static uint32_t table[256];
	uint32_t crc = 0xffffffffu;

	for (uint32_t i = 0; i < 256 && !table[255]; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
		table[i] = c;
	}
	for (size_t i = 0; i < n; i++)
		crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xff];
	return ~crc;
}

/* TFRecord stores it so, because a checksum of data that hold checksums is weak. */
static uint32_t masked(uint32_t crc)
{
	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* --- protocol buffers ----------------------------------------------------------------------------------- */

struct bytes {
	uint8_t *v;
	size_t n, cap;
};

static void put(struct bytes *b, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		GROW(b->v, b->n, b->cap);
		b->v[b->n++] = ((const uint8_t *)p)[i];
	}
}

static void put_le(struct bytes *b, uint64_t x, int n)
{
	for (int i = 0; i < n; i++)
		put(b, &(uint8_t){(uint8_t)(x >> (8 * i))}, 1);
}

static void put_varint(struct bytes *b, uint64_t x)
{
	for (; x >= 128; x >>= 7)
		put(b, &(uint8_t){(uint8_t)(x | 128)}, 1);
	put(b, &(uint8_t){(uint8_t)x}, 1);
}

enum wire { VARINT = 0, DOUBLE = 1, LENGTH = 2, FLOAT = 5 };

static void put_key(struct bytes *b, int field, enum wire wire)
{
	put_varint(b, (uint64_t)field << 3 | (uint64_t)wire);
}

static void put_message(struct bytes *b, int field, const void *p, size_t n)
{
	put_key(b, field, LENGTH);
	put_varint(b, n);
	put(b, p, n);
}

/* Event: wall_time = 1, step = 2. The logs have no time, so that they are the same bytes always: a second a step. */
static void put_event_head(struct bytes *b, int64_t step)
{
	uint64_t bits;

	memcpy(&bits, &(double){(double)step}, sizeof bits);
	put_key(b, 1, DOUBLE);
	put_le(b, bits, 8);
	put_key(b, 2, VARINT);
	put_varint(b, (uint64_t)step);
}

/* Summary.Value: tag = 1, simple_value = 2; in Summary: value = 1. */
static void put_value(struct bytes *summary, const char *name, double x)
{
	struct bytes v = {0};
	char *tag = *prefix ? xasprintf("%s/%s", prefix, name) : xstrdup(name);
	uint32_t bits;

	memcpy(&bits, &(float){(float)x}, sizeof bits);
	put_message(&v, 1, tag, strlen(tag));
	put_key(&v, 2, FLOAT);
	put_le(&v, bits, 4);
	put_message(summary, 1, v.v, v.n);
	free(tag);
	free(v.v);
}

/* A TFRecord: length, its checksum, the bytes, theirs. */
static void write_record(struct atomic *a, const struct bytes *b)
{
	struct bytes head = {0};

	put_le(&head, b->n, 8);
	put_le(&head, masked(crc32c(head.v, 8)), 4);
	atomic_write(a, head.v, head.n);
	atomic_write(a, b->v, b->n);
	head.n = 0;
	put_le(&head, masked(crc32c(b->v, b->n)), 4);
	atomic_write(a, head.v, head.n);
	free(head.v);
}

/* --- logs ----------------------------------------------------------------------------------------------- */

/* The steps of a log go on after those of the one before; returns the last. */
static int64_t write_log(struct atomic *a, const char *path, int64_t before)
{
	struct reader *r = reader_open(path);
	int64_t last = before;
	char *line;
	ssize_t n;

	while ((n = reader_line(r, &line, MAX_LINE)) >= 0) {
		char *where = xasprintf("%s:%llu", reader_name(r), (unsigned long long)reader_line_number(r));
		struct json *doc = json_parse(line, (size_t)n, where);
		struct bytes event = {0}, summary = {0};
		int64_t step;

		if (!reader_newline(r))
			die_input("%s: truncated: the last line does not end", where);
		if (!json_get(json_root(doc), "step"))
			die_input("%s: no step", where);
		step = json_int(doc, json_get(json_root(doc), "step"), "step");
		if (step < 0)
			die_input("%s: step %lld", where, (long long)step);
		for (const json_value *v = json_first(json_root(doc)); v; v = json_next(v))
			if (json_is_number(v) && strcmp(json_key(v), "step"))
				put_value(&summary, json_key(v), json_real(doc, v, json_key(v)));
		put_event_head(&event, before + step);
		put_message(&event, 5, summary.v, summary.n);
		write_record(a, &event);
		if (before + step > last)
			last = before + step;
		free(event.v);
		free(summary.v);
		json_free(doc);
		free(where);
	}
	reader_close(r);
	return last;
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool);
	struct bytes event = {0};
	struct atomic *a;
	int64_t step = 0;
	char *path;

	if (!out)
		die_usage("-o is missing");
	if (first == argc)
		die_usage("no log given");
	if (*prefix && !tsv_is_clean(prefix))
		die_usage("--prefix: control characters");
	make_dirs(out);
	path = path_join(out, NAME);
	a = atomic_open(path);
	put_event_head(&event, 0);
	put_message(&event, 3, "brain.Event:2", 13); /* file_version, which comes first */
	write_record(a, &event);
	for (int i = first; i < argc; i++)
		step = write_log(a, argv[i], step);
	atomic_commit(a);
	free(event.v);
	free(path);
	return EXIT_DONE;
}
