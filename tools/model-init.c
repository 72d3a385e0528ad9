#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "model.h"
#include "modeldir.h"
#include "options.h"
#include "outdir.h"
#include "progress.h"
#include "reader.h"
#include "rng.h"
#include "safetensors.h"
#include "tokenizer.h"

#define CHUNK 65536 /* weights made at a time */

static const char *config_path, *out_dir, *tokenizer_dir, *dtype_name = "f32";
static int64_t seed;

static const struct option options[] = {
	{'c', "config", OPT_STRING, &config_path, "CONFIG.json", "the model's configuration", .unrecorded = true},
	{'o', "output", OPT_STRING, &out_dir, "OUT_DIR", "the model directory to make", .unrecorded = true},
	{'t', "tokenizer", OPT_STRING, &tokenizer_dir, "TOKENIZER_DIR", "copy the tokenizer's files from here", .unrecorded = true},
	{0, "seed", OPT_INT, &seed, "S", "of the random weights"},
	{0, "dtype", OPT_CHOICE, &dtype_name, "TYPE", "of the stored weights", .choices = "f32|bf16|f16"},
	{0}};

static const struct tool tool = {"model-init", "make a model directory with random weights",
                                 "-c CONFIG.json -o OUT_DIR [-t TOKENIZER_DIR] [--seed S] [--dtype f32|bf16|f16]",
                                 options};

static char *staging;

static void write_file(const char *name, const void *data, size_t n)
{
	char *path = path_join(staging, name);
	struct atomic *a = atomic_open(path);

	atomic_write(a, data, n);
	atomic_commit(a);
	free(path);
}

/* Row-major; the numbers of a tensor depend on the seed and its name alone. */
static void put_tensor(struct st_writer *w, const struct model_tensor *t, enum st_dtype dtype, uint64_t *done)
{
	static float value[CHUNK];
	static char stored[CHUNK * sizeof(float)];
	struct rng rng = rng_make((uint64_t)seed, rng_stream(t->name, 0, 0));
	int64_t row = t->n_dims == 2 ? t->shape[1] : 1, n = t->shape[0] * row;
	int64_t zero_from = t->zero_row < 0 ? n : t->zero_row * row;

	for (int64_t i = 0; i < n; i += CHUNK) {
		int64_t m = n - i < CHUNK ? n - i : CHUNK;

		for (int64_t k = 0; k < m; k++) /* + 0.0: no -0 where std is 0 */
			value[k] = t->init == MODEL_NORMAL ? (float)(t->std * rng_normal(&rng) + 0.0) : t->init == MODEL_ONES;
		for (int64_t k = zero_from > i ? zero_from - i : 0; k < m && i + k < zero_from + row; k++)
			value[k] = 0;
		st_from_f32(dtype, value, (size_t)m, stored);
		st_put(w, stored, (size_t)m * st_dtype_size(dtype));
		*done += (uint64_t)m;
		progress_update(*done, NULL);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct model_tensor *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* In the order of their names, as the reference writer stores tensors of one dtype. Returns the number of weights. */
static uint64_t write_weights(const struct model_config *c, enum st_dtype dtype)
{
	static const char *const metadata[] = {"format", "pt", NULL};
	size_t n = model_tensors(c);
	struct model_tensor *tensor = xcalloc(n, sizeof *tensor);
	struct st_tensor *stored = xcalloc(n, sizeof *stored);
	char *path = path_join(staging, "model.safetensors");
	struct st_writer *w;
	uint64_t weights = 0, done = 0;

	for (size_t i = 0; i < n; i++)
		model_tensor(c, i, &tensor[i]);
	qsort(tensor, n, sizeof *tensor, by_name);
	for (size_t i = 0; i < n; i++) {
		uint64_t size = (uint64_t)tensor[i].shape[0] * (tensor[i].n_dims == 2 ? (uint64_t)tensor[i].shape[1] : 1);

		stored[i] = (struct st_tensor){.name = tensor[i].name,
		                               .dtype = dtype,
		                               .n_dims = tensor[i].n_dims,
		                               .shape = {tensor[i].shape[0], tensor[i].shape[1]},
		                               .bytes = size * st_dtype_size(dtype)};
		weights += size;
	}
	progress_start("initialising", "weights", weights);
	w = st_begin(path, stored, n, metadata);
	for (size_t i = 0; i < n; i++)
		put_tensor(w, &tensor[i], dtype, &done);
	st_end(w);
	progress_end();
	free(path);
	free(stored);
	free(tensor);
	return weights;
}

static void write_provenance(const void *config, size_t n, uint64_t weights)
{
	char *path = path_join(staging, "palimpsest.json"), hex[HASH_HEX];
	struct atomic *a = atomic_open(path);
	uint8_t digest[HASH_BYTES];
	struct hash h;

	hash_start(&h);
	hash_add(&h, config, n);
	hash_end(&h, digest);
	hash_hex(digest, hex);
	atomic_printf(a, "{\"format\": \"palimpsest-model\", \"version\": 1, \"chain\": [\n{\"made\": ");
	json_put_string(atomic_file(a), option_record());
	atomic_printf(a, ", \"config\": \"%s\", \"weights\": %llu}\n]}\n", hex, (unsigned long long)weights);
	atomic_commit(a);
	free(path);
}

static bool can_make(const char *architecture)
{
	static const char *const known[] = {
		"GPT2LMHeadModel", "GPT2Model",          "BertModel",    "BertForMaskedLM", "RobertaModel", "RobertaForMaskedLM",
		"LlamaForCausalLM", "LlamaModel", "MistralForCausalLM", "MistralModel", "Qwen2ForCausalLM", "Qwen2Model"};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(architecture, known[i]) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	struct model_config c;
	struct json *doc;
	enum st_dtype dtype;
	uint64_t weights;
	size_t n;
	char *config;

	if (parse_options(argc, argv, &tool) < argc)
		die_usage("no operands expected");
	if (!config_path || !out_dir)
		die_usage("-c and -o are needed");
	dtype = strcmp(dtype_name, "f32") == 0 ? ST_F32 : strcmp(dtype_name, "bf16") == 0 ? ST_BF16 : ST_F16;

	config = read_file(config_path, 1 << 20, &n);
	doc = json_parse(config, n, config_path);
	model_config_parse(&c, doc, config_path);
	json_free(doc);
	if (!can_make(c.architecture))
		die_input("cannot make this model: %s: architectures: %s: not supported", config_path, c.architecture);
	if (tokenizer_dir) {
		struct tokenizer *t = tokenizer_load(tokenizer_dir);

		if (tokenizer_vocab(t) > c.vocab_size)
			die_input("tokenizer does not fit the model: %s: %u ids, but %s has vocab_size %lld", tokenizer_dir,
			          tokenizer_vocab(t), config_path, (long long)c.vocab_size);
		tokenizer_free(t);
	}

	dir_check_replaceable(out_dir, modeldir_files);
	staging = dir_begin_empty(out_dir, modeldir_files);
	write_file("config.json", config, n);
	if (tokenizer_dir)
		modeldir_copy_tokenizer(tokenizer_dir, staging);
	weights = write_weights(&c, dtype);
	write_provenance(config, n, weights);
	dir_commit(out_dir, staging);
	free(staging);
	free(config);
	return EXIT_DONE;
}
