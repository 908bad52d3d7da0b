/* errno for code that was written for threads, and now runs in coroutines. Opt-in: include it after <errno.h>, in every file
 * of such code.
 *
 * glibc declares the function behind errno to be constant, so gcc and clang fetch its address once per function and go on using it
 * after a call in which the coroutine moved to another thread: they then read, or overwrite, the errno of a stranger. (The same
 * holds for the address of any thread-local variable, and for pthread_self().) weft itself returns errors as values and needs
 * none of this. With this header, errno is found anew at each use, and is the errno of the thread that the coroutine is on at
 * that moment: set by a libc call, it is good until the next call that parks. */
#ifndef WEFT_ERRNO_H
#define WEFT_ERRNO_H

#include <errno.h>

#include "base.h"

WEFT_BEGIN

/* Where errno of the current thread is. Never parks. */
WEFT_API int *weft_errno_location(void);

WEFT_END

#undef errno
#define errno (*weft_errno_location())

#endif
