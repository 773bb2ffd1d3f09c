// The peers of ./benchmarks/compare_io in Tokio: a task for each connection.
//
//     servers echo | sleeps COUNT
//
// One processor is best served by the current-thread runtime, which knows no other threads.

use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

const BUFFER_BYTES: usize = 1024;

async fn echo(mut stream: TcpStream) {
    let mut buffer = [0u8; BUFFER_BYTES];
    loop {
        let got = match stream.read(&mut buffer).await {
            Ok(got) if got > 0 => got,
            _ => return,
        };
        if stream.write_all(&buffer[..got]).await.is_err() {
            return;
        }
    }
}

async fn serve_echo() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(echo(stream));
    }
}

async fn sleep_all(count: u64) {
    let tasks: Vec<_> = (0..count)
        .map(|i| tokio::spawn(tokio::time::sleep(Duration::from_millis(1 + i * 7919 % 1000))))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(|word| word.as_str()).collect();
    match words[..] {
        ["echo"] => Builder::new_current_thread().enable_io().build().unwrap().block_on(serve_echo()),
        ["sleeps", count] => {
            let runtime = Builder::new_multi_thread().enable_time().build().unwrap();
            runtime.block_on(sleep_all(count.parse().unwrap()))
        }
        _ => {
            eprintln!("usage: servers echo | sleeps COUNT");
            std::process::exit(2);
        }
    }
}
