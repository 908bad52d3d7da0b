#include <weft/time.h>

#include "os.h"
#include "timer.h"

weft_time weft_now(void)
{
	return wf_os_now();
}

weft_time weft_after(int64_t ns)
{
	int64_t now = wf_os_now();
	return ns > WEFT_NEVER - now ? WEFT_NEVER : now + ns;
}
