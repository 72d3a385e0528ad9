/* cpt-step: trains a model on one domain, the step from M(k-1) to M(k) of a continual pretraining sequence. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/atomic.h"
#include "lib/checked.h"
#include "lib/die.h"
#include "lib/hash.h"
#include "lib/json.h"
#include "lib/model.h"
#include "lib/modeldir.h"
#include "lib/options.h"
#include "lib/outdir.h"
#include "lib/tokenizer.h"
#include "nn/batches.h"
#include "nn/estimate.h"
#include "nn/family.h"
#include "nn/optim.h"
#include "nn/runtime.h"
#include "nn/state.h"
#include "nn/train.h"

#define OPTIMIZER "optimizer.safetensors"
#define MAX_PROVENANCE (64 << 20)
#define MICRO_TOKENS 4096 /* in one pass through the model, if not asked otherwise */

static const char *in_dir, *out_dir;
static const char *objective, *schedule = "linear", *precision = "f32", *dtype = "f32", *weights_type = "f32",
                  *moments_type = "f32", *device_name = "auto", *graph = "auto";
static int64_t batch = 16, micro_batch, context, steps, seed = 1, save_every, eval_every, threads;
static uint64_t tokens;
static double lr = 5e-5, lr_floor, warmup, decay = 0.1, epochs = 1, dropout = 0.2, weight_decay, clip = 1;
static double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
static bool keep_optimizer, keep_best, recompute, offload, dry_run;
static const char *valid_path;

static const struct option options[] = {
	{'m', "model", OPT_STRING, &in_dir, "IN_DIR", "model to start from", .unrecorded = true},
	{'o', "output", OPT_STRING, &out_dir, "OUT_DIR", "model to write", .unrecorded = true},
	{0, "objective", OPT_CHOICE, &objective, "NAME",
	 "what is learned: the next token, or masked ones; default: what the model is for", "clm|mlm"},
	{0, "batch", OPT_INT, &batch, "N", "blocks in an optimiser step", .min = 1, .max = 1 << 20},
	{0, "micro-batch", OPT_INT, &micro_batch, "N", "blocks that go through the model at once; 0: 4096 tokens' worth",
	 .max = 1 << 20},
	{0, "context", OPT_INT, &context, "N", "tokens in a block; 0: the model's positions, at most 1024", .max = 1 << 24},
	{0, "lr", OPT_REAL, &lr, "R", "peak learning rate"},
	{0, "lr-floor", OPT_REAL, &lr_floor, "R", "rate where warm-up begins and decay ends"},
	{0, "schedule", OPT_CHOICE, &schedule, "NAME", "of the learning rate", "linear|cosine|constant|wsd"},
	{0, "warmup", OPT_REAL, &warmup, "R", "warm-up: a share of the steps if below 1, else their number"},
	{0, "decay", OPT_REAL, &decay, "R", "decay of wsd: likewise"},
	{0, "epochs", OPT_REAL, &epochs, "R", "passes over the data"},
	{0, "steps", OPT_INT, &steps, "N", "optimiser steps, in place of --epochs", .max = (double)(1LL << 40)},
	{0, "tokens", OPT_SIZE, &tokens, "N", "tokens, in place of --epochs"},
	{0, "dropout", OPT_REAL, &dropout, "P", "dropout everywhere; -1: what config.json says", .min = -1, .max = 0.99},
	{0, "precision", OPT_CHOICE, &precision, "NAME", "of the computation", "f32|bf16"},
	{0, "weights", OPT_CHOICE, &weights_type, "NAME",
	 "of the weights while training; bf16: no f32 copy, rounded at random", "f32|bf16"},
	{0, "optimizer-dtype", OPT_CHOICE, &moments_type, "NAME", "of Adam's moments; bf16: rounded at random", "f32|bf16"},
	{0, "offload-optimizer", OPT_FLAG, &offload, NULL, "keep Adam's moments in the processor's memory, not the device's",
	 .unrecorded = true},
	{0, "recompute", OPT_FLAG, &recompute, NULL, "keep less from the forward pass and compute it again: less memory, same bytes",
	 .unrecorded = true},
	{0, "weight-decay", OPT_REAL, &weight_decay, "R", "of matrices"},
	{0, "clip", OPT_REAL, &clip, "R", "largest norm of the gradient; 0: any"},
	{0, "beta1", OPT_REAL, &beta1, "R", "of Adam's first moment", .max = 0.999999},
	{0, "beta2", OPT_REAL, &beta2, "R", "of Adam's second moment", .max = 0.9999999},
	{0, "eps", OPT_REAL, &epsilon, "R", "of Adam"},
	{0, "seed", OPT_INT, &seed, "S", "of the data's order and of dropout"},
	{0, "dtype", OPT_CHOICE, &dtype, "NAME", "of the weights that are written", "f32|bf16|f16"},
	{0, "save-every", OPT_INT, &save_every, "N", "steps between two saved states; 0: ten minutes", .unrecorded = true},
	{0, "keep-optimizer", OPT_FLAG, &keep_optimizer, NULL, "take Adam's moments from IN_DIR if there, leave them in OUT_DIR"},
	{0, "valid", OPT_STRING, &valid_path, "FILE", "text to validate on", .unrecorded = true},
	{0, "eval-every", OPT_INT, &eval_every, "N", "steps between two validations; 0: one at the end"},
	{0, "keep-best", OPT_FLAG, &keep_best, NULL, "write the model that did best in validation, not the last"},
	{0, "dry-run", OPT_FLAG, &dry_run, NULL, "tell what memory and time it would take; -m may be a config.json",
	 .unrecorded = true},
	{0, "device", OPT_STRING, &device_name, "NAME", "auto, cpu, cuda or cuda:N", .unrecorded = true},
	{0, "graph", OPT_CHOICE, &graph, "NAME", "captured graphs on a GPU: where they can be, or never", "auto|off",
	 .unrecorded = true},
	{0, "threads", OPT_INT, &threads, "N", "processor threads; 0: as many as libtorch takes", .max = 4096},
	{0},
};

