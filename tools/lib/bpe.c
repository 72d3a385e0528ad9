#include "bpe_model.h"

#include <stdlib.h>
#include <string.h>

#include "char_class.h"
#include "checked.h"
#include "die.h"
#include "pretoken.h"
#include "word_cache.h"

enum {
	SMALL = 48,          /* words of up to so many bytes are merged by scanning, longer ones with a heap */
	WINDOW = 1 << 15,    /* bytes of a long word that are merged at a time */
	OVERLAP = 1 << 10,   /* of those, the last ones are merged again with the next window */
	BATCH = 256,         /* words found at a time */
	SHORT_BITS = 17,     /* of the cache of short words: 8 MiB */
	LONG_BITS = 13,      /* log2 of the number of pairs of long entries: 256 bytes each */
	IN_LONG = WORD_IDS + 1, /* instead of a number of ids: they are in the other cache */
	LONG_BYTES = 46,
	LONG_IDS = 18
};

#define NO_SLOT UINT32_MAX

/* Longer words, or those of more ids, in a cache of pairs, too. */
struct long_entry {
	uint64_t hash;
	uint8_t n_bytes, n_ids;
	char bytes[LONG_BYTES];
	uint32_t id[LONG_IDS];
};

/* A word's tokens while they are merged: a doubly linked list in arrays, and a heap of the merges that may be next. */
struct list {
	uint32_t *id, *before, *after; /* by the first of the tokens that it began with */
	uint64_t *heap;                /* rank << 32 | position of the left token */
	size_t cap, n_heap, cap_heap;
};

struct scratch {
	word_pair *shorts;
	struct long_entry (*longs)[2];
	size_t end[BATCH]; /* of the words of a batch */
	uint64_t key[BATCH][2];
	uint32_t slot[BATCH]; /* in shorts; NO_SLOT: the word is longer */
	struct list list;
	struct ids window[2]; /* tokens of two windows of a long word */
	struct buffer {
		char *text;
		size_t cap;
	} normal, piece; /* copies of text that is changed before it is encoded */
};

/* --- merging ---------------------------------------------------------------------------------- */

/* The rank of the merge of two tokens; NO_MERGE if there is none. */
static inline uint32_t find_merge(const struct bpe *b, uint32_t left, uint32_t right)
{
	uint64_t key = pair_key(left, right), h = hash_pair(key);

	if (b->pair_filter[h >> FILTER_SHIFT >> 6] >> (h >> FILTER_SHIFT & 63) & 1)
		for (size_t i = h & b->pair_mask; b->pair[i] != NO_PAIR; i = (i + 1) & b->pair_mask)
			if (b->pair[i] >> ID_BITS == key)
				return (uint32_t)b->pair[i] & ((1 << ID_BITS) - 1);
	return NO_MERGE;
}

/* The tokens that merging begins with, room for n of them: bytes; or characters, and the bytes of those without a token. */
static size_t first_ids(const struct bpe *b, const unsigned char *word, size_t n, uint32_t *id)
{
	size_t made = 0;

	if (!b->chars) {
		for (size_t i = 0; i < n; i++)
			id[i] = b->byte_id[word[i]];
		return n;
	}
	for (size_t i = 0, k; i < n; i += k) {
		uint32_t c, token = NO_TOKEN;

		k = 1;
		if (word[i] < 0x80) {
			id[made++] = b->ascii_id[word[i]];
			continue;
		}
		if ((k = (size_t)utf8_char(word + i, n - i, &c)) > 0)
			token = bpe_find(b, (const char *)word + i, k);
		else
			k = 1;
		if (token != NO_TOKEN)
			id[made++] = token;
		else
			for (size_t j = 0; j < k; j++)
				id[made++] = b->byte_id[word[i + j]];
	}
	return made;
}

/*
 * Merges a word of n <= SMALL bytes into id, and returns how many ids remain: the lowest rank first, the leftmost of
 * equals. rank[i] is that of id[i] with the token behind it. If at first all are bytes, their ranks come from a table.
 */
