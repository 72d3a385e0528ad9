/* study-report: one page about a study. */
#include "atomic.h"
#include "die.h"
#include "options.h"
#include "studypage.h"
#include "tsv.h"

static const char *out = "-", *figures, *cost, *disk, *title = "A study of continual pretraining";

static const struct option options[] = {
	{'o', "output", OPT_STRING, &out, "FILE", "write the page to FILE", .unrecorded = true},
	{0, "figures", OPT_STRING, &figures, "DIR", "put the figures of DIR into the page", .unrecorded = true},
	{0, "cost", OPT_STRING, &cost, "FILE", "table of what it cost", .unrecorded = true},
	{0, "disk", OPT_STRING, &disk, "FILE", "table of what lies on the disk", .unrecorded = true},
	{0, "title", OPT_STRING, &title, "TEXT", "heading of the page"},
	{0}
};

static const struct tool tool = {
	"study-report", "one page about a study: findings, tables and figures",
	"[-o FILE] [options] RUNS.tsv DIR", options};

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool);
	struct atomic *page;

	if (argc - first != 2)
		die_usage("a table of runs and a directory of study-stats are needed");
	if (!tsv_is_clean(title))
		die_usage("--title: empty, or with control characters");
	page = atomic_open(out);
	study_page(atomic_file(page), &(struct study_page){title, argv[first], argv[first + 1], figures, cost, disk});
	atomic_commit(page);
	close_stdout();
	return EXIT_DONE;
}
