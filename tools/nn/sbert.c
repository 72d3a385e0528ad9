#include "nn/sbert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/checked.h"
#include "lib/die.h"
#include "lib/json.h"
#include "nn/bert.h"

enum { MAX_JSON = 1 << 20, PIECE = 4096 /* bytes of a text encoded at first */ };

/* The tokens that sentence-transformers knows inside a text too. */
static const char *const specials[] = {"[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"};
enum { CLS, SEP, N_SPECIALS = sizeof specials / sizeof *specials };

enum pooling { POOL_MEAN, POOL_CLS };

struct sbert {
	struct nn_model *bert;
	struct tokenizer *tokenizer;
	struct tok_scratch *scratch;
	char *dir; /* of the Transformer module */
	enum pooling pooling;
	bool normalize;
	size_t max_ids;
	int64_t special[N_SPECIALS]; /* ids; -1 for what the vocabulary lacks */
};

static bool exists(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return true;
	if (errno != ENOENT && errno != ENOTDIR)
		die("cannot open %s:", path);
	return false;
}

/* DIR/NAME as JSON, NULL if it is not there. */
static struct json *read_optional(const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	struct json *doc = exists(path) ? json_read(path, MAX_JSON) : NULL;

	free(path);
	return doc;
}

/* A module's folder below dir; you free() it. */
static char *module_dir(const char *dir, const struct json *doc, const json_value *module)
{
	const char *path = json_get_string(doc, module, "path", "");

	if (path[0] == '/' || strstr(path, ".."))
		die_input("cannot use model: %s/modules.json: path \"%s\" leads out of the folder", dir, path);
	return *path ? path_join(dir, path) : xstrdup(dir);
}

/* Exactly one mode may be on; older files have a member for each, newer ones a name or a list of names. */
static enum pooling read_pooling(const char *dir)
{
	static const char *const others[] = {"pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens",
	                                     "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"};
	char *path = path_join(dir, "config.json");
	struct json *doc = json_read(path, MAX_JSON);
	const json_value *root = json_root(doc), *mode = json_get(root, "pooling_mode");
	const char *name = "mean";

	if (mode) {
		if (json_is_array(mode) && json_count(mode) == 1)
			mode = json_first(mode);
		name = json_is_string(mode) ? json_string(doc, mode, "pooling_mode") : "several modes";
	} else {
		bool mean = json_get_bool(doc, root, "pooling_mode_mean_tokens", false);
		bool cls = json_get_bool(doc, root, "pooling_mode_cls_token", false);

		name = mean && cls ? "several modes" : cls ? "cls" : "mean";
		for (size_t i = 0; i < sizeof others / sizeof *others; i++)
			if (json_get_bool(doc, root, others[i], false))
				name = mean || cls ? "several modes" : others[i];
	}
	if (strcmp(name, "mean") != 0 && strcmp(name, "cls") != 0)
		die_input("cannot use model: %s: pooling by %s is not supported", path, name);
	enum pooling pooling = strcmp(name, "cls") == 0 ? POOL_CLS : POOL_MEAN;
	json_free(doc);
	free(path);
	return pooling;
}

/* Is TYPE, such as sentence_transformers.models.Pooling, the class NAME? Packages have moved between versions. */
static bool is_class(const char *type, const char *name)
{
	const char *last = strrchr(type, '.');

	return strcmp(last ? last + 1 : type, name) == 0;
}

static void read_modules(struct sbert *s, const char *dir)
{
	struct json *doc = read_optional(dir, "modules.json"), *config = read_optional(dir, "config_sentence_transformers.json");
	int at = 0;

	if (config && json_is_string(json_get(json_root(config), "default_prompt_name")))
		die_input("cannot use model: %s: a prompt before each text (default_prompt_name) is not supported", dir);
	json_free(config);
	if (!doc) {
		s->dir = xstrdup(dir);
		return;
	}
	if (!json_is_array(json_root(doc)))
		die_input("cannot use model: %s/modules.json: array expected", dir);
	for (const json_value *m = json_first(json_root(doc)); m; m = json_next(m), at++) {
		const char *type = json_string(doc, json_get(m, "type"), "type");
		char *folder = module_dir(dir, doc, m);

		if (at == 0 && is_class(type, "Transformer")) {
			s->dir = xstrdup(folder);
		} else if (at == 1 && is_class(type, "Pooling")) {
			s->pooling = read_pooling(folder);
		} else if (at == 2 && is_class(type, "Normalize")) {
			s->normalize = true;
		} else {
			die_input("cannot use model: %s/modules.json: module %d of type %s is not supported", dir, at, type);
		}
		free(folder);
	}
	if (at < 2)
		die_input("cannot use model: %s/modules.json: a Transformer and a Pooling module expected", dir);
	json_free(doc);
}