static size_t merge_small(const struct bpe *b, const unsigned char *word, size_t n, uint32_t *id)
{
	uint32_t rank[SMALL];

	if (b->chars) {
		n = first_ids(b, word, n, id);
		for (size_t i = 0; i + 1 < n; i++)
			rank[i] = find_merge(b, id[i], id[i + 1]);
	} else {
		for (size_t i = 0; i < n; i++)
			id[i] = b->byte_id[word[i]];
		for (size_t i = 0; i + 1 < n; i++)
			rank[i] = b->byte_pair[word[i]][word[i + 1]];
	}
	rank[n - 1] = NO_MERGE;
	for (;;) {
		size_t best = 0;
		uint32_t lowest = rank[0];

		for (size_t i = 1; i + 1 < n; i++)
			if (rank[i] < lowest) {
				lowest = rank[i];
				best = i;
			}
		if (lowest == NO_MERGE)
			return n;
		id[best] = b->made ? b->made[lowest] : lowest + b->first;
		n--;
		for (size_t i = best + 1; i < n; i++) {
			id[i] = id[i + 1];
			rank[i] = rank[i + 1];
		}
		rank[best] = best + 1 < n ? find_merge(b, id[best], id[best + 1]) : NO_MERGE;
		if (best > 0)
			rank[best - 1] = find_merge(b, id[best - 1], id[best]);
	}
}

static void heap_push(struct list *l, uint64_t x)
{
	size_t i;

	GROW(l->heap, l->n_heap, l->cap_heap);
	for (i = l->n_heap++; i > 0 && l->heap[(i - 1) / 2] > x; i = (i - 1) / 2)
		l->heap[i] = l->heap[(i - 1) / 2];
	l->heap[i] = x;
}

static uint64_t heap_pop(struct list *l)
{
	uint64_t top = l->heap[0], x = l->heap[--l->n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < l->n_heap) {
		if (child + 1 < l->n_heap && l->heap[child + 1] < l->heap[child])
			child++;
		if (l->heap[child] >= x)
			break;
		l->heap[i] = l->heap[child];
		i = child;
	}
	l->heap[i] = x;
	return top;
}

static void push_merge(const struct bpe *b, struct list *l, uint32_t left, uint32_t right)
{
	uint32_t rank = find_merge(b, l->id[left], l->id[right]);

	if (rank != NO_MERGE)
		heap_push(l, (uint64_t)rank << 32 | left);
}

/* Merges n bytes (n < 2^32) with a heap, O(n log n); appends the ids to out. */
static void merge_heap(const struct bpe *b, struct list *l, const unsigned char *word, size_t n, struct ids *out)
{
	const uint32_t gone = UINT32_MAX;
	uint32_t last;

	if (l->cap < n + 1) {
		l->cap = n + 1;
		l->id = xreallocarray(l->id, l->cap, sizeof *l->id);
		l->before = xreallocarray(l->before, l->cap, sizeof *l->before);
		l->after = xreallocarray(l->after, l->cap, sizeof *l->after);
	}
	l->n_heap = 0;
	last = (uint32_t)first_ids(b, word, n, l->id);
	for (uint32_t i = 0; i < last; i++) {
		l->before[i] = i - 1;
		l->after[i] = i + 1;
	}
	for (uint32_t i = 0; i + 1 < last; i++)
		push_merge(b, l, i, i + 1);
	while (l->n_heap) {
		uint64_t top = heap_pop(l);
		uint32_t i = (uint32_t)top, rank = (uint32_t)(top >> 32), k;
		const struct merge *m = &b->merge[rank];

		/* Old entries are left in the heap: this one counts if its two tokens still stand there. */
		if (l->id[i] != m->left || (k = l->after[i]) == last || l->id[k] != m->right)
			continue;
		l->id[i] = m->made;
		l->id[k] = gone;
		l->after[i] = l->after[k];
		if (l->after[i] != last) {
			l->before[l->after[i]] = i;
			push_merge(b, l, i, l->after[i]);
		}
		if (i > 0)
			push_merge(b, l, l->before[i], i);
	}
	for (uint32_t i = 0; i < last; i = l->after[i])
		ids_put(out, l->id[i]);
}

