#include "intern.h"

#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "docset.h"

/* Where s is, or the free slot where it belongs. */
static size_t find_slot(const struct intern *t, const char *s, size_t n)
{
	size_t i = (size_t)hash_document(s, n).a & (t->n_slots - 1);

	while (t->slot[i]) {
		size_t id = t->slot[i] - 1, length = t->start[id + 1] - t->start[id];
		if (length == n && memcmp(t->text + t->start[id], s, n) == 0)
			break;
		i = (i + 1) & (t->n_slots - 1);
	}
	return i;
}

static void grow_slots(struct intern *t)
{
	free(t->slot);
	t->n_slots = t->n_slots ? 2 * t->n_slots : 1024;
	t->slot = xcalloc(t->n_slots, sizeof *t->slot);
	for (size_t id = 0; id < t->n; id++)
		t->slot[find_slot(t, t->text + t->start[id], t->start[id + 1] - t->start[id])] = (uint32_t)id + 1;
}

uint32_t intern_add(struct intern *t, const char *s, size_t n)
{
	if (2 * (t->n + 1) > t->n_slots)
		grow_slots(t);

	size_t i = find_slot(t, s, n), end = t->n ? t->start[t->n] : 0;
	if (t->slot[i])
		return t->slot[i] - 1;
	if (t->n >= UINT32_MAX - 1)
		die("too many different words");
	if (t->n + 2 > t->cap) {
		t->cap = t->cap ? 2 * t->cap : 1024;
		t->start = xreallocarray(t->start, t->cap, sizeof *t->start);
	}
	while (t->cap_text - end < n) {
		t->cap_text = t->cap_text ? 2 * t->cap_text : 1 << 16;
		t->text = xreallocarray(t->text, t->cap_text, 1);
	}
	if (n)
		memcpy(t->text + end, s, n);
	t->start[t->n] = end;
	t->start[t->n + 1] = end + n;
	t->slot[i] = (uint32_t)++t->n;
	return (uint32_t)t->n - 1;
}

int64_t intern_find(const struct intern *t, const char *s, size_t n)
{
	return t->n_slots ? (int64_t)t->slot[find_slot(t, s, n)] - 1 : -1;
}

const char *intern_text(const struct intern *t, uint32_t id, size_t *n)
{
	*n = t->start[id + 1] - t->start[id];
	return t->text + t->start[id];
}

void intern_free(struct intern *t)
{
	free(t->text);
	free(t->start);
	free(t->slot);
	*t = (struct intern){0};
}
