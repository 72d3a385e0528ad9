#include "along.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checked.h"
#include "die.h"
#include "tsv.h"

#define AGGREGATE "normalized_aggregate_score"

const char *const rank_token_names[N_RANK_TOKENS] = {"all", "ngrams"};
const char *const rank_measure_names[N_RANK_MEASURES] = {"mrr", "median", "mean", "top1", "top10"};

/* What tables of tokens say is kept in the order of models and domains, and looked up by halves. */
struct place {
	int step, j, kind; /* kind: class, or which tokens */
	int row;
};

struct class_row {
	struct place at;
	struct class_sums sums;
};

struct rank_row {
	struct place at;
	double value[N_RANK_MEASURES];
};

struct along {
	char *protocol[2], *bigbench_protocol; /* of classes and ranks; NULL: no such table */
	struct class_row *class;
	int n_class;
	struct class_sums *sums; /* (n_class) those of class[], side by side */
	struct rank_row *rank;
	int n_rank;
	struct along_score *score;
	int n_score, cap_score;
};

enum { CLASSES, RANKS };

/* --- tables of tokens ----------------------------------------------------------------------------- */

/* Columns that both have. */
struct about {
	struct tsv *t;
	const struct matrix *m;
	int model, model_hash, domain, protocol, data_hash;
	int last; /* domain of the row before, which is this one's more often than not */
};

static struct tsv *open_if_there(const char *dir, const char *kind)
{
	char *file = xasprintf("%s/%s.tsv", dir, kind);
	struct tsv *t = access(file, F_OK) == 0 ? tsv_read(file, kind) : NULL;

	free(file);
	return t;
}

static struct about columns_of(struct tsv *t, const struct matrix *m)
{
	return (struct about){t, m, tsv_column(t, "model"), tsv_column(t, "model_hash"), tsv_column(t, "domain"),
	                      tsv_column(t, "protocol"), tsv_column(t, "data_hash"), 0};
}

static int step_of(const struct tsv *t, int row, int c_model, int c_hash, const struct matrix *m)
{
	const char *name = tsv_string(t, row, c_model), *domain, *hash = tsv_string(t, row, c_hash);
	int step;

	if (model_parse(name, &step, &domain) != MODEL_STEP || step > m->n)
		tsv_die(t, row, "not a model of this sequence: %s", name);
	if (m->model_hash[step] && strcmp(m->model_hash[step], hash))
		tsv_die(t, row, "another model than the matrix has as %s", name);
	return step;
}

static void same_protocol(const struct tsv *t, int row, int column, char **protocol)
{
	const char *text = tsv_string(t, row, column);

	if (*protocol && strcmp(*protocol, text))
		tsv_die(t, row, "protocol %s: cannot be compared with %s", text, *protocol);
	if (!*protocol)
		*protocol = xstrdup(text);
}

static struct place place_of(struct about *c, int row, int kind, char **protocol)
{
	const char *name = tsv_string(c->t, row, c->domain), *data = tsv_string(c->t, row, c->data_hash);
	struct place p = {step_of(c->t, row, c->model, c->model_hash, c->m), c->last, kind, row};
	const struct matrix_domain *d = c->m->domain;

	if (strcmp(d[p.j].name, name))
		for (p.j = 0; p.j < c->m->n && strcmp(d[p.j].name, name); p.j++)
			;
	if (p.j == c->m->n)
		tsv_die(c->t, row, "a domain that is not in the sequence: %s", name);
	if (d[p.j].data_hash && strcmp(d[p.j].data_hash, data))
		tsv_die(c->t, row, "domain %s: another text than the matrix is of", name);
	same_protocol(c->t, row, c->protocol, protocol);
	c->last = p.j;
	return p;
}

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	if (x->j != y->j)
		return x->j < y->j ? -1 : 1;
	return (x->kind > y->kind) - (x->kind < y->kind);
}

