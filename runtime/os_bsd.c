/* os.h, what macOS and FreeBSD have in common: memory, guards by mprotect. */
#include "os.h"
#include "os_net.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os_call.h"

/* ---- errors --------------------------------------------------------------------------------------------------------- */

const char *wf_os_error_text(int error)
{
	return error >= 0 && error < sys_nerr ? sys_errlist[error] : NULL;
}

/* ---- threads ------------------------------------------------------------------------------------------------------- */

void wf_os_precise_timers(void)
{
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

WF_NOINLINE ssize_t wf_os_transfer_now(int fd, bool write, const struct iovec *iov, int count, int64_t offset)
{
	(void)fd, (void)write, (void)iov, (void)count, (void)offset;
	return -EOPNOTSUPP; /* no system call says what is in memory */
}

/* sendfile(2) knows sockets alone. */
WF_NOINLINE ssize_t wf_os_sendfile_by_copy(int out, int in, int64_t offset, size_t n)
{
	char buf[8192];
	ssize_t got;
	do
		got = pread(in, buf, n < sizeof buf ? n : sizeof buf, offset);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got < 0 ? -errno : 0;
	WF_RETRY(write(out, buf, (size_t)got));
}

/* ---- memory -------------------------------------------------------------------------------------------------------- */

size_t wf_os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* MAP_STACK is for stacks that grow by themselves here, which ours must not. */
void *wf_os_reserve(size_t size)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
	return base == MAP_FAILED ? NULL : base;
}

void wf_os_unreserve(void *base, size_t size)
{
	munmap(base, size);
}

/* Advice would leave it to the system whether and when the pages go, and what is read from them until then. */
void wf_os_discard(char *const *base, size_t count, size_t size)
{
	for (size_t i = 0; i < count; i++)
		(void)mmap(base[i], size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON | MAP_FIXED, -1, 0);
}

size_t wf_os_resident(const char *low, const char *high)
{
	enum { PAGES = 256 };
	char there[PAGES];
	uintptr_t page = wf_os_page_size(), first = (uintptr_t)low & ~(page - 1), end = ((uintptr_t)high + page - 1) & ~(page - 1);
	uintptr_t lowest = end;
	for (uintptr_t at = end; at > first && at <= lowest;) { /* down, until a whole piece has none */
		uintptr_t n = (at - first) / page < PAGES ? (at - first) / page : PAGES;
		at -= n * page;
		if (mincore((void *)at, n * page, there) != 0)
			return 0;
		for (uintptr_t i = n; i-- > 0;)
			lowest = there[i] & MINCORE_INCORE ? at + i * page : lowest;
		if (lowest > at + n * page)
			break;
	}
	return lowest < end ? (uintptr_t)high - lowest : 0;
}

enum wf_guard_kind wf_os_guard_kind(void)
{
	return WF_GUARD_MPROTECT;
}

/* There is no limit of mappings but the kernel's memory, which mprotect(2) tells about. */
size_t wf_os_guards_max(void)
{
	return SIZE_MAX;
}

int wf_os_guard(char *base, size_t size, size_t stride, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (mprotect(base + i * stride, size, PROT_NONE) != 0)
			return -ENOMEM;
	return 0;
}
