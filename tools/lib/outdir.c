#include "outdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"

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
	target = follow_links(plain);
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

static const char *temporary_dir; /* of dir_begin_empty(), until its commit */

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
		if (what != WALK_SYNC && !strcmp(e->d_name, DIR_MARK))
			continue;
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW)) {
			if (errno == ENOENT)
				continue;
			die("cannot read %s/%s:", top, e->d_name);
		}
		if (what == WALK_SYNC && !temporary_dir && S_ISREG(st.st_mode) && is_temporary(e->d_name)) {
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
	if (what == WALK_REMOVE && unlinkat(fd, DIR_MARK, 0) && errno != ENOENT) /* last: if we are killed, the rest is still known as ours */
		die("cannot remove %s/%s:", top, DIR_MARK);
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

/* The mark goes last. Says nothing: what made the tool give up has been said. */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type;
	if (where->level == 0)
		unlinkat(staging_lock, DIR_MARK, 0);
	return where->level == 1 && !strcmp(path + where->base, DIR_MARK) ? 0 : remove(path);
}

static void remove_temporary_dir(void)
{
	if (temporary_dir && is_at(staging_lock, temporary_dir))
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
	for (;;) {
		int fd;

		make_dirs(staging);
		fd = open(staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT)
			begin_failed(staging);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
			die("cannot write folder %s: another run is writing it, in %s", path, staging);
		if (fd >= 0 && is_at(fd, staging))
			return fd;
		if (fd >= 0)
			close(fd); /* the other run has just ended */
	}
}

static bool put_mark(void)
{
	int fd = openat(staging_lock, DIR_MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	return fd >= 0 && close(fd) == 0;
}

/*
 * Without a mark it may be a result: a run was killed between its end and the renaming, or the removal of the result before. It gets one,
 * since it will be emptied.
 */
static void check_ours(const char *staging)
{
	if (faccessat(staging_lock, DIR_MARK, F_OK, 0) == 0)
		return;
	dir_check_replaceable(staging, staging_known);
	if (!put_mark())
		die("cannot write folder %s:", staging);
}

char *dir_begin(const char *path, const char *const *known)
{
	char *staging = staging_name(path);
	DIR *dir;

	staging_known = known;
	if (staging_lock >= 0)
		close(staging_lock);
	staging_lock = lock_dir(staging, path);
	dir = opendir(staging);
	if (!dir || (is_empty(dir) && !put_mark()))
		begin_failed(staging);
	closedir(dir);
	return staging;
}

char *dir_begin_empty(const char *path, const char *const *known)
{
	static bool registered;
	char *staging = dir_begin(path, known);

	if (!registered)
		atexit(remove_temporary_dir);
	registered = true;
	check_ours(staging);
	temporary_dir = staging;
	walk(AT_FDCWD, staging, staging, WALK_EMPTY); /* of a run that was killed */
	return staging;
}

void dir_empty(const char *staging)
{
	check_ours(staging);
	walk(AT_FDCWD, staging, staging, WALK_EMPTY);
}

/*
 * RENAME_EXCHANGE swaps the old folder and the new one in a single step. Where the file system cannot, the old one is
 * renamed first, and PATH is missing for a moment, but never half-written. What was there goes to a name that no
 * resume looks at before it is taken apart.
 */
void dir_commit(const char *path, const char *staging)
{
	char *target = dir_target(path), *old = xasprintf("%s.tmp.%ld", target, (long)getpid());

	if (!is_at(staging_lock, staging))
		die("cannot write folder %s: %s is gone, or another run's", path, staging);
	walk(AT_FDCWD, staging, staging, WALK_SYNC);
	dir_check_replaceable(path, staging_known); /* again: the work may have taken days */
	dir_remove(old); /* left by a killed process that had our number */
	if (unlinkat(staging_lock, DIR_MARK, 0) && errno != ENOENT)
		die("cannot remove %s/%s:", staging, DIR_MARK);
	if (!sync_fd(staging_lock))
		die("cannot write folder %s:", staging);
	if (renameat2(AT_FDCWD, staging, AT_FDCWD, target, RENAME_EXCHANGE) == 0) {
		if (rename(staging, old))
			dir_remove(staging); /* what is new is in its place: then under this name */
	} else if (errno == ENOENT) {
		if (rename(staging, target))
			die("cannot write folder %s:", path);
	} else {
		if (rename(target, old) && errno != ENOENT)
			die("cannot write folder %s:", path);
		if (rename(staging, target))
			die("cannot write folder %s:", path);
	}
	temporary_dir = NULL;
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
