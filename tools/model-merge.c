/* model-merge: the weighted mean of models, weight by weight. */
#include <fnmatch.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "die.h"
#include "json.h"
#include "model.h"
#include "modeldir.h"
#include "options.h"
#include "outdir.h"
#include "progress.h"
#include "safetensors.h"
#include "tokenizer.h"
#include "weights.h"

#define CHUNK 65536 /* numbers at a time */
#define MAX_CONFIG (1 << 20)

static const char *out_dir, *shares, *dtype_name = "f32";
static double linear;

static const struct option options[] = {
	{'o', "output", OPT_STRING, &out_dir, "OUT_DIR", "model directory to make", .unrecorded = true},
	{0, "linear", OPT_REAL, &linear, "W", "of two models, (1 - W) times the first and W times the second",
	 .min = -100, .max = 100},
	{0, "weights", OPT_STRING, &shares, "W,W,...", "one for each model, divided by their sum; by default all alike"},
	{0, "dtype", OPT_CHOICE, &dtype_name, "TYPE", "of the stored weights", .choices = "f32|bf16|f16"},
	{0}};

static const struct tool tool = {"model-merge", "average the weights of models",
                                 "-o OUT_DIR [--linear W | --weights W,W,...] [--dtype f32|bf16|f16] MODEL_DIR MODEL_DIR...",
                                 options};

/* What may differ: dropout and what else matters in training or for generation alone, and where the file comes from. */
static const char *const free_fields[] = {
	"_commit_hash", "_name_or_path", "*dropout*", "*_pdrop", "dtype", "gradient_checkpointing", "initializer_range",
	"output_attentions", "output_hidden_states", "return_dict", "summary_*", "task_specific_params", "torch_dtype",
	"transformers_version", "use_cache",
};

/* What the parsed configurations are compared by, so that one file may leave away what is the default. */
static const char *const parsed_fields[] = {
	"activation_function", "attention_bias", "head_dim", "hidden_act", "hidden_size", "intermediate_size", "layer_norm_eps",
	"layer_norm_epsilon", "layer_types", "max_position_embeddings", "max_window_layers", "mlp_bias", "n_embd", "n_head", "n_inner",
	"n_layer", "n_positions", "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "partial_rotary_factor",
	"pretraining_tp", "rms_norm_eps", "rope_parameters", "rope_scaling", "rope_theta", "scale_attn_by_inverse_layer_idx",
	"scale_attn_weights", "sliding_window", "tie_word_embeddings", "type_vocab_size", "vocab_size",
};

/* Tensors of old checkpoints that are no parameters. */
static const char *const buffers[] = {"h.*.attn.bias", "h.*.attn.masked_bias", "embeddings.position_ids", "embeddings.token_type_ids",
                                      "*rotary_emb.inv_freq"};
/* Parameters that no loss of cpt-step reaches, so that it leaves them away: here too, unless all have them. */
static const char *const untrained[] = {"pooler.dense.*", "cls.seq_relationship.*"};

#define COUNT(a) (sizeof(a) / sizeof *(a))

struct source {
	const char *dir;
	struct weights *weights;
	double share;
	char hash[HASH_HEX];
};

static struct source *source;
static int n_sources;
static struct model_config config; /* of the first */
static const char *prefix;         /* of tensors in a model with a head, which some files leave away */

static bool matches(const char *name, const char *const *pattern, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fnmatch(pattern[i], name, 0) == 0)
			return true;
	return false;
}

/* --- configurations --- */

static bool same_value(const struct json *a_doc, const json_value *a, const struct json *b_doc, const json_value *b)
{
	if (json_is_object(a) && json_is_object(b)) {
		if (json_count(a) != json_count(b))
			return false;
		for (const json_value *v = json_first(a); v; v = json_next(v)) {
			const json_value *w = json_get(b, json_key(v));

			if (!w || !same_value(a_doc, v, b_doc, w))
				return false;
		}
		return true;
	}
	if (json_is_array(a) && json_is_array(b)) {
		const json_value *v = json_first(a), *w = json_first(b);

		for (; v && w && same_value(a_doc, v, b_doc, w); v = json_next(v), w = json_next(w))
			;
		return !v && !w;
	}
	if (json_is_string(a) && json_is_string(b))
		return strcmp(json_string(a_doc, a, "string"), json_string(b_doc, b, "string")) == 0;
	if (json_is_number(a) && json_is_number(b))
		return json_real(a_doc, a, "number") == json_real(b_doc, b, "number");
	if (json_is_bool(a) && json_is_bool(b))
		return json_bool(a_doc, a, "bool") == json_bool(b_doc, b, "bool");
	return json_is_null(a) && json_is_null(b);
}

