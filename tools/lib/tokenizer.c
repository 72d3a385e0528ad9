#include "tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "added.h"
#include "bpe.h"
#include "checked.h"
#include "die.h"
#include "json.h"
#include "char_class.h"
#include "post_processor.h"
#include "tokenizer_kind.h"
#include "wordpiece.h"

enum { MAX_JSON = 256 << 20, MAX_IDS = 1 << 24 };

struct tokenizer {
	const struct tokenizer_kind *kind;
	void *model;
	struct added added;
	struct ids before, after; /* what is put round a text on demand */
	uint8_t fingerprint[HASH_BYTES];
};

struct tok_scratch {
	const struct tokenizer_kind *kind;
	void *scratch;
};

/* DIR/NAME if it is there, else NULL. An error other than "not there" ends the tool. */
static char *find(const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	struct stat st;

	if (stat(path, &st) == 0)
		return path;
	if (errno != ENOENT && errno != ENOTDIR)
		die("cannot open %s:", path);
	free(path);
	return NULL;
}

/* WordPiece finds added tokens in text as it is, and none but special ones. */
static void check_wordpiece(const struct tokenizer *t, const char *path)
{
	for (size_t i = 0; i < t->added.n; i++) {
		const struct added_token *a = &t->added.token[i];
		int64_t id = t->kind->special(t->model, a->content);

		if (!a->special || a->normalized)
			die_input("cannot use tokenizer: %s: added token \"%s\" is %s, which is not supported", path, a->content,
			          a->special ? "looked for in normalized text" : "not special");
		if (id >= 0 && id != (int64_t)a->id)
			die_input("cannot use tokenizer: %s: added token \"%s\" has id %lld, but %lld in the vocabulary", path,
			          a->content, (long long)a->id, (long long)id);
	}
}

static void load_json(struct tokenizer *t, const char *path)
{
	struct json *doc = json_read(path, MAX_JSON);
	const json_value *root = json_root(doc), *model = json_get(root, "model"), *added = json_get(root, "added_tokens");
	const char *type;

	if (!json_is_object(model))
		die_input("cannot use tokenizer: %s: no \"model\"", path);
	if (added && !json_is_null(added) && !json_is_array(added))
		die_input("cannot use tokenizer: %s: added_tokens is not a list", path);
	for (const json_value *a = added ? json_first(added) : NULL; a; a = json_next(a)) {
		int64_t id = json_int(doc, json_get(a, "id"), "id");

		if (id < 0 || id >= MAX_IDS)
			die_input("cannot use tokenizer: %s: id %lld of a token is out of range", path, (long long)id);
		added_put_json(&t->added, doc, a, (uint32_t)id, path);
	}
	type = json_get_string(doc, model, "type", json_get(model, "merges") ? "BPE" : "WordPiece"); /* old files have none */
	if (strcmp(type, "BPE") == 0) {
		t->kind = &bpe_kind;
		t->model = bpe_load_json(doc, &t->added, path);
	} else if (strcmp(type, "WordPiece") == 0) {
		t->kind = &wordpiece_kind;
		t->model = wordpiece_load_json(doc, path);
		check_wordpiece(t, path);
	} else {
		die_input("cannot use tokenizer: %s: model of type \"%s\" is not supported", path, type);
	}
	post_processor_load(doc, json_get(root, "post_processor"), &t->before, &t->after, path);
	json_free(doc);
}

/* --- a vocabulary with its options in other files ------------------------------------------------ */

/* The token named so, if the vocabulary has it, is an added one. */
static void put_special(struct tokenizer *t, const char *content, bool lstrip, const char *path)
{
	int64_t id = t->kind->special(t->model, content);
	char *copy = xstrdup(content);

	if (id >= 0)
		added_put(&t->added, &(struct added_token){.content = copy, .id = (uint32_t)id, .special = true,
		                                           .lstrip = lstrip}, path);
	free(copy);
}

