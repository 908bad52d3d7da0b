#include <errno.h>
#include <weft/base.h>

#include "os.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *weft_version(void)
{
	return TEXT(WEFT_VERSION_MAJOR) "." TEXT(WEFT_VERSION_MINOR) "." TEXT(WEFT_VERSION_PATCH);
}

const char *weft_strerror(int result)
{
	const char *text = wf_os_error_text(result < 0 ? -result : result);
	return text ? text : "unknown error";
}

WEFT_API int *weft_errno_location(void);

WF_OPAQUE int *weft_errno_location(void)
{
	int *location = &errno;
	__asm__ volatile("" : "+r"(location)); /* not a constant, whatever the declaration of the function behind it says */
	return location;
}
