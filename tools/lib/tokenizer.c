#include "tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bpe.h"
#include "checked.h"
#include "die.h"
#include "json.h"
#include "tokenizer_kind.h"
#include "wordpiece.h"

enum { MAX_JSON = 256 << 20 };

struct tokenizer {
	const struct tokenizer_kind *kind;
	void *model;
	uint8_t fingerprint[HASH_BYTES];
};

struct tok_scratch {
	const struct tokenizer_kind *kind;
	void *scratch;
};

/* DIR/NAME if it is there, else NULL. An error other than "not there" ends the tool. */
static char *find(const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	struct stat st;

	if (stat(path, &st) == 0)
		return path;
	if (errno != ENOENT && errno != ENOTDIR)
		die("cannot open %s:", path);
	free(path);
	return NULL;
}

static void load_json(struct tokenizer *t, const char *path)
{
	struct json *doc = json_read(path, MAX_JSON);
	const json_value *model = json_get(json_root(doc), "model");
	const char *type;

	if (!json_is_object(model))
		die_input("cannot use tokenizer: %s: no \"model\"", path);
	type = json_get_string(doc, model, "type", json_get(model, "merges") ? "BPE" : "WordPiece"); /* old files have none */
	if (strcmp(type, "BPE") == 0) {
		t->kind = &bpe_kind;
		t->model = bpe_load_json(doc, path);
	} else if (strcmp(type, "WordPiece") == 0) {
		t->kind = &wordpiece_kind;
		t->model = wordpiece_load_json(doc, path);
	} else {
		die_input("cannot use tokenizer: %s: model of type \"%s\" is not supported", path, type);
	}
	json_free(doc);
}

/* Finds the files of DIR and loads them; false if there are none. */
static bool load(struct tokenizer *t, const char *dir)
{
	static const char *const pair[][2] = {{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}};
	char *path;

	if ((path = find(dir, "tokenizer.json"))) {
		load_json(t, path);
		free(path);
		return true;
	}
	for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
		char *vocab = find(dir, pair[i][0]), *merges = find(dir, pair[i][1]);

		if (vocab && merges) {
			t->kind = &bpe_kind;
			t->model = bpe_load_files(vocab, merges);
			free(vocab);
			free(merges);
			return true;
		}
		if (vocab || merges)
			die("cannot use tokenizer: %s: %s is there, but no %s", dir, pair[i][vocab ? 0 : 1], pair[i][vocab ? 1 : 0]);
	}
	if ((path = find(dir, "vocab.txt"))) {
		char *config = find(dir, "tokenizer_config.json");

		t->kind = &wordpiece_kind;
		t->model = wordpiece_load_vocab(path, config);
		free(config);
		free(path);
		return true;
	}
	return false;
}

static void fingerprint(struct tokenizer *t)
{
	struct hash h;

	hash_start(&h);
	hash_add(&h, t->kind->name, strlen(t->kind->name) + 1);
	t->kind->hash(t->model, &h);
	hash_end(&h, t->fingerprint);
}

struct tokenizer *tokenizer_load(const char *dir)
{
	struct tokenizer *t = xcalloc(1, sizeof *t);
	struct stat st;

	if (stat(dir, &st) != 0)
		die("cannot open tokenizer directory %s:", dir);
	if (!load(t, dir))
		die("cannot use tokenizer: %s: holds no tokenizer.json, no vocab.json with merges.txt and no vocab.txt", dir);
	fingerprint(t);
	return t;
}

void tokenizer_free(struct tokenizer *t)
{
	if (!t)
		return;
	t->kind->free(t->model);
	free(t);
}

uint32_t tokenizer_vocab(const struct tokenizer *t)
{
	return t->kind->vocab(t->model);
}

const uint8_t *tokenizer_fingerprint(const struct tokenizer *t)
{
	return t->fingerprint;
}

int64_t tokenizer_special(const struct tokenizer *t, const char *content)
{
	return t->kind->special(t->model, content);
}

bool tokenizer_fingerprint_of(const char *dir, uint8_t out[HASH_BYTES])
{
	struct tokenizer *t = xcalloc(1, sizeof *t);
	bool found = load(t, dir);

	memset(out, 0, HASH_BYTES);
	if (found) {
		fingerprint(t);
		memcpy(out, t->fingerprint, HASH_BYTES);
		t->kind->free(t->model);
	}
	free(t);
	return found;
}

struct tok_scratch *tok_scratch_new(const struct tokenizer *t)
{
	struct tok_scratch *s = xmalloc(sizeof *s);

	s->kind = t->kind;
	s->scratch = t->kind->scratch_new(t->model);
	return s;
}

void tok_scratch_free(struct tok_scratch *s)
{
	if (!s)
		return;
	s->kind->scratch_free(s->scratch);
	free(s);
}

void tokenizer_encode(const struct tokenizer *t, struct tok_scratch *s, const char *text, size_t n, struct ids *out)
{
	t->kind->encode(t->model, s->scratch, text, n, out);
}

size_t tokenizer_split(const struct tokenizer *t, const char *text, size_t n)
{
	return t->kind->split(t->model, text, n);
}

const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *n)
{
	return t->kind->bytes(t->model, id, n);
}

bool tokenizer_is_text(const struct tokenizer *t, uint32_t id)
{
	return t->kind->is_text(t->model, id);
}
