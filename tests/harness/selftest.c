/* Cases that go wrong on purpose; selftest.sh knows what the runner must say about each. */
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

TEST(passes)
{
	CHECK(1);
	CHECK_EQ(2, 1 + 1);
	CHECK_NE(2, 3);
	CHECK_LT(-1, 0);
	CHECK_LE(0, 0);
	CHECK_GT(1, 0);
	CHECK_GE(0, 0);
	CHECK_PTR(NULL, NULL);
	CHECK_STR("a", "a");
	CHECK_STR(NULL, NULL);
	CHECK_MEM("abc", "abd", 2);
	CHECK_RESULT(-11, -11);
	CHECK_OK(0);
}

TEST(fails_condition) { CHECK(1 == 2); }
TEST(fails_eq) { CHECK_EQ(20 + 1, 22); }
TEST(fails_ne) { CHECK_NE(7, 7); }
TEST(fails_lt) { CHECK_LT(7, 7); }
TEST(fails_le) { CHECK_LE(8, 7); }
TEST(fails_gt) { CHECK_GT(7, 7); }
TEST(fails_ge) { CHECK_GE(6, 7); }
TEST(fails_ptr) { CHECK_PTR((void *)8, NULL); }
TEST(fails_str) { CHECK_STR("warp", "weft"); }
TEST(fails_str_null) { CHECK_STR("warp", NULL); }
TEST(fails_mem) { CHECK_MEM("abc", "abd", 3); }
TEST(fails_result) { CHECK_RESULT(-11, 0); }
TEST(fails_ok) { CHECK_OK(-11); }

TEST(fails_long)
{
	static char text[5000];
	memset(text, 'x', sizeof text - 1);
	test_fail(__FILE__, __LINE__, "%s", text);
}

static void *pause_forever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void *fail_here(void *arg)
{
	(void)arg;
	CHECK_EQ(1, 2);
	return NULL;
}

TEST(fails_on_thread)
{
	pthread_t thread;
	CHECK_EQ(pthread_create(&thread, NULL, fail_here, NULL), 0);
	pause_forever(NULL);
}

TEST(hangs) { pause_forever(NULL); }

/* Ignores the question where it hangs, and has a child that would outlive it. */
TEST(hangs_hard)
{
	signal(SIGQUIT, SIG_IGN);
	fork();
	pause_forever(NULL);
}

TEST(leaves_child)
{
	if (fork() == 0)
		pause_forever(NULL);
}

TEST(exits_7) { exit(7); }
TEST(crashes) { raise(SIGKILL); }
TEST(skips) { SKIP("nothing to do"); }

static _Noreturn void say_and_exit(const char *text, int status)
{
	fputs(text, stderr);
	exit(status);
}

TEST_EXITS(exits_as_told, 7, "the end") { say_and_exit("this is the end\n", 7); }
TEST_EXITS(exits_otherwise, 7, "the end") { say_and_exit("this is the end\n", 8); }
TEST_EXITS(exits_silently, 7, "the end") { say_and_exit("nothing\n", 7); }
TEST_EXITS(does_not_exit, 7, "the end") { fputs("the end\n", stderr); }

TEST_ABORTS(aborts_as_told, "the end")
{
	fputs("the end\n", stderr);
	abort();
}

TEST_ABORTS(does_not_abort, "the end") { fputs("the end\n", stderr); }

/* ---- in a coroutine ------------------------------------------------------------------------------------------------ */

CO_TEST(co_passes)
{
	CHECK_NE(weft_self(), 0);
	weft_yield();
}

CO_TEST(co_fails) { CHECK_RESULT(-11, 0); }
CO_TEST(co_skips) { SKIP("nothing to do"); }
CO_TEST(co_leaves_descriptor) { CHECK_GE(open("/dev/null", O_RDONLY), 0); }
CO_TEST(co_closes_descriptor) { CHECK_EQ(close(STDIN_FILENO), 0); }

CO_TEST(co_leaves_thread)
{
	pthread_t thread;
	CHECK_EQ(pthread_create(&thread, NULL, pause_forever, NULL), 0);
}

CO_TEST(co_hangs)
{
	weft_set_name("the-one-that-hangs");
	for (;;)
		weft_sleep(WEFT_SEC(1000));
}

CO_TEST_EXITS(co_exits_as_told, 7, "the end") { say_and_exit("this is the end\n", 7); }

CO_TEST_ABORTS(co_aborts_as_told, "the end")
{
	fputs("the end\n", stderr);
	abort();
}
