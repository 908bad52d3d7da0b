/* The runner: forks for each case, waits with a limit, judges how it ended. */
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_SECONDS = 2 }; /* for a case that hangs, to tell where */

enum verdict { PASSED, FAILED, SKIPPED, VERDICTS };

/* There when the test uses the runtime. */
extern __attribute__((weak)) void weft_dump(int fd);

/* Sanitizers ask for these by name; the environment (TSAN_OPTIONS and so on) goes before them. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "atexit_sleep_ms=0"; }
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) { return "print_stacktrace=1"; }

static struct test_case *first, **last = &first;
static volatile sig_atomic_t running; /* process group of the case, 0 between cases */

void test_add(struct test_case *added)
{
	*last = added;
	last = &added->next;
}

void test_run_plain(void (*body)(void)) { body(); }

static double now_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static unsigned time_limit(void)
{
	const char *text = getenv("WEFT_TEST_TIMEOUT");
	long n = text ? strtol(text, NULL, 10) : 0;
	return n > 0 && n < 100000 ? (unsigned)n : 60;
}

static void handle(int signal_number, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler}; /* no SA_RESTART: waitpid must return */
	sigemptyset(&action.sa_mask);
	sigaction(signal_number, &action, NULL);
}

/* ---- in the case's process ----------------------------------------------------------------------------------------- */

/* The runner asks a case that hangs to say where. If this hangs too, the runner kills it all the same. */
static void dump_and_abort(int signal_number)
{
	(void)signal_number;
	if (weft_dump)
		weft_dump(STDERR_FILENO);
	abort();
}

static _Noreturn void run_case(const struct test_case *c, int error_fd)
{
	setpgid(0, 0);
	handle(SIGALRM, SIG_DFL);
	handle(SIGINT, SIG_DFL);
	handle(SIGTERM, SIG_DFL);
	handle(SIGQUIT, dump_and_abort);
	if (c->signal || c->status)
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	if (error_fd >= 0)
		dup2(error_fd, STDERR_FILENO);
	alarm(time_limit() + 2 * GRACE_SECONDS); /* should the runner itself be killed */
	c->run(c->body);
	exit(0); /* not _exit: leak checkers and coverage work at exit */
}

/* ---- in the runner ------------------------------------------------------------------------------------------------- */

static void on_alarm(int signal_number) { (void)signal_number; }

static void on_stop(int signal_number)
{
	if (running)
		kill(-(pid_t)running, SIGKILL);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* False: still alive after that many seconds. */
static bool wait_for(pid_t pid, unsigned seconds, int *status)
{
	double end = now_seconds() + seconds;
	/* Again and again, should one come just before waitpid. */
	struct itimerval timer = {.it_value.tv_sec = seconds, .it_interval.tv_usec = 100000};
	setitimer(ITIMER_REAL, &timer, NULL);
	pid_t got;
	do
		got = waitpid(pid, status, 0);
	while (got < 0 && errno == EINTR && now_seconds() < end);
	setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_sec = 0}, NULL);
	return got == pid;
}

/* What standard error of an expected failure said, kept in a file: a pipe would have to be read meanwhile. */
static char *captured(FILE *file)
{
	static char text[1 << 16];
	rewind(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	return text;
}

static void describe(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
}

static enum verdict judge(const struct test_case *c, int status, const char *said, char *why, size_t size)
{
	describe(status, why, size);
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED)
		return SKIPPED;
	bool ended_right = c->signal ? WIFSIGNALED(status) && WTERMSIG(status) == c->signal
				     : WIFEXITED(status) && WEXITSTATUS(status) == c->status;
	if (!ended_right)
		return FAILED;
	if (c->text && !strstr(said, c->text)) {
		snprintf(why, size, "standard error lacks \"%.80s\"", c->text);
		return FAILED;
	}
	return PASSED;
}

