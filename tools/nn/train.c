#include "nn/train.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/checked.h"
#include "lib/die.h"
#include "lib/json.h"
#include "lib/modeldir.h"
#include "lib/outdir.h"
#include "lib/progress.h"
#include "nn/runtime.h"
#include "nn/score.h"
#include "nn/state.h"

#define STATE "state.safetensors"
#define BEST "best.safetensors"
#define LOG "train.log.jsonl"
#define SAVE_SECONDS 600

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- signals ---- */

static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP};
static struct sigaction before[sizeof stop_signals / sizeof *stop_signals];
static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
	stop_signal = sig;
}

/* A signal that is ignored (nohup) stays so. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof stop_signals / sizeof *stop_signals; i++)
		if (!sigaction(stop_signals[i], NULL, &before[i]) && before[i].sa_handler != SIG_IGN)
			sigaction(stop_signals[i], &action, NULL);
}

/* What comes after the last step saves nothing: it can be ended at once. */
static void release_signals(void)
{
	for (size_t i = 0; i < sizeof stop_signals / sizeof *stop_signals; i++)
		sigaction(stop_signals[i], &before[i], NULL);
}

/* Ends by the signal itself, so that make, the shell and a batch system see what happened. */
static _Noreturn void end_by_signal(int sig)
{
	signal(sig, SIG_DFL);
	raise(sig);
	_exit(128 + sig);
}

/* ---- state ---- */

/* Counters are stored as 8-byte integers, losses as f64. */
struct counters {
	int64_t step, validated, updates, best_step, log_bytes;
	uint64_t tokens;
	double loss, loss_sum, valid_loss, best_loss;
};

static const struct {
	const char *name;
	enum st_dtype dtype;
	size_t offset;
} counter[] = {
	{"step", ST_I64, offsetof(struct counters, step)},
	{"validated", ST_I64, offsetof(struct counters, validated)},
	{"updates", ST_I64, offsetof(struct counters, updates)},
	{"tokens", ST_U64, offsetof(struct counters, tokens)},
	{"log_bytes", ST_I64, offsetof(struct counters, log_bytes)},
	{"best_step", ST_I64, offsetof(struct counters, best_step)},
	{"loss", ST_F64, offsetof(struct counters, loss)},
	{"loss_sum", ST_F64, offsetof(struct counters, loss_sum)},
	{"valid_loss", ST_F64, offsetof(struct counters, valid_loss)},
	{"best_loss", ST_F64, offsetof(struct counters, best_loss)},
};
#define N_COUNTERS (sizeof counter / sizeof *counter)

/* A step whose loss and norm are still to be read. */
struct outcome {
	int64_t step; /* 0: there is none */
	uint64_t tokens;
	double epoch, lr;
	th_fetch *loss, *norm;
};

/* A pass of one whole micro-batch. */
struct pass {
	th_tensor *id, *target; // (N, T), (N T)
	double scale;
	struct nn_dropout dropout;
	th_graph *graph; /* NULL: none yet */
};

struct loop {
	struct training *t;
	FILE *log;
	char *log_path;
	struct shuffle shuffle;
	int64_t epoch_steps, validated; /* the step that was last validated */
	double started, last_save;
	int64_t *id, *target;
	th_tensor *loss; /* of the step at hand: the sum over its passes, () f64 on the device */
	struct outcome open;
	struct pass pass;
};

/* ---- the log: what does not depend on time, so that its bytes are the same interrupted or not ---- */

static void put_member(FILE *out, const char *name, double value)
{
	fprintf(out, "%s\"%s\": ", strcmp(name, "step") == 0 ? "{" : ", ", name);
	json_put_real(out, value);
}

static void end_line(struct loop *l)
{
	fputs("}\n", l->log);
	if (fflush(l->log))
		die("cannot write %s:", l->log_path);
}

