/* What tokenizer.json says of a BPE model besides its vocabulary and merges. */
#include "bpe_model.h"

#include <string.h>

#include "die.h"

#define REFUSE(...) die_input("cannot use tokenizer: " __VA_ARGS__)

static const char *type_of(const struct json *doc, const json_value *v)
{
	return v && json_is_object(v) ? json_get_string(doc, v, "type", "?") : "none";
}

static bool is_type(const struct json *doc, const json_value *v, const char *type)
{
	return strcmp(type_of(doc, v), type) == 0;
}

/* The parts of v, if it is a Sequence with them under this key, else v itself: for (p = part(...); p; p = next_part(v, p)) */
static const json_value *first_part(const struct json *doc, const json_value *v, const char *key)
{
	if (!v || json_is_null(v) || !is_type(doc, v, "Sequence"))
		return v && !json_is_null(v) ? v : NULL;
	return json_first(json_get(v, key));
}

static const json_value *next_part(const struct json *doc, const json_value *v, const json_value *part)
{
	return is_type(doc, v, "Sequence") ? json_next(part) : NULL;
}

static bool replaces(const struct json *doc, const json_value *v, const char *from, const char *to)
{
	return is_type(doc, v, "Replace") && strcmp(json_get_string(doc, json_get(v, "pattern"), "String", ""), from) == 0 &&
	       strcmp(json_get_string(doc, v, "content", "?"), to) == 0;
}

#define MARK "\xe2\x96\x81" /* U+2581 */

/* Of a model of characters: U+2581 for blanks, by the normalizer or by the pre-tokenizer. */
static void check_chars(struct bpe *b, const struct json *doc, const json_value *root, const char *path)
{
	const json_value *normalizer = json_get(root, "normalizer"), *pre = json_get(root, "pre_tokenizer"),
	                 *decoder = json_get(root, "decoder");
	bool prepend = false, metaspace = false;

	for (const json_value *v = first_part(doc, normalizer, "normalizers"); v; v = next_part(doc, normalizer, v)) {
		if (is_type(doc, v, "Prepend") && !prepend && strcmp(json_get_string(doc, v, "prepend", ""), MARK) == 0)
			prepend = true;
		else if (replaces(doc, v, " ", MARK))
			b->replaced = true;
		else
			REFUSE("%s: normalizer \"%s\" is not supported in this form", path, type_of(doc, v));
	}
	for (const json_value *v = first_part(doc, pre, "pretokenizers"); v; v = next_part(doc, pre, v)) {
		const char *scheme = json_get_string(doc, v, "prepend_scheme", "always");

		if (!is_type(doc, v, "Metaspace") || metaspace || strcmp(json_get_string(doc, v, "replacement", MARK), MARK) != 0)
			REFUSE("%s: pre_tokenizer \"%s\" is not supported in this form", path, type_of(doc, v));
		metaspace = true;
		b->split_blanks = json_get_bool(doc, v, "split", true);
		if (!json_get_bool(doc, v, "add_prefix_space", true) || strcmp(scheme, "never") == 0)
			b->prefix = PREFIX_NEVER;
		else if (strcmp(scheme, "always") == 0)
			b->prefix = PREFIX_ALWAYS;
		else if (strcmp(scheme, "first") == 0)
			b->prefix = PREFIX_FIRST;
		else
			REFUSE("%s: prepend_scheme \"%s\" is not supported", path, scheme);
	}
	if (prepend && (metaspace || !b->replaced))
		REFUSE("%s: normalizer \"Prepend\" is not supported in this form", path);
	if (prepend)
		b->prefix = PREFIX_NORMAL;
	if (!b->replaced && !metaspace)
		REFUSE("%s: byte_fallback without U+2581 for blanks is not supported", path);
	for (const json_value *v = first_part(doc, decoder, "decoders"); v; v = next_part(doc, decoder, v))
		if (!is_type(doc, v, "ByteFallback") && !is_type(doc, v, "Fuse") && !is_type(doc, v, "Metaspace") &&
		    !replaces(doc, v, MARK, " ") &&
		    !(is_type(doc, v, "Strip") && strcmp(json_get_string(doc, v, "content", ""), " ") == 0))
			REFUSE("%s: decoder \"%s\" is not supported in this form", path, type_of(doc, v));
}