static const void *find_place(const void *rows, int n, size_t size, int step, int j, int kind)
{
	return n ? bsearch(&(struct place){step, j, kind, 0}, rows, (size_t)n, size, by_place) : NULL;
}

static int class_named(const char *name)
{
	int c = 0;

	while (c < TOKEN_CLASSES && strcmp(token_class_name(c), name))
		c++;
	return c;
}

static void read_classes(struct along *a, struct tsv *t, const struct matrix *m)
{
	struct about c = columns_of(t, m);
	int c_class = tsv_column(t, "class"), c_nll = tsv_column(t, "nll"), c_targets = tsv_column(t, "targets");

	a->class = xcalloc((size_t)t->n_rows + 1, sizeof *a->class);
	for (int i = 0; i < t->n_rows; i++) {
		struct class_row *r = &a->class[a->n_class++];
		int class = class_named(tsv_string(t, i, c_class));

		if (class == TOKEN_CLASSES)
			tsv_die(t, i, "no class of tokens: %s", t->cell[i][c_class]);
		r->at = place_of(&c, i, class, &a->protocol[CLASSES]);
		r->sums = (struct class_sums){tsv_real(t, i, c_nll), tsv_int(t, i, c_targets)};
		if (r->sums.targets < 0 || r->sums.nll < 0)
			tsv_die(t, i, "%s is below 0", r->sums.targets < 0 ? "targets" : "nll");
	}
	qsort(a->class, (size_t)a->n_class, sizeof *a->class, by_place);
	a->sums = xcalloc((size_t)a->n_class + 1, sizeof *a->sums);
	for (int i = 0; i < a->n_class; i++) {
		const struct class_row *r = &a->class[i];
		bool begins = i % TOKEN_CLASSES == 0, ends = i == a->n_class - 1;

		/* ten lines for each model and domain, in the sequence of the classes: neither twice nor missing */
		if (r->at.kind != i % TOKEN_CLASSES || (!begins && (r->at.step != r[-1].at.step || r->at.j != r[-1].at.j)) ||
		    (ends && r->at.kind != TOKEN_CLASSES - 1))
			tsv_die(t, r->at.row, "M%d, domain %s: a class of tokens is missing or stands twice",
			        r->at.step, m->domain[r->at.j].name);
		a->sums[i] = r->sums;
	}
	for (int i = 0; i < a->n_class; i++) {
		const struct class_row *r = &a->class[i], *first = find_place(a->class, a->n_class, sizeof *r, 0, r->at.j, r->at.kind);

		if (first && first->sums.targets != r->sums.targets)
			tsv_die(t, r->at.row, "%" PRId64 " targets, but %" PRId64 " of M0", r->sums.targets, first->sums.targets);
	}
}

const struct class_sums *along_classes(const struct along *a, int step, int j)
{
	const struct class_row *r = find_place(a->class, a->n_class, sizeof *r, step, j, 0);

	return r ? &a->sums[r - a->class] : NULL;
}

static double real_or_nothing(const struct tsv *t, int row, int column)
{
	return !strcmp(t->cell[row][column], "-") ? NAN : tsv_real(t, row, column);
}

