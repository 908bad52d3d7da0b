// micro BENCH [SIZE...]: the benchmarks of bench/*.c with virtual threads, by the same names, with the same sizes in the same order.
// PROCS says how many carriers (the launcher makes a property of it). Each runs a tenth of its size first, for the compiler. Prints
// lines "name.pN VALUE UNIT".
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

public class Micro {
	interface Body { void run() throws Exception; }

	interface Sized { void run(long size) throws Exception; }

	static String[] args;
	static boolean quiet;

	static long size(int i, long fallback) { return args.length > i + 1 ? Long.parseLong(args[i + 1]) : fallback; }

	static void out(String name, double value, String unit) {
		String procs = System.getProperty("jdk.virtualThreadScheduler.parallelism", "1");
		if (!quiet) System.out.printf("%s.p%s %.3f %s%n", name, procs, value, unit);
	}

	static void outEach(String name, long since, long n) { out(name, (double) (System.nanoTime() - since) / n, "ns"); }

	static void must(boolean good, String what) {
		if (good) return;
		System.err.println("micro: " + what);
		System.exit(1);
	}

	static Thread start(Body body) {
		return Thread.startVirtualThread(() -> {
			try {
				body.run();
			} catch (Exception e) {
				e.printStackTrace();
				System.exit(1);
			}
		});
	}

	static void joinAll(List<Thread> all) throws Exception { for (Thread one : all) one.join(); }

	static void twice(long size, Sized bench) throws Exception {
		quiet = true;
		bench.run(Math.max(1, size / 10));
		quiet = false;
		bench.run(size);
	}

	static void yields() throws Exception {
		int tasks = (int) size(0, 2);
		twice(size(1, 20000000 / tasks), rounds -> {
			List<Thread> all = new ArrayList<>();
			CountDownLatch gate = new CountDownLatch(1);
			for (int i = 0; i < tasks; i++)
				all.add(start(() -> {
					gate.await();
					for (long k = 0; k < rounds; k++) Thread.yield();
				}));
			long since = System.nanoTime();
			gate.countDown();
			joinAll(all);
			outEach("yield" + tasks, since, tasks * rounds);
		});
	}

	static void spawn() throws Exception {
		int batch = (int) size(1, 1);
		twice(size(0, 5000000), count -> {
			Thread[] all = new Thread[batch];
			long since = System.nanoTime();
			for (long done = 0; done < count; done += batch) {
				for (int i = 0; i < batch; i++) all[i] = Thread.startVirtualThread(() -> { });
				for (int i = 0; i < batch; i++) all[i].join();
			}
			outEach("spawn" + batch, since, count);
		});
	}

	static int fibOf(int n) throws Exception {
		if (n < 2) return n;
		int[] part = new int[2];
		Thread a = start(() -> part[0] = fibOf(n - 1)), b = start(() -> part[1] = fibOf(n - 2));
		a.join();
		b.join();
		return part[0] + part[1];
	}

	static void fib() throws Exception {
		int n = (int) size(0, 25);
		for (String turn : new String[] {"cold", "warm"}) {
			long since = System.nanoTime();
			int[] result = new int[1];
			start(() -> result[0] = fibOf(n)).join();
			out("fib" + n + "_join." + turn, (System.nanoTime() - since) / 1e6, "ms");
		}
	}

	static void say(BlockingQueue<Long> up, long first, long size) throws Exception {
		long sum = first;
		if (size > 1) {
			BlockingQueue<Long> answers = new SynchronousQueue<>();
			for (int i = 0; i < 10; i++) {
				long at = first + i * (size / 10);
				start(() -> say(answers, at, size / 10));
			}
			sum = 0;
			for (int i = 0; i < 10; i++) sum += answers.take();
		}
		up.put(sum);
	}

	static void skynet() throws Exception {
		long leaves = size(0, 1000000);
		for (String turn : new String[] {"cold", "warm"}) {
			BlockingQueue<Long> root = new SynchronousQueue<>();
			long since = System.nanoTime();
			start(() -> say(root, 0, leaves));
			must(root.take() == leaves * (leaves - 1) / 2, "skynet: wrong sum");
			out("skynet." + turn, (System.nanoTime() - since) / 1e6, "ms");
			if (turn.equals("cold")) out("skynet.peak_rss", status("VmHWM:") / 1024 / 1024, "MiB");
		}
	}

