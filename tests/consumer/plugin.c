/* Opens libweft when it is already running, as language bindings do: plugin PATH. */
#include <dlfcn.h>
#include <stdio.h>

#include <weft/weft.h>

static void (*yield)(void);

static int body(void *arg)
{
	yield();
	return *(int *)arg;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	int (*run)(const struct weft_config *, weft_fn *, void *);
	*(void **)&run = dlsym(library, "weft_run");
	*(void **)&yield = dlsym(library, "weft_yield");
	int answer = 42;
	int result = run ? run(NULL, body, &answer) : -1;
	printf("result %d\n", result);
	return result != answer || dlclose(library) != 0;
}
