#include "nn/estimate.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define LOGITS_BUDGET (256 << 20) /* as in the shim */
#define PART (1 << 22)            /* elements: what the optimiser converts at a time */
#define MEASURE_SECONDS 0.3

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Does it see both sides, and predict only the masked tokens, MASKED of all? */
#define MASKED 0.15
static bool is_masked(const struct model_config *c)
{
	return c->family == MODEL_BERT || c->family == MODEL_ROBERTA;
}

/* What the tensors of a model add up to. */
struct shape {
	double all;        /* elements */
	double embeddings; /* of tables that are computed with as they are */
	double head;       /* of the matrix that gives the logits */
	double products;   /* of matrices that a token is multiplied by, head included */
	double saved;      /* what one layer keeps of one token for the backward pass: elements */
	double widest;     /* of a layer's matrices: output */
};

/*
 * A layer keeps what goes into each matrix, norm, activation and the attention. That is: what comes out of each matrix (which one of
 * the others takes), of each norm, of the activation unless that is made again, and of the attention.
 */
static struct shape measure_tensors(const struct model_config *c)
{
	struct shape s = {0};
	size_t n = model_tensors(c);
	bool made_again = c->family == MODEL_GPT2 && c->activation == MODEL_GELU_TANH; /* th_gelu_tanh_affine() */

	s.head = (double)c->vocab_size * (double)c->n_embd;
	s.saved = (double)c->n_embd + (made_again ? 0 : (double)c->n_inner);
	s.products = s.head * (is_masked(c) ? MASKED : 1);
	for (size_t i = 0; i < n; i++) {
		struct model_tensor t;
		model_tensor(c, i, &t);
		bool matrix = t.n_dims == 2, first = strstr(t.name, ".0.");
		double size = (double)t.shape[0] * (matrix ? (double)t.shape[1] : 1), layers = (double)c->n_layer;
		double out = (double)(c->family == MODEL_GPT2 ? t.shape[1] : t.shape[0]);
		s.all += size;
		if (matrix && (strstr(t.name, "wte") || strstr(t.name, "wpe") || strstr(t.name, "embed")))
			s.embeddings += size;
		if (first && matrix) {
			s.products += layers * size;
			s.saved += out;
			s.widest = out > s.widest ? out : s.widest;
		} else if (first && !strstr(t.name, ".bias")) {
			s.saved += (double)c->n_embd;
		}
	}
	return s;
}

