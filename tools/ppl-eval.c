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
#include "lib/token_tables.h"
#include "lib/tokenizer.h"
#include "lib/tsv.h"
#include "nn/batches.h"
#include "nn/family.h"
#include "nn/protocol.h"
#include "nn/runtime.h"
#include "nn/score.h"

#define BATCH_TOKENS 2048 /* in one pass through the model, if not asked otherwise */
#define LN2 0.69314718055994530942

static const char *model_dir, *model_name, *output = "-", *protocol_text = "m2d2", *precision = "f32", *device_name = "auto";
static const char *classes_path, *counts_path, *ranks_path, *ngrams_path;
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
	{0, "by-class", OPT_STRING, &classes_path, "FILE", "write what each class of tokens adds to the nll", .unrecorded = true},
	{0, "counts", OPT_STRING, &counts_path, "FILE.tok", "text by which --by-class finds words frequent; default: each its own"},
	{0, "rank", OPT_STRING, &ranks_path, "FILE", "write the ranks of the true tokens", .unrecorded = true},
	{0, "ngrams", OPT_STRING, &ngrams_path, "FILE", "n-grams of each domain whose ranks are written, too", .unrecorded = true},
	{0, "windows", OPT_INT, &windows, "N", "score N random windows of each text; 0: all"},
	{0, "seed", OPT_INT, &seed, "S", "of the choice of windows"},
	{0, "precision", OPT_CHOICE, &precision, "NAME", "of the computation", "f32|bf16"},
	{0, "batch", OPT_INT, &batch, "N", "windows that go through the model at once; 0: 2048 tokens' worth",
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
	struct ngrams ngrams; /* of the domain */
};

static struct tokenizer *tokenizer; /* the model's; NULL: it has none */
static struct word_bands *bands;    /* of --counts; NULL: each text has its own */
static struct atomic *classes, *ranks;

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

/* What stands before a text: as lm-evaluation-harness finds it, the tokenizer's word for it before the model's. */
static int64_t find_prefix(const struct model_config *c)
{
	struct special_tokens special = {.bos = -1, .eos = -1};

	if (tokenizer)
		tokenizer_specials(model_dir, &special);
	int64_t id[] = {special.bos, special.eos, c->bos_token_id, c->eos_token_id};
	for (int i = 0; i < 4; i++)
		if (id[i] >= 0 && id[i] < c->vocab_size)
			return id[i];
	if (protocol->needs_prefix)
		die_input("%s: neither tokenizer nor config.json name a token for the beginning or the end of a text, which %s puts first",
		          model_dir, protocol->name);
	return -1;
}

static struct text open_text(char *operand, const struct model_config *config, int64_t prefix)
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
	t.corpus = corpus_open((const char *[]){equals + 1}, 1, tokenizer ? tokenizer_fingerprint(tokenizer) : NULL,
	                       config->vocab_size);
	t.cut = cut_text(protocol, setting, t.corpus, context, prefix);
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
	double nll, ppl, bpb, error, word_ppl, byte_ppl;
	uint64_t targets, words;
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
	struct token_scores *scores; /* NULL: not wanted */
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
	for (int64_t t = 0; t < w->length && sums->scores; t++)
		if (s->target[t] >= 0) {
			sums->scores->nll[w->place + (uint64_t)t] = s->nll[t];
			if (s->rank)
				sums->scores->rank[w->place + (uint64_t)t] = s->rank[t] + 1;
		}
	progress_update(work_done + sums->work, NULL);
}

/* The tables beside the rows. */
static void put_tables(const struct text *t, const struct token_scores *s, const char *about)
{
	struct token_text *x = classes || t->ngrams.longest ? token_text_read(t->corpus->file[0], tokenizer) : NULL;

	if (classes) {
		struct word_bands *own = bands ? NULL : word_bands_of(x->text, x->n);
		put_classes(classes, about, s, x, bands ? bands : own);
		word_bands_free(own);
	}
	if (ranks)
		put_ranks(ranks, about, s, x, x && t->ngrams.longest ? &t->ngrams : NULL);
	token_text_free(x);
}

