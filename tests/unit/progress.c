#include "progress.h"

#include <pty.h>

#include "death.h"
#include "die.h"

/* Units are done for a while; then a message, more units, the end. */
static void work(const void *seconds)
{
	int steps = *(const int *)seconds * 50;

	progress_start("probe", "bytes", 1000000);
	for (int i = 0; i <= steps; i++) {
		progress_update((uint64_t)(1000000.0 * i / steps), "loss 3.21");
		usleep(20000);
		if (i == steps - 1)
			warn("a message");
	}
	progress_end();
}

static void on_terminal(char *text, size_t size, int seconds, bool quiet)
{
	int master, status;
	pid_t pid;
	size_t n = 0;
	ssize_t got;

	fflush(NULL);
	pid = forkpty(&master, NULL, NULL, &(struct winsize){24, 200, 0, 0});
	assert_true(pid >= 0);
	if (pid == 0) {
		progress_quiet = quiet;
		work(&seconds);
		_exit(0);
	}
	while (n < size - 1 && (got = read(master, text + n, size - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	waitpid(pid, &status, 0);
	close(master);
	assert_int_equal(status, 0);
}

static void terminal(void **state)
{
	char text[65536], *message, *last;
	int drawn = 0;

	(void)state;
	on_terminal(text, sizeof text, 2, false);
	for (char *c = text; (c = strstr(c, "\rpalimpsest: probe: ")); c++)
		drawn++;
	assert_in_range(drawn, 3, 14); /* ten a second after the first second, and the last */
	assert_non_null(strstr(text, " of 1.00 MB, "));
	assert_non_null(strstr(text, "loss 3.21"));
	assert_non_null(strstr(text, " left"));
	message = strstr(text, "\r\033[Kpalimpsest: a message\r\n"); /* on a line of its own */
	assert_non_null(message);
	last = strstr(message, "100 %");
	assert_non_null(last);
	assert_string_equal(text + strlen(text) - 2, "\r\n");
}

static void quiet_and_short(void **state)
{
	char text[65536];

	(void)state;
	on_terminal(text, sizeof text, 2, true);
	assert_string_equal(text, "palimpsest: a message\r\n");
	on_terminal(text, sizeof text, 0, false);
	assert_string_equal(text, "");
}

static void elsewhere(void **state)
{
	int seconds = 2;
	struct ending e = end_of(work, &seconds);

	(void)state;
	assert_int_equal(e.code, 0);
	assert_string_equal(e.err, "palimpsest: a message\n"); /* the first line would come after a minute */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(terminal),
		cmocka_unit_test(quiet_and_short),
		cmocka_unit_test(elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
