// micro BENCH [SIZE...]: the benchmarks of bench/*.c with Boost.Fiber, by the same names, with the same sizes in the same order, on one
// thread with its round-robin scheduler, and stacks of 64 KiB from a pool. Prints lines "name.p1 VALUE UNIT". What keeps a hundred
// thousand fibers and more alive at a time is left out: a mapping for each stack is more than the system gives.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <boost/context/fiber.hpp>
#include <boost/fiber/all.hpp>

namespace fibers = boost::fibers;
using clock_type = std::chrono::steady_clock;
using rendezvous = fibers::unbuffered_channel<long>;
using buffered = fibers::buffered_channel<long>;

static char **sizes;
static boost::context::pooled_fixedsize_stack stacks(64 * 1024, 4096);

static long size(int i, long fallback)
{
	for (int k = 0; k <= i; k++)
		if (!sizes[k])
			return fallback;
	return std::atol(sizes[i]);
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	std::fprintf(stderr, "micro: %s\n", what);
	std::exit(1);
}

static void out(const std::string &name, double value, const char *unit)
{
	std::printf("%s.p1 %.3f %s\n", name.c_str(), value, unit);
	std::fflush(stdout);
}

static void out_each(const std::string &name, clock_type::time_point since, long n)
{
	out(name, std::chrono::duration<double, std::nano>(clock_type::now() - since).count() / double(n), "ns");
}

template <class F> static fibers::fiber start(F run)
{
	return fibers::fiber(fibers::launch::post, std::allocator_arg, stacks, run);
}

static void join_all(std::vector<fibers::fiber> &all)
{
	for (auto &one : all)
		one.join();
	all.clear();
}

static void yield()
{
	long tasks = size(0, 2), rounds = size(1, 20000000 / tasks);
	std::vector<fibers::fiber> all;
	auto since = clock_type::now();
	for (long i = 0; i < tasks; i++)
		all.push_back(start([rounds] {
			for (long k = 0; k < rounds; k++)
				boost::this_fiber::yield();
		}));
	join_all(all);
	out_each("yield" + std::to_string(tasks), since, tasks * rounds);
}

static void spawn()
{
	long count = size(0, 5000000), batch = size(1, 1);
	std::vector<fibers::fiber> all;
	auto since = clock_type::now();
	for (long done = 0; done < count; done += batch) {
		for (long i = 0; i < batch; i++)
			all.push_back(start([] {}));
		join_all(all);
	}
	out_each("spawn" + std::to_string(batch), since, count);
}

static void chan_pingpong()
{
	long rounds = size(0, 3000000), value;
	rendezvous there, back;
	auto other = start([&] {
		long v;
		while (there.pop(v) == fibers::channel_op_status::success)
			back.push(v);
	});
	auto since = clock_type::now();
	for (long i = 0; i < rounds; i++) {
		there.push(i);
		must(back.pop(value) == fibers::channel_op_status::success && value == i, "chan_pingpong: wrong value");
	}
	out_each("pingpong", since, rounds);
	there.close();
	other.join();
}

static void chan_spsc()
{
	long count = size(0, 20000000), value, wanted = 0;
	buffered c(size_t(size(1, 128)));
	auto since = clock_type::now();
	auto producer = start([&] {
		for (long i = 0; i < count; i++)
			c.push(i);
		c.close();
	});
	while (c.pop(value) == fibers::channel_op_status::success)
		must(value == wanted++, "chan_spsc: out of order");
	out_each("chan_spsc", since, count);
	must(wanted == count, "chan_spsc: lost");
	producer.join();
}

static void chan_mpmc()
{
	long sides = size(2, 4), share = size(0, 10000000) / sides, total = share * sides, sum = 0;
	buffered c(size_t(size(1, 128)));
	std::vector<fibers::fiber> producers, consumers;
	auto since = clock_type::now();
	for (long i = 0; i < sides; i++)
		consumers.push_back(start([&] {
			for (long v; c.pop(v) == fibers::channel_op_status::success;)
				sum += v;
		}));
	for (long i = 0; i < sides; i++)
		producers.push_back(start([&c, i, share] {
			for (long k = 0; k < share; k++)
				c.push(i * share + k);
		}));
	join_all(producers);
	c.close();
	join_all(consumers);
	out_each("chan_mpmc", since, total);
	must(sum == total * (total - 1) / 2, "chan_mpmc: wrong sum");
}