static size_t token_length(const struct bpe *b, uint32_t id)
{
	return b->start[id + 1] - b->start[id];
}

/* Do two tokens in a row stay what they are when their bytes are merged together? */
static bool compatible(const struct bpe *b, struct list *l, uint32_t left, uint32_t right)
{
	size_t n = token_length(b, left), m = token_length(b, right);
	unsigned char *both = xmalloc(n + m);
	struct ids out = {0};
	bool yes;

	memcpy(both, b->bytes + b->start[left], n);
	memcpy(both + n, b->bytes + b->start[right], m);
	merge_heap(b, l, both, n + m, &out);
	yes = out.n == 2 && out.id[0] == left && out.id[1] == right;
	free(out.id);
	free(both);
	return yes;
}

/* Is text[at] inside a character? */
static bool inside_char(const unsigned char *text, size_t n, size_t at)
{
	uint32_t c;

	for (size_t back = 1; back < 4 && back <= at && (text[at - back + 1] & 0xc0) == 0x80; back++)
		if (utf8_char(text + at - back, n - at + back, &c) > (int)back)
			return true;
	return false;
}

/*
 * A word of any length in memory that does not grow with it, and in time that grows with it linearly: window after
 * window, each beginning at a boundary between tokens of the one before. That the whole is exact is checked, not hoped:
 * ids are the encoding of their bytes if and only if each two neighbours are the encoding of their own bytes. (The
 * first merge to cross a boundary would cross it in the two alone, too: until then each side is merged as if it were
 * alone.) Neighbours inside a window are so by construction, and the pair at the seam is tried; if it fails, the seam
 * moves. Where merging begins with characters, a seam is between two of them, and a character that the end of a window cuts
 * is far behind it.
 */
static void merge_long(const struct bpe *b, struct scratch *s, const unsigned char *word, size_t n, struct ids *out)
{
	struct ids *now = &s->window[0], *next = &s->window[1], *swap;
	size_t at = 0, window = WINDOW;

	now->n = 0;
	merge_heap(b, &s->list, word, n < window ? n : window, now);
	while (n - at > window) {
		size_t seam = at + window, kept = now->n, tries = 0;
		bool fits = false;

		while (!fits && kept > 1 && tries < 64) {
			seam -= token_length(b, now->id[--kept]);
			if (at + window - seam < OVERLAP || (b->chars && inside_char(word, n, seam)))
				continue;
			tries++;
			next->n = 0; /* a short look ahead tells whether this seam can hold */
			merge_heap(b, &s->list, word + seam, n - seam < OVERLAP ? n - seam : OVERLAP, next);
			if (!compatible(b, &s->list, now->id[kept - 1], next->id[0]))
				continue;
			next->n = 0;
			merge_heap(b, &s->list, word + seam, n - seam < window ? n - seam : window, next);
			fits = compatible(b, &s->list, now->id[kept - 1], next->id[0]);
		}
		if (!fits) { /* no seam in reach: a larger window has others */
			window *= 2;
			now->n = 0;
			merge_heap(b, &s->list, word + at, n - at < window ? n - at : window, now);
			continue;
		}
		ids_append(out, now->id, kept);
		at = seam;
		swap = now;
		now = next;
		next = swap;
	}
	ids_append(out, now->id, now->n);
}

/* --- words ------------------------------------------------------------------------------------ */

/* The token that a word is whatever its merges say, where the model ignores them; else NO_TOKEN. */
static uint32_t whole_token(const struct bpe *b, const char *word, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *high, *low;

	if (b->chars && n == 6 && memcmp(word, "<0x", 3) == 0 && word[5] == '>' && word[3] && word[4] &&
	    (high = strchr(digits, word[3])) && (low = strchr(digits, word[4])))
		return b->byte_id[(high - digits) * 16 + (low - digits)];
	return n <= b->max_bytes ? bpe_find(b, word, n) : NO_TOKEN;
}

static uint64_t long_hash(const char *word, size_t n)
{
	uint64_t h = n * UINT64_C(0x9e3779b97f4a7c15), x;

	for (; n > 8; word += 8, n -= 8) {
		memcpy(&x, word, 8);
		h = (h ^ x) * UINT64_C(0xd6e8feb86659fd93);
		h ^= h >> 32;
	}
	x = 0;
	memcpy(&x, word, n);
	h = (h ^ x) * UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 32;
}

