#include "safetensors.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "json.h"

#define MAX_HEADER 100000000 /* the reference reader's bound */

static const struct {
	const char *name;
	size_t size;
} dtypes[] = {
	[ST_BOOL] = {"BOOL", 1}, [ST_U8] = {"U8", 1},   [ST_I8] = {"I8", 1},   [ST_I16] = {"I16", 2}, [ST_U16] = {"U16", 2},
	[ST_F16] = {"F16", 2},   [ST_BF16] = {"BF16", 2}, [ST_I32] = {"I32", 4}, [ST_U32] = {"U32", 4}, [ST_F32] = {"F32", 4},
	[ST_F64] = {"F64", 8},   [ST_I64] = {"I64", 8}, [ST_U64] = {"U64", 8},
};

#define N_DTYPES (sizeof dtypes / sizeof *dtypes)

struct st_file {
	char *name;
	void *map;
	size_t map_bytes;
	struct json *header; /* owns the tensors' names */
	struct st_tensor *tensor;
	size_t n;
	const struct st_tensor **by_name; /* sorted */
};

size_t st_dtype_size(enum st_dtype dtype)
{
	return dtypes[dtype].size;
}

const char *st_dtype_name(enum st_dtype dtype)
{
	return dtypes[dtype].name;
}

static uint16_t bf16_bits(uint32_t u)
{
	if ((u & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(u >> 16 | 0x40); /* a NaN stays one */
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static uint16_t f16_bits(uint32_t u)
{
	uint32_t sign = u >> 16 & 0x8000, a = u & 0x7fffffff, shift, x;

	if (a > 0x7f800000)
		return (uint16_t)(sign | 0x7e00);
	if (a >= 0x477ff000) /* 65520: half way to what would be 2^16 */
		return (uint16_t)(sign | 0x7c00);
	if (a < 0x33000000) /* below 2^-25, half of the smallest */
		return (uint16_t)sign;
	if (a < 0x38800000) { /* below 2^-14: subnormal, a multiple of 2^-24 */
		shift = 126 - (a >> 23);
		x = (a & 0x7fffff) | 0x800000;
	} else {
		shift = 13;
		x = a - (112u << 23); /* another bias of the exponent */
	}
	x += (1u << (shift - 1)) - 1 + (x >> shift & 1);
	return (uint16_t)(sign | x >> shift);
}

size_t st_from_f32(enum st_dtype dtype, const float *x, size_t n, void *out)
{
	/* From here on a number is or becomes infinite: half way between the largest and the next power of two. */
	uint32_t limit = dtype == ST_F16 ? 0x477ff000 : dtype == ST_BF16 ? 0x7f7f8000 : 0x7f800000;
	uint8_t *p = out;
	size_t wrong = n;

	for (size_t i = 0; i < n; i++) {
		uint32_t u;

		memcpy(&u, x + i, sizeof u);
		if ((u & 0x7fffffff) >= limit && wrong == n)
			wrong = i;
		if (dtype == ST_F32) {
			u = htole32(u);
			memcpy(p + 4 * i, &u, 4);
		} else {
			uint16_t h = htole16(dtype == ST_BF16 ? bf16_bits(u) : f16_bits(u));

			memcpy(p + 2 * i, &h, 2);
		}
	}
	return wrong;
}

/* Sign, exponent and fraction to where f32 has them; what is subnormal in f16 is not in f32. */
static float f16_value(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 0x1f, fraction = h & 0x3ff, u;
	float x;

	if (exponent == 0) {
		x = (float)fraction * 0x1p-24f;
		return sign ? -x : x;
	}
	u = sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | fraction << 13;
	memcpy(&x, &u, sizeof x);
	return x;
}

bool st_to_f64(enum st_dtype dtype, const void *data, size_t n, double *x)
{
	const uint8_t *p = data;

	if (dtype != ST_F64 && dtype != ST_F32 && dtype != ST_BF16 && dtype != ST_F16)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint64_t d;
		uint32_t f;
		uint16_t h;
		float y;

		switch (dtype) {
		case ST_F64:
			memcpy(&d, p + 8 * i, 8);
			d = le64toh(d);
			memcpy(x + i, &d, 8);
			break;
		case ST_F32:
			memcpy(&f, p + 4 * i, 4);
			f = le32toh(f);
			memcpy(&y, &f, 4);
			x[i] = (double)y;
			break;
		case ST_BF16:
			memcpy(&h, p + 2 * i, 2);
			f = (uint32_t)le16toh(h) << 16;
			memcpy(&y, &f, 4);
			x[i] = (double)y;
			break;
		default:
			memcpy(&h, p + 2 * i, 2);
			x[i] = (double)f16_value(le16toh(h));
		}
	}
	return true;
}

static _Noreturn void malformed(const struct st_file *f, const char *subject, const char *why)
{
	if (subject)
		die_input("malformed safetensors: %s: %s: %s", f->name, subject, why);
	die_input("malformed safetensors: %s: %s", f->name, why);
}

/* Product of the shape times the element's size; false on overflow. */
static bool tensor_bytes(const struct st_tensor *t, size_t *bytes)
{
	*bytes = dtypes[t->dtype].size;
	for (int i = 0; i < t->n_dims; i++)
		if (t->shape[i] < 0 || !mul_size(*bytes, (size_t)t->shape[i], bytes))
			return false;
	return true;
}

static int64_t offset(const struct st_file *f, const json_value *v, const char *name)
{
	int64_t x = json_int(f->header, v, name);

	if (x < 0)
		malformed(f, name, "negative number");
	return x;
}

/* An entry {"dtype":, "shape":, "data_offsets":}, these three and no other. data: the offset for now. */
static void read_entry(struct st_file *f, const json_value *entry, struct st_tensor *t, int64_t *begin, int64_t *end)
{
	const char *name = json_key(entry), *dtype;
	const json_value *shape = json_get(entry, "shape"), *range = json_get(entry, "data_offsets"), *v;
	size_t bytes;

	if (!json_is_object(entry) || json_count(entry) != 3 || !json_get(entry, "dtype") || !json_is_array(shape) ||
	    !json_is_array(range) || json_count(range) != 2)
		malformed(f, name, "expected dtype, shape and data_offsets");
	t->name = name;
	dtype = json_string(f->header, json_get(entry, "dtype"), name);
	for (t->dtype = 0; t->dtype < N_DTYPES && strcmp(dtypes[t->dtype].name, dtype) != 0; t->dtype++)
		;
	if (t->dtype == N_DTYPES)
		malformed(f, name, "unknown dtype");
	if (json_count(shape) > ST_MAX_DIMS)
		malformed(f, name, "too many dimensions");
	for (v = json_first(shape); v; v = json_next(v))
		t->shape[t->n_dims++] = offset(f, v, name);
	*begin = offset(f, json_first(range), name);
	*end = offset(f, json_next(json_first(range)), name);
	if (!tensor_bytes(t, &bytes))
		malformed(f, name, "shape overflows");
	if (*begin > *end || (uint64_t)(*end - *begin) != bytes)
		malformed(f, name, "data_offsets do not fit dtype and shape");
	t->bytes = bytes;
}

struct entry {
	struct st_tensor tensor;
	int64_t begin, end;
};

static int by_offset(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	if (x->end != y->end) /* an empty tensor stands before the one that begins at its place */
		return x->end < y->end ? -1 : 1;
	return strcmp(x->tensor.name, y->tensor.name);
}

static int by_name(const void *a, const void *b)
{
	const struct st_tensor *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void check_metadata(const struct st_file *f, const json_value *v)
{
	if (!json_is_object(v))
		malformed(f, "__metadata__", "object expected");
	for (v = json_first(v); v; v = json_next(v))
		if (!json_is_string(v))
			malformed(f, "__metadata__", "values must be strings");
}

struct st_file *st_open(const char *path)
{
	struct st_file *f = xcalloc(1, sizeof *f);
	struct entry *entry;
	const json_value *v;
	uint64_t header, at = 0;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	f->name = xstrdup(path);
	if (fd < 0 || fstat(fd, &st) < 0)
		die("cannot open %s:", path);
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		die("cannot read %s:", path);
	}
	if (!S_ISREG(st.st_mode))
		die("cannot map %s: not a regular file", path);
	if (st.st_size < 8)
		malformed(f, NULL, "shorter than the header's length");
	f->map_bytes = (size_t)st.st_size;
	f->map = mmap(NULL, f->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (f->map == MAP_FAILED)
		die("cannot map %s:", path);
	close(fd);

	memcpy(&header, f->map, 8);
	header = le64toh(header);
	if (header > MAX_HEADER)
		malformed(f, "byte 0", "header is larger than 100 MB");
	if (header > f->map_bytes - 8)
		malformed(f, "byte 0", "header is longer than the file: truncated");
	if (header == 0 || ((const char *)f->map)[8] != '{')
		malformed(f, "byte 8", "header does not begin with {");
	f->header = json_parse((const char *)f->map + 8, (size_t)header, path);

	f->n = json_count(json_root(f->header));
	entry = xcalloc(f->n + 1, sizeof *entry);
	f->n = 0;
	for (v = json_first(json_root(f->header)); v; v = json_next(v)) {
		if (strcmp(json_key(v), "__metadata__") == 0) {
			check_metadata(f, v);
			continue;
		}
		read_entry(f, v, &entry[f->n].tensor, &entry[f->n].begin, &entry[f->n].end);
		f->n++;
	}
	qsort(entry, f->n, sizeof *entry, by_offset);

	f->tensor = xcalloc(f->n + 1, sizeof *f->tensor);
	f->by_name = xcalloc(f->n + 1, sizeof *f->by_name);
	for (size_t i = 0; i < f->n; i++) {
		if ((uint64_t)entry[i].begin != at)
			malformed(f, entry[i].tensor.name,
			          (uint64_t)entry[i].begin > at ? "a gap before its data" : "overlaps another tensor");
		at = (uint64_t)entry[i].end;
		if (at > f->map_bytes - 8 - header)
			malformed(f, entry[i].tensor.name, "data ends behind the end of the file: truncated");
		f->tensor[i] = entry[i].tensor;
		f->tensor[i].data = (const char *)f->map + 8 + header + entry[i].begin;
		f->by_name[i] = &f->tensor[i];
	}
	if (at != f->map_bytes - 8 - header)
		malformed(f, NULL, "bytes after the last tensor");
	free(entry);
	qsort(f->by_name, f->n, sizeof(struct st_tensor *), by_name);
	return f;
}

void st_pass(const void *data, size_t bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)data / page * page;

	madvise((void *)start, (uintptr_t)data + bytes - start, MADV_DONTNEED); /* if it fails, the memory stays */
}

void st_close(struct st_file *f)
{
	if (!f)
		return;
	munmap(f->map, f->map_bytes);
	json_free(f->header);
	free(f->tensor);
	free(f->by_name);
	free(f->name);
	free(f);
}

size_t st_count(const struct st_file *f)
{
	return f->n;
}

const struct st_tensor *st_at(const struct st_file *f, size_t i)
{
	return i < f->n ? &f->tensor[i] : NULL;
}

const struct st_tensor *st_find(const struct st_file *f, const char *name)
{
	const struct st_tensor key = {.name = name}, *k = &key;
	const struct st_tensor **found = bsearch(&k, f->by_name, f->n, sizeof(struct st_tensor *), by_name);

	return found ? *found : NULL;
}

const char *st_name(const struct st_file *f)
{
	return f->name;
}

const char *st_metadata(const struct st_file *f, const char *key)
{
	const json_value *v = json_get(json_get(json_root(f->header), "__metadata__"), key);

	return v ? json_string(f->header, v, key) : NULL;
}

/* --- writing --- */

struct st_writer {
	struct atomic *out;
	uint64_t left;
};

/* The header as compact JSON; *size without padding. */
static char *make_header(const char *path, const struct st_tensor *tensor, size_t n, const char *const *metadata,
                         size_t *size, uint64_t *total)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);
	const char *comma = "";
	size_t at = 0, bytes, end;

	if (!out)
		die("cannot write %s:", path);
	putc('{', out);
	if (metadata && metadata[0]) {
		fputs("\"__metadata__\":{", out);
		for (const char *const *m = metadata; m[0]; m += 2) {
			fputs(m == metadata ? "" : ",", out);
			json_put_string(out, m[0]);
			putc(':', out);
			json_put_string(out, m[1]);
		}
		putc('}', out);
		comma = ",";
	}
	for (size_t i = 0; i < n; i++) {
		const struct st_tensor *t = &tensor[i];

		if (t->n_dims < 0 || t->n_dims > ST_MAX_DIMS || !tensor_bytes(t, &bytes) || !add_size(at, bytes, &end) ||
		    end > (size_t)1 << 53)
			die("cannot write %s: %s: shape overflows", path, t->name);
		if (bytes != t->bytes)
			die("cannot write %s: %s: %zu bytes do not fit the shape", path, t->name, t->bytes);
		fputs(comma, out);
		json_put_string(out, t->name);
		fprintf(out, ":{\"dtype\":\"%s\",\"shape\":[", dtypes[t->dtype].name);
		for (int d = 0; d < t->n_dims; d++)
			fprintf(out, "%s%lld", d ? "," : "", (long long)t->shape[d]);
		fprintf(out, "],\"data_offsets\":[%zu,%zu]}", at, end);
		comma = ",";
		at = end;
	}
	putc('}', out);
	if (ferror(out) || fclose(out) != 0 || !text) /* glibc can lose the text in fclose() and not tell */
		die("cannot write %s:", path);
	if (*size > MAX_HEADER)
		die("cannot write %s: header is larger than 100 MB", path);
	*total = at;
	return text;
}

