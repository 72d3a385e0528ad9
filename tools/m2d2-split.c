#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "docset.h"
#include "labelled.h"
#include "m2d2tree.h"
#include "options.h"
#include "outdir.h"
#include "pool.h"
#include "progress.h"
#include "reader.h"
#include "rng.h"
#include "text.h"
#include "tsv.h"
#include "utf8.h"

#define MAX_DOMAINS 10000
#define TENTH 10 /* without --valid-bytes, --test-bytes: at most this part of a domain each */

static const char *out = "domains", *format = "auto", *newlines = "space", *level = "all";
static uint64_t valid_bytes = 5000000, test_bytes = 5000000;
static uint64_t min_train_bytes, max_train_bytes, balance, max_domain_bytes = 5000000000;
static bool dedupe;
static int64_t seed;

static const struct option options[] = {
	{'o', "output", OPT_STRING, &out, "DIR", "make the folder DIR", .unrecorded = true},
	{0, "format", OPT_CHOICE, &format, "FORMAT", "of the input; auto: by the operand's name",
	 .choices = "auto|m2d2|jsonl|tsv"},
	{0, "valid-bytes", OPT_SIZE, &valid_bytes, "N", "validation text of a domain; by default at most a tenth of it",
	 .min = 1},
	{0, "test-bytes", OPT_SIZE, &test_bytes, "N", "test text of a domain; by default at most a tenth of it", .min = 1},
	{0, "min-train-bytes", OPT_SIZE, &min_train_bytes, "N", "leave out domains with less training text"},
	{0, "max-train-bytes", OPT_SIZE, &max_train_bytes, "N", "training text of a domain at most; 0: all"},
	{0, "max-domain-bytes", OPT_SIZE, &max_domain_bytes, "N", "leave out domains with more training text; 0: none"},
	{0, "balance", OPT_SIZE, &balance, "N", "training text of every domain; 0: as it comes"},
	{0, "dedupe", OPT_FLAG, &dedupe, NULL, "keep one of equal documents, in test before validation before training"},
	{0, "newlines", OPT_CHOICE, &newlines, "HOW", "what line breaks inside a document become", .choices = "space|keep"},
	{0, "level", OPT_CHOICE, &level, "LEVEL", "of M2D2's domains", .choices = "all|l1|l2"},
	{0, "seed", OPT_INT, &seed, "S", "of the split"},
	{0},
};

static const struct tool tool = {
	"m2d2-split", "divide labelled documents into domains and splits",
	"[-q] [-o DIR] [--format FORMAT] [--valid-bytes N] [--test-bytes N] [--min-train-bytes N] [--max-train-bytes N] "
	"[--max-domain-bytes N] [--balance N] [--dedupe] [--newlines HOW] [--level LEVEL] [--seed S] FILE|DIR...",
	options};

enum { UNSPLIT = N_SPLITS, N_POOLS };

struct domain {
	char *name, *l1, *portion;
	uint64_t id;
	char *folder;
	struct pool *pool[N_POOLS]; /* NULL: no document so far */
	uint64_t docs[N_SPLITS], bytes[N_SPLITS]; /* of the result */
};

static struct domain **domain;
static size_t n_domains, cap_domains;
static struct domain **slot; /* by name: open addressing, at most half full */
static size_t n_slots;

static char *staging;
static struct docset seen;
static uint64_t n_duplicates, n_empty, n_joined, n_joined_docs;
static uint64_t bytes_done;

/* The staging folder is of no use to a later run. */
static void remove_staging(void)
{
	if (staging) {
		char *doomed = staging;

		staging = NULL;
		dir_remove(doomed);
	}
}

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = sig;
}

