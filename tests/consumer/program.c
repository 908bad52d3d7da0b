/* Linked with weft by whoever builds this; ends with 0 if it works and is the version of its headers. */
#include <stdio.h>
#include <string.h>

#include <weft/weft.h>

static int count(void *arg)
{
	int *counter = arg;
	weft_yield();
	return ++*counter;
}

static int run(void *arg)
{
	struct weft_co *co;
	int result = 0;
	if (weft_spawn(&co, NULL, count, arg) < 0 || weft_join(co, &result) < 0)
		return -1;
	return result;
}

int main(void)
{
	char version[32];
	snprintf(version, sizeof version, "%d.%d.%d", WEFT_VERSION_MAJOR, WEFT_VERSION_MINOR, WEFT_VERSION_PATCH);
	int counter = 41;
	int result = weft_run(NULL, run, &counter);
	printf("weft %s, headers %s, result %d\n", weft_version(), version, result);
	return strcmp(version, weft_version()) != 0 || result != 42;
}
