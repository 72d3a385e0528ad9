/* transfer-report: one page about one or several sequences of domains. */
#include <string.h>

#include "atomic.h"
#include "die.h"
#include "heatmap.h"
#include "options.h"
#include "report.h"
#include "tsv.h"

static const char *out = "-", *figures, *title = "What the model learned, kept and lost", *color = "auto";
static bool text;

static const struct option options[] = {
	{'o', "output", OPT_STRING, &out, "FILE", "write the page to FILE", .unrecorded = true},
	{0, "figures", OPT_STRING, &figures, "DIR", "put the figures of DIR into the page", .unrecorded = true},
	{0, "title", OPT_STRING, &title, "TEXT", "heading of the page"},
	{0, "text", OPT_FLAG, &text, NULL, "print the main measures side by side instead, for a terminal"},
	{0, "color", OPT_CHOICE, &color, "WHEN", "colours on the terminal, for --text", .choices = "auto|always|never",
	 .unrecorded = true},
	{0}
};

static const struct tool tool = {
	"transfer-report", "one page about what sequences of models have learned, kept and lost",
	"[-o FILE] [options] DIR...", options};

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool), n = argc - first;
	struct study *v;
	struct atomic *page;

	if (n == 0)
		die_usage("no directory of transfer-matrix given");
	if (!tsv_is_clean(title))
		die_usage("--title: empty, or with control characters");
	if (text && (strcmp(out, "-") || figures))
		die_usage("--text prints on standard output: without -o and --figures");
	v = studies_load((const char *const *)argv + first, n);
	if (text) {
		report_text(stdout, v, n, screen_of(stdout, color));
	} else {
		page = atomic_open(out);
		report_html(atomic_file(page), title, v, n, figures);
		atomic_commit(page);
	}
	close_stdout();
	studies_free(v, n);
	return EXIT_DONE;
}
