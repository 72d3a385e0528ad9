#include "bpe_model.h"

#include <stdlib.h>
#include <string.h>

#include "char_class.h"
#include "checked.h"
#include "die.h"
#include "reader.h"

enum {
	MAX_TOKENS = 1 << ID_BITS,
	MAX_FILE = 256 << 20
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
		int k, byte;

		if (s[i] > ' ' && s[i] < 0x7f) {
			out[made++] = s[i++];
			continue;
		}
		k = utf8_char((const unsigned char *)s + i, n - i, &c);
		if (!k || (byte = byte_of_char(c)) < 0)
			return -1;
		out[made++] = (char)byte;
		i += (size_t)k;
	}
	return made;
}

/* A vocabulary while it is read: written tokens by id. */
struct vocab {
	const char *path;
	const char **written; /* by id; NULL: not seen */
	bool *added;          /* by id: not in the vocabulary proper, so that it stands for itself */
	uint32_t n, cap, seen;
	char *joined; /* what a merge makes */
	size_t cap_joined;
	struct bpe *bpe;
};

static void vocab_free(struct vocab *v)
{
	free(v->written);
	free(v->added);
	free(v->joined);
}

static void add_written(struct vocab *v, const char *token, int64_t id, bool added)
{
	if (id < 0 || id >= MAX_TOKENS)
		die_input("cannot use tokenizer: %s: id %lld of a token is out of range", v->path, (long long)id);
	if (!token[0])
		die_input("cannot use tokenizer: %s: empty token", v->path);
	while (v->cap <= id) {
		uint32_t old = v->cap;

		v->cap = old ? 2 * old : 1024;
		v->written = xreallocarray(v->written, v->cap, sizeof *v->written);
		v->added = xreallocarray(v->added, v->cap, sizeof *v->added);
		memset(v->written + old, 0, (v->cap - old) * sizeof *v->written);
	}
	if (v->written[id]) {
		if (strcmp(v->written[id], token) == 0)
			return; /* an added token that the vocabulary lists too */
		die_input("cannot use tokenizer: %s: id %lld stands for two tokens", v->path, (long long)id);
	}
	v->written[id] = token;
	v->added[id] = added;
	v->seen++;
	if (v->n <= id)
		v->n = (uint32_t)id + 1;
}

static void read_vocab(struct vocab *v, const struct json *doc, const json_value *object)
{
	if (!json_is_object(object))
		die_input("cannot use tokenizer: %s: the vocabulary is not an object", v->path);
	for (const json_value *m = json_first(object); m; m = json_next(m))
		add_written(v, json_key(m), json_int(doc, m, json_key(m)), false);
}

/* The byte of a token that is written <0xHH>; -1: another token. */
static int byte_of_token(const char *s)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *high, *low;

	if (strncmp(s, "<0x", 3) != 0 || !s[3] || !s[4] || strcmp(s + 5, ">") != 0)
		return -1;
	high = strchr(digits, s[3]);
	low = strchr(digits, s[4]);
	return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

/* The bytes that a written token stands for, into out (as long as s at most), in this kind of model; -1: none. */
static ssize_t token_bytes(const struct bpe *b, const char *s, size_t n, char *out)
{
	ssize_t made = 0;

	if (!b->chars)
		return decode_token(s, n, out);
	for (size_t i = 0; i < n; made++) {
		bool blank = n - i >= 3 && memcmp(s + i, "\xe2\x96\x81", 3) == 0;

		if (s[i] == ' ')
			return -1; /* never in a text whose blanks were replaced */
		out[made] = blank ? ' ' : s[i];
		i += blank ? 3 : 1;
	}
	return made;
}

