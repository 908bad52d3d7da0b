//! echo PORT [THREADS]: TCP echo, a task per connection, 4096 bytes of buffer each.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn raise_limit() {
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
}

async fn serve(mut stream: TcpStream) {
    let mut buffer = [0u8; 4096];
    let _ = stream.set_nodelay(true);
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

async fn listen(port: u16) {
    let listener = TcpListener::bind(("0.0.0.0", port)).await.expect("listen");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream))),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await, // no descriptors left, for one
        }
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().expect("a number")).collect();
    if numbers.is_empty() {
        eprintln!("usage: echo PORT [THREADS]");
        std::process::exit(2);
    }
    raise_limit();
    let threads = numbers.get(1).copied().unwrap_or(1);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all();
    // One worker beside a main thread that waits is what a runtime of one thread would be, and what servers run.
    builder.build().expect("runtime").block_on(async move {
        tokio::spawn(listen(numbers[0] as u16)).await.expect("server");
    });
}