/* A word of at most LONG_BYTES in the long cache; NULL if it is not there. hash: where it would be. */
static const struct long_entry *find_long(const struct scratch *s, const char *word, size_t n, uint64_t hash)
{
	const struct long_entry *e = s->longs[hash & ((1 << LONG_BITS) - 1)];

	for (int i = 0; i < 2; i++)
		if (e[i].hash == hash && e[i].n_bytes == n && memcmp(e[i].bytes, word, n) == 0)
			return &e[i];
	return NULL;
}

/*
 * A word that is longer than the short cache's, not in it, or IN_LONG (known): appends its ids, and remembers them
 * where they fit.
 */
static void encode_word(const struct bpe *b, struct scratch *s, const char *word, size_t n, const uint64_t key[2], bool known,
			struct ids *out)
{
	const struct long_entry *found;
	struct long_entry *e;
	uint32_t id[SMALL];
	uint64_t hash = 0;
	size_t made;
	uint32_t whole = NO_TOKEN;

	if (n > SMALL) {
		if (b->word_tokens && (whole = whole_token(b, word, n)) != NO_TOKEN) {
			ids_put(out, whole);
			return;
		}
		merge_long(b, s, (const unsigned char *)word, n, out);
		return;
	}
	if (n <= LONG_BYTES && (n > WORD_BYTES || known)) {
		hash = long_hash(word, n);
		if ((found = find_long(s, word, n, hash))) {
			ids_append(out, found->id, found->n_ids);
			return;
		}
	}
	if (b->word_tokens && (whole = whole_token(b, word, n)) != NO_TOKEN) {
		id[0] = whole;
		made = 1;
	} else {
		made = merge_small(b, (const unsigned char *)word, n, id);
	}
	ids_append(out, id, made);
	if (n <= WORD_BYTES && !known)
		word_add(s->shorts, word_slot(key, SHORT_BITS), key, id, made <= WORD_IDS ? (uint32_t)made : IN_LONG);
	if ((n > WORD_BYTES || made > WORD_IDS) && n <= LONG_BYTES && made <= LONG_IDS) {
		hash = hash ? hash : long_hash(word, n);
		e = s->longs[hash & ((1 << LONG_BITS) - 1)];
		e[1] = e[0];
		e[0].hash = hash;
		e[0].n_bytes = (uint8_t)n;
		e[0].n_ids = (uint8_t)made;
		memcpy(e[0].bytes, word, n);
		memcpy(e[0].id, id, made * sizeof *id);
	}
}

/* The keys of a batch's words, and the cache lines where they may be on their way. text[..room) can be read. */
static void look_up(struct scratch *s, const char *text, size_t room, size_t words)
{
	size_t start = 0;

	for (size_t i = 0; i < words; i++) {
		size_t n = s->end[i] - start;
		char padded[16] = {0};
		const char *word = text + start;

		if (n > WORD_BYTES) {
			s->slot[i] = NO_SLOT;
		} else {
			if (room - start < sizeof padded)
				word = memcpy(padded, word, n);
			word_key(word, n, s->key[i]);
			s->slot[i] = word_slot(s->key[i], SHORT_BITS);
			__builtin_prefetch(s->shorts[s->slot[i]]);
		}
		start = s->end[i];
	}
}

/* As pretoken_words(), where there is no pattern: stretches that no merge can cross, or no blank but at their start. */
static size_t find_stretches(const struct bpe *b, const char *text, size_t n, size_t *end, size_t max)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t count = 0;

	for (size_t i = 1; i < n && count < max; i++)
		if (!(b->joined[p[i - 1]][p[i] >> 6] >> (p[i] & 63) & 1) && (p[i] & 0xc0) != 0x80)
			end[count++] = i;
	if (count < max && n > 0)
		end[count++] = n;
	return count;
}

