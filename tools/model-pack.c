/* model-pack: a model directory in one file, if wanted as its difference to another model; and back, bit for bit. */
#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "modeldir.h"
#include "options.h"
#include "outdir.h"
#include "pack.h"

static const char *out, *from;
static bool unpack;

static const struct option options[] = {
	{'o', "output", OPT_STRING, &out, "FILE", "file to write, or with -d model directory to make", .unrecorded = true},
	{'d', "unpack", OPT_FLAG, &unpack, NULL, "make the directory again"},
	{0, "from", OPT_STRING, &from, "DIR", "the model that it is a difference to", .unrecorded = true},
	{0}
};

static const struct tool tool = {
	"model-pack", "keep a model as its difference to another",
	"-o FILE [-d] [--from DIR] MODEL_DIR|FILE", options};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the files in a directory, sorted; you free() them. Anything else in it: exit 1, since it would be lost. */
static int list_files(const char *dir, char ***names)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0, cap = 0;

	*names = NULL;
	if (!d)
		die("cannot open %s:", dir);
	while ((e = readdir(d))) {
		char *path = path_join(dir, e->d_name);
		struct stat st;

		if (stat(path, &st))
			die("cannot read %s:", path);
		if (!strcmp(e->d_name, DIR_MARK))
			die("cannot pack %s: it is unfinished, for it holds %s", dir, e->d_name);
		if (S_ISREG(st.st_mode)) {
			GROW(*names, n, cap);
			(*names)[n++] = xstrdup(e->d_name);
		} else if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
			die("cannot pack %s: it holds %s, and only files can be packed", dir, e->d_name);
		}
		free(path);
	}
	closedir(d);
	if (n)
		qsort(*names, (size_t)n, sizeof **names, by_name);
	return n;
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool);

	if (argc - first != 1)
		die_usage("one model directory, or with -d one file, is needed");
	if (!out)
		die_usage("-o is missing");
	if (from) {
		DIR *d = opendir(from);

		if (!d)
			die("cannot open %s:", from);
		closedir(d);
	}
	if (unpack) {
		char *staging;

		dir_check_replaceable(out, modeldir_files);
		staging = dir_begin_empty(out, modeldir_files);
		pack_read(argv[first], staging, from);
		dir_commit(out, staging);
		free(staging);
	} else {
		char **names;
		int n = list_files(argv[first], &names);
		struct atomic *a = atomic_open(out);

		pack_write(a, argv[first], (const char *const *)names, n, from);
		atomic_commit(a);
		for (int i = 0; i < n; i++)
			free(names[i]);
		free(names);
	}
	return EXIT_DONE;
}