/* A second signal ends us at once, in case we wait for input; the next run removes what is left. What is ignored (nohup) stays so. */
static void catch_signals(void)
{
	static const int sigs[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART}, old;

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
		if (sigs[i] == SIGPIPE) /* of every note that nobody reads */
			action.sa_flags = SA_RESTART;
		if (!sigaction(sigs[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(sigs[i], &action, NULL);
	}
}

static void stop_if_asked(void)
{
	if (stopped) {
		remove_staging();
		signal(stopped, SIG_DFL);
		raise(stopped);
	}
}

static size_t place(const char *name, size_t n)
{
	uint64_t h = hash_document(name, n).a;
	size_t i = (size_t)h & (n_slots - 1);

	while (slot[i] && (strlen(slot[i]->name) != n || memcmp(slot[i]->name, name, n)))
		i = (i + 1) & (n_slots - 1);
	return i;
}

static struct domain *find_domain(const char *name, size_t n)
{
	return n_slots ? slot[place(name, n)] : NULL;
}

/* Takes over its strings. */
static struct domain *add_domain(char *name, char *l1, char *portion)
{
	struct domain *d = xcalloc(1, sizeof *d);

	d->name = name;
	d->l1 = l1;
	d->portion = portion;
	d->id = rng_stream(name, 0, 0);
	d->folder = path_join(staging, name);
	if (mkdir(d->folder, 0777))
		die("cannot make folder %s:", d->folder);
	if (2 * n_domains >= n_slots) {
		n_slots = n_slots ? 2 * n_slots : 256;
		slot = xreallocarray(slot, n_slots, sizeof *slot);
		memset(slot, 0, n_slots * sizeof *slot);
		for (size_t i = 0; i < n_domains; i++)
			slot[place(domain[i]->name, strlen(domain[i]->name))] = domain[i];
	}
	slot[place(name, strlen(name))] = d;
	GROW(domain, n_domains, cap_domains);
	domain[n_domains++] = d;
	return d;
}

static struct pool *open_pool(const struct domain *d, int which)
{
	char *path = xasprintf("%s/%s.txt", d->folder, which == UNSPLIT ? "unsplit" : split_name[which]);
	struct pool *p = pool_open(path);

	free(path);
	return p;
}

/*
 * A document's key is a function of seed, domain and content: a split depends neither on the order of the input nor on
 * the other domains, and equal documents stay together.
 */
static void put_document(struct domain *d, int which, const char *text, size_t n)
{
	struct doc_hash h = hash_document(text, n);

	stop_if_asked();
	if (!d->pool[which])
		d->pool[which] = open_pool(d, which);
	if (dedupe && !docset_add(&seen, h)) {
		n_duplicates++;
		return;
	}
	pool_put(d->pool[which], rng_stream("split", h.a ^ d->id, h.b ^ (uint64_t)seed) >> 1, text, n);
}

/* Returns the new length; *text moves to behind line breaks that stand first. */
static size_t flatten(char **text, size_t n)
{
	uint64_t before = n_joined;

	n = trim_lines(text, n);
	if (!strcmp(newlines, "space"))
		n = join_lines(*text, n, &n_joined);
	n_joined_docs += n_joined > before;
	return n;
}

/* The first time that a file is read it counts for the hash of the inputs, too. */
static struct reader *open_input(const char *path, bool again)
{
	struct reader *r = reader_open(path);

	if (!again)
		reader_hash(r, tsv_inputs());
	return r;
}

static void show_progress(const struct reader *r)
{
	progress_update(bytes_done + reader_offset(r), NULL);
}

/* The table lies beside the domains' folders. */
static bool is_domain_folder(const char *name)
{
	return is_domain_name(name) && strcmp(name, "domains.tsv") && strcmp(name, DIR_MARK);
}

/* A labelled document; name and number: where it stands. */
static void take_record(const struct jsonl_field field[N_LABELS], const char *name, uint64_t number)
{
	static struct domain *last;
	struct domain *d = last;
	char *text = field[LABEL_TEXT].text;
	size_t n;

	if (!d || strlen(d->name) != field[0].n || memcmp(d->name, field[0].text, field[0].n))
		d = find_domain(field[0].text, field[0].n);
	if (!d) {
		char *label[3];

		for (int i = 0; i < 3; i++) {
			label[i] = xstrndup(field[i].text, field[i].n);
			if (strlen(label[i]) != field[i].n || !(i ? tsv_is_clean(label[i]) : is_domain_folder(label[i])))
				die_input("bad %s name: %s:%" PRIu64 ": '%s'", field[i].key, name, number, label[i]);
		}
		if (n_domains == MAX_DOMAINS)
			die_input("too many domains: %s:%" PRIu64 ": more than %d", name, number, MAX_DOMAINS);
		d = add_domain(label[0], label[1], label[2]);
	}
	if (strlen(d->l1) != field[1].n || memcmp(d->l1, field[1].text, field[1].n))
		die_input("two l1 of domain %s: %s:%" PRIu64 ": %.*s, and %s before", d->name, name, number,
		          (int)(field[1].n < 200 ? field[1].n : 200), field[1].text, d->l1);
	if (strlen(d->portion) != field[2].n || memcmp(d->portion, field[2].text, field[2].n))
		die_input("two portions of domain %s: %s:%" PRIu64 ": %.*s, and %s before", d->name, name, number,
		          (int)(field[2].n < 200 ? field[2].n : 200), field[2].text, d->portion);
	last = d;
	n = flatten(&text, field[LABEL_TEXT].n);
	if (is_blank(text, n))
		n_empty++;
	else
		put_document(d, UNSPLIT, text, n);
}

static void read_labelled(const char *path, enum labelled_format as)
{
	struct labelled *l = labelled_open(path, as);
	struct jsonl_field field[N_LABELS];

	while (labelled_next(l, field)) {
		take_record(field, labelled_name(l), labelled_line(l));
		progress_update(bytes_done + labelled_offset(l), NULL);
	}
	bytes_done += labelled_offset(l);
	labelled_close(l);
}

static void check_utf8(const struct reader *r, const char *line, size_t n)
{
	size_t good = utf8_valid(line, n);

	if (good < n)
		die_input("invalid UTF-8: %s:%" PRIu64 ": byte %zu", reader_name(r), reader_line_number(r), good + 1);
}

/*
 * Lines that start in bytes [from, to) of the files taken together. Lines without text are no documents but belong to
 * the files, so they stay behind the document before them.
 */
static void read_lines(struct domain *d, enum split split, char **path, int n_paths, uint64_t from, uint64_t to)
{
	uint64_t before = 0; /* bytes of the files already read */

	for (int i = 0; i < n_paths; i++) {
		struct reader *r = open_input(path[i], to - from < UINT64_MAX); /* to halve them, they were read before */
		uint64_t start = before;
		char *line;
		ssize_t n;

		for (; (n = reader_line(r, &line, MAX_DOCUMENT)) >= 0; start = before + reader_offset(r)) {
			show_progress(r);
			if (start < from || start >= to)
				continue;
			check_utf8(r, line, (size_t)n);
			if (!is_blank(line, (size_t)n))
				put_document(d, split, line, (size_t)n);
			else if (d->pool[split])
				pool_put_blank(d->pool[split], line, (size_t)n);
		}
		before = start;
		bytes_done += reader_offset(r);
		reader_close(r);
	}
}

static uint64_t total_bytes(char **path, int n)
{
	char *buffer = xmalloc(1 << 20);
	uint64_t bytes = 0;

	for (int i = 0; i < n; i++) {
		struct reader *r = open_input(path[i], false);

		while (reader_read(r, buffer, 1 << 20))
			stop_if_asked();
		bytes += reader_offset(r);
		reader_close(r);
	}
	free(buffer);
	return bytes;
}

/* Test sets first, then validation, then training text: with --dedupe the first of equal documents stays. */
static void read_tree(char **folder, int n)
{
	static const enum split turn[] = {TEST, VALID, TRAIN};
	struct m2d2_tree tree = m2d2_find(folder, n);
	struct domain **known = xcalloc((size_t)tree.n + 1, sizeof *known);
	uint64_t *half = xcalloc((size_t)tree.n + 1, sizeof *half);

	if (tree.n > MAX_DOMAINS)
		die_input("too many domains: %s: more than %d", folder[0], MAX_DOMAINS);
	for (int i = 0; i < tree.n; i++) {
		struct m2d2_domain *m = &tree.domain[i];
		const char *portion;
		bool whole_l1;
		char *l1;

		if (!is_domain_folder(m->name))
			die_input("bad domain name: %s", m->folder);
		m2d2_labels(m->name, &l1, &portion, &whole_l1);
		if (strcmp(level, "all") && whole_l1 != !strcmp(level, "l1")) {
			warn("left out: %s: an L%d domain", m->name, whole_l1 ? 1 : 2);
			free(l1);
			continue;
		}
		known[i] = add_domain(m->name, l1, xstrdup(portion));
		if (m->held_out.n)
			half[i] = (total_bytes(m->held_out.path, m->held_out.n) + 1) / 2;
	}
	for (int t = 0; t < N_SPLITS; t++)
		for (int i = 0; i < tree.n; i++) {
			struct m2d2_domain *m = &tree.domain[i];
			enum split split = turn[t];

			if (!known[i])
				continue;
			read_lines(known[i], split, m->file[split].path, m->file[split].n, 0, UINT64_MAX);
			if (m->held_out.n && split != TRAIN)
				read_lines(known[i], split, m->held_out.path, m->held_out.n,
				           split == VALID ? 0 : half[i], split == VALID ? half[i] : UINT64_MAX);
		}
	free(known);
	free(half);
}

/* Bounds of a split whose documents are already known: the whole of it, or as much as is asked for. */
static uint64_t cap_of(int split)
{
	uint64_t cap = UINT64_MAX;

	if (split == TRAIN) {
		cap = max_train_bytes ? max_train_bytes : cap;
		return balance && balance < cap ? balance : cap;
	}
	if (split == VALID)
		return option_given("valid-bytes") ? valid_bytes : cap;
	return option_given("test-bytes") ? test_bytes : cap;
}

static bool too_large(uint64_t train)
{
	return max_domain_bytes && train > max_domain_bytes;
}

/* Divides documents that came without a split: first the test text, then validation text, the rest is for training. */
static uint64_t divide(struct domain *d)
{
	struct pool *p = d->pool[UNSPLIT];
	uint64_t want_test = test_bytes, want_valid = valid_bytes, tenth = pool_bytes(p) / TENTH, train;
	struct part part[N_SPLITS] = {0};

	if (!option_given("test-bytes") && want_test > tenth)
		want_test = tenth;
	if (!option_given("valid-bytes") && want_valid > tenth)
		want_valid = tenth;
	pool_seal(p);
	part[TEST].range = pool_at_least(p, 0, want_test ? want_test : 1);
	part[VALID].range = pool_at_least(p, part[TEST].range.to, want_valid ? want_valid : 1);
	part[TRAIN].range = pool_at_most(p, part[VALID].range.to, cap_of(TRAIN));
	train = pool_bytes_in(p, (struct range){part[VALID].range.to, POOL_END, 0});
	if (!too_large(train)) {
		for (int s = 0; s < N_SPLITS; s++)
			part[s].path = xasprintf("%s/%s.txt", d->folder, split_name[s]);
		pool_divide(p, part, N_SPLITS, stop_if_asked);
		for (int s = 0; s < N_SPLITS; s++) {
			d->docs[s] = part[s].docs;
			d->bytes[s] = part[s].bytes;
			free((char *)(uintptr_t)part[s].path);
		}
	}
	pool_remove(p);
	return train;
}

/* A split that came as such: it stays, or a random part of it. Returns how much there was. */
static uint64_t trim(struct domain *d, int split)
{
	struct pool *p = d->pool[split];
	char *path, *rest;
	struct part part;
	uint64_t bytes;

	if (!p)
		return 0;
	bytes = pool_bytes(p);
	d->docs[split] = pool_docs(p);
	d->bytes[split] = bytes;
	pool_seal(p);
	if (bytes <= cap_of(split)) {
		pool_keep(p);
		return bytes;
	}
	path = xasprintf("%s/%s.txt", d->folder, split_name[split]);
	rest = xasprintf("%s.part", path);
	part = (struct part){.path = rest, .range = pool_at_most(p, 0, cap_of(split))};
	pool_divide(p, &part, 1, stop_if_asked);
	pool_remove(p);
	if (rename(rest, path))
		die("cannot write %s:", path);
	d->docs[split] = part.docs;
	d->bytes[split] = part.bytes;
	free(path);
	free(rest);
	return bytes;
}

/* False if the domain is left out, which a note says; a domain without text in a split ends the tool. */
static bool finish(struct domain *d, bool tests_alone)
{
	uint64_t train = 0;

	if (d->pool[UNSPLIT]) {
		train = divide(d);
	} else {
		trim(d, TEST);
		trim(d, VALID);
		train = trim(d, TRAIN);
	}
	if (!tests_alone) {
		if (too_large(train)) {
			warn("left out: %s: %" PRIu64 " bytes of training text, over --max-domain-bytes", d->name, train);
			return false;
		}
		if (train < min_train_bytes) {
			warn("left out: %s: %" PRIu64 " bytes of training text, below --min-train-bytes", d->name, train);
			return false;
		}
	}
	for (int s = N_SPLITS - 1; s >= (tests_alone ? (int)TEST : 0); s--)
		if (!d->docs[s])
			die_input("no %s text: domain %s", split_name[s], d->name);
	if (balance && !tests_alone && train < balance)
		die_input("too little training text to balance: domain %s: %" PRIu64 " bytes (--min-train-bytes leaves such "
		          "domains out)", d->name, train);
	return true;
}

static void write_table(char *const *kept)
{
	char *path = path_join(staging, "domains.tsv");
	struct atomic *a = atomic_open(path);

	tsv_begin(atomic_file(a), "domains");
	atomic_printf(a, "domain\tl1\tportion\ttrain_docs\ttrain_bytes\tvalid_docs\tvalid_bytes\ttest_docs\ttest_bytes\n");
	for (size_t i = 0; i < n_domains; i++) {
		struct domain *d = domain[i];

		if (!kept[i])
			continue;
		atomic_printf(a, "%s\t%s\t%s", d->name, d->l1, d->portion);
		for (int s = 0; s < N_SPLITS; s++)
			atomic_printf(a, "\t%" PRIu64 "\t%" PRIu64, d->docs[s], d->bytes[s]);
		atomic_printf(a, "\n");
	}
	atomic_commit(a);
	free(path);
}

static const char *format_of(const char *path)
{
	struct stat st;

	if (strcmp(format, "auto"))
		return format;
	if (!strcmp(path, "-") || ends_with(path, ".jsonl") || ends_with(path, ".jsonl.gz"))
		return "jsonl";
	if (ends_with(path, ".tsv") || ends_with(path, ".tsv.gz"))
		return "tsv";
	if (stat(path, &st))
		die("cannot open %s:", path);
	if (!S_ISDIR(st.st_mode))
		die_usage("unknown format: %s: give --format", path);
	return "m2d2";
}

static const char *const files[] = {"domains.tsv", "*/", "*/train.txt", "*/valid.txt", "*/test.txt", NULL};

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool);
	bool tests_alone = true;
	const char *kind;
	size_t n_kept = 0;
	char **kept;

	if (first == argc)
		die_usage("nothing to split: give a FILE or DIR");
	kind = format_of(argv[first]);
	for (int i = first; i < argc; i++)
		if (strcmp(format_of(argv[i]), kind))
			die_usage("operands of different formats: %s and %s", argv[first], argv[i]);

	dir_check_replaceable(out, files);
	staging = dir_begin_empty(out, files);
	catch_signals();

	progress_start("reading", "bytes", 0);
	if (!strcmp(kind, "m2d2"))
		read_tree(argv + first, argc - first);
	for (int i = first; i < argc && strcmp(kind, "m2d2"); i++)
		read_labelled(argv[i], !strcmp(kind, "tsv") ? LABELLED_TSV : LABELLED_JSONL);
	progress_end();
	stop_if_asked();
	docset_free(&seen);
	if (!n_domains)
		die_input("no document: %s", argv[first]);

	for (size_t i = 0; i < n_domains; i++)
		tests_alone &= domain[i]->pool[TEST] && !domain[i]->pool[VALID] && !domain[i]->pool[TRAIN];
	kept = xcalloc(n_domains, sizeof *kept);
	progress_start("splitting", "domains", n_domains);
	for (size_t i = 0; i < n_domains; i++) {
		if (finish(domain[i], tests_alone)) {
			kept[i] = domain[i]->name;
			n_kept++;
		} else {
			dir_remove(domain[i]->folder);
		}
		stop_if_asked();
		progress_update(i + 1, domain[i]->name);
	}
	progress_end();
	if (!n_kept)
		die_input("no domain is left");
	write_table(kept);
	free(kept);

	if (n_duplicates)
		warn("note: %" PRIu64 " duplicate documents left out", n_duplicates);
	if (n_empty)
		warn("note: %" PRIu64 " documents without text left out", n_empty);
	if (n_joined)
		warn("note: %" PRIu64 " line breaks inside %" PRIu64 " documents became blanks (--newlines keep keeps them)",
		     n_joined, n_joined_docs);
	stop_if_asked();
	dir_commit(out, staging);
	free(staging);
	staging = NULL;
	return EXIT_DONE;
}