/* tokenizer_config.json's added_tokens_decoder: {"0": {"content": "<s>", ...}, ...} */
static void put_configured(struct tokenizer *t, const struct json *config, const char *path)
{
	const json_value *all = config ? json_get(json_root(config), "added_tokens_decoder") : NULL;

	for (const json_value *a = json_is_object(all) ? json_first(all) : NULL; a; a = json_next(a)) {
		const char *content = json_string(config, json_get(a, "content"), "content");
		int64_t id = t->kind->special(t->model, content);
		char *number = xasprintf("%lld", (long long)id);

		if (id < 0 || strcmp(number, json_key(a)) != 0)
			die_input("cannot use tokenizer: %s: added token \"%s\" is not in the vocabulary under "
			          "its id %s", path, content, json_key(a));
		if (!json_get_bool(config, a, "special", false))
			die_input("cannot use tokenizer: %s: added token \"%s\" is not special, which is supported in "
			          "tokenizer.json only", path, content);
		added_put_json(&t->added, config, a, (uint32_t)id, path);
		free(number);
	}
}

static void check_class(const struct json *config, const char *const *class, size_t n, const char *path)
{
	const char *is = config ? json_get_string(config, json_root(config), "tokenizer_class", class[0]) : class[0];
	size_t i = 0;

	while (i < n && strcmp(is, class[i]) != 0)
		i++;
	if (i == n)
		die_input("cannot use tokenizer: %s: tokenizer_class \"%s\" is supported with a tokenizer.json only", path, is);
}

/* The file of tokens that were added to a vocabulary later: none may be new. */
static void check_added_file(const struct tokenizer *t, const char *dir)
{
	char *path = find(dir, "added_tokens.json");
	struct json *doc = path ? json_read(path, MAX_JSON) : NULL;

	if (doc && !json_is_object(json_root(doc)))
		die_input("cannot use tokenizer: %s: not an object", path);
	for (const json_value *v = doc ? json_first(json_root(doc)) : NULL; v; v = json_next(v)) {
		const struct added_token *a = added_by_content(&t->added, json_key(v));

		if (!a || json_int(doc, v, json_key(v)) != a->id)
			die_input("cannot use tokenizer: %s: token \"%s\" is supported in tokenizer.json only", path, json_key(v));
	}
	json_free(doc);
	free(path);
}

static void put_affix(struct ids *out, int64_t id)
{
	if (id < 0)
		return;
	ids_put(out, (uint32_t)id);
}

/* GPT-2's or RoBERTa's: the latter has <mask>. */
static void load_pair(struct tokenizer *t, const char *vocab, const char *merges, const char *config_path)
{
	static const char *const name[] = {"<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>", "<mask>"};
	static const char *const class[] = {"GPT2Tokenizer", "GPT2TokenizerFast", "RobertaTokenizer", "RobertaTokenizerFast"};
	struct json *config = config_path ? json_read(config_path, MAX_JSON) : NULL;
	const json_value *root = config ? json_root(config) : NULL;

	check_class(config, class, sizeof class / sizeof *class, config_path);
	t->kind = &bpe_kind;
	t->model = bpe_load_files(vocab, merges, config && json_get_bool(config, root, "add_prefix_space", false));
	for (size_t i = 0; i < sizeof name / sizeof *name; i++)
		put_special(t, name[i], strcmp(name[i], "<mask>") == 0, vocab);
	put_configured(t, config, config_path);
	if (t->kind->special(t->model, "<mask>") >= 0) {
		put_affix(&t->before, t->kind->special(t->model, "<s>"));
		put_affix(&t->after, t->kind->special(t->model, "</s>"));
	} else if (config && (json_get_bool(config, root, "add_bos_token", false) ||
	                      json_get_bool(config, root, "add_eos_token", false))) {
		die_input("cannot use tokenizer: %s: add_bos_token and add_eos_token are supported in tokenizer.json "
		          "only", config_path);
	}
	json_free(config);
}

