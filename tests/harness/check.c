/* The checks: on any stack with 4 KiB left, on any thread. */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* There when the test uses that part of the library. */
extern __attribute__((weak)) const char *weft_strerror(int result);

static void print_line(const char *line, size_t n)
{
	while (n > 0) {
		ssize_t written = write(STDERR_FILENO, line, n);
		if (written <= 0)
			return;
		line += written;
		n -= (size_t)written;
	}
}

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
	char text[1024];
	size_t last = sizeof text - 1;
	size_t n = (size_t)snprintf(text, sizeof text, "%s:%d: check failed: ", file, line);
	if (n < last) {
		va_list args;
		va_start(args, format);
		n += (size_t)vsnprintf(text + n, sizeof text - n, format, args);
		va_end(args);
	}
	if (n > last)
		n = last;
	text[n++] = '\n';
	print_line(text, n);
	_exit(1);
}

_Noreturn void test_skip(const char *reason)
{
	char text[256];
	int n = snprintf(text, sizeof text, "skipped: %s\n", reason);
	print_line(text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
	_exit(TEST_SKIPPED);
}

void test_check_ptr(const char *file, int line, const char *a_text, const char *b_text, const void *a, const void *b)
{
	if (a != b)
		test_fail(file, line, "%s == %s: %p and %p", a_text, b_text, a, b);
}

void test_check_str(const char *file, int line, const char *a_text, const char *b_text, const char *a, const char *b)
{
	if (a == b || (a && b && strcmp(a, b) == 0))
		return;
	test_fail(file, line, "%s equals %s: \"%.400s\" and \"%.400s\"", a_text, b_text, a ? a : "(null)", b ? b : "(null)");
}

void test_check_mem(const char *file, int line, const char *a_text, const char *b_text, const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;
	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			test_fail(file, line, "%s equals %s: byte %zu of %zu: 0x%02x and 0x%02x", a_text, b_text, i, n, x[i], y[i]);
}

static const char *result_text(long long result)
{
	if (result >= 0)
		return "success";
	if (result < -4095)
		return "no text";
	return weft_strerror ? weft_strerror((int)result) : strerror((int)-result);
}

void test_check_result(const char *file, int line, const char *call, long long result, long long expected)
{
	if (result != expected)
		test_fail(file, line, "%s gives %lld (%s), not %lld (%s)", call, result, result_text(result), expected,
			  result_text(expected));
}

void test_check_ok(const char *file, int line, const char *call, long long result)
{
	if (result < 0)
		test_fail(file, line, "%s gives %lld (%s)", call, result, result_text(result));
}