	static void pingpong() throws Exception {
		twice(size(0, 3000000), rounds -> start(() -> {
			BlockingQueue<Long> there = new SynchronousQueue<>(), back = new SynchronousQueue<>();
			Thread other = start(() -> { for (long i = 0; i < rounds; i++) back.put(there.take()); });
			long since = System.nanoTime();
			for (long i = 0; i < rounds; i++) {
				there.put(i);
				must(back.take() == i, "chan_pingpong: wrong value");
			}
			outEach("pingpong", since, rounds);
			other.join();
		}).join());
	}

	static void pass(String name, long count, int capacity, int sides) throws Exception {
		twice(count, n -> {
			BlockingQueue<Long> queue = new ArrayBlockingQueue<>(capacity);
			AtomicLong sum = new AtomicLong();
			List<Thread> all = new ArrayList<>();
			long share = n / sides, since = System.nanoTime();
			for (int i = 0; i < sides; i++) {
				long first = i * share;
				all.add(start(() -> {
					long part = 0;
					for (long k = 0; k < share; k++) part += queue.take();
					sum.addAndGet(part);
				}));
				all.add(start(() -> { for (long k = 0; k < share; k++) queue.put(first + k); }));
			}
			joinAll(all);
			outEach(name, since, share * sides);
			must(sum.get() == share * sides * (share * sides - 1) / 2, name + ": wrong sum");
		});
	}

	static void ring() throws Exception {
		int members = (int) size(1, 503);
		twice(size(0, 5000000), hops -> {
			List<BlockingQueue<Long>> links = new ArrayList<>();
			List<Thread> all = new ArrayList<>();
			CountDownLatch done = new CountDownLatch(1);
			for (int i = 0; i < members; i++) links.add(new SynchronousQueue<>());
			for (int i = 0; i < members; i++) {
				BlockingQueue<Long> in = links.get(i), next = links.get((i + 1) % members);
				all.add(start(() -> {
					try {
						for (long left; (left = in.take()) > 0;) next.put(left - 1);
						done.countDown();
					} catch (InterruptedException over) {
						return;
					}
				}));
			}
			long since = System.nanoTime();
			links.get(0).put(hops);
			done.await();
			outEach("ring", since, hops);
			for (Thread one : all) one.interrupt();
			joinAll(all);
		});
	}

	static void mutex(String name, int tasks, long rounds) throws Exception {
		twice(rounds, n -> {
			ReentrantLock lock = new ReentrantLock();
			long[] sum = new long[1];
			List<Thread> all = new ArrayList<>();
			long since = System.nanoTime();
			for (int i = 0; i < tasks; i++)
				all.add(start(() -> {
					for (long k = 0; k < n; k++) {
						lock.lock();
						sum[0]++;
						lock.unlock();
					}
				}));
			joinAll(all);
			outEach(name, since, n * tasks);
			must(sum[0] == n * tasks, name + ": lost");
		});
	}

	static void condPingpong() throws Exception {
		twice(size(0, 3000000), rounds -> {
			ReentrantLock lock = new ReentrantLock();
			Condition[] changed = {lock.newCondition(), lock.newCondition()};
			int[] turn = new int[1];
			List<Thread> both = new ArrayList<>();
			long since = System.nanoTime();
			for (int side = 0; side < 2; side++) {
				int me = side;
				both.add(start(() -> {
					lock.lock();
					for (long i = 0; i < rounds; i++) {
						while (turn[0] != me) changed[me].await();
						turn[0] = 1 - me;
						changed[1 - me].signal();
					}
					lock.unlock();
				}));
			}
			joinAll(both);
			outEach("cond_pingpong", since, rounds);
		});
	}

	static double status(String key) throws Exception {
		for (String line : Files.readAllLines(Path.of("/proc/self/status")))
			if (line.startsWith(key)) return Double.parseDouble(line.split("\\s+")[1]) * 1024;
		return 0;
	}

	static int fill(int depth) { return depth == 0 ? 1 : fill(depth - 1) + depth; }