/* Does the tokenizer give the same ids for capitals and small letters? */
static bool drops_case(struct sbert *s)
{
	static const char upper[] = "A B C D E", lower[] = "a b c d e";
	struct ids u = {0}, l = {0};
	bool same;

	tokenizer_encode(s->tokenizer, s->scratch, upper, sizeof upper - 1, &u);
	tokenizer_encode(s->tokenizer, s->scratch, lower, sizeof lower - 1, &l);
	same = u.n == l.n && u.n > 0 && memcmp(u.id, l.id, u.n * sizeof *u.id) == 0;
	free(u.id);
	free(l.id);
	return same;
}

/* max_seq_length, else the tokenizer's limit; never more than the model's positions. */
static void read_limits(struct sbert *s)
{
	int64_t most = s->bert->config.n_positions;
	struct json *doc = read_optional(s->dir, "sentence_bert_config.json");
	const json_value *given = doc ? json_get(json_root(doc), "max_seq_length") : NULL;
	double limit = (double)most;

	if (doc && json_get_bool(doc, json_root(doc), "do_lower_case", false) && !drops_case(s))
		die_input("cannot use model: %s/sentence_bert_config.json: do_lower_case with a tokenizer that keeps capitals is not "
		          "supported", s->dir);
	if (given && !json_is_null(given)) {
		limit = (double)json_int(doc, given, "max_seq_length");
	} else {
		struct json *tokenizer = read_optional(s->dir, "tokenizer_config.json");

		if (tokenizer) /* 1e30 where there is no limit */
			limit = json_get_real(tokenizer, json_root(tokenizer), "model_max_length", limit);
		json_free(tokenizer);
	}
	json_free(doc);
	if (limit > (double)most)
		limit = (double)most;
	if (!(limit >= 2))
		die_input("cannot use model: %s: a longest sequence of %g tokens leaves no room for [CLS] and [SEP]", s->dir, limit);
	s->max_ids = (size_t)limit;
}

struct sbert *sbert_load(const char *dir, th_device device, th_dtype compute)
{
	struct sbert *s = xcalloc(1, sizeof *s);

	read_modules(s, dir);
	s->bert = bert_load(s->dir, device, compute);
	s->tokenizer = tokenizer_load(s->dir);
	s->scratch = tok_scratch_new(s->tokenizer);
	if (tokenizer_vocab(s->tokenizer) > s->bert->config.vocab_size)
		die_input("cannot use model: %s: the tokenizer has %u ids, the model %lld", s->dir, tokenizer_vocab(s->tokenizer),
		          (long long)s->bert->config.vocab_size);
	for (size_t i = 0; i < N_SPECIALS; i++)
		s->special[i] = tokenizer_special(s->tokenizer, specials[i]);
	if (s->special[CLS] < 0 || s->special[SEP] < 0)
		die_input("cannot use model: %s: the tokenizer has no %s", s->dir, specials[s->special[CLS] < 0 ? CLS : SEP]);
	read_limits(s);
	return s;
}

void sbert_free(struct sbert *s)
{
	if (!s)
		return;
	nn_model_free(s->bert);
	tok_scratch_free(s->scratch);
	tokenizer_free(s->tokenizer);
	free(s->dir);
	free(s);
}

size_t sbert_width(const struct sbert *s)
{
	return (size_t)s->bert->config.n_embd;
}

void sbert_hash(const struct sbert *s, uint8_t out[HASH_BYTES])
{
	char *how = xasprintf("pooling %d normalize %d max %zu", s->pooling, s->normalize, s->max_ids);
	uint8_t weights[HASH_BYTES];
	struct hash h;

	model_hash(s->dir, weights);
	hash_start(&h);
	hash_add(&h, how, strlen(how) + 1);
	hash_add(&h, weights, sizeof weights);
	hash_add(&h, tokenizer_fingerprint(s->tokenizer), HASH_BYTES);
	hash_end(&h, out);
	free(how);
}

static bool is_full(const struct sbert *s, const struct ids *out)
{
	return out->n >= s->max_ids - 1;
}

/* Piece by piece, and no further than needed. */
static void encode(struct sbert *s, const char *text, size_t n, struct ids *out)
{
	size_t piece = PIECE;

	while (n > 0 && !is_full(s, out)) {
		size_t cut = n <= piece ? n : tokenizer_split(s->tokenizer, text, piece);

		if (cut == 0) { /* no place to cut: a longer piece */
			piece *= 2;
			continue;
		}
		tokenizer_encode(s->tokenizer, s->scratch, text, cut, out);
		text += cut;
		n -= cut;
	}
}