static const struct tool tool = {"cpt-step", "train a model on one domain", "-m IN_DIR -o OUT_DIR [options] TRAIN.tok...",
                                 options};

/* A share of the steps, rounded up as the Trainer does, or a number of them. */
static int64_t share(double r, int64_t all, const char *name)
{
	double n = r < 1 ? ceil(r * (double)all) : r;

	if (r > 1 && r != floor(r))
		die_usage("--%s %g: neither a share of the steps, below 1, nor a number of them", name, r);
	if (n > (double)all)
		die_usage("--%s is %.15g steps, more than the %lld in all", name, n, (long long)all);
	return (int64_t)n;
}

static enum schedule schedule_of(const char *name)
{
	return strcmp(name, "linear") == 0 ? SCHEDULE_LINEAR
	     : strcmp(name, "cosine") == 0 ? SCHEDULE_COSINE
	     : strcmp(name, "wsd") == 0    ? SCHEDULE_WSD
	                                   : SCHEDULE_CONSTANT;
}

static enum st_dtype dtype_of(const char *name)
{
	return strcmp(name, "bf16") == 0 ? ST_BF16 : strcmp(name, "f16") == 0 ? ST_F16 : ST_F32;
}

static th_dtype type_of(const char *name)
{
	return strcmp(name, "bf16") == 0 ? TH_BF16 : TH_F32;
}

static int64_t count_steps(int64_t epoch_steps)
{
	double n = ceil(epochs * (double)epoch_steps);

	if (option_given("steps"))
		n = (double)steps;
	else if (option_given("tokens"))
		n = ceil((double)tokens / ((double)batch * (double)context));
	if (!(n >= 1 && n < 9e15))
		die_usage("%g steps of training: give more", n);
	return (int64_t)n;
}

/* What the record in palimpsest.json is made from. */
struct provenance {
	const struct training *t;
	uint8_t model[HASH_BYTES];
	bool optimizer; /* Adam's moments were taken over */
	const struct train_options *opt;
};

static void put_hash(FILE *out, const char *name, const uint8_t hash[HASH_BYTES])
{
	char hex[HASH_HEX];

	hash_hex(hash, hex);
	fprintf(out, "\"%s\": \"%s\"", name, hex);
}

static void put_real(FILE *out, const char *name, double value)
{
	fprintf(out, ", \"%s\": ", name);
	json_put_real(out, value);
}