static struct result evaluate(const struct nn_model *m, const struct text *t, const char *about)
{
	struct result r = {0};
	struct sums sums = {.nll = xcalloc(t->n, sizeof *sums.nll), .targets = xcalloc(t->n, sizeof *sums.targets)};

	if (classes || ranks)
		sums.scores = token_scores_new(t->cut.tokens, ranks != NULL);
	score_text(m, &t->cut, t->window, t->n, batch, ranks != NULL, take_window, &sums);
	for (uint64_t i = 0; i < t->n; i++) {
		r.nll += sums.nll[i];
		r.targets += (uint64_t)sums.targets[i];
	}
	if (!isfinite(r.nll))
		die("%s: negative log-likelihood is not finite", t->name);

	double mean = r.nll / (double)r.targets, bytes = (double)tok_source_bytes(t->corpus->file[0]);
	r.ppl = exp(sums.weighted / sums.weight);
	double whole = mean * (double)t->cut.tokens; /* what all tokens would give, those too that are not scored */
	r.bpb = bytes > 0 ? whole / bytes / LN2 : 0;
	r.byte_ppl = bytes > 0 ? exp(whole / bytes) : 0;
	if (tokenizer && token_text_possible(tokenizer))
		r.words = token_text_words(t->corpus->file[0], tokenizer);
	r.word_ppl = r.words > 0 ? exp(whole / (double)r.words) : 0;
	r.error = standard_error(sums.nll, sums.targets, t->n, t->all, mean);
	work_done += t->work;
	if (sums.scores)
		put_tables(t, sums.scores, about);
	token_scores_free(sums.scores);
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

/* The cells that every table begins with, and a tab; you free() it. */
static char *about_text(const char *model, const char *hash, const char *how, const struct text *t)
{
	char data[HASH_HEX];

	hash_hex(t->corpus->hash, data);
	return xasprintf("%s\t%s\t%s\t%s\t%s\t", model, hash, t->name, how, data);
}

static const char about_columns[] = "model\tmodel_hash\tdomain\tprotocol\tdata_hash";

static void put_row(struct atomic *out, const char *about, const struct text *t, const struct result *r)
{
	atomic_printf(out, "%s%.17g\t%llu\t%llu\t%llu\t%.17g\t%.17g\t%.17g\t%llu\t%.17g\t%.17g\n", about, r->nll,
	              (unsigned long long)r->targets, (unsigned long long)tok_source_bytes(t->corpus->file[0]),
	              (unsigned long long)t->n, r->ppl, r->bpb, r->error, (unsigned long long)r->words, r->word_ppl,
	              r->byte_ppl);
}

static struct atomic *open_table(const char *path, const char *kind, const char *columns)
{
	struct atomic *a = atomic_open(path);

