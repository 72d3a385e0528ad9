#include "json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "checked.h"
#include "die.h"
#include "reader.h"

#define MAX_DEPTH 64
#define MAX_NUMBER 63 /* cJSON's own limit: it would silently cut a longer one */
#define NOT_EXACT (1 << 16) /* in a number's type, above cJSON's own bits: not written as an integer of at most 2^53 */

struct json {
	cJSON *root;
	char *name;
};

/*
 * The grammar is checked in one pass before cJSON sees the text. On the way two things are
 * noted that the tree does not tell: keys already seen, and numbers that are no exact integers.
 */
struct key {
	uint64_t hash;
	size_t object; /* serial number from 1; 0: free */
	const char *text;
};

struct parser {
	const char *start, *p, *end, *name;
	bool unread; /* json_check() */
	int depth;
	size_t objects, numbers;
	struct key *key; /* open addressing; n_slots is 0 or a power of 2 */
	size_t n_keys, n_slots;
	uint64_t salt; /* so that nobody can prepare keys that collide */
	size_t *inexact; /* serial numbers of numbers, in order */
	size_t n_inexact, cap_inexact;
};

static _Noreturn void malformed(const struct parser *s, const char *at, const char *why)
{
	die_input("malformed JSON: %s: byte %zu: %s", s->name, (size_t)(at - s->start), why);
}

static void skip_blanks(struct parser *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

/* What comes next but blanks; the text must not end before. */
static char next_of(struct parser *s, const char *if_ended)
{
	skip_blanks(s);
	if (s->p == s->end)
		malformed(s, s->p, if_ended);
	return *s->p;
}

static int hex4(struct parser *s, const char *p)
{
	int x = 0;

	if (s->end - p < 4)
		malformed(s, s->end, "text ends inside a string");
	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			x = 16 * x + c - '0';
		else if (c >= 'a' && c <= 'f')
			x = 16 * x + c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			x = 16 * x + c - 'A' + 10;
		else
			malformed(s, p + i, "bad \\u escape");
	}
	return x;
}

