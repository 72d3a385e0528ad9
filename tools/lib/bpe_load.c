#include "bpe_model.h"

#include <stdlib.h>
#include <string.h>

#include "char_class.h"
#include "checked.h"
#include "die.h"
#include "reader.h"

enum {
	MAX_TOKENS = 1 << ID_BITS,
	MAX_FILE = 256 << 20,
	NO_ID = -1
};
/* GPT-2 writes a byte as a visible character: itself if it is one, else U+0100 and on, in order. */
static int byte_of_char(uint32_t c)
{
	if ((c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff))
		return (int)c;
	if (c < 0x100 || c > 0x143)
		return -1;
	c -= 0x100;
	if (c <= 0x20)
		return (int)c;
	if (c < 0x20 + 1 + 0x22) /* 0x7f..0xa0 */
		return (int)c - 0x21 + 0x7f;
	return 0xad;
}

/* The bytes that a written token stands for, into out (as long as s at most); -1 if s is not written in that alphabet. */
static ssize_t decode_token(const char *s, size_t n, char *out)
{
	ssize_t made = 0;

	for (size_t i = 0; i < n;) {
		uint32_t c;
		int k = utf8_char((const unsigned char *)s + i, n - i, &c), byte;

		if (!k || (byte = byte_of_char(c)) < 0)
			return -1;
		out[made++] = (char)byte;
		i += (size_t)k;
	}
	return made;
}

/* A vocabulary while it is read: written tokens by id, and ids by bytes. */
struct vocab {
	const char *path;
	const char **written; /* by id; NULL: not seen */
	uint32_t n, cap, seen;
	struct bpe *bpe;
	uint32_t *slot; /* id + 1 by hash of bytes */
	size_t mask;
};

static uint64_t hash_bytes(const char *s, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

static void add_written(struct vocab *v, const char *token, int64_t id)
{
	if (id < 0 || id >= MAX_TOKENS)
		die_input("cannot use tokenizer: %s: id %lld of a token is out of range", v->path, (long long)id);
	if (!token[0])
		die_input("cannot use tokenizer: %s: empty token", v->path);
	while (v->cap <= id) {
		uint32_t old = v->cap;

		v->cap = old ? 2 * old : 1024;
		v->written = xreallocarray(v->written, v->cap, sizeof *v->written);
		memset(v->written + old, 0, (v->cap - old) * sizeof *v->written);
	}
	if (v->written[id]) {
		if (strcmp(v->written[id], token) == 0)
			return; /* an added token that the vocabulary lists too */
		die_input("cannot use tokenizer: %s: id %lld stands for two tokens", v->path, (long long)id);
	}
	v->written[id] = token;
	v->seen++;
	if (v->n <= id)
		v->n = (uint32_t)id + 1;
}

static void read_vocab(struct vocab *v, const struct json *doc, const json_value *object)
{
	if (!json_is_object(object))
		die_input("cannot use tokenizer: %s: the vocabulary is not an object", v->path);
	for (const json_value *m = json_first(object); m; m = json_next(m))
		add_written(v, json_key(m), json_int(doc, m, json_key(m)));
}

static int64_t find_token(const struct vocab *v, const char *bytes, size_t n)
{
	for (size_t i = hash_bytes(bytes, n) & v->mask; v->slot[i]; i = (i + 1) & v->mask) {
		uint32_t id = v->slot[i] - 1;
		size_t from = v->bpe->start[id];

		if (v->bpe->start[id + 1] - from == n && memcmp(v->bpe->bytes + from, bytes, n) == 0)
			return id;
	}
	return NO_ID;
}

/* Turns the written tokens into bytes and checks that ids are dense and tokens unique. */
static void build_vocab(struct vocab *v)
{
	struct bpe *b = v->bpe;
	size_t total = 0, at = 0;

	if (v->seen != v->n)
		for (uint32_t id = 0; id < v->n; id++)
			if (!v->written[id])
				die_input("cannot use tokenizer: %s: no token has id %u, but there are higher ones", v->path, id);
	for (uint32_t id = 0; id < v->n; id++)
		total += strlen(v->written[id]);
	b->n_tokens = v->n;
	b->bytes = xmalloc(total + 1);
	b->start = xcalloc((size_t)v->n + 1, sizeof *b->start);
	b->text = xcalloc((size_t)v->n + 1, sizeof *b->text);
	for (v->mask = 1; v->mask < 2 * (size_t)v->n + 2; v->mask *= 2)
		;
	v->slot = xcalloc(v->mask--, sizeof *v->slot);
	for (uint32_t id = 0; id < v->n; id++) {
		size_t n = strlen(v->written[id]), i;
		ssize_t made = decode_token(v->written[id], n, b->bytes + at);

		if (made < 0) { /* an added token that stands for itself */
			memcpy(b->bytes + at, v->written[id], n);
			made = (ssize_t)n;
		}
		if (find_token(v, b->bytes + at, (size_t)made) != NO_ID)
			die_input("cannot use tokenizer: %s: token \"%s\" is there twice", v->path, v->written[id]);
		b->start[id] = at;
		at += (size_t)made;
		b->start[id + 1] = at;
		for (i = hash_bytes(b->bytes + b->start[id], (size_t)made) & v->mask; v->slot[i]; i = (i + 1) & v->mask)
			;
		v->slot[i] = id + 1;
	}
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		int64_t id = find_token(v, &byte, 1);

		if (id == NO_ID)
			die_input("cannot use tokenizer: %s: no token for byte 0x%02x, so this is no byte-level vocabulary", v->path, c);
		b->byte_id[c] = (uint32_t)id;
		b->text[id] = true;
	}
}

