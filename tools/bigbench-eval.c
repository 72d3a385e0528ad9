/* bigbench-eval: how well a model does JSON tasks of BIG-bench. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/atomic.h"
#include "lib/bigbench.h"
#include "lib/bigbench_score.h"
#include "lib/checked.h"
#include "lib/die.h"
#include "lib/hash.h"
#include "lib/model.h"
#include "lib/options.h"
#include "lib/progress.h"
#include "lib/tokenizer.h"
#include "lib/tsv.h"
#include "lib/utf8.h"
#include "nn/continue.h"
#include "nn/family.h"
#include "nn/kv_cache.h"
#include "nn/runtime.h"

#define MAX_SHOTS 1000

static const char *model_dir, *model_name, *output = "-", *samples_path, *shots_text = "0", *precision = "f32", *device_name = "auto";
static int64_t max_examples, seed = 42, max_length = 256, batch = 4096, threads;
static bool no_cache;

static const struct option options[] = {
	{'m', "model", OPT_STRING, &model_dir, "MODEL_DIR", "model to evaluate", .unrecorded = true},
	{'o', "output", OPT_STRING, &output, "FILE", "write the table to FILE", .unrecorded = true},
	{0, "name", OPT_STRING, &model_name, "NAME", "the model's name in the table; default: MODEL_DIR's last part",
	 .unrecorded = true},
	{0, "shots", OPT_STRING, &shots_text, "LIST", "examples with their answers that stand before a question: 0,1,2"},
	{0, "max-examples", OPT_INT, &max_examples, "N", "questions of a task, or of a group shared out over its tasks; 0: all",
	 .max = 1 << 24},
	{0, "seed", OPT_INT, &seed, "S", "of the choice of questions and shots, and of the order of choices", .max = 4294967295.0},
	{0, "max-length", OPT_INT, &max_length, "N", "tokens in a generated text, and characters that count of it",
	 .min = 1, .max = 1 << 20},
	{0, "samples", OPT_STRING, &samples_path, "FILE", "write each prompt and what the model made of it to FILE, as JSON Lines",
	 .unrecorded = true},
	{0, "precision", OPT_CHOICE, &precision, "NAME", "of the computation", "f32|bf16"},
	{0, "no-cache", OPT_FLAG, &no_cache, NULL,
	 "compute all that stands before a token anew for each, to check the cache", .unrecorded = true},
	{0, "batch", OPT_INT, &batch, "N", "tokens that go through the model at once, about", .min = 1, .max = 1 << 24,
	 .unrecorded = true},
	{0, "device", OPT_STRING, &device_name, "NAME", "auto, cpu, cuda or cuda:N", .unrecorded = true},
	{0, "threads", OPT_INT, &threads, "N", "processor threads; 0: as many as libtorch takes", .max = 4096, .unrecorded = true},
	{0},
};

static const struct tool tool = {"bigbench-eval", "how well a model does JSON tasks of BIG-bench",
                                 "-m MODEL_DIR [options] TASK.json...", options};

static int64_t *shots;
static int n_shots;

static struct nn_model *model;
static struct tokenizer *tokenizer;
static struct tok_scratch *scratch;
static struct continue_options how;
static FILE *samples; /* NULL: not wanted */
static uint64_t done;

/* What came out of one task and number of shots. */
struct outcome {
	struct bb_result *result;
	int n, cap;
	size_t examples, cut;
	bool computed; /* the normalised score of the preferred metric */
	double normalized, error;
};

/* ---- the command line ---- */

static void parse_shots(void)
{
	char *text = xstrdup(shots_text);
	int cap = 0;

	for (char *p = text, *comma; p; p = comma ? comma + 1 : NULL) {
		int64_t k;
		comma = strchr(p, ',');
		if (comma)
			*comma = 0;
		if (!parse_i64(p, &k) || k < 0 || k > MAX_SHOTS)
			die_usage("bad value: --shots %s: not a list such as 0,1,2", shots_text);
		for (int i = 0; i < n_shots; i++)
			if (shots[i] == k)
				die_usage("bad value: --shots %s: %lld stands there twice", shots_text, (long long)k);
		GROW(shots, n_shots, cap);
		shots[n_shots++] = k;
	}
	free(text);
}

