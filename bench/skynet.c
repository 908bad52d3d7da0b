/* skynet [LEAVES]: a tree in which each coroutine makes ten more, until there is one for each of the numbers 0 to LEAVES - 1 (a
 * power of ten), and adds up what they say. Over channels without capacity, one for each inner node ("skynet"), and with handles
 * that are joined ("skynet_join"); ms, first (cold) and second (warm) run of each. */
#include <errno.h>

#include "bench.h"

enum { CHILDREN = 10 };

struct node {
	int64_t first, size;
	struct weft_chan *up; /* NULL: the sum goes below */
	int64_t sum;
};

static struct node child_of(const struct node *n, int i, struct weft_chan *up)
{
	return (struct node){ n->first + i * (n->size / CHILDREN), n->size / CHILDREN, up, 0 };
}

/* The arguments of the children are on this stack: it is there until each has sent. */
static int say(void *arg)
{
	struct node self = *(struct node *)arg, children[CHILDREN];
	struct weft_chan *answers;
	int64_t sum = self.first, part;
	if (self.size > 1) {
		sum = 0;
		must(weft_chan_create(&answers, sizeof part, 0));
		for (int i = 0; i < CHILDREN; i++) {
			children[i] = child_of(&self, i, answers);
			must(weft_go(say, &children[i]));
		}
		for (int i = 0; i < CHILDREN; i++, sum += part)
			must(weft_chan_recv(answers, &part));
		must(weft_chan_destroy(answers));
	}
	must(weft_chan_send(self.up, &sum));
	return 0;
}

static int add_up(void *arg)
{
	struct node *self = arg, children[CHILDREN];
	struct weft_co *co[CHILDREN];
	self->sum = self->first;
	if (self->size == 1)
		return 0;
	self->sum = 0;
	for (int i = 0; i < CHILDREN; i++) {
		children[i] = child_of(self, i, NULL);
		must(weft_spawn(&co[i], NULL, add_up, &children[i]));
	}
	for (int i = 0; i < CHILDREN; i++) {
		must(weft_join(co[i], NULL));
		self->sum += children[i].sum;
	}
	return 0;
}

static int64_t sum_by_channels(int64_t leaves)
{
	struct node root = { .size = leaves };
	int64_t sum;
	must(weft_chan_create(&root.up, sizeof sum, 0));
	must(weft_go(say, &root));
	must(weft_chan_recv(root.up, &sum));
	must(weft_chan_destroy(root.up));
	return sum;
}

static int64_t sum_by_joins(int64_t leaves)
{
	struct node root = { .size = leaves };
	add_up(&root);
	return root.sum;
}

static void run(const char *name, int64_t (*sum)(int64_t), int64_t leaves)
{
	weft_time start = weft_now();
	must(sum(leaves) == leaves * (leaves - 1) / 2 ? 0 : -EIO);
	bench_out(name, (double)(weft_now() - start) / 1e6, "ms");
}

static int body(void *arg)
{
	int64_t leaves = *(long *)arg;
	run("skynet.cold", sum_by_channels, leaves);
	bench_out("skynet.peak_rss", bench_status("VmHWM") / 1024 / 1024, "MiB");
	run("skynet.warm", sum_by_channels, leaves);
	run("skynet_join.cold", sum_by_joins, leaves);
	run("skynet_join.warm", sum_by_joins, leaves);
	return 0;
}

int main(int argc, char **argv)
{
	long leaves = bench_arg(argv, 1, 1000000), power = 1;
	(void)argc;
	while (power < leaves)
		power *= CHILDREN;
	must(power == leaves ? 0 : -EINVAL);
	return weft_run(NULL, body, &leaves);
}
