#include "nn/params.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/checked.h"
#include "lib/die.h"

#define PART (1 << 20) /* elements read at a time */

struct nn_params *nn_params_open(const char *dir, const char *prefix, th_device device)
{
	struct nn_params *p = xcalloc(1, sizeof *p);

	p->weights = weights_open(dir);
	p->path = xstrdup(weights_name(p->weights));
	if (weights_count(p->weights) == 0)
		die_input("%s: holds no tensors", p->path);
	p->device = device;
	p->prefix = prefix;
	p->taken = xcalloc(weights_count(p->weights), sizeof *p->taken);
	return p;
}

/* A file that has it with the prefix and without is ambiguous: the second is left over, and so refused. */
static const struct st_tensor *find(const struct nn_params *p, const char *name)
{
	return weights_find_any(p->weights, p->prefix, name);
}

static void take(struct nn_params *p, const struct st_tensor *t)
{
	for (size_t i = 0; i < weights_count(p->weights); i++)
		if (weights_at(p->weights, i) == t)
			p->taken[i] = true;
}

static void shape_text(char *out, size_t n, int n_dims, const int64_t *shape)
{
	size_t at = 0;

	out[0] = 0;
	for (int i = 0; i < n_dims && at < n; i++)
		at += (size_t)snprintf(out + at, n - at, "%s%lld", i ? ", " : "", (long long)shape[i]);
}

static void check(const struct nn_params *p, const struct st_tensor *t, int n_dims, const int64_t *shape)
{
	bool same = t->n_dims == n_dims;

	for (int i = 0; same && i < n_dims; i++)
		same = t->shape[i] == shape[i];
	if (!same) {
		char has[200], wants[200];
		shape_text(has, sizeof has, t->n_dims, t->shape);
		shape_text(wants, sizeof wants, n_dims, shape);
		die_input("%s: tensor %s: shape is (%s), the configuration wants (%s)", weights_file(p->weights, t), t->name, has,
		          wants);
	}
}

static th_dtype float_dtype(const struct nn_params *p, const struct st_tensor *t)
{
	switch (t->dtype) {
	case ST_F32: return TH_F32;
	case ST_BF16: return TH_BF16;
	case ST_F16: return TH_F16;
	case ST_F64: return TH_F64;
	default: die_input("%s: tensor %s: %s is no type for a weight", weights_file(p->weights, t), t->name,
		                   st_dtype_name(t->dtype));
	}
}

static char *vname(const char *fmt, va_list ap)
{
	char *name = NULL;

	if (vasprintf(&name, fmt, ap) < 0)
		die("out of memory");
	return name;
}

/* Part after part, so that no second copy of a large one is ever there. */
static void fill(const struct nn_params *p, th_tensor *value, const struct st_tensor *t)
{
	int64_t n = th_numel(value);
	size_t size = st_dtype_size(t->dtype);

	th_scope_open();
	th_tensor *flat = th_reshape(value, 1, (int64_t[]){n});
	for (int64_t i = 0, some; i < n; i += some) {
		const char *data = (const char *)t->data + (size_t)i * size;

		some = n - i < PART ? n - i : PART;
		th_scope_open();
		th_copy_(th_narrow(flat, 0, i, some), th_from_host(data, float_dtype(p, t), p->device, 1, &some));
		th_scope_close();
		st_pass(data, (size_t)some * size);
	}
	th_scope_close();
}

th_tensor *nn_param(struct nn_params *p, int n_dims, const int64_t *shape, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *name = vname(fmt, ap);
	va_end(ap);

	const struct st_tensor *t = find(p, name);
	if (!t)
		die_input("%s: tensor %s is missing", p->path, name);
	check(p, t, n_dims, shape);
	take(p, t);

	th_tensor *value = th_empty(p->dtype, p->device, n_dims, shape);
	fill(p, value, t);
	GROW(p->item, p->n, p->cap);
	p->item[p->n++] = (struct nn_param){.name = name, .value = value};
	return value;
}

/* Rows of a table never make a whole one if there is one to add them to. */
th_tensor *nn_param_grad(struct nn_param *p)
{
	th_tensor *copys = p->copy ? th_grad(p->copy) : NULL;
	th_tensor *own = (copys || p->summed) && th_grad_is_rows(p->value) ? NULL : th_grad(p->value);
	th_tensor *all = p->summed ? p->sum : own && (!copys || th_dtype_of(own) == TH_F32) ? own : copys;

	if (all && all != own)
		th_move_grad(all, p->value);
	if (copys && copys != all)
		th_move_grad(all, p->copy);
	return all;
}