/* --max-examples of one task: the package's share for each of a group's. */
static size_t limit(const struct bb_suite *s, const struct bb_task *t)
{
	if (!max_examples || t->group < 0)
		return (size_t)max_examples;
	const struct bb_group *g = &s->group[t->group];
	if (max_examples < g->n)
		die_usage("--max-examples %lld is less than the tasks of %s: %d", (long long)max_examples, g->name, g->n);
	return (size_t)(max_examples / g->n);
}

/* ---- the model ---- */

/* prompt: with what the tokenizer puts before a text, such as Llama's <s>. */
static struct ids encode(const char *text, bool prompt)
{
	struct ids ids = {0};
	size_t before = 0;
	const uint32_t *affix = prompt ? tokenizer_affix(tokenizer, false, &before) : NULL;

	for (size_t i = 0; i < before; i++) {
		GROW(ids.id, ids.n, ids.cap);
		ids.id[ids.n++] = affix[i];
	}
	tokenizer_encode(tokenizer, scratch, text, strlen(text), &ids);
	for (size_t i = 0; i < ids.n; i++)
		if ((int64_t)ids.id[i] >= model->config.vocab_size)
			die_input("%s: the tokenizer's id %u is beyond the model's vocabulary of %lld", model_dir, ids.id[i],
			          (long long)model->config.vocab_size);
	return ids;
}

/* Log-likelihoods of n texts behind a prompt; you free() them. */
static double *likelihoods(const struct ids *prompt, const char *const *text, int n, bool *cut)
{
	struct ids *ids = xcalloc((size_t)n, sizeof *ids);
	double *sum = xcalloc((size_t)n, sizeof *sum);

	for (int i = 0; i < n; i++)
		ids[i] = encode(text[i], false);
	*cut |= nn_continuations(model, prompt, ids, (size_t)n, &how, sum) > 0;
	for (int i = 0; i < n; i++) {
		if (!isfinite(sum[i]))
			die("log-likelihood is not finite: '%s'", text[i]);
		free(ids[i].id);
	}
	free(ids);
	progress_update(++done, NULL);
	return sum;
}

struct generated {
	char *bytes;
	size_t n, cap;
};

struct generation {
	const struct bb_task *task;
	struct generated *text;
};

static void put_bytes(struct generated *g, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		GROW(g->bytes, g->n, g->cap);
		g->bytes[g->n++] = bytes[i];
	}
}

/* The answer, if the text were to end here, or would be whole characters only with more of it. */
static char *answer(const struct bb_task *t, const struct generated *g, bool ends, bool *final)
{
	char *text = utf8_repaired(g->bytes, g->n, ends), *a = bb_response(t, text, (size_t)max_length, final);

	free(text);
	return a;
}

static bool take(void *arg, size_t which, int64_t id)
{
	struct generation *g = arg;
	struct generated *text = &g->text[which];
	size_t n;
	bool final;

	if (id < (int64_t)tokenizer_vocab(tokenizer) && tokenizer_is_text(tokenizer, (uint32_t)id)) {
		const char *bytes = tokenizer_bytes(tokenizer, (uint32_t)id, &n);
		put_bytes(text, bytes, n);
	}
	free(answer(g->task, text, false, &final));
	return final;
}

