#include "token_class.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "char_class.h"
#include "checked.h"
#include "intern.h"
#include "words.h"

/* A mark: what the character is (enum char_class), and: */
enum { CHAR = 3, MARK_NEWLINE = 4, MARK_LATEX = 8, BAND_SHIFT = 4, MARK_BAND = 3 << BAND_SHIFT };

static const uint32_t band_end[] = {100, 1000, 10000}; /* ranks from 1 */
enum { N_BANDS = 1 + sizeof band_end / sizeof *band_end };

const char *token_class_name(enum token_class class)
{
	static const char *const name[] = {
		[TOKEN_SPECIAL] = "special",   [TOKEN_NEWLINE] = "newline",   [TOKEN_SPACE] = "space",
		[TOKEN_LATEX] = "latex",       [TOKEN_WORD_1] = "word-100",   [TOKEN_WORD_2] = "word-1000",
		[TOKEN_WORD_3] = "word-10000", [TOKEN_WORD_4] = "word-rare",  [TOKEN_DIGITS] = "digits",
		[TOKEN_PUNCTUATION] = "punctuation",
	};

	return name[class];
}

/* --- words by frequency --- */

struct word_bands {
	struct intern word;
	uint8_t *band; /* of each word */
};

struct counted {
	const struct intern *word;
	uint32_t id;
	uint64_t count;
};

static int by_frequency(const void *a, const void *b)
{
	const struct counted *x = a, *y = b;
	size_t nx, ny;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	const char *s = intern_text(x->word, x->id, &nx), *t = intern_text(y->word, y->id, &ny);
	int order = memcmp(s, t, nx < ny ? nx : ny);
	return order ? order : (nx > ny) - (nx < ny);
}

/* Folds the word into *buf, which grows. */
static size_t fold(const char *text, const struct word *w, char **buf, size_t *cap)
{
	size_t need = 2 * (w->end - w->start);

	if (need > *cap) {
		*cap = 2 * need;
		*buf = xreallocarray(*buf, *cap, 1);
	}
	return word_fold(text + w->start, w->end - w->start, *buf);
}

struct word_bands *word_bands_of(const char *text, size_t n)
{
	struct word_bands *b = xcalloc(1, sizeof *b);
	struct counted *c = NULL;
	struct word w = {0};
	size_t cap = 0, n_counted = 0, cap_counted = 0;
	char *buf = NULL;

	while (word_next(text, n, &w)) {
		if (w.number)
			continue;
		size_t length = fold(text, &w, &buf, &cap);
		uint32_t id = intern_add(&b->word, buf, length);
		if (id == n_counted) {
			GROW(c, n_counted, cap_counted);
			c[n_counted++] = (struct counted){&b->word, id, 0};
		}
		c[id].count++;
	}
	if (n_counted)
		qsort(c, n_counted, sizeof *c, by_frequency);
	b->band = xcalloc(n_counted ? n_counted : 1, 1);
	for (size_t i = 0; i < n_counted; i++)
		while (b->band[c[i].id] < N_BANDS - 1 && i >= band_end[b->band[c[i].id]])
			b->band[c[i].id]++;
	free(buf);
	free(c);
	return b;
}

void word_bands_free(struct word_bands *b)
{
	if (!b)
		return;
	intern_free(&b->word);
	free(b->band);
	free(b);
}

/* --- LaTeX --- */

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Where maths that opens at `at` ends, inside its line [.., end): one behind its last byte. 0: it is no maths. */
static size_t maths_end(const char *s, size_t at, size_t end)
{
	if (s[at] == '\\') { /* \( or \[ */
		char close = s[at + 1] == '(' ? ')' : ']';
		for (size_t i = at + 2; i + 1 < end; i++)
			if (s[i] == '\\' && s[i + 1] == close)
				return i + 2;
			else if (s[i] == '\\')
				i++;
		return 0;
	}
	size_t signs = at + 1 < end && s[at + 1] == '$' ? 2 : 1, first = at + signs;
	if (first >= end || (signs == 1 && is_blank(s[first])))
		return 0;
	for (size_t i = first; i < end; i++) {
		if (s[i] == '\\') {
			i++;
			continue;
		}
		if (s[i] != '$' || i == first)
			continue;
		if (signs == 2) {
			if (i + 1 < end && s[i + 1] == '$')
				return i + 2;
			continue;
		}
		bool digit = i + 1 < end && s[i + 1] >= '0' && s[i + 1] <= '9';
		if (!is_blank(s[i - 1]) && !digit)
			return i + 1;
	}
	return 0;
}

