/* os.h for every POSIX system: clock, threads, faults. */
#include "os.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_include) && !defined(__FreeBSD__) /* where it is in a library of its own */
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAVE_BACKTRACE 1
#endif
#endif

#include "check.h"

/* Where both exist, the other one goes in steps of a microsecond, and on while the machine sleeps (macOS). */
#ifdef CLOCK_UPTIME_RAW
#define CLOCK CLOCK_UPTIME_RAW
#define CLOCK_COARSE CLOCK_UPTIME_RAW_APPROX
#else
#define CLOCK CLOCK_MONOTONIC
#ifdef __linux__
#define CLOCK_COARSE CLOCK_MONOTONIC_COARSE
#else
#define CLOCK_COARSE CLOCK /* FreeBSD's other one is not cheaper */
#endif
#endif

static inline int64_t read_clock(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

WF_OPAQUE int64_t wf_os_now(void) { return read_clock(CLOCK); }

WF_OPAQUE int64_t wf_os_now_coarse(void) { return read_clock(CLOCK_COARSE); }

/* ---- threads ------------------------------------------------------------------------------------------------------- */

struct start {
	void (*entry)(void *);
	void *arg;
	const char *name;
};

static void *thread_main(void *p)
{
	struct start start = *(struct start *)p;
	free(p);
	wf_os_name_thread(start.name);
	start.entry(start.arg);
	return NULL;
}

/* Signals of the program go to its own threads; faults stay with the thread that made them. */
static void mask_signals(sigset_t *former)
{
	static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
	sigset_t set;
	sigfillset(&set);
	for (size_t i = 0; i < wf_countof(synchronous); i++)
		sigdelset(&set, synchronous[i]);
	if (wf_os_probe_number)
		sigdelset(&set, wf_os_probe_number);
	pthread_sigmask(SIG_BLOCK, &set, former);
}

int wf_os_thread_start(struct wf_os_thread *thread, const char *name, void (*entry)(void *), void *arg)
{
	struct start *start = malloc(sizeof *start);
	if (!start)
		return -ENOMEM;
	*start = (struct start){entry, arg, name};
	sigset_t former;
	mask_signals(&former);
	pthread_t handle;
	int failed = pthread_create(&handle, NULL, thread_main, start);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	if (failed) {
		free(start);
		return -failed;
	}
	thread->handle = (uintptr_t)handle;
	return 0;
}

void wf_os_thread_join(struct wf_os_thread thread)
{
	pthread_join((pthread_t)thread.handle, NULL);
}

void wf_os_thread_detach(struct wf_os_thread thread)
{
	pthread_detach((pthread_t)thread.handle);
}

WF_OPAQUE struct wf_os_thread wf_os_thread_self(void)
{
	return (struct wf_os_thread){(uintptr_t)pthread_self()};
}

void wf_os_sched_yield(void)
{
	sched_yield();
}

void wf_os_sleep(int64_t ns)
{
	struct timespec left = {ns / 1000000000, ns % 1000000000};
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

/* ---- faults -------------------------------------------------------------------------------------------------------- */

static wf_os_fault_fn *fault_fn;
static const int fault_signals[] = {SIGSEGV, SIGBUS};
static struct sigaction former_actions[wf_countof(fault_signals)];

/* By a process, not by an instruction: there is no address. */
static bool was_sent(const siginfo_t *info)
{
	return info->si_code <= 0;
}

/* As if we had never been there: a faulting instruction runs again and kills; what somebody sent, as kill(2) does, would not. */
static void take_former_action(const struct sigaction *former, int signal, bool sent)
{
	if (sent && former->sa_handler == SIG_IGN)
		return;
	sigaction(signal, former, NULL);
	if (sent)
		raise(signal);
}

/* Hands a fault on to whoever had it before us. */
static void pass_on(int signal, siginfo_t *info, void *context)
{
	for (size_t i = 0; i < wf_countof(fault_signals); i++) {
		if (fault_signals[i] != signal)
			continue;
		struct sigaction *former = &former_actions[i];
		if (former->sa_flags & SA_SIGINFO)
			former->sa_sigaction(signal, info, context);
		else if (former->sa_handler != SIG_DFL && former->sa_handler != SIG_IGN)
			former->sa_handler(signal);
		else
			take_former_action(former, signal, was_sent(info));
	}
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	int saved = errno;
	if (!fault_fn || was_sent(info) || !fault_fn((uintptr_t)info->si_addr, context))
		pass_on(signal, info, context);
	errno = saved;
}

int wf_os_fault_install(wf_os_fault_fn *fn)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	sigemptyset(&action.sa_mask);
	fault_fn = fn;
	for (size_t i = 0; i < wf_countof(fault_signals); i++)
		if (sigaction(fault_signals[i], &action, &former_actions[i]) != 0)
			return -errno;
	return 0;
}

void wf_os_fault_remove(void)
{
	for (size_t i = 0; i < wf_countof(fault_signals); i++) {
		struct sigaction now;
		if (sigaction(fault_signals[i], NULL, &now) == 0 && now.sa_sigaction == on_fault)
			sigaction(fault_signals[i], &former_actions[i], NULL);
	}
	fault_fn = NULL;
}

enum { ALTSTACK_SIZE = 64 * 1024 };

int wf_os_altstack_enter(void **memory)
{
	*memory = NULL;
	stack_t former;
	if (sigaltstack(NULL, &former) == 0 && !(former.ss_flags & SS_DISABLE))
		return 0; /* somebody, a sanitizer say, has given this thread one */
	void *base = mmap(NULL, ALTSTACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	stack_t stack = {.ss_sp = base, .ss_size = ALTSTACK_SIZE};
	sigaltstack(&stack, NULL);
	*memory = base;
	return 0;
}

void wf_os_altstack_leave(void *memory)
{
	if (!memory)
		return;
	stack_t off = {.ss_flags = SS_DISABLE};
	sigaltstack(&off, NULL);
	munmap(memory, ALTSTACK_SIZE);
}

#ifdef HAVE_BACKTRACE
void wf_os_backtrace(int fd)
{
	void *frames[64];
	int n = backtrace(frames, wf_countof(frames));
	backtrace_symbols_fd(frames, n, fd);
}

void wf_os_backtrace_prepare(void)
{
	void *frame;
	backtrace(&frame, 1);
}

int wf_os_frames(void **frames, int max)
{
	return backtrace(frames, max);
}
#else
int wf_os_frames(void **frames, int max)
{
	(void)frames;
	(void)max;
	return 0;
}

void wf_os_backtrace(int fd)
{
	(void)fd;
}

void wf_os_backtrace_prepare(void)
{
}
#endif

void wf_os_describe_code(const void *address, char *text, size_t size)
{
	Dl_info info;
	if (dladdr(address, &info) == 0 || !info.dli_fname) {
		snprintf(text, size, "?");
		return;
	}
	const char *slash = strrchr(info.dli_fname, '/');
	int n = snprintf(text, size, "%s+%#lx", slash ? slash + 1 : info.dli_fname,
			 (unsigned long)((const char *)address - (const char *)info.dli_fbase));
	if (info.dli_sname && n > 0 && (size_t)n < size)
		snprintf(text + n, size - (size_t)n, " %s+%#lx", info.dli_sname,
			 (unsigned long)((const char *)address - (const char *)info.dli_saddr));
}

WF_OPAQUE void wf_os_put(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, text, n);
		if (done > 0) {
			text += done;
			n -= (size_t)done;
		} else if (done == 0 || (errno != EINTR && errno != EAGAIN)) {
			return;
		} else if (errno == EAGAIN) {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
		}
	}
}

_Noreturn void wf_os_exit_now(int status)
{
	_exit(status);
}
