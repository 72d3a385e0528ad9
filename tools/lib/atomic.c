#include "atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checked.h"
#include "die.h"

#define BUFFER (256 << 10)
#define AHEAD (8 << 20) /* written, and the disk is told to begin */

/*
 * A temporary file that is to be removed if the tool ends before its commit. Slots are reused and never freed, so that
 * a signal handler may walk the list at any moment.
 */
struct slot {
	struct slot *next;
	volatile pid_t owner; /* 0: free; a forked child must not remove its parent's files */
	char tmp[PATH_MAX];
};

static struct slot *volatile slots;

struct atomic {
	char *path;        /* as given, for messages */
	char *target;      /* what is renamed to; NULL if path is written in place (stdout, a device, a pipe) */
	struct slot *slot;
	FILE *file;
	size_t waiting; /* written since the disk was last told to begin */
};

void atomic_remove_all(void)
{
	pid_t self = getpid();

	for (struct slot *s = slots; s; s = s->next)
		if (s->owner == self) {
			s->owner = 0;
			unlink(s->tmp);
		}
}

static void on_signal(int sig)
{
	atomic_remove_all();
	raise(sig); /* SA_RESETHAND: the default action, as soon as this handler returns */
}

/* A tool's own handler, or an ignored signal (nohup), is left alone. */
static void install_handlers(void)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	static bool done;
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old;

	if (done)
		return;
	done = true;
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++)
		if (!sigaction(sigs[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(sigs[i], &action, NULL);
	atexit(atomic_remove_all);
}

static struct slot *free_slot(void)
{
	struct slot *s;

	for (s = slots; s; s = s->next)
		if (!s->owner)
			return s;
	s = xcalloc(1, sizeof *s);
	s->next = slots;
	slots = s;
	return s;
}

char *follow_links(const char *path)
{
	char *at = xstrdup(path), to[PATH_MAX];
	ssize_t n;

	for (int links = 0; (n = readlink(at, to, sizeof to)) >= 0; links++) {
		char *real = realpath(at, NULL), *slash = strrchr(at, '/');

		if (!real && (links == 40 || n == sizeof to || errno != ENOENT))
			die("cannot write %s:", path);
		while (n > 1 && to[n - 1] == '/')
			n--;
		if (!real) /* what it names is not there */
			real = xasprintf("%.*s%.*s", to[0] == '/' || !slash ? 0 : (int)(slash + 1 - at), at, (int)n, to);
		free(at);
		at = real;
	}
	return at;
}

/* Is this the temporary file of an output that is under way? */
static bool is_under_way(const char *tmp)
{
	struct stat st, other;

	for (struct slot *s = slots; s && !lstat(tmp, &st); s = s->next)
		if (s->owner == getpid() && !lstat(s->tmp, &other) && st.st_dev == other.st_dev && st.st_ino == other.st_ino)
			return true;
	return false;
}

/* Opened anew, a file that stdout was led to would be written from its beginning, or replaced. */
static int named_descriptor(const char *path)
{
	static const char *const folder[] = {"/dev/fd/", "/proc/self/fd/"};

	for (int i = 0; i < 2; i++) {
		size_t n = strlen(folder[i]);
		if (!strncmp(path, folder[i], n) && path[n] && strlen(path) < n + 9 && !path[n + strspn(path + n, "0123456789")])
			return atoi(path + n);
	}
	return !strcmp(path, "/dev/stdout") ? STDOUT_FILENO : !strcmp(path, "/dev/stderr") ? STDERR_FILENO : -1;
}

/*
 * Locked, for another machine or container on the same folder may have a process of our number: its file is told by the lock from one that
 * a killed process left.
 */
static int open_temporary(const char *tmp, const char *path)
{
	const int flags = O_WRONLY | O_CLOEXEC;
	int fd = open(tmp, flags | O_CREAT | O_EXCL, 0666);

	if (fd < 0 && errno == EEXIST) {
		if (is_under_way(tmp))
			die_usage("%s: is named for two outputs", path);
		fd = open(tmp, flags | O_NOFOLLOW);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
			die("cannot write %s: another run is writing it, in %s", path, tmp);
		if (fd >= 0)
			close(fd);
		unlink(tmp);
		fd = open(tmp, flags | O_CREAT | O_EXCL, 0666);
	}
	if (fd < 0)
		die("cannot write %s:", path);
	flock(fd, LOCK_EX | LOCK_NB); /* where the file system cannot, nothing is known of others */
	return fd;
}

struct atomic *atomic_open(const char *path)
{
	struct atomic *a = xcalloc(1, sizeof *a);
	int fd = named_descriptor(path);
	struct stat st;

	a->path = xstrdup(!strcmp(path, "-") ? "stdout" : path);
	if (!strcmp(path, "-")) {
		a->file = stdout;
		return a;
	}
	if (fd >= 0 || (!stat(path, &st) && !S_ISREG(st.st_mode))) {
		fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			die("cannot write %s:", path);
	} else {
		install_handlers();
		a->target = follow_links(path);
		a->slot = free_slot();
		if ((size_t)snprintf(a->slot->tmp, PATH_MAX, "%s.tmp.%ld", a->target, (long)getpid()) >= PATH_MAX) {
			errno = ENAMETOOLONG;
			die("cannot write %s:", path);
		}
		fd = open_temporary(a->slot->tmp, path);
		a->slot->owner = getpid();
	}
	a->file = fdopen(fd, "w");
	if (!a->file)
		die("cannot write %s:", path);
	setvbuf(a->file, NULL, _IOFBF, BUFFER);
	return a;
}

FILE *atomic_file(struct atomic *a)
{
	return a->file;
}

const char *atomic_name(const struct atomic *a)
{
	return a->path;
}

/* Whoever read our output has what it wants: no message. */
static _Noreturn void write_failed(const char *name)
{
	if (errno == EPIPE)
		exit(EXIT_FAILED);
	if (!errno)
		errno = EIO;
	die("cannot write %s:", name);
}

void atomic_write(struct atomic *a, const void *data, size_t n)
{
	errno = 0;
	if (n && fwrite(data, 1, n, a->file) != n)
		write_failed(a->path);
#ifdef SYNC_FILE_RANGE_WRITE /* the commit then waits for the end of a long file alone */
	a->waiting += n;
	if (a->target && a->waiting >= AHEAD) {
		sync_file_range(fileno(a->file), 0, 0, SYNC_FILE_RANGE_WRITE);
		a->waiting = 0;
	}
#endif
}

int atomic_printf(struct atomic *a, const char *fmt, ...)
{
	va_list ap;
	int n;

	errno = 0;
	va_start(ap, fmt);
	n = vfprintf(a->file, fmt, ap);
	va_end(ap);
	if (n < 0)
		write_failed(a->path);
	return n;
}

bool is_at(int fd, const char *path)
{
	struct stat st, now;

	return !fstat(fd, &st) && !lstat(path, &now) && st.st_dev == now.st_dev && st.st_ino == now.st_ino;
}

bool sync_fd(int fd)
{
	return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

/* Without a call that may fail for lack of memory: the rename is done. */
void sync_parent(const char *path)
{
	char dir[PATH_MAX], *slash;
	int fd;

	snprintf(dir, sizeof dir, "%s", path); /* a longer one could not be renamed */
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		if (!sync_fd(fd))
			die("cannot write %s:", path);
		close(fd);
	}
}

static void forget(struct atomic *a)
{
	free(a->target);
	free(a->path);
	free(a);
}

void atomic_commit(struct atomic *a)
{
	errno = 0;
	if (fflush(a->file) || ferror(a->file))
		write_failed(a->path);
	if (a->target && !is_at(fileno(a->file), a->slot->tmp)) {
		a->slot->owner = 0;
		die("cannot write %s: %s is gone, or another run's", a->path, a->slot->tmp);
	}
	if (a->file != stdout) {
		if (a->target && !sync_fd(fileno(a->file)))
			write_failed(a->path);
		if (fclose(a->file))
			write_failed(a->path);
	}
	if (a->target) {
		if (rename(a->slot->tmp, a->target))
			die("cannot write %s:", a->path);
		a->slot->owner = 0;
		sync_parent(a->target);
	}
	forget(a);
}

void atomic_abort(struct atomic *a)
{
	if (a->file != stdout)
		fclose(a->file);
	if (a->slot) {
		unlink(a->slot->tmp);
		a->slot->owner = 0;
	}
	forget(a);
}

void close_stdout(void)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (fclose(stdout) || failed)
		write_failed("stdout");
}
