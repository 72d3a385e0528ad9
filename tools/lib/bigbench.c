#include "bigbench.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bigbench_score.h"
#include "char_class.h"
#include "checked.h"
#include "die.h"
#include "docset.h"
#include "numpy_rng.h"
#include "reader.h"
#include "tsv.h"

#define MAX_FILE ((size_t)1 << 29)
#define DEFAULT_REGEX "[^\\.\\?\\!\\;\\n]+"

/* Fields that a score depends on; and those that json_task.py does not look at, low_score and high_score among them. */
static const char *const fields[] = {
	"name", "metrics", "preferred_score", "examples", "subtasks", "example_input_prefix", "example_output_prefix", "choice_prefix",
	"append_choices_to_input", "few_shot_example_separator", "task_prefix", "output_regex", "stop_string",
	"absolute_normalization",
	/* of no consequence */
	"canary", "description", "expert_description", "keywords", "contributors", "skip_checks", "prefix",
	"input_prefix", "low_score", "high_score", NULL};

/* Of one file, or of one member of "subtasks". */
struct source {
	const struct json *doc;
	const json_value *object;
	const char *path;
	const char *parent; /* name of the group; NULL: none */
	const uint8_t *hash;
	int group;
	uint32_t seed;
};

static _Noreturn void wrong(const struct source *s, const char *field, const char *what)
{
	die_input("malformed input: %s: %s: %s", s->path, field, what);
}

static const char *string_field(const struct source *s, const char *key, const char *otherwise)
{
	const json_value *v = json_get(s->object, key);

	return v ? json_string(s->doc, v, key) : otherwise;
}

/* null is as good as missing. */
static const char *optional_string(const struct source *s, const char *key)
{
	return json_get_string(s->doc, s->object, key, NULL);
}

static char *join(const char *a, const char *b, const char *c)
{
	return xasprintf("%s%s%s", a, b, c);
}