static void generate(const struct bb_task *t, const struct ids *prompt, struct bb_reply *r, size_t n, int64_t start)
{
	struct generation g = {t, xcalloc(n, sizeof *g.text)};
	struct ids *id = xcalloc(n, sizeof *id);
	uint32_t first = (uint32_t)start;
	bool final;

	for (size_t i = 0; i < n; i++) {
		id[i] = prompt[i].n ? prompt[i] : (struct ids){&first, 1, 1};
		if (!prompt[i].n && start < 0)
			die_input("%s: an empty prompt, and the model has no token that begins a text", t->path);
	}
	/* A part at a time, for the progress line. */
	size_t some = 64;
	for (size_t i = 0; i < n; i += some) {
		struct generation part = {t, g.text + i};
		nn_generate(model, id + i, n - i < some ? n - i : some, &how, take, &part);
		done += n - i < some ? n - i : some;
		progress_update(done, NULL);
	}
	for (size_t i = 0; i < n; i++) {
		r[i].response = answer(t, &g.text[i], true, &final);
		free(g.text[i].bytes);
	}
	free(g.text);
	free(id);
}

/* ---- one task ---- */

static void put_strings(const char *key, const char *const *s, int n)
{
	fprintf(samples, ", \"%s\": [", key);
	for (int i = 0; i < n; i++) {
		fputs(i ? ", " : "", samples);
		json_put_string(samples, s[i]);
	}
	putc(']', samples);
}

static void put_numbers(const char *key, const double *x, int n)
{
	fprintf(samples, ", \"%s\": [", key);
	for (int i = 0; i < n; i++) {
		fputs(i ? ", " : "", samples);
		json_put_real(samples, x[i]);
	}
	putc(']', samples);
}

static void put_sample(const struct bb_task *t, int64_t k, const struct bb_prompt *p, const struct bb_reply *r, bool cut)
{
	fputs("{\"task\": ", samples);
	json_put_string(samples, t->name);
	fprintf(samples, ", \"shots\": %lld, \"example\": %zu, \"prompt\": ", (long long)k, p->example);
	json_put_string(samples, p->text);
	fprintf(samples, ", \"cut\": %s", cut ? "true" : "false");
	put_strings("targets", r->example->target, r->example->n_targets);
	if (r->choice) {
		put_strings("choices", r->example->choice, r->example->n_choices);
		put_numbers("choice_log_likelihoods", r->choice, r->example->n_choices);
		fprintf(samples, ", \"choice\": %d", bb_best_choice(t, r));
	}
	if (r->target)
		put_numbers("target_log_likelihoods", r->target, r->example->n_targets);
	if (r->response) {
		fputs(", \"response\": ", samples);
		json_put_string(samples, r->response);
	}
	fputs("}\n", samples);
}

static struct outcome evaluate(const struct bb_task *t, int64_t k, size_t most, int64_t start)
{
	struct outcome out = {0};
	struct bb_prompt *p = bb_prompts(t, k, (uint32_t)seed, most, &out.examples);
	size_t n = out.examples;
	struct bb_reply *r = xcalloc(n, sizeof *r);
	struct ids *ids = xcalloc(n, sizeof *ids);
	bool *cut = xcalloc(n, sizeof *cut);

	for (size_t i = 0; i < n; i++) {
		const struct bb_example *e = r[i].example = &t->example[p[i].example];
		ids[i] = encode(p[i].text, true);
		if (bb_chooses(t))
			r[i].choice = likelihoods(&ids[i], e->choice, e->n_choices, &cut[i]);
		if (bb_scores_targets(t))
			r[i].target = likelihoods(&ids[i], e->target, e->n_targets, &cut[i]);
		cut[i] |= bb_generates(t) && (int64_t)ids[i].n > model->positions - 1;
	}
	if (bb_generates(t))
		generate(t, ids, r, n, start);
	for (int i = 0; i < t->n_metrics; i++) {
		struct bb_result found[BB_MAX_RESULTS];
		int some = bb_score(t, t->metric[i], r, n, found);
		for (int j = 0; j < some; j++) {
			GROW(out.result, out.n, out.cap);
			out.result[out.n++] = found[j];
		}
	}
	for (size_t i = 0; i < n; i++) {
		out.cut += cut[i];
		if (samples)
			put_sample(t, k, &p[i], &r[i], cut[i]);
		free(r[i].choice);
		free(r[i].target);
		free(r[i].response);
		free(ids[i].id);
	}
	free(cut);
	free(ids);
	free(r);
	bb_free_prompts(p, n);
	return out;
}

