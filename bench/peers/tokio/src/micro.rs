//! micro BENCH [SIZE...]: the benchmarks of bench/*.c with tokio's tasks, by the same names, with the same sizes in the same order.
//! PROCS says how many workers. Prints lines "name.pN VALUE UNIT". tokio has no channel without capacity: one of 1 stands for it, and
//! none with several receivers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch, Barrier, Mutex};
use tokio::task::yield_now;

fn procs() -> usize {
    std::env::var("PROCS").ok().and_then(|p| p.parse().ok()).unwrap_or(1)
}

fn size(i: usize, fallback: usize) -> usize {
    std::env::args().nth(2 + i).map_or(fallback, |a| a.parse().expect("a size is a number"))
}

fn out(name: &str, value: f64, unit: &str) {
    println!("{name}.p{} {value:.3} {unit}", procs());
}

fn out_each(name: &str, since: Instant, n: usize) {
    out(name, since.elapsed().as_nanos() as f64 / n as f64, "ns");
}

fn ms(d: Duration) -> f64 {
    d.as_nanos() as f64 / 1e6
}

fn out_points(name: &str, mut times: Vec<Duration>) {
    times.sort();
    for (point, at) in [("p50", 50), ("p99", 99), ("max", 100)] {
        let at = (times.len() * at / 100).min(times.len() - 1);
        out(&format!("{name}_{point}"), times[at].as_nanos() as f64 / 1e3, "us");
    }
}

fn status(key: &str) -> f64 {
    let all = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = all.lines().find(|l| l.starts_with(key)).expect("a field of status");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).expect("a number") * 1024.0
}

fn cpu_seconds() -> f64 {
    let mut u: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut u) };
    (u.ru_utime.tv_sec + u.ru_stime.tv_sec) as f64 + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) as f64 / 1e6
}

fn hash(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e3779b97f4a7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58476d1ce4e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d049bb133111eb);
    x ^ x >> 31
}

async fn join_all(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("a task");
    }
}

// ---- switching and ending

async fn yields() {
    let tasks = size(0, 2);
    let rounds = size(1, 20_000_000 / tasks);
    let barrier = Arc::new(Barrier::new(tasks + 1));
    let mut all = Vec::new();
    for _ in 0..tasks {
        let barrier = barrier.clone();
        all.push(tokio::spawn(async move {
            barrier.wait().await;
            for _ in 0..rounds {
                yield_now().await;
            }
        }));
    }
    barrier.wait().await;
    let start = Instant::now();
    join_all(all).await;
    out_each(&format!("yield{tasks}"), start, tasks * rounds);
}

async fn spawn() {
    let (count, batch) = (size(0, 5_000_000), size(1, 1));
    let start = Instant::now();
    for _ in 0..count / batch {
        join_all((0..batch).map(|_| tokio::spawn(async {})).collect()).await;
    }
    out_each(&format!("spawn{batch}"), start, count);
}

fn fib_of(n: usize) -> Pin<Box<dyn Future<Output = usize> + Send>> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let (a, b) = (tokio::spawn(fib_of(n - 1)), tokio::spawn(fib_of(n - 2)));
        a.await.expect("fib") + b.await.expect("fib")
    })
}

async fn fib() {
    let n = size(0, 25);
    for turn in ["cold", "warm"] {
        let start = Instant::now();
        tokio::spawn(fib_of(n)).await.expect("fib");
        out(&format!("fib{n}_join.{turn}"), ms(start.elapsed()), "ms");
    }
}

fn say(up: mpsc::Sender<usize>, first: usize, size: usize) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let mut sum = first;
        if size > 1 {
            let (answer, mut answers) = mpsc::channel(1);
            for i in 0..10 {
                tokio::spawn(say(answer.clone(), first + i * (size / 10), size / 10));
            }
            sum = 0;
            for _ in 0..10 {
                sum += answers.recv().await.expect("an answer");
            }
        }
        up.send(sum).await.expect("skynet");
    })
}