static int by_string(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The choices, in RandomState(seed)'s permutation of their sorted list, each behind prefix. You free() it. */
static char *listed_choices(const struct bb_example *e, const char *prefix, uint32_t seed)
{
	size_t n = (size_t)e->n_choices, *order = xcalloc(n + 1, sizeof *order), length = 1;
	const char **sorted = xcalloc(n + 1, sizeof *sorted);
	struct numpy_rng r = numpy_rng_make(seed);

	if (n)
		memcpy(sorted, e->choice, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_string);
	numpy_rng_permutation(&r, order, n);
	for (size_t i = 0; i < n; i++)
		length += strlen(prefix) + strlen(sorted[i]);
	char *text = xmalloc(length), *end = text;
	*end = 0;
	for (size_t i = 0; i < n; i++)
		end = stpcpy(stpcpy(end, prefix), sorted[order[i]]);
	free(sorted);
	free(order);
	return text;
}

static void read_choices(const struct source *s, struct bb_example *e)
{
	const json_value *scores = json_get(e->json, "target_scores");

	if (!scores)
		return;
	if (!json_is_object(scores) || !json_first(scores))
		wrong(s, "target_scores", "an object with at least one choice expected");
	size_t n = json_count(scores);
	if (n > 1 << 20)
		wrong(s, "target_scores", "too many choices");
	e->choice = xcalloc(n, sizeof *e->choice);
	e->score = xcalloc(n, sizeof *e->score);
	for (const json_value *v = json_first(scores); v; v = json_next(v)) {
		e->choice[e->n_choices] = json_key(v);
		e->score[e->n_choices++] = json_real(s->doc, v, "target_scores");
	}
}

static void read_targets(const struct source *s, struct bb_example *e)
{
	const json_value *v = json_get(e->json, "target");

	e->has_target = v != NULL;
	e->target = xcalloc(v && json_is_array(v) ? json_count(v) + 1 : 1, sizeof *e->target);
	if (v && json_is_array(v)) {
		for (const json_value *t = json_first(v); t; t = json_next(t))
			e->target[e->n_targets++] = json_string(s->doc, t, "target");
		if (e->n_targets == 0)
			wrong(s, "target", "an empty list");
	} else if (v) {
		e->target[e->n_targets++] = json_string(s->doc, v, "target");
	} else {
		int best = 0;
		double worst = e->score[0];
		for (int i = 1; i < e->n_choices; i++) {
			best = e->score[i] > e->score[best] ? i : best;
			worst = e->score[i] < worst ? e->score[i] : worst;
		}
		if (e->n_choices == 1 ? e->score[best] == 0 : e->score[best] <= worst)
			wrong(s, "target_scores", "no choice is better than the others");
		e->target[e->n_targets++] = e->choice[best];
	}
}

struct format {
	const char *input_prefix, *output_prefix, *choice_prefix;
	bool append_choices;
};

static void read_example(const struct source *s, const struct bb_task *t, const struct format *f, const json_value *v,
                         struct bb_example *e)
{
	*e = (struct bb_example){.json = v};
	if (!json_get(v, "input") || (!json_get(v, "target") && !json_get(v, "target_scores")))
		wrong(s, "examples", "one has no input, or neither target nor target_scores");
	if (bb_chooses(t) && !json_get(v, "target_scores"))
		wrong(s, "examples", "one has no target_scores, which a metric of choices needs");
	if ((bb_generates(t) || bb_scores_targets(t)) && !json_get(v, "target"))
		wrong(s, "examples", "one has no target, which a metric of texts needs");
	const char *input = json_string(s->doc, json_get(v, "input"), "input");
	read_choices(s, e);
	read_targets(s, e);
	char *choices = e->n_choices && f->append_choices ? listed_choices(e, f->choice_prefix, s->seed) : xstrdup("");
	char *all = join(f->input_prefix, input, choices);
	e->input = join(all, f->output_prefix, "");
	free(all);
	free(choices);
}

/* Writes a value so that equal ones have equal bytes, members in their order. */
static void put_value(FILE *out, const struct json *doc, const json_value *v)
{
	if (json_is_string(v)) {
		json_put_string(out, json_string(doc, v, "examples"));
	} else if (json_is_number(v)) {
		json_put_real(out, json_real(doc, v, "examples"));
	} else if (json_is_bool(v)) {
		fputs(json_bool(doc, v, "examples") ? "true" : "false", out);
	} else if (json_is_null(v)) {
		fputs("null", out);
	} else {
		bool object = json_is_object(v);
		putc(object ? '{' : '[', out);
		for (const json_value *m = json_first(v); m; m = json_next(m)) {
			if (object) {
				json_put_string(out, json_key(m));
				putc(':', out);
			}
			put_value(out, doc, m);
			putc(',', out);
		}
		putc(object ? '}' : ']', out);
	}
}

static struct doc_hash hash_value(const struct json *doc, const json_value *v)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		die("out of memory: examples");
	put_value(out, doc, v);
	if (ferror(out) || fclose(out) || !text)
		die("out of memory: examples");
	struct doc_hash h = hash_document(text, n);
	free(text);
	return h;
}

static bool same_value(const json_value *a, const json_value *b)
{
	if (json_is_string(a) && json_is_string(b))
		return strcmp(json_string(NULL, a, ""), json_string(NULL, b, "")) == 0;
	if (json_is_number(a) && json_is_number(b))
		return json_real(NULL, a, "") == json_real(NULL, b, "");
	if (json_is_bool(a) && json_is_bool(b))
		return json_bool(NULL, a, "") == json_bool(NULL, b, "");
	if (json_is_null(a) || json_is_null(b))
		return json_is_null(a) && json_is_null(b);
	bool objects = json_is_object(a) && json_is_object(b);
	if (!objects && !(json_is_array(a) && json_is_array(b)))
		return false;
	for (a = json_first(a), b = json_first(b); a && b; a = json_next(a), b = json_next(b))
		if ((objects && strcmp(json_key(a), json_key(b)) != 0) || !same_value(a, b))
			return false;
	return !a && !b;
}

