/* Whether this libc can tell a call chain. */
#ifndef TEST_FRAMES_H
#define TEST_FRAMES_H

#include "os.h"

static inline bool tells_frames(void)
{
	void *frames[4];
	return wf_os_frames(frames, 4) > 0;
}

#endif
