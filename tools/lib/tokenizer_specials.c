#include "tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checked.h"
#include "die.h"
#include "json.h"

enum { MAX_CONFIG = 64 << 20, ROLES = 7, NAMES = 3 };

/* In the order of struct special_tokens. A masked model's <s> and </s> are its cls and sep, too. */
static const struct {
	const char *key, *name[NAMES], *masked;
} role[ROLES] = {
	{"bos_token", {"<s>", "<|begin_of_text|>", "<|endoftext|>"}, NULL},
	{"eos_token", {"</s>", "<|end_of_text|>", "<|endoftext|>"}, NULL},
	{"cls_token", {"[CLS]"}, "<s>"},
	{"sep_token", {"[SEP]"}, "</s>"},
	{"pad_token", {"[PAD]", "<pad>"}, NULL},
	{"mask_token", {"[MASK]", "<mask>"}, NULL},
	{"unk_token", {"[UNK]", "<unk>", "<|endoftext|>"}, NULL},
};

/* DIR/NAME, or NULL if it is not there. */
static struct json *read_config(const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	struct stat st;
	struct json *doc = NULL;

	if (stat(path, &st) == 0)
		doc = json_read(path, MAX_CONFIG);
	else if (errno != ENOENT && errno != ENOTDIR)
		die("cannot open %s:", path);
	free(path);
	return doc;
}

void tokenizer_specials(const char *dir, struct special_tokens *s)
{
	struct tokenizer *t = tokenizer_load(dir);
	struct json *config[] = {read_config(dir, "tokenizer_config.json"), read_config(dir, "special_tokens_map.json")};
	int64_t *const id[ROLES] = {&s->bos, &s->eos, &s->cls, &s->sep, &s->pad, &s->mask, &s->unk};
	bool masked = tokenizer_special(t, "<mask>") >= 0;

	for (int r = 0; r < ROLES; r++) {
		const struct json *doc = config[0] && json_get(json_root(config[0]), role[r].key) ? config[0] : config[1];
		const json_value *v = doc ? json_get(json_root(doc), role[r].key) : NULL;

		*id[r] = -1;
		if (v) { /* "<s>", or {"content": "<s>", ...}, or null: it has none */
			if (!json_is_null(v))
				*id[r] = tokenizer_special(t, json_string(doc, json_is_object(v) ? json_get(v, "content") : v,
				                                          role[r].key));
			continue;
		}
		for (int k = 0; k < NAMES && role[r].name[k] && *id[r] < 0; k++)
			*id[r] = tokenizer_special(t, role[r].name[k]);
		if (*id[r] < 0 && masked && role[r].masked)
			*id[r] = tokenizer_special(t, role[r].masked);
	}
	json_free(config[0]);
	json_free(config[1]);
	tokenizer_free(t);
}
