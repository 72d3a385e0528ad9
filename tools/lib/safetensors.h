/*
 * safetensors: the weights format of Hugging Face, mapped for reading, written whole.
 * The reader accepts nothing that the reference reader refuses: header size, strict JSON,
 * known dtypes, offsets that tile the data without gap or overlap, exact file size. Exit 3.
 */
#ifndef PALIMPSEST_SAFETENSORS_H
#define PALIMPSEST_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum st_dtype { ST_BOOL, ST_U8, ST_I8, ST_I16, ST_U16, ST_F16, ST_BF16, ST_I32, ST_U32, ST_F32, ST_F64, ST_I64, ST_U64 };
#define ST_MAX_DIMS 8

size_t st_dtype_size(enum st_dtype dtype);
const char *st_dtype_name(enum st_dtype dtype); /* "F32", "BF16" ... */

/*
 * n numbers as ST_F32, ST_BF16 or ST_F16, little-endian, rounded to nearest even; what overflows becomes infinite. Returns the
 * index of the first that is not finite in out, or n. out may be x.
 */
size_t st_from_f32(enum st_dtype dtype, const float *x, size_t n, void *out);

/* n numbers of type ST_F64, ST_F32, ST_BF16 or ST_F16, little-endian, at any address; of another type: false. */
bool st_to_f64(enum st_dtype dtype, const void *data, size_t n, double *x);

struct st_tensor {
	const char *name; /* borrowed from the file */
	enum st_dtype dtype;
	int n_dims;
	int64_t shape[ST_MAX_DIMS];
	const void *data; /* mapped, little-endian, row-major; may be unaligned */
	size_t bytes;
};

struct st_file;

struct st_file *st_open(const char *path); /* you st_close() it */
void st_close(struct st_file *f);
size_t st_count(const struct st_file *f);
const struct st_tensor *st_at(const struct st_file *f, size_t i); /* in the order of the data */
const struct st_tensor *st_find(const struct st_file *f, const char *name); /* NULL if missing */
void st_pass(const void *data, size_t bytes); /* of a tensor's: has been used, and takes no memory until it is again */
const char *st_name(const struct st_file *f);
const char *st_metadata(const struct st_file *f, const char *key); /* NULL if missing */

/*
 * Writing: name, dtype, shape, data of each (bytes is checked against the shape). Tensors are stored in the given
 * order, header padded with blanks to 8 bytes, as the reference writer does. metadata: key, value, ..., NULL
 * (transformers wants "format", "pt"). Atomic.
 */
void st_write(const char *path, const struct st_tensor *tensor, size_t n, const char *const *metadata);

/* The same in two steps, for tensors that do not lie in memory at once: data pointers unused,
 * then the bytes of each in order. */
struct st_writer;
struct st_writer *st_begin(const char *path, const struct st_tensor *tensor, size_t n, const char *const *metadata);
void st_put(struct st_writer *w, const void *data, size_t bytes);
void st_end(struct st_writer *w); /* dies if bytes are missing (a bug) */

#endif
