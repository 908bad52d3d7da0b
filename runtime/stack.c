#include "stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "lock.h"
#include "os.h"

enum {
	REGION_SHIFT = 30,   /* a region has up to 1 GiB of slots ... */
	REGION_SLOTS = 4096, /* ... and up to so many */
	REGIONS_MAX = 8192,
	BATCH_MIN = 64, /* slots get their guards in batches that double */
	BATCH_MAX = 1024,
	WARM_SHIFT = 24, /* a trim leaves stacks of up to 16 MiB of address space warm */
	TRIM_BATCH = 64,
};

struct region {
	char *base;
	size_t slot_size;
	unsigned slots;     /* room for */
	unsigned made;      /* have guards and are in use, or free in a list */
	unsigned class_index;
	struct wf_stack stack[];
};

struct class_pool {
	struct wf_lock lock;
	struct wf_stack *warm;   /* free ones, the last given first, ... */
	struct wf_stack *oldest; /* ... to the one given first */
	struct wf_stack *cold;   /* free ones without memory */
	size_t warm_count;
	size_t warm_least; /* that it has been in this round of trimming */
	size_t made;       /* slots, all regions */
	size_t promised;   /* to coroutines */
	size_t cached;     /* that may lie in processors' caches, or are being trimmed, at most */
	unsigned batch;
	struct region *newest; /* the one that still has room */
};

static struct class_pool pools[WF_STACK_CLASSES];
static unsigned trimming; /* the class that is being trimmed */
static wf_word guards; /* of all classes */

/* Appended under region_lock, read without: a signal handler looks here. */
static wf_word regions[REGIONS_MAX];
static wf_u32 region_count;
static struct wf_lock region_lock;

static size_t size_of(unsigned class_index)
{
	return (size_t)1 << (WF_STACK_FIRST_SHIFT + class_index);
}

/* With a page more, for an odd number of pages. */
static size_t slot_size_of(unsigned class_index)
{
	return size_of(class_index) + wf_os_page_size();
}

int wf_stack_class(size_t usable)
{
	if (usable > WF_STACK_USABLE_MAX)
		return -EINVAL;
	unsigned i = 0;
	while (size_of(i) - WF_STACK_GUARD < usable)
		i++;
	return (int)i;
}

/* ---- regions ------------------------------------------------------------------------------------------------------- */

static struct region *map_region(unsigned class_index)
{
	size_t slot_size = slot_size_of(class_index);
	size_t slots = ((size_t)1 << REGION_SHIFT) / slot_size;
	slots = slots > REGION_SLOTS ? REGION_SLOTS : slots == 0 ? 1 : slots;
	struct region *r = wf_stress_fails() ? NULL : malloc(sizeof *r + slots * sizeof r->stack[0]);
	char *base = NULL;
	if (!r)
		return NULL;
	/* An address space limit, or strict overcommit, may allow less. */
	while (!(base = wf_os_reserve(slots * slot_size)) && slots > 1)
		slots /= 2;
	if (!base) {
		free(r);
		return NULL;
	}
	*r = (struct region){.base = base, .slot_size = slot_size, .slots = (unsigned)slots, .class_index = class_index};
	return r;
}

static struct region *add_region(unsigned class_index)
{
	struct region *r = NULL;
	wf_lock(&region_lock);
	unsigned n = wf_u32_load(&region_count);
	if (n < REGIONS_MAX && (r = map_region(class_index))) {
		wf_store(&regions[n], (uintptr_t)r);
		wf_u32_store_release(&region_count, n + 1); /* pairs with the acquire in wf_stack_find */
	}
	wf_unlock(&region_lock);
	return r;
}

struct wf_stack *wf_stack_find(uintptr_t address)
{
	unsigned n = wf_u32_load_acquire(&region_count); /* pairs with add_region */
	for (unsigned i = 0; i < n; i++) {
		struct region *r = wf_load_ptr(&regions[i]);
		uintptr_t offset = address - (uintptr_t)r->base;
		if (offset < r->slots * r->slot_size)
			return &r->stack[offset / r->slot_size];
	}
	return NULL;
}

