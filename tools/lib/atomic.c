#include "atomic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checked.h"
#include "die.h"

#define BUFFER (256 << 10)
#define AHEAD (8 << 20) /* written, and the disk is told to begin */
#define MARK ".unfinished" /* in a staging folder from its making until its commit: what is beside it is ours */

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

static void remove_all(void)
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
	remove_all();
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
	atexit(remove_all);
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

/* A link is followed, so that the file it names is replaced or made, and not the link; you free() the result. */
static char *resolve(const char *path)
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

struct atomic *atomic_open(const char *path)
{
	struct atomic *a = xcalloc(1, sizeof *a);
	struct stat st;
	int fd;

	a->path = xstrdup(!strcmp(path, "-") ? "stdout" : path);
	if (!strcmp(path, "-")) {
		a->file = stdout;
		return a;
	}
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			die("cannot write %s:", path);
	} else {
		install_handlers();
		a->target = resolve(path);
		a->slot = free_slot();
		if ((size_t)snprintf(a->slot->tmp, PATH_MAX, "%s.tmp.%ld", a->target, (long)getpid()) >= PATH_MAX) {
			errno = ENAMETOOLONG;
			die("cannot write %s:", path);
		}
		fd = open(a->slot->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd < 0 && errno == EEXIST) { /* left by a killed process that had our number */
			if (is_under_way(a->slot->tmp))
				die_usage("%s: is named for two outputs", path);
			unlink(a->slot->tmp);
			fd = open(a->slot->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		}
		if (fd < 0)
			die("cannot write %s:", path);
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

/* Some file systems cannot: not an error of the data. */
static bool sync_fd(int fd)
{
	return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

/* Behind a rename: without a call that may fail for lack of memory. */
static void sync_parent(const char *path)
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

/* Path of a directory to be replaced, without slashes at its end and with links resolved; you free() it. */
static char *dir_target(const char *path)
{
	char *plain = xstrdup(path), *target, *last;
	size_t n = strlen(plain);

	while (n > 1 && plain[n - 1] == '/')
		plain[--n] = '\0';
	last = strrchr(plain, '/');
	last = last ? last + 1 : plain;
	if (!*last || !strcmp(last, ".") || !strcmp(last, ".."))
		die("cannot write folder %s: it needs a name of its own", path);
	target = resolve(plain);
	free(plain);
	return target;
}

static char *staging_name(const char *path)
{
	char *target = dir_target(path), *staging = xasprintf("%s.partial", target);
	struct stat st;

	if (!stat(target, &st) && !S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		die("cannot write folder %s:", path);
	}
	free(target);
	return staging;
}

enum walk { WALK_SYNC, WALK_REMOVE, WALK_EMPTY /* but for the mark */ };

/* A file NAME.tmp.PID that atomic_open() began in a process that was killed since. */
static bool is_temporary(const char *name)
{
	const char *tmp = strstr(name, ".tmp.");

	return tmp && tmp[5] && tmp[5 + strspn(tmp + 5, "0123456789")] == '\0';
}

/* Both walks hold one descriptor a level; what we write is flat. */
static void walk(int parent, const char *name, const char *top, enum walk what)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), file;
	struct dirent *e;
	struct stat st;
	DIR *dir;

	if (fd < 0 || !(dir = fdopendir(fd)))
		die("cannot %s %s:", what == WALK_SYNC ? "write" : "remove", top);
	while ((errno = 0, e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (what == WALK_EMPTY && !strcmp(e->d_name, MARK))
			continue;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW)) {
			if (errno == ENOENT)
				continue;
			die("cannot read %s/%s:", top, e->d_name);
		}
		if (what == WALK_SYNC && is_temporary(e->d_name)) {
			if (unlinkat(fd, e->d_name, 0) && errno != ENOENT)
				die("cannot remove %s/%s:", top, e->d_name);
		} else if (S_ISDIR(st.st_mode)) {
			walk(fd, e->d_name, top, what == WALK_SYNC ? WALK_SYNC : WALK_REMOVE);
			if (what != WALK_SYNC && unlinkat(fd, e->d_name, AT_REMOVEDIR) && errno != ENOENT)
				die("cannot remove %s/%s:", top, e->d_name);
		} else if (what != WALK_SYNC) {
			if (unlinkat(fd, e->d_name, 0) && errno != ENOENT)
				die("cannot remove %s/%s:", top, e->d_name);
		} else if (S_ISREG(st.st_mode)) {
			file = openat(fd, e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
			if (file < 0 || !sync_fd(file))
				die("cannot write %s/%s:", top, e->d_name);
			close(file);
		}
	}
	if (errno)
		die("cannot read folder %s:", top);
	if (what == WALK_SYNC && !sync_fd(fd))
		die("cannot write folder %s:", top);
	closedir(dir);
}

static bool is_empty(DIR *dir)
{
	for (struct dirent *e; (e = readdir(dir));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return false;
	return true;
}

/* Dies if the folder holds anything that `known` does not name. within: where in PATH, "" or with a slash at its end. */
static void check_known(const char *path, const char *within, const char *const *known)
{
	char *folder = path_join(path, within);
	DIR *dir = opendir(folder);
	struct stat st;

	if (!dir)
		die("cannot replace %s:", path);
	for (struct dirent *e; (e = readdir(dir));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			die("cannot read %s/%s%s:", path, within, e->d_name);
		char *name = xasprintf("%s%s%s", within, e->d_name, S_ISDIR(st.st_mode) ? "/" : "");
		const char *const *k = known;
		while (*k && fnmatch(*k, name, FNM_PATHNAME))
			k++;
		if (!*k || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
			die("cannot replace %s: it holds other things, such as %s: left alone", path, name);
		if (S_ISDIR(st.st_mode))
			check_known(path, name, known);
		free(name);
	}
	closedir(dir);
	free(folder);
}

void dir_check_replaceable(const char *path, const char *const *known)
{
	char *marker = path_join(path, known[0]);
	DIR *dir = opendir(path);

	if (!dir && errno != ENOENT)
		die("cannot replace %s:", path);
	if (dir && !is_empty(dir) && access(marker, F_OK))
		die("cannot replace %s: it holds other things and no %s: left alone", path, known[0]);
	if (dir) {
		closedir(dir);
		check_known(path, "", known);
	}
	free(marker);
}

void dir_remove(const char *path)
{
	struct stat st;

	if (lstat(path, &st)) {
		if (errno != ENOENT)
			die("cannot remove %s:", path);
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		if (unlink(path))
			die("cannot remove %s:", path);
		return;
	}
	walk(AT_FDCWD, path, path, WALK_REMOVE);
	if (rmdir(path))
		die("cannot remove %s:", path);
}

static int staging_lock = -1; /* a descriptor of the staging folder, which holds the lock until the commit */
static const char *const *staging_known;
static char *temporary_dir; /* of dir_begin_empty(), until its commit */

/* Says nothing: what made the tool give up has been said. */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static void remove_temporary_dir(void)
{
	if (temporary_dir)
		nftw(temporary_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* An empty folder, which we may just have made, goes again. */
static _Noreturn void begin_failed(const char *staging)
{
	int error = errno;

	rmdir(staging);
	errno = error;
	die("cannot write folder %s:", staging);
}

/* A descriptor of the folder, locked until it is closed: that of a killed run holds nothing. path: for messages. */
static int lock_dir(const char *staging, const char *path)
{
	struct stat st, now;

	for (;;) {
		int fd;

		make_dirs(staging);
		fd = open(staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT)
			begin_failed(staging);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
			die("cannot write folder %s: another run is writing it, in %s", path, staging);
		if (fd >= 0 && !fstat(fd, &st) && !lstat(staging, &now) && st.st_dev == now.st_dev && st.st_ino == now.st_ino)
			return fd;
		if (fd >= 0)
			close(fd); /* the other run has just ended */
	}
}

/* Without a mark it may be a result: a run was killed between its end and the renaming, or the removal of the result before. */
static void check_ours(const char *staging, const char *mark)
{
	if (access(mark, F_OK))
		dir_check_replaceable(staging, staging_known);
}

/* All memory is had before the folder is made. */
static char *begin(const char *path, const char *const *known, bool temporary)
{
	static bool registered;
	char *staging = staging_name(path), *mark = path_join(staging, MARK), *doomed = xstrdup(staging);
	DIR *dir;
	int fd;

	staging_known = known;
	if (staging_lock >= 0)
		close(staging_lock);
	staging_lock = lock_dir(staging, path);
	dir = opendir(staging);
	if (!dir)
		begin_failed(staging);
	if (is_empty(dir)) {
		fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
		if (fd < 0)
			begin_failed(staging);
		close(fd);
	}
	closedir(dir);
	if (temporary) {
		if (!registered)
			atexit(remove_temporary_dir);
		registered = true;
		check_ours(staging, mark);
		temporary_dir = doomed;
		walk(AT_FDCWD, staging, staging, WALK_EMPTY); /* of a run that was killed */
	} else {
		free(doomed);
	}
	free(mark);
	return staging;
}

char *dir_begin(const char *path, const char *const *known)
{
	return begin(path, known, false);
}

char *dir_begin_empty(const char *path, const char *const *known)
{
	return begin(path, known, true);
}

void dir_empty(const char *staging)
{
	char *mark = path_join(staging, MARK);

	check_ours(staging, mark);
	walk(AT_FDCWD, staging, staging, WALK_EMPTY);
	free(mark);
}

/*
 * RENAME_EXCHANGE swaps the old folder and the new one in a single step. Where the file system cannot, the old one is
 * renamed first, and PATH is missing for a moment, but never half-written. What was there goes to a name that no
 * resume looks at before it is taken apart.
 */
void dir_commit(const char *path, const char *staging)
{
	char *target = dir_target(path), *old = xasprintf("%s.tmp.%ld", target, (long)getpid());

	walk(AT_FDCWD, staging, staging, WALK_SYNC);
	if (unlinkat(staging_lock, MARK, 0) && errno != ENOENT)
		die("cannot remove %s/%s:", staging, MARK);
	if (!sync_fd(staging_lock))
		die("cannot write folder %s:", staging);
	if (renameat2(AT_FDCWD, staging, AT_FDCWD, target, RENAME_EXCHANGE) == 0) {
		if (rename(staging, old))
			die("cannot rename %s:", staging);
	} else if (errno == ENOENT) {
		if (rename(staging, target))
			die("cannot write folder %s:", path);
	} else {
		if (rename(target, old) && errno != ENOENT)
			die("cannot write folder %s:", path);
		if (rename(staging, target))
			die("cannot write folder %s:", path);
	}
	if (temporary_dir && !strcmp(temporary_dir, staging)) {
		free(temporary_dir);
		temporary_dir = NULL;
	}
	close(staging_lock);
	staging_lock = -1;
	sync_parent(target);
	dir_remove(old);
	free(old);
	free(target);
}

void make_dirs(const char *path)
{
	char *partial = xstrdup(path);
	struct stat st;

	for (char *c = partial + 1; *partial && c[-1]; c++) {
		char was = *c;

		if ((was != '/' && was) || c[-1] == '/')
			continue;
		*c = '\0';
		if (mkdir(partial, 0777) && (errno != EEXIST || stat(partial, &st) || !S_ISDIR(st.st_mode))) {
			if (errno == EEXIST)
				errno = ENOTDIR;
			die("cannot make folder %s:", partial);
		}
		*c = was;
	}
	free(partial);
}

void close_stdout(void)
{
	bool failed = ferror(stdout);

	errno = 0;
	if (fclose(stdout) || failed)
		write_failed("stdout");
}
