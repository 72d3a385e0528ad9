/*
 * Strict JSON (RFC 8259) for configurations, safetensors headers and logs.
 * cJSON builds the tree; what it lets pass is refused here before: duplicate keys,
 * bytes after the value, invalid UTF-8, lone surrogates, bad numbers, NUL in strings, depth over 64.
 * Every mistake in the text ends the tool: exit 3, with the file and the byte.
 */
#ifndef PALIMPSEST_JSON_H
#define PALIMPSEST_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json;      /* a whole document */
typedef struct cJSON json_value; /* a value inside it: borrowed, lives as long as the document */

struct json *json_parse(const char *text, size_t n, const char *name); /* name: for messages, copied */
struct json *json_read(const char *path, size_t max); /* you json_free() both */
void json_free(struct json *doc);
/* The checks of json_parse() alone, for a value that nobody reads: its strings may have NUL, and its numbers be of any size. */
void json_check(const char *text, size_t n, const char *name);
const json_value *json_root(const struct json *doc);

/* Member of an object, or NULL if there is none (or value is no object). O(members). */
const json_value *json_get(const json_value *object, const char *key);

bool json_is_object(const json_value *v);
bool json_is_array(const json_value *v);
bool json_is_string(const json_value *v);
bool json_is_number(const json_value *v);
bool json_is_bool(const json_value *v);
bool json_is_null(const json_value *v); /* a null that is written; a missing member is NULL */

/* Iteration over members or elements: for (v = json_first(a); v; v = json_next(v)) */
const json_value *json_first(const json_value *v);
const json_value *json_next(const json_value *v);
const char *json_key(const json_value *member);
size_t json_count(const json_value *v);

/*
 * Values as C types; a value of another type, out of range or not exact ends the tool (exit 3)
 * with the document's name and the key. what: the key, for the message.
 */
const char *json_string(const struct json *doc, const json_value *v, const char *what);
/* |i| <= 2^53, written without fraction or exponent */
int64_t json_int(const struct json *doc, const json_value *v, const char *what);
double json_real(const struct json *doc, const json_value *v, const char *what);
bool json_bool(const struct json *doc, const json_value *v, const char *what);

/* Member with a default if missing or null. */
int64_t json_get_int(const struct json *doc, const json_value *object, const char *key, int64_t otherwise);
double json_get_real(const struct json *doc, const json_value *object, const char *key, double otherwise);
bool json_get_bool(const struct json *doc, const json_value *object, const char *key, bool otherwise);
const char *json_get_string(const struct json *doc, const json_value *object, const char *key, const char *otherwise);

/* Writes a string with quotes and escapes; a double with as many digits, 15 to 17, as read back the same (non-finite: null). */
void json_put_string(FILE *out, const char *s);
void json_put_real(FILE *out, double x);

#endif