/* BERT's, under its own names. */
static void load_vocab(struct tokenizer *t, const char *vocab, const char *config_path)
{
	static const char *const token[][2] = {{"pad_token", "[PAD]"}, {"unk_token", "[UNK]"}, {"cls_token", "[CLS]"},
	                                       {"sep_token", "[SEP]"}, {"mask_token", "[MASK]"}};
	static const char *const class[] = {"BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast",
		"ElectraTokenizer", "ElectraTokenizerFast"};
	static const char *const flag[] = {"lstrip", "rstrip", "single_word", "normalized"};
	struct json *config = config_path ? json_read(config_path, MAX_JSON) : NULL;

	check_class(config, class, sizeof class / sizeof *class, config_path);
	t->kind = &wordpiece_kind;
	t->model = wordpiece_load_vocab(vocab, config_path);
	for (size_t i = 0; i < sizeof token / sizeof *token; i++) {
		const json_value *v = config ? json_get(json_root(config), token[i][0]) : NULL;
		const char *is = v && !json_is_null(v)
		                 ? json_string(config, json_is_object(v) ? json_get(v, "content") : v, token[i][0])
		                 : token[i][1];
		bool differs = strcmp(is, token[i][1]) != 0;

		for (size_t k = 0; json_is_object(v) && k < sizeof flag / sizeof *flag; k++)
			differs |= json_get_bool(config, v, flag[k], false);
		if (differs)
			die_input("cannot use tokenizer: %s: %s \"%s\" is supported in tokenizer.json only",
			          config_path, token[i][0], is);
		put_special(t, token[i][1], false, vocab);
	}
	put_configured(t, config, config_path);
	check_wordpiece(t, config_path);
	put_affix(&t->before, t->kind->special(t->model, "[CLS]"));
	put_affix(&t->after, t->kind->special(t->model, "[SEP]"));
	json_free(config);
}

/* Finds the files of DIR and loads them; false if there are none. */
static bool find_and_load(struct tokenizer *t, const char *dir)
{
	static const char *const pair[][2] = {{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}};
	char *path, *config;

	if ((path = find(dir, "tokenizer.json"))) {
		load_json(t, path);
		free(path);
		return true;
	}
	config = find(dir, "tokenizer_config.json");
	for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
		char *vocab = find(dir, pair[i][0]), *merges = find(dir, pair[i][1]);

		if (vocab && merges) {
			load_pair(t, vocab, merges, config);
			check_added_file(t, dir);
			free(vocab);
			free(merges);
			free(config);
			return true;
		}
		if (vocab || merges)
			die("cannot use tokenizer: %s: %s is there, but no %s", dir, pair[i][vocab ? 0 : 1], pair[i][vocab ? 1 : 0]);
	}
	if ((path = find(dir, "vocab.txt"))) {
		load_vocab(t, path, config);
		check_added_file(t, dir);
	}
	free(config);
	free(path);
	return path;
}

/* The same text as the model's normalizer makes of a piece. */
static char *normalize_content(const void *of, const char *content, size_t *n)
{
	const struct tokenizer *t = of;
	void *scratch = t->kind->scratch_new(t->model);
	const char *made = t->kind->normalize(t->model, scratch, content, n, PIECE_TEXT | PIECE_START | PIECE_END);
	char *copy = xmalloc(*n + 1);

	memcpy(copy, made, *n);
	t->kind->scratch_free(scratch);
	return copy;
}

static bool load(struct tokenizer *t, const char *dir)
{
	if (!find_and_load(t, dir))
		return false;
	added_ready(&t->added, t->kind->normalize ? normalize_content : NULL, t, dir);
	for (int k = 0; k < 2; k++)
		for (size_t i = 0; i < (k ? t->after : t->before).n; i++)
			if ((k ? t->after : t->before).id[i] >= tokenizer_vocab(t))
				die_input("cannot use tokenizer: %s: id %u of the post_processor is not in the vocabulary", dir,
					  (k ? t->after : t->before).id[i]);
	return true;
}

/* All but the tokenizer itself. */
static void unload(struct tokenizer *t)
{
	t->kind->free(t->model);
	added_free(&t->added);
	free(t->before.id);
	free(t->after.id);
}

static void fingerprint(struct tokenizer *t)
{
	struct hash h;

	hash_start(&h);
	hash_add(&h, t->kind->name, strlen(t->kind->name) + 1);
	t->kind->hash(t->model, &h);
	added_hash(&t->added, &h);
	hash_end(&h, t->fingerprint);
}

