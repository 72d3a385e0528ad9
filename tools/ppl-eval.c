/* ppl-eval: perplexity of one model on many texts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/atomic.h"
#include "lib/checked.h"
#include "lib/die.h"
#include "lib/hash.h"
#include "lib/known.h"
#include "lib/model.h"
#include "lib/options.h"
#include "lib/progress.h"
#include "lib/token_tables.h"
#include "lib/tokenizer.h"
#include "lib/tsv.h"
#include "lib/windows.h"
#include "nn/family.h"
#include "nn/perplexity.h"
#include "nn/runtime.h"

#define BATCH_TOKENS 2048 /* in one pass through the model, if not asked otherwise */
#define LN2 0.69314718055994530942

static const char *model_dir, *model_name, *output = "-", *protocol_text = "m2d2", *precision = "f32", *device_name = "auto";
static const char *classes_path, *counts_path, *ranks_path, *ngrams_path, *windows_path, *reference_path;
static struct option_list known_paths;
static int64_t context, windows, seed = 1, batch, threads;
static double until;

static struct cut how; /* protocol, its setting, context, prefix, masking */
static struct masking masking;

static const struct option options[] = {
	{'m', "model", OPT_STRING, &model_dir, "MODEL_DIR", "model to evaluate", .unrecorded = true},
	{'o', "output", OPT_STRING, &output, "FILE", "write the rows to FILE", .unrecorded = true},
	{0, "name", OPT_STRING, &model_name, "NAME", "the model's name in the rows; default: MODEL_DIR's last part",
	 .unrecorded = true},
	{0, "protocol", OPT_STRING, &protocol_text, "NAME",
	 "what perplexity means: m2d2, disjoint, strided:S, lm-eval; masked, for a masked language model its default"},
	{0, "context", OPT_INT, &context, "N", "tokens in a window; 0: the model's positions, at most 1024", .max = 1 << 24},
	{0, "by-class", OPT_STRING, &classes_path, "FILE", "write what each class of tokens adds to the nll", .unrecorded = true},
	{0, "counts", OPT_STRING, &counts_path, "FILE.tok", "text by which --by-class finds words frequent; default: each its own"},
	{0, "rank", OPT_STRING, &ranks_path, "FILE", "write the ranks of the true tokens", .unrecorded = true},
	{0, "ngrams", OPT_STRING, &ngrams_path, "FILE", "n-grams of each domain whose ranks are written, too", .unrecorded = true},
	{0, "per-window", OPT_STRING, &windows_path, "FILE", "write what each window scored", .unrecorded = true},
	{0, "windows", OPT_INT, &windows, "N", "score N random windows of each text; 0: all"},
	{0, "reference", OPT_STRING, &reference_path, "FILE",
	 "windows of another model, from --per-window, to estimate from", .unrecorded = true},
	{0, "until", OPT_REAL, &until, "E", "with --reference: random windows, until the estimate is this exact, in nats"},
	{0, "known", OPT_LIST, &known_paths, "ROWS.tsv", "copy rows that were measured before; may be repeated", .unrecorded = true},
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

static struct tokenizer *tokenizer; /* the model's; NULL: it has none */
static struct word_bands *bands;    /* of --counts; NULL: each text has its own */
static struct atomic *classes, *ranks, *per_window;
static uint64_t work_done;          /* tokens of texts that are through */

/* A text, and what stands in the tables about it. */
struct job {
	struct text text;
	struct ngrams ngrams; /* of the domain */
	char *about;          /* the cells that every table begins with, and a tab */
	char *row;            /* the others of the row, once they are known */
	/* under way */
	uint64_t work;
	struct token_scores *scores; /* NULL: not wanted */
};

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
	if (how.protocol->needs_prefix)
		die_input("%s: neither tokenizer nor config.json name a token for the beginning or the end of a text, "
		          "which %s puts first", model_dir, how.protocol->name);
	return -1;
}

/* operand: NAME=FILE.tok, which is cut at the sign. */
static struct text open_text(char *operand, const struct model_config *config)
{
	char *equals = strchr(operand, '=');

	if (!equals)
		die_usage("'%s' is not NAME=FILE.tok", operand);
	*equals = 0;
	if (!tsv_is_clean(operand))
		die_usage("'%s' cannot be a name in a table", operand);
	return text_open(operand, equals + 1, &how, tokenizer ? tokenizer_fingerprint(tokenizer) : NULL, config->vocab_size,
	                 (uint64_t)windows, until > 0, (uint64_t)seed);
}

static void take_window(void *arg, const struct scored *s)
{
	struct job *j = arg;

	j->work += (uint64_t)s->window.length;
	for (int64_t t = 0; t < s->window.length && j->scores; t++)
		if (s->target[t] >= 0) {
			uint64_t at = s->window.place + (uint64_t)t;
			j->scores->nll[at] = s->nll[t];
			if (s->rank)
				j->scores->rank[at] = s->rank[t] + 1;
		}
	progress_update(work_done + j->work, NULL);
}