/* The last two parts of a file's path, which tell the domain wherever the data lie. */
static const char *short_name(const char *path)
{
	const char *p = path + strlen(path);

	for (int slashes = 0; p > path; p--)
		if (p[-1] == '/' && ++slashes == 2)
			break;
	return p;
}

static void put_corpus(FILE *out, const char *name, const struct corpus *c)
{
	fprintf(out, ", \"%s\": [", name);
	for (int i = 0; i < c->n; i++) {
		uint8_t hash[HASH_BYTES];
		tok_data_hash(c->file[i], hash);
		fprintf(out, "%s{\"file\": ", i ? ", " : "");
		json_put_string(out, short_name(tok_name(c->file[i])));
		fputs(", ", out);
		put_hash(out, "hash", hash);
		fprintf(out, ", \"tokens\": %llu}", (unsigned long long)tok_count(c->file[i]));
	}
	fputc(']', out);
}

/* Of the model that is written. */
static double valid_loss(const struct training *t)
{
	return keep_best ? t->best_loss : t->valid_loss;
}

static void put_record(FILE *out, void *arg)
{
	const struct provenance *p = arg;
	const struct training *t = p->t;

	fputs("\"made\": ", out);
	json_put_string(out, option_record());
	fprintf(out, ", \"libtorch\": \"%s\", \"device\": \"%s\", \"threads\": %d, ", th_libtorch_version(),
	        th_device_name(t->model->device), th_threads());
	put_hash(out, "from", p->model);
	put_corpus(out, "data", t->corpus);
	if (t->valid)
		put_corpus(out, "valid", t->valid);
	fputs(", ", out);
	put_hash(out, "run", t->run);
	fprintf(out, ", \"optimizer_taken_over\": %s", p->optimizer ? "true" : "false");
	put_real(out, "context", (double)p->opt->context);
	put_real(out, "micro_batch", (double)p->opt->micro_batch);
	put_real(out, "steps", (double)t->step);
	put_real(out, "tokens", (double)t->tokens);
	put_real(out, "mean_loss", t->loss_sum / (double)t->step);
	if (t->valid)
		put_real(out, "valid_loss", valid_loss(t));
	if (p->opt->keep_best)
		put_real(out, "best_step", (double)t->best_step);
}

static void add_string(struct hash *h, const char *s)
{
	hash_add(h, s, strlen(s) + 1);
}