	static void parked() throws Exception {
		int count = (int) size(0, 1000000);
		boolean deep = size(1, 0) != 0;
		String name = deep ? "parked_deep" : "parked";
		CountDownLatch up = new CountDownLatch(count), gate = new CountDownLatch(1);
		List<Thread> all = new ArrayList<>(count);
		System.gc();
		double before = status("VmRSS:");
		long since = System.nanoTime();
		for (int i = 0; i < count; i++)
			all.add(start(() -> {
				if (deep) fill(120);
				up.countDown();
				gate.await();
			}));
		up.await();
		out(name + ".spawn", (System.nanoTime() - since) / 1e6, "ms");
		Thread.sleep(200);
		out(name + ".rss", (status("VmRSS:") - before) / count, "bytes");
		since = System.nanoTime();
		gate.countDown();
		joinAll(all);
		out(name + ".wake", (System.nanoTime() - since) / 1e6, "ms");
	}

	static void outPoints(String name, long[] ns) {
		Arrays.sort(ns);
		String[] names = {"p50", "p99", "max"};
		int[] points = {50, 99, 100};
		for (int i = 0; i < 3; i++)
			out(name + "_" + names[i], ns[(int) Math.min((long) ns.length * points[i] / 100, ns.length - 1)] / 1e3, "us");
	}

	static long hash(long x) {
		x += 0x9e3779b97f4a7c15L;
		x = (x ^ x >>> 30) * 0xbf58476d1ce4e5b9L;
		x = (x ^ x >>> 27) * 0x94d049bb133111ebL;
		return x ^ x >>> 31;
	}

	static long duration(int i, int r) { return (1000 + Long.remainderUnsigned(hash(i * 10L + r), 99001)) * 1000; }

	static void timers() throws Exception {
		int count = (int) size(0, 10000);
		long[] late = new long[count * 10];
		long ideal = 0;
		CountDownLatch gate = new CountDownLatch(1);
		List<Thread> all = new ArrayList<>();
		for (int i = 0; i < count; i++) {
			int me = i;
			long sum = 0;
			for (int r = 0; r < 10; r++) sum += duration(i, r);
			ideal = Math.max(ideal, sum);
			all.add(start(() -> {
				gate.await();
				for (int r = 0; r < 10; r++) {
					long since = System.nanoTime();
					TimeUnit.NANOSECONDS.sleep(duration(me, r));
					late[me * 10 + r] = System.nanoTime() - since - duration(me, r);
				}
			}));
		}
		Thread.sleep(300);
		long cpu = ProcessHandle.current().info().totalCpuDuration().get().toNanos(), since = System.nanoTime();
		gate.countDown();
		joinAll(all);
		out("timers" + count + ".wall", (System.nanoTime() - since) / 1e6, "ms");
		out("timers" + count + ".ideal", ideal / 1e6, "ms");
		out("timers" + count + ".cpu", (ProcessHandle.current().info().totalCpuDuration().get().toNanos() - cpu) / 1e9, "s");
		outPoints("timers" + count + ".late", late);
	}

	static void sleep() throws Exception {
		long us = size(0, 50);
		long[] slept = new long[(int) size(1, 2000)];
		start(() -> {
			for (int i = 0; i < slept.length; i++) {
				long since = System.nanoTime();
				TimeUnit.MICROSECONDS.sleep(us);
				slept[i] = System.nanoTime() - since;
			}
		}).join();
		outPoints("sleep_" + us + "us", slept);
	}

	public static void main(String[] given) throws Exception {
		args = given;
		switch (given.length > 0 ? given[0] : "") {
			case "chan_mpmc" -> pass("chan_mpmc", size(0, 10000000), (int) size(1, 128), (int) size(2, 4));
			case "chan_pingpong" -> pingpong();
			case "chan_spsc" -> pass("chan_spsc", size(0, 20000000), (int) size(1, 128), 1);
			case "cond_pingpong" -> condPingpong();
			case "fib" -> fib();
			case "mutex" -> mutex("mutex", 1, size(0, 100000000));
			case "mutex_contended" -> mutex("mutex_cont", (int) size(0, 8), size(1, 2000000));
			case "parked" -> parked();
			case "ring" -> ring();
			case "skynet" -> skynet();
			case "sleep" -> sleep();
			case "spawn" -> spawn();
			case "timers" -> timers();
			case "yield" -> yields();
			default -> {
				System.err.println("usage: micro BENCH [SIZE...]; there is no such benchmark here");
				System.exit(2);
			}
		}
	}
}
