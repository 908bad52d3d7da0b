/* Files: what a poller can't tell about (regular files, directories, block devices, /dev/null). Opened here or given to
 * weft_adopt, they are used like every other descriptor (net.h): weft_read, weft_write, weft_readv, weft_writev, weft_close,
 * deadlines. What is in memory is transferred at once; the rest, and everything that may wait for a disk, on a helper thread
 * (blocking.h), while the coroutine waits.
 *
 * A transfer that has begun is waited for: the kernel is at work on the caller's buffer. So deadline and cancel are looked at
 * before each, and a disk that hangs is felt by those alone who use it. Work with a buffer of its own, in weft_offload_owned,
 * can be left alone instead. */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H

#include <sys/types.h>

#include "base.h"

WEFT_BEGIN

/* Opens a file (open(2); always close-on-exec) and makes it known to weft. A cancelled call leaves nothing open. Parks.
 * -ECANCELED, -ENOMEM, -EAGAIN there is no helper and none can be made, else as open(2). */
WEFT_API WEFT_NODISCARD int weft_open(const char *path, int flags, mode_t mode);

/* Reads n bytes at an offset, fewer only at the end of the file; the position of weft_read is neither used nor moved. Any number
 * at a time on one descriptor. Parks. -ESPIPE not a file, -ETIMEDOUT the deadline is past, -ECANCELED, else as pread(2). */
WEFT_API WEFT_NODISCARD ssize_t weft_pread(int fd, void *buf, size_t n, int64_t offset);

/* Writes all of it; fewer bytes when stopped midway (a disk is full), and the error comes from the next call. Parks. The same
 * errors. */
WEFT_API WEFT_NODISCARD ssize_t weft_pwrite(int fd, const void *buf, size_t n, int64_t offset);

/* Waits until what was written is on the disk; the second without what is not needed to read it again (fdatasync(2)). Park. 0, or
 * as fsync(2); -ECANCELED. */
WEFT_API WEFT_NODISCARD int weft_fsync(int fd);
WEFT_API WEFT_NODISCARD int weft_fdatasync(int fd);

WEFT_END

#endif