/* The next member whose value is not looked at by name. */
static const json_value *next_other(const json_value *v)
{
	while (v && (strcmp(json_key(v), "input") == 0 || strcmp(json_key(v), "target") == 0))
		v = json_next(v);
	return v;
}

/* Python's == of two examples once they have been prepared. */
static bool same_example(const struct bb_example *a, const struct bb_example *b)
{
	if (a == b)
		return true;
	if (strcmp(a->input, b->input) != 0 || a->n_targets != b->n_targets)
		return false;
	for (int i = 0; i < a->n_targets; i++)
		if (strcmp(a->target[i], b->target[i]) != 0)
			return false;
	const json_value *x = next_other(json_first(a->json)), *y = next_other(json_first(b->json));
	for (; x && y; x = next_other(json_next(x)), y = next_other(json_next(y)))
		if (strcmp(json_key(x), json_key(y)) != 0 || !same_value(x, y))
			return false;
	return !x && !y;
}

static void read_examples(const struct source *s, struct bb_task *t)
{
	const json_value *examples = json_get(s->object, "examples");
	struct format f = {string_field(s, "example_input_prefix", "\nQ: "), string_field(s, "example_output_prefix", "\nA: "),
	                   string_field(s, "choice_prefix", "\n  choice: "), true};
	const json_value *append = json_get(s->object, "append_choices_to_input");
	struct docset seen = {0};
	double sum = 0;

	if (append)
		f.append_choices = json_bool(s->doc, append, "append_choices_to_input");
	if (!json_is_array(examples) || !json_first(examples))
		wrong(s, "examples", "a list with at least one expected");
	t->example = xcalloc(json_count(examples), sizeof *t->example);
	for (const json_value *v = json_first(examples); v; v = json_next(v)) {
		if (!json_is_object(v))
			wrong(s, "examples", "one is no object");
		if (!docset_add(&seen, hash_value(s->doc, v))) {
			t->left_out++;
			continue;
		}
		struct bb_example *e = &t->example[t->n_examples++];
		read_example(s, t, &f, v, e);
		double mean = 0;
		for (int i = 0; i < e->n_choices; i++)
			mean += e->score[i];
		sum += e->n_choices ? mean / e->n_choices : (double)NAN;
	}
	t->chance = sum / (double)t->n_examples;
	docset_free(&seen);
}

static bool has_metric(const struct bb_task *t, const char *name)
{
	for (int i = 0; i < t->n_metrics; i++)
		if (strcmp(t->metric[i], name) == 0)
			return true;
	return false;
}

static void add_metric(struct bb_task *t, const char *name)
{
	if (!has_metric(t, name))
		t->metric[t->n_metrics++] = name;
}

static void read_metrics(const struct source *s, struct bb_task *t)
{
	const json_value *metrics = json_get(s->object, "metrics");

	if (!json_is_array(metrics) || !json_first(metrics))
		wrong(s, "metrics", "a list with at least one expected");
	t->metric = xcalloc(json_count(metrics) + 2, sizeof *t->metric);
	for (const json_value *v = json_first(metrics); v; v = json_next(v)) {
		const char *name = json_string(s->doc, v, "metrics");
		if (!tsv_is_clean(name))
			wrong(s, "metrics", "a name that cannot stand in a table");
		if (bb_is_result(name))
			wrong(s, "metrics", "no metric, but what one of them results in");
		add_metric(t, name);
	}
	if (has_metric(t, "multiple_choice_grade")) {
		add_metric(t, "calibration_multiple_choice_brier_score");
		add_metric(t, "expected_calibration_error");
	}
	t->preferred = json_string(s->doc, json_get(s->object, "preferred_score"), "preferred_score");
	if (strcmp(t->preferred, "rouge") == 0)
		wrong(s, "preferred_score", "is rouge, must be one of rouge1, rouge2 and rougeLsum");
}