	tsv_begin(atomic_file(a), kind);
	atomic_printf(a, "%s\t%s\n", about_columns, columns);
	return a;
}

/* Those of each text's domain. */
static void read_ngrams(struct text *text, int n)
{
	struct tsv *t = tsv_read(ngrams_path, "ngrams");
	int domain = tsv_column(t, "domain"), column = tsv_column(t, "ngram");

	for (int row = 0; row < t->n_rows; row++) {
		const char *name = tsv_string(t, row, domain), *ngram = tsv_string(t, row, column);
		int i = 0;
		while (i < n && strcmp(text[i].name, name) != 0)
			i++;
		if (i < n && ngrams_add(&text[i].ngrams, ngram) < 0)
			tsv_die(t, row, "'%s' is no n-gram of at most %d words", ngram, NGRAM_MAX_WORDS);
	}
	for (int i = 0; i < n; i++)
		if (!text[i].ngrams.longest)
			warn("%s: has no n-grams of domain %s", t->name, text[i].name);
	tsv_free(t);
}

static void read_counts(void)
{
	struct tok_reader *r = tok_open(counts_path);

	if (memcmp(tok_fingerprint(r), tokenizer_fingerprint(tokenizer), HASH_BYTES) != 0)
		die_input("%s: was made by another tokenizer than the model's", tok_name(r));
	tok_load(r);
	struct token_text *x = token_text_read(r, tokenizer);
	bands = word_bands_of(x->text, x->n);
	token_text_free(x);
	tok_close(r);
}

static void check_usage(int n)
{
	const char *path[] = {output, classes_path, ranks_path};
	int to_stdout = 0;

	if (!model_dir)
		die_usage("-m is needed");
	if (n == 0)
		die_usage("no text given");
	if (windows == 1)
		die_usage("--windows is 1: a standard error needs two");
	if (counts_path && !classes_path)
		die_usage("--counts goes with --by-class");
	if (ngrams_path && !ranks_path)
		die_usage("--ngrams goes with --rank");
	for (int i = 0; i < 3; i++)
		to_stdout += path[i] && strcmp(path[i], "-") == 0;
	if (to_stdout > 1)
		die_usage("several tables to stdout: give -o FILE");
	protocol = protocol_parse(protocol_text, &setting);
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool), n = argc - first;
	uint8_t hash[HASH_BYTES];
	char hex[HASH_HEX];

	check_usage(n);
	char *name = model_name ? xstrdup(model_name) : path_last(model_dir);
	if (!tsv_is_clean(name))
		die_usage("'%s' cannot be a name in a table: give --name", name);

	if (tokenizer_fingerprint_of(model_dir, hash))
		tokenizer = tokenizer_load(model_dir);
	if ((classes_path || ngrams_path) && !(tokenizer && token_text_possible(tokenizer)))
		die_input("%s: has no tokenizer whose ids hold the whole text, which --by-class and --ngrams need", model_dir);
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
	if (batch == 0)
		batch = context < BATCH_TOKENS ? BATCH_TOKENS / context : 1;

	int64_t prefix = find_prefix(&m->config);
	struct text *text = xcalloc((size_t)n, sizeof *text);
	uint64_t total = 0;
	for (int i = 0; i < n; i++) {
		text[i] = open_text(argv[first + i], &m->config, prefix);
		for (int j = 0; j < i; j++)
			if (strcmp(text[i].name, text[j].name) == 0)
				die_usage("two texts are named '%s'", text[i].name);
		total += text[i].work;
	}
	if (counts_path)
		read_counts();

	char *how = protocol_name();
	model_hash(model_dir, hash);
	hash_hex(hash, hex);
	struct atomic *out = open_table(output, "rows", "nll\ttargets\tbytes\twindows\tppl\tbpb\tstderr\twords\tword_ppl\tbyte_ppl");
	if (classes_path)
		classes = open_table(classes_path, "classes", classes_columns);
	if (ngrams_path)
		read_ngrams(text, n);
	if (ranks_path)
		ranks = open_table(ranks_path, "ranks", ranks_columns);
	progress_start("evaluating", "tokens", total);
	for (int i = 0; i < n; i++) {
		char *about = about_text(name, hex, how, &text[i]);
		struct result r = evaluate(m, &text[i], about);
		put_row(out, about, &text[i], &r);
		corpus_close(text[i].corpus);
		ngrams_free(&text[i].ngrams);
		free(text[i].window);
		free(about);
	}
	progress_end();
	if (classes)
		atomic_commit(classes);
	if (ranks)
		atomic_commit(ranks);
	atomic_commit(out);
	close_stdout();

	free(text);
	free(how);
	free(name);
	word_bands_free(bands);
	tokenizer_free(tokenizer);
	nn_model_free(m);
	th_shutdown();
	return EXIT_DONE;
}
