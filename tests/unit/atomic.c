#include "atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "death.h"

static void commit(void **state)
{
	struct atomic *a = atomic_open("commit");

	(void)state;
	assert_string_equal(atomic_name(a), "commit");
	atomic_write(a, "abc", 3);
	assert_int_equal(atomic_printf(a, "%d\n", 42), 3);
	assert_int_equal(access("commit", F_OK), -1);
	assert_int_equal(files("commit.tmp.*"), 1);
	atomic_commit(a);
	assert_file("commit", "abc42\n", 6);
	assert_int_equal(files("commit.tmp.*"), 0);

	a = atomic_open("commit"); /* the old one stays until the new one is whole */
	atomic_write(a, "new", 3);
	fflush(atomic_file(a));
	assert_file("commit", "abc42\n", 6);
	atomic_abort(a);
	assert_file("commit", "abc42\n", 6);
	assert_int_equal(files("commit*"), 1);
}

static void several_at_once(void **state)
{
	struct atomic *a[20];
	char name[20];

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 20; i++) {
			snprintf(name, sizeof name, "many%d", i);
			a[i] = atomic_open(name);
			atomic_printf(a[i], "%d", i);
		}
		for (int i = 19; i >= 0; i--)
			atomic_commit(a[i]);
	}
	assert_int_equal(files("many*"), 20);
	assert_file("many7", "7", 1);
}