/* Adds the next merge, of two written tokens. where: "merge 17" or "line 18", for messages. */
static void add_merge(struct vocab *v, uint32_t *cap, const char *left, size_t n_left, const char *right, size_t n_right,
		      const char *path, const char *unit, uint64_t number)
{
	struct bpe *b = v->bpe;
	char *joined = xmalloc(n_left + n_right + 1);
	ssize_t a = decode_token(left, n_left, joined), z = a < 0 ? -1 : decode_token(right, n_right, joined + a);
	int64_t id[3] = {NO_ID, NO_ID, NO_ID};

	if (a > 0 && z > 0) {
		id[0] = find_token(v, joined, (size_t)a);
		id[1] = find_token(v, joined + a, (size_t)z);
		id[2] = find_token(v, joined, (size_t)(a + z));
	}
	for (int i = 0; i < 3; i++)
		if (id[i] == NO_ID)
			die_input("cannot use tokenizer: %s: %s %llu: %s is not in the vocabulary", path, unit,
				  (unsigned long long)number, i == 0 ? "its left part" : i == 1 ? "its right part" : "what it makes");
	if (b->n_merges == MAX_TOKENS - 1)
		die_input("cannot use tokenizer: %s: more than %d merges", path, MAX_TOKENS - 1);
	GROW(b->merge, b->n_merges, *cap);
	b->merge[b->n_merges++] = (struct merge){(uint32_t)id[0], (uint32_t)id[1], (uint32_t)id[2]};
	b->text[id[2]] = true;
	free(joined);
}

/* The hash of pairs, when all merges are there. */
static void build_pairs(struct bpe *b, const char *path)
{
	size_t size = 16;
	bool in_order = b->n_merges > 0;

	while (size < (size_t)b->n_merges + b->n_merges / 4)
		size *= 2;
	b->pair = xcalloc(size, sizeof *b->pair);
	b->pair_mask = size - 1;
	for (size_t i = 0; i < size; i++)
		b->pair[i] = NO_PAIR;
	b->made = xcalloc((size_t)b->n_merges + 1, sizeof *b->made);
	b->pair_filter = xcalloc((size_t)1 << (FILTER_BITS - 6), sizeof *b->pair_filter);
	for (uint32_t rank = 0; rank < b->n_merges; rank++) {
		const struct merge *m = &b->merge[rank];
		uint64_t key = pair_key(m->left, m->right), h = hash_pair(key);
		size_t i = h & b->pair_mask;

		for (; b->pair[i] != NO_PAIR; i = (i + 1) & b->pair_mask)
			if (b->pair[i] >> ID_BITS == key)
				die_input("cannot use tokenizer: %s: merge %u is the same as merge %u", path, rank + 1,
					  (unsigned)(b->pair[i] & ((1 << ID_BITS) - 1)) + 1);
		b->pair[i] = key << ID_BITS | rank;
		b->made[rank] = m->made;
		in_order = in_order && m->made == rank + b->merge[0].made;
		b->pair_filter[h >> FILTER_SHIFT >> 6] |= UINT64_C(1) << (h >> FILTER_SHIFT & 63);
	}
	if (in_order) {
		free(b->made);
		b->made = NULL;
		b->first = b->merge[0].made;
	}
	b->byte_pair = xcalloc(256, sizeof *b->byte_pair);
	memset(b->byte_pair, 0xff, 256 * sizeof *b->byte_pair);
	for (uint32_t rank = 0; rank < b->n_merges; rank++) {
		size_t left = b->start[b->merge[rank].left], right = b->start[b->merge[rank].right];

		if (b->start[b->merge[rank].made + 1] - b->start[b->merge[rank].made] == 2)
			b->byte_pair[(unsigned char)b->bytes[left]][(unsigned char)b->bytes[right]] = rank;
	}
}

struct bpe *bpe_load_files(const char *vocab_path, const char *merges_path)
{
	struct bpe *b = xcalloc(1, sizeof *b);
	struct vocab v = {.path = vocab_path, .bpe = b};
	struct json *doc = json_read(vocab_path, MAX_FILE);
	struct reader *r;
	uint32_t cap = 0;
	char *line;
	ssize_t n;