/* Length of the UTF-8 character at p, or 0 if it is none (RFC 3629: no overlong forms, no surrogates). */
static int utf8(const char *text, const char *end, uint32_t *code)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t left = (size_t)(end - text);
	uint32_t c = p[0];

	if (c < 0x80) {
		*code = c;
		return 1;
	}
	if (c >= 0xc2 && c < 0xe0 && left >= 2 && (p[1] & 0xc0) == 0x80) {
		*code = (c & 0x1f) << 6 | (p[1] & 0x3f);
		return 2;
	}
	if (c >= 0xe0 && c < 0xf0 && left >= 3 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80) {
		*code = (c & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
		return *code >= 0x800 && (*code < 0xd800 || *code > 0xdfff) ? 3 : 0;
	}
	if (c >= 0xf0 && c < 0xf5 && left >= 4 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 &&
	    (p[3] & 0xc0) == 0x80) {
		*code = (c & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
		return *code >= 0x10000 && *code <= 0x10ffff ? 4 : 0;
	}
	return 0;
}

/* The character at *p of a string, which moves past it; false at the closing quote. */
static bool next_char(struct parser *s, const char **p, uint32_t *code)
{
	const char *c = *p;
	int n;

	if (c == s->end)
		malformed(s, c, "text ends inside a string");
	if (*c == '"') {
		*p = c + 1;
		return false;
	}
	if ((unsigned char)*c < ' ')
		malformed(s, c, "control character in a string");
	if (*c != '\\') {
		n = utf8(c, s->end, code);
		if (n == 0)
			malformed(s, c, "invalid UTF-8");
		*p = c + n;
		return true;
	}
	if (++c == s->end)
		malformed(s, c, "text ends inside a string");
	*p = c + 1;
	switch (*c) {
	case '"':
	case '\\':
	case '/':
		*code = (unsigned char)*c;
		return true;
	case 'b':
		*code = '\b';
		return true;
	case 'f':
		*code = '\f';
		return true;
	case 'n':
		*code = '\n';
		return true;
	case 'r':
		*code = '\r';
		return true;
	case 't':
		*code = '\t';
		return true;
	case 'u':
		break;
	default:
		malformed(s, c, "unknown escape");
	}
	*code = (uint32_t)hex4(s, c + 1);
	*p = c + 5;
	if (*code == 0 && !s->unread)
		malformed(s, c, "NUL in a string");
	if (*code >= 0xd800 && *code <= 0xdfff) {
		uint32_t low = 0;

		if (*code < 0xdc00 && s->end - *p >= 2 && (*p)[0] == '\\' && (*p)[1] == 'u')
			low = (uint32_t)hex4(s, *p + 2);
		if (low < 0xdc00 || low > 0xdfff)
			malformed(s, c, "lone surrogate");
		*code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
		*p += 6;
	}
	return true;
}

/* p stands after the opening quote. Returns a hash of the characters, however they are written. */
static uint64_t check_string(struct parser *s)
{
	uint64_t h = s->salt;
	uint32_t c = 0;

	while (next_char(s, &s->p, &c)) {
		h = (h ^ c) * 0x9e3779b97f4a7c15;
		h ^= h >> 29;
	}
	return h;
}

static bool same_string(struct parser *s, const char *a, const char *b)
{
	uint32_t x = 0, y = 0;
	bool more_a, more_b;

	do {
		more_a = next_char(s, &a, &x);
		more_b = next_char(s, &b, &y);
		if (more_a != more_b || (more_a && x != y))
			return false;
	} while (more_a);
	return true;
}

static struct key *find_slot(struct parser *s, uint64_t hash, size_t object, const char *text)
{
	size_t mask = s->n_slots - 1, i = (size_t)(hash >> 20) & mask;
	struct key *k;

	while (k = &s->key[i], k->object) {
		if (text && k->hash == hash && k->object == object && same_string(s, k->text, text))
			return k;
		i = (i + 1) & mask;
	}
	return k;
}

static void add_key(struct parser *s, size_t object, uint64_t hash, const char *text)
{
	struct key *k;

	hash = (hash ^ object) * 0xd6e8feb86659fd93;
	if (s->n_keys >= s->n_slots / 2) {
		struct key *old = s->key;
		size_t n = s->n_slots;

		s->n_slots = n ? 2 * n : 64;
		while (n == 0 && s->n_slots < (size_t)(s->end - s->start) / 16) /* room for members of 32 bytes */
			s->n_slots *= 2;
		s->key = xcalloc(s->n_slots, sizeof *s->key);
		for (size_t i = 0; i < n; i++)
			if (old[i].object)
				*find_slot(s, old[i].hash, 0, NULL) = old[i];
		free(old);
	}
	k = find_slot(s, hash, object, text);
	if (k->object)
		malformed(s, text - 1, "duplicate key");
	*k = (struct key){hash, object, text};
	s->n_keys++;
}

static bool digits(struct parser *s)
{
	const char *p = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > p;
}

static void check_number(struct parser *s)
{
	const char *start = s->p;
	bool exact = true, exponent = false;
	char copy[MAX_NUMBER + 1];
	size_t n;

	if (*s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0')
		s->p++;
	else if (!digits(s))
		malformed(s, start, "bad number");
	if (s->p < s->end && *s->p == '.') {
		exact = false;
		s->p++;
		if (!digits(s))
			malformed(s, start, "bad number");
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		exact = false;
		exponent = true;
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (!digits(s))
			malformed(s, start, "bad number");
	}
	if (s->unread)
		return;
	n = (size_t)(s->p - start);
	if (n > MAX_NUMBER)
		malformed(s, start, "number has too many digits");
	memcpy(copy, start, n);
	copy[n] = '\0';
	if (exponent && !isfinite(strtod(copy, NULL)))
		malformed(s, start, "number is too large");
	if (exact && (n > 15 || *start == '-')) { /* fewer digits are below 2^53 */
		errno = 0;
		long long i = strtoll(copy, NULL, 10);
		exact = !errno && i >= -(1ll << 53) && i <= 1ll << 53 && !(i == 0 && copy[0] == '-');
	}
	if (!exact) {
		GROW(s->inexact, s->n_inexact, s->cap_inexact);
		s->inexact[s->n_inexact++] = s->numbers;
	}
	s->numbers++;
}

static void check_word(struct parser *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		malformed(s, s->p, "not a value");
	s->p += n;
}

static void check_value(struct parser *s);

static void check_object(struct parser *s)
{
	size_t object = ++s->objects;

	skip_blanks(s);
	if (s->p < s->end && *s->p == '}') {
		s->p++;
		return;
	}
	for (;;) {
		const char *key;

		if (next_of(s, "text ends inside an object") != '"')
			malformed(s, s->p, "key expected");
		key = ++s->p;
		add_key(s, object, check_string(s), key);
		if (next_of(s, "text ends inside an object") != ':')
			malformed(s, s->p, "':' expected");
		s->p++;
		check_value(s);
		if (next_of(s, "text ends inside an object") == '}')
			break;
		if (*s->p != ',')
			malformed(s, s->p, "',' or '}' expected");
		s->p++;
	}
	s->p++;
}

static void check_array(struct parser *s)
{
	skip_blanks(s);
	if (s->p < s->end && *s->p == ']') {
		s->p++;
		return;
	}
	for (;;) {
		check_value(s);
		if (next_of(s, "text ends inside an array") == ']')
			break;
		if (*s->p != ',')
			malformed(s, s->p, "',' or ']' expected");
		s->p++;
	}
	s->p++;
}

static void check_value(struct parser *s)
{
	switch (next_of(s, "text ends where a value is expected")) {
	case '{':
	case '[':
		if (s->depth == MAX_DEPTH)
			malformed(s, s->p, "nested too deeply");
		s->depth++;
		if (*s->p++ == '{')
			check_object(s);
		else
			check_array(s);
		s->depth--;
		break;
	case '"':
		s->p++;
		check_string(s);
		break;
	case 't':
		check_word(s, "true");
		break;
	case 'f':
		check_word(s, "false");
		break;
	case 'n':
		check_word(s, "null");
		break;
	default:
		if (*s->p != '-' && (*s->p < '0' || *s->p > '9'))
			malformed(s, s->p, "not a value");
		check_number(s);
	}
}

/* Walks the tree as the text went. number: how many have been passed; next: the first in s->inexact not yet marked. */
static void mark_inexact(const struct parser *s, cJSON *v, size_t *number, size_t *next)
{
	for (; v && *next < s->n_inexact; v = v->next) {
		if ((v->type & 0xff) == cJSON_Number && (*number)++ == s->inexact[*next]) {
			v->type |= NOT_EXACT;
			(*next)++;
		}
		mark_inexact(s, v->child, number, next);
	}
}

static void check_text(struct parser *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	s->salt = ((uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uint64_t)(uintptr_t)s) * 0x9e3779b97f4a7c15;
	check_value(s);
	skip_blanks(s);
	if (s->p != s->end)
		malformed(s, s->p, "bytes after the value");
	free(s->key);
}

void json_check(const char *text, size_t n, const char *name)
{
	struct parser s = {.start = text, .p = text, .end = text + n, .name = name, .unread = true};

	check_text(&s);
}

struct json *json_parse(const char *text, size_t n, const char *name)
{
	struct parser s = {.start = text, .p = text, .end = text + n, .name = name};
	struct json *doc;
	size_t number = 0, next = 0;

	check_text(&s);
	doc = xmalloc(sizeof *doc);
	doc->name = xstrdup(name);
	doc->root = cJSON_ParseWithLength(text, n);
	if (!doc->root) /* the grammar holds, so only memory can be missing */
		die("out of memory: parsing %s", name);
	mark_inexact(&s, doc->root, &number, &next);
	free(s.inexact);
	return doc;
}

struct json *json_read(const char *path, size_t max)
{
	size_t n;
	char *text = read_file(path, max, &n);
	struct json *doc = json_parse(text, n, path);

	free(text);
	return doc;
}

void json_free(struct json *doc)
{
	if (!doc)
		return;
	cJSON_Delete(doc->root);
	free(doc->name);
	free(doc);
}

const json_value *json_root(const struct json *doc)
{
	return doc->root;
}

const json_value *json_get(const json_value *object, const char *key)
{
	return json_is_object(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

bool json_is_object(const json_value *v)
{
	return cJSON_IsObject(v);
}

bool json_is_array(const json_value *v)
{
	return cJSON_IsArray(v);
}

bool json_is_string(const json_value *v)
{
	return cJSON_IsString(v);
}

bool json_is_number(const json_value *v)
{
	return cJSON_IsNumber(v);
}

bool json_is_bool(const json_value *v)
{
	return cJSON_IsBool(v);
}

bool json_is_null(const json_value *v)
{
	return cJSON_IsNull(v);
}

const json_value *json_first(const json_value *v)
{
	return json_is_object(v) || json_is_array(v) ? v->child : NULL;
}

const json_value *json_next(const json_value *v)
{
	return v->next;
}

const char *json_key(const json_value *member)
{
	return member->string;
}

size_t json_count(const json_value *v)
{
	size_t n = 0;

	for (v = json_first(v); v; v = json_next(v))
		n++;
	return n;
}

static _Noreturn void wrong(const struct json *doc, const json_value *v, const char *what, const char *expected)
{
	die_input("malformed input: %s: %s: %s%s", doc->name, what, v ? "" : "missing, ", expected);
}

const char *json_string(const struct json *doc, const json_value *v, const char *what)
{
	if (!json_is_string(v))
		wrong(doc, v, what, "string expected");
	return v->valuestring;
}

int64_t json_int(const struct json *doc, const json_value *v, const char *what)
{
	if (!json_is_number(v) || v->type & NOT_EXACT)
		wrong(doc, v, what, "integer expected");
	return (int64_t)v->valuedouble;
}

double json_real(const struct json *doc, const json_value *v, const char *what)
{
	if (!json_is_number(v))
		wrong(doc, v, what, "number expected");
	return v->valuedouble;
}

bool json_bool(const struct json *doc, const json_value *v, const char *what)
{
	if (!json_is_bool(v))
		wrong(doc, v, what, "true or false expected");
	return cJSON_IsTrue(v);
}

static const json_value *given(const json_value *object, const char *key)
{
	const json_value *v = json_get(object, key);

	return json_is_null(v) ? NULL : v;
}

int64_t json_get_int(const struct json *doc, const json_value *object, const char *key, int64_t otherwise)
{
	const json_value *v = given(object, key);

	return v ? json_int(doc, v, key) : otherwise;
}

double json_get_real(const struct json *doc, const json_value *object, const char *key, double otherwise)
{
	const json_value *v = given(object, key);

	return v ? json_real(doc, v, key) : otherwise;
}

bool json_get_bool(const struct json *doc, const json_value *object, const char *key, bool otherwise)
{
	const json_value *v = given(object, key);

	return v ? json_bool(doc, v, key) : otherwise;
}

const char *json_get_string(const struct json *doc, const json_value *object, const char *key, const char *otherwise)
{
	const json_value *v = given(object, key);

	return v ? json_string(doc, v, key) : otherwise;
}

void json_put_string(FILE *out, const char *s)
{
	const char *end = s + strlen(s);
	uint32_t code;

	putc('"', out);
	while (s < end) {
		int n = utf8(s, end, &code);

		if (n == 0) { /* such as a file name in another encoding */
			fputs("\\ufffd", out);
			n = 1;
		} else if (*s == '"' || *s == '\\') {
			putc('\\', out);
			putc(*s, out);
		} else if (*s == '\n') {
			fputs("\\n", out);
		} else if (*s == '\t') {
			fputs("\\t", out);
		} else if (code < ' ' || code == 0x7f) {
			fprintf(out, "\\u%04x", code);
		} else {
			fwrite(s, 1, (size_t)n, out);
		}
		s += n;
	}
	putc('"', out);
}

void json_put_real(FILE *out, double x)
{
	char text[40];

	if (!isfinite(x)) {
		fputs("null", out);
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof text, "%.*g", precision, x);
		if (strtod(text, NULL) == x)
			break;
	}
	fputs(text, out);
}
