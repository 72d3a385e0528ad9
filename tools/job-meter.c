/* job-meter: runs a command and says what it took. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "checked.h"
#include "die.h"
#include "gpu_energy.h"
#include "options.h"
#include "tsv.h"

#define PACKAGES 64
#define SAMPLE_SECONDS 10 /* counters of energy run over within minutes to hours */

static const char *out, *powercap = "/sys/class/powercap", *proc_stat = "/proc/stat";

static const struct option options[] = {
	{'o', "output", OPT_STRING, &out, "FILE", "write what it took to FILE", .unrecorded = true},
	{0, "powercap", OPT_STRING, &powercap, "DIR", "where the counters of energy are", .unrecorded = true},
	{0}
};

static const struct tool tool = {
	"job-meter", "run a command and say what it took",
	"-o FILE [options] [--] COMMAND [ARGUMENT...]", options};

/* --- energy ----------------------------------------------------------------------------------------- */

/* A processor package's counter: microjoules, from 0 again above a maximum. */
static struct package {
	char *path;
	double last, range, joules;
} packages[PACKAGES];
static int n_packages;
static bool lost; /* a counter that could be read could not be read again */

static bool read_number(const char *path, double *x)
{
	char text[64];
	FILE *f = fopen(path, "r");
	bool ok = f && fgets(text, sizeof text, f);

	if (f)
		fclose(f);
	if (!ok)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return parse_real(text, x) && *x >= 0;
}

/* Packages are intel-rapl:N; what has a second colon is a part of one. */
static void find_packages(void)
{
	DIR *d = opendir(powercap);
	struct dirent *e;

	while (d && (e = readdir(d)) && n_packages < PACKAGES) {
		const char *colon = strchr(e->d_name, ':');
		struct package *p = &packages[n_packages];
		char *range;

		if (!colon || strchr(colon + 1, ':') || strncmp(e->d_name, "intel-rapl:", 11))
			continue;
		p->path = xasprintf("%s/%s/energy_uj", powercap, e->d_name);
		range = xasprintf("%s/%s/max_energy_range_uj", powercap, e->d_name);
		if (read_number(p->path, &p->last) && read_number(range, &p->range))
			n_packages++;
		else
			free(p->path);
		free(range);
	}
	if (d)
		closedir(d);
}

static void sample_energy(void)
{
	for (int i = 0; i < n_packages; i++) {
		struct package *p = &packages[i];
		double now;

		if (!read_number(p->path, &now)) {
			lost = true;
			continue;
		}
		p->joules += (now >= p->last ? now - p->last : now + p->range - p->last) / 1e6;
		p->last = now;
	}
}

/* Seconds in which any processor of the machine was busy, added up since it was started. NaN: not known. */
static double machine_busy(void)
{
	unsigned long long user, nice, system, idle, wait, irq, soft, steal;
	FILE *f = fopen(proc_stat, "r");
	int n = f ? fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq,
	                   &soft, &steal) : 0;

	if (f)
		fclose(f);
	return n == 8 ? (double)(user + nice + system + irq + soft + steal) / (double)sysconf(_SC_CLK_TCK) : NAN;
}

/* --- the command ------------------------------------------------------------------------------------ */

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Signals that end the command are passed on to it; sampling goes on meanwhile. Returns its status. */
static int run_command(char **argv)
{
	static const int passed[] = {SIGTERM, SIGINT, SIGHUP};
	struct timespec pause = {SAMPLE_SECONDS, 0};
	sigset_t set, before;
	int status;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
		sigaddset(&set, passed[i]);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &set, &before);
	pid = fork();
	if (pid < 0)
		die("cannot start %s:", argv[0]);
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(argv[0], argv);
		warn("cannot run %s:", argv[0]);
		_exit(errno == ENOENT ? 127 : 126);
	}
	for (;;) {
		siginfo_t from;
		int sig = sigtimedwait(&set, &from, &pause);
		pid_t done = waitpid(pid, &status, WNOHANG);

		if (done == pid)
			return status;
		if (done < 0 && errno != EINTR)
			die("cannot wait for %s:", argv[0]);
		if (sig > 0 && sig != SIGCHLD && from.si_code <= 0) /* a terminal has sent it to the command, too */
			kill(pid, sig);
		sample_energy();
	}
}

/* Of one such file is enough, the command's. */
static bool leaves_core(int sig)
{
	static const int sigs[] = {SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};

	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++)
		if (sig == sigs[i])
			return true;
	return false;
}

int main(int argc, char **argv)
{
	int first = parse_options(argc, argv, &tool), n_gpus, status, code;
	double start, busy, energy, cpu, share;
	struct rusage use;
	struct atomic *a;
	char host[256] = "-";

	if (!out)
		die_usage("-o is missing");
	if (first == argc)
		die_usage("no command given");
	a = atomic_open(out); /* first: who cannot have the result does not want to wait for it */
	find_packages();
	n_gpus = gpu_energy_begin();
	start = seconds_now();
	busy = machine_busy();
	status = run_command(argv + first);
	sample_energy();
	lost = !gpu_energy_end(&energy) || lost;
	busy = machine_busy() - busy;
	getrusage(RUSAGE_CHILDREN, &use);
	code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
	share = cpu >= busy || !(busy > 0) ? 1 : cpu / busy;
	for (int i = 0; i < n_packages; i++)
		energy += packages[i].joules * share;
	gethostname(host, sizeof host - 1);

	atomic_printf(a, "#palimpsest-meter 1\n");
	atomic_printf(a, "start\tend\tcpu_s\tpeak_kib\thost\texit\tenergy_j\n%.3f\t%.3f\t%.3f\t%ld\t%s\t%d\t", start,
	              seconds_now(), cpu, use.ru_maxrss, tsv_is_clean(host) ? host : "-", code);
	if ((n_packages || n_gpus) && !lost)
		atomic_printf(a, "%.3f\n", energy);
	else
		atomic_printf(a, "-\n");
	atomic_commit(a);
	for (int i = 0; i < n_packages; i++)
		free(packages[i].path);
	if (WIFSIGNALED(status) && !leaves_core(WTERMSIG(status))) { /* and so does this process, for whoever waits for it */
		sigset_t all;

		signal(WTERMSIG(status), SIG_DFL);
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		raise(WTERMSIG(status));
	}
	return code;
}
