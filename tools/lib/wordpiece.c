#include "wordpiece.h"

#include <stdlib.h>
#include <string.h>

#include "bert_chars.h"
#include "char_class.h"
#include "checked.h"
#include "die.h"
#include "reader.h"
#include "utf8.h"
#include "word_cache.h"

enum {
	MAX_TOKENS = 1 << 24,
	MAX_VOCAB_TXT = 256 << 20,
	MAX_CONFIG = 16 << 20,
	MAX_WORD = 1 << 20, /* bound for max_input_chars_per_word */
	CACHE_BITS = 15,    /* of the cache of words: 2 MiB */
	NO_ID = -1
};

struct token {
	const char *text; /* in wordpiece.memory */
	uint32_t bytes, id;
	uint64_t hash;
};

struct wordpiece {
	bool clean_text, handle_chinese_chars, strip_accents, lowercase;
	char *prefix; /* of pieces inside a word, "##" */
	uint64_t prefix_hash;
	size_t prefix_bytes, max_chars, max_bytes; /* max_bytes: of the longest token */
	uint32_t unk, vocab;
	struct token *token; /* n_tokens, in the order of the file */
	size_t n_tokens, cap_tokens;
	uint32_t *slot; /* open addressing: index + 1 of a token, 0 for a free one; n_slots is a power of two */
	size_t n_slots;
	char **memory; /* all strings */
	size_t n_memory, cap_memory;
	uint8_t ascii[128]; /* flags */
};

/* Code points of a stretch of text, with their combining classes. */
struct points {
	uint32_t *c;
	uint8_t *ccc;
	size_t n, cap;
};

struct scratch {
	struct points text;
	char *word;
	size_t word_cap;
	uint64_t *prefix_hash; /* of the first i bytes behind the start of a piece */
	size_t hash_cap;
	word_pair *words;
};

/* FNV-1a, with a last mixing so that the low bits of the table's index depend on all. */
#define HASH_START 0xcbf29ce484222325u

static uint64_t hash_byte(uint64_t h, char byte)
{
	return (h ^ (unsigned char)byte) * 0x100000001b3u;
}

static uint64_t hash_bytes(uint64_t h, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = hash_byte(h, s[i]);
	return h;
}

static size_t slot_of(const struct wordpiece *w, uint64_t h)
{
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	return (size_t)(h >> 32) & (w->n_slots - 1);
}

/* The id of prefix + s, whose hash is h; the prefix may be empty. */
static int64_t find(const struct wordpiece *w, uint64_t h, size_t prefix, const char *s, size_t n)
{
	for (size_t i = slot_of(w, h); w->slot[i]; i = (i + 1) & (w->n_slots - 1)) {
		const struct token *t = &w->token[w->slot[i] - 1];

		if (t->hash == h && t->bytes == prefix + n && memcmp(t->text, w->prefix, prefix) == 0 &&
		    memcmp(t->text + prefix, s, n) == 0)
			return t->id;
	}
	return NO_ID;
}

static int64_t find_token(const struct wordpiece *w, const char *s, size_t n)
{
	return find(w, hash_bytes(HASH_START, s, n), 0, s, n);
}

/* ---- loading ---- */

static char *remember(struct wordpiece *w, char *s)
{
	GROW(w->memory, w->n_memory, w->cap_memory);
	return w->memory[w->n_memory++] = s;
}

static void add_token(struct wordpiece *w, const char *text, size_t n, uint32_t id)
{
	GROW(w->token, w->n_tokens, w->cap_tokens);
	w->token[w->n_tokens++] = (struct token){text, (uint32_t)n, id, hash_bytes(HASH_START, text, n)};
	if (n > w->max_bytes)
		w->max_bytes = n;
	if (id >= w->vocab)
		w->vocab = id + 1;
}