static void init_slot(struct region *r, unsigned i)
{
	struct wf_stack *s = &r->stack[i];
	char *base = r->base + i * r->slot_size;
	size_t colour = (i % WF_STACK_COLOURS) * WF_CACHE_LINE;
	memset(s, 0, sizeof *s);
	s->low = base + WF_STACK_GUARD;
	s->top = base + r->slot_size - colour;
	s->class_index = (unsigned char)r->class_index;
	wf_san_stack_made(&s->fiber, s->low, s->top);
}

/* ---- the pool of a class ------------------------------------------------------------------------------------------- */

static void complain_once(void)
{
	static wf_u32 said;
	if (!wf_u32_cas_full(&said, 0, 1))
		return;
	if (wf_os_guard_kind() == WF_GUARD_MPROTECT)
		wf_report("no more stacks: each guard needs two kernel mappings here; raise vm.max_map_count (sysctl), "
			  "or use Linux 6.13");
	else
		wf_report("no more stacks: no address space or memory left for them");
}

/* Makes at least one more slot. */
static int grow_locked(struct class_pool *pool, unsigned class_index)
{
	struct region *r = pool->newest;
	if ((!r || r->made == r->slots) && !(r = pool->newest = add_region(class_index)))
		return -ENOMEM;
	unsigned n = pool->batch ? pool->batch : BATCH_MIN;
	if (size_of(class_index) > (size_t)1 << 20)
		n = 1;
	n = n < r->slots - r->made ? n : r->slots - r->made;
	size_t most = wf_os_guards_max(), others = wf_load(&guards); /* relaxed: two classes at once may go a little too far */
	size_t room = most > others ? most - others : 0;
	n = n < room ? n : (unsigned)room;
	if (n == 0)
		return -ENOMEM;
	if (wf_stress_fails() || wf_os_guard(r->base + r->made * r->slot_size, WF_STACK_GUARD, r->slot_size, n) != 0)
		return -ENOMEM;
	for (unsigned i = r->made + n; i-- > r->made;) {
		init_slot(r, i);
		r->stack[i].next = pool->cold;
		pool->cold = &r->stack[i];
	}
	wf_add(&guards, n);
	r->made += n;
	pool->made += n;
	pool->batch = n * 2 < BATCH_MAX ? n * 2 : BATCH_MAX;
	return 0;
}

static int grow_to_locked(struct class_pool *pool, unsigned class_index, size_t wanted)
{
	while (pool->made < wanted)
		if (grow_locked(pool, class_index) != 0)
			return -ENOMEM;
	return 0;
}

int wf_stack_reserve(unsigned class_index, unsigned n)
{
	struct class_pool *pool = &pools[class_index];
	wf_lock(&pool->lock);
	int result = grow_to_locked(pool, class_index, pool->promised + pool->cached + n);
	if (result == 0)
		pool->promised += n;
	wf_unlock(&pool->lock);
	if (result != 0)
		complain_once();
	return result;
}

void wf_stack_unreserve(unsigned class_index, unsigned n)
{
	struct class_pool *pool = &pools[class_index];
	wf_lock(&pool->lock);
	pool->promised -= n;
	wf_unlock(&pool->lock);
}

int wf_stack_add_cache(unsigned class_index)
{
	struct class_pool *pool = &pools[class_index];
	wf_lock(&pool->lock);
	int result = grow_to_locked(pool, class_index, pool->promised + pool->cached + WF_STACK_CACHE);
	if (result == 0)
		pool->cached += WF_STACK_CACHE;
	wf_unlock(&pool->lock);
	return result;
}

/* Takes up to n off a list. */
static struct wf_stack *split(struct wf_stack **list, unsigned n, unsigned *taken)
{
	struct wf_stack *first = *list, *last = first;
	for (*taken = 1; *taken < n && last->next; ++*taken)
		last = last->next;
	*list = last->next;
	last->next = NULL;
	return first;
}

struct wf_stack *wf_stack_take(unsigned class_index, unsigned n, unsigned *taken)
{
	struct class_pool *pool = &pools[class_index];
	wf_lock(&pool->lock);
	bool warm = pool->warm != NULL;
	wf_check(warm || pool->cold); /* it was promised */
	struct wf_stack *first = split(warm ? &pool->warm : &pool->cold, n, taken);
	if (warm) {
		*(pool->warm ? &pool->warm->newer : &pool->oldest) = NULL;
		pool->warm_count -= *taken;
		pool->warm_least = pool->warm_count < pool->warm_least ? pool->warm_count : pool->warm_least;
	}
	wf_unlock(&pool->lock);
	return first;
}

