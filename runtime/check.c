#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_line(const char *format, va_list args)
{
	char line[512];
	size_t n = (size_t)snprintf(line, sizeof line, "weft: ");
	int more = vsnprintf(line + n, sizeof line - n - 1, format, args);
	if (more > 0)
		n += (size_t)more < sizeof line - n - 1 ? (size_t)more : sizeof line - n - 2;
	line[n++] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, n);
	(void)ignored;
}

void wf_report(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	print_line(format, args);
	va_end(args);
}

_Noreturn void wf_fatal(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	print_line(format, args);
	va_end(args);
	abort();
}

_Noreturn void wf_check_failed(const char *condition, const char *file, int line)
{
	wf_fatal("check failed: %s (%s:%d)", condition, file, line);
}
