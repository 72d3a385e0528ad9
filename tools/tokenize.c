#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "options.h"
#include "progress.h"
#include "reader.h"
#include "token_stream.h"
#include "tokenizer.h"
#include "tokfile.h"

static const char *dir, *out = "-";
static bool eos, ids, decode, add_special, parse_special, no_newline;
static int64_t threads; /* 0: as many as there are processors */

static const struct option options[] = {
	{'t', "tokenizer", OPT_STRING, &dir, "TOKENIZER_DIR",
	 "tokenizer.json, vocab.json with merges.txt, encoder.json with vocab.bpe, or vocab.txt", .unrecorded = true},
	{'o', "output", OPT_STRING, &out, "OUT.tok", "write to this file; - is stdout", .unrecorded = true},
	{0, "eos", OPT_FLAG, &eos, NULL, "<|endoftext|> after each line"},
	{0, "add-special", OPT_FLAG, &add_special, NULL, "the tokenizer's own tokens round each line: <s>, [CLS] ..."},
	{0, "parse-special", OPT_FLAG, &parse_special, NULL, "special tokens in the text are not ordinary text"},
	{0, "no-newline", OPT_FLAG, &no_newline, NULL, "each line a text without its newline"},
	{0, "ids", OPT_FLAG, &ids, NULL, "ids as text, a line for each line"},
	{'d', "decode", OPT_FLAG, &decode, NULL, "token files back to text"},
	{'j', "threads", OPT_INT, &threads, "THREADS", "worker threads; 0: one a processor", .min = 0, .max = 256, .unrecorded = true},
	{0}};

static const struct tool tool = {"tokenize", "text to token ids and back",
				 "-t TOKENIZER_DIR [-o OUT.tok] [--eos] [--add-special] [--parse-special] "
				 "[--no-newline] [--ids] [-d] [-j THREADS] [FILE...]", options};

/* The operands as one stream. */
struct input {
	char **file;
	int n, at;
	struct reader *open;
};

static size_t read_input(void *source, void *buf, size_t n)
{
	struct input *in = source;
	size_t got = 0;

	while (got < n && in->at < in->n) {
		size_t k;

		if (!in->open)
			in->open = reader_open(in->file[in->at]);
		k = reader_read(in->open, (char *)buf + got, n - got);
		if (k < n - got) {
			reader_close(in->open);
			in->open = NULL;
			in->at++;
		}
		got += k;
	}
	return got;
}

static void write_ids(void *sink, const uint32_t *id, size_t n)
{
	tok_write(sink, id, n);
}

static void write_text(void *sink, const char *s, size_t n)
{
	atomic_write(sink, s, n);
}

/* The id that --eos writes: each family has its own name for it. */
static uint32_t end_id(const struct tokenizer *t)
{
	static const char *const name[] = {"<|endoftext|>", "</s>", "[SEP]", "<|end_of_text|>"};
	int64_t id = -1;

	for (size_t i = 0; id < 0 && i < sizeof name / sizeof *name; i++)
		id = tokenizer_special(t, name[i]);
	if (id < 0)
		die("cannot use --eos: %s: the tokenizer has no <|endoftext|>", dir);
	return (uint32_t)id;
}

/* What stands round each line. */
static void affixes(const struct tokenizer *t, struct ids *before, struct ids *after)
{
	size_t n = 0;
	const uint32_t *id;

	for (int behind = 0; add_special && behind < 2; behind++) {
		id = tokenizer_affix(t, behind, &n);
		ids_append(behind ? after : before, id, n);
	}
	if (eos && !(after->n > 0 && after->id[after->n - 1] == end_id(t)))
		ids_put(after, end_id(t));
}

static void encode_files(const struct tokenizer *t, char **file, int n)
{
	struct input in = {.file = file, .n = n};
	struct token_stream stream = {
		.tokenizer = t,
		.lines = eos || add_special || no_newline || ids,
		.bare = no_newline,
		.text = ids,
		.special = parse_special,
		.threads = (int)threads,
		.name = n == 1 ? (strcmp(file[0], "-") ? file[0] : "stdin") : "input",
		.read = read_input,
		.source = &in,
		.write_ids = write_ids,
		.write_text = write_text,
	};

	affixes(t, &stream.before, &stream.after);
	progress_start("tokenizing", "bytes", 0);
	if (ids) {
		struct atomic *a = atomic_open(out);

		stream.sink = a;
		token_stream(&stream);
		atomic_commit(a);
	} else {
		struct tok_writer *w = tok_create(out, tokenizer_vocab(t), tokenizer_fingerprint(t));

		stream.sink = w;
		tok_finish(w, token_stream(&stream));
	}
	progress_end();
	free(stream.before.id);
	free(stream.after.id);
}

static void decode_file(const struct tokenizer *t, const char *path, struct atomic *a)
{
	enum { N = 1 << 16 };
	uint32_t *id = xcalloc(N, sizeof *id);
	char *text = NULL;
	size_t n, made, cap = 0;
	uint64_t done = 0;
	unsigned state = 0;
	struct tok_reader *r = tok_open(path);

	if (memcmp(tok_fingerprint(r), tokenizer_fingerprint(t), HASH_BYTES) != 0)
		die_input("cannot decode: %s: was made with another tokenizer than %s", tok_name(r), dir);
	while ((n = tok_read(r, id, N)) > 0) {
		made = 0;
		for (size_t i = 0; i < n; i++) {
			size_t k;
			const char *bytes = tokenizer_text(t, id[i], parse_special, &state, &k);

			if (!bytes || k == 0)
				continue; /* put in by --eos or --add-special, or a text's first blank */
			while (cap - made < k) {
				cap = cap ? 2 * cap : 1 << 20;
				text = xreallocarray(text, cap, 1);
			}
			memcpy(text + made, bytes, k);
			made += k;
		}
		atomic_write(a, text, made);
		progress_update(done += made, NULL);
	}
	tok_close(r);
	free(text);
	free(id);
}

static void decode_files(const struct tokenizer *t, char **file, int n)
{
	struct atomic *a;
	size_t k;

	if (!tokenizer_bytes(t, 0, &k))
		die("cannot decode: %s: ids of this kind of tokenizer do not hold the whole text", dir);
	a = atomic_open(out);
	progress_start("decoding", "bytes", 0);
	for (int i = 0; i < n; i++)
		decode_file(t, file[i], a);
	atomic_commit(a);
	progress_end();
}

int main(int argc, char **argv)
{
	static char dash[] = "-", *stdin_only[] = {dash};
	int i = parse_options(argc, argv, &tool), n = argc - i;
	char **file = n ? argv + i : stdin_only;
	struct tokenizer *t;

	if (!dir)
		die_usage("no tokenizer: give -t TOKENIZER_DIR");
	if (decode && (eos || ids || add_special || no_newline))
		die_usage("-d goes with none of --eos, --add-special, --no-newline and --ids");
	if (!decode && !ids && strcmp(out, "-") == 0 && isatty(STDOUT_FILENO))
		die_usage("a token file is not for a terminal: give -o OUT.tok, or --ids");
	if (threads == 0) {
		long online = sysconf(_SC_NPROCESSORS_ONLN);

		threads = online < 1 ? 1 : online > 16 ? 16 : online;
	}
	t = tokenizer_load(dir);
	(decode ? decode_files : encode_files)(t, file, n ? n : 1);
	tokenizer_free(t);
	close_stdout();
	return 0;
}