static void ring()
{
	long hops = size(0, 5000000), members = size(1, 503);
	std::vector<std::unique_ptr<rendezvous>> links;
	std::vector<fibers::fiber> all;
	rendezvous done;
	long value;
	for (long i = 0; i < members; i++)
		links.push_back(std::make_unique<rendezvous>());
	for (long i = 0; i < members; i++)
		all.push_back(start([&, i] {
			for (long left; links[size_t(i)]->pop(left) == fibers::channel_op_status::success;) {
				if (left == 0)
					done.push(0);
				else
					links[size_t((i + 1) % members)]->push(left - 1);
			}
		}));
	auto since = clock_type::now();
	links[0]->push(hops);
	done.pop(value);
	out_each("ring", since, hops);
	for (auto &link : links)
		link->close();
	join_all(all);
}

static void mutex()
{
	long count = size(0, 100000000), sum = 0;
	fibers::mutex lock;
	auto since = clock_type::now();
	for (long i = 0; i < count; i++) {
		lock.lock();
		sum++;
		lock.unlock();
	}
	out_each("mutex", since, count);
	must(sum == count, "mutex: lost");
}

static void mutex_contended()
{
	long tasks = size(0, 8), rounds = size(1, 2000000), sum = 0;
	fibers::mutex lock;
	std::vector<fibers::fiber> all;
	auto since = clock_type::now();
	for (long i = 0; i < tasks; i++)
		all.push_back(start([&] {
			for (long k = 0; k < rounds; k++) {
				lock.lock();
				sum++;
				lock.unlock();
			}
		}));
	join_all(all);
	out_each("mutex_cont", since, tasks * rounds);
	must(sum == tasks * rounds, "mutex_contended: lost");
}

static void cond_pingpong()
{
	long rounds = size(0, 3000000);
	int turn = 0;
	fibers::mutex lock;
	fibers::condition_variable changed[2];
	std::vector<fibers::fiber> both;
	auto since = clock_type::now();
	for (int me = 0; me < 2; me++)
		both.push_back(start([&, me] {
			std::unique_lock<fibers::mutex> held(lock);
			for (long i = 0; i < rounds; i++) {
				changed[me].wait(held, [&] { return turn == me; });
				turn = !me;
				changed[!me].notify_one();
			}
		}));
	join_all(both);
	out_each("cond_pingpong", since, rounds);
}

// Boost.Context alone: the switch below the fibers, between two stacks.
static void bare_switch()
{
	long count = size(0, 20000000);
	if (size(1, 2) != 2)
		return;
	boost::context::fiber other([](boost::context::fiber &&back) {
		for (;;)
			back = std::move(back).resume();
		return std::move(back);
	});
	auto since = clock_type::now();
	for (long i = 0; i < count / 2; i++)
		other = std::move(other).resume();
	out_each("switch2", since, count);
}

int main(int argc, char **argv)
{
	static const std::map<std::string, void (*)()> benches = {
		{ "chan_mpmc", chan_mpmc }, { "chan_pingpong", chan_pingpong }, { "chan_spsc", chan_spsc },
		{ "cond_pingpong", cond_pingpong }, { "mutex", mutex }, { "mutex_contended", mutex_contended }, { "ring", ring },
		{ "spawn", spawn }, { "switch", bare_switch }, { "yield", yield },
	};
	auto found = argc > 1 ? benches.find(argv[1]) : benches.end();
	if (found == benches.end()) {
		std::fputs("usage: micro BENCH [SIZE...]; there is no such benchmark here\n", stderr);
		return 2;
	}
	sizes = argv + 2;
	found->second();
	return 0;
}
