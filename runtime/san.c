#include "san.h"

#ifdef WF_SAN

#include <pthread.h>

#ifdef WEFT_VALGRIND
#include <valgrind/valgrind.h>
#endif

#ifdef WF_TSAN
enum { NAP_NS = 20000000 };
enum { USES_MAX = 32 }; /* of the 64 Ki entries of TSan's call stack, an end takes about six */
#endif

void wf_san_stack_made(struct wf_san_fiber *fiber, void *low, void *high)
{
	fiber->fake = NULL;
	fiber->low = low;
	fiber->size = (size_t)((char *)high - (char *)low);
	fiber->tsan = NULL;
	fiber->uses = 0;
#ifdef WEFT_VALGRIND
	fiber->valgrind = VALGRIND_STACK_REGISTER(low, high);
#endif
}

void wf_san_stack_gone(struct wf_san_fiber *fiber)
{
	(void)fiber;
#ifdef WF_TSAN
	if (fiber->tsan)
		__tsan_destroy_fiber(fiber->tsan);
#endif
#ifdef WF_ASAN
	__asan_unpoison_memory_region(fiber->low, fiber->size);
#endif
#ifdef WEFT_VALGRIND
	VALGRIND_STACK_DEREGISTER(fiber->valgrind);
#endif
}

void wf_san_thread(struct wf_san_fiber *fiber)
{
	(void)fiber;
#ifdef WF_ASAN
	pthread_attr_t attr;
	void *low;
	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		if (pthread_attr_getstack(&attr, &low, &fiber->size) == 0)
			fiber->low = low;
		pthread_attr_destroy(&attr);
	}
#endif
#ifdef WF_TSAN
	fiber->tsan = __tsan_get_current_fiber();
#endif
}

#if defined(WF_ASAN) || defined(WF_TSAN)
void wf_san_stack_fresh(struct wf_san_fiber *fiber)
{
#ifdef WF_ASAN
	fiber->fake = NULL;
	__asan_unpoison_memory_region(fiber->low, fiber->size);
#endif
#ifdef WF_TSAN
	if (fiber->tsan && ++fiber->uses > USES_MAX) {
		__tsan_destroy_fiber(fiber->tsan);
		fiber->tsan = NULL;
		fiber->uses = 0;
	}
#endif
}
#endif

int64_t wf_san_nap(int64_t ns)
{
#ifdef WF_TSAN
	return ns < 0 || ns > NAP_NS ? NAP_NS : ns;
#else
	return ns;
#endif
}

#endif

typedef int wf_san_is_never_empty; /* ISO C wants a declaration */
