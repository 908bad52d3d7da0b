/* os.h, the part that is Linux: futex, guards. */
#include "os.h"
#include "os_net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "os_call.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* Linux 5.3; one number on all architectures */
#endif

/* ---- errors --------------------------------------------------------------------------------------------------------- */

/* strerror(3) translates, into a buffer of its own; but for musl, where the other one is missing. */
#ifdef __GLIBC__
#define ERROR_TEXT strerrordesc_np
#else
#define ERROR_TEXT strerror
#endif

const char *wf_os_error_text(int error)
{
	return ERROR_TEXT(error);
}

/* ---- threads ------------------------------------------------------------------------------------------------------- */

WF_OPAQUE void wf_os_futex_wait(wf_u32 *word, unsigned expected, int64_t ns)
{
	struct timespec timeout = {ns / 1000000000, ns % 1000000000};
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, ns < 0 ? NULL : &timeout, NULL, 0);
}

WF_OPAQUE void wf_os_futex_wake(wf_u32 *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

int wf_os_thread_id(void)
{
	return (int)syscall(SYS_gettid);
}

/* A directory has a link for each directory in it, and two more. */
int wf_os_thread_count(void)
{
	struct stat status;
	return stat("/proc/self/task", &status) == 0 ? (int)status.st_nlink - 2 : 0;
}

/* The third field of proc(5), /proc/[pid]/task/[tid]/stat; the second is a name in parentheses that may hold anything. */
bool wf_os_thread_sleeps(int id)
{
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	const char *end = strrchr(text, ')');
	return end && (end[2] == 'S' || end[2] == 'D');
}

void wf_os_name_thread(const char *name)
{
	pthread_setname_np(pthread_self(), name);
}

void wf_os_precise_timers(void)
{
	prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
}

/* ---- signals -------------------------------------------------------------------------------------------------------- */

int wf_os_probe_signal(void)
{
	return SIGRTMAX - 2;
}

WF_OPAQUE bool wf_os_probe_send(int id, int number)
{
	return syscall(SYS_tgkill, getpid(), id, number) == 0;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

/* By number: not every libc has the functions. Their offset is in two halves, of which one holds all of it here. */
WF_NOINLINE ssize_t wf_os_transfer_now(int fd, bool write, const struct iovec *iov, int count, int64_t offset)
{
	long r = syscall(write ? SYS_pwritev2 : SYS_preadv2, fd, iov, (long)count, (long)offset, 0L, RWF_NOWAIT);
	return r < 0 ? -errno : r;
}

WF_NOINLINE ssize_t wf_os_sendfile_loudly(int out, int in, int64_t offset, size_t n)
{
	off_t from = offset;
	WF_RETRY(sendfile(out, in, &from, n));
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

size_t wf_os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

void *wf_os_reserve(size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	madvise(base, size, MADV_NOHUGEPAGE);
	return base;
}

void wf_os_unreserve(void *base, size_t size)
{
	munmap(base, size);
}

enum { ADVICE_BATCH = 512 };

/* One system call for many ranges: 0.5 us for a guard instead of 0.8. False where advice on oneself by this call is not allowed. */
static bool advise_many(const struct iovec *vec, size_t count, int advice)
{
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += vec[i].iov_len;
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		return false;
	bool done = syscall(SYS_process_madvise, self, vec, count, advice, 0) == (long)size;
	close(self);
	return done;
}

void wf_os_discard(char *const *base, size_t count, size_t size)
{
	enum { BATCH = 64 };
	static wf_u32 refused;
	struct iovec vec[BATCH];
	for (size_t n; count > 0; base += n, count -= n) {
		n = count < BATCH ? count : BATCH;
		for (size_t i = 0; i < n; i++)
			vec[i] = (struct iovec){base[i], size};
		if (n > 1 && !wf_u32_load(&refused) && advise_many(vec, n, MADV_DONTNEED))
			continue;
		wf_u32_store(&refused, n > 1);
		for (size_t i = 0; i < n; i++)
			madvise(base[i], size, MADV_DONTNEED);
	}
}

size_t wf_os_resident(const char *low, const char *high)
{
	enum { PAGES = 256 };
	unsigned char there[PAGES];
	uintptr_t page = wf_os_page_size(), first = (uintptr_t)low & ~(page - 1), end = ((uintptr_t)high + page - 1) & ~(page - 1);
	uintptr_t lowest = end;
	for (uintptr_t at = end; at > first && at <= lowest;) { /* down, until a whole piece has none */
		uintptr_t n = (at - first) / page < PAGES ? (at - first) / page : PAGES;
		at -= n * page;
		if (mincore((void *)at, n * page, there) != 0)
			return 0;
		for (uintptr_t i = n; i-- > 0;)
			lowest = there[i] & 1 ? at + i * page : lowest;
		if (lowest > at + n * page)
			break;
	}
	return lowest < end ? (uintptr_t)high - lowest : 0;
}

/* Old kernels refuse the advice, and emulators may accept it and do nothing: only a guard that stops the kernel from reading
 * counts. */
static bool guard_works(void)
{
	size_t page = wf_os_page_size();
	char *base = wf_os_reserve(page);
	int pipe_fds[2];
	if (!base)
		return false;
	bool works = false;
	if (madvise(base, page, MADV_GUARD_INSTALL) == 0 && pipe2(pipe_fds, O_CLOEXEC) == 0) {
		works = write(pipe_fds[1], base, 1) < 0 && errno == EFAULT;
		close(pipe_fds[0]);
		close(pipe_fds[1]);
	}
	wf_os_unreserve(base, page);
	return works;
}

enum wf_guard_kind wf_os_guard_kind(void)
{
	static wf_u32 known; /* 0 not probed, else kind + 1; probing twice does no harm */
	unsigned kind = wf_u32_load(&known);
	if (kind == 0) {
		kind = guard_works() ? WF_GUARD_LIGHT + 1 : WF_GUARD_MPROTECT + 1;
		wf_u32_store(&known, kind);
	}
	return (enum wf_guard_kind)(kind - 1);
}

enum { MAPPINGS_DEFAULT = 65530, MAPPINGS_OF_OTHERS = 2000 };

size_t wf_os_guards_max(void)
{
	char text[32];
	if (wf_os_guard_kind() == WF_GUARD_LIGHT)
		return SIZE_MAX;
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	long mappings = n > 0 ? strtol(text, NULL, 10) : MAPPINGS_DEFAULT;
	return mappings > MAPPINGS_OF_OTHERS ? (size_t)(mappings - MAPPINGS_OF_OTHERS) / 2 : 0; /* each splits a mapping in three */
}

static bool guard_many(char *base, size_t size, size_t stride, size_t count)
{
	static wf_u32 refused;
	struct iovec vec[ADVICE_BATCH];
	for (size_t done = 0, n; done < count && !wf_u32_load(&refused); done += n) {
		n = count - done < ADVICE_BATCH ? count - done : ADVICE_BATCH;
		for (size_t i = 0; i < n; i++)
			vec[i] = (struct iovec){base + (done + i) * stride, size};
		if (!advise_many(vec, n, MADV_GUARD_INSTALL))
			wf_u32_store(&refused, 1);
	}
	return !wf_u32_load(&refused);
}

int wf_os_guard(char *base, size_t size, size_t stride, size_t count)
{
	bool light = wf_os_guard_kind() == WF_GUARD_LIGHT;
	if (light && count > 1 && guard_many(base, size, stride, count))
		return 0;
	for (size_t i = 0; i < count; i++) {
		char *guard = base + i * stride;
		if (light && madvise(guard, size, MADV_GUARD_INSTALL) == 0)
			continue; /* else the memory is locked, say: mlockall(2) */
		if (mprotect(guard, size, PROT_NONE) != 0)
			return -ENOMEM;
	}
	return 0;
}
