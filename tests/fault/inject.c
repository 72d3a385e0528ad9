/*
 * A shared object for LD_PRELOAD that lets the N-th call of one kind fail, or the process die at it.
 *
 *	FAULT=KIND:N[+]:ACTION   KIND: write fsync rename open read mkdir unlink malloc
 *	                         N counts from 1; with +, every later call fails too
 *	                         ACTION: an error's number, `kill` (SIGKILL instead of the call),
 *	                         `late` (SIGKILL right after it), or `short` (of a write: one byte is taken)
 *	FAULT_HIT=FILE           is made when that happens
 *
 * System calls are caught by a seccomp filter that sends SIGSYS for all that do not come from the one
 * instruction below, so those that the C library makes inside itself are caught as well, which
 * replacing write() would not do. What goes to stderr is left alone. Exits with 125 if the kernel has no seccomp.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

__attribute__((visibility("hidden"))) long fault_syscall(long nr, long a, long b, long c, long d, long e, long f);
extern __attribute__((visibility("hidden"))) const char fault_syscall_done[];

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
__asm__(".text\n"
	".type fault_syscall, @function\n"
	"fault_syscall:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"fault_syscall_done:\n"
	"	ret\n");
#define ARG(context, i)                                                                                     \
	((context)->uc_mcontext.gregs[(const int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9}[i]])
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
__asm__(".text\n"
	".type fault_syscall, %function\n"
	"fault_syscall:\n"
	"	mov x8, x0\n"
	"	mov x0, x1\n"
	"	mov x1, x2\n"
	"	mov x2, x3\n"
	"	mov x3, x4\n"
	"	mov x4, x5\n"
	"	mov x5, x6\n"
	"	svc #0\n"
	"fault_syscall_done:\n"
	"	ret\n");
#define ARG(context, i) ((context)->uc_mcontext.regs[i])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#endif

enum action { FAIL, KILL, LATE, SHORT };

static struct {
	atomic_long calls;
	long n;
	int and_later, error, active;
	enum action action;
	const char *hit;
} fault;

static const struct kind {
	const char *name;
	int nr[4];
} kinds[] = {
	{"malloc", {-1, -1, -1, -1}},
	{"write", {SYS_write, SYS_writev, SYS_pwrite64, -1}},
	{"fsync", {SYS_fsync, SYS_fdatasync, -1, -1}},
#ifdef SYS_rename
	{"rename", {SYS_rename, SYS_renameat, SYS_renameat2, -1}},
	{"open", {SYS_open, SYS_openat, -1, -1}},
	{"mkdir", {SYS_mkdir, SYS_mkdirat, -1, -1}},
	{"unlink", {SYS_unlink, SYS_unlinkat, SYS_rmdir, -1}},
#else
	{"rename", {SYS_renameat, SYS_renameat2, -1, -1}},
	{"open", {SYS_openat, -1, -1, -1}},
	{"mkdir", {SYS_mkdirat, -1, -1, -1}},
	{"unlink", {SYS_unlinkat, -1, -1, -1}},
#endif
	{"read", {SYS_read, SYS_readv, SYS_pread64, -1}},
};

static void mark(void)
{
	long fd = fault_syscall(SYS_openat, AT_FDCWD, (long)fault.hit, O_WRONLY | O_CREAT, 0666, 0, 0);

	fault_syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static void die_now(void)
{
	fault_syscall(SYS_kill, fault_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0, 0);
}

/* Is this call the one? */
static int due(void)
{
	long n = atomic_fetch_add(&fault.calls, 1) + 1;

	return n == fault.n || (fault.and_later && n > fault.n);
}

static void on_sigsys(int sig, siginfo_t *info, void *context_)
{
	ucontext_t *context = context_;
	int nr = info->si_syscall, is_write = nr == SYS_write || nr == SYS_writev || nr == SYS_pwrite64;
	long r;

	(void)sig;
	if ((!is_write || ARG(context, 0) != STDERR_FILENO) && due()) {
		mark();
		if (fault.action == FAIL) {
			RESULT(context) = -fault.error;
			return;
		}
		if (fault.action == KILL)
			die_now();
		if (fault.action == SHORT && is_write && nr != SYS_writev && ARG(context, 2) > 1)
			ARG(context, 2) = 1;
	}
	r = fault_syscall(nr, (long)ARG(context, 0), (long)ARG(context, 1), (long)ARG(context, 2), (long)ARG(context, 3),
	                  (long)ARG(context, 4), (long)ARG(context, 5));
	if (fault.action == LATE && atomic_load(&fault.calls) == fault.n)
		die_now();
	RESULT(context) = r;
}

static void catch_calls(const struct kind *kind)
{
	const uint64_t ip = (uint64_t)(uintptr_t)fault_syscall_done;
	struct sock_filter code[32];
	struct sock_fprog program = {.filter = code};
	struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | SA_NODEFER};
	int n = 0;

#define LOAD(field) \
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SAME_ELSE(value, skip) \
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, (skip))
#define RETURN(what) code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (what))
	LOAD(arch);
	SAME_ELSE(ARCH, 1);
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0);
	RETURN(SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                                         offsetof(struct seccomp_data, instruction_pointer)); /* low word */
	SAME_ELSE(ip, 3);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                                         offsetof(struct seccomp_data, instruction_pointer) + 4);
	SAME_ELSE(ip >> 32, 1);
	RETURN(SECCOMP_RET_ALLOW);
	LOAD(nr);
	for (size_t i = 0; i < COUNT(kind->nr) && kind->nr[i] >= 0; i++) {
		SAME_ELSE(kind->nr[i], 1);
		RETURN(SECCOMP_RET_TRAP);
	}
	RETURN(SECCOMP_RET_ALLOW);
	program.len = (unsigned short)n;
	if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(125);
}

__attribute__((constructor)) static void start(void)
{
	const char *text = getenv("FAULT");
	char name[16], plus[2] = "", action[16];

	fault.hit = getenv("FAULT_HIT");
	if (!text || !fault.hit)
		return;
	if (sscanf(text, "%15[a-z]:%ld%1[+]:%15s", name, &fault.n, plus, action) != 4) {
		plus[0] = 0;
		if (sscanf(text, "%15[a-z]:%ld:%15s", name, &fault.n, action) != 3)
			_exit(126);
	}
	fault.and_later = plus[0] == '+';
	fault.action = !strcmp(action, "kill") ? KILL : !strcmp(action, "late") ? LATE : !strcmp(action, "short") ? SHORT : FAIL;
	fault.error = atoi(action);
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (!strcmp(name, kinds[i].name)) {
			if (kinds[i].nr[0] >= 0)
				catch_calls(&kinds[i]);
			else
				fault.active = 1;
			return;
		}
	_exit(126);
}

/* --- memory: glibc's own functions are called by their other names --- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);

static int no_memory(void)
{
	if (!fault.active || !due())
		return 0;
	mark();
	if (fault.action == KILL)
		die_now();
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return no_memory() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return no_memory() ? NULL : __libc_realloc(p, n);
}
