#include "added.h"

#include <stdlib.h>
#include <string.h>

#include "char_class.h"
#include "checked.h"
#include "die.h"
#include "word_chars.h"

void added_put(struct added *a, const struct added_token *token, const char *path)
{
	size_t i;

	if (!token->content[0])
		die_input("cannot use tokenizer: %s: empty added token", path);
	if (strlen(token->content) > MAX_ADDED_BYTES)
		die_input("cannot use tokenizer: %s: an added token of more than %d bytes is not supported", path, MAX_ADDED_BYTES);
	for (i = 0; i < a->n; i++) {
		if (strcmp(a->token[i].content, token->content) == 0) {
			if (a->token[i].id != token->id)
				die_input("cannot use tokenizer: %s: added token \"%s\" is there twice", path, token->content);
			break;
		}
		if (a->token[i].id == token->id)
			die_input("cannot use tokenizer: %s: id %u stands for two tokens", path, token->id);
	}
	if (i == a->n) {
		if (a->n == MAX_ADDED)
			die_input("cannot use tokenizer: %s: more than %d added tokens are not supported", path, MAX_ADDED);
		GROW(a->token, a->n, a->cap);
		a->n++;
	} else {
		free(a->token[i].content);
	}
	a->token[i] = *token;
	a->token[i].content = xstrdup(token->content);
	a->token[i].pattern = NULL;
}

void added_put_json(struct added *a, const struct json *doc, const json_value *token, uint32_t id, const char *path)
{
	char *content = xstrdup(json_string(doc, json_get(token, "content"), "content"));
	bool special = json_get_bool(doc, token, "special", false);

	added_put(a, &(struct added_token){
		.content = content, .id = id, .special = special,
		.normalized = json_get_bool(doc, token, "normalized", !special),
		.lstrip = json_get_bool(doc, token, "lstrip", false),
		.rstrip = json_get_bool(doc, token, "rstrip", false),
		.single_word = json_get_bool(doc, token, "single_word", false)}, path);
	free(content);
}

void added_free(struct added *a)
{
	for (size_t i = 0; i < a->n; i++) {
		free(a->token[i].content);
		free(a->token[i].pattern);
	}
	free(a->token);
	free(a->set[0].token);
	free(a->set[1].token);
	memset(a, 0, sizeof *a);
}

static int by_id(const void *x, const void *y)
{
	const struct added_token *a = x, *b = y;

	return (a->id > b->id) - (a->id < b->id);
}

static int by_pattern(const void *x, const void *y)
{
	const struct added_token *a = *(const struct added_token *const *)x, *b = *(const struct added_token *const *)y;
	int order = memcmp(a->pattern, b->pattern, a->n < b->n ? a->n : b->n);

	return order ? order : (a->n > b->n) - (a->n < b->n);
}

static void make_set(struct added *a, bool normalized, const char *path)
{
	struct added_set *s = &a->set[normalized];

	s->token = xcalloc(a->n + 1, sizeof *s->token);
	for (size_t i = 0; i < a->n; i++)
		if (a->token[i].normalized == normalized) {
			s->token[s->n++] = &a->token[i];
			s->ordinary = s->ordinary || !a->token[i].special;
			if (s->longest < a->token[i].n)
				s->longest = a->token[i].n;
		}
	qsort(s->token, s->n, sizeof *s->token, by_pattern);
	for (size_t i = 1; i < s->n; i++)
		if (by_pattern(&s->token[i - 1], &s->token[i]) == 0)
			die_input("cannot use tokenizer: %s: added tokens \"%s\" and \"%s\" are the same when normalized", path,
				  s->token[i - 1]->content, s->token[i]->content);
	for (size_t i = 0, c = 0; c < 256; c++) {
		while (i < s->n && (unsigned char)s->token[i]->pattern[0] == c)
			i++;
		s->first[c + 1] = i;
	}
}

void added_ready(struct added *a, char *(*normalize)(const void *model, const char *content, size_t *n), const void *model,
		 const char *path)
{
	if (a->n)
		qsort(a->token, a->n, sizeof *a->token, by_id);
	for (size_t i = 0; i < a->n; i++) {
		struct added_token *t = &a->token[i];

		t->n = strlen(t->content);
		t->pattern = t->normalized && normalize ? normalize(model, t->content, &t->n) : xstrdup(t->content);
	}
	make_set(a, false, path);
	make_set(a, true, path);
}

const struct added_token *added_by_id(const struct added *a, uint32_t id)
{
	const struct added_token key = {.id = id};

	return bsearch(&key, a->token, a->n, sizeof *a->token, by_id);
}

const struct added_token *added_by_content(const struct added *a, const char *content)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->token[i].content, content) == 0)
			return &a->token[i];
	return NULL;
}

