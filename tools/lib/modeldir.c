#include "modeldir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "json.h"

#define MAX_PROVENANCE (64 << 20)
#define BUFFER (1 << 16)

#define TOKENIZER_FILES                                                                                                \
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", \
		"encoder.json", "vocab.bpe", "vocab.txt"

static const char *const tokenizer_files[] = {TOKENIZER_FILES};

const char *const modeldir_files[] = {"palimpsest.json", "config.json", "generation_config.json", "model.safetensors",
                                          "optimizer.safetensors", "train.log.jsonl", TOKENIZER_FILES, NULL};

static void copy(const char *from_dir, const char *to_dir, const char *name, bool needed)
{
	char *from = path_join(from_dir, name), *to = path_join(to_dir, name), buf[BUFFER];
	FILE *in = fopen(from, "rb");

	if (in) {
		struct atomic *out = atomic_open(to);
		for (size_t n; (n = fread(buf, 1, sizeof buf, in)) > 0;)
			atomic_write(out, buf, n);
		if (ferror(in))
			die("cannot read %s:", from);
		fclose(in);
		atomic_commit(out);
	} else if (errno != ENOENT || needed) {
		die("cannot open %s:", from);
	}
	free(from);
	free(to);
}

void modeldir_copy_tokenizer(const char *from, const char *to)
{
	for (size_t i = 0; i < sizeof tokenizer_files / sizeof *tokenizer_files; i++)
		copy(from, to, tokenizer_files[i], false);
}

void modeldir_copy(const char *from, const char *to)
{
	copy(from, to, "config.json", true);
	modeldir_copy_tokenizer(from, to);
	copy(from, to, "generation_config.json", false);
	copy(from, to, "palimpsest.json", false);
}

static void put_value(FILE *out, const struct json *doc, const json_value *v)
{
	bool object = json_is_object(v);

	if (object || json_is_array(v)) {
		fputc(object ? '{' : '[', out);
		for (const json_value *e = json_first(v); e; e = json_next(e)) {
			if (object) {
				json_put_string(out, json_key(e));
				fputs(": ", out);
			}
			put_value(out, doc, e);
			if (json_next(e))
				fputs(", ", out);
		}
		fputc(object ? '}' : ']', out);
	} else if (json_is_string(v)) {
		json_put_string(out, json_string(doc, v, "string"));
	} else if (json_is_number(v)) {
		json_put_real(out, json_real(doc, v, "number"));
	} else if (json_is_bool(v)) {
		fputs(json_bool(doc, v, "bool") ? "true" : "false", out);
	} else {
		fputs("null", out);
	}
}

/* NULL: DIR has none. */
static struct json *provenance(const char *dir)
{
	char *path = path_join(dir, "palimpsest.json");
	struct json *doc = access(path, F_OK) == 0 ? json_read(path, MAX_PROVENANCE) : NULL;

	if (doc && !json_is_array(json_get(json_root(doc), "chain")))
		die_input("%s: has no list 'chain'", path);
	free(path);
	return doc;
}

void modeldir_check(const char *dir)
{
	json_free(provenance(dir));
}

void modeldir_provenance(const char *dir, void (*put_record)(FILE *out, void *arg), void *arg)
{
	char *path = path_join(dir, "palimpsest.json");
	struct json *doc = provenance(dir);
	struct atomic *a = atomic_open(path);
	FILE *out = atomic_file(a);

	fputs("{\"format\": \"palimpsest-model\", \"version\": 1, \"chain\": [\n", out);
	for (const json_value *v = doc ? json_first(json_get(json_root(doc), "chain")) : NULL; v; v = json_next(v)) {
		put_value(out, doc, v);
		fputs(",\n", out);
	}
	json_free(doc);
	fputc('{', out);
	put_record(out, arg);
	fputs("}\n]}\n", out);
	atomic_commit(a);
	free(path);
}