void nn_param_drop_grad(struct nn_param *p)
{
	th_set_grad(p->value, NULL);
	if (p->copy)
		th_set_grad(p->copy, NULL);
	p->summed = false;
}

bool nn_has_param(const struct nn_params *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *name = vname(fmt, ap);
	va_end(ap);
	bool has = find(p, name) != NULL;
	free(name);
	return has;
}

void nn_param_alias(struct nn_params *p, const char *alias, const char *name)
{
	const struct st_tensor *a = find(p, alias), *t = find(p, name);

	if (!a)
		return;
	if (!t || a->dtype != t->dtype || a->bytes != t->bytes || memcmp(a->data, t->data, t->bytes) != 0)
		die_input("%s: tensor %s: the configuration ties it to %s, but they differ",
		          weights_file(p->weights, a), a->name, name);
	take(p, a);
}

void nn_params_loaded(struct nn_params *p, const char *const *ignored)
{
	size_t skip = strlen(p->prefix);

	for (size_t i = 0; i < weights_count(p->weights); i++) {
		const struct st_tensor *t = weights_at(p->weights, i);
		const char *name = t->name;
		if (p->taken[i])
			continue;
		const char *bare = strncmp(name, p->prefix, skip) == 0 ? name + skip : name;
		bool fine = false;
		for (const char *const *pattern = ignored; !fine && pattern && *pattern; pattern++)
			fine = fnmatch(*pattern, bare, 0) == 0;
		if (!fine)
			die_input("%s: unknown tensor %s", weights_file(p->weights, t), name);
	}
	weights_close(p->weights);
	free(p->taken);
	p->weights = NULL;
	p->taken = NULL;
}

void nn_params_free(struct nn_params *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->n; i++)
		free(p->item[i].name);
	free(p->item);
	free(p->path);
	free(p);
}

static bool listed(const char *name, const char *const *list)
{
	for (; list && *list; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

/* As dtype; a weight that is not finite, or would not be so any more, ends the tool. */
static void put(struct st_writer *w, const struct st_tensor *t, const th_tensor *value, const char *path)
{
	size_t n = t->bytes / st_dtype_size(t->dtype), wrong;
	float *x = xmalloc(n * sizeof *x);
	void *stored = t->dtype == ST_F32 ? x : xmalloc(t->bytes);

	th_to_host(value, TH_F32, x);
	wrong = st_from_f32(t->dtype, x, n, stored);
	if (wrong < n && !isfinite(x[wrong]))
		die("cannot write %s: tensor %s: a weight is %s", path, t->name, isnan(x[wrong]) ? "not a number" : "infinite");
	if (wrong < n)
		die("cannot write %s: tensor %s: %g is too large for %s", path, t->name, (double)x[wrong], st_dtype_name(t->dtype));
	st_put(w, stored, t->bytes);
	if (stored != x)
		free(stored);
	free(x);
}

void nn_params_save(const struct nn_params *p, const char *path, enum st_dtype dtype, const char *prefix,
                    const char *const *bare)
{
	struct st_tensor *t = xcalloc((size_t)p->n, sizeof *t);
	char **name = xcalloc((size_t)p->n, sizeof *name);

	for (int i = 0; i < p->n; i++) {
		const th_tensor *value = p->item[i].value;
		name[i] = xasprintf("%s%s", listed(p->item[i].name, bare) ? "" : prefix, p->item[i].name);
		t[i] = (struct st_tensor){.name = name[i], .dtype = dtype, .n_dims = th_dim(value)};
		for (int d = 0; d < t[i].n_dims; d++)
			t[i].shape[d] = th_size(value, d);
		t[i].bytes = (size_t)th_numel(value) * st_dtype_size(dtype);
	}

	struct st_writer *w = st_begin(path, t, (size_t)p->n, (const char *[]){"format", "pt", NULL});
	for (int i = 0; i < p->n; i++) {
		put(w, &t[i], p->item[i].value, path);
		free(name[i]);
	}
	st_end(w);
	free(name);
	free(t);
}