void wf_stack_give(struct wf_stack *list, unsigned n)
{
	struct class_pool *pool = &pools[list->class_index];
	struct wf_stack *last = list;
	for (list->newer = NULL; last->next; last = last->next)
		last->next->newer = last;
	wf_lock(&pool->lock);
	last->next = pool->warm;
	*(pool->warm ? &pool->warm->newer : &pool->oldest) = last;
	pool->warm = list;
	pool->warm_count += n;
	wf_unlock(&pool->lock);
}

/* ---- giving memory back ------------------------------------------------------------------------------------------------ */

/* How many of n free ones can be made cold: not the few that stay, and none that somebody was promised. */
static size_t spare_locked(const struct class_pool *pool, unsigned class_index, size_t n)
{
	size_t stay = ((size_t)1 << WARM_SHIFT) / size_of(class_index), free = pool->made - pool->promised - pool->cached;
	n = n > stay ? n - stay : 0;
	return n < free ? n : free;
}

/* Takes the oldest ones away; they count as cached until they are back. */
static unsigned take_oldest(struct class_pool *pool, unsigned class_index, struct wf_stack **list)
{
	*list = NULL;
	wf_lock(&pool->lock);
	size_t spare = spare_locked(pool, class_index, pool->warm_least);
	unsigned n = spare < TRIM_BATCH ? (unsigned)spare : TRIM_BATCH;
	for (unsigned i = 0; i < n; i++) {
		struct wf_stack *s = pool->oldest;
		pool->oldest = s->newer;
		s->next = *list;
		*list = s;
	}
	if (n > 0)
		*(pool->oldest ? &pool->oldest->next : &pool->warm) = NULL;
	pool->warm_count -= n;
	pool->warm_least = n > 0 ? pool->warm_least - n : pool->warm_count;
	pool->cached += n;
	wf_unlock(&pool->lock);
	return n;
}

static void make_cold(struct class_pool *pool, struct wf_stack *list, unsigned n)
{
	char *base[TRIM_BATCH];
	struct wf_stack *last = list;
	for (unsigned i = 0; i < n; i++) {
		last = i == 0 ? list : last->next;
		base[i] = last->low;
	}
	wf_os_discard(base, n, slot_size_of(list->class_index) - WF_STACK_GUARD);
	wf_lock(&pool->lock);
	last->next = pool->cold;
	pool->cold = list;
	pool->cached -= n;
	wf_unlock(&pool->lock);
}

bool wf_stack_trim(void)
{
	for (; trimming < WF_STACK_CLASSES; trimming++) {
		struct wf_stack *list;
		unsigned n = take_oldest(&pools[trimming], trimming, &list);
		if (n == 0)
			continue;
		make_cold(&pools[trimming], list, n);
		return true;
	}
	trimming = 0;
	return false;
}

bool wf_stack_trimmable(void)
{
	bool result = false;
	for (unsigned i = 0; i < WF_STACK_CLASSES; i++) {
		wf_lock(&pools[i].lock);
		result = result || spare_locked(&pools[i], i, pools[i].warm_count) > 0;
		wf_unlock(&pools[i].lock);
	}
	return result;
}

/* ---- all of them ------------------------------------------------------------------------------------------------------- */

uint64_t wf_stack_made(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < WF_STACK_CLASSES; i++) {
		wf_lock(&pools[i].lock);
		sum += pools[i].made;
		wf_unlock(&pools[i].lock);
	}
	return sum;
}

void wf_stack_free_all(void)
{
	unsigned n = wf_u32_load(&region_count);
	wf_u32_store_release(&region_count, 0); /* pairs with wf_stack_find */
	for (unsigned i = 0; i < n; i++) {
		struct region *r = wf_load_ptr(&regions[i]);
		for (unsigned k = 0; k < r->made; k++)
			wf_san_stack_gone(&r->stack[k].fiber);
		wf_os_unreserve(r->base, r->slots * r->slot_size);
		free(r);
	}
	wf_store(&guards, 0);
	trimming = 0;
	memset(pools, 0, sizeof pools);
}