static bool exists(const char *dir, const char *name)
{
	char *path = path_join(dir, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

/* What a file in IN_DIR holds. */
static void add_file(struct hash *h, const char *name)
{
	char *path = path_join(in_dir, name);
	uint8_t one[HASH_BYTES];

	hash_file(path, one);
	hash_add(h, one, sizeof one);
	free(path);
}

/* All that the result depends on: a state saved by a run of another identity is not gone on with. */
static void identify(struct training *t, const struct provenance *p)
{
	struct hash h;

	hash_start(&h);
	add_string(&h, option_record());
	add_string(&h, th_libtorch_version());
	add_string(&h, t->model->device.cuda ? "cuda" : "cpu");
	hash_add(&h, p->model, sizeof p->model);
	if (exists(in_dir, "palimpsest.json")) /* steps that change no weight are different runs */
		add_file(&h, "palimpsest.json");
	if (p->optimizer)
		add_file(&h, OPTIMIZER);
	if (p->opt->masking)
		hash_add(&h, p->opt->masking, sizeof *p->opt->masking);
	if (p->opt->graph)
		add_string(&h, "graph");
	hash_add(&h, t->corpus->hash, HASH_BYTES);
	if (t->valid)
		hash_add(&h, t->valid->hash, HASH_BYTES);
	hash_end(&h, t->run);
}

/*
 * Was the run done, but for the staging directory's renaming? The record is written last. Then the results are
 * taken from it.
 */
static bool finished(struct training *t)
{
	char *path = path_join(t->staging, "palimpsest.json"), hex[HASH_HEX];
	bool same = false;

	hash_hex(t->run, hex);
	if (access(path, F_OK) == 0) {
		struct json *doc = json_read(path, MAX_PROVENANCE);
		const json_value *last = NULL;
		for (const json_value *v = json_first(json_get(json_root(doc), "chain")); v; v = json_next(v))
			last = v;
		same = strcmp(json_get_string(doc, last, "run", ""), hex) == 0;
		if (same) {
			t->step = json_get_int(doc, last, "steps", 0);
			t->tokens = t->tokens_before = (uint64_t)json_get_int(doc, last, "tokens", 0);
			t->loss_sum = json_get_real(doc, last, "mean_loss", 0) * (double)t->step;
			t->valid_loss = t->best_loss = json_get_real(doc, last, "valid_loss", 0);
		}
		json_free(doc);
	}
	free(path);
	return same;
}

static bool same_folder(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void check_options(int operands)
{
	if (!in_dir || (!out_dir && !dry_run))
		die_usage("-m and -o are needed");
	if (operands == 0 && !dry_run)
		die_usage("no token file given");
	if (out_dir && (strcmp(in_dir, out_dir) == 0 || same_folder(in_dir, out_dir)))
		die_usage("-m and -o are the same directory: %s", in_dir);
	if (option_given("steps") + option_given("tokens") + option_given("epochs") > 1)
		die_usage("--steps, --tokens and --epochs exclude each other");
	if (dropout < 0 && dropout != -1)
		die_usage("--dropout is %g: neither -1 nor a probability", dropout);
	if (lr_floor > lr)
		die_usage("--lr-floor is above --lr: %g > %g", lr_floor, lr);
	if ((option_given("eval-every") || keep_best) && !valid_path)
		die_usage("--eval-every and --keep-best need --valid");
}

/* The record last: it says that all is there. */
static void write_model(struct provenance *p)
{
	const char *staging = p->t->staging;
	char *weights = path_join(staging, "model.safetensors"), *moments = path_join(staging, OPTIMIZER);

	nn_model_save(p->t->model, weights, dtype_of(dtype));
	if (keep_optimizer)
		optim_save(p->t->optim, moments);
	modeldir_provenance(staging, put_record, p);
	free(weights);
	free(moments);
}

static void summary(const struct training *t)
{
	uint64_t here = t->tokens - t->tokens_before;

	fputs("{\"model\": ", stdout);
	json_put_string(stdout, out_dir);
	put_real(stdout, "steps", (double)t->step);
	put_real(stdout, "tokens", (double)t->tokens);
	put_real(stdout, "mean_loss", t->loss_sum / (double)t->step);
	if (t->valid)
		put_real(stdout, "valid_loss", valid_loss(t));
	put_real(stdout, "seconds", t->seconds);
	put_real(stdout, "tokens_per_second", t->seconds > 0 ? (double)here / t->seconds : 0);
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	put_real(stdout, "peak_memory", 1024 * (double)r.ru_maxrss);
	puts("}");
}

/* How many blocks go through the model at once. */
static int64_t blocks_at_once(void)
{
	int64_t n = micro_batch ? micro_batch : MICRO_TOKENS / context;

	return n < 1 ? 1 : n > batch ? batch : n;
}

static struct corpus *open_data(const char *const *path, int n, const uint8_t *tokenizer, int64_t vocab)
{
	struct corpus *c = corpus_open(path, n, tokenizer, vocab);

	if (corpus_tokens(c) < (uint64_t)context)
		die_input("%s: %llu tokens are less than one block of %lld", path[0], (unsigned long long)corpus_tokens(c),
		          (long long)context);
	return c;
}

static void estimate(const char *const *path, int n)
{
	struct model_config config;
	struct estimate_options opt = {.device = nn_start(device_name, threads), .weights = type_of(weights_type),
	                               .compute = type_of(precision), .moments = type_of(moments_type),
	                               .written = strcmp(dtype, "f16") == 0 ? TH_F16 : type_of(dtype), .offload = offload,
	                               .recompute = recompute, .keep_optimizer = keep_optimizer, .batch = batch};
	struct estimate e;
	struct stat st;

	if (stat(in_dir, &st) == 0 && S_ISREG(st.st_mode))
		model_config_read_file(&config, in_dir);
	else
		model_config_read(&config, in_dir);
	struct nn_model m = nn_model_outline_of(&config);
	opt.context = context = nn_context(&m, in_dir, context);
	opt.micro_batch = blocks_at_once();
	if (n) {
		struct corpus *c = open_data(path, n, NULL, m.config.vocab_size);
		opt.steps = count_steps(train_epoch_steps(c, context, batch));
		for (int i = 0; i < n; i++)
			opt.data_bytes += tok_count(c->file[i]) * (uint64_t)tok_id_width(c->file[i]);
		corpus_close(c);
	} else if (option_given("steps") || option_given("tokens")) {
		opt.steps = count_steps(0);
	}
	estimate_training(&e, &m.config, &opt);
	estimate_print(stdout, &e, &opt);
	close_stdout();
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool);
	uint8_t fingerprint[HASH_BYTES];

	check_options(argc - first);
	if (dry_run) {
		estimate((const char *const *)argv + first, argc - first);
		return EXIT_DONE;
	}
	dir_check_replaceable(out_dir, modeldir_files);
	modeldir_check(in_dir);
	bool has_tokenizer = tokenizer_fingerprint_of(in_dir, fingerprint);
	const uint8_t *tokenizer = has_tokenizer ? fingerprint : NULL;

	th_device device = nn_start(device_name, threads);
	struct nn_model *m = nn_model_load_as(in_dir, device, type_of(weights_type), type_of(precision), true);
	m->recompute = recompute;
	const char *natural = m->family->masked ? "mlm" : "clm";
	if (!objective)
		objective = natural;
	if (strcmp(objective, natural) != 0)
		die_input("%s: a %s learns by --objective %s, not %s", in_dir, m->config.architecture, natural, objective);
	struct masking masking;
	if (m->family->masked)
		masking_load(&masking, in_dir, m->config.vocab_size);
	context = nn_context(m, in_dir, context);

	struct corpus *corpus = open_data((const char *const *)argv + first, argc - first, tokenizer, m->config.vocab_size);
	struct corpus *valid = valid_path ? corpus_open(&valid_path, 1, tokenizer, m->config.vocab_size) : NULL;

	struct train_options opt = {
		.batch = batch, .context = context, .lr = lr, .lr_floor = lr_floor, .schedule = schedule_of(schedule), .clip = clip,
		.seed = (uint64_t)seed, .save_every = save_every, .eval_every = eval_every, .keep_best = keep_best,
		.dropout = {.embd = m->config.embd_pdrop, .attn = m->config.attn_pdrop, .resid = m->config.resid_pdrop},
	};
	opt.masking = m->family->masked ? &masking : NULL;
	opt.micro_batch = blocks_at_once();
	opt.steps = count_steps(train_epoch_steps(corpus, context, batch));
	opt.warmup = share(warmup, opt.steps, "warmup");
	opt.decay = share(decay, opt.steps, "decay");
	if (dropout >= 0)
		opt.dropout.embd = opt.dropout.attn = opt.dropout.resid = dropout;
	opt.late = device.cuda;
	opt.graph = strcmp(graph, "auto") == 0 && train_can_graph(m, &opt);

	struct training t = {.opt = &opt, .from = in_dir, .model = m, .corpus = corpus, .valid = valid};
	if (valid && !train_can_validate(&t))
		die_input("%s: has nothing to predict", valid_path);
	struct provenance p = {.t = &t, .opt = &opt, .optimizer = keep_optimizer && exists(in_dir, OPTIMIZER)};
	model_hash(in_dir, p.model);
	identify(&t, &p);

	t.optim = optim_make(m->params, &(struct optim_options){
		.beta1 = beta1, .beta2 = beta2, .eps = epsilon, .weight_decay = weight_decay, .moments = type_of(moments_type),
		.offload = offload, .seed = (uint64_t)seed, .domain = hash_number(corpus->hash)});
	if (p.optimizer) {
		char *path = path_join(in_dir, OPTIMIZER);
		optim_load(t.optim, path);
		free(path);
	}

	char *staging = dir_begin(out_dir, modeldir_files);
	if (same_folder(in_dir, staging))
		die_usage("-m is where -o is written: %s", in_dir);
	t.staging = staging;
	if (!finished(&t)) {
		train(&t);
		write_model(&p);
	}
	train_clean(staging);
	dir_commit(out_dir, staging);

	summary(&t);
	close_stdout();
	free(staging);
	optim_free(t.optim);
	corpus_close(valid);
	corpus_close(corpus);
	nn_model_free(m);
	th_shutdown();
	return EXIT_DONE;
}