async fn skynet() {
    let leaves = size(0, 1_000_000);
    for turn in ["cold", "warm"] {
        let (up, mut root) = mpsc::channel(1);
        let start = Instant::now();
        tokio::spawn(say(up, 0, leaves));
        assert_eq!(root.recv().await, Some(leaves * (leaves - 1) / 2));
        out(&format!("skynet.{turn}"), ms(start.elapsed()), "ms");
        if turn == "cold" {
            out("skynet.peak_rss", status("VmHWM") / 1024.0 / 1024.0, "MiB");
        }
    }
}

// ---- channels

async fn chan_pingpong() {
    let rounds = size(0, 3_000_000);
    let ((there, mut there_end), (back, mut back_end)) = (mpsc::channel(1), mpsc::channel(1));
    tokio::spawn(async move {
        while let Some(v) = there_end.recv().await {
            back.send(v).await.expect("pingpong");
        }
    });
    let start = Instant::now();
    for i in 0..rounds {
        there.send(i).await.expect("pingpong");
        assert_eq!(back_end.recv().await, Some(i));
    }
    out_each("pingpong", start, rounds);
}

async fn chan_spsc() {
    let count = size(0, 20_000_000);
    let (end, mut values) = mpsc::channel(size(1, 128));
    let start = Instant::now();
    tokio::spawn(async move {
        for i in 0..count {
            end.send(i).await.expect("chan_spsc");
        }
    });
    let mut wanted = 0;
    while let Some(v) = values.recv().await {
        assert_eq!(v, wanted);
        wanted += 1;
    }
    assert_eq!(wanted, count);
    out_each("chan_spsc", start, count);
}

fn feed(share: usize, capacity: usize) -> mpsc::Receiver<usize> {
    let (end, values) = mpsc::channel(capacity.max(1));
    tokio::spawn(async move {
        for v in 1..=share {
            if end.send(v).await.is_err() {
                return;
            }
        }
    });
    values
}

async fn select() {
    let (share, capacity) = (size(0, 6_000_000) / 4, size(1, 0));
    let mut c: Vec<_> = (0..4).map(|_| feed(share, capacity)).collect();
    let (mut a, mut b, mut d, mut e) = (c.remove(0), c.remove(0), c.remove(0), c.remove(0));
    let start = Instant::now();
    let mut sum = 0;
    for _ in 0..4 * share {
        sum += tokio::select! {
            Some(v) = a.recv() => v,
            Some(v) = b.recv() => v,
            Some(v) = d.recv() => v,
            Some(v) = e.recv() => v,
        };
    }
    out_each(if capacity > 0 { "select_buf" } else { "select" }, start, 4 * share);
    assert_eq!(sum, 4 * (share * (share + 1) / 2));
}

async fn ring() {
    let (hops, members) = (size(0, 5_000_000), size(1, 503));
    let (done, mut finished) = mpsc::channel::<()>(1);
    let (first, mut next_in) = mpsc::channel(1);
    for i in 0..members {
        let (to_next, from_me) = mpsc::channel(1);
        let next = if i == members - 1 { first.clone() } else { to_next };
        let (mut inbox, done) = (std::mem::replace(&mut next_in, from_me), done.clone());
        tokio::spawn(async move {
            while let Some(left) = inbox.recv().await {
                let sent = if left == 0 { done.send(()).await.is_ok() } else { next.send(left - 1).await.is_ok() };
                if !sent {
                    return;
                }
            }
        });
    }
    let start = Instant::now();
    first.send(hops).await.expect("ring");
    finished.recv().await;
    out_each("ring", start, hops);
}

// ---- locks

async fn mutex() {
    let count = size(0, 100_000_000);
    let lock = Mutex::new(0);
    let start = Instant::now();
    for _ in 0..count {
        *lock.lock().await += 1;
    }
    out_each("mutex", start, count);
}