/* Turns the written tokens into bytes and checks that ids are dense and tokens unique. */
static void build_vocab(struct vocab *v)
{
	struct bpe *b = v->bpe;
	size_t total = 0, at = 0;
	bool has_byte[256] = {false};

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
	for (b->slot_mask = 1; b->slot_mask < 2 * (size_t)v->n + 2; b->slot_mask *= 2)
		;
	b->slot = xcalloc(b->slot_mask--, sizeof *b->slot);
	for (uint32_t id = 0; id < v->n; id++) {
		size_t n = strlen(v->written[id]), i;
		ssize_t made = v->added[id] ? -1 : token_bytes(b, v->written[id], n, b->bytes + at);
		int byte = b->chars ? byte_of_token(v->written[id]) : -1;
		uint32_t c;

		b->start[id] = at;
		if (byte >= 0 && !v->added[id]) {
			b->bytes[at] = (char)byte;
			b->start[id + 1] = ++at;
			b->byte_id[byte] = id;
			b->text[id] = has_byte[byte] = true;
			continue;
		}
		if (made < 0) { /* stands for itself */
			memcpy(b->bytes + at, v->written[id], n);
			b->start[id + 1] = at += n;
			continue;
		}
		if (bpe_find(b, b->bytes + at, (size_t)made) != NO_TOKEN)
			die_input("cannot use tokenizer: %s: token \"%s\" is there twice", v->path, v->written[id]);
		at += (size_t)made;
		b->start[id + 1] = at;
		if (b->max_bytes < (size_t)made)
			b->max_bytes = (size_t)made;
		for (i = hash_bytes(b->bytes + b->start[id], (size_t)made) & b->slot_mask; b->slot[i]; i = (i + 1) & b->slot_mask)
			;
		b->slot[i] = id + 1;
		if (b->chars && utf8_char((unsigned char *)b->bytes + b->start[id], (size_t)made, &c) == made)
			b->text[id] = true;
	}
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		uint32_t id = bpe_find(b, &byte, 1);

		if (b->chars) {
			if (!has_byte[c])
				die_input("cannot use tokenizer: %s: byte_fallback, but no token <0x%02X>", v->path, c);
			if (c < 128)
				b->ascii_id[c] = id == NO_TOKEN ? b->byte_id[c] : id;
			if (c == ' ' && id == NO_TOKEN)
				die_input("cannot use tokenizer: %s: no token for a blank (U+2581)", v->path);
			continue;
		}
		if (id == NO_TOKEN)
			die_input("cannot use tokenizer: %s: no token for byte 0x%02x, so this is no byte-level "
			          "vocabulary", v->path, c);
		b->byte_id[c] = id;
		b->text[id] = true;
	}
}

/* Adds the next merge, of two written tokens. where: "merge 17" or "line 18", for messages. */
static void add_merge(struct vocab *v, uint32_t *cap, const char *left, size_t n_left, const char *right, size_t n_right,
		      const char *path, const char *unit, uint64_t number)
{
	struct bpe *b = v->bpe;
	uint32_t id[3] = {NO_TOKEN, NO_TOKEN, NO_TOKEN};
	ssize_t a, z;

	if (v->cap_joined <= n_left + n_right) {
		v->cap_joined = 2 * (n_left + n_right) + 1;
		v->joined = xreallocarray(v->joined, v->cap_joined, 1);
	}
	a = token_bytes(b, left, n_left, v->joined);
	z = a < 0 ? -1 : token_bytes(b, right, n_right, v->joined + a);
	if (a > 0 && z > 0) {
		id[0] = bpe_find(b, v->joined, (size_t)a);
		id[1] = bpe_find(b, v->joined + a, (size_t)z);
		id[2] = bpe_find(b, v->joined, (size_t)(a + z));
	}
	for (int i = 0; i < 3; i++)
		if (id[i] == NO_TOKEN)
			die_input("cannot use tokenizer: %s: %s %llu: %s is not in the vocabulary", path, unit,
				  (unsigned long long)number, i == 0 ? "its left part" : i == 1 ? "its right part" : "what it makes");
	if (b->n_merges == MAX_TOKENS - 1)
		die_input("cannot use tokenizer: %s: more than %d merges", path, MAX_TOKENS - 1);
	GROW(b->merge, b->n_merges, *cap);
	b->merge[b->n_merges++] = (struct merge){id[0], id[1], id[2]};
	b->text[id[2]] = true;
}