static void read_ranks(struct along *a, struct tsv *t, const struct matrix *m)
{
	struct about c = columns_of(t, m);
	int c_scope = tsv_column(t, "scope"), c_value[N_RANK_MEASURES];

	for (int v = 0; v < N_RANK_MEASURES; v++)
		c_value[v] = tsv_column(t, rank_measure_names[v]);
	a->rank = xcalloc((size_t)t->n_rows + 1, sizeof *a->rank);
	for (int i = 0; i < t->n_rows; i++) {
		const char *scope = tsv_string(t, i, c_scope);
		int tokens = !strcmp(scope, rank_token_names[RANKS_ALL]) ? RANKS_ALL : RANKS_NGRAMS;
		struct place at = place_of(&c, i, tokens, &a->protocol[RANKS]);
		struct rank_row *r = &a->rank[a->n_rank];

		if (!strcmp(scope, "ngram"))
			continue;
		if (strcmp(scope, rank_token_names[tokens]))
			tsv_die(t, i, "no scope of ranks: %s", scope);
		r->at = at;
		for (int v = 0; v < N_RANK_MEASURES; v++) {
			bool is_share = v == RANK_MRR || v == RANK_TOP1 || v == RANK_TOP10;

			r->value[v] = real_or_nothing(t, i, c_value[v]);
			if (is_share ? r->value[v] < 0 || r->value[v] > 1 : r->value[v] < 1)
				tsv_die(t, i, "%s cannot be %s", rank_measure_names[v], t->cell[i][c_value[v]]);
		}
		a->n_rank++;
	}
	qsort(a->rank, (size_t)a->n_rank, sizeof *a->rank, by_place);
	for (int i = 1; i < a->n_rank; i++)
		if (by_place(&a->rank[i - 1], &a->rank[i]) == 0)
			tsv_die(t, a->rank[i].at.row, "M%d, domain %s: stands twice", a->rank[i].at.step,
			        m->domain[a->rank[i].at.j].name);
}

double along_rank(const struct along *a, int step, int j, enum rank_tokens tokens, enum rank_measure measure)
{
	const struct rank_row *r = find_place(a->rank, a->n_rank, sizeof *r, step, j, (int)tokens);

	return r ? r->value[measure] : NAN;
}

/* --- BIG-bench ------------------------------------------------------------------------------------ */

struct score_columns {
	int model, model_hash, task, task_hash, tasks, shots, metric, preferred, score, low, high, normalized, error,
	    examples, protocol;
};

static bool is_part_of(const char *task, const char *group)
{
	size_t n = strlen(group);

	return !strncmp(task, group, n) && task[n] == ':';
}

/*
 * The squared standard error of a task's normalized score. Its examples are taken for a sample of all that could be
 * asked, so it is not 0 where all of them were: the table's own is of the task as it is. Of a share, the score is that of
 * two examples more, one right and one wrong (Agresti and Caffo 2000): no wrong answers are no proof that there never will be any.
 */
static double squared_error(const struct tsv *t, int row, const struct score_columns *c)
{
	static const char *const shares[] = {"multiple_choice_grade", "exact_str_match", "case_insensitive_str_match",
	                                     "numeric_match_with_0_1_relative_error"};
	bool share = false;
	double score = real_or_nothing(t, row, c->score), low = real_or_nothing(t, row, c->low),
	       high = real_or_nothing(t, row, c->high);
	double n = (double)tsv_int(t, row, c->examples), p = (score * n + 1) / (n + 2);

	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
		share = share || !strcmp(tsv_string(t, row, c->metric), shares[i]);
	if (!share || !(score >= 0 && score <= 1 && low >= 0 && low < 1 && high == 1) || n < 1)
		return NAN;
	return p * (1 - p) / (n + 2) * (100 / (high - low)) * (100 / (high - low));
}

/* Of a group, from its tasks'; of what has no share of right answers, the table's own if that is not 0. */
static double error_of(const struct tsv *t, int row, const struct score_columns *c, int step, const struct matrix *m)
{
	const char *task = tsv_string(t, row, c->task);
	int64_t tasks = tsv_int(t, row, c->tasks), shots = tsv_int(t, row, c->shots), n = 0;
	double sum = 0, low = real_or_nothing(t, row, c->low), high = real_or_nothing(t, row, c->high);
	double own = real_or_nothing(t, row, c->error) * 100 / (high - low);

	for (int i = 0; i < t->n_rows; i++) {
		const char *other = tsv_string(t, i, c->task);

		if ((tasks ? !is_part_of(other, task) : strcmp(other, task) != 0) || strcmp(tsv_string(t, i, c->preferred), "yes") ||
		    tsv_int(t, i, c->shots) != shots || step_of(t, i, c->model, c->model_hash, m) != step)
			continue;
		sum += squared_error(t, i, c);
		n++;
	}
	if (n == (tasks ? tasks : 1) && !isnan(sum))
		return sqrt(sum) / (double)n;
	return own > 0 ? own : NAN;
}