static bool has_kind(const struct bb_task *t, enum bb_kind kind)
{
	for (int i = 0; i < t->n_metrics; i++)
		if (bb_kind_of(t->metric[i]) == kind)
			return true;
	return false;
}

bool bb_generates(const struct bb_task *t)
{
	return has_kind(t, BB_TEXT);
}

bool bb_chooses(const struct bb_task *t)
{
	return has_kind(t, BB_CHOICE);
}

bool bb_scores_targets(const struct bb_task *t)
{
	return has_kind(t, BB_LIKELIHOOD);
}

static void read_regex(const struct source *s, struct bb_task *t)
{
	const char *why;
	size_t at;

	t->stop_string = optional_string(s, "stop_string");
	t->regex_text = optional_string(s, "output_regex");
	if (!t->regex_text && !t->stop_string)
		t->regex_text = DEFAULT_REGEX;
	if (t->stop_string && !*t->stop_string)
		t->stop_string = NULL;
	if (t->regex_text && !*t->regex_text)
		t->regex_text = NULL;
	if (!t->regex_text)
		return;
	t->regex = pyregex_compile(t->regex_text, &why, &at);
	if (!t->regex)
		die_input("malformed input: %s: output_regex: byte %zu: %s", s->path, at, why);
	if (pyregex_groups(t->regex) > 1)
		wrong(s, "output_regex", "has more than one group");
}

static void check_fields(const struct source *s)
{
	for (const json_value *v = json_first(s->object); v; v = json_next(v)) {
		const char *const *f = fields;
		while (*f && strcmp(*f, json_key(v)) != 0)
			f++;
		if (!*f)
			warn("%s: %s: is no field of BIG-bench's and is not looked at", s->path, json_key(v));
	}
}

/* The name, in ASCII as the package makes it, behind the group's. */
static char *task_name(const struct source *s)
{
	const char *name = json_string(s->doc, json_get(s->object, "name"), "name");
	char *ascii = xstrdup(name), *to = ascii;

	for (const char *p = name; *p; p++)
		if ((*p & 0xc0) != 0x80)
			*to++ = *p & 0x80 ? '?' : *p;
	*to = 0;
	if (!tsv_is_clean(ascii))
		wrong(s, "name", "cannot stand in a table");
	char *whole = s->parent ? join(s->parent, ":", ascii) : xstrdup(ascii);
	free(ascii);
	return whole;
}

static void add_task(struct bb_suite *suite, const struct source *s)
{
	struct bb_task t = {.group = s->group};

	if (!json_is_object(s->object))
		wrong(s, "subtasks", "one is no object");
	check_fields(s);
	if (json_get(s->object, "subtasks"))
		wrong(s, "subtasks", s->parent ? "inside a subtask" : "beside examples");
	t.name = task_name(s);
	t.path = xstrdup(s->path);
	memcpy(t.hash, s->hash, HASH_BYTES);
	read_metrics(s, &t);
	t.task_prefix = string_field(s, "task_prefix", "");
	t.separator = string_field(s, "few_shot_example_separator", "\n");
	t.absolute_normalization = json_get_bool(s->doc, s->object, "absolute_normalization", false);
	read_regex(s, &t);
	read_examples(s, &t);
	if (strcmp(t.preferred, "multiple_choice_grade") == 0 && !(t.chance < 1))
		wrong(s, "preferred_score", "a choice at random would score as high as can be");
	for (int i = 0; i < suite->n_tasks; i++)
		if (strcmp(suite->task[i].name, t.name) == 0)
			wrong(s, "name", "another task has it, too");
	GROW(suite->task, suite->n_tasks, suite->task_cap);
	suite->task[suite->n_tasks++] = t;
}

static const struct json *read_document(struct bb_suite *s, const char *path, uint8_t hash[HASH_BYTES])
{
	struct reader *r = reader_open(path);
	struct hash h;
	size_t n;

	hash_start(&h);
	reader_hash(r, &h);
	reader_hash(r, tsv_inputs());
	char *text = reader_rest(r, MAX_FILE, &n);
	reader_close(r);
	hash_end(&h, hash);
	struct json *doc = json_parse(text, n, path);
	free(text);
	if (!json_is_object(json_root(doc)))
		die_input("malformed input: %s: no object", path);
	GROW(s->doc, s->n_docs, s->doc_cap);
	return s->doc[s->n_docs++] = doc;
}

