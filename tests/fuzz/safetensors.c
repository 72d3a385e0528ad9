/* The tensors of a file that is taken tile its data, and are found by name. */
#include "fuzz.h"

#include "safetensors.h"

void fuzz(const uint8_t *data, size_t n)
{
	struct st_file *f = st_open(fuzz_file(data, n));
	const char *end = NULL;
	size_t total = 0;

	for (size_t i = 0; i < st_count(f); i++) {
		const struct st_tensor *t = st_at(f, i);
		size_t bytes = st_dtype_size(t->dtype);
		volatile char byte = 0;

		for (int d = 0; d < t->n_dims; d++)
			bytes *= (size_t)t->shape[d];
		CHECK(bytes == t->bytes);
		CHECK(!end || t->data == end);
		CHECK(st_find(f, t->name) == t);
		for (size_t k = 0; k < bytes; k++)
			byte = (char)(byte ^ ((const char *)t->data)[k]);
		end = (const char *)t->data + bytes;
		total += bytes;
	}
	CHECK(total < n);
	st_metadata(f, "format");
	st_close(f);
}