int along_score_order(const struct along_score *x, const struct along_score *y)
{
	int order = strcmp(x->task, y->task);

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	if (order)
		return order;
	return (x->shots > y->shots) - (x->shots < y->shots);
}

static int by_score(const void *a, const void *b)
{
	return along_score_order(a, b);
}

static bool in_a_group(const char *task, char *const *group, int n)
{
	for (int i = 0; i < n; i++)
		if (is_part_of(task, group[i]))
			return true;
	return false;
}

/* Names of the groups; each once. */
static int groups_in(const struct tsv *t, const struct score_columns *c, char ***group)
{
	int n = 0, cap = 0;

	*group = NULL;
	for (int i = 0; i < t->n_rows; i++) {
		char *task = t->cell[i][c->task];

		if (tsv_int(t, i, c->tasks) <= 0 || (n && !strcmp((*group)[n - 1], task)))
			continue;
		GROW(*group, n, cap);
		(*group)[n++] = task;
	}
	return n;
}

static void add_score(struct along *a, const struct tsv *t, int row, const struct score_columns *c, int step, const struct matrix *m)
{
	GROW(a->score, a->n_score, a->cap_score);
	a->score[a->n_score++] = (struct along_score){
		.step = step,
		.task = xstrdup(tsv_string(t, row, c->task)),
		.shots = tsv_int(t, row, c->shots),
		.metric = xstrdup(tsv_string(t, row, c->metric)),
		.hash = xstrdup(tsv_string(t, row, c->task_hash)),
		.tasks = (int)tsv_int(t, row, c->tasks),
		.examples = tsv_int(t, row, c->examples),
		.normalized = tsv_real(t, row, c->normalized),
		.error = error_of(t, row, c, step, m),
	};
}

struct score_key {
	int step, row;
	int64_t shots;
	const char *task, *metric;
};

static int by_key(const void *a, const void *b)
{
	const struct score_key *x = a, *y = b;
	int order = x->step != y->step ? x->step - y->step : strcmp(x->task, y->task);

	if (order)
		return order;
	return x->shots != y->shots ? (x->shots < y->shots ? -1 : 1) : strcmp(x->metric, y->metric);
}

/* No score twice, whether it is taken or not. */
static void check_once(const struct tsv *t, const struct score_columns *c, const struct matrix *m)
{
	struct score_key *v = xcalloc((size_t)t->n_rows + 1, sizeof *v);

	for (int i = 0; i < t->n_rows; i++)
		v[i] = (struct score_key){step_of(t, i, c->model, c->model_hash, m), i, tsv_int(t, i, c->shots),
		                          tsv_string(t, i, c->task), tsv_string(t, i, c->metric)};
	qsort(v, (size_t)t->n_rows, sizeof *v, by_key);
	for (int i = 1; i < t->n_rows; i++)
		if (by_key(&v[i - 1], &v[i]) == 0)
			tsv_die(t, v[i].row, "M%d, task %s: stands twice", v[i].step, v[i].task);
	free(v);
}

/*
 * One row is taken for each model, task and number of shots: the aggregate's, or, where that was not computed, as in tasks that
 * prefer a metric which needs another model, the first that has a scale.
 */