/*
 * Which bytes stand side by side in what a merge makes, or may be a whole word: between others a text can be cut into
 * stretches that are encoded each alone.
 */
static void build_joined(struct bpe *b)
{
	b->joined = xcalloc(256, sizeof *b->joined);
	if (b->word_tokens)
		memset(b->joined, 0xff, 256 * sizeof *b->joined);
	for (uint32_t i = 0; i < (b->ignore_merges ? b->n_tokens : b->n_merges); i++) {
		uint32_t id = b->ignore_merges ? i : b->merge[i].made;
		const unsigned char *p = (unsigned char *)b->bytes;

		for (size_t k = b->start[id] + 1; k < b->start[id + 1]; k++)
			b->joined[p[k - 1]][p[k] >> 6] |= UINT64_C(1) << (p[k] & 63);
	}
	if (b->split_blanks)
		for (int c = 0; c < 256; c++)
			b->joined[c][' ' >> 6] &= ~(UINT64_C(1) << (' ' & 63));
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
	if (b->chars) {
		build_joined(b);
		return;
	}
	b->byte_pair = xcalloc(256, sizeof *b->byte_pair);
	memset(b->byte_pair, 0xff, 256 * sizeof *b->byte_pair);
	for (uint32_t rank = 0; rank < b->n_merges; rank++) {
		size_t left = b->start[b->merge[rank].left], right = b->start[b->merge[rank].right];

		if (b->start[b->merge[rank].made + 1] - b->start[b->merge[rank].made] == 2)
			b->byte_pair[(unsigned char)b->bytes[left]][(unsigned char)b->bytes[right]] = rank;
	}
}

struct bpe *bpe_load_files(const char *vocab_path, const char *merges_path, bool add_prefix_space)
{
	struct bpe *b = xcalloc(1, sizeof *b);
	struct vocab v = {.path = vocab_path, .bpe = b};
	struct json *doc = json_read(vocab_path, MAX_FILE);
	struct reader *r;
	uint32_t cap = 0;
	char *line;
	ssize_t n;

	b->prefix = add_prefix_space ? PREFIX_ALWAYS : PREFIX_NEVER;
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
		add_merge(&v, &cap, line, (size_t)(blank - line), blank + 1, (size_t)(line + n - blank - 1),
		          merges_path, "line", number);
	}
	reader_close(r);
	build_pairs(b, merges_path);
	vocab_free(&v);
	json_free(doc);
	return b;
}

struct bpe *bpe_load_json(const struct json *doc, const struct added *added, const char *path)
{
	struct bpe *b = xcalloc(1, sizeof *b);
	struct vocab v = {.path = path, .bpe = b};
	const json_value *root = json_root(doc), *model = json_get(root, "model"), *merges = json_get(model, "merges");
	uint32_t cap = 0;
	uint64_t number = 0;

	bpe_read_settings(b, doc, path);
	read_vocab(&v, doc, json_get(model, "vocab"));
	for (size_t i = 0; i < added->n; i++)
		add_written(&v, added->token[i].content, added->token[i].id, true);
	build_vocab(&v);
	for (size_t i = 0; i < added->n; i++) {
		const char *content = added->token[i].content;
		char *bytes = xmalloc(strlen(content) + 1);
		ssize_t made = token_bytes(b, content, strlen(content), bytes);
		uint32_t id = made < 0 ? NO_TOKEN : bpe_find(b, bytes, (size_t)made);

		if (id != NO_TOKEN && id != added->token[i].id && strcmp(v.written[id], content) == 0)
			die_input("cannot use tokenizer: %s: token \"%s\" is there twice", path, content);
		free(bytes);
	}
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
	for (uint32_t id = 0; b->ignore_merges && id < v.n; id++)
		b->text[id] = !v.added[id];
	for (size_t i = 0; i < added->n; i++)
		if (!added->token[i].special)
			b->text[added->token[i].id] = true;
		else if (b->ignore_merges)
			b->text[added->token[i].id] = false;
	vocab_free(&v);
	return b;
}
