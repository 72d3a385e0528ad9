#include "jsonl.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "json.h"
#include "utf8.h"

#define MAX_MEMBERS 1024 /* keys are compared with one another */

struct scanner {
	char *start, *p, *end;
	const char *name;
	uint64_t number;
};

static _Noreturn void malformed(const struct scanner *s, const char *why)
{
	die_input("malformed JSON: %s:%" PRIu64 ": byte %zu: %s", s->name, s->number, (size_t)(s->p - s->start) + 1,
	          why);
}

static void skip_blanks(struct scanner *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n'))
		s->p++;
}

/* The next character that is no blank must be c. */
static void expect(struct scanner *s, char c, const char *why)
{
	skip_blanks(s);
	if (s->p == s->end || *s->p != c)
		malformed(s, why);
	s->p++;
}

static uint32_t hex4(struct scanner *s)
{
	uint32_t x = 0;

	for (int i = 0; i < 4; i++, s->p++) {
		char c = s->p < s->end ? *s->p : '\0';

		if (c >= '0' && c <= '9')
			x = 16 * x + (uint32_t)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			x = 16 * x + (uint32_t)((c | 0x20) - 'a') + 10;
		else
			malformed(s, "bad \\u escape");
	}
	return x;
}

/* The character of the escape at p, which stands behind the backslash; p moves past it. */
static uint32_t escape(struct scanner *s)
{
	static const char sign[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t c, low;

	if (s->p == s->end)
		malformed(s, "the line ends inside a string");
	if (*s->p != 'u') {
		found = *s->p ? strchr(sign, *s->p) : NULL;
		if (!found)
			malformed(s, "bad escape");
		s->p++;
		return (unsigned char)meaning[found - sign];
	}
	s->p++;
	c = hex4(s);
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c > 0xdbff || s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
		malformed(s, "lone surrogate");
	s->p += 2;
	low = hex4(s);
	if (low < 0xdc00 || low > 0xdfff)
		malformed(s, "lone surrogate");
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

#define BYTES(x) (UINT64_C(0x0101010101010101) * (x))

/* True if one of eight bytes is a quote, a backslash, a control character or not ASCII. False alarms are harmless. */
static bool special(uint64_t w)
{
	uint64_t quote = w ^ BYTES('"'), slash = w ^ BYTES('\\');

	return ((w - BYTES(0x20)) | (quote - BYTES(1)) | (slash - BYTES(1)) | w) & BYTES(0x80);
}

/* A string whose opening quote stands at p, decoded in place: what an escape stands for is never longer than it. */
static void string(struct scanner *s, char **text, size_t *n)
{
	char *out, *run;

	s->p++;
	out = run = *text = s->p;
	for (;;) {
		uint64_t w;
		char *multi;
		size_t good;

		for (; s->end - s->p >= 8; s->p += 8) {
			memcpy(&w, s->p, 8);
			if (special(w))
				break;
		}
		while (s->p < s->end && (unsigned char)(*s->p - ' ') < 0x80 - ' ' && *s->p != '"' && *s->p != '\\')
			s->p++;
		if (s->p == s->end)
			malformed(s, "the line ends inside a string");
		if ((unsigned char)*s->p < ' ')
			malformed(s, "control character in a string");
		if ((unsigned char)*s->p >= 0x80) { /* the whole run that is not ASCII, which ends at an ASCII byte */
			for (multi = s->p; multi < s->end && (unsigned char)*multi >= 0x80;)
				multi++;
			good = utf8_valid(s->p, (size_t)(multi - s->p));
			s->p += good;
			if (s->p != multi)
				malformed(s, "invalid UTF-8");
			continue;
		}
		if (out != run)
			memmove(out, run, (size_t)(s->p - run));
		out += s->p - run;
		if (*s->p++ == '"')
			break;
		out += utf8_put(out, escape(s));
		run = s->p;
	}
	*n = (size_t)(out - *text);
}

static bool digits(struct scanner *s)
{
	char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from;
}

static void number(struct scanner *s)
{
	s->p += *s->p == '-';
	if (s->p < s->end && *s->p == '0')
		s->p++;
	else if (!digits(s))
		malformed(s, "bad number");
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (!digits(s))
			malformed(s, "bad number");
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (!digits(s))
			malformed(s, "bad number");
	}
}

/* An array or object, which nobody asked for: its end is where its brackets are closed, its grammar is json.c's affair. */
static void nested(struct scanner *s)
{
	char *from = s->p, *where;
	size_t depth = 0;

	do {
		if (s->p == s->end)
			malformed(s, "the line ends inside an array or object");
		if (*s->p == '"') {
			for (s->p++; s->p < s->end && *s->p != '"'; s->p++)
				s->p += *s->p == '\\' && s->p + 1 < s->end;
			if (s->p == s->end)
				malformed(s, "the line ends inside a string");
		}
		depth += *s->p == '[' || *s->p == '{';
		depth -= *s->p == ']' || *s->p == '}';
		s->p++;
	} while (depth);
	where = xasprintf("%s:%" PRIu64 ": value at byte %zu", s->name, s->number, (size_t)(from - s->start) + 1);
	json_check(from, (size_t)(s->p - from), where);
	free(where);
}

static void other_value(struct scanner *s)
{
	static const char *const word[] = {"true", "false", "null"};

	if (*s->p == '[' || *s->p == '{') {
		nested(s);
		return;
	}
	if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')) {
		number(s);
		return;
	}
	for (int i = 0; i < 3; i++) {
		size_t n = strlen(word[i]);

		if ((size_t)(s->end - s->p) >= n && !memcmp(s->p, word[i], n)) {
			s->p += n;
			return;
		}
	}
	malformed(s, "no JSON value");
}

