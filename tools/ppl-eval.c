/* ppl-eval: perplexity of one model on many texts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/atomic.h"
#include "lib/checked.h"
#include "lib/die.h"
#include "lib/hash.h"
#include "lib/model.h"
#include "lib/options.h"
#include "lib/progress.h"
#include "lib/rng.h"
#include "lib/tokenizer.h"
#include "lib/tsv.h"
#include "nn/batches.h"
#include "nn/family.h"
#include "nn/protocol.h"
#include "nn/runtime.h"
#include "nn/score.h"

#define BATCH_TOKENS 4096 /* in one pass through the model, if not asked otherwise */
#define LN2 0.69314718055994530942

static const char *model_dir, *model_name, *output = "-", *protocol_text = "m2d2", *precision = "f32", *device_name = "auto";
static int64_t context, windows, seed = 1, batch, threads;

static const struct protocol *protocol;
static int64_t setting; /* of the protocol */
static struct masking masking;

static const struct option options[] = {
	{'m', "model", OPT_STRING, &model_dir, "MODEL_DIR", "model to evaluate", .unrecorded = true},
	{'o', "output", OPT_STRING, &output, "FILE", "write the rows to FILE", .unrecorded = true},
	{0, "name", OPT_STRING, &model_name, "NAME", "the model's name in the rows; default: MODEL_DIR's last part",
	 .unrecorded = true},
	{0, "protocol", OPT_STRING, &protocol_text, "NAME", "what perplexity means: m2d2, disjoint, strided:S, lm-eval; masked, for a masked language model its default"},
	{0, "context", OPT_INT, &context, "N", "tokens in a window; 0: the model's positions, at most 1024", .max = 1 << 24},
	{0, "windows", OPT_INT, &windows, "N", "score N random windows of each text; 0: all"},
	{0, "seed", OPT_INT, &seed, "S", "of the choice of windows"},
	{0, "precision", OPT_CHOICE, &precision, "NAME", "of the computation", "f32|bf16"},
	{0, "batch", OPT_INT, &batch, "N", "windows that go through the model at once; 0: 4096 tokens' worth",
	 .max = 1 << 20, .unrecorded = true},
	{0, "device", OPT_STRING, &device_name, "NAME", "auto, cpu, cuda or cuda:N", .unrecorded = true},
	{0, "threads", OPT_INT, &threads, "N", "processor threads; 0: as many as libtorch takes", .max = 4096,
	 .unrecorded = true},
	{0},
};

static const struct tool tool = {"ppl-eval", "perplexity of a model on many texts",
                                 "-m MODEL_DIR [options] NAME=FILE.tok...", options};

struct text {
	const char *name;
	struct corpus *corpus;
	struct cut cut;
	uint64_t *window; /* those to score, in order; NULL: all */
	uint64_t n, all;  /* windows to score, and windows */
	uint64_t work;    /* tokens in those to score */
};

/* Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S): n of all, each equally likely, in ascending order. */
static uint64_t *sample(uint64_t n, uint64_t all, const uint8_t data_hash[HASH_BYTES])
{
	struct rng r = rng_make((uint64_t)seed, rng_stream("windows", hash_number(data_hash), (uint64_t)context));
	uint64_t *window = xcalloc(n, sizeof *window);

	for (uint64_t i = 0, taken = 0; taken < n; i++)
		if (rng_below(&r, all - i) < n - taken)
			window[taken++] = i;
	return window;
}

/* What stands before a text where a protocol wants something there. */
static int64_t prefix_id(const struct model_config *c)
{
	return c->bos_token_id >= 0 ? c->bos_token_id : c->eos_token_id;
}

static struct text open_text(char *operand, const uint8_t *tokenizer, const struct model_config *config)
{
	struct text t = {0};
	uint64_t targets = 0;
	char *equals = strchr(operand, '=');

	if (!equals)
		die_usage("'%s' is not NAME=FILE.tok", operand);
	*equals = 0;
	t.name = operand;
	if (!tsv_is_clean(t.name))
		die_usage("'%s' cannot be a name in a table", t.name);
	t.corpus = corpus_open((const char *[]){equals + 1}, 1, tokenizer, config->vocab_size);
	t.cut = cut_text(protocol, setting, t.corpus, context, prefix_id(config));
	t.cut.masking = &masking;