/* DIR/NAME/task.json of all folders, sorted; you free() all. */
static char **folder_tasks(const char *path, int *n)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup("./"), **found = NULL;
	int cap = 0;
	DIR *d = opendir(dir);

	if (!d)
		die("cannot read %s:", dir);
	*n = 0;
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		char *task = e->d_name[0] == '.' ? NULL : xasprintf("%s%s/task.json", slash ? dir : "", e->d_name);
		if (task && stat(task, &st) == 0 && S_ISREG(st.st_mode)) {
			GROW(found, *n, cap);
			found[(*n)++] = task;
		} else {
			free(task);
		}
	}
	closedir(d);
	free(dir);
	if (*n)
		qsort(found, (size_t)*n, sizeof *found, by_string);
	return found;
}

static void add_group(struct bb_suite *suite, struct source s)
{
	struct bb_group g = {.path = xstrdup(s.path), .first = suite->n_tasks};
	struct source sub = s;
	struct hash all;
	int n;
	char **file = folder_tasks(s.path, &n);
	const json_value *inside = json_get(s.object, "subtasks");

	check_fields(&s);
	g.name = task_name(&s);
	sub.parent = g.name;
	sub.group = suite->n_groups;
	hash_start(&all);
	if (n)
		hash_add_file(&all, s.path);
	for (int i = 0; i < n; i++) {
		uint8_t hash[HASH_BYTES];
		sub.path = file[i];
		sub.doc = read_document(suite, file[i], hash);
		sub.object = json_root(sub.doc);
		sub.hash = hash;
		if (!json_get(sub.object, "examples"))
			wrong(&sub, "examples", "missing: a group inside a group");
		add_task(suite, &sub);
		hash_add_file(&all, file[i]);
		free(file[i]);
	}
	free(file);
	if (n == 0) {
		if (!inside || !json_is_array(inside) || !json_first(inside))
			wrong(&s, "examples", "missing, and there are no subtasks");
		for (const json_value *v = json_first(inside); v; v = json_next(v)) {
			sub.object = v;
			add_task(suite, &sub);
		}
		memcpy(g.hash, s.hash, HASH_BYTES);
	} else {
		hash_end(&all, g.hash);
	}
	g.n = suite->n_tasks - g.first;
	for (int i = 0; i < suite->n_groups; i++)
		if (strcmp(suite->group[i].name, g.name) == 0)
			wrong(&s, "name", "another task has it, too");
	GROW(suite->group, suite->n_groups, suite->group_cap);
	suite->group[suite->n_groups++] = g;
}

void bb_read(struct bb_suite *suite, const char *path, uint32_t seed)
{
	uint8_t hash[HASH_BYTES];
	struct source s = {.path = path, .group = -1, .seed = seed, .hash = hash};

	s.doc = read_document(suite, path, hash);
	s.object = json_root(s.doc);
	if (json_get(s.object, "examples"))
		add_task(suite, &s);
	else
		add_group(suite, s);
}

void bb_free(struct bb_suite *s)
{
	for (int i = 0; i < s->n_tasks; i++) {
		struct bb_task *t = &s->task[i];
		for (size_t k = 0; k < t->n_examples; k++) {
			free(t->example[k].input);
			free(t->example[k].target);
			free(t->example[k].choice);
			free(t->example[k].score);
		}
		free(t->example);
		free(t->metric);
		free(t->name);
		free(t->path);
		pyregex_free(t->regex);
	}
	for (int i = 0; i < s->n_groups; i++) {
		free(s->group[i].name);
		free(s->group[i].path);
	}
	for (int i = 0; i < s->n_docs; i++)
		json_free(s->doc[i]);
	free(s->task);
	free(s->group);
	free(s->doc);
	*s = (struct bb_suite){0};
}

