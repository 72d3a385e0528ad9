/* A configuration that is taken gives tensors whose sizes are positive and do not overflow. */
#include "fuzz.h"

#include "model.h"
#include "rope.h"

void fuzz(const uint8_t *data, size_t n)
{
	struct model_config c;
	struct model_tensor t;
	struct json *doc = json_parse((const char *)data, n, "input");
	size_t tensors;

	model_config_parse(&c, doc, "input");
	tensors = model_tensors(&c);
	CHECK(c.head_dim > 0 && c.n_kv_head > 0 && c.n_head % c.n_kv_head == 0 && tensors > 0 && tensors < 100000);
	for (size_t i = 0; i < tensors; i += tensors / 50 + 1) {
		model_tensor(&c, i, &t);
		CHECK(t.n_dims == 1 || t.n_dims == 2);
		CHECK(t.shape[0] > 0 && (t.n_dims == 1 || t.shape[1] > 0));
		CHECK(t.n_dims == 1 || t.shape[0] <= INT64_MAX / 8 / t.shape[1]);
		CHECK(*t.name && strlen(t.name) < sizeof t.name - 1 && t.std >= 0);
	}
	if (c.rope.type != ROPE_NONE) {
		static float f[1 << 19];

		CHECK(c.head_dim % 2 == 0 && c.head_dim / 2 <= (int64_t)(sizeof f / sizeof *f));
		rope_frequencies(&c, f);
		for (int64_t i = 0; i < c.head_dim / 2; i++)
			CHECK(f[i] >= 0 && f[i] < 1e30f);
	}
	json_free(doc);
}
