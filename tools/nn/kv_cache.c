#include "nn/kv_cache.h"

#include <stdlib.h>
#include <string.h>

#include "lib/checked.h"

bool nn_can_cache(const struct nn_model *m)
{
	return m->family->hidden_after != NULL;
}

struct nn_cache *nn_cache_new(const struct nn_model *m, int64_t rows)
{
	struct nn_cache *c = xcalloc(1, sizeof *c);

	c->rows = rows;
	c->n_layer = (int)m->config.n_layer;
	m->family->key_shape(m, &c->G, &c->D);
	c->length = xcalloc((size_t)rows, sizeof *c->length);
	c->k = xcalloc((size_t)c->n_layer, sizeof *c->k);
	c->v = xcalloc((size_t)c->n_layer, sizeof *c->v);
	return c;
}

void nn_cache_free(struct nn_cache *c)
{
	if (!c)
		return;
	free(c->length);
	free(c->k);
	free(c->v);
	free(c);
}

static int64_t longest(const struct nn_cache *c)
{
	int64_t most = 0;

	for (int64_t b = 0; b < c->rows; b++)
		most = c->length[b] > most ? c->length[b] : most;
	return most;
}

static bool even(const struct nn_cache *c)
{
	for (int64_t b = 1; b < c->rows; b++)
		if (c->length[b] != c->length[0])
			return false;
	return true;
}

static void begin(struct nn_cache *c, const struct nn_model *m, int64_t T)
{
	int64_t *position = xcalloc((size_t)(c->rows * T), sizeof *position), *seen = xcalloc((size_t)c->rows, sizeof *seen);

	for (int64_t b = 0; b < c->rows; b++) {
		for (int64_t t = 0; t < T; t++)
			position[b * T + t] = c->length[b] + t;
		seen[b] = c->length[b] + T;
	}
	c->new_tokens = T;
	c->longest = longest(c) + T;
	c->position = th_from_host(position, TH_I64, m->device, 1, (int64_t[]){c->rows * T});
	c->seen = even(c) ? NULL : th_from_host(seen, TH_I64, m->device, 1, (int64_t[]){c->rows});
	free(seen);
	free(position);
}

th_tensor *nn_cache_hidden(struct nn_cache *c, const struct nn_model *m, th_tensor *id, const int64_t *n)
{
	int64_t T = th_size(id, 1);

	begin(c, m, T);
	th_tensor *h = m->family->hidden_after(m, id, c);
	for (int64_t b = 0; b < c->rows; b++)
		c->length[b] += n ? n[b] : T;
	return h;
}

/* into gets the first `kept` tokens of all rows of from, or of those in index. */
static void copy_tokens(th_tensor *into, th_tensor *from, int64_t kept, th_tensor *index)
{
	th_scope_open();
	from = th_narrow(from, 2, 0, kept);
	th_copy_(th_narrow(into, 2, 0, kept), index ? th_index_select(from, 0, index) : from);
	th_scope_close();
}

static void make_tensors(struct nn_cache *c, const struct nn_model *m, int64_t room, const struct nn_cache *from, th_tensor *index)
{
	int64_t kept = longest(from), shape[] = {c->rows, c->G, room, c->D};

	for (int i = 0; i < c->n_layer; i++) {
		th_tensor *k = from->k[i], *v = from->v[i];
		c->k[i] = th_zeros(m->compute, m->device, 4, shape);
		c->v[i] = th_zeros(m->compute, m->device, 4, shape);
		if (kept) {
			copy_tokens(c->k[i], k, kept, index);
			copy_tokens(c->v[i], v, kept, index);
		}
	}
	c->room = room;
}

/* Grows by doubling, so that what is left behind in the scope is no more than what is in use. */
void nn_cache_reserve(struct nn_cache *c, const struct nn_model *m, int64_t tokens)
{
	int64_t need = longest(c) + tokens, room = 2 * c->room < m->positions ? 2 * c->room : m->positions;

	if (need > c->room)
		make_tensors(c, m, need > room ? need : room, c, NULL);
}

struct nn_cache *nn_cache_rows(const struct nn_cache *c, const struct nn_model *m, const int64_t *row, int64_t n, int64_t tokens)
{
	struct nn_cache *some = nn_cache_new(m, n);

	for (int64_t i = 0; i < n; i++)
		some->length[i] = c->length[row[i]];
	th_tensor *index = th_from_host(row, TH_I64, m->device, 1, &n);
	make_tensors(some, m, longest(c) + tokens, c, index);
	return some;
}

/* New keys or values behind the old ones, in one piece if all rows are of one length. */
static void store(const struct nn_cache *c, th_tensor *into, th_tensor *x)
{
	if (!c->seen) {
		th_copy_(th_narrow(into, 2, c->length[0], c->new_tokens), x);
		return;
	}
	for (int64_t b = 0; b < c->rows; b++)
		th_copy_(th_narrow(th_narrow(into, 0, b, 1), 2, c->length[b], c->new_tokens), th_narrow(x, 0, b, 1));
}

th_tensor *nn_cache_attention(struct nn_cache *c, int layer, th_tensor *q, th_tensor *k, th_tensor *v, double scale)
{
	store(c, c->k[layer], k);
	store(c, c->v[layer], v);
	k = th_narrow(c->k[layer], 2, 0, c->longest);
	v = th_narrow(c->v[layer], 2, 0, c->longest);
	return th_attention(q, k, v, !c->seen, c->seen, scale, 0, (th_key){0, 0});
}