	if (t.cut.tokens < 2)
		die_input("%s: has nothing to predict: %llu tokens", equals + 1, (unsigned long long)t.cut.tokens);
	t.all = t.n = cut_windows(&t.cut);
	if (!protocol->masked && cut_window(&t.cut, t.all - 1).targets == 0) { /* nothing stands before its only token */
		t.all = --t.n;
		warn("%s: the last window has only one token and is left out", equals + 1);
	}
	if (windows && (uint64_t)windows < t.all) {
		t.n = (uint64_t)windows;
		t.window = sample(t.n, t.all, t.corpus->hash);
	}
	for (uint64_t i = 0; i < t.n; i++) {
		struct window w = cut_window(&t.cut, t.window ? t.window[i] : i);
		t.work += (uint64_t)w.length;
		targets += (uint64_t)w.targets;
	}
	if (targets == 0)
		die_input("%s: has nothing to predict but special tokens", equals + 1);
	return t;
}

struct result {
	double nll, ppl, bpb, error;
	uint64_t targets;
};

/*
 * Standard error of the ratio nll/targets when n of N windows were drawn without replacement (Cochran, Sampling
 * Techniques, 6.4): the residuals' variance over n, times 1 - n/N, over the square of the mean number of targets.
 */
static double standard_error(const double *nll, const int64_t *targets, uint64_t n, uint64_t all, double ratio)
{
	double squares = 0, sum = 0;

	if (n == all)
		return 0;
	for (uint64_t i = 0; i < n; i++) {
		double e = nll[i] - ratio * (double)targets[i];
		squares += e * e;
		sum += (double)targets[i];
	}
	double mean = sum / (double)n;
	return sqrt((1 - (double)n / (double)all) * squares / (double)(n - 1) / (double)n) / mean;
}

/* One text's evaluation under way. */
struct sums {
	double *nll;      /* of each window */
	int64_t *targets; /* likewise */
	double weighted, weight;
	uint64_t work;
};

static uint64_t work_done; /* tokens of texts that are through */

static void take_window(void *arg, const struct scored *s)
{
	struct sums *sums = arg;
	const struct window *w = &s->window;
	double nll = scored_sum(s), targets = (double)w->targets;

	sums->nll[s->index] = nll;
	sums->targets[s->index] = w->targets;
	if (w->targets > 0)
		sums->weighted += w->weight == targets ? nll : nll / targets * w->weight;
	sums->weight += w->weight;
	sums->work += (uint64_t)w->length;
	progress_update(work_done + sums->work, NULL);
}

static struct result evaluate(const struct nn_model *m, const struct text *t)
{
	struct result r = {0};
	struct sums sums = {.nll = xcalloc(t->n, sizeof *sums.nll), .targets = xcalloc(t->n, sizeof *sums.targets)};

	score_text(m, &t->cut, t->window, t->n, batch, take_window, &sums);
	for (uint64_t i = 0; i < t->n; i++) {
		r.nll += sums.nll[i];
		r.targets += (uint64_t)sums.targets[i];
	}
	if (!isfinite(r.nll))
		die("%s: negative log-likelihood is not finite", t->name);

	double mean = r.nll / (double)r.targets, bytes = (double)tok_source_bytes(t->corpus->file[0]);
	r.ppl = exp(sums.weighted / sums.weight);
	r.bpb = bytes > 0 ? mean * (double)t->cut.tokens / bytes / LN2 : 0;
	r.error = standard_error(sums.nll, sums.targets, t->n, t->all, mean);
	work_done += t->work;
	free(sums.nll);
	free(sums.targets);
	return r;
}

/* What must be equal for two rows to be comparable: "m2d2:1024", "strided:512:1024", "masked:7:512", "disjoint:256,windows=100,seed=1,bf16". */
static char *protocol_name(void)
{
	char *sampled = windows ? xasprintf(",windows=%lld,seed=%lld", (long long)windows, (long long)seed) : xstrdup("");
	char *number = setting ? xasprintf(":%lld", (long long)setting) : xstrdup("");
	char *name = xasprintf("%s%s:%lld%s%s", protocol->name, number, (long long)context, sampled,
	                       strcmp(precision, "bf16") == 0 ? ",bf16" : "");

	free(number);
	free(sampled);
	return name;
}