/* The tables beside the rows. */
static void put_tables(const struct job *j, const struct result *r)
{
	const struct text *t = &j->text;
	struct token_text *x = classes || j->ngrams.longest ? token_text_read(t->corpus->file[0], tokenizer) : NULL;

	if (classes) {
		struct word_bands *own = bands ? NULL : word_bands_of(x->text, x->n);
		put_classes(classes, j->about, j->scores, x, bands ? bands : own);
		word_bands_free(own);
	}
	if (ranks)
		put_ranks(ranks, j->about, j->scores, x, x && j->ngrams.longest ? &j->ngrams : NULL);
	if (per_window)
		put_windows(per_window, j->about, r->window_nll, t->targets, t->all);
	token_text_free(x);
}

static const char row_columns[] = "nll\ttargets\tbytes\twindows\tppl\tbpb\tstderr\twords\tword_ppl\tbyte_ppl";

static char *row_text(const struct text *t, const struct result *r)
{
	uint64_t size = tok_source_bytes(t->corpus->file[0]), words = 0;
	/* what all tokens would give, those too that are not scored */
	double bytes = (double)size, whole = r->nll / r->targets * (double)t->cut.tokens;

	if (tokenizer && token_text_possible(tokenizer))
		words = token_text_words(t->corpus->file[0], tokenizer);
	return xasprintf("%.17g\t%.0f\t%llu\t%llu\t%.17g\t%.17g\t%.17g\t%llu\t%.17g\t%.17g", r->nll, r->targets,
	                 (unsigned long long)size, (unsigned long long)r->windows, r->ppl,
	                 bytes > 0 ? whole / bytes / LN2 : 0, r->error,
	                 (unsigned long long)words, words > 0 ? exp(whole / (double)words) : 0, bytes > 0 ? exp(whole / bytes) : 0);
}

static void evaluate(const struct nn_model *m, struct job *j)
{
	if (classes || ranks)
		j->scores = token_scores_new(j->text.cut.tokens, ranks != NULL);
	struct result r = text_evaluate(m, &j->text, batch, ranks != NULL, take_window, j);
	put_tables(j, &r);
	j->row = row_text(&j->text, &r);
	token_scores_free(j->scores);
	result_free(&r);
}

/*
 * What must be equal for two rows to be comparable: "m2d2:1024", "strided:512:1024", "masked:7:512",
 * "disjoint:256,windows=100,seed=1,bf16".
 */
static char *protocol_name(void)
{
	char *sampled = windows ? xasprintf(",windows=%lld,seed=%lld", (long long)windows, (long long)seed) : xstrdup("");
	char *number = how.setting ? xasprintf(":%lld", (long long)how.setting) : xstrdup("");
	char *name = xasprintf("%s%s:%lld%s%s", how.protocol->name, number, (long long)context, sampled,
	                       strcmp(precision, "bf16") == 0 ? ",bf16" : "");

	free(number);
	free(sampled);
	return name;
}

static const char about_columns[] = "model\tmodel_hash\tdomain\tprotocol\tdata_hash";

static struct atomic *open_table(const char *path, const char *kind, const char *columns)
{
	struct atomic *a = atomic_open(path);

	tsv_begin(atomic_file(a), kind);
	atomic_printf(a, "%s\t%s\n", about_columns, columns);
	return a;
}

