#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/atomic.h"
#include "lib/checked.h"
#include "lib/die.h"
#include "lib/options.h"
#include "lib/progress.h"
#include "lib/reader.h"
#include "lib/rng.h"
#include "lib/text.h"
#include "lib/tsv.h"
#include "nn/runtime.h"
#include "nn/sbert.h"

enum { MAX_LINE = 256 << 20 };

static const char *dir, *out = "-", *device = "auto", *precision = "f32";
static int64_t documents = 10000, base_documents, seed, batch = 32, threads;
static bool sentences;

static const struct option options[] = {
	{'m', "model", OPT_STRING, &dir, "SBERT_DIR", "model directory of sentence-transformers, BERT family", .unrecorded = true},
	{'n', "documents", OPT_INT, &documents, "N", "documents sampled from each domain", .min = 1, .max = 10000000},
	{0, "base-documents", OPT_INT, &base_documents, "N", "documents sampled from @base; 0: as many as from the others",
	 .max = 10000000},
	{0, "seed", OPT_INT, &seed, "S", "which documents are sampled", .min = INT64_MIN},
	{0, "sentences", OPT_FLAG, &sentences, NULL, "a vector for each line of each FILE instead"},
	{'o', "output", OPT_STRING, &out, "FILE", "write to FILE; - is stdout", .unrecorded = true},
	{0, "batch", OPT_INT, &batch, "N", "texts computed at once", .min = 1, .max = 65536, .unrecorded = true},
	{0, "precision", OPT_CHOICE, &precision, "f32|bf16", "of the computation", .choices = "f32|bf16"},
	{0, "device", OPT_STRING, &device, "DEVICE", "auto, cpu, cuda or cuda:N", .unrecorded = true},
	{0, "threads", OPT_INT, &threads, "N", "threads on the cpu; 0: libtorch's choice", .max = 1024, .unrecorded = true},
	{0}};

static const struct tool tool = {
	"embed-domains", "vectors of domains by Sentence-BERT",
	"-m SBERT_DIR [-o FILE] [-n N] [--base-documents N] [--seed S] [--sentences] [--batch N] [--precision f32|bf16] "
	"[--device DEVICE] [--threads N] NAME=FILE...",
	options};

/* One NAME=FILE of the command line. */
struct domain {
	char *name;
	const char *file;
};

/* Documents drawn from a stream of unknown length. */
struct sample {
	struct ids *text;
	uint64_t *index; /* of each in the stream */
	size_t n, cap, most;
	uint64_t seen;
};

static struct domain *domains_of(char **arg, int n)
{
	struct domain *d = xcalloc((size_t)n, sizeof *d);

	for (int i = 0; i < n; i++) {
		char *equals = strchr(arg[i], '=');

		if (!equals || !equals[1])
			die_usage("no NAME=FILE: %s", arg[i]);
		d[i].name = xstrndup(arg[i], (size_t)(equals - arg[i]));
		d[i].file = equals + 1;
		if (strcmp(d[i].name, "@base") != 0 && !is_domain_name(d[i].name))
			die_usage("no name for a domain: %s", d[i].name);
		for (int k = 0; k < i; k++)
			if (strcmp(d[k].name, d[i].name) == 0)
				die_usage("domain given twice: %s", d[i].name);
	}
	return d;
}

/*
 * Algorithm R (Vitter 1985): document i (from 0) takes a random one of i + 1 places, and is kept if that is one of
 * the `most` there are. Only the ids of kept documents are held, so memory does not depend on the file.
 */
static void draw(struct sample *s, struct sbert *model, const struct domain *d)
{
	struct reader *r = reader_open(d->file);
	struct hash h;
	uint8_t digest[HASH_BYTES];
	uint64_t name = 0;
	struct rng rng;
	char *line;
	ssize_t n;

	hash_start(&h);
	hash_add(&h, d->name, strlen(d->name));
	hash_end(&h, digest);
	memcpy(&name, digest, sizeof name);
	rng = rng_make((uint64_t)seed, rng_stream("embed-domains sample", name, 0));
	s->n = s->seen = 0;
	while ((n = reader_line(r, &line, MAX_LINE)) >= 0) {
		uint64_t place = s->seen;

		if (is_blank(line, (size_t)n))
			continue;
		if (s->seen >= s->most)
			place = rng_below(&rng, s->seen + 1);
		if (place < s->most) {
			if (place == s->n) {
				if (s->n == s->cap) {
					size_t before = s->cap;

					s->cap = s->cap ? 2 * s->cap : 64;
					s->text = xreallocarray(s->text, s->cap, sizeof *s->text);
					s->index = xreallocarray(s->index, s->cap, sizeof *s->index);
					memset(s->text + before, 0, (s->cap - before) * sizeof *s->text);
				}
				s->n++;
			}
			sbert_ids(model, line, (size_t)n, &s->text[place]);
			s->index[place] = s->seen;
		}
		s->seen++;
	}
	if (s->n == 0)
		die_input("cannot embed domain %s: %s: holds no document", d->name, reader_name(r));
	reader_close(r);
}

/* SHA-256 of the sampled documents: place in the file, number of ids, ids, of each in the order of the places. */
static void sample_hash(const struct sample *s, char hex[HASH_HEX])
{
	struct hash h;
	uint8_t digest[HASH_BYTES];

	hash_start(&h);
	for (size_t i = 0; i < s->n; i++) {
		uint64_t head[2] = {s->index[i], s->text[i].n};

		hash_add(&h, head, sizeof head);
		hash_add(&h, s->text[i].id, s->text[i].n * sizeof *s->text[i].id);
	}
	hash_end(&h, digest);
	hash_hex(digest, hex);
}

