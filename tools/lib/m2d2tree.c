#include "m2d2tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checked.h"
#include "die.h"
#include "text.h"
#include "tsv.h"

#define MAX_DEPTH 8

const char *const split_name[N_SPLITS] = {"train", "valid", "test"};

/* Three names in the published list of domains that are none. */
static bool is_leftover(const char *name)
{
	return !strcmp(name, "eval_sets") || !strcmp(name, "only_text") || !strcmp(name, "only_txt2");
}

static bool is_text(const char *name)
{
	return ends_with(name, ".txt") || ends_with(name, ".txt.gz");
}

static bool is_held_out(const char *name)
{
	return !strncmp(name, "VALID__", 7);
}

/* Which split a file name says, or N_SPLITS. */
static int split_of(const char *name)
{
	int i = 0;

	while (i < N_SPLITS) {
		size_t n = strlen(split_name[i]);

		if (!strncmp(name, split_name[i], n) && (!strcmp(name + n, ".txt") || !strcmp(name + n, ".txt.gz")))
			break;
		i++;
	}
	return i;
}

static char *folder_name(const char *folder)
{
	char *plain = xstrdup(folder), *last;
	size_t n = strlen(plain);

	while (n > 1 && plain[n - 1] == '/')
		plain[--n] = '\0';
	last = strrchr(plain, '/');
	last = last ? last + 1 : plain;
	if (!*last || !strcmp(last, ".") || !strcmp(last, "..")) {
		char *real = realpath(folder, NULL);

		if (!real)
			die("cannot read folder %s:", folder);
		last = xstrdup(strrchr(real, '/') + 1);
		free(real);
	} else {
		last = xstrdup(last);
	}
	free(plain);
	return last;
}

/* strcmp() and not the locale: the same order everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

#define APPEND(list, text)                                                                           \
	((list).path = xreallocarray((list).path, (size_t)(list).n + 1, sizeof *(list).path),         \
	 (list).path[(list).n++] = (text))

static struct m2d2_domain *found;
static size_t n_found, cap_found;

static void look(const char *folder, int depth)
{
	struct m2d2_domain d = {0};
	char **sub = NULL, **other = NULL;
	size_t n_sub = 0, cap_sub = 0, n_other = 0, cap_other = 0;
	struct dirent **entry;
	struct stat st;
	int n = scandir(folder, &entry, NULL, by_name);

	if (n < 0)
		die("cannot read folder %s:", folder);
	for (int i = 0; i < n; i++) {
		const char *name = entry[i]->d_name;
		char *path = path_join(folder, name);
		int split = split_of(name);

		if (*name == '.') {
			free(path);
			continue;
		}
		if (stat(path, &st))
			die("cannot read %s:", path);
		if (S_ISDIR(st.st_mode)) {
			GROW(sub, n_sub, cap_sub);
			sub[n_sub++] = path;
		} else if (split < N_SPLITS) {
			if (d.file[split].n)
				die_input("ambiguous domain: %s: both %s.txt and %s.txt.gz", folder, split_name[split],
				          split_name[split]);
			APPEND(d.file[split], path);
		} else if (is_held_out(name) && is_text(name)) {
			APPEND(d.held_out, path);
		} else if (is_text(name)) {
			GROW(other, n_other, cap_other);
			other[n_other++] = path;
		} else {
			free(path);
		}
	}
	if (d.held_out.n || d.file[TRAIN].n || d.file[VALID].n || d.file[TEST].n) {
		if (d.held_out.n && (d.file[VALID].n || d.file[TEST].n))
			die_input("ambiguous domain: %s: VALID__ files beside %s.txt", folder,
			          d.file[VALID].n ? "valid" : "test");
		if (d.held_out.n && !d.file[TRAIN].n) /* then all other text is for training, as its authors have it */
			for (size_t i = 0; i < n_other; i++)
				APPEND(d.file[TRAIN], other[i]);
		d.name = folder_name(folder);
		d.folder = xstrdup(folder);
		if (!is_domain_name(d.name))
			die_input("bad domain name: %s", folder);
		GROW(found, n_found, cap_found);
		found[n_found++] = d;
	} else if (depth == MAX_DEPTH) {
		die_input("cannot search %s: more than %d folders deep", folder, MAX_DEPTH);
	} else {
		for (size_t i = 0; i < n_sub; i++) {
			char *name = folder_name(sub[i]);

			if (is_leftover(name))
				warn("left out: %s: no domain but a leftover of M2D2", sub[i]);
			else
				look(sub[i], depth + 1);
			free(name);
		}
	}
	for (int i = 0; i < n; i++)
		free(entry[i]);
	free(entry);
	free(sub); /* its strings, and unused ones of other, live on: a few bytes a file */
	free(other);
}

static bool test_alone(const struct m2d2_domain *d)
{
	return d->file[TEST].n && !d->file[TRAIN].n && !d->file[VALID].n && !d->held_out.n;
}

/* Domains before their test sets, which may stand elsewhere. */
static int by_domain(const void *x, const void *y)
{
	const struct m2d2_domain *a = x, *b = y;
	int order = strcmp(a->name, b->name);

	if (order)
		return order;
	order = test_alone(a) - test_alone(b);
	return order ? order : strcmp(a->folder, b->folder);
}

struct m2d2_tree m2d2_find(char **folder, int n)
{
	struct m2d2_tree tree = {0};

	for (int i = 0; i < n; i++) {
		size_t before = n_found;

		look(folder[i], 0);
		if (n_found == before)
			die_input("no domain in %s: no folder there holds train.txt, valid.txt, test.txt or VALID__*",
			          folder[i]);
	}
	qsort(found, n_found, sizeof *found, by_domain);
	for (size_t i = 0; i < n_found; i++) {
		struct m2d2_domain *last = tree.n ? &found[tree.n - 1] : NULL;

		if (!last || strcmp(last->name, found[i].name)) {
			found[tree.n++] = found[i];
			continue;
		}
		if (!test_alone(&found[i]) || test_alone(last))
			die_input("domain %s stands twice: %s and %s", found[i].name, last->folder, found[i].folder);
		if (!last->file[TEST].n && !last->held_out.n)
			last->file[TEST] = found[i].file[TEST];
	}
	tree.domain = found;
	return tree;
}

void m2d2_labels(const char *name, char **l1, const char **portion, bool *whole_l1)
{
	const char *cut = strstr(name, "__");
	bool field = !cut && *name >= 'A' && *name <= 'Z' && !strchr(name, '.'); /* Human_activites, Art */
	bool wiki = cut || (field && strchr(name, '_'));

	*portion = wiki ? "wiki" : "s2orc";
	*whole_l1 = field;
	if (!wiki && ends_with(name, "_l1") && strlen(name) > 3) {
		cut = name + strlen(name) - 3;
		*whole_l1 = true;
	} else if (!wiki) {
		cut = strchr(name, '.');
	}
	*l1 = cut && cut > name ? xstrndup(name, (size_t)(cut - name)) : xstrdup(name);
}
