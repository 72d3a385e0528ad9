#include "words.h"

#include <string.h>

#include "bert_chars.h"
#include "char_class.h"
#include "utf8.h"

/* Length of the character at text[at], 1 if it is none; its class. */
static size_t look(const char *text, size_t n, size_t at, enum char_class *class)
{
	uint32_t c;
	int bytes = utf8_char((const unsigned char *)text + at, n - at, &c);

	*class = bytes ? char_class(c) : CLASS_OTHER;
	return bytes ? (size_t)bytes : 1;
}

static bool in_word(enum char_class class)
{
	return class == CLASS_LETTER || class == CLASS_NUMBER;
}

static bool joins(const char *text, size_t from, size_t to)
{
	if (to - from == 1 && (text[from] == '-' || text[from] == '\''))
		return true;
	for (size_t i = from; i < to; i++)
		if (text[i] != ' ')
			return false;
	return true;
}

bool word_next(const char *text, size_t n, struct word *w)
{
	size_t before = w->end, at = before, bytes;
	bool first = before == 0;
	enum char_class class = CLASS_OTHER;

	while (at < n) {
		bytes = look(text, n, at, &class);
		if (in_word(class))
			break;
		at += bytes;
	}
	if (at >= n)
		return false;
	*w = (struct word){.start = at, .number = true};
	w->joined = !first && joins(text, before, at);
	w->command = at > 0 && text[at - 1] == '\\';
	while (at < n) {
		bytes = look(text, n, at, &class);
		if (!in_word(class))
			break;
		w->number = w->number && class == CLASS_NUMBER;
		at += bytes;
	}
	w->end = at;
	return true;
}

size_t word_fold(const char *s, size_t n, char *out)
{
	size_t made = 0;

	for (size_t i = 0; i < n;) {
		uint32_t c;
		int bytes = utf8_char((const unsigned char *)s + i, n - i, &c);

		if (bytes == 0)
			out[made++] = s[i++];
		else if (c < 128)
			out[made++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c), i++;
		else
			made += utf8_put(out + made, bert_to_lower(c)), i += (size_t)bytes;
	}
	return made;
}

/* str.isspace(): Unicode's white space, and four control characters. */
static bool is_python_space(uint32_t c)
{
	return char_class(c) == CLASS_SPACE || (c >= 0x1c && c <= 0x1f);
}

static void count(struct word_count *c, bool space)
{
	c->spaces += space && !c->in_space;
	c->in_space = space;
}

/* Could p[0..n), n < 4, be the beginning of a longer character? */
static bool may_go_on(const unsigned char *p, size_t n)
{
	size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 1;

	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return false;
	return n < length;
}

void word_count_add(struct word_count *c, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t point;

		c->rest[c->n_rest++] = (unsigned char)text[i];
		while (c->n_rest) {
			int bytes = utf8_char(c->rest, c->n_rest, &point);
			if (bytes == 0 && may_go_on(c->rest, c->n_rest))
				break;
			count(c, bytes && is_python_space(point));
			size_t used = bytes ? (size_t)bytes : 1;
			c->n_rest -= used;
			memmove(c->rest, c->rest + used, c->n_rest);
		}
	}
}

uint64_t word_count(const struct word_count *c)
{
	return c->spaces + 1;
}
