#include "post_processor.h"

#include <string.h>

#include "checked.h"
#include "die.h"

static void put(const struct json *doc, const json_value *id, struct ids *out, const char *path)
{
	int64_t i = json_int(doc, id, "post_processor");

	if (i < 0 || i > UINT32_MAX)
		die_input("cannot use tokenizer: %s: id %lld of the post_processor is out of range", path, (long long)i);
	ids_put(out, (uint32_t)i);
}

/* ["</s>", 2] */
static void put_pair(const struct json *doc, const json_value *v, const char *key, struct ids *out, const char *path)
{
	const json_value *pair = json_get(v, key);

	if (!json_is_array(pair) || json_count(pair) != 2)
		die_input("cannot use tokenizer: %s: post_processor: %s is not a token and its id", path, key);
	put(doc, json_next(json_first(pair)), out, path);
}

static void put_template(const struct json *doc, const json_value *v, struct ids *before, struct ids *after, const char *path)
{
	const json_value *tokens = json_get(v, "special_tokens"), *single = json_get(v, "single");
	bool seen = false;

	if (!json_is_array(single))
		die_input("cannot use tokenizer: %s: post_processor: single is not a list", path);
	for (const json_value *part = json_first(single); part; part = json_next(part)) {
		const json_value *special = json_get(part, "SpecialToken"), *text = json_get(part, "Sequence"), *ids;

		if (text && strcmp(json_get_string(doc, text, "id", "?"), "A") == 0 && !seen) {
			seen = true;
			continue;
		}
		ids = special ? json_get(json_get(tokens, json_get_string(doc, special, "id", "?")), "ids") : NULL;
		if (!json_is_array(ids))
			die_input("cannot use tokenizer: %s: this TemplateProcessing is not supported", path);
		for (const json_value *id = json_first(ids); id; id = json_next(id))
			put(doc, id, seen ? after : before, path);
	}
	if (!seen)
		die_input("cannot use tokenizer: %s: TemplateProcessing leaves out the text", path);
}

static void load_one(const struct json *doc, const json_value *v, struct ids *before, struct ids *after, const char *path)
{
	const char *type = json_is_object(v) ? json_get_string(doc, v, "type", "?") : "?";

	if (strcmp(type, "ByteLevel") == 0)
		return; /* only offsets */
	if (before->n + after->n > 0)
		die_input("cannot use tokenizer: %s: several post_processors that add tokens are not supported", path);
	if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0) {
		put_pair(doc, v, "cls", before, path);
		put_pair(doc, v, "sep", after, path);
	} else if (strcmp(type, "TemplateProcessing") == 0) {
		put_template(doc, v, before, after, path);
	} else {
		die_input("cannot use tokenizer: %s: post_processor \"%s\" is not supported", path, type);
	}
}

void post_processor_load(const struct json *doc, const json_value *v, struct ids *before, struct ids *after, const char *path)
{
	if (!v || json_is_null(v))
		return;
	if (!json_is_object(v) || strcmp(json_get_string(doc, v, "type", "?"), "Sequence") != 0) {
		load_one(doc, v, before, after, path);
		return;
	}
	for (const json_value *p = json_first(json_get(v, "processors")); p; p = json_next(p))
		load_one(doc, p, before, after, path);
}