/* Of a byte-level model: the words. */
static void check_bytes(struct bpe *b, const struct json *doc, const json_value *root, const char *path)
{
	const json_value *normalizer = json_get(root, "normalizer"), *pre = json_get(root, "pre_tokenizer"),
	                 *decoder = json_get(root, "decoder");
	const json_value *v = first_part(doc, normalizer, "normalizers"), *split = NULL, *level = NULL;

	if (v)
		REFUSE("%s: normalizer \"%s\" is not supported", path, type_of(doc, v));
	if (!json_is_object(pre))
		REFUSE("%s: without a pre_tokenizer is not supported", path);
	for (v = first_part(doc, pre, "pretokenizers"); v; v = next_part(doc, pre, v)) {
		if (is_type(doc, v, "Split") && !split && !level)
			split = v;
		else if (is_type(doc, v, "ByteLevel") && !level)
			level = v;
		else
			REFUSE("%s: pre_tokenizer \"%s\" is not supported", path, type_of(doc, v));
	}
	if (!level)
		REFUSE("%s: pre_tokenizer \"%s\" is not supported without \"ByteLevel\"", path, type_of(doc, pre));
	if (split) {
		const char *regex = json_get_string(doc, json_get(split, "pattern"), "Regex", "none");

		if (!pretoken_find(regex, &b->pattern))
			REFUSE("%s: pre_tokenizer \"Split\" with the pattern %s is not supported", path, regex);
		if (strcmp(json_get_string(doc, split, "behavior", "?"), "Isolated") != 0 ||
		    json_get_bool(doc, split, "invert", false))
			REFUSE("%s: pre_tokenizer \"Split\" in other ways than \"Isolated\" is not supported", path);
		if (json_get_bool(doc, level, "add_prefix_space", true))
			REFUSE("%s: pre_tokenizer \"Split\" with add_prefix_space is not supported", path);
		if (json_get_bool(doc, level, "use_regex", true))
			REFUSE("%s: pre_tokenizer \"Split\" with use_regex is not supported", path);
	} else {
		if (!json_get_bool(doc, level, "use_regex", true))
			REFUSE("%s: pre_tokenizer without use_regex is not supported", path);
		b->prefix = json_get_bool(doc, level, "add_prefix_space", true) ? PREFIX_ALWAYS : PREFIX_NEVER;
	}
	if (!is_type(doc, decoder, "ByteLevel"))
		REFUSE("%s: decoder \"%s\" is not supported", path, type_of(doc, decoder));
}

void bpe_read_settings(struct bpe *b, const struct json *doc, const char *path)
{
	static const char *const affix[] = {"continuing_subword_prefix", "end_of_word_suffix"};
	const json_value *root = json_root(doc), *model = json_get(root, "model");

	b->chars = json_get_bool(doc, model, "byte_fallback", false);
	b->ignore_merges = json_get_bool(doc, model, "ignore_merges", false);
	(b->chars ? check_chars : check_bytes)(b, doc, root, path);
	b->word_tokens = b->ignore_merges && (!b->chars || b->split_blanks);
	if (json_get_real(doc, model, "dropout", 0) != 0)
		REFUSE("%s: dropout of merges is not supported", path);
	/* unk_token and fuse_unk count for nothing: every byte has a token. */
	for (size_t i = 0; i < sizeof affix / sizeof *affix; i++)
		if (json_get_string(doc, model, affix[i], "")[0])
			REFUSE("%s: %s is not supported", path, affix[i]);
}