/* Where the first special token stands in text, and which: n if there is none. */
static size_t find_special(const struct sbert *s, const char *text, size_t n, size_t *which)
{
	for (const char *p = text; (p = memchr(p, '[', n - (size_t)(p - text))); p++)
		for (size_t i = 0; i < N_SPECIALS; i++)
			if (s->special[i] >= 0 && n - (size_t)(p - text) >= strlen(specials[i]) &&
			    memcmp(p, specials[i], strlen(specials[i])) == 0) {
				*which = i;
				return (size_t)(p - text);
			}
	return n;
}

void sbert_ids(struct sbert *s, const char *text, size_t n, struct ids *out)
{
	size_t which = 0;

	out->n = 0;
	ids_put(out, (uint32_t)s->special[CLS]);
	while (n > 0 && !is_full(s, out)) {
		size_t at = find_special(s, text, n, &which);

		encode(s, text, at, out);
		text += at;
		n -= at;
		if (n > 0) {
			ids_put(out, (uint32_t)s->special[which]);
			text += strlen(specials[which]);
			n -= strlen(specials[which]);
		}
	}
	if (is_full(s, out))
		out->n = s->max_ids - 1;
	ids_put(out, (uint32_t)s->special[SEP]);
}

/* ids of the texts in `order`, padded to the longest -> their vectors */
static void embed_batch(const struct sbert *s, const struct ids *text, const size_t *order, size_t n, float *v)
{
	th_device device = s->bert->device;
	size_t C = sbert_width(s), T = 0;
	int64_t *id, *length = xcalloc(n, sizeof *length);
	float *weight, *vector = xmalloc(n * C * sizeof *vector);

	for (size_t i = 0; i < n; i++)
		if (text[order[i]].n > T)
			T = text[order[i]].n;
	id = xcalloc(n * T, sizeof *id); /* padded with id 0, which no token sees */
	weight = xcalloc(n * T, sizeof *weight);
	for (size_t i = 0; i < n; i++) {
		const struct ids *t = &text[order[i]];

		length[i] = (int64_t)t->n;
		for (size_t k = 0; k < t->n; k++) {
			id[i * T + k] = t->id[k];
			weight[i * T + k] = s->pooling == POOL_MEAN ? 1 / (float)t->n : k == 0;
		}
	}

	int64_t B = (int64_t)n, L = (int64_t)T;
	th_no_grad_open();
	th_scope_open();
	th_tensor *h = bert_hidden(s->bert, th_from_host(id, TH_I64, device, 2, (int64_t[]){B, L}),
	                           th_from_host(length, TH_I64, device, 1, (int64_t[]){B})); // (B, T, C)
	th_tensor *w = th_from_host(weight, TH_F32, device, 3, (int64_t[]){B, 1, L});       // (B, 1, T)
	h = th_reshape(th_matmul(w, th_to_dtype(h, TH_F32)), 2, (int64_t[]){B, (int64_t)C}); // (B, C)
	if (s->normalize)
		h = th_div(h, th_add_scalar(th_norm_dim(h, 1, true), 1e-12));
	th_to_host(h, TH_F32, vector);
	th_scope_close();
	th_no_grad_close();

	for (size_t i = 0; i < n; i++)
		memcpy(v + order[i] * C, vector + i * C, C * sizeof *v);
	free(vector);
	free(weight);
	free(id);
	free(length);
}

struct place {
	size_t length, index;
};

static int by_length(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->length != y->length)
		return x->length < y->length ? 1 : -1; /* the longest first: if memory is too small, this is known at once */
	return (x->index > y->index) - (x->index < y->index);
}

/*
 * How many of n texts, the longest first, go together: as long as padding to the length of the first is a
 * thirty-second at most, or little.
 */
static size_t alike(const struct ids *text, const size_t *order, size_t n)
{
	const size_t little = 256; /* tokens in all: products of fewer rows are less efficient than padding */
	size_t tokens = 0, i;

	for (i = 0; i < n; i++) {
		size_t padded = (i + 1) * text[order[0]].n;

		tokens += text[order[i]].n;
		if (padded > little && padded - tokens > padded / 32)
			break;
	}
	return i;
}

void sbert_embed(const struct sbert *s, const struct ids *text, size_t n, size_t batch, float *v, void (*done)(size_t))
{
	struct place *place = xcalloc(n, sizeof *place);
	size_t *order = xcalloc(n, sizeof *order);

	for (size_t i = 0; i < n; i++)
		place[i] = (struct place){text[i].n, i};
	qsort(place, n, sizeof *place, by_length);
	for (size_t i = 0; i < n; i++)
		order[i] = place[i].index;
	free(place);
	for (size_t i = 0, some; i < n; i += some) {
		some = alike(text, order + i, n - i < batch ? n - i : batch);
		embed_batch(s, text, order + i, some, v);
		if (done)
			done(i + some);
	}
	free(order);
}