/* Reads what is still to be read, and logs it. Not finite: exit 1. */
static void settle(struct loop *l)
{
	struct outcome *o = &l->open;
	double loss, norm;

	if (!o->step)
		return;
	th_fetch_end(o->loss, &loss);
	th_fetch_end(o->norm, &norm);
	if (!isfinite(loss))
		die("loss is %s: step %lld", isnan(loss) ? "not a number" : "infinite", (long long)o->step);
	if (!isfinite(norm))
		die("gradient norm is %s: step %lld", isnan(norm) ? "not a number" : "infinite", (long long)o->step);
	l->t->loss = loss;
	l->t->loss_sum += loss;
	put_member(l->log, "step", (double)o->step);
	put_member(l->log, "epoch", o->epoch);
	put_member(l->log, "tokens", (double)o->tokens);
	put_member(l->log, "loss", loss);
	put_member(l->log, "lr", o->lr);
	put_member(l->log, "grad_norm", norm);
	end_line(l);
	o->step = 0;
}

/* The log goes to disk before the state that counts its bytes. */
static void save(struct loop *l)
{
	struct training *t = l->t;
	struct st_tensor extra[1 + N_COUNTERS];
	char *path = path_join(t->staging, STATE);

	settle(l);
	struct counters c = {t->step, l->validated, t->optim->updates, t->best_step, ftell(l->log), t->tokens, t->loss,
	                     t->loss_sum, t->valid_loss, t->best_loss};
	if (fflush(l->log) || fsync(fileno(l->log)))
		die("cannot write %s:", l->log_path);
	extra[0] = (struct st_tensor){"run", ST_U8, 1, {HASH_BYTES}, t->run, HASH_BYTES};
	for (size_t i = 0; i < N_COUNTERS; i++)
		extra[1 + i] = state_scalar(counter[i].name, counter[i].dtype, (const char *)&c + counter[i].offset);
	state_write(path, t->optim, true, extra, 1 + N_COUNTERS);
	free(path);
	l->last_save = now();
}

/* Temporary files of a process that was killed. */
static void remove_leftovers(const char *staging)
{
	DIR *dir = opendir(staging);

	if (!dir)
		die("cannot read %s:", staging);
	for (struct dirent *e; (e = readdir(dir));) {
		char *path = path_join(staging, e->d_name);
		if (strstr(e->d_name, ".tmp.") && unlink(path))
			die("cannot remove %s:", path);
		free(path);
	}
	closedir(dir);
}

/* Goes on from the saved state, if there is one of this run. False: start at the beginning, in an empty directory. */
static bool resume(struct loop *l)
{
	struct training *t = l->t;
	char *path = path_join(t->staging, STATE);
	struct stat st;
	bool same = false, there = access(path, F_OK) == 0;

	if (there) {
		struct st_file *f = st_open(path);
		const struct st_tensor *run = st_find(f, "run");
		struct counters c = {0};

		same = run && run->bytes == HASH_BYTES && memcmp(run->data, t->run, HASH_BYTES) == 0;
		if (same) {
			for (size_t i = 0; i < N_COUNTERS; i++)
				state_get_scalar(f, counter[i].name, counter[i].dtype, (char *)&c + counter[i].offset);
			same = stat(l->log_path, &st) == 0 && st.st_size >= c.log_bytes;
		}
		if (same) {
			state_get_params(f, t->model->params);
			state_get_moments(f, t->optim, false);
			nn_cast(t->model);
			t->step = c.step;
			l->validated = c.validated;
			t->tokens = t->tokens_before = c.tokens;
			t->loss = c.loss;
			t->loss_sum = c.loss_sum;
			t->valid_loss = c.valid_loss;
			t->best_loss = c.best_loss;
			t->best_step = c.best_step;
			if (truncate(l->log_path, c.log_bytes))
				die("cannot write %s:", l->log_path);
		}
		st_close(f);
	}
	if (same) {
		remove_leftovers(t->staging);
	} else {
		dir_empty(t->staging);
		if (there)
			warn("%s: is of a run with other options or inputs: starting over", path);
	}
	free(path);
	return same;
}

/* ---- the loop ---- */

int64_t train_epoch_steps(const struct corpus *c, int64_t context, int64_t batch)
{
	uint64_t blocks = corpus_tokens(c) / (uint64_t)context;

	return (int64_t)((blocks + (uint64_t)batch - 1) / (uint64_t)batch);
}