static void encode_words(const struct bpe *b, struct scratch *s, const char *text, size_t n, struct ids *out)
{
	size_t words;

	for (;; text += s->end[words - 1], n -= s->end[words - 1]) {
		uint32_t *next;
		size_t start = 0;

		words = b->chars ? find_stretches(b, text, n, s->end, BATCH) : pretoken_words(b->pattern, text, n, s->end, BATCH);
		if (words == 0)
			return;
		next = ids_reserve(out, WORD_IDS * words);

		look_up(s, text, n, words);
		for (size_t i = 0; i < words; start = s->end[i++]) {
			const uint64_t *key = s->key[i];
			const struct word *e = s->slot[i] == NO_SLOT ? NULL : word_find(s->shorts, s->slot[i], key);

			if (e && e->n <= WORD_IDS) {
				memcpy(next, e->id, sizeof e->id); /* all three: cheaper than a loop of n */
				next += e->n;
				continue;
			}
			out->n = (size_t)(next - out->id);
			encode_word(b, s, text + start, s->end[i] - start, key, e, out);
			next = ids_reserve(out, WORD_IDS * (words - i));
		}
		out->n = (size_t)(next - out->id);
	}
}

/*
 * text[0..*n) with a blank for each U+2581, if the model is one of characters, and one more in front, if so wanted. A
 * vocabulary's U+2581 stand as blanks in memory, too, so that text is most often encoded as it is.
 */
static const char *with_blanks(const struct bpe *b, struct buffer *copy, const char *text, size_t *n, bool in_front)
{
	const char *mark = b->chars ? memmem(text, *n, "\xe2\x96\x81", 3) : NULL, *end = text + *n;
	char *to;

	if (!mark && !in_front)
		return text;
	if (copy->cap < *n + 1) {
		copy->cap = *n + 1;
		copy->text = xreallocarray(copy->text, copy->cap, 1);
	}
	to = copy->text;
	if (in_front)
		*to++ = ' ';
	for (; mark; mark = memmem(text, (size_t)(end - text), "\xe2\x96\x81", 3)) {
		memcpy(to, text, (size_t)(mark - text));
		to += mark - text;
		*to++ = ' ';
		text = mark + 3;
	}
	memcpy(to, text, (size_t)(end - text));
	*n = (size_t)(to - copy->text) + (size_t)(end - text);
	return copy->text;
}

static bool bpe_puts_blank(const void *model, unsigned flags)
{
	const struct bpe *b = model;

	return b->prefix == PREFIX_FIRST ? flags & PIECE_TEXT : b->prefix != PREFIX_NEVER && flags & PIECE_START;
}

static bool bpe_replaces_blanks(const void *model)
{
	return ((const struct bpe *)model)->replaced;
}

static const char *bpe_normalize(const void *model, void *scratch, const char *text, size_t *n, unsigned flags)
{
	const struct bpe *b = model;
	struct scratch *s = scratch;

	if (!b->replaced || *n == 0)
		return text;
	return with_blanks(b, &s->normal, text, n, b->prefix == PREFIX_NORMAL && flags & PIECE_START);
}

static void bpe_encode(const void *model, void *scratch, const char *text, size_t n, unsigned flags, struct ids *out)
{
	const struct bpe *b = model;
	struct scratch *s = scratch;
	uint32_t whole;

	if (n == 0)
		return;
	if (!b->replaced && b->chars)
		text = with_blanks(b, &s->normal, text, &n, false);
	if (text[0] != ' ' && b->prefix != PREFIX_NORMAL && bpe_puts_blank(b, flags))
		text = with_blanks(b, &s->piece, text, &n, true);
	if (b->ignore_merges && !b->word_tokens && flags & PIECE_START && flags & PIECE_END &&
	    (whole = whole_token(b, text, n)) != NO_TOKEN)
		ids_put(out, whole);
	else
		encode_words(b, s, text, n, out);
}

static void *bpe_scratch_new(const void *model)
{
	struct scratch *s = xcalloc(1, sizeof *s);

	(void)model;
	s->shorts = word_cache_new(SHORT_BITS);
	s->longs = xcalloc((size_t)1 << LONG_BITS, sizeof *s->longs);
	return s;
}

