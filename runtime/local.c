/* Local values of coroutines. */
#include <errno.h>
#include <stdlib.h>

#include "sched.h"

enum { ROUNDS = 4 }; /* of destructors, as PTHREAD_DESTRUCTOR_ITERATIONS */

static struct wf_lock keys_lock;
static wf_u32 key_count;
static void (*destructors[WEFT_KEYS_MAX])(void *);

int weft_key_create(int *key, void (*destructor)(void *))
{
	wf_lock(&keys_lock);
	unsigned n = wf_u32_load(&key_count);
	if (n < WEFT_KEYS_MAX) {
		destructors[n] = destructor;
		wf_u32_store_release(&key_count, n + 1); /* pairs with the acquire in valid */
	}
	wf_unlock(&keys_lock);
	if (n == WEFT_KEYS_MAX)
		return -EAGAIN;
	*key = (int)n;
	return 0;
}

static bool valid(int key)
{
	return key >= 0 && (unsigned)key < wf_u32_load_acquire(&key_count); /* pairs with weft_key_create */
}

void *weft_get(int key)
{
	struct wf_worker *w = wf_worker_self();
	return w && valid(key) && w->co->locals ? w->co->locals[key] : NULL;
}

int weft_set(int key, void *value)
{
	struct wf_worker *w = wf_worker_self();
	if (!w || !valid(key))
		return -EINVAL;
	struct weft_co *co = w->co;
	if (!co->locals) {
		if (!value)
			return 0;
		if (wf_stress_fails() || !(co->locals = calloc(WEFT_KEYS_MAX, sizeof *co->locals)))
			return -ENOMEM;
	}
	co->locals[key] = value;
	return 0;
}

static bool run_round(struct weft_co *co)
{
	bool any = false;
	for (unsigned i = 0; i < wf_u32_load_acquire(&key_count); i++) {
		void *value = co->locals[i];
		if (!value)
			continue;
		co->locals[i] = NULL;
		if (destructors[i])
			destructors[i](value);
		any = true;
	}
	return any;
}

void wf_locals_run(struct weft_co *co)
{
	if (!co->locals)
		return;
	for (int round = 0; round < ROUNDS && run_round(co); round++)
		;
	free(co->locals);
	co->locals = NULL;
}
