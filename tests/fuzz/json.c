/* What json.c takes, it gives back: the tree printed and parsed again is the same, and no key stands twice. */
#include "fuzz.h"

#include "json.h"

static void print(FILE *out, const struct json *doc, const json_value *v)
{
	const char *comma = "";

	if (json_is_object(v) || json_is_array(v)) {
		putc(json_is_object(v) ? '{' : '[', out);
		for (const json_value *e = json_first(v); e; e = json_next(e), comma = ",") {
			fputs(comma, out);
			if (json_is_object(v)) {
				CHECK(json_get(v, json_key(e)) == e); /* the first of its name */
				json_put_string(out, json_key(e));
				putc(':', out);
			}
			print(out, doc, e);
		}
		putc(json_is_object(v) ? '}' : ']', out);
	} else if (json_is_string(v)) {
		json_put_string(out, json_string(doc, v, "s"));
	} else if (json_is_number(v)) {
		json_put_real(out, json_real(doc, v, "r"));
	} else if (json_is_bool(v)) {
		fputs(json_bool(doc, v, "b") ? "true" : "false", out);
	} else {
		CHECK(json_is_null(v));
		fputs("null", out);
	}
}

static char *text_of(const struct json *doc, size_t *n)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, n);

	print(out, doc, json_root(doc));
	fclose(out);
	return text;
}

void fuzz(const uint8_t *data, size_t n)
{
	struct json *doc = json_parse((const char *)data, n, "input"), *again;
	size_t size, size_again;
	char *text = text_of(doc, &size), *text_again;

	again = json_parse(text, size, "again");
	text_again = text_of(again, &size_again);
	CHECK(size == size_again && memcmp(text, text_again, size) == 0);
	free(text);
	free(text_again);
	json_free(doc);
	json_free(again);
}