static void bpe_scratch_free(void *scratch)
{
	struct scratch *s = scratch;

	free(s->shorts);
	free(s->longs);
	free(s->list.id);
	free(s->list.before);
	free(s->list.after);
	free(s->list.heap);
	free(s->window[0].id);
	free(s->window[1].id);
	free(s->normal.text);
	free(s->piece.text);
	free(s);
}

static size_t bpe_split(const void *model, const char *text, size_t n)
{
	const struct bpe *b = model;
	const unsigned char *p = (const unsigned char *)text;

	if (!b->chars)
		return pretoken_split(b->pattern, text, n);
	for (size_t k = n; k-- > 1;) /* beside what may be U+2581, which stands for a blank, never */
		if (!(b->joined[p[k - 1]][p[k] >> 6] >> (p[k] & 63) & 1) && (p[k] & 0xc0) != 0x80 && p[k] != 0xe2 && p[k - 1] != 0x81)
			return k;
	return 0;
}

/* --- the model -------------------------------------------------------------------------------- */

static void bpe_free(void *model)
{
	struct bpe *b = model;

	free(b->start);
	free(b->bytes);
	free(b->text);
	free(b->slot);
	free(b->joined);
	free(b->merge);
	free(b->pair);
	free(b->made);
	free(b->byte_pair);
	free(b->pair_filter);
	free(b);
}

static uint32_t bpe_vocab(const void *model)
{
	return ((const struct bpe *)model)->n_tokens;
}

static void bpe_hash(const void *model, struct hash *h)
{
	const struct bpe *b = model;

	hash_add_u32(h, b->n_tokens);
	for (uint32_t id = 0; id < b->n_tokens; id++)
		hash_add_u32(h, (uint32_t)(b->start[id + 1] - b->start[id]));
	hash_add(h, b->bytes, b->start[b->n_tokens]);
	hash_add_u32(h, b->n_merges);
	for (uint32_t i = 0; i < b->n_merges; i++) {
		hash_add_u32(h, b->merge[i].left);
		hash_add_u32(h, b->merge[i].right);
	}
	if (b->chars) { /* what GPT-2 has adds nothing */
		for (int i = 0; i < 256; i++)
			hash_add_u32(h, b->byte_id[i]);
		hash_add_u32(h, 1 | (uint32_t)b->replaced << 1 | (uint32_t)b->split_blanks << 2);
	} else if (b->pattern != PRETOKEN_GPT2) {
		hash_add(h, pretoken_name(b->pattern), strlen(pretoken_name(b->pattern)) + 1);
	}
	if (b->ignore_merges || b->prefix != PREFIX_NEVER)
		hash_add_u32(h, (uint32_t)b->prefix | (uint32_t)b->ignore_merges << 8);
}

static const char *bpe_bytes(const void *model, uint32_t id, size_t *n)
{
	const struct bpe *b = model;

	if (id >= b->n_tokens)
		return NULL;
	*n = b->start[id + 1] - b->start[id];
	return b->bytes + b->start[id];
}

static bool bpe_is_text(const void *model, uint32_t id)
{
	const struct bpe *b = model;

	return id < b->n_tokens && b->text[id];
}

static int64_t bpe_special(const void *model, const char *content)
{
	const struct bpe *b = model;

	for (uint32_t id = b->n_tokens; id-- > 0;) { /* most often the last */
		size_t n = token_length(b, id);

		if (!b->text[id] && n == strlen(content) && memcmp(b->bytes + b->start[id], content, n) == 0)
			return id;
	}
	return -1;
}

const struct tokenizer_kind bpe_kind = {
	.name = "byte-level BPE, GPT-2's words",
	.free = bpe_free,
	.vocab = bpe_vocab,
	.hash = bpe_hash,
	.special = bpe_special,
	.scratch_new = bpe_scratch_new,
	.scratch_free = bpe_scratch_free,
	.normalize = bpe_normalize,
	.encode = bpe_encode,
	.split = bpe_split,
	.bytes = bpe_bytes,
	.is_text = bpe_is_text,
	.puts_blank = bpe_puts_blank,
	.replaces_blanks = bpe_replaces_blanks,
};