/* ---- the table ---- */

struct table {
	FILE *out;
	const char *model, *hash;
	char *protocol;
};

/* One line. NaN: nothing to say. */
struct row {
	const char *task;
	const uint8_t *hash;
	int tasks; /* of a group; 0: a single one */
	int64_t shots;
	const char *metric;
	bool preferred;
	double score, low, high, normalized, error;
	size_t examples, total, cut;
};

static void put_cell(FILE *out, double x)
{
	if (isnan(x))
		fputs("-\t", out);
	else
		fprintf(out, "%.17g\t", x);
}

static void put_row(const struct table *t, const struct row *r)
{
	char hash[HASH_HEX];

	hash_hex(r->hash, hash);
	fprintf(t->out, "%s\t%s\t%s\t%s\t%d\t%lld\t%s\t%s\t", t->model, t->hash, r->task, hash, r->tasks,
	        (long long)r->shots, r->metric, r->preferred ? "yes" : "no");
	put_cell(t->out, r->score);
	put_cell(t->out, r->low);
	put_cell(t->out, r->high);
	put_cell(t->out, r->normalized);
	put_cell(t->out, r->error);
	fprintf(t->out, "%zu\t%zu\t%zu\t%s\n", r->examples, r->total, r->cut, t->protocol);
}

static void put_task(const struct table *table, const struct bb_task *t, int64_t k, struct outcome *out)
{
	struct row row = {.task = t->name, .hash = t->hash, .shots = k, .examples = out->examples,
	                  .total = t->n_examples, .cut = out->cut};
	bool found = false;

	for (int i = 0; i < out->n; i++) {
		const struct bb_result *r = &out->result[i];
		row.metric = r->name;
		row.preferred = strcmp(r->name, t->preferred) == 0;
		row.score = r->computed ? r->score : (double)NAN;
		row.error = r->computed ? r->error : (double)NAN;
		row.low = row.high = row.normalized = (double)NAN;
		/* Less is better there, so they are put on the scale only if the task says so. */
		bool falls = strcmp(r->name, "calibration_multiple_choice_brier_score") == 0 ||
		             strcmp(r->name, "expected_calibration_error") == 0;
		if (bb_range(t, r->name, &row.low, &row.high) && (row.preferred || !falls))
			row.normalized = (row.score - row.low) / (row.high - row.low) * 100;
		put_row(table, &row);
		if (!r->computed) {
			progress_clear();
			warn("%s: %s is not computed: %s", t->name, r->name, r->why);
		}
		if (!row.preferred)
			continue;
		found = true;
		out->computed = !isnan(row.normalized);
		out->normalized = row.normalized;
		out->error = row.error / (row.high - row.low) * 100;
	}
	row.metric = BB_AGGREGATE;
	row.preferred = false;
	row.low = 0;
	row.high = 100;
	row.score = row.normalized = out->computed ? out->normalized : (double)NAN;
	row.error = out->computed ? out->error : (double)NAN;
	put_row(table, &row);
	if (!out->computed) {
		progress_clear();
		if (found)
			warn("%s: " BB_AGGREGATE " is not computed: %s has no score, or no scale", t->name, t->preferred);
		else
			warn("%s: " BB_AGGREGATE " is not computed: none of the metrics is %s", t->name, t->preferred);
	}
}

static const struct bb_result *find_result(const struct outcome *o, const char *name)
{
	for (int i = 0; i < o->n; i++)
		if (strcmp(o->result[i].name, name) == 0)
			return &o->result[i];
	return NULL;
}