static uint64_t blocks_before(const struct loop *l, int64_t step)
{
	uint64_t within = (uint64_t)(step % l->epoch_steps) * (uint64_t)l->t->opt->batch;

	return (uint64_t)(step / l->epoch_steps) * l->shuffle.blocks + within;
}

/* The n blocks of a step, and what is to be predicted. Returns the number of targets. */
static int64_t fill_batch(struct loop *l, int64_t n)
{
	struct training *t = l->t;
	const struct train_options *opt = t->opt;
	int64_t T = opt->context, epoch = t->step / l->epoch_steps, targets = 0;
	uint64_t first = (uint64_t)(t->step % l->epoch_steps) * (uint64_t)opt->batch;

	for (int64_t i = 0; i < n; i++)
		shuffle_block(&l->shuffle, epoch, first + (uint64_t)i, l->id + i * T);
	if (!opt->masking) {
		next_token_targets(l->id, n, T, l->target);
		return n * (T - 1);
	}
	for (int64_t i = 0; i < n; i++)
		targets += mask_block(opt->masking, opt->seed, hash_number(t->corpus->hash), (uint64_t)t->step, (uint64_t)i, T,
		                      l->id + i * T, l->target + i * T);
	return targets;
}

static bool drops(const struct nn_dropout *d)
{
	return d->embd > 0 || d->attn > 0 || d->resid > 0;
}

static void forward_and_back(struct loop *l, th_tensor *id, th_tensor *target, double scale, const struct nn_dropout *dropout)
{
	th_tensor *loss = nn_loss(l->t->model, id, target, scale, drops(dropout) ? dropout : NULL);

	th_backward(loss);
	th_add_(l->loss, loss);
}

static void pass_body(void *arg)
{
	struct loop *l = arg;

	th_scope_open();
	forward_and_back(l, l->pass.id, l->pass.target, l->pass.scale, &l->pass.dropout);
	nn_sum_grads(l->t->model);
	th_scope_close();
}

/*
 * What it reads and writes has to stay where it is: the parameters and their copies do, ids and targets come into
 * tensors of its own, the loss and the sums of gradients are there before. The scale is that of a whole batch. What the
 * passes to warm up leave behind is cleared when the step begins.
 */
static void capture_pass(struct loop *l, double scale, const struct nn_dropout *dropout)
{
	struct training *t = l->t;
	int64_t n = t->opt->micro_batch, T = t->opt->context;

	if (!l->pass.id) {
		l->pass.id = th_zeros(TH_I64, t->model->device, 2, (int64_t[]){n, T});
		l->pass.target = th_zeros(TH_I64, t->model->device, 1, (int64_t[]){n * T});
	}
	l->pass.scale = scale;
	l->pass.dropout = *dropout;
	nn_sums_start(t->model);
	nn_error_note(" (--graph off does without captured graphs)");
	l->pass.graph = th_graph_record(t->model->device, pass_body, l);
	nn_error_note("");
}

/* Gives back what a pass of the graph takes, which passes outside of it cannot use. The next whole batch captures again. */
static void drop_graph(struct loop *l)
{
	if (l->pass.graph)
		th_device_sync(l->t->model->device); /* which may be at it */
	th_graph_free(l->pass.graph);
	l->pass.graph = NULL;
}

bool train_can_graph(const struct nn_model *m, const struct train_options *opt)
{
	return th_graph_possible(m->device) && !opt->masking && !(m->recompute && drops(&opt->dropout));
}

/* Blocks first .. first + n - 1 of the batch, of which there are `all`. Adds to the loss and to the gradients. */
static void micro_step(struct loop *l, int64_t first, int64_t n, int64_t all, double scale, const struct nn_dropout *dropout)
{
	struct training *t = l->t;
	const th_device cpu = {0, 0};
	int64_t T = t->opt->context;

	th_scope_open();
	th_tensor *id = th_from_host(l->id + first * T, TH_I64, cpu, 2, (int64_t[]){n, T});
	th_tensor *target = th_from_host(l->target + first * T, TH_I64, cpu, 1, (int64_t[]){n * T});
	if (t->opt->graph && all == t->opt->batch && n == t->opt->micro_batch) {
		th_copy_(l->pass.id, th_to_device(id, t->model->device));
		th_copy_(l->pass.target, th_to_device(target, t->model->device));
		th_graph_replay(l->pass.graph, t->model->device, nn_dropout_key(dropout, -1, 0));
	} else {
		forward_and_back(l, id, target, scale, dropout);
	}
	th_scope_close();
	if (t->opt->graph)
		nn_sum_grads(t->model);
	else if (n < all)
		nn_gather_grads(t->model);
}

