/* os.h, fences: nothing makes other threads execute one, so the light side is a full fence. */
#include "os.h"

bool wf_os_has_membarrier;

void wf_os_membarrier_init(void)
{
}

void wf_os_membarrier(void)
{
}