/* Mean over the tasks that have the metric; NaN if it was not computed for one of them. */
static void mean_of_tasks(const struct bb_group *g, const struct outcome *o, const char *metric, struct row *row)
{
	double sum = 0, squares = 0;
	int n = 0;

	for (int i = 0; i < g->n; i++) {
		const struct bb_result *r = find_result(&o[(size_t)i * (size_t)n_shots], metric);
		if (!r)
			continue;
		sum += r->computed ? r->score : (double)NAN;
		squares += r->computed ? r->error * r->error : (double)NAN;
		n++;
	}
	row->score = sum / n;
	row->error = sqrt(squares) / n;
}

static bool first_with(const struct outcome *o, int task, const char *metric)
{
	for (int i = 0; i < task; i++)
		if (find_result(&o[(size_t)i * (size_t)n_shots], metric))
			return false;
	return true;
}

/*
 * As add_aggregate_scores() of the package. o: of the group's first task with this number of shots; the next task's
 * lies n_shots further.
 */
static void put_group(const struct table *table, const struct bb_suite *s, const struct bb_group *g, int64_t k,
                      const struct outcome *o)
{
	struct row row = {.task = g->name, .hash = g->hash, .tasks = g->n, .shots = k};
	bool all_grade = true;
	double chance = 0, sum = 0, squares = 0;

	for (int i = 0; i < g->n; i++) {
		const struct bb_task *t = &s->task[g->first + i];
		const struct outcome *x = &o[(size_t)i * (size_t)n_shots];
		all_grade &= strcmp(t->preferred, "multiple_choice_grade") == 0;
		chance += t->chance / g->n;
		sum += x->computed ? x->normalized / g->n : (double)NAN;
		squares += x->computed ? x->error * x->error : (double)NAN;
		row.examples += x->examples;
		row.total += t->n_examples;
		row.cut += x->cut;
	}
	for (int i = 0; i < g->n; i++)
		for (int j = 0; j < o[(size_t)i * (size_t)n_shots].n; j++) {
			const char *metric = o[(size_t)i * (size_t)n_shots].result[j].name;
			if (!first_with(o, i, metric))
				continue;
			row.metric = metric;
			row.preferred = all_grade && strcmp(metric, "multiple_choice_grade") == 0;
			mean_of_tasks(g, o, metric, &row);
			row.low = row.preferred ? chance : (double)NAN;
			row.high = row.preferred ? 1 : (double)NAN;
			row.normalized = (row.score - row.low) / (row.high - row.low) * 100;
			put_row(table, &row);
		}
	row.metric = BB_AGGREGATE;
	row.preferred = !all_grade;
	row.low = 0;
	row.high = 100;
	row.score = row.normalized = sum;
	row.error = sqrt(squares) / g->n;
	put_row(table, &row);
	if (isnan(sum)) {
		progress_clear();
		warn("%s: " BB_AGGREGATE " is not computed: nor is that of each of its tasks", g->name);
	}
}

/* What must be equal for two scores to be comparable. */
static char *protocol_name(void)
{
	char *sampled = max_examples ? xasprintf(",examples=%lld", (long long)max_examples) : xstrdup("");
	char *name = xasprintf("bigbench:seed=%lld,length=%lld%s%s", (long long)seed, (long long)max_length, sampled,
	                       strcmp(precision, "bf16") == 0 ? ",bf16" : "");

	free(sampled);
	return name;
}

static void evaluate_all(const struct table *table, const struct bb_suite *s, int64_t start)
{
	struct outcome *o = xcalloc((size_t)s->n_tasks * (size_t)n_shots, sizeof *o);

	for (int i = 0; i < s->n_tasks; i++) {
		const struct bb_task *t = &s->task[i];
		for (int k = 0; k < n_shots; k++) {
			struct outcome *x = &o[(size_t)i * (size_t)n_shots + (size_t)k];
			*x = evaluate(t, shots[k], limit(s, t), start);
			put_task(table, t, shots[k], x);
		}
		const struct bb_group *g = t->group < 0 ? NULL : &s->group[t->group];
		for (int k = 0; g && i == g->first + g->n - 1 && k < n_shots; k++)
			put_group(table, s, g, shots[k], &o[(size_t)g->first * (size_t)n_shots + (size_t)k]);
	}
	for (size_t i = 0; i < (size_t)s->n_tasks * (size_t)n_shots; i++)
		free(o[i].result);
	free(o);
}