static double rate_at(const struct train_options *opt, int64_t step)
{
	double factor = schedule_factor(opt->schedule, step, opt->steps, opt->warmup, opt->decay);

	return opt->lr_floor + (opt->lr - opt->lr_floor) * factor;
}

/*
 * The update from the gradients at hand. Late, the host queues it before it knows of this step's loss, then waits for
 * that of the step before: it is never more than one step ahead of the device. If the loss or the norm is not finite,
 * the device skips the update, and the host will end the tool, before anything is saved.
 */
static void update(struct loop *l, int64_t n)
{
	struct training *t = l->t;
	th_tensor *norm = optim_clip(t->optim, t->opt->clip);
	struct outcome now = {.step = t->step + 1, .tokens = t->tokens + (uint64_t)n * (uint64_t)t->opt->context,
	                      .epoch = (double)blocks_before(l, t->step + 1) / (double)l->shuffle.blocks,
	                      .lr = rate_at(t->opt, t->step),
	                      .loss = th_fetch_start(l->loss, TH_F64), .norm = th_fetch_start(norm, TH_F64)};

	if (t->opt->late) {
		th_scope_open();
		optim_step(t->optim, now.lr, th_not_finite(th_add(l->loss, norm)));
		th_scope_close();
		settle(l);
		l->open = now;
	} else {
		l->open = now;
		settle(l);
		optim_step(t->optim, now.lr, NULL);
	}
	t->step++;
	t->tokens = now.tokens;
}

/* One optimiser step. False if a signal came first: then nothing has changed. */
static bool step(struct loop *l)
{
	struct training *t = l->t;
	const struct train_options *opt = t->opt;
	struct nn_dropout dropout = opt->dropout;
	uint64_t left = l->shuffle.blocks - (uint64_t)(t->step % l->epoch_steps) * (uint64_t)opt->batch;
	int64_t n = left < (uint64_t)opt->batch ? (int64_t)left : opt->batch, targets = fill_batch(l, n);
	double scale = 1 / (double)(targets ? targets : 1); /* where chance masks nothing, the loss is 0 */

	dropout.seed = opt->seed;
	dropout.domain = hash_number(t->corpus->hash);
	dropout.step = (uint64_t)t->step;
	dropout.micro_step = 0;
	if (opt->graph && n < opt->batch)
		drop_graph(l);
	else if (opt->graph && !l->pass.graph)
		capture_pass(l, scale, &dropout);
	if (opt->graph)
		nn_sums_start(t->model);
	th_zero_(l->loss);
	for (int64_t done = 0; done < n; dropout.micro_step++) {
		int64_t some = n - done < opt->micro_batch ? n - done : opt->micro_batch;
		micro_step(l, done, some, n, scale, &dropout);
		done += some;
		if (stop_signal && done < n) {
			nn_zero_grads(t->model);
			return false;
		}
	}
	update(l, n);
	return true;
}

/* The validation text in windows of the context. */
static struct cut cut_valid(const struct training *t)
{
	int64_t setting;
	const struct protocol *p = protocol_parse(t->opt->masking ? "masked" : "disjoint", &setting);
	struct cut c = cut_text(p, setting, t->valid, t->opt->context, -1);

	c.masking = t->opt->masking;
	return c;
}

bool train_can_validate(const struct training *t)
{
	struct cut c = cut_valid(t);
	uint64_t i = 0, n = cut_windows(&c);

	while (i < n && cut_window(&c, i).targets == 0)
		i++;
	return i < n;
}

static bool is_due(const struct loop *l)
{
	const struct training *t = l->t;

	return t->valid && l->validated < t->step &&
	       (t->step == t->opt->steps || (t->opt->eval_every && t->step % t->opt->eval_every == 0));
}

/*
 * False if a signal came first: then nothing has changed. best.safetensors may be of a later step than the state: the
 * steps between, done again, end in the same file.
 */