void jsonl_scan(char *line, size_t n, struct jsonl_field *field, int n_fields, const char *name, uint64_t number_)
{
	struct scanner s = {line, line, line + n, name, number_};
	struct {
		const char *text;
		size_t n;
	} key[MAX_MEMBERS];
	int n_keys = 0;

	for (int i = 0; i < n_fields; i++)
		field[i].text = NULL;
	expect(&s, '{', "no object");
	skip_blanks(&s);
	if (s.p < s.end && *s.p == '}') {
		s.p++;
	} else {
		do {
			struct jsonl_field *wanted = NULL;
			char *k;
			size_t k_n;

			skip_blanks(&s);
			if (s.p == s.end || *s.p != '"')
				malformed(&s, "no member name");
			if (n_keys == MAX_MEMBERS)
				malformed(&s, "too many members");
			string(&s, &k, &k_n);
			for (int i = 0; i < n_keys; i++)
				if (key[i].n == k_n && !memcmp(key[i].text, k, k_n))
					malformed(&s, "duplicate member");
			key[n_keys].text = k;
			key[n_keys++].n = k_n;
			for (int i = 0; i < n_fields; i++)
				if (strlen(field[i].key) == k_n && !memcmp(field[i].key, k, k_n))
					wanted = &field[i];
			expect(&s, ':', "no ':' after a member name");
			skip_blanks(&s);
			if (s.p == s.end)
				malformed(&s, "the line ends before a value");
			if (*s.p == '"') {
				char *text;
				size_t text_n;

				string(&s, &text, &text_n);
				if (wanted) {
					wanted->text = text;
					wanted->n = text_n;
				}
			} else if (wanted) {
				die_input("malformed record: %s:%" PRIu64 ": %s is no string", name, number_, wanted->key);
			} else {
				other_value(&s);
			}
			skip_blanks(&s);
		} while (s.p < s.end && *s.p == ',' && s.p++);
		expect(&s, '}', "no ',' or '}' after a value");
	}
	skip_blanks(&s);
	if (s.p != s.end)
		malformed(&s, "something stands after the object");
	for (int i = 0; i < n_fields; i++)
		if (!field[i].text)
			die_input("malformed record: %s:%" PRIu64 ": no member %s", name, number_, field[i].key);
}