bool added_any(const struct added *a, bool normalized, bool special)
{
	return a->set[normalized].ordinary || (special && a->set[normalized].n > 0);
}

/* The longest token at p[0..n), n > 0; NULL if there is none. */
static const struct added_token *longest(const struct added_set *s, const char *p, size_t n)
{
	unsigned char c = (unsigned char)p[0];
	size_t low = s->first[c], high = s->first[c + 1];
	const struct added_token *found = NULL;

	for (size_t k = 1; low < high; k++) { /* the first k bytes of all in [low, high) are those of p */
		size_t from, to;

		if (s->token[low]->n == k)
			found = s->token[low++];
		if (k == n)
			break;
		c = (unsigned char)p[k];
		for (from = low, to = high; from < to;) {
			size_t mid = (from + to) / 2;

			if ((unsigned char)s->token[mid]->pattern[k] < c)
				from = mid + 1;
			else
				to = mid;
		}
		low = from;
		for (to = high; from < to;) {
			size_t mid = (from + to) / 2;

			if ((unsigned char)s->token[mid]->pattern[k] <= c)
				from = mid + 1;
			else
				to = mid;
		}
		high = from;
	}
	return found;
}

static bool is_word(uint32_t c)
{
	int low = 0, high = n_word_chars;

	while (low < high) {
		int mid = (low + high) / 2;

		if (c > word_chars[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n_word_chars && c >= word_chars[low].first;
}

/* The character that ends at text[k], k > 0, and its length; a byte that ends none is U+FFFD. */
static size_t char_before(const char *text, size_t k, uint32_t *c)
{
	for (size_t back = 1; back <= 4 && back <= k; back++)
		if (utf8_char((const unsigned char *)text + k - back, back, c) == (int)back)
			return back;
	*c = 0xfffd;
	return 1;
}

static size_t char_at(const char *text, size_t n, uint32_t *c)
{
	int k = utf8_char((const unsigned char *)text, n, c);

	if (k)
		return (size_t)k;
	*c = 0xfffd;
	return 1;
}

static bool is_space(const struct added_scan *s, uint32_t c)
{
	return char_class(c) == CLASS_SPACE && (c != ' ' || s->blank);
}

const struct added_token *added_next(struct added_scan *s, size_t *start, size_t *end)
{
	const struct added_token *t;
	uint32_t c;
	size_t k;

	for (; s->at < s->n; s->at++) {
		const struct added_set *set = s->set;
		unsigned char first = (unsigned char)s->text[s->at];

		if (set->first[first] == set->first[first + 1] || !(t = longest(set, s->text + s->at, s->n - s->at)))
			continue;
		*start = s->at;
		*end = s->at + t->n;
		if ((t->special && !s->special) ||
		    (t->single_word && ((*start > 0 && (char_before(s->text, *start, &c), is_word(c))) ||
					(*end < s->n && (char_at(s->text + *end, s->n - *end, &c), is_word(c)))))) {
			s->at = *end - 1;
			continue;
		}
		s->at = *end;
		if (t->lstrip) {
			while (*start > 0 && (k = char_before(s->text, *start, &c), is_space(s, c)))
				*start -= k;
			if (*start < s->done)
				*start = s->done;
		}
		if (t->rstrip)
			while (*end < s->n && (k = char_at(s->text + *end, s->n - *end, &c), is_space(s, c)))
				*end += k;
		s->done = *end;
		return t;
	}
	return NULL;
}

bool added_touches(const struct added_set *set, const char *text, size_t n, size_t k, bool blank_before)
{
	char with[MAX_ADDED_BYTES + 4] = " ";
	const struct added_token *t;

	for (size_t back = 0; back <= set->longest && back <= k; back++) {
		const char *p = text + k - back;
		size_t room = n - k + back;

		if (room && (t = longest(set, p, room)) && t->n >= back)
			return true;
		if (!blank_before || set->first[' '] == set->first[' ' + 1])
			continue;
		if (room > set->longest)
			room = set->longest;
		if (room > sizeof with - 1)
			room = sizeof with - 1;
		memcpy(with + 1, p, room);
		if ((t = longest(set, with, room + 1)) && t->n - 1 >= back)
			return true;
	}
	return false;
}

void added_hash(const struct added *a, struct hash *h)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct added_token *t = &a->token[i];
		uint8_t flags = (uint8_t)(t->lstrip | t->rstrip << 1 | t->single_word << 2 | !t->special << 3 |
		                          (t->normalized && !t->special) << 4);

		if (!flags)
			continue;
		hash_add_u32(h, t->id);
		hash_add(h, &flags, 1);
		hash_add(h, t->content, strlen(t->content) + 1);
	}
}
