#include "nn/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/checked.h"
#include "lib/die.h"

#define MAX_UPDATES (INT64_C(1) << 53) /* of all runs that handed on their moments */

static struct st_tensor describe(const char *kind, const char *name, const th_tensor *value)
{
	struct st_tensor t = {.dtype = th_dtype_of(value) == TH_BF16 ? ST_BF16 : ST_F32, .n_dims = th_dim(value)};

	t.name = xasprintf("%s.%s", kind, name);
	for (int d = 0; d < t.n_dims; d++)
		t.shape[d] = th_size(value, d);
	t.bytes = (size_t)th_numel(value) * st_dtype_size(t.dtype);
	return t;
}

static void put_tensor(struct st_writer *w, const th_tensor *t)
{
	size_t bytes = (size_t)th_numel(t) * th_dtype_size(th_dtype_of(t));
	void *host = xmalloc(bytes);

	th_to_host(t, th_dtype_of(t), host);
	st_put(w, host, bytes);
	free(host);
}

/* Copies a tensor of the file, f32 or bf16, into one of ours, and returns the file's; a mismatch: exit 3. */
static const struct st_tensor *get_tensor(const struct st_file *f, const char *kind, const char *name, th_tensor *into)
{
	struct st_tensor want = describe(kind, name, into);
	const struct st_tensor *t = st_find(f, want.name);

	if (!t)
		die_input("%s: tensor %s is missing", st_name(f), want.name);
	if ((t->dtype != ST_F32 && t->dtype != ST_BF16) || t->n_dims != want.n_dims ||
	    memcmp(t->shape, want.shape, (size_t)want.n_dims * sizeof *want.shape) != 0)
		die_input("%s: tensor %s: shape or type is not the model's", st_name(f), want.name);
	th_scope_open();
	th_dtype dtype = t->dtype == ST_BF16 ? TH_BF16 : TH_F32;
	th_copy_(into, th_from_host(t->data, dtype, th_device_of("cpu"), t->n_dims, t->shape));
	th_scope_close();
	free((char *)want.name);
	return t;
}

void state_get_params(const struct st_file *f, struct nn_params *params)
{
	for (int i = 0; i < params->n; i++)
		get_tensor(f, "param", params->item[i].name, params->item[i].value);
}

/* All finite, and a mean of squares not negative? */
static bool is_moment(const struct st_tensor *t, bool of_squares)
{
	size_t size = st_dtype_size(t->dtype);

	for (size_t at = 0; at < t->bytes; at += size) {
		float x = 0; /* of which bf16 is the upper half */
		memcpy((char *)&x + sizeof x - size, (const char *)t->data + at, size);
		if (!isfinite(x) || (of_squares && x < 0))
			return false;
	}
	return true;
}

void state_write(const char *path, const struct optim *o, bool params, const struct st_tensor *extra, size_t n_extra)
{
	size_t n = (size_t)o->params->n, all = n_extra, at = 0;
	struct st_tensor *t = xcalloc(n_extra + 3 * n, sizeof *t);

	memcpy(t, extra, n_extra * sizeof *t);
	for (size_t i = 0; i < n && params; i++)
		t[all++] = describe("param", o->params->item[i].name, o->params->item[i].value);
	for (size_t i = 0; i < n; i++)
		t[all++] = describe("m", o->params->item[i].name, o->m[i]);
	for (size_t i = 0; i < n; i++)
		t[all++] = describe("v", o->params->item[i].name, o->v[i]);

	th_device_sync(o->params->device);
	struct st_writer *w = st_begin(path, t, all, NULL);
	for (; at < n_extra; at++)
		st_put(w, extra[at].data, extra[at].bytes);
	for (size_t i = 0; i < n && params; i++)
		put_tensor(w, o->params->item[i].value);
	for (size_t i = 0; i < n; i++)
		put_tensor(w, o->m[i]);
	for (size_t i = 0; i < n; i++)
		put_tensor(w, o->v[i]);
	st_end(w);
	for (size_t i = n_extra; i < all; i++)
		free((char *)t[i].name);
	free(t);
}

struct st_tensor state_scalar(const char *name, enum st_dtype dtype, const void *value)
{
	return (struct st_tensor){.name = name, .dtype = dtype, .n_dims = 1, .shape = {1}, .data = value, .bytes = 8};
}

void state_get_scalar(const struct st_file *f, const char *name, enum st_dtype dtype, void *value)
{
	const struct st_tensor *t = st_find(f, name);

	if (!t || t->dtype != dtype || t->bytes != 8)
		die_input("%s: tensor %s is missing or no single number", st_name(f), name);
	memcpy(value, t->data, 8);
}

void optim_save(const struct optim *o, const char *path)
{
	struct st_tensor updates = state_scalar("updates", ST_I64, &o->updates);

	for (int i = 0; i < o->params->n; i++)
		if (!th_all_finite(o->m[i]) || !th_all_finite(o->v[i]))
			die("cannot write %s: the moments of %s are not finite", path, o->params->item[i].name);
	state_write(path, o, false, &updates, 1);
}

void state_get_moments(const struct st_file *f, struct optim *o, bool others)
{
	for (int i = 0; i < o->params->n; i++) {
		const char *name = o->params->item[i].name;
		const struct st_tensor *m = get_tensor(f, "m", name, o->m[i]), *v = get_tensor(f, "v", name, o->v[i]);
		if (others && !(is_moment(m, false) && is_moment(v, true)))
			die_input("%s: the moments of %s are not finite, or squares are negative", st_name(f), name);
	}
	state_get_scalar(f, "updates", ST_I64, &o->updates);
	if (o->updates < 0 || o->updates > MAX_UPDATES)
		die_input("%s: updates is not in [0, 2^53]", st_name(f));
}

void optim_load(struct optim *o, const char *path)
{
	struct st_file *f = st_open(path);

	state_get_moments(f, o, true);
	st_close(f);
}