struct st_writer *st_begin(const char *path, const struct st_tensor *tensor, size_t n, const char *const *metadata)
{
	struct st_writer *w = xcalloc(1, sizeof *w);
	size_t size;
	char *header = make_header(path, tensor, n, metadata, &size, &w->left);
	uint64_t padded = (size + 7) / 8 * 8, le = htole64(padded);

	w->out = atomic_open(path);
	atomic_write(w->out, &le, sizeof le);
	atomic_write(w->out, header, size);
	atomic_write(w->out, "        ", padded - size);
	free(header);
	return w;
}

void st_put(struct st_writer *w, const void *data, size_t bytes)
{
	if (bytes > w->left)
		die("cannot write %s: more data than its header says", atomic_name(w->out));
	atomic_write(w->out, data, bytes);
	w->left -= bytes;
}

void st_end(struct st_writer *w)
{
	if (w->left)
		die("cannot write %s: %llu bytes less than its header says", atomic_name(w->out), (unsigned long long)w->left);
	atomic_commit(w->out);
	free(w);
}

void st_write(const char *path, const struct st_tensor *tensor, size_t n, const char *const *metadata)
{
	struct st_writer *w = st_begin(path, tensor, n, metadata);

	for (size_t i = 0; i < n; i++)
		st_put(w, tensor[i].data, tensor[i].bytes);
	st_end(w);
}