/* A field that both have is the same, and none that matters is in one alone, unless it is null or false. */
static void compare_fields(const char *a_path, const struct json *a, const char *b_path, const struct json *b)
{
	for (const json_value *v = json_first(json_root(a)); v; v = json_next(v)) {
		const char *key = json_key(v);
		const json_value *w = json_get(json_root(b), key);

		if (matches(key, free_fields, COUNT(free_fields)))
			continue;
		if (w ? !same_value(a, v, b, w)
		      : !(json_is_null(v) || (json_is_bool(v) && !json_bool(a, v, key)) ||
		          matches(key, parsed_fields, COUNT(parsed_fields))))
			die_input("cannot merge: %s: %s differs from that in %s", b_path, key, a_path);
	}
}

/* Only some kinds of rotary positions look at it. */
static double original_positions(const struct model_config *c)
{
	return c->rope.type == ROPE_LLAMA3 || c->rope.type == ROPE_YARN ? (double)c->rope.original_positions : 0;
}

static void compare_parsed(const char *a_path, const struct model_config *a, const char *b_path, const struct model_config *b)
{
	const struct {
		const char *name;
		double a, b;
	} field[] = {
		{"number of layers", (double)a->n_layer, (double)b->n_layer},
		{"number of heads", (double)a->n_head, (double)b->n_head},
		{"number of key heads", (double)a->n_kv_head, (double)b->n_kv_head},
		{"width of a head", (double)a->head_dim, (double)b->head_dim},
		{"width", (double)a->n_embd, (double)b->n_embd},
		{"inner width", (double)a->n_inner, (double)b->n_inner},
		{"number of positions", (double)a->n_positions, (double)b->n_positions},
		{"vocab_size", (double)a->vocab_size, (double)b->vocab_size},
		{"number of token types", (double)a->n_types, (double)b->n_types},
		{"sliding_window", (double)a->attention_window, (double)b->attention_window},
		{"kind of rotary positions", a->rope.type, b->rope.type},
		{"rope_theta", a->rope.theta, b->rope.theta},
		{"rope factor", a->rope.factor, b->rope.factor},
		{"rope attention_factor", a->rope.attention_factor, b->rope.attention_factor},
		{"rope original_max_position_embeddings", original_positions(a), original_positions(b)},
		{"rope low_freq_factor", a->rope.low_freq_factor, b->rope.low_freq_factor},
		{"rope high_freq_factor", a->rope.high_freq_factor, b->rope.high_freq_factor},
		{"rope beta_fast", a->rope.beta_fast, b->rope.beta_fast},
		{"rope beta_slow", a->rope.beta_slow, b->rope.beta_slow},
		{"rope truncate", a->rope.truncate, b->rope.truncate},
		{"biases of q, k and v", a->attention_bias, b->attention_bias},
		{"bias behind attention", a->attention_out_bias, b->attention_out_bias},
		{"mlp_bias", a->mlp_bias, b->mlp_bias},
		{"epsilon of norms", a->layer_norm_epsilon, b->layer_norm_epsilon},
		{"activation", a->activation, b->activation},
		{"tie_word_embeddings", a->tie_word_embeddings, b->tie_word_embeddings},
		{"scale_attn_weights", a->scale_attn_weights, b->scale_attn_weights},
		{"scale_attn_by_inverse_layer_idx", a->scale_attn_by_inverse_layer_idx, b->scale_attn_by_inverse_layer_idx},
	};

	for (size_t i = 0; i < COUNT(field); i++)
		if (field[i].a != field[i].b)
			die_input("cannot merge: %s: %s: %g, but %g in %s", b_path, field[i].name, field[i].b, field[i].a, a_path);
}

/* The same model, and the same tokenizer where two have one: a row of the embeddings is then the same token in all. */
static void compare(const char *first, const char *dir)
{
	char *a_path = path_join(first, "config.json"), *b_path = path_join(dir, "config.json");
	struct json *a = json_read(a_path, MAX_CONFIG), *b = json_read(b_path, MAX_CONFIG);
	uint8_t a_print[HASH_BYTES], b_print[HASH_BYTES];
	struct model_config c;

	model_config_parse(&c, b, b_path);
	compare_fields(a_path, a, b_path, b);
	compare_fields(b_path, b, a_path, a);
	compare_parsed(a_path, &config, b_path, &c);
	if (tokenizer_fingerprint_of(first, a_print) && tokenizer_fingerprint_of(dir, b_print) &&
	    memcmp(a_print, b_print, HASH_BYTES) != 0)
		die_input("cannot merge: %s: another tokenizer than in %s", dir, first);
	json_free(a);
	json_free(b);
	free(a_path);
	free(b_path);
}

/* --- tensors --- */

static const char *bare(const char *name)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) == 0 ? name + n : name;
}

