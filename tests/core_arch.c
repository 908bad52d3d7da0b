/* The switch: what it keeps, how a stack begins, and that unwinders find the end. The last case is for core_gdb.sh. */
#include <errno.h>
#include <string.h>
#include <unwind.h>

#include "core_util.h"
#include "coro.h"
#include "ctx.h"

/* ---- alignment ------------------------------------------------------------------------------------------------------- */

typedef int vector __attribute__((vector_size(16)));

static __attribute__((noinline)) void rest_somewhere(int how)
{
	if (how % 3 == 0)
		weft_yield();
	else if (how % 3 == 1)
		weft_sleep(1);
}

/* Compilers keep a vector over a call in a place which they take to be aligned, by an instruction that faults if it is not. */
static __attribute__((noinline)) int keep_vectors(int i)
{
	vector a = {i, i + 1, i + 2, i + 3}, b = a * 3;
	rest_somewhere(i);
	vector sum = a + b;
	return sum[0] + sum[1] + sum[2] + sum[3];
}

static int use_vectors(void *arg)
{
	CHECK_EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);
	for (int i = 0; i < 30; i++)
		CHECK_EQ(keep_vectors(i), 4 * (4 * i + 6));
	(void)arg;
	return 0;
}

CO_TEST(stacks_are_aligned)
{
	struct weft_co *co[20];
	for (int i = 0; i < 20; i++)
		co[i] = spawn_co(NULL, use_vectors, NULL);
	for (int i = 0; i < 20; i++)
		join_co(co[i]);
}

/* ---- registers ------------------------------------------------------------------------------------------------------- */

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static __attribute__((noinline)) void switch_away(uint64_t how)
{
	switch (how % 8) {
	case 0: weft_sleep(1); break;
	case 1: join_co(spawn_co(NULL, do_nothing, NULL)); break;
	default: weft_yield();
	}
}

static __attribute__((noinline)) void stay(uint64_t how)
{
	__asm__ volatile("" ::"r"(how) : "memory");
}

/* More values than there are registers which a callee keeps, integers and floating point, alive over every call. */
static __attribute__((noinline)) uint64_t compute(uint64_t seed, void (*act)(uint64_t how))
{
	uint64_t a = seed, b = a * 3, c = b ^ a, d = c + 7, e = d * a, f = e ^ b;
	uint64_t g = f + c, h = g * 5, i = h ^ d, j = i + e, k = j ^ f, l = k * 9;
	double m = (double)(seed % 1000), n = m * 1.5, o = n + 3, p = o * m, q = p - n;
	double r = q / 3, s = r + o, t = s * 1.25, u = t - p, v = u + 1;
	for (int round = 0; round < 20; round++) {
		act(a + (uint64_t)round);
		a += b, b ^= c, c += d * 3, d ^= e, e += f, f ^= g * 5, g += h, h ^= i, i += j * 7, j ^= k, k += l, l ^= a;
		m += n, n -= o / 2, o += p / 3, p -= q / 4, q += r / 5, r -= s / 6, s += t / 7, t -= u / 8, u += v / 9, v -= m / 10;
	}
	double sum = m + n + o + p + q + r + s + t + u + v;
	uint64_t bits;
	memcpy(&bits, &sum, sizeof bits);
	return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l ^ bits;
}

static int compute_often(void *arg)
{
	uint64_t random = *(uint64_t *)arg;
	for (int i = 0; i < test_scaled(200); i++) {
		uint64_t seed = next_random(&random);
		CHECK(compute(seed, switch_away) == compute(seed, stay));
	}
	return 0;
}

CO_TEST(registers_are_kept)
{
	enum { N = 20 };
	struct weft_co *co[N];
	uint64_t seeds[N], seed = random_seed();
	for (int i = 0; i < N; i++) {
		seeds[i] = next_random(&seed);
		co[i] = spawn_co(NULL, compute_often, &seeds[i]);
	}
	for (int i = 0; i < N; i++)
		join_co(co[i]);
}

/* ---- unwinding ------------------------------------------------------------------------------------------------------- */

enum { DEPTH = 20, SLACK = 12 /* frames of the runtime, and of the walk */ };

struct walk {
	int frames, recursions;
	uintptr_t recursion; /* an address within the function */
	uintptr_t last;
};

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;
	uintptr_t start = _Unwind_GetRegionStart(context);
	walk->frames++;
	walk->recursions += start == walk->recursion;
	walk->last = _Unwind_GetIP(context);
	return walk->frames > 10 * DEPTH ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

/* Keeps a recursion from being made a loop. */
static inline int after_call(int result)
{
	__asm__ volatile("" : "+r"(result));
	return result;
}

static __attribute__((noinline)) int walk_at_depth(int depth)
{
	if (depth > 0)
		return after_call(walk_at_depth(depth - 1)) + 1;
	struct walk walk = {.recursion = (uintptr_t)walk_at_depth};
	void *frames[10 * DEPTH];
	weft_yield();
	CHECK_EQ(_Unwind_Backtrace(count_frame, &walk), _URC_END_OF_STACK);
	CHECK_GE(walk.recursions, DEPTH);
	CHECK_LE(walk.frames, DEPTH + SLACK);
	int n = wf_os_frames(frames, 10 * DEPTH);
	CHECK(n == 0 || n >= DEPTH); /* 0: this libc does not tell */
	CHECK_LE(n, DEPTH + SLACK);
	return 0;
}

static int walk(void *arg)
{
	(void)arg;
	CHECK_EQ(walk_at_depth(DEPTH), DEPTH);
	return 0;
}

CO_TEST(unwinders_find_the_end)
{
	struct weft_co *co[3];
	for (int i = 0; i < 3; i++)
		co[i] = spawn_co(NULL, walk, NULL);
	for (int i = 0; i < 3; i++)
		join_co(co[i]);
}

/* ---- a debugger ------------------------------------------------------------------------------------------------------ */

static __attribute__((noinline)) int park_deep(int depth)
{
	return after_call(depth > 0 ? park_deep(depth - 1) : weft_sleep_until(WEFT_NEVER));
}

static int park(void *arg)
{
	(void)arg;
	return park_deep(5);
}

/* The debugger stops here, and looks at what the switch has left of a parked coroutine. */
__attribute__((noinline)) void debugger_stops_here(const struct wf_ctx_frame *frame);
void debugger_stops_here(const struct wf_ctx_frame *frame)
{
	__asm__ volatile("" ::"r"(frame) : "memory");
}

CO_TEST(a_debugger_finds_the_end)
{
	struct weft_co *co = spawn_co(NULL, park, NULL);
	EVENTUALLY(wf_u8_load(&co->state) == WF_STATE_PARKED);
	debugger_stops_here(wf_load_ptr(&co->sp));
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_RESULT(join_co(co), -ECANCELED);
}