	read_vocab(&v, doc, json_root(doc));
	build_vocab(&v);
	r = reader_open(merges_path);
	while ((n = reader_line(r, &line, 1 << 20)) >= 0) {
		uint64_t number = reader_line_number(r);
		char *blank = memchr(line, ' ', (size_t)n);

		if (n > 0 && line[n - 1] == '\r')
			n--;
		if (n == 0 || (number == 1 && strncmp(line, "#version", 8) == 0))
			continue;
		if (!reader_newline(r) && !blank)
			die_input("cannot use tokenizer: %s: line %llu is cut off", merges_path, (unsigned long long)number);
		if (!blank || memchr(blank + 1, ' ', (size_t)(line + n - blank - 1)))
			die_input("cannot use tokenizer: %s: line %llu is not two tokens", merges_path, (unsigned long long)number);
		add_merge(&v, &cap, line, (size_t)(blank - line), blank + 1, (size_t)(line + n - blank - 1), merges_path, "line", number);
	}
	reader_close(r);
	build_pairs(b, merges_path);
	free(v.slot);
	free(v.written);
	json_free(doc);
	return b;
}

/* Refuses what would change the ids and is not implemented. */
static void check_json(const struct json *doc, const char *path)
{
	static const struct {
		const char *key;
		bool allowed; /* the value that means "not used" */
	} flag[] = {{"fuse_unk", false}, {"byte_fallback", false}, {"ignore_merges", false}};
	static const char *const affix[] = {"unk_token", "continuing_subword_prefix", "end_of_word_suffix"};
	const json_value *root = json_root(doc), *model = json_get(root, "model"), *pre = json_get(root, "pre_tokenizer");
	const json_value *v;

#define REFUSE(...) die_input("cannot use tokenizer: " __VA_ARGS__)
	if ((v = json_get(root, "normalizer")) && !json_is_null(v))
		REFUSE("%s: normalizer \"%s\" is not supported", path, json_get_string(doc, v, "type", "?"));
	if (!json_is_object(pre))
		REFUSE("%s: without a pre_tokenizer is not supported", path);
	if (strcmp(json_get_string(doc, pre, "type", "?"), "ByteLevel") != 0)
		REFUSE("%s: pre_tokenizer \"%s\" is not supported", path, json_get_string(doc, pre, "type", "?"));
	if (json_get_bool(doc, pre, "add_prefix_space", true))
		REFUSE("%s: pre_tokenizer with add_prefix_space is not supported", path);
	if (!json_get_bool(doc, pre, "use_regex", true))
		REFUSE("%s: pre_tokenizer without use_regex is not supported", path);
	if (!(v = json_get(root, "decoder")) || strcmp(json_get_string(doc, v, "type", "?"), "ByteLevel") != 0)
		REFUSE("%s: decoder \"%s\" is not supported", path, v ? json_get_string(doc, v, "type", "?") : "none");
	if (json_get_real(doc, model, "dropout", 0) != 0)
		REFUSE("%s: dropout of merges is not supported", path);
	for (size_t i = 0; i < sizeof flag / sizeof *flag; i++)
		if (json_get_bool(doc, model, flag[i].key, flag[i].allowed) != flag[i].allowed)
			REFUSE("%s: %s is not supported", path, flag[i].key);
	for (size_t i = 1; i < sizeof affix / sizeof *affix; i++) /* unk_token is never used: every byte has a token */
		if (json_get_string(doc, model, affix[i], "")[0])
			REFUSE("%s: %s is not supported", path, affix[i]);
#undef REFUSE
}

struct bpe *bpe_load_json(const struct json *doc, const char *path)
{
	struct bpe *b = xcalloc(1, sizeof *b);
	struct vocab v = {.path = path, .bpe = b};
	const json_value *root = json_root(doc), *model = json_get(root, "model"), *merges = json_get(model, "merges");
	const json_value *added = json_get(root, "added_tokens");
	uint32_t cap = 0;
	uint64_t number = 0;

	check_json(doc, path);
	read_vocab(&v, doc, json_get(model, "vocab"));
	if (added && !json_is_null(added) && !json_is_array(added))
		die_input("cannot use tokenizer: %s: added_tokens is not a list", path);
	for (const json_value *a = added ? json_first(added) : NULL; a; a = json_next(a)) {
		const char *content = json_string(doc, json_get(a, "content"), "content");

		if (!json_get_bool(doc, a, "special", false))
			die_input("cannot use tokenizer: %s: added token \"%s\", which is not special, is not supported", path, content);
		add_written(&v, content, json_int(doc, json_get(a, "id"), "id"));
	}
	build_vocab(&v);
	if (!json_is_array(merges))
		die_input("cannot use tokenizer: %s: merges is not a list", path);
	for (const json_value *m = json_first(merges); m; m = json_next(m)) {
		const char *left, *right, *blank;

		number++;
		if (json_is_array(m) && json_count(m) == 2) {
			left = json_string(doc, json_first(m), "merges");
			right = json_string(doc, json_next(json_first(m)), "merges");
			add_merge(&v, &cap, left, strlen(left), right, strlen(right), path, "merge", number);
			continue;
		}
		left = json_string(doc, m, "merges");
		blank = strchr(left, ' ');
		if (!blank || strchr(blank + 1, ' '))
			die_input("cannot use tokenizer: %s: merge %llu is not two tokens", path, (unsigned long long)number);
		add_merge(&v, &cap, left, (size_t)(blank - left), blank + 1, strlen(blank + 1), path, "merge", number);
	}
	build_pairs(b, path);
	free(v.slot);
	free(v.written);
	return b;
}