/* The last part of a path that may end in slashes; you free() it. */
static char *last_part(const char *path)
{
	size_t end = strlen(path), start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		;
	return xstrndup(path + start, end - start);
}

static void put_row(struct atomic *out, const char *model, const char *hash, const char *how, const struct text *t,
                    const struct result *r)
{
	char data[HASH_HEX];

	hash_hex(t->corpus->hash, data);
	atomic_printf(out, "%s\t%s\t%s\t%s\t%s\t%.17g\t%llu\t%llu\t%llu\t%.17g\t%.17g\t%.17g\n", model, hash, t->name, how,
	              data, r->nll, (unsigned long long)r->targets,
	              (unsigned long long)tok_source_bytes(t->corpus->file[0]), (unsigned long long)t->n, r->ppl, r->bpb,
	              r->error);
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool), n = argc - first;
	uint8_t hash[HASH_BYTES];
	char hex[HASH_HEX];

	if (!model_dir)
		die_usage("-m is needed");
	if (n == 0)
		die_usage("no text given");
	if (windows == 1)
		die_usage("--windows is 1: a standard error needs two");
	protocol = protocol_parse(protocol_text, &setting);
	char *name = model_name ? xstrdup(model_name) : last_part(model_dir);
	if (!tsv_is_clean(name))
		die_usage("'%s' cannot be a name in a table: give --name", name);

	bool has_tokenizer = tokenizer_fingerprint_of(model_dir, hash);
	th_device device = nn_start(device_name, threads);
	struct nn_model *m = nn_model_load(model_dir, device, strcmp(precision, "bf16") == 0 ? TH_BF16 : TH_F32, false);
	if (m->family->masked && !option_given("protocol"))
		protocol = protocol_parse(protocol_text = "masked", &setting);
	if (m->family->masked != protocol->masked)
		die_input("%s: a %s predicts %s: no protocol %s", model_dir, m->config.architecture,
		          m->family->masked ? "masked tokens, not the next one" : "the next token, not masked ones", protocol->name);
	if (m->family->masked)
		masking_load(&masking, model_dir, m->config.vocab_size);
	context = nn_context(m, model_dir, context);
	if (protocol->in_context && setting > context)
		die_usage("--protocol %s: windows of %lld tokens would leave some %s", protocol_text, (long long)context,
		          protocol->masked ? "folds empty" : "out");
	if (protocol->needs_prefix && (prefix_id(&m->config) < 0 || prefix_id(&m->config) >= m->config.vocab_size))
		die_input("%s/config.json: has no bos_token_id or eos_token_id in the vocabulary, which %s puts first", model_dir,
		          protocol->name);
	if (batch == 0)
		batch = context < BATCH_TOKENS ? BATCH_TOKENS / context : 1;

	struct text *text = xcalloc((size_t)n, sizeof *text);
	uint64_t total = 0;
	for (int i = 0; i < n; i++) {
		text[i] = open_text(argv[first + i], has_tokenizer ? hash : NULL, &m->config);
		for (int j = 0; j < i; j++)
			if (strcmp(text[i].name, text[j].name) == 0)
				die_usage("two texts are named '%s'", text[i].name);
		total += text[i].work;
	}

	char *how = protocol_name();
	model_hash(model_dir, hash);
	hash_hex(hash, hex);
	struct atomic *out = atomic_open(output);
	tsv_begin(atomic_file(out), "rows");
	atomic_printf(out, "model\tmodel_hash\tdomain\tprotocol\tdata_hash\tnll\ttargets\tbytes\twindows\tppl\tbpb\tstderr\n");
	progress_start("evaluating", "tokens", total);
	for (int i = 0; i < n; i++) {
		struct result r = evaluate(m, &text[i]);
		put_row(out, name, hex, how, &text[i], &r);
		corpus_close(text[i].corpus);
		free(text[i].window);
	}
	progress_end();
	atomic_commit(out);
	close_stdout();

	free(text);
	free(how);
	free(name);
	nn_model_free(m);
	th_shutdown();
	return EXIT_DONE;
}