/* Puts all tokens into the table; of two with the same text, the later one wins. */
static void index_tokens(struct wordpiece *w)
{
	w->n_slots = 16;
	while (w->n_slots < 2 * w->n_tokens)
		w->n_slots *= 2;
	w->slot = xcalloc(w->n_slots, sizeof *w->slot);
	for (size_t k = 0; k < w->n_tokens; k++) {
		const struct token *t = &w->token[k];
		size_t i = slot_of(w, t->hash);

		while (w->slot[i]) {
			const struct token *u = &w->token[w->slot[i] - 1];

			if (u->hash == t->hash && u->bytes == t->bytes && memcmp(u->text, t->text, t->bytes) == 0)
				break;
			i = (i + 1) & (w->n_slots - 1);
		}
		w->slot[i] = (uint32_t)k + 1;
	}
}

static uint16_t kind_of(uint32_t c)
{
	int low = 0, high = bert_n_kind;

	while (low < high) {
		int mid = (low + high) / 2;

		if (c > bert_kind[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < bert_n_kind && c >= bert_kind[low].first ? bert_kind[low].kind : 0;
}

static struct wordpiece *wordpiece_new(void)
{
	struct wordpiece *w = xcalloc(1, sizeof *w);

	for (uint32_t c = 0; c < 128; c++)
		w->ascii[c] = kind_of(c) & BERT_FLAGS;
	return w;
}

static void wordpiece_ready(struct wordpiece *w, const char *prefix, const char *unk, const char *path)
{
	int64_t id;

	w->prefix = xstrdup(prefix);
	w->prefix_bytes = strlen(prefix);
	w->prefix_hash = hash_bytes(HASH_START, prefix, w->prefix_bytes);
	index_tokens(w);
	id = find_token(w, unk, strlen(unk));
	if (id == NO_ID)
		die_input("cannot use tokenizer: %s: the vocabulary holds no %s", path, unk);
	w->unk = (uint32_t)id;
}

static void expect_type(const struct json *doc, const json_value *object, const char *what, const char *type, const char *path)
{
	const char *is = json_is_object(object) ? json_get_string(doc, object, "type", "") : "";

	if (strcmp(is, type) != 0)
		die_input("cannot use tokenizer: %s: with WordPiece only a %s of type %s is supported, not \"%s\"", path, what, type,
		          is);
}

static int by_id(const void *a, const void *b)
{
	const struct token *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

struct wordpiece *wordpiece_load_json(const struct json *doc, const char *path)
{
	struct wordpiece *w = wordpiece_new();
	const json_value *root = json_root(doc), *model = json_get(root, "model"), *normalizer = json_get(root, "normalizer");
	const json_value *vocab = json_get(model, "vocab");
	int64_t max_chars = json_get_int(doc, model, "max_input_chars_per_word", 100);

	if (!json_is_object(vocab))
		die_input("cannot use tokenizer: %s: no \"vocab\"", path);
	if (json_count(vocab) > MAX_TOKENS)
		die_input("cannot use tokenizer: %s: more than %d tokens", path, MAX_TOKENS);
	for (const json_value *v = json_first(vocab); v; v = json_next(v)) {
		int64_t id = json_int(doc, v, json_key(v));
		char *text = remember(w, xstrdup(json_key(v)));

		if (id < 0 || id >= MAX_TOKENS)
			die_input("cannot use tokenizer: %s: token \"%s\" has id %lld", path, text, (long long)id);
		add_token(w, text, strlen(text), (uint32_t)id);
	}
	qsort(w->token, w->n_tokens, sizeof *w->token, by_id);
	for (size_t i = 1; i < w->n_tokens; i++)
		if (w->token[i].id == w->token[i - 1].id)
			die_input("cannot use tokenizer: %s: tokens \"%s\" and \"%s\" have the same id", path, w->token[i - 1].text,
			          w->token[i].text);

	if (normalizer && !json_is_null(normalizer)) {
		expect_type(doc, normalizer, "normalizer", "BertNormalizer", path);
		w->clean_text = json_get_bool(doc, normalizer, "clean_text", true);
		w->handle_chinese_chars = json_get_bool(doc, normalizer, "handle_chinese_chars", true);
		w->lowercase = json_get_bool(doc, normalizer, "lowercase", true);
		w->strip_accents = json_get_bool(doc, normalizer, "strip_accents", w->lowercase);
	}
	expect_type(doc, json_get(root, "pre_tokenizer"), "pre_tokenizer", "BertPreTokenizer", path);
	if (max_chars < 1 || max_chars > MAX_WORD)
		die_input("cannot use tokenizer: %s: max_input_chars_per_word is %lld", path, (long long)max_chars);
	w->max_chars = (size_t)max_chars;
	wordpiece_ready(w, json_get_string(doc, model, "continuing_subword_prefix", "##"),
	                json_get_string(doc, model, "unk_token", "[UNK]"), path);
	return w;
}

struct wordpiece *wordpiece_load_vocab(const char *vocab_path, const char *config_path)
{
	struct wordpiece *w = wordpiece_new();
	struct json *config = NULL;
	size_t size, line = 0;
	char *text = remember(w, read_file(vocab_path, MAX_VOCAB_TXT, &size)), *end = text + size;

	if (utf8_valid(text, size) != size)
		die_input("cannot use tokenizer: %s: byte %zu is not UTF-8", vocab_path, utf8_valid(text, size));
	for (char *s = text, *next; s < end; s = next, line++) {
		char *stop = memchr(s, '\n', (size_t)(end - s));

		next = stop ? stop + 1 : end;
		stop = stop ? stop : end;
		if (stop > s && stop[-1] == '\r')
			stop--;
		if (line >= MAX_TOKENS)
			die_input("cannot use tokenizer: %s: more than %d lines", vocab_path, MAX_TOKENS);
		add_token(w, s, (size_t)(stop - s), (uint32_t)line);
	}

	w->clean_text = w->handle_chinese_chars = w->lowercase = w->strip_accents = true;
	w->max_chars = 100;
	if (config_path) {
		const json_value *root, *never;

		config = json_read(config_path, MAX_CONFIG);
		root = json_root(config);
		w->handle_chinese_chars = json_get_bool(config, root, "tokenize_chinese_chars", true);
		w->lowercase = json_get_bool(config, root, "do_lower_case", true);
		w->strip_accents = json_get_bool(config, root, "strip_accents", w->lowercase);
		if (!json_get_bool(config, root, "do_basic_tokenize", true))
			die_input("cannot use tokenizer: %s: do_basic_tokenize false is not supported", config_path);
		never = json_get(root, "never_split");
		if (never && json_count(never) > 0)
			die_input("cannot use tokenizer: %s: never_split is not supported", config_path);
	}
	wordpiece_ready(w, "##", "[UNK]", vocab_path);
	json_free(config);
	return w;
}

static void wordpiece_free(void *model)
{
	struct wordpiece *w = model;

	for (size_t i = 0; i < w->n_memory; i++)
		free(w->memory[i]);
	free(w->memory);
	free(w->prefix);
	free(w->token);
	free(w->slot);
	free(w);
}

static uint32_t wordpiece_vocab(const void *model)
{
	return ((const struct wordpiece *)model)->vocab;
}

/* Options, then tokens in the order of their ids: the same from tokenizer.json and from vocab.txt. */
static void wordpiece_hash(const void *model, struct hash *h)
{
	const struct wordpiece *w = model;

	hash_add_u32(h, w->clean_text | w->handle_chinese_chars << 1 | w->strip_accents << 2 | w->lowercase << 3);
	hash_add_u32(h, (uint32_t)w->max_chars);
	hash_add_u32(h, w->unk);
	hash_add(h, w->prefix, w->prefix_bytes + 1);
	for (size_t i = 0; i < w->n_tokens; i++) {
		hash_add_u32(h, w->token[i].id);
		hash_add_u32(h, w->token[i].bytes);
		hash_add(h, w->token[i].text, w->token[i].bytes);
	}
}

static int64_t wordpiece_special(const void *model, const char *content)
{
	return find_token(model, content, strlen(content));
}

/* ---- text to words ---- */

static void put(struct points *p, uint32_t c, uint8_t ccc)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 256;
		p->c = xreallocarray(p->c, p->cap, sizeof *p->c);
		p->ccc = xreallocarray(p->ccc, p->cap, sizeof *p->ccc);
	}
	p->c[p->n] = c;
	p->ccc[p->n++] = ccc;
}

static int nfd_order(const void *key, const void *entry)
{
	uint32_t c = *(const uint32_t *)key, e = ((const struct bert_decomposition *)entry)->c;

	return (c > e) - (c < e);
}

static void put_class(struct points *p, uint32_t c)
{
	put(p, c, (uint8_t)(kind_of(c) >> 8));
}

/* Appends the canonical decomposition of c; Hangul by the arithmetic of the Unicode standard, 3.12. */
static void put_decomposed(struct points *p, uint32_t c)
{
	enum { S = 0xac00, L = 0x1100, V = 0x1161, T = 0x11a7, V_COUNT = 21, T_COUNT = 28, S_COUNT = 11172 };
	const struct bert_decomposition *d;

	if (c < 0xc0) {
		put(p, c, 0);
	} else if (c >= S && c < S + S_COUNT) {
		uint32_t i = c - S;

		put(p, L + i / (V_COUNT * T_COUNT), 0);
		put(p, V + i % (V_COUNT * T_COUNT) / T_COUNT, 0);
		if (i % T_COUNT)
			put(p, T + i % T_COUNT, 0);
	} else if ((d = bsearch(&c, bert_nfd, (size_t)bert_n_nfd, sizeof *bert_nfd, nfd_order))) {
		for (int i = 0; i < 4 && d->to[i]; i++)
			put_class(p, d->to[i]);
	} else {
		put_class(p, c);
	}
}

/* Sorts p[from, to) by class, keeping the order of equals: by counting, so that no text makes it slow. */
static void sort_run(struct points *p, size_t from, size_t to)
{
	size_t place[257] = {0}, n = p->n;

	for (size_t i = from; i < to; i++)
		place[p->ccc[i] + 1]++;
	for (int k = 0; k < 256; k++)
		place[k + 1] += place[k];
	for (size_t i = from; i < to; i++) /* a copy behind the end */
		put(p, p->c[i], p->ccc[i]);
	for (size_t i = n; i < p->n; i++) {
		size_t to_place = from + place[p->ccc[i]]++;

		p->c[to_place] = p->c[i];
		p->ccc[to_place] = p->ccc[i];
	}
	p->n = n;
}

/* The canonical order: each run of combining characters sorted by class. */
static void put_in_order(struct points *p)
{
	for (size_t i = 0, end; i < p->n; i = end) {
		bool sorted = true;

		for (end = i + 1; p->ccc[i] && end < p->n && p->ccc[end]; end++)
			sorted = sorted && p->ccc[end - 1] <= p->ccc[end];
		if (!sorted)
			sort_run(p, i, end);
	}
}

/* The normalised code points of text into p: BertNormalizer's steps, each over the whole in its order. */
static void normalize(const struct wordpiece *w, const char *text, size_t n, struct points *p)
{
	p->n = 0;
	for (size_t i = 0; i < n;) {
		uint32_t c;
		uint16_t kind;
		int bytes = utf8_char((const unsigned char *)text + i, n - i, &c);

		if (bytes == 0) {
			c = 0xfffd;
			bytes = 1;
		}
		i += (size_t)bytes;
		kind = c < 128 ? w->ascii[c] : kind_of(c);
		if (w->clean_text && kind & BERT_REMOVE)
			continue;
		if (w->handle_chinese_chars && kind & BERT_CJK)
			put(p, ' ', 0);
		if (w->strip_accents)
			put_decomposed(p, c);
		else
			put(p, c, 0);
		if (w->handle_chinese_chars && kind & BERT_CJK)
			put(p, ' ', 0);
	}
	if (w->strip_accents) {
		size_t kept = 0;

		put_in_order(p);
		for (size_t i = 0; i < p->n; i++)
			if (p->c[i] < 128 || !(kind_of(p->c[i]) & BERT_MARK))
				p->c[kept++] = p->c[i];
		p->n = kept;
	}
}

/* Greedy: from each place the longest piece that is in the vocabulary; if there is none, the word is [UNK]. */
static void encode_word(const struct wordpiece *w, struct scratch *s, size_t bytes, size_t chars, struct ids *out)
{
	size_t before = out->n;

	if (chars > w->max_chars)
		goto unknown;
	for (size_t start = 0; start < bytes;) {
		size_t prefix = start ? w->prefix_bytes : 0, most = bytes - start, n;
		uint64_t h = start ? w->prefix_hash : HASH_START;
		const char *piece = s->word + start;
		int64_t id = NO_ID;

		if (most + prefix > w->max_bytes)
			most = w->max_bytes > prefix ? w->max_bytes - prefix : 0;
		for (n = 0; n < most; n++)
			s->prefix_hash[n] = h = hash_byte(h, piece[n]);
		while (n > 0 && (id = find(w, s->prefix_hash[n - 1], prefix, piece, n)) == NO_ID)
			n--;
		if (id == NO_ID)
			goto unknown;
		ids_put(out, (uint32_t)id);
		start += n;
	}
	return;
unknown:
	out->n = before;
	ids_put(out, w->unk);
}

/* Room for one more character in the word. */
static void reserve_word(const struct wordpiece *w, struct scratch *s, size_t bytes)
{
	if (bytes + 4 > s->word_cap) {
		s->word_cap = 2 * s->word_cap + 64;
		s->word = xreallocarray(s->word, s->word_cap, 1);
	}
	if (s->hash_cap < w->max_bytes) {
		s->hash_cap = w->max_bytes;
		s->prefix_hash = xreallocarray(s->prefix_hash, s->hash_cap, sizeof *s->prefix_hash);
	}
}

/* Words of normalised text. Beyond max_chars a word is only counted, so its memory is bounded. */
static void encode_points(const struct wordpiece *w, struct scratch *s, struct ids *out)
{
	const struct points *p = &s->text;
	size_t bytes = 0, chars = 0;

	for (size_t i = 0; i < p->n; i++) {
		uint32_t c = p->c[i], second = 0;
		uint16_t kind = c < 128 ? w->ascii[c] : kind_of(c);

		/* White space and punctuation have no case, and no letter becomes either. */
		if (kind & (BERT_SPACE | BERT_PUNCT) && chars) {
			encode_word(w, s, bytes, chars, out);
			bytes = chars = 0;
		}
		if (kind & BERT_SPACE)
			continue;
		if (w->lowercase && c == 0x130) {
			c = 'i';
			second = 0x307;
		} else if (w->lowercase) {
			c = c < 128 ? (c >= 'A' && c <= 'Z' ? c + 32 : c) : bert_to_lower(c);
		}
		for (int k = 0; k < (second ? 2 : 1); k++) {
			if (++chars <= w->max_chars) {
				reserve_word(w, s, bytes);
				bytes += utf8_put(s->word + bytes, k ? second : c);
			}
		}
		if (kind & BERT_PUNCT) {
			encode_word(w, s, bytes, chars, out);
			bytes = chars = 0;
		}
	}
	if (chars)
		encode_word(w, s, bytes, chars, out);
}

/* Eight characters of ASCII in lower case; others stay what they are. */
static uint64_t lower(uint64_t x)
{
	const uint64_t each = UINT64_C(0x0101010101010101), low = x & 0x7f * each;
	const uint64_t from_a = low + (0x80 - 'A') * each, beyond_z = low + (0x80 - 'Z' - 1) * each;

	return x | (from_a & ~beyond_z & ~x & 0x80 * each) >> 2;
}

/* A word of n ASCII characters; text[0..room) can be read. */
static void encode_ascii_word(const struct wordpiece *w, struct scratch *s, const char *text, size_t n, size_t room, struct ids *out)
{
	const bool is_short = n <= WORD_BYTES;
	const struct word *known;
	uint64_t key[2] = {0}, x[2] = {0};
	uint32_t slot = 0;
	size_t before;

	if (is_short) {
		memcpy(x, text, room < sizeof x ? n : sizeof x);
		for (int i = 0; i < 2 && w->lowercase; i++)
			x[i] = lower(x[i]);
		word_key((const char *)x, n, key);
		slot = word_slot(key, CACHE_BITS);
		known = word_find(s->words, slot, key);
		if (known) {
			ids_append(out, known->id, known->n);
			return;
		}
	}
	before = out->n;
	for (size_t i = 0; i < n && i < w->max_chars; i++) {
		reserve_word(w, s, i);
		s->word[i] = w->lowercase && text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
	}
	encode_word(w, s, n < w->max_chars ? n : w->max_chars, n, out);
	if (is_short && out->n - before <= WORD_IDS)
		word_add(s->words, slot, key, out->id + before, (uint32_t)(out->n - before));
}

/* Words of ASCII, which need no decomposition; none of it is a blank or is removed. */
static void encode_ascii(const struct wordpiece *w, struct scratch *s, const char *text, size_t n, size_t room, struct ids *out)
{
	for (size_t i = 0, end; i < n; i = end) {
		end = i + 1;
		if (!(w->ascii[(unsigned char)text[i]] & BERT_PUNCT))
			while (end < n && !(w->ascii[(unsigned char)text[end]] & BERT_PUNCT))
				end++;
		encode_ascii_word(w, s, text + i, end - i, room - i, out);
	}
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Blanks always end a word, so each stretch between them is normalised alone. */
static void wordpiece_encode(const void *model, void *scratch, const char *text, size_t n, unsigned flags, struct ids *out)
{
	const struct wordpiece *w = model;
	struct scratch *s = scratch;

	(void)flags;
	for (size_t i = 0, end; i < n; i = end) {
		bool plain = true;

		for (; i < n && is_blank(text[i]); i++)
			;
		for (end = i; end < n && !is_blank(text[end]); end++)
			plain &= (unsigned char)text[end] < 128 && !(w->ascii[(unsigned char)text[end]] & (BERT_SPACE | BERT_REMOVE));
		if (plain) {
			encode_ascii(w, s, text + i, end - i, n - i, out);
		} else {
			normalize(w, text + i, end - i, &s->text);
			encode_points(w, s, out);
		}
	}
}

/*
 * Behind an ASCII blank or punctuation character: neither joins with what follows, a mark behind one
 * starts a word of its own or is dropped, and nothing that precedes can move across it.
 */
static size_t wordpiece_split(const void *model, const char *text, size_t n)
{
	const struct wordpiece *w = model;

	for (size_t k = n; k-- > 1;) {
		unsigned char c = (unsigned char)text[k - 1];

		if (is_blank((char)c) || (c < 128 && w->ascii[c] & BERT_PUNCT))
			return k;
	}
	return 0;
}

static void *wordpiece_scratch_new(const void *model)
{
	struct scratch *s = xcalloc(1, sizeof *s);

	(void)model;
	s->words = word_cache_new(CACHE_BITS);
	return s;
}

static void wordpiece_scratch_free(void *scratch)
{
	struct scratch *s = scratch;

	free(s->text.c);
	free(s->text.ccc);
	free(s->word);
	free(s->prefix_hash);
	free(s->words);
	free(s);
}

static const char *wordpiece_bytes(const void *model, uint32_t id, size_t *n)
{
	(void)model;
	(void)id;
	*n = 0;
	return NULL;
}

const struct tokenizer_kind wordpiece_kind = {
	.name = "wordpiece",
	.free = wordpiece_free,
	.vocab = wordpiece_vocab,
	.hash = wordpiece_hash,
	.special = wordpiece_special,
	.scratch_new = wordpiece_scratch_new,
	.scratch_free = wordpiece_scratch_free,
	.encode = wordpiece_encode,
	.split = wordpiece_split,
	.bytes = wordpiece_bytes,
	.drops_blanks = true,
};