static void read_scores(struct along *a, struct tsv *t, const struct matrix *m)
{
	struct score_columns c = {tsv_column(t, "model"), tsv_column(t, "model_hash"), tsv_column(t, "task"),
	                          tsv_column(t, "task_hash"), tsv_column(t, "tasks"), tsv_column(t, "shots"),
	                          tsv_column(t, "metric"), tsv_column(t, "preferred"), tsv_column(t, "score"),
	                          tsv_column(t, "low"), tsv_column(t, "high"), tsv_column(t, "normalized"),
	                          tsv_column(t, "stderr"), tsv_column(t, "examples"), tsv_column(t, "protocol")};
	char **group;
	int n_groups = groups_in(t, &c, &group), *chosen = xcalloc((size_t)t->n_rows + 1, sizeof *chosen), n = 0;

	check_once(t, &c, m);
	for (int i = 0; i < t->n_rows; i++) {
		int k;
		bool aggregate = !strcmp(tsv_string(t, i, c.metric), AGGREGATE);

		same_protocol(t, i, c.protocol, &a->bigbench_protocol);
		if (isnan(real_or_nothing(t, i, c.normalized)) || in_a_group(tsv_string(t, i, c.task), group, n_groups))
			continue;
		for (k = n - 1; k >= 0; k--)
			if (!strcmp(t->cell[chosen[k]][c.task], t->cell[i][c.task]) &&
			    !strcmp(t->cell[chosen[k]][c.model], t->cell[i][c.model]) &&
			    tsv_int(t, chosen[k], c.shots) == tsv_int(t, i, c.shots))
				break;
		if (k < 0)
			chosen[n++] = i;
		else if (aggregate)
			chosen[k] = i;
	}
	for (int k = 0; k < n; k++)
		add_score(a, t, chosen[k], &c, step_of(t, chosen[k], c.model, c.model_hash, m), m);
	qsort(a->score, (size_t)a->n_score, sizeof *a->score, by_score);
	free(group);
	free(chosen);
}

const struct along_score *along_scores(const struct along *a, int *n)
{
	*n = a->n_score;
	return a->score;
}

const struct along_score *along_score(const struct along *a, int step, const char *task, int64_t shots)
{
	for (int i = 0; i < a->n_score; i++)
		if (a->score[i].step == step && a->score[i].shots == shots && !strcmp(a->score[i].task, task))
			return &a->score[i];
	return NULL;
}

/* --- all of it ------------------------------------------------------------------------------------ */

struct along *along_read(const char *dir, const struct matrix *m)
{
	struct along *a = xcalloc(1, sizeof *a);
	static const struct {
		const char *kind;
		void (*read)(struct along *a, struct tsv *t, const struct matrix *m);
	} table[] = {{"classes", read_classes}, {"ranks", read_ranks}, {"bigbench", read_scores}};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct tsv *t = open_if_there(dir, table[i].kind);

		if (t)
			table[i].read(a, t, m);
		tsv_free(t);
	}
	return a;
}

static void check_protocol(const char *a, const char *run, const char *b, const char *where, const char *what)
{
	if (a && b && strcmp(a, b))
		die_input("%s/%s.tsv: protocol %s: cannot be compared with %s of run %s", where, what, b, a, run);
}

/* Of the first model that was asked it, M0 as a rule; NULL: none. */
static const char *hash_of_task(const struct along *a, const char *task)
{
	for (int i = 0; i < a->n_score; i++)
		if (!strcmp(a->score[i].task, task))
			return a->score[i].hash;
	return NULL;
}

void along_check_same(const struct along *a, const char *run, const struct along *b, const char *where)
{
	check_protocol(a->protocol[CLASSES], run, b->protocol[CLASSES], where, "classes");
	check_protocol(a->protocol[RANKS], run, b->protocol[RANKS], where, "ranks");
	check_protocol(a->bigbench_protocol, run, b->bigbench_protocol, where, "bigbench");
	for (int i = 0; i < b->n_score; i++) {
		const char *hash = hash_of_task(a, b->score[i].task);

		if (hash && strcmp(hash, b->score[i].hash))
			die_input("%s/bigbench.tsv: task %s: another than run %s was asked", where, b->score[i].task, run);
	}
}

void along_free(struct along *a)
{
	if (!a)
		return;
	for (int i = 0; i < a->n_score; i++) {
		free(a->score[i].task);
		free(a->score[i].metric);
		free(a->score[i].hash);
	}
	for (int i = 0; i < 2; i++)
		free(a->protocol[i]);
	free(a->bigbench_protocol);
	free(a->score);
	free(a->class);
	free(a->sums);
	free(a->rank);
	free(a);
}