/* How far a command that begins with the backslash at `at` reaches: its letters, or one character. */
static size_t command_end(const char *s, size_t at, size_t end)
{
	size_t i = at + 1;

	while (i < end && is_letter(s[i]))
		i++;
	if (i == at + 1 && i < end && !is_blank(s[i]))
		i++;
	return i;
}

static void mark_latex(const char *s, size_t n, uint8_t *mark)
{
	for (size_t at = 0, end; at < n; at = end + 1) {
		const char *newline = memchr(s + at, '\n', n - at);

		end = newline ? (size_t)(newline - s) : n;
		for (size_t i = at; i < end;) {
			size_t stop = i;
			if (s[i] == '$' || (s[i] == '\\' && i + 1 < end && (s[i + 1] == '(' || s[i + 1] == '[')))
				stop = maths_end(s, i, end);
			if (s[i] == '\\' && stop <= i)
				stop = command_end(s, i, end);
			if (stop <= i)
				stop = i + 1;
			else
				for (size_t k = i; k < stop; k++)
					mark[k] |= MARK_LATEX;
			i = stop;
		}
	}
}

/* --- marks and classes --- */

uint8_t *mark_text(const char *text, size_t n, const struct word_bands *bands)
{
	uint8_t *mark = xcalloc(n ? n : 1, 1);
	struct word w = {0};
	size_t cap = 0;
	char *buf = NULL;

	for (size_t i = 0; i < n;) {
		uint32_t c;
		int bytes = utf8_char((const unsigned char *)text + i, n - i, &c);
		uint8_t m = bytes ? (uint8_t)char_class(c) : CLASS_OTHER;

		if (bytes == 0)
			bytes = 1;
		if (text[i] == '\n' || text[i] == '\r')
			m |= MARK_NEWLINE;
		for (; bytes; bytes--)
			mark[i++] = m;
	}
	while (word_next(text, n, &w)) {
		if (w.number)
			continue;
		int64_t id = intern_find(&bands->word, buf, fold(text, &w, &buf, &cap));
		uint8_t band = id < 0 ? N_BANDS - 1 : bands->band[id];
		for (size_t i = w.start; i < w.end; i++)
			mark[i] |= (uint8_t)(band << BAND_SHIFT);
	}
	mark_latex(text, n, mark);
	free(buf);
	return mark;
}

enum token_class token_class(const uint8_t *mark, size_t n)
{
	bool newline = false, space = true, latex = false, number = false;
	const uint8_t *letter = NULL;

	for (size_t i = 0; i < n; i++) {
		int class = mark[i] & CHAR;
		newline = newline || mark[i] & MARK_NEWLINE;
		space = space && class == CLASS_SPACE;
		latex = latex || (mark[i] & MARK_LATEX && class != CLASS_SPACE);
		number = number || class == CLASS_NUMBER;
		if (class == CLASS_LETTER && !letter)
			letter = mark + i;
	}
	if (n == 0)
		return TOKEN_SPECIAL;
	if (space)
		return newline ? TOKEN_NEWLINE : TOKEN_SPACE;
	if (latex)
		return TOKEN_LATEX;
	if (letter)
		return (enum token_class)(TOKEN_WORD_1 + ((*letter & MARK_BAND) >> BAND_SHIFT));
	return number ? TOKEN_DIGITS : TOKEN_PUNCTUATION;
}