async fn mutex_contended() {
    let (tasks, rounds) = (size(0, 8), size(1, 2_000_000));
    let lock = Arc::new(Mutex::new(0));
    let start = Instant::now();
    let mut all = Vec::new();
    for _ in 0..tasks {
        let lock = lock.clone();
        all.push(tokio::spawn(async move {
            for _ in 0..rounds {
                *lock.lock().await += 1;
            }
        }));
    }
    join_all(all).await;
    out_each("mutex_cont", start, tasks * rounds);
    assert_eq!(*lock.lock().await, tasks * rounds);
}

// ---- waiting

async fn parked() {
    let count = size(0, 1_000_000);
    if size(1, 0) != 0 {
        return; // a task has no stack that stays deep
    }
    let (gate, open) = watch::channel(false);
    let (up, mut ups) = mpsc::unbounded_channel();
    let before = status("VmRSS");
    let start = Instant::now();
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let (mut open, up) = (open.clone(), up.clone());
        all.push(tokio::spawn(async move {
            up.send(()).expect("parked");
            open.changed().await.expect("parked");
        }));
    }
    for _ in 0..count {
        ups.recv().await;
    }
    out("parked.spawn", ms(start.elapsed()), "ms");
    tokio::time::sleep(Duration::from_millis(200)).await;
    out("parked.rss", (status("VmRSS") - before) / count as f64, "bytes");
    let start = Instant::now();
    gate.send(true).expect("parked");
    join_all(all).await;
    out("parked.wake", ms(start.elapsed()), "ms");
}

async fn timers() {
    const ROUNDS: usize = 10;
    let count = size(0, 10_000);
    let name = format!("timers{count}");
    let (gate, open) = watch::channel(false);
    let duration = |i: usize, r: usize| Duration::from_micros(1000 + hash((i * ROUNDS + r) as u64) % 99001);
    let ideal = (0..count).map(|i| (0..ROUNDS).map(|r| duration(i, r)).sum::<Duration>()).max().expect("a task");
    let mut all = Vec::new();
    for i in 0..count {
        let mut open = open.clone();
        all.push(tokio::spawn(async move {
            let mut late = Vec::with_capacity(ROUNDS);
            open.changed().await.expect("timers");
            for r in 0..ROUNDS {
                let start = Instant::now();
                tokio::time::sleep(duration(i, r)).await;
                late.push(start.elapsed().saturating_sub(duration(i, r)));
            }
            late
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (cpu, start) = (cpu_seconds(), Instant::now());
    gate.send(true).expect("timers");
    let mut late = Vec::with_capacity(count * ROUNDS);
    for task in all {
        late.append(&mut task.await.expect("timers"));
    }
    out(&format!("{name}.wall"), ms(start.elapsed()), "ms");
    out(&format!("{name}.ideal"), ms(ideal), "ms");
    out(&format!("{name}.cpu"), cpu_seconds() - cpu, "s");
    out_points(&format!("{name}.late"), late);
}

async fn sleep() {
    let (us, count) = (size(0, 50), size(1, 2000));
    let mut slept = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        tokio::time::sleep(Duration::from_micros(us as u64)).await;
        slept.push(start.elapsed());
    }
    out_points(&format!("sleep_{us}us"), slept);
}

async fn run(bench: String) -> bool {
    match bench.as_str() {
        "chan_pingpong" => chan_pingpong().await,
        "chan_spsc" => chan_spsc().await,
        "fib" => fib().await,
        "mutex" => mutex().await,
        "mutex_contended" => mutex_contended().await,
        "parked" => parked().await,
        "ring" => ring().await,
        "select" => select().await,
        "skynet" => skynet().await,
        "sleep" => sleep().await,
        "spawn" => spawn().await,
        "timers" => timers().await,
        "yield" => yields().await,
        _ => return false,
    }
    true
}

fn main() {
    let bench = std::env::args().nth(1).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(procs()).enable_all().build().expect("runtime");
    // In a task of its own: what runs in block_on is on a thread beside the workers.
    if !runtime.block_on(async { tokio::spawn(run(bench)).await.expect("the benchmark") }) {
        eprintln!("usage: micro BENCH [SIZE...]; there is no such benchmark here");
        std::process::exit(2);
    }
}