static double bytes_of(th_dtype dtype)
{
	return dtype == TH_F32 ? 4 : 2;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static void estimate_memory(struct estimate *e, const struct model_config *c, const struct shape *s,
                            const struct estimate_options *opt)
{
	double w = bytes_of(opt->weights), x = bytes_of(opt->compute), N = (double)(opt->micro_batch * opt->context);
	double C = (double)c->n_embd, layers = (double)c->n_layer, passes = (double)opt->batch / (double)opt->micro_batch;
	bool copies = opt->weights != opt->compute;
	/* A tied table is both taken as it is and copied for the head. */
	double copied = copies ? s->all - s->embeddings + (c->tie_word_embeddings ? s->head : 0) : 0;

	e->weights = w * s->all;
	e->copies = x * copied;
	e->moments = 2 * bytes_of(opt->moments) * s->all;
	/*
	 * Of one pass, in the type of what was computed with; of several, with their sums. On the cpu one pass adds what a
	 * table is taken for to its copy's gradient, row by row.
	 */
	double taken = s->embeddings - (passes <= 1 && c->tie_word_embeddings && !opt->device.cuda ? s->head : 0);
	e->gradients = copies ? x * copied + w * taken : w * s->all;
	double sums = passes > 1 ? (opt->weights == TH_F32 ? (copies ? 4 * (s->all - s->embeddings) : 0) : 4 * s->all) : 0;
	e->gradients += sums;

	double layer = N * (x * s->saved + 8 * (double)c->n_head + 16), passing = N * x * (2 * s->widest + 2 * C);
	double kept = opt->recompute ? layers * N * x * C + layer : layers * layer;
	e->activations = kept + 4 * N * x * C;
	double row = x * (double)c->vocab_size, rows = (double)LOGITS_BUDGET / row, scored = N * (is_masked(c) ? MASKED : 1);
	e->logits = row * (rows >= scored ? scored : rows < 1 ? 1 : rows);
	if (opt->device.cuda) /* beside them their logarithms in f32, made of a copy in f32 */
		e->logits *= opt->compute == TH_F32 ? 2 : 5;

	/*
	 * Not all of this is there at one time, but what the backward pass frees lies in pieces among what it has made,
	 * so it is as if it were. The gradient of a table that is taken and is the head, too, is there twice for a
	 * moment.
	 */
	double twice = copies || !c->tie_word_embeddings ? 0 : s->head * (opt->weights == TH_F32 ? 4 : 6);
	/* Parts in f32 of what is bf16: the weight, two moments, the gradient, which the cpu reads as it is if it is alone in that. */
	double part = 4 * (s->head < PART ? s->head : PART);
	int wide = (opt->weights != TH_F32) + 2 * (opt->moments != TH_F32);
	part *= wide + (opt->compute != TH_F32 && (wide || opt->device.cuda));
	/* The logits of a second pass find no room where the first one's were. */
	e->working = e->activations + passing + e->logits * (passes > 1 ? 2 : 1) + e->gradients + larger(twice, part);
	e->data = (double)opt->data_bytes;
	e->peak = e->program + e->data + e->weights + e->copies + e->working + (opt->offload && opt->device.cuda ? 0 : e->moments);

	e->state_file = e->weights + e->moments;
	e->model_file = bytes_of(opt->written) * s->all;
	e->optimizer_file = opt->keep_optimizer ? e->moments : 0;
}

/* Operations a second of the products of one pass through the widest layer, forward. */
static double measure_products(const struct estimate_options *opt, int64_t rows, int64_t in, int64_t out)
{
	double begin = 0, done = 0, seconds;

	th_no_grad_open();
	th_scope_open();
	th_tensor *x = th_full(0.5, opt->compute, opt->device, 2, (int64_t[]){rows, in});
	th_tensor *w = th_full(0.5, opt->compute, opt->device, 2, (int64_t[]){in, out});
	for (int i = 0; i < 2 || now() - begin < MEASURE_SECONDS; i++) {
		if (i == 1) /* the first one prepares */
			begin = now();
		th_scope_open();
		th_item(th_narrow(th_reshape(th_affine(x, w, NULL), 1, (int64_t[]){-1}), 0, 0, 1)); /* waits */
		th_scope_close();
		if (i >= 1)
			done += 2 * (double)rows * (double)in * (double)out;
	}
	seconds = now() - begin;
	th_scope_close();
	th_no_grad_close();
	return done / seconds;
}

/* Bytes read and written a second. */
static double measure_copies(const struct estimate_options *opt)
{
	int64_t n = 8 << 20;
	double begin, bytes = 0;

	th_scope_open();
	th_tensor *a = th_full(1, TH_F32, opt->device, 1, &n), *b = th_full(2, TH_F32, opt->device, 1, &n);
	for (begin = now(); now() - begin < MEASURE_SECONDS / 3; bytes += 8 * (double)n) {
		th_copy_(a, b);
		th_device_sync(opt->device);
	}
	th_scope_close();
	return bytes / (now() - begin);
}

static double peak_of_process(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return 1024 * (double)r.ru_maxrss;
}

/* What libtorch takes before there is a model: what the process has now, less what was measured with. */
static double program_bytes(double measured_with)
{
	double all = peak_of_process() - measured_with;

	return all > 0 ? all : 0;
}

static void estimate_time(struct estimate *e, const struct model_config *c, const struct shape *s,
                          const struct estimate_options *opt)
{
	double attention = (double)c->n_layer * (double)c->n_embd * (double)opt->context * (is_masked(c) ? 2 : 1);
	double w = bytes_of(opt->weights), m = bytes_of(opt->moments);

	/* Forward 2 a weight, backward twice that; the attention's backward makes five products of its forward's two. */
	e->flops = 6 * s->products + 7 * attention;
	if (opt->recompute)
		e->flops += 2 * (s->products - s->head) + 2 * attention;
	/*
	 * Activations are written and read some times; an update reads and writes the weight and both moments, and
	 * reads the gradient.
	 */
	double layer = bytes_of(opt->compute) * s->saved * (double)c->n_layer;
	double update = s->all * (2 * w + 4 * m + 12) / ((double)opt->batch * (double)opt->context);
	e->seconds = e->flops / e->flops_rate + (4 * layer + update) / e->copy_rate;
}

void estimate_training(struct estimate *e, const struct model_config *c, const struct estimate_options *opt)
{
	struct shape s = measure_tensors(c);
	int64_t rows = opt->micro_batch * opt->context;

	*e = (struct estimate){.parameters = (int64_t)s.all};
	rows = rows > 4096 ? 4096 : rows;
	e->flops_rate = measure_products(opt, rows, c->n_embd, c->n_inner);
	e->copy_rate = measure_copies(opt);
	double product = bytes_of(opt->compute) * (double)(rows * c->n_embd + c->n_embd * c->n_inner + rows * c->n_inner);
	e->program = opt->device.cuda ? 0 : program_bytes(larger(product, 64 << 20));
	estimate_memory(e, c, &s, opt);
	estimate_time(e, c, &s, opt);
}

static void put(FILE *out, const char *what, double value, const char *unit, double scale, const char *note)
{
	fprintf(out, "%s\t%.0f\t%.3g %s%s%s\n", what, value, value / scale, unit, *note ? ": " : "", note);
}

void estimate_print(FILE *out, const struct estimate *e, const struct estimate_options *opt)
{
	static const char *const name[] = {[TH_F32] = "f32", [TH_BF16] = "bf16", [TH_F16] = "f16"};
	double rate = 1 / e->seconds;

	put(out, "parameters", (double)e->parameters, "million", 1e6, "");
	put(out, "program", e->program, "GB", 1e9, "what the process takes without a model");
	if (opt->data_bytes)
		put(out, "data", e->data, "GB", 1e9, "token files, mapped");
	put(out, "weights", e->weights, "GB", 1e9, name[opt->weights]);
	put(out, "copies", e->copies, "GB", 1e9,
	    e->copies > 0 ? "of the weights, to compute with" : "none: the weights are computed with");
	put(out, "gradients", e->gradients, "GB", 1e9,
	    opt->batch > opt->micro_batch ? "of a pass, and their sums" : "of the one pass in a step");
	put(out, "moments", e->moments, "GB", 1e9, name[opt->moments]);
	put(out, "activations", e->activations, "GB", 1e9, opt->recompute ? "of one layer, and what goes into each" : "of all layers");
	put(out, "logits", e->logits, "GB", 1e9, "a chunk of rows at a time");
	put(out, "peak", e->peak, "GB", 1e9, "the memory above, and some smaller things");
	put(out, "state-file", e->state_file, "GB", 1e9, "on disk while it runs; twice that while it is written");
	put(out, "model-file", e->model_file, "GB", 1e9, name[opt->written]);
	if (opt->keep_optimizer)
		put(out, "optimizer-file", e->optimizer_file, "GB", 1e9, name[opt->moments]);
	put(out, "operations-per-token", e->flops, "GFLOP", 1e9, "");
	put(out, "operations-per-second", e->flops_rate, "GFLOP", 1e9,
	    "matrix products of this shape on this machine, measured just now");
	fprintf(out, "seconds-per-token\t%.3g\t%.3g tokens a second: a rough estimate\n", e->seconds, rate);
	if (opt->steps) {
		double seconds = (double)opt->steps * (double)(opt->batch * opt->context) * e->seconds;
		fprintf(out, "steps\t%lld\t%lld tokens each\n", (long long)opt->steps, (long long)(opt->batch * opt->context));
		put(out, "seconds", seconds, "hours", 3600, "a rough estimate");
	}
}