static bool validate(struct loop *l)
{
	struct training *t = l->t;
	struct cut c = cut_valid(t);

	settle(l);
	double loss = score_mean(t->model, &c, t->opt->micro_batch, &stop_signal);
	if (!isfinite(loss) && stop_signal)
		return false;
	if (!isfinite(loss))
		die("loss in validation is %s: step %lld", isnan(loss) ? "not a number" : "infinite", (long long)t->step);
	t->valid_loss = loss;
	l->validated = t->step;
	put_member(l->log, "step", (double)t->step);
	put_member(l->log, "valid_loss", t->valid_loss);
	end_line(l);
	if (isnan(t->best_loss) || t->valid_loss < t->best_loss) {
		t->best_loss = t->valid_loss;
		t->best_step = t->step;
		if (t->opt->keep_best) {
			char *path = path_join(t->staging, BEST);
			nn_params_save(t->model->params, path, ST_F32, "param.", NULL);
			free(path);
		}
	}
	return true;
}

static void take_best(struct training *t)
{
	char *path = path_join(t->staging, BEST);
	struct st_file *f = st_open(path);

	state_get_params(f, t->model->params);
	nn_cast(t->model);
	st_close(f);
	free(path);
}

void train(struct training *t)
{
	const struct train_options *opt = t->opt;
	struct loop l = {.t = t, .started = now()};
	char note[32];

	l.log_path = path_join(t->staging, LOG);
	l.shuffle = shuffle_make(t->corpus, opt->context, opt->seed);
	l.epoch_steps = train_epoch_steps(t->corpus, opt->context, opt->batch);
	l.id = xcalloc((size_t)(opt->batch * opt->context), sizeof *l.id);
	l.target = xcalloc((size_t)(opt->batch * opt->context), sizeof *l.target);
	l.loss = th_zeros(TH_F64, t->model->device, 0, NULL);
	t->valid_loss = t->best_loss = (double)NAN;
	bool resumed = resume(&l);
	modeldir_copy(t->from, t->staging);
	l.log = fopen(l.log_path, resumed ? "ab" : "wb");
	if (!l.log || fseek(l.log, 0, SEEK_END))
		die("cannot write %s:", l.log_path);
	l.last_save = now();
	if (resumed && !progress_quiet)
		fprintf(stderr, "%s: going on after step %lld of %lld\n", tool_name, (long long)t->step, (long long)opt->steps);

	catch_signals();
	progress_start("training", "tokens", blocks_before(&l, opt->steps) * (uint64_t)opt->context);
	progress_update(t->tokens, NULL);
	while (t->step < opt->steps || is_due(&l)) {
		bool whole = is_due(&l) ? validate(&l) : step(&l);
		int sig = stop_signal; /* looked at once: whoever ends has saved */
		snprintf(note, sizeof note, "loss %.3f", t->loss);
		progress_update(t->tokens, t->loss > 0 ? note : NULL); /* the first may still be under way */
		if (sig || (t->step < opt->steps && !is_due(&l) && (opt->save_every ? whole && t->step % opt->save_every == 0
		                                                                    : now() - l.last_save >= SAVE_SECONDS)))
			save(&l);
		if (sig) {
			progress_clear();
			fprintf(stderr, "%s: stopped by a signal: step %lld of %lld is saved in %s\n", tool_name, (long long)t->step,
			        (long long)opt->steps, t->staging);
			end_by_signal(sig);
		}
	}
	release_signals();
	settle(&l);
	progress_end();
	if (fflush(l.log) || fsync(fileno(l.log)) || fclose(l.log))
		die("cannot write %s:", l.log_path);
	t->seconds = now() - l.started;
	if (opt->keep_best && t->best_step != t->step)
		take_best(t);
	drop_graph(&l);
	shuffle_free(&l.shuffle);
	free(l.log_path);
	free(l.id);
	free(l.target);
}

void train_clean(const char *staging)
{
	static const char *const names[] = {STATE, BEST};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *path = path_join(staging, names[i]);
		if (unlink(path) && errno != ENOENT)
			die("cannot remove %s:", path);
		free(path);
	}
}
