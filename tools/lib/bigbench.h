/*
 * JSON tasks of BIG-bench (Srivastava et al., 2206.04615): what a task.json says, and the prompts that it makes, as
 * json_task.py of the package bigbench 1.0.0 builds them, character by character.
 */
#ifndef PALIMPSEST_BIGBENCH_H
#define PALIMPSEST_BIGBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"
#include "json.h"
#include "pyregex.h"

struct bb_example {
	char *input;         /* with the task's prefixes and, if it wants that, the choices */
	const char **target; /* right answers; of a task without any, the first of the best choices */
	int n_targets;
	const char **choice; /* in the file's order; 0 if it has none */
	double *score;       /* of each */
	int n_choices;
	const json_value *json; /* as it stands in the file */
	bool has_target;        /* there, too */
};

struct bb_metric; /* bigbench_score.h */

struct bb_task {
	char *name;          /* "task", "task:subtask" */
	char *path;          /* of the file */
	uint8_t hash[HASH_BYTES]; /* SHA-256 of the file */
	int group;           /* index of the group that it belongs to, or -1 */
	/* names, in the file's order and without repetition, with those that multiple_choice_grade brings along */
	const char **metric;
	int n_metrics;
	const char *preferred;
	const char *task_prefix, *separator, *stop_string; /* stop_string: NULL if none */
	const char *regex_text;  /* NULL if none */
	struct pyregex *regex;
	bool absolute_normalization;
	double chance;       /* mean score of a choice taken at random; NaN if an example has none */
	struct bb_example *example; /* without repetitions */
	size_t n_examples;
	size_t left_out;     /* repetitions */
};

struct bb_group {
	char *name, *path;
	uint8_t hash[HASH_BYTES]; /* of its own file followed by its tasks' */
	int first, n; /* tasks */
};

struct bb_suite {
	struct bb_task *task;
	int n_tasks, task_cap;
	struct bb_group *group;
	int n_groups, group_cap;
	struct json **doc; /* strings above lie there */
	int n_docs, doc_cap;
};

/*
 * Adds the task in PATH or, if that has no examples, those in the folders beside it (PATH's folder / NAME / task.json),
 * or in its "subtasks", as a group. seed: of the order in which choices stand in a prompt. What we do not compute, or
 * what the package refuses: exit 3 with the file and the field.
 */
void bb_read(struct bb_suite *s, const char *path, uint32_t seed);
void bb_free(struct bb_suite *s);

/* May be computed for this task? What scores text, choices, or targets. */
bool bb_generates(const struct bb_task *t);
bool bb_chooses(const struct bb_task *t);
bool bb_scores_targets(const struct bb_task *t);

struct bb_prompt {
	size_t example; /* the one that is asked */
	char *text;     /* whole */
};

/*
 * The prompts of a task for a number of shots, in the package's order. most: examples, 0 for all. Too few examples for
 * the shots: exit 3. You bb_free_prompts() it.
 */
struct bb_prompt *bb_prompts(const struct bb_task *t, int64_t shots, uint32_t seed, size_t most, size_t *n);
void bb_free_prompts(struct bb_prompt *p, size_t n);

/*
 * What is left of a generated text: at most max_chars characters, up to and with the stop string, and of that the first
 * match of the regular expression. *final: would it be the same if the text went on? You free() it.
 */
char *bb_response(const struct bb_task *t, const char *text, size_t max_chars, bool *final);

#endif