/* Prompts in all, counted once for each thing that is asked about them; and what can be known to go wrong before it begins. */
static uint64_t count_work(const struct bb_suite *s)
{
	uint64_t total = 0;

	for (int i = 0; i < s->n_tasks; i++) {
		const struct bb_task *t = &s->task[i];
		size_t most = limit(s, t), n = most && most < t->n_examples ? most : t->n_examples;
		for (int k = 0; k < n_shots; k++)
			if ((uint64_t)t->n_examples < (uint64_t)shots[k] + 1)
				die_input("%s: %zu distinct examples are too few for %lld shots", t->path,
				          t->n_examples, (long long)shots[k]);
		if (t->left_out)
			warn("%s: %zu examples are repeated and left out", t->path, t->left_out);
		total += (uint64_t)n * (uint64_t)n_shots * (uint64_t)(bb_generates(t) + bb_chooses(t) + bb_scores_targets(t));
	}
	return total;
}

static bool has_token(int64_t id)
{
	return id >= 0 && id < model->config.vocab_size;
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool), n = argc - first;
	struct bb_suite suite = {0};
	struct special_tokens special;
	uint8_t hash[HASH_BYTES];
	char hex[HASH_HEX];

	if (!model_dir)
		die_usage("-m is needed");
	if (n == 0)
		die_usage("no task given");
	if (samples_path && strcmp(samples_path, "-") == 0 && strcmp(output, "-") == 0)
		die_usage("the table and the samples to stdout: give -o FILE");
	parse_shots();
	char *name = model_name ? xstrdup(model_name) : path_last(model_dir);
	if (!tsv_is_clean(name))
		die_usage("'%s' cannot be a name in a table: give --name", name);
	for (int i = 0; i < n; i++)
		bb_read(&suite, argv[first + i], (uint32_t)seed);
	uint64_t work = count_work(&suite);

	tokenizer = tokenizer_load(model_dir);
	scratch = tok_scratch_new(tokenizer);
	tokenizer_specials(model_dir, &special);
	th_device device = nn_start(device_name, threads);
	model = nn_model_load(model_dir, device, strcmp(precision, "bf16") == 0 ? TH_BF16 : TH_F32, false);
	if (model->family->masked)
		die_input("%s: predicts masked tokens, not the next one", model_dir);
	model->positions = nn_most_tokens(model, model_dir);
	int64_t end = has_token(model->config.eos_token_id) ? model->config.eos_token_id : special.eos;
	how = (struct continue_options){batch, !no_cache && nn_can_cache(model), max_length, end};
	if (!no_cache && !how.cache)
		warn("%s: without a cache of keys and values for this kind of model: slow", model_dir);

	model_hash(model_dir, hash);
	hash_hex(hash, hex);
	struct atomic *out = atomic_open(output), *log = samples_path ? atomic_open(samples_path) : NULL;
	samples = log ? atomic_file(log) : NULL;
	struct table table = {atomic_file(out), name, hex, protocol_name()};
	tsv_begin(table.out, "bigbench");
	atomic_printf(out, "model\tmodel_hash\ttask\ttask_hash\ttasks\tshots\tmetric\tpreferred\tscore\tlow\thigh\t"
	                   "normalized\tstderr\texamples\ttotal\tcut\tprotocol\n");
	progress_start("evaluating", "prompts", work);
	evaluate_all(&table, &suite, end);
	progress_end();
	if (log)
		atomic_commit(log);
	atomic_commit(out);
	close_stdout();

	free(table.protocol);
	free(name);
	free(shots);
	bb_free(&suite);
	tok_scratch_free(scratch);
	tokenizer_free(tokenizer);
	nn_model_free(model);
	th_shutdown();
	return EXIT_DONE;
}
