/* Preloaded into a program: counts its allocations, and says at its end how many there were. */
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic unsigned long count;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
	count++;
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	count++;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	count++;
	return __libc_realloc(p, n);
}

__attribute__((destructor)) static void tell(void)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "mallocs: %lu\n", count);
	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(1);
}
