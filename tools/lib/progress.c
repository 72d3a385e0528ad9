#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "die.h"

#define FIRST_S 1.0    /* shorter work prints nothing */
#define REDRAW_S 0.1   /* on a terminal */
#define LINE_S 60.0    /* elsewhere */

bool progress_quiet;

static struct {
	const char *what, *unit;
	uint64_t total, done, first; /* first: done at the first update, so that a resumed run shows its own rate */
	double start, first_time, last;
	bool open, updated, terminal, visible, drawn;
	char note[80];
} p;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* 1234567 -> "1.23M", and with unit "bytes" the B beside it. */
static const char *scaled(char *out, size_t size, double x, const char *unit)
{
	static const char *const prefix[] = {"", "k", "M", "G", "T", "P"};
	bool bytes = !strcmp(unit, "bytes");
	int i = 0;

	while (x >= 999.5 && i < 5) {
		x /= 1000;
		i++;
	}
	snprintf(out, size, "%.*f%s%s%s%s", i && x < 99.95 ? (x < 9.995 ? 2 : 1) : 0, x, bytes ? " " : "", prefix[i],
	         bytes ? "B" : " ", bytes ? "" : unit);
	return out;
}

static const char *duration(char *out, size_t size, double seconds)
{
	uint64_t s = seconds < 3.6e6 ? (uint64_t)(seconds + 0.5) : 3600000;

	if (s >= 3600)
		snprintf(out, size, "%" PRIu64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
	else
		snprintf(out, size, "%d:%02d", (int)(s / 60), (int)(s % 60));
	return out;
}

static int terminal_width(void)
{
	struct winsize w;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

static void draw(double t, bool last)
{
	char line[512], a[64], b[64];
	double rate = t > p.first_time ? (double)(p.done - p.first) / (t - p.first_time) : 0;
	size_t n = 0;
	int width;

#define ADD(...) (n += n < sizeof line ? (size_t)snprintf(line + n, sizeof line - n, __VA_ARGS__) : 0)
	ADD("%s: %s: %s", tool_name, p.what, scaled(a, sizeof a, (double)p.done, p.unit));
	if (p.total)
		ADD(" of %s, %.0f %%", scaled(b, sizeof b, (double)p.total, p.unit),
		    100 * (double)p.done / (double)p.total);
	if (rate > 0)
		ADD(", %s/s", scaled(a, sizeof a, rate, p.unit));
	if (p.note[0])
		ADD(", %s", p.note);
	if (last)
		ADD(", %s", duration(a, sizeof a, t - p.start));
	else if (p.total > p.done && rate > 0)
		ADD(", %s left", duration(a, sizeof a, (double)(p.total - p.done) / rate));
#undef ADD
	if (p.terminal) {
		width = terminal_width() - 1;
		fprintf(stderr, "\r%.*s\033[K%s", width, line, last ? "\n" : "");
		p.visible = !last;
	} else {
		fprintf(stderr, "%s\n", line);
	}
	fflush(stderr);
	p.last = t;
	p.drawn = true;
}

void progress_start(const char *what, const char *unit, uint64_t total)
{
	memset(&p, 0, sizeof p);
	p.what = what;
	p.unit = unit;
	p.total = total;
	p.start = p.last = p.first_time = now();
	p.open = !progress_quiet;
	p.terminal = p.open && isatty(STDERR_FILENO);
}

void progress_update(uint64_t done, const char *note)
{
	double t;

	if (!p.open)
		return;
	t = now();
	p.done = done;
	if (!p.updated) {
		p.updated = true;
		p.first = done;
		p.first_time = t;
	}
	snprintf(p.note, sizeof p.note, "%s", note ? note : "");
	if (t - p.start >= FIRST_S && t - p.last >= (p.terminal ? REDRAW_S : LINE_S))
		draw(t, false);
}

void progress_end(void)
{
	if (p.open && p.terminal && p.drawn)
		draw(now(), true);
	p.open = false;
}

void progress_clear(void)
{
	if (p.visible) {
		fputs("\r\033[K", stderr);
		p.visible = false;
	}
}