/* Those of each text's domain. */
static void read_ngrams(struct job *job, int n)
{
	struct tsv *t = tsv_read(ngrams_path, "ngrams");
	int domain = tsv_column(t, "domain"), column = tsv_column(t, "ngram");

	for (int row = 0; row < t->n_rows; row++) {
		const char *name = tsv_string(t, row, domain), *ngram = tsv_string(t, row, column);
		int i = 0;
		while (i < n && strcmp(job[i].text.name, name) != 0)
			i++;
		if (i < n && ngrams_add(&job[i].ngrams, ngram) < 0)
			tsv_die(t, row, "'%s' is no n-gram of at most %d words", ngram, NGRAM_MAX_WORDS);
	}
	for (int i = 0; i < n; i++)
		if (!job[i].ngrams.longest)
			warn("%s: has no n-grams of domain %s", t->name, job[i].text.name);
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

/* The cells that each text's lines begin with, its windows in the reference, and rows that are known: how many. */
static int look_up(struct job *job, int n, const char *name, const char *protocol)
{
	struct reference *reference = reference_path ? reference_read(reference_path) : NULL;
	struct known *known = known_read(known_paths.item, known_paths.n, row_columns);
	char model[HASH_HEX], data[HASH_HEX];
	uint8_t hash[HASH_BYTES];
	int found = 0;

	model_hash(model_dir, hash);
	hash_hex(hash, model);
	for (struct job *j = job; j < job + n; j++) {
		struct text *t = &j->text;
		struct wanted w = {.model_hash = model, .protocol = protocol, .data_hash = data, .sample = windows > 0,
		                   .until = until};

		hash_hex(t->corpus->hash, data);
		j->about = xasprintf("%s\t%s\t%s\t%s\t%s\t", name, model, t->name, protocol, data);
		if (reference) {
			t->reference = reference_nll(reference, t->name, protocol, data, t->targets, t->all);
			t->until = until;
			w.reference = text_reference_mean(t);
		}
		found += (j->row = known_find(known, &w)) != NULL;
	}
	if (known_paths.n && !progress_quiet)
		warn("%d of %d texts known, not measured again", found, n);
	known_free(known);
	reference_free(reference);
	return found;
}

static void check_usage(int n)
{
	const char *path[] = {output, classes_path, ranks_path, windows_path};
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
	if (!reference_path != !(until > 0))
		die_usage("--reference and --until go together");
	if (until > 0 && (windows || classes_path || ranks_path))
		die_usage("--until decides which windows are scored: it goes without --windows, --by-class and --rank");
	if (known_paths.n && (classes_path || ranks_path || windows_path))
		die_usage("--known has rows alone: it goes without --by-class, --rank and --per-window");
	for (int i = 0; i < 4; i++)
		to_stdout += path[i] && strcmp(path[i], "-") == 0;
	if (to_stdout > 1)
		die_usage("several tables to stdout: give -o FILE");
	how.protocol = protocol_parse(protocol_text, &how.setting);
}

/* What the model's configuration decides of a text's windows. */
static void set_protocol(const struct nn_model *m)
{
	bool masked = m->family->masked;

	if (masked && !option_given("protocol"))
		how.protocol = protocol_parse(protocol_text = "masked", &how.setting);
	if (masked != how.protocol->masked)
		die_input("%s: a %s predicts %s: no protocol %s", model_dir, m->config.architecture,
		          masked ? "masked tokens, not the next one" : "the next token, not masked ones", how.protocol->name);
	if (masked)
		masking_load(&masking, model_dir, m->config.vocab_size);
	how.masking = &masking;
	how.context = context = nn_context(m, model_dir, context);
	if (how.protocol->in_context && how.setting > context)
		die_usage("--protocol %s: windows of %lld tokens would leave some %s", protocol_text, (long long)context,
		          masked ? "folds empty" : "out");
	if (batch == 0)
		batch = context < BATCH_TOKENS ? BATCH_TOKENS / context : 1;
	how.prefix = find_prefix(&m->config);
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool), n = argc - first;
	uint8_t hash[HASH_BYTES];
	uint64_t total = 0;

	check_usage(n);
	char *name = model_name ? xstrdup(model_name) : path_last(model_dir);
	if (!tsv_is_clean(name))
		die_usage("'%s' cannot be a name in a table: give --name", name);

	if (tokenizer_fingerprint_of(model_dir, hash))
		tokenizer = tokenizer_load(model_dir);
	if ((classes_path || ngrams_path) && !(tokenizer && token_text_possible(tokenizer)))
		die_input("%s: has no tokenizer whose ids hold the whole text, which --by-class and --ngrams need", model_dir);
	th_device device = nn_start(device_name, threads);
	struct nn_model outline = nn_model_outline(model_dir), *model = NULL;
	set_protocol(&outline);

	struct job *job = xcalloc((size_t)n, sizeof *job);
	for (int i = 0; i < n; i++) {
		job[i].text = open_text(argv[first + i], &outline.config);
		for (int j = 0; j < i; j++)
			if (strcmp(job[i].text.name, job[j].text.name) == 0)
				die_usage("two texts are named '%s'", job[i].text.name);
	}
	if (counts_path)
		read_counts();
	char *protocol = protocol_name();
	if (look_up(job, n, name, protocol) < n)
		model = nn_model_load(model_dir, device, strcmp(precision, "bf16") == 0 ? TH_BF16 : TH_F32, false);

	struct atomic *out = open_table(output, "rows", row_columns);
	if (classes_path)
		classes = open_table(classes_path, "classes", classes_columns);
	if (ngrams_path)
		read_ngrams(job, n);
	if (ranks_path)
		ranks = open_table(ranks_path, "ranks", ranks_columns);
	if (windows_path)
		per_window = open_table(windows_path, "windows", windows_columns);
	for (int i = 0; i < n; i++)
		total += job[i].row ? 0 : job[i].text.work;
	progress_start("evaluating", "tokens", total);
	for (struct job *j = job; j < job + n; j++) {
		if (!j->row) {
			evaluate(model, j);
			work_done += j->text.work; /* of a sample that was enough, the rest, too */
		}
		atomic_printf(out, "%s%s\n", j->about, j->row);
		text_close(&j->text);
		ngrams_free(&j->ngrams);
		free(j->about);
		free(j->row);
	}
	progress_end();
	if (classes)
		atomic_commit(classes);
	if (ranks)
		atomic_commit(ranks);
	if (per_window)
		atomic_commit(per_window);
	atomic_commit(out);
	close_stdout();

	free(job);
	free(protocol);
	free(name);
	word_bands_free(bands);
	tokenizer_free(tokenizer);
	nn_model_free(model);
	th_shutdown();
	return EXIT_DONE;
}