static const struct st_tensor *find(const struct source *s, const char *name)
{
	return weights_find_any(s->weights, prefix, bare(name));
}

static bool all_have(const char *name)
{
	for (int k = 0; k < n_sources; k++)
		if (!find(&source[k], name))
			return false;
	return true;
}

/* Where the configuration ties the head, what may be stored of it all the same, and what that must be equal to. */
static const struct {
	const char *name, *like; /* NULL: the embeddings */
} tied[] = {
	{"lm_head.weight", NULL},
	{"lm_head.decoder.weight", NULL},
	{"lm_head.decoder.bias", "lm_head.bias"},
	{"cls.predictions.decoder.weight", NULL},
	{"cls.predictions.decoder.bias", "cls.predictions.bias"},
};

static void check_tied(const struct source *s, const struct st_tensor *t, const char *like)
{
	const struct st_tensor *other = find(s, like);

	if (!other || other->dtype != t->dtype || other->bytes != t->bytes || memcmp(other->data, t->data, t->bytes) != 0)
		die_input("cannot merge: %s: tensor %s: the configuration ties it to %s, but they differ", weights_file(s->weights, t),
		          t->name, like);
}

/* Buffers, and a tied head that is stored all the same: the result has them not, as transformers writes it. And what only some have. */
static bool is_left_out(const struct source *s, const struct st_tensor *t)
{
	struct model_tensor embeddings;

	for (size_t i = 0; config.tie_word_embeddings && i < COUNT(tied); i++)
		if (strcmp(t->name, tied[i].name) == 0) {
			model_tensor(&config, 0, &embeddings);
			check_tied(s, t, tied[i].like ? tied[i].like : embeddings.name);
			return true;
		}
	return matches(bare(t->name), buffers, COUNT(buffers)) ||
	       (matches(bare(t->name), untrained, COUNT(untrained)) && !all_have(t->name));
}

static bool same_shape(const struct st_tensor *a, const struct st_tensor *b)
{
	return a->n_dims == b->n_dims && memcmp(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape) == 0;
}

/* The tensors of the first, which all others must have in the same shape, and no more. Those of the result; *n of them. */
static struct st_tensor *plan(enum st_dtype dtype, size_t *n, uint64_t *numbers)
{
	size_t most = weights_count(source[0].weights);
	struct st_tensor *t = xcalloc(most + 1, sizeof *t);

	*n = 0;
	*numbers = 0;
	for (size_t i = 0; i < most; i++) {
		const struct st_tensor *a = weights_at(source[0].weights, i);

		if (is_left_out(&source[0], a))
			continue;
		for (int k = 0; k < n_sources; k++) {
			const struct st_tensor *b = find(&source[k], a->name);

			if (!b)
				die_input("cannot merge: %s: tensor %s is missing", weights_name(source[k].weights), a->name);
			if (!same_shape(a, b))
				die_input("cannot merge: %s: tensor %s: another shape than in %s",
				          weights_file(source[k].weights, b), b->name,
				          weights_file(source[0].weights, a));
			if (!st_to_f64(b->dtype, b->data, 0, NULL))
				die_input("cannot merge: %s: tensor %s: %s is no type for a weight",
				          weights_file(source[k].weights, b), b->name, st_dtype_name(b->dtype));
		}
		t[*n] = *a;
		t[*n].dtype = dtype;
		t[*n].bytes = a->bytes / st_dtype_size(a->dtype) * st_dtype_size(dtype);
		*numbers += a->bytes / st_dtype_size(a->dtype);
		++*n;
	}
	for (int k = 0; k < n_sources; k++)
		for (size_t i = 0; i < weights_count(source[k].weights); i++) {
			const struct st_tensor *b = weights_at(source[k].weights, i);

			if (is_left_out(&source[k], b))
				continue;
			if (!find(&source[0], b->name))
				die_input("cannot merge: %s: tensor %s is missing", weights_name(source[0].weights), b->name);
			if (bare(b->name) != b->name && weights_find(source[k].weights, bare(b->name)))
				die_input("cannot merge: %s: tensor %s stands there twice, with '%s' before its name and without",
				          weights_name(source[k].weights), bare(b->name), prefix);
		}
	if (*n == 0)
		die_input("cannot merge: %s: holds no tensors", weights_name(source[0].weights));
	return t;
}

