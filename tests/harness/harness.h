/* The test harness. A test program is one file of cases; each case runs in a forked process of its own, with a time limit
 * (WEFT_TEST_TIMEOUT seconds, 60 unless set).
 *
 *	TEST(name) { ... }                        a plain process
 *	CO_TEST(name) { ... }                     the body is the first coroutine of a runtime with the default configuration (which
 *	                                          reads the environment); no descriptor and no thread may be left after it
 *	TEST_EXITS(name, status, text) { ... }    passes if the process ends with this status and standard error contains text
 *	TEST_ABORTS(name, text) { ... }           the same for abort(3)
 *	CO_TEST_EXITS, CO_TEST_ABORTS             the same in a coroutine
 *
 * A check that fails prints what it saw and ends the process by _exit(2), so it can be used on any stack and on any thread.
 *
 * The program's arguments: none, all cases; names, these cases; -l lists them; -i name runs one in this process, for debuggers.
 * Its exit status: 0 passed, 1 failed, 77 nothing but skipped cases. */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <signal.h>
#include <stddef.h>

/* By how much counts are divided in builds that are slow: sanitizers, emulators. Set by the build. */
#ifndef WEFT_TEST_SLOWDOWN
#define WEFT_TEST_SLOWDOWN 1
#endif

enum { TEST_SKIPPED = 77 };

struct test_case {
	const char *name;
	void (*run)(void (*body)(void));
	void (*body)(void);
	int signal;       /* that must end the process; 0: it must exit */
	int status;       /* with this */
	const char *text; /* that standard error must contain; NULL: any */
	struct test_case *next;
};

void test_add(struct test_case *added);
void test_run_plain(void (*body)(void));
void test_run_co(void (*body)(void));

#define TEST_CASE_(name_, run_, signal_, status_, text_)                                           \
	static void name_##_body(void);                                                            \
	__attribute__((constructor)) static void name_##_add(void)                                 \
	{                                                                                          \
		static struct test_case self = {#name_, run_, name_##_body, signal_, status_, text_, NULL}; \
		test_add(&self);                                                                   \
	}                                                                                          \
	static void name_##_body(void)

#define TEST(name) TEST_CASE_(name, test_run_plain, 0, 0, NULL)
#define TEST_EXITS(name, status, text) TEST_CASE_(name, test_run_plain, 0, status, text)
#define TEST_ABORTS(name, text) TEST_CASE_(name, test_run_plain, SIGABRT, 0, text)
#define CO_TEST(name) TEST_CASE_(name, test_run_co, 0, 0, NULL)
#define CO_TEST_EXITS(name, status, text) TEST_CASE_(name, test_run_co, 0, status, text)
#define CO_TEST_ABORTS(name, text) TEST_CASE_(name, test_run_co, SIGABRT, 0, text)

/* ---- checks -------------------------------------------------------------------------------------------------------- */

#define CHECK(condition) ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, "%s", #condition))

#define CHECK_EQ(a, b) TEST_COMPARE_(a, ==, b, #a, #b)
#define CHECK_NE(a, b) TEST_COMPARE_(a, !=, b, #a, #b)
#define CHECK_LT(a, b) TEST_COMPARE_(a, <, b, #a, #b)
#define CHECK_LE(a, b) TEST_COMPARE_(a, <=, b, #a, #b)
#define CHECK_GT(a, b) TEST_COMPARE_(a, >, b, #a, #b)
#define CHECK_GE(a, b) TEST_COMPARE_(a, >=, b, #a, #b)

/* Pointers. */
#define CHECK_PTR(a, b) test_check_ptr(__FILE__, __LINE__, #a, #b, a, b)

/* Strings that end with a zero; NULL equals NULL only. */
#define CHECK_STR(a, b) test_check_str(__FILE__, __LINE__, #a, #b, a, b)

/* n bytes; tells the first that differs. */
#define CHECK_MEM(a, b, n) test_check_mem(__FILE__, __LINE__, #a, #b, a, b, n)

/* A result of weft: a failing check prints what weft_strerror says about it. */
#define CHECK_RESULT(call, expected) test_check_result(__FILE__, __LINE__, #call, call, expected)

/* Any result that means success (>= 0). */
#define CHECK_OK(call) test_check_ok(__FILE__, __LINE__, #call, call)

/* Gives the case up without a verdict: it needs what this machine has not. */
#define SKIP(reason) test_skip(reason)

#define TEST_COMPARE_(a, op, b, a_text, b_text)                                                    \
	do {                                                                                       \
		long long test_a_ = (long long)(a), test_b_ = (long long)(b);                      \
		if (!(test_a_ op test_b_))                                                         \
			test_fail(__FILE__, __LINE__, "%s " #op " %s: %lld and %lld", a_text, b_text, test_a_, test_b_); \
	} while (0)

_Noreturn void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void test_skip(const char *reason);
void test_check_ptr(const char *file, int line, const char *a_text, const char *b_text, const void *a, const void *b);
void test_check_str(const char *file, int line, const char *a_text, const char *b_text, const char *a, const char *b);
void test_check_mem(const char *file, int line, const char *a_text, const char *b_text, const void *a, const void *b, size_t n);
void test_check_result(const char *file, int line, const char *call, long long result, long long expected);
void test_check_ok(const char *file, int line, const char *call, long long result);

/* n, or fewer where the build is slow; at least 1. */
static inline int test_scaled(int n) { return n > WEFT_TEST_SLOWDOWN ? n / WEFT_TEST_SLOWDOWN : 1; }

#endif
