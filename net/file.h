/* Rank 6. Transfers of files, which no poller tells about. */
#ifndef WF_FILE_H
#define WF_FILE_H

#include "turn.h"

enum { WF_FILE_POSITION = -1 }; /* in place of an offset: where the descriptor's own position is, which moves */

/* One transfer of a vector, from memory at once if it can be, else on a helper. The count, which is short at the end of the file
 * and where a transfer was stopped; or an error. *w is another worker afterwards. */
ssize_t wf_file_transfer(struct wf_worker **w, int fd, enum wf_dir dir, const struct iovec *iov, int count, int64_t offset);

#endif