struct tokenizer *tokenizer_load(const char *dir)
{
	struct tokenizer *t = xcalloc(1, sizeof *t);
	struct stat st;

	if (stat(dir, &st) != 0)
		die("cannot open tokenizer directory %s:", dir);
	if (!load(t, dir))
		die("cannot use tokenizer: %s: holds no tokenizer.json, no vocab.json with merges.txt, no encoder.json with vocab.bpe and no vocab.txt", dir);
	fingerprint(t);
	return t;
}

void tokenizer_free(struct tokenizer *t)
{
	if (!t)
		return;
	unload(t);
	free(t);
}

uint32_t tokenizer_vocab(const struct tokenizer *t)
{
	uint32_t n = t->kind->vocab(t->model);

	return t->added.n && n <= t->added.token[t->added.n - 1].id ? t->added.token[t->added.n - 1].id + 1 : n;
}

const uint8_t *tokenizer_fingerprint(const struct tokenizer *t)
{
	return t->fingerprint;
}

int64_t tokenizer_special(const struct tokenizer *t, const char *content)
{
	const struct added_token *a = added_by_content(&t->added, content);

	return a && a->special ? a->id : t->kind->special(t->model, content);
}

bool tokenizer_fingerprint_of(const char *dir, uint8_t out[HASH_BYTES])
{
	struct tokenizer *t = xcalloc(1, sizeof *t);
	bool found = load(t, dir);

	memset(out, 0, HASH_BYTES);
	if (found) {
		fingerprint(t);
		memcpy(out, t->fingerprint, HASH_BYTES);
		unload(t);
	}
	free(t);
	return found;
}

struct tok_scratch *tok_scratch_new(const struct tokenizer *t)
{
	struct tok_scratch *s = xmalloc(sizeof *s);

	s->kind = t->kind;
	s->scratch = t->kind->scratch_new(t->model);
	return s;
}

void tok_scratch_free(struct tok_scratch *s)
{
	if (!s)
		return;
	s->kind->scratch_free(s->scratch);
	free(s);
}

/* A piece of what the normalizer has made, between the added tokens that stand in that. */
static void encode_normal(const struct tokenizer *t, struct tok_scratch *s, const char *text, size_t n, unsigned flags, bool special,
			  struct ids *out)
{
	struct added_scan scan = {.set = &t->added.set[true], .text = text, .n = n, .special = special};
	const struct added_token *found;
	size_t done = 0, start, end;

	if (!added_any(&t->added, true, special)) {
		t->kind->encode(t->model, s->scratch, text, n, flags, out);
		return;
	}
	scan.blank = !(t->kind->replaces_blanks && t->kind->replaces_blanks(t->model));
	while ((found = added_next(&scan, &start, &end))) {
		unsigned part = done ? PIECE_START : flags & (PIECE_TEXT | PIECE_START);

		if (done < start)
			t->kind->encode(t->model, s->scratch, text + done, start - done, part | PIECE_END, out);
		ids_put(out, found->id);
		done = end;
	}
	if (done < n)
		t->kind->encode(t->model, s->scratch, text + done, n - done,
				(done ? PIECE_START : flags & (PIECE_TEXT | PIECE_START)) | (flags & PIECE_END), out);
}

static void encode_piece(const struct tokenizer *t, struct tok_scratch *s, const char *text, size_t n, unsigned flags, bool special,
			 struct ids *out)
{
	if (t->kind->normalize)
		text = t->kind->normalize(t->model, s->scratch, text, &n, flags);
	encode_normal(t, s, text, n, flags, special, out);
}

void tokenizer_encode_part(const struct tokenizer *t, struct tok_scratch *s, const char *text, size_t n, unsigned flags,
			   struct ids *out)
{
	bool special = flags & ENCODE_SPECIAL;
	unsigned first = flags & ENCODE_GOES_ON ? 0 : PIECE_TEXT | PIECE_START, last = flags & ENCODE_MORE ? 0 : PIECE_END;
	struct added_scan scan = {.set = &t->added.set[false], .text = text, .n = n, .special = special, .blank = true};
	const struct added_token *found;
	size_t done = 0, start, end;

