#include "ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checked.h"
#include "die.h"

enum { BLOCK = 256 << 10, N_BLOCKS = 4 };

struct ahead {
	int fd;
	struct hash *hash[2];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t read, taken; /* blocks; guarded by the lock, as is whose a block is: taken's till read's are the reader's */
	size_t at;            /* what was taken of the oldest block */
	struct block {
		ssize_t n; /* as of read() */
		int error;
		unsigned char bytes[BLOCK];
	} block[N_BLOCKS];
};

ssize_t read_hashed(int fd, void *buf, size_t n, struct hash *const hash[2])
{
	ssize_t got;

	do
		got = read(fd, buf, n);
	while (got < 0 && errno == EINTR);
	for (int i = 0; i < 2 && hash[i] && got > 0; i++)
		hash_add(hash[i], buf, (size_t)got);
	return got;
}

static void unlock(void *lock)
{
	pthread_mutex_unlock(lock);
}

static void *run(void *arg)
{
	struct ahead *a = arg;
	struct block *b;

	do {
		pthread_mutex_lock(&a->lock);
		pthread_cleanup_push(unlock, &a->lock); /* ahead_stop() cancels */
		while (a->read - a->taken == N_BLOCKS)
			pthread_cond_wait(&a->changed, &a->lock);
		pthread_cleanup_pop(1);
		b = &a->block[a->read % N_BLOCKS];
		b->n = read_hashed(a->fd, b->bytes, BLOCK, a->hash);
		b->error = errno;
		pthread_mutex_lock(&a->lock);
		a->read++;
		pthread_cond_signal(&a->changed);
		pthread_mutex_unlock(&a->lock);
	} while (b->n > 0);
	return NULL;
}

struct ahead *ahead_start(int fd, struct hash *const hash[2])
{
	struct ahead *a = xcalloc(1, sizeof *a);
	int error;

	a->fd = fd;
	memcpy(a->hash, hash, sizeof a->hash);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	if ((error = pthread_create(&a->thread, NULL, run, a)))
		die("cannot start a thread: %s", strerror(error));
	return a;
}

ssize_t ahead_take(struct ahead *a, void *buf, size_t n)
{
	struct block *b = &a->block[a->taken % N_BLOCKS];

	pthread_mutex_lock(&a->lock);
	while (a->read == a->taken)
		pthread_cond_wait(&a->changed, &a->lock);
	pthread_mutex_unlock(&a->lock);
	errno = b->error;
	if (b->n <= 0)
		return b->n;
	if (n > (size_t)b->n - a->at)
		n = (size_t)b->n - a->at;
	memcpy(buf, b->bytes + a->at, n);
	a->at += n;
	if (a->at == (size_t)b->n) {
		a->at = 0;
		pthread_mutex_lock(&a->lock);
		a->taken++;
		pthread_cond_signal(&a->changed);
		pthread_mutex_unlock(&a->lock);
	}
	return (ssize_t)n;
}

void ahead_stop(struct ahead *a)
{
	if (!a)
		return;
	pthread_cancel(a->thread);
	pthread_join(a->thread, NULL);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->changed);
	free(a);
}