static void mode_follows_umask(void **state)
{
	mode_t old = umask(027);
	struct stat st;

	(void)state;
	atomic_commit(atomic_open("mode"));
	umask(old);
	assert_int_equal(stat("mode", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void open_it(const void *path)
{
	atomic_open(path);
}

static void link_is_followed(void **state)
{
	struct atomic *a;
	struct stat st;

	(void)state;
	make_dirs("elsewhere");
	put_file("elsewhere/real", "old", 3);
	assert_int_equal(symlink("elsewhere/real", "link"), 0);
	a = atomic_open("link");
	atomic_write(a, "new", 3);
	atomic_commit(a);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_file("elsewhere/real", "new", 3);

	assert_int_equal(unlink("elsewhere/real"), 0); /* and what is not there is made */
	assert_int_equal(symlink("link", "elsewhere/../second"), 0);
	a = atomic_open("./second");
	atomic_write(a, "made", 4);
	atomic_commit(a);
	assert_file("elsewhere/real", "made", 4);
	assert_int_equal(lstat("link", &st) || !S_ISLNK(st.st_mode), 0);
	assert_int_equal(lstat("second", &st) || !S_ISLNK(st.st_mode), 0);
	assert_int_equal(symlink("not/there/real", "nowhere"), 0);
	assert_dies(open_it, "nowhere", 1, "cannot write nowhere: No such file");
	assert_int_equal(symlink("round", "round"), 0);
	assert_dies(open_it, "round", 1, "cannot write round: Too many levels");
	assert_int_equal(files("*.tmp.*"), 0);
}

static void device_is_written_in_place(void **state)
{
	struct atomic *a = atomic_open("/dev/null");
	struct stat st;

	(void)state;
	atomic_write(a, "x", 1);
	atomic_commit(a);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
}

static void between_two_lines(const void *path)
{
	struct atomic *a;

	assert_int_equal(write(STDOUT_FILENO, "head\n", 5), 5);
	assert_int_equal(write(STDERR_FILENO, "head\n", 5), 5);
	a = atomic_open(path);
	atomic_write(a, "body\n", 5);
	atomic_commit(a);
	assert_int_equal(write(STDOUT_FILENO, "tail\n", 5), 5);
	assert_int_equal(write(STDERR_FILENO, "tail\n", 5), 5);
}

/* Both are led to files. */
static void descriptor_is_written_in_place(void **state)
{
	(void)state;
	assert_string_equal(end_of(between_two_lines, "/dev/stdout").out, "head\nbody\ntail\n");
	assert_string_equal(end_of(between_two_lines, "/dev/fd/1").out, "head\nbody\ntail\n");
	assert_string_equal(end_of(between_two_lines, "/proc/self/fd/2").err, "head\nbody\ntail\n");
	assert_string_equal(end_of(between_two_lines, "/dev/stderr").err, "head\nbody\ntail\n");
	assert_dies(open_it, "/dev/fd/1000000", 1, "cannot write /dev/fd/1000000: Bad file descriptor");
}

static void leave(const void *arg)
{
	static struct atomic *a; /* static: abandoned on purpose, and no leak */

	a = atomic_open("left");
	atomic_write(a, "x", 1);
	fflush(atomic_file(a));
	if (arg)
		raise(*(const int *)arg);
}

static void leave_in_parent(const void *arg)
{
	struct atomic *a = atomic_open("left");

	(void)arg;
	if (fork() == 0)
		exit(0); /* must not take the parent's file away */
	wait(NULL);
	atomic_commit(a);
}

static void own_handler(int sig)
{
	(void)sig;
	_exit(77);
}

static void own_handler_before(const void *arg)
{
	signal(SIGTERM, own_handler);
	leave(arg);
}

static void own_handler_after(const void *arg)
{
	atomic_commit(atomic_open("left"));
	unlink("left");
	own_handler_before(arg);
}

static void ignored(const void *arg)
{
	signal(SIGHUP, SIG_IGN);
	leave(arg);
}

static void nothing_stays(void **state)
{
	static int sigs[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE}, term = SIGTERM, hup = SIGHUP;

	(void)state;
	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) {
		assert_int_equal(end_of(leave, &sigs[i]).code, 128 + sigs[i]);
		assert_int_equal(files("left*"), 0);
	}
	assert_int_equal(end_of(leave, NULL).code, 0); /* exit() */
	assert_int_equal(files("left*"), 0);
	assert_int_equal(end_of(ignored, &hup).code, 0);
	assert_int_equal(files("left*"), 0);
	assert_int_equal(end_of(leave_in_parent, NULL).code, 0);
	assert_int_equal(files("left"), 1);
	assert_int_equal(files("left.*"), 0);
	unlink("left");
	assert_int_equal(end_of(own_handler_before, &term).code, 77);
	assert_int_equal(end_of(own_handler_after, &term).code, 77);
	assert_int_equal(system("rm -f left.tmp.*"), 0); /* _exit() cleans nothing */
}

static void stale_name_is_taken_over(void **state)
{
	char name[60];
	struct atomic *a;

	(void)state;
	snprintf(name, sizeof name, "stale.tmp.%ld", (long)getpid());
	put_file(name, "leftover of another process", 27);
	a = atomic_open("stale");
	atomic_write(a, "x", 1);
	atomic_commit(a);
	assert_file("stale", "x", 1);
}

/* As another machine's or container's process of our number has it. */
static void open_another_runs(const void *path)
{
	char name[60];
	FILE *f;

	snprintf(name, sizeof name, "%s.tmp.%ld", (const char *)path, (long)getpid());
	f = fopen(name, "w");
	assert_int_equal(flock(fileno(f), LOCK_EX), 0);
	atomic_open(path);
}

static void commit_what_was_taken(const void *path)
{
	struct atomic *a = atomic_open(path);
	char name[60];

	snprintf(name, sizeof name, "%s.tmp.%ld", (const char *)path, (long)getpid());
	assert_int_equal(unlink(name), 0);
	put_file(name, "of another", 10);
	atomic_commit(a);
}

static void two_of_one_number(void **state)
{
	(void)state;
	assert_dies(open_another_runs, "two", 1, "cannot write two: another run is writing it, in two.tmp.");
	assert_dies(commit_what_was_taken, "two", 1, "is gone, or another run's");
	assert_int_equal(files("two"), 0);
	assert_int_equal(files("two.tmp.*"), 2); /* nor is the other's file removed */
}

static void write_much(const void *path)
{
	struct atomic *a = atomic_open(path);

	for (int i = 0; i < 100000; i++)
		atomic_printf(a, "%d and more\n", i);
	atomic_commit(a);
}

static void fprintf_much(const void *path) /* unchecked writes are found at the commit */
{
	struct atomic *a = atomic_open(path);

	for (int i = 0; i < 100000; i++)
		fprintf(atomic_file(a), "%d and more\n", i);
	atomic_commit(a);
}

static void write_little(const void *path)
{
	struct atomic *a = atomic_open(path);

	atomic_write(a, "x", 1);
	atomic_commit(a);
}

static void limited(const void *f)
{
	struct rlimit limit = {100000, 100000};

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	((void (*)(const void *))(uintptr_t)f)("limited");
}

static void stdout_full(const void *f)
{
	assert_non_null(freopen("/dev/full", "w", stdout));
	((void (*)(const void *))(uintptr_t)f)("-");
}

static void stdout_gone(const void *f)
{
	int p[2];

	assert_int_equal(pipe(p), 0);
	close(p[0]);
	dup2(p[1], STDOUT_FILENO);
	signal(SIGPIPE, SIG_IGN);
	((void (*)(const void *))(uintptr_t)f)("-");
}

static void failures(void **state)
{
	void (*const writer[])(const void *) = {write_much, fprintf_much};
	struct ending e;

	(void)state;
	assert_dies(open_it, "no/such/dir/x", 1, "cannot write no/such/dir/x: No such file");
	make_dirs("folder");
	assert_dies(open_it, "folder", 1, "cannot write folder: Is a directory");
	for (int i = 0; i < 2; i++) {
		assert_dies(limited, (const void *)(uintptr_t)writer[i], 1, "cannot write limited: File too large");
		assert_int_equal(files("limited*"), 0);
		assert_dies(stdout_full, (const void *)(uintptr_t)writer[i], 1, "cannot write stdout: No space left");
		e = end_of(stdout_gone, (const void *)(uintptr_t)writer[i]);
		assert_int_equal(e.code, 1);
		assert_string_equal(e.err, "");
	}
	assert_dies(write_much, "/dev/full", 1, "cannot write /dev/full: No space left");
	assert_dies(write_little, "/dev/full", 1, "cannot write /dev/full: No space left");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commit),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(mode_follows_umask),
		cmocka_unit_test(link_is_followed),
		cmocka_unit_test(device_is_written_in_place),
		cmocka_unit_test(descriptor_is_written_in_place),
		cmocka_unit_test(nothing_stays),
		cmocka_unit_test(stale_name_is_taken_over),
		cmocka_unit_test(two_of_one_number),
		cmocka_unit_test(failures),
	};

	return cmocka_run_group_tests(tests, in_scratch, out_of_scratch);
}