/* ---- prompts ---- */

/* make_nshot_dataset(): the shots of one question, drawn from all examples but it. You free() the text. */
static char *context(const struct bb_task *t, struct numpy_rng *r, size_t query, size_t shots, size_t *valid, size_t *order)
{
	size_t n = 0, length = 1;
	const char **part = xcalloc(2 * shots, sizeof *part);

	for (size_t i = 0; i < t->n_examples; i++)
		if (!same_example(&t->example[i], &t->example[query]))
			valid[n++] = i;
	if (n < shots)
		die_input("%s: only %zu examples differ from one that is asked: too few for %zu shots", t->path, n, shots);
	numpy_rng_permutation(r, order, n);
	for (size_t i = 0; i < shots; i++) {
		const struct bb_example *e = &t->example[valid[order[i]]];
		part[2 * i] = e->input;
		part[2 * i + 1] = e->target[numpy_rng_below(r, (uint32_t)e->n_targets)];
		length += strlen(part[2 * i]) + strlen(part[2 * i + 1]) + strlen(t->separator);
	}
	char *text = xmalloc(length), *end = text;
	*end = 0;
	for (size_t i = 0; i < shots; i++)
		end = stpcpy(stpcpy(stpcpy(end, part[2 * i]), part[2 * i + 1]), t->separator);
	free(part);
	return text;
}

struct bb_prompt *bb_prompts(const struct bb_task *t, int64_t shots, uint32_t seed, size_t most, size_t *n)
{
	struct numpy_rng r = numpy_rng_make(seed);
	size_t all = t->n_examples, *order = xcalloc(all, sizeof *order), *valid = xcalloc(all, sizeof *valid),
	       *shuffled = xcalloc(all, sizeof *shuffled);

	if ((uint64_t)all < (uint64_t)shots + 1)
		die_input("%s: %zu distinct examples are too few for %lld shots", t->path, all, (long long)shots);
	*n = most && most < all ? most : all;
	/* Without shots and a limit the package leaves them in their order; with shots it always draws. */
	if (shots || *n < all)
		numpy_rng_permutation(&r, order, all);
	else
		for (size_t i = 0; i < all; i++)
			order[i] = i;
	struct bb_prompt *p = xcalloc(*n, sizeof *p);
	for (size_t i = 0; i < *n; i++) {
		char *before = shots ? context(t, &r, order[i], (size_t)shots, valid, shuffled) : xstrdup("");
		p[i].example = order[i];
		p[i].text = join(t->task_prefix, before, t->example[order[i]].input);
		free(before);
	}
	free(shuffled);
	free(valid);
	free(order);
	return p;
}

void bb_free_prompts(struct bb_prompt *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(p[i].text);
	free(p);
}

/* ---- answers ---- */

/* Bytes of the first `chars` characters, or of all; *whole: are there so many? */
static size_t prefix(const char *text, size_t chars, bool *whole)
{
	size_t at = 0, n = strlen(text);
	uint32_t c;

	for (; chars && at < n; chars--) {
		int length = utf8_char((const unsigned char *)text + at, n - at, &c);
		at += length > 0 ? (size_t)length : 1;
	}
	*whole = chars == 0;
	return at;
}

char *bb_response(const struct bb_task *t, const char *text, size_t max_chars, bool *final)
{
	size_t n = prefix(text, max_chars, final);
	char *cut = xstrndup(text, n), *stop = t->stop_string ? strstr(cut, t->stop_string) : NULL;

	/* The package does not stop at a stop string with which the text begins, nor at a later one. */
	if (stop && stop > cut) {
		stop[strlen(t->stop_string)] = 0;
		n = strlen(cut);
		*final = true;
	}
	if (!t->regex)
		return cut;
	struct pyregex_match m = pyregex_find(t->regex, cut, n);
	char *match = xstrndup(cut + m.start, m.end - m.start);
	*final |= m.final;
	free(cut);
	return match;
}