static void show_progress(size_t done)
{
	progress_update(done, NULL);
}

static void put_columns(FILE *f, size_t width)
{
	for (size_t k = 0; k < width; k++)
		fprintf(f, "\tv%zu", k);
	putc('\n', f);
}

static void embed_domains(struct sbert *model, const struct domain *d, int n, struct atomic *a)
{
	size_t width = sbert_width(model);
	struct sample s = {0};
	uint8_t digest[HASH_BYTES];
	char model_hash[HASH_HEX], data_hash[HASH_HEX];
	double *mean = xcalloc(width, sizeof *mean);
	float *v = NULL;

	sbert_hash(model, digest);
	hash_hex(digest, model_hash);
	tsv_begin(atomic_file(a), "vectors");
	atomic_printf(a, "domain\tn\tmodel_hash\tdata_hash");
	put_columns(atomic_file(a), width);
	for (int i = 0; i < n; i++) {
		char *what = xasprintf("%s (%d/%d)", d[i].name, i + 1, n);

		s.most = (size_t)(base_documents && strcmp(d[i].name, "@base") == 0 ? base_documents : documents);
		progress_start(what, "documents", 0);
		draw(&s, model, &d[i]);
		progress_end();
		sample_hash(&s, data_hash);

		v = xreallocarray(v, s.n * width, sizeof *v);
		progress_start(what, "documents", s.n);
		sbert_embed(model, s.text, s.n, (size_t)batch, v, show_progress);
		progress_end();

		memset(mean, 0, width * sizeof *mean);
		for (size_t j = 0; j < s.n; j++)
			for (size_t k = 0; k < width; k++)
				mean[k] += v[j * width + k];
		atomic_printf(a, "%s\t%zu\t%s\t%s", d[i].name, s.n, model_hash, data_hash);
		for (size_t k = 0; k < width; k++) {
			if (!isfinite(mean[k]))
				die("cannot embed domain %s: its vector is not finite", d[i].name);
			atomic_printf(a, "\t%.9g", mean[k] / (double)s.n);
		}
		atomic_printf(a, "\n");
		free(what);
	}
	for (size_t i = 0; i < s.cap; i++)
		free(s.text[i].id);
	free(s.text);
	free(s.index);
	free(mean);
	free(v);
}

/* before: lines that came earlier */
static void put_vectors(struct atomic *a, const float *v, size_t n, size_t width, uint64_t before)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < width; k++) {
			if (!isfinite(v[i * width + k]))
				die("cannot embed line %llu: its vector is not finite", (unsigned long long)(before + i + 1));
			atomic_printf(a, "%.9g%c", v[i * width + k], k + 1 < width ? '\t' : '\n');
		}
}

/* Lines are read and embedded in groups of some batches, so that those of similar length can go together. */
static void embed_lines(struct sbert *model, char **file, int n, struct atomic *a)
{
	size_t width = sbert_width(model), group = (size_t)batch * 32, held = 0;
	struct ids *text = xcalloc(group, sizeof *text);
	float *v = xmalloc(group * width * sizeof *v);
	uint64_t total = 0;
	char *line;

	tsv_begin(atomic_file(a), "sentences");
	for (size_t k = 0; k < width; k++)
		atomic_printf(a, "v%zu%c", k, k + 1 < width ? '\t' : '\n');
	progress_start("embedding", "lines", 0);
	for (int i = 0; i < n; i++) {
		struct reader *r = reader_open(file[i]);
		ssize_t length;

		do {
			length = reader_line(r, &line, MAX_LINE);
			if (length >= 0)
				sbert_ids(model, line, (size_t)length, &text[held++]);
			if (held == group || (length < 0 && i == n - 1 && held > 0)) {
				sbert_embed(model, text, held, (size_t)batch, v, NULL);
				put_vectors(a, v, held, width, total);
				progress_update(total += held, NULL);
				held = 0;
			}
		} while (length >= 0);
		reader_close(r);
	}
	progress_end();
	if (total == 0)
		die_input("cannot embed: %s: holds no line", n == 1 && strcmp(file[0], "-") == 0 ? "stdin" : file[0]);
	for (size_t i = 0; i < group; i++)
		free(text[i].id);
	free(text);
	free(v);
}

int main(int argc, char **argv)
{
	static char dash[] = "-", *stdin_only[] = {dash};
	int i = parse_options(argc, argv, &tool), n = argc - i;
	struct domain *d = NULL;
	struct sbert *model;
	struct atomic *a;

	if (!dir)
		die_usage("no model: give -m SBERT_DIR");
	if (!sentences && n == 0)
		die_usage("no domains: give NAME=FILE");
	if (!sentences)
		d = domains_of(argv + i, n);
	model = sbert_load(dir, nn_start(device, threads), strcmp(precision, "bf16") == 0 ? TH_BF16 : TH_F32);
	a = atomic_open(out);
	if (sentences)
		embed_lines(model, n ? argv + i : stdin_only, n ? n : 1, a);
	else
		embed_domains(model, d, n, a);
	atomic_commit(a);
	sbert_free(model);
	for (int k = 0; d && k < n; k++)
		free(d[k].name);
	free(d);
	th_shutdown();
	close_stdout();
	return 0;
}
