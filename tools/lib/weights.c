#include "weights.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checked.h"
#include "die.h"
#include "json.h"
#include "text.h"

#define MAX_INDEX (64 << 20) /* bytes */

/* The files of a directory, in the order of their names. */
struct shards {
	char *name;         /* model.safetensors or the index */
	struct json *index; /* NULL: one file */
	const json_value *map;
	char **path;
	size_t n;
};

struct place {
	const struct st_tensor *tensor;
	size_t file;
	bool listed; /* in the index */
};

struct weights {
	struct shards shards;
	struct st_file **file;
	struct place *tensor;    /* file after file */
	struct place **by_name; /* sorted */
	size_t n;
};

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static void check_name(const struct shards *s, const char *file)
{
	static const char suffix[] = ".safetensors";
	size_t n = strlen(file), m = sizeof suffix - 1;

	if (strchr(file, '/') || n <= m || strcmp(file + n - m, suffix) != 0)
		die_input("malformed input: %s: weight_map: '%s' is no name of a safetensors file in the same folder", s->name, file);
}

static struct shards find_shards(const char *dir)
{
	struct shards s = {.name = path_join(dir, "model.safetensors")};
	char *index = path_join(dir, "model.safetensors.index.json");
	const char **file;
	size_t n = 0;

	if (access(s.name, F_OK) == 0 || access(index, F_OK) != 0) { /* without either, opening says which one is missing */
		free(index);
		s.path = xcalloc(1, sizeof *s.path);
		s.path[s.n++] = xstrdup(s.name);
		return s;
	}
	free(s.name);
	s.name = index;
	s.index = json_read(index, MAX_INDEX);
	s.map = json_get(json_root(s.index), "weight_map");
	if (!json_is_object(s.map) || !json_first(s.map))
		die_input("malformed input: %s: weight_map: object with members expected", s.name);
	file = xcalloc(json_count(s.map), sizeof *file);
	for (const json_value *v = json_first(s.map); v; v = json_next(v)) {
		file[n] = json_string(s.index, v, json_key(v));
		check_name(&s, file[n++]);
	}
	qsort(file, n, sizeof *file, by_text);
	s.path = xcalloc(n, sizeof *s.path);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(file[i], file[i - 1]) != 0)
			s.path[s.n++] = path_join(dir, file[i]);
	free(file);
	return s;
}

static void free_shards(struct shards *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->path[i]);
	free(s->path);
	json_free(s->index);
	free(s->name);
}

static int by_name(const void *a, const void *b)
{
	const struct place *const *x = a, *const *y = b;

	return strcmp((*x)->tensor->name, (*y)->tensor->name);
}

static struct place *find(const struct weights *w, const char *name)
{
	const struct st_tensor tensor = {.name = name};
	const struct place key = {.tensor = &tensor}, *k = &key;
	struct place **found = bsearch(&k, w->by_name, w->n, sizeof *w->by_name, by_name);

	return found ? *found : NULL;
}

/* A file's name without the folder, as the index has it. */
static const char *base(const struct weights *w, size_t file)
{
	return strrchr(w->shards.path[file], '/') + 1;
}

/* The index and the files say the same: every tensor of the one is one of the other. */
static void check_index(const struct weights *w)
{
	const struct shards *s = &w->shards;

	for (const json_value *v = json_first(s->map); v; v = json_next(v)) {
		const char *name = json_key(v), *file = json_string(s->index, v, name);
		struct place *p = find(w, name);

		if (!p)
			die_input("malformed input: %s: tensor %s is missing from %s", s->name, name, file);
		if (strcmp(base(w, p->file), file) != 0)
			die_input("malformed input: %s: tensor %s lies in %s, not in %s", s->name, name, base(w, p->file), file);
		p->listed = true;
	}
	for (size_t i = 0; i < w->n; i++)
		if (!w->tensor[i].listed)
			die_input("malformed input: %s: tensor %s of %s is not listed", s->name, w->tensor[i].tensor->name,
			          base(w, w->tensor[i].file));
}

struct weights *weights_open(const char *dir)
{
	struct weights *w = xcalloc(1, sizeof *w);
	size_t at = 0;

	w->shards = find_shards(dir);
	w->file = xcalloc(w->shards.n, sizeof *w->file);
	for (size_t i = 0; i < w->shards.n; i++) {
		w->file[i] = st_open(w->shards.path[i]);
		w->n += st_count(w->file[i]);
	}
	w->tensor = xcalloc(w->n + 1, sizeof *w->tensor);
	w->by_name = xcalloc(w->n + 1, sizeof *w->by_name);
	for (size_t i = 0; i < w->shards.n; i++)
		for (size_t k = 0; k < st_count(w->file[i]); k++, at++) {
			w->tensor[at] = (struct place){st_at(w->file[i], k), i, false};
			w->by_name[at] = &w->tensor[at];
		}
	qsort(w->by_name, w->n, sizeof *w->by_name, by_name);
	for (size_t i = 1; i < w->n; i++) /* within one file the reader has looked */
		if (by_name(&w->by_name[i - 1], &w->by_name[i]) == 0)
			die_input("malformed input: %s: tensor %s lies in %s and in %s", w->shards.name, w->by_name[i]->tensor->name,
			          base(w, w->by_name[i - 1]->file), base(w, w->by_name[i]->file));
	if (w->shards.index)
		check_index(w);
	return w;
}

void weights_close(struct weights *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->shards.n; i++)
		st_close(w->file[i]);
	free(w->file);
	free(w->tensor);
	free(w->by_name);
	free_shards(&w->shards);
	free(w);
}

size_t weights_count(const struct weights *w)
{
	return w->n;
}

const struct st_tensor *weights_at(const struct weights *w, size_t i)
{
	return i < w->n ? w->tensor[i].tensor : NULL;
}

const struct st_tensor *weights_find(const struct weights *w, const char *name)
{
	const struct place *p = find(w, name);

	return p ? p->tensor : NULL;
}

static const struct st_tensor *find_with(const struct weights *w, const char *prefix, const char *name)
{
	char *full = xasprintf("%s%s", prefix, name);
	const struct st_tensor *t = weights_find(w, full);

	free(full);
	return t ? t : weights_find(w, name);
}

const struct st_tensor *weights_find_any(const struct weights *w, const char *prefix, const char *name)
{
	static const char *const renamed[] = {"LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta"};
	const struct st_tensor *t = find_with(w, prefix, name);

	for (size_t i = 0; !t && i < sizeof renamed / sizeof *renamed; i++)
		if (ends_with(name, renamed[i])) {
			char *other = xasprintf("%.*s%s", (int)(strlen(name) - strlen(renamed[i])), name, renamed[i ^ 1]);

			t = find_with(w, prefix, other);
			free(other);
		}
	return t;
}

const char *weights_name(const struct weights *w)
{
	return w->shards.name;
}

const char *weights_file(const struct weights *w, const struct st_tensor *t)
{
	const struct place *p = find(w, t->name);

	return p ? w->shards.path[p->file] : w->shards.name;
}

void weights_hash(const char *dir, struct hash *h)
{
	struct shards s = find_shards(dir);

	for (size_t i = 0; i < s.n; i++)
		hash_add_file(h, s.path[i]);
	free_shards(&s);
}