	if (added_any(&t->added, false, special))
		while ((found = added_next(&scan, &start, &end))) {
			if (done < start)
				encode_piece(t, s, text + done, start - done, (done ? PIECE_START : first) | PIECE_END, special, out);
			ids_put(out, found->id);
			done = end;
		}
	if (done < n)
		encode_piece(t, s, text + done, n - done, (done ? PIECE_START : first) | last, special, out);
}

void tokenizer_encode(const struct tokenizer *t, struct tok_scratch *s, const char *text, size_t n, struct ids *out)
{
	tokenizer_encode_part(t, s, text, n, 0, out);
}

/* May added tokens stand over text[k], or see from one side of it to the other? */
static bool near_added(const struct tokenizer *t, const char *text, size_t n, size_t k, bool special)
{
	uint32_t c = 0xfffd;

	for (size_t back = 1; back <= 4 && back <= k; back++)
		if (utf8_char((const unsigned char *)text + k - back, back, &c) == (int)back)
			break;
	if (char_class(c) == CLASS_SPACE && !t->kind->drops_blanks)
		return true; /* lstrip and rstrip look at it */
	for (int normalized = 0; normalized < 2; normalized++) {
		const struct added_set *set = &t->added.set[normalized];
		size_t from = k, to = k, reach = set->longest + 1;
		bool replaced = normalized && t->kind->replaces_blanks && t->kind->replaces_blanks(t->model);
		char *window = NULL;
		const char *p;
		bool touches;

		if (!added_any(&t->added, normalized, special))
			continue;
		if (replaced)
			reach *= 3; /* each blank may be a U+2581 */
		from = k > reach ? k - reach : 0;
		to = n - k > reach ? k + reach : n;
		p = text + from;
		if (replaced) { /* as normalize() does, on either side of k */
			window = xmalloc(to - from + 1);
			size_t made = 0, at = 0;

			for (size_t i = from; i < to; made++) {
				bool blank = to - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;

				if (i == k)
					at = made;
				window[made] = blank ? ' ' : text[i];
				i += blank ? 3 : 1;
			}
			p = window;
			from = k - at;
			to = from + made;
		}
		touches = to < k + set->longest || added_touches(set, p, to - from, k - from, replaced);
		free(window);
		if (touches)
			return true;
	}
	return false;
}

size_t tokenizer_split(const struct tokenizer *t, const char *text, size_t n)
{
	return tokenizer_split_part(t, text, n, false);
}

size_t tokenizer_split_part(const struct tokenizer *t, const char *text, size_t n, bool special)
{
	bool added = added_any(&t->added, false, special) || added_any(&t->added, true, special);
	size_t k = t->kind->split(t->model, text, n);

	while (added && k > 0 && near_added(t, text, n, k, special))
		k = t->kind->split(t->model, text, k);
	return k;
}

const uint32_t *tokenizer_affix(const struct tokenizer *t, bool after, size_t *n)
{
	const struct ids *affix = after ? &t->after : &t->before;

	*n = affix->n;
	return affix->id;
}

const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *n)
{
	return t->kind->bytes(t->model, id, n);
}

const char *tokenizer_text(const struct tokenizer *t, uint32_t id, bool special, unsigned *state, size_t *n)
{
	enum { INSIDE = 1, BEHIND_ADDED = 2 };
	const struct added_token *a = t->added.n ? added_by_id(&t->added, id) : NULL;
	const char *bytes = tokenizer_bytes(t, id, n);
	unsigned flags = *state & INSIDE ? 0 : *state & BEHIND_ADDED ? PIECE_START : PIECE_START | PIECE_TEXT;

	if (!bytes || (!special && !tokenizer_is_text(t, id))) {
		*state = 0;
		return NULL;
	}
	if (a || !tokenizer_is_text(t, id)) {
		*state = BEHIND_ADDED;
		return bytes;
	}
	if (flags && *n > 0 && bytes[0] == ' ' && t->kind->puts_blank && t->kind->puts_blank(t->model, flags)) {
		bytes++;
		--*n;
	}
	*state = INSIDE;
	return bytes;
}

bool tokenizer_is_text(const struct tokenizer *t, uint32_t id)
{
	return t->kind->is_text(t->model, id);
}