/* Sums in f64, which are then rounded to f32 and to the type asked for. A model with share 0 is not looked at. */
static void put_tensor(struct st_writer *w, const struct st_tensor *t, uint64_t *done)
{
	static double sum[CHUNK], x[CHUNK];
	static float value[CHUNK];
	static char stored[CHUNK * sizeof(float)];
	size_t n = t->bytes / st_dtype_size(t->dtype), m;

	for (size_t at = 0; at < n; at += m) {
		bool empty = true;

		m = n - at < CHUNK ? n - at : CHUNK;
		for (int k = 0; k < n_sources; k++) {
			const struct st_tensor *from = find(&source[k], t->name);

			if (source[k].share == 0)
				continue;
			st_to_f64(from->dtype, (const char *)from->data + at * st_dtype_size(from->dtype), m, x);
			for (size_t i = 0; i < m; i++)
				sum[i] = source[k].share * x[i] + (empty ? -0.0 : sum[i]);
			empty = false;
		}
		for (size_t i = 0; i < m; i++) {
			value[i] = (float)sum[i];
			if (!isfinite(value[i]))
				die_input("cannot merge: tensor %s: the result is not finite", t->name);
		}
		size_t wrong = st_from_f32(t->dtype, value, m, stored);
		if (wrong < m)
			die("cannot merge: tensor %s: %g is too large for %s", t->name, (double)value[wrong], st_dtype_name(t->dtype));
		st_put(w, stored, m * st_dtype_size(t->dtype));
		*done += m;
		progress_update(*done, NULL);
	}
}

static void write_weights(const char *staging, enum st_dtype dtype)
{
	char *path = path_join(staging, "model.safetensors");
	uint64_t numbers, done = 0;
	size_t n;
	struct st_tensor *t = plan(dtype, &n, &numbers);
	struct st_writer *w = st_begin(path, t, n, (const char *[]){"format", "pt", NULL});

	progress_start("merging", "weights", numbers);
	for (size_t i = 0; i < n; i++)
		put_tensor(w, &t[i], &done);
	progress_end();
	st_end(w);
	free(t);
	free(path);
}

static void put_record(FILE *out, void *unused)
{
	(void)unused;
	fputs("\"made\": ", out);
	json_put_string(out, option_record());
	fputs(", \"merged\": [", out);
	for (int k = 0; k < n_sources; k++) {
		fprintf(out, "%s{\"from\": \"%s\", \"weight\": ", k ? ", " : "", source[k].hash);
		json_put_real(out, source[k].share);
		putc('}', out);
	}
	putc(']', out);
}

/* --- shares --- */

static void read_shares(void)
{
	char *list = xstrdup(shares), *rest = list, *item;
	double sum = 0;
	int n = 0;

	for (; (item = strsep(&rest, ",")); n++) {
		double x;

		if (!parse_real(item, &x) || x < 0)
			die_usage("--weights: '%s' is no number from 0 up", item);
		if (n < n_sources)
			sum += source[n].share = x;
	}
	if (n != n_sources)
		die_usage("--weights: %d of them for %d models", n, n_sources);
	if (!(sum > 0) || !isfinite(sum))
		die_usage("--weights: their sum is %g", sum);
	for (int k = 0; k < n_sources; k++)
		source[k].share /= sum;
	free(list);
}

static void set_shares(void)
{
	if (option_given("linear") && shares)
		die_usage("--linear and --weights exclude each other");
	if (option_given("linear") && n_sources != 2)
		die_usage("--linear takes two models, not %d", n_sources);
	for (int k = 0; k < n_sources; k++)
		source[k].share = 1 / (double)n_sources;
	if (option_given("linear")) {
		source[0].share = 1 - linear;
		source[1].share = linear;
	}
	if (shares)
		read_shares();
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool);
	enum st_dtype dtype = strcmp(dtype_name, "f32") == 0 ? ST_F32 : strcmp(dtype_name, "bf16") == 0 ? ST_BF16 : ST_F16;
	uint8_t hash[HASH_BYTES];
	char *staging;

	n_sources = argc - first;
	if (!out_dir)
		die_usage("-o is needed");
	if (n_sources < 2)
		die_usage("two models are needed");
	source = xcalloc((size_t)n_sources, sizeof *source);
	set_shares();
	dir_check_replaceable(out_dir, modeldir_files);

	model_config_read(&config, argv[first]);
	prefix = model_prefix(&config);
	for (int k = 0; k < n_sources; k++) {
		source[k].dir = argv[first + k];
		if (k > 0)
			compare(source[0].dir, source[k].dir);
		source[k].weights = weights_open(source[k].dir);
		model_hash(source[k].dir, hash);
		hash_hex(hash, source[k].hash);
	}

	modeldir_check(source[0].dir);
	staging = dir_begin_empty(out_dir, modeldir_files);
	modeldir_copy(source[0].dir, staging);
	write_weights(staging, dtype);
	modeldir_provenance(staging, put_record, NULL);
	dir_commit(out_dir, staging);
	for (int k = 0; k < n_sources; k++)
		weights_close(source[k].weights);
	free(source);
	free(staging);
	return EXIT_DONE;
}