/* The first line of a file of a thread, "" where there is none. */
static const char *thread_file(pid_t pid, const char *thread, const char *name, char *line, size_t size)
{
	char path[300];
	snprintf(path, sizeof path, "/proc/%d/task/%s/%s", (int)pid, thread, name);
	FILE *file = fopen(path, "r");
	*line = '\0';
	if (file) {
		if (fgets(line, (int)size, file))
			line[strcspn(line, "\n")] = '\0';
		fclose(file);
	}
	return line;
}

/* What each thread of a case that hangs is at: running, or where in the kernel it sleeps. */
static void list_threads(pid_t pid)
{
	char path[64], name[64], stat[512], where[128];
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);
	if (!tasks)
		return;
	for (const struct dirent *e; (e = readdir(tasks));) {
		if (e->d_name[0] == '.')
			continue;
		thread_file(pid, e->d_name, "comm", name, sizeof name);
		const char *state = strrchr(thread_file(pid, e->d_name, "stat", stat, sizeof stat), ')');
		thread_file(pid, e->d_name, "wchan", where, sizeof where);
		printf("      thread %s %s: %.1s %s\n", e->d_name, name, state ? state + 2 : "?", where);
	}
	closedir(tasks);
}

/* Waits for the case; what is left of its process group is killed whatever happened. False: it hung. */
static bool finish(pid_t pid, unsigned limit, int *status)
{
	bool ended = wait_for(pid, limit, status);
	if (!ended) {
		list_threads(pid);
		kill(pid, SIGQUIT);
		if (!wait_for(pid, GRACE_SECONDS, status)) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			waitpid(pid, status, 0);
		}
	}
	kill(-pid, SIGKILL);
	return ended;
}

static enum verdict run_one(const struct test_case *c)
{
	FILE *errors = c->text ? tmpfile() : NULL;
	double start = now_seconds();
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		run_case(c, errors ? fileno(errors) : -1);
	if (pid < 0) {
		printf("FAIL  %s: fork: %s\n", c->name, strerror(errno));
		return FAILED;
	}
	setpgid(pid, pid); /* both sides do it: whoever comes first */
	running = (sig_atomic_t)pid;

	int status = 0;
	unsigned limit = time_limit();
	bool ended = finish(pid, limit, &status);
	running = 0;

	char why[256];
	const char *said = errors ? captured(errors) : "";
	enum verdict verdict = judge(c, status, said, why, sizeof why);
	if (!ended) {
		snprintf(why, sizeof why, "hung, killed after %u s", limit);
		verdict = FAILED;
	}
	if (verdict == PASSED)
		printf("ok    %s (%.0f ms)\n", c->name, (now_seconds() - start) * 1000);
	else if (verdict == SKIPPED)
		printf("skip  %s\n", c->name);
	else
		printf("FAIL  %s: %s\n", c->name, why);
	if (verdict != PASSED && *said)
		printf("--- standard error of %s:\n%s---\n", c->name, said);
	if (errors)
		fclose(errors);
	return verdict;
}

static const struct test_case *find(const char *name)
{
	for (const struct test_case *c = first; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	fprintf(stderr, "no case of this name: %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		for (const struct test_case *c = first; c; c = c->next)
			puts(c->name);
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "-i") == 0) {
		const struct test_case *c = find(argv[2]);
		c->run(c->body);
		return 0;
	}
	handle(SIGALRM, on_alarm);
	handle(SIGINT, on_stop);
	handle(SIGTERM, on_stop);

	int counts[VERDICTS] = {0};
	for (int i = 1; i < argc; i++)
		counts[run_one(find(argv[i]))]++;
	if (argc == 1)
		for (const struct test_case *c = first; c; c = c->next)
			counts[run_one(c)]++;

	int all = counts[PASSED] + counts[FAILED] + counts[SKIPPED];
	printf("%d cases: %d passed, %d failed, %d skipped\n", all, counts[PASSED], counts[FAILED], counts[SKIPPED]);
	if (counts[FAILED] || all == 0)
		return 1;
	return counts[PASSED] ? 0 : TEST_SKIPPED;
}
