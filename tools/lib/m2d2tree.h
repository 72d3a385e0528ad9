/*
 * M2D2 (Reid et al. 2022) as it comes: which folders are domains, which files hold which split, and what the
 * domains' names say.
 */
#ifndef PALIMPSEST_M2D2TREE_H
#define PALIMPSEST_M2D2TREE_H

#include <stdbool.h>

enum split { TRAIN, VALID, TEST, N_SPLITS };
extern const char *const split_name[N_SPLITS]; /* "train", "valid", "test" */

struct m2d2_domain {
	char *name;
	struct {
		char **path; /* in name order */
		int n;
	} file[N_SPLITS], held_out; /* held_out: VALID__*, to be halved; then file[VALID] and file[TEST] are empty */
	char *folder; /* for messages */
};

struct m2d2_tree {
	struct m2d2_domain *domain; /* in name order */
	int n;
};

/*
 * Every domain in or below the folders: a folder with {train,valid,test}.txt[.gz] or VALID__*. A folder that holds a
 * test set alone (m2d2_test_sets/cs.CL) completes a domain of that name found elsewhere, unless that has its own.
 * A domain in two places, or a folder without any: exit 3. Lives until the end of the tool.
 */
struct m2d2_tree m2d2_find(char **folder, int n);

/*
 * L1 and portion by a domain's name: Culture_and_the_arts__Visual_arts is wiki, cs.CL, cs_l1, hep-th, Art are s2orc.
 * *l1: you free() it. *whole_l1: it is no L2 domain but the union of a whole L1 (cs_l1, Culture_and_the_arts, Art).
 */
void m2d2_labels(const char *name, char **l1, const char **portion, bool *whole_l1);

#endif
