// The benchmarks in Tokio: tokio::spawn for each child but the last one of fib and matmul, joins by handles; a JoinSet where there
// are a million.

mod channels;
mod harness;
mod locks;
mod matrix;

use channels::measure_channels;
use harness::{resident_bytes, Harness, Measurement};
use locks::measure_locks;
use matrix::{right_checksum, Matrices, Product};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::{yield_now, JoinSet, LocalKey};

const FIB: i32 = 25;
const QUEENS: usize = 11;
const MATRIX: usize = 1024;
const MILLION: i64 = 1_000_000;
const ROUNDS: i64 = 200_000;

// A function that calls itself and may wait has to box its future.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn fib(n: i32) -> Boxed<i64> {
    Box::pin(async move {
        if n < 2 {
            return n as i64;
        }
        let a = tokio::spawn(fib(n - 1));
        let b = fib(n - 2).await;
        a.await.unwrap() + b
    })
}

fn fib_value(n: i32) -> i64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

fn skynet(number: i64, size: i64) -> Boxed<i64> {
    Box::pin(async move {
        if size == 1 {
            return number;
        }
        let children: [_; 10] =
            std::array::from_fn(|i| tokio::spawn(skynet(number + i as i64 * size / 10, size / 10)));
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

type Board = [i8; QUEENS];

fn is_safe(board: &Board, column: usize, row: i32) -> bool {
    (0..column).all(|before| {
        let (distance, other) = ((column - before) as i32, board[before] as i32);
        other != row && other != row - distance && other != row + distance
    })
}

fn nqueens(column: usize, mut board: Board) -> Boxed<i64> {
    Box::pin(async move {
        if column == QUEENS {
            return 1;
        }
        let mut children = Vec::with_capacity(QUEENS);
        for row in 0..QUEENS as i32 {
            if is_safe(&board, column, row) {
                board[column] = row as i8;
                children.push(tokio::spawn(nqueens(column + 1, board)));
            }
        }
        let mut solutions = 0;
        for child in children {
            solutions += child.await.unwrap();
        }
        solutions
    })
}

fn matmul(product: Product) -> Boxed<()> {
    Box::pin(async move {
        if product.is_leaf() {
            return product.multiply();
        }
        for inner in 0..2 {
            let [first, second, third, last] = product.quarters(inner);
            let children = [first, second, third].map(|part| tokio::spawn(matmul(part)));
            matmul(last).await;
            for child in children {
                child.await.unwrap();
            }
        }
    })
}

async fn fork_and_join(children: i64) -> i64 {
    let mut set = JoinSet::new();
    for _ in 0..children {
        set.spawn(async {});
    }
    let mut ended = 0;
    while let Some(child) = set.join_next().await {
        child.unwrap();
        ended += 1;
    }
    ended
}

async fn yields(rounds: i64) -> i64 {
    for _ in 0..rounds {
        yield_now().await;
    }
    rounds
}

async fn play(mine: Arc<Notify>, other: Arc<Notify>) -> i64 {
    for _ in 0..ROUNDS {
        mine.notified().await;
        other.notify_one();
    }
    ROUNDS
}

async fn ping_pong() -> i64 {
    let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    ping.notify_one();
    let a = tokio::spawn(play(ping.clone(), pong.clone()));
    let b = tokio::spawn(play(pong, ping));
    a.await.unwrap() + b.await.unwrap()
}

async fn submit_and_get(tasks: i64, times: i64) -> i64 {
    let mut sum = 0;
    for _ in 0..times {
        let futures: Vec<_> = (0..tasks).map(|i| tokio::spawn(async move { i })).collect();
        for future in futures {
            sum += future.await.unwrap();
        }
    }
    sum
}

async fn start_and_join(threads: i64, times: i64) -> i64 {
    let mut joined = 0;
    for _ in 0..times {
        let started: Vec<_> = (0..threads).map(|_| tokio::spawn(async {})).collect();
        for thread in started {
            thread.await.unwrap();
            joined += 1;
        }
    }
    joined
}

async fn blocking_calls(rounds: i64) -> i64 {
    for _ in 0..rounds {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }
    rounds
}

tokio::task_local! {
    static LOCAL: i64;
}

// Volatile, so that each look loads it. Where it lies the compiler may remember.
fn look_at(local: &'static LocalKey<i64>) -> i64 {
    local.with(|value| unsafe { std::ptr::read_volatile(value) })
}

async fn look_at_local(looks: i64) -> i64 {
    LOCAL.scope(1, async move { (0..looks).map(|_| look_at(&LOCAL)).sum() }).await
}

// Ten of them, each with a value in a scope of its own around the others.
macro_rules! look_at_locals {
    ($looks:expr, $($name:ident)*) => {{
        tokio::task_local! { $(static $name: i64;)* }
        let all = [$(&$name),*];
        let looks: Boxed<i64> = Box::pin(async move {
            (0..$looks / all.len() as i64).map(|_| all.iter().map(|local| look_at(local)).sum::<i64>()).sum()
        });
        $(let looks: Boxed<i64> = Box::pin($name.scope(1, looks));)*
        looks
    }};
}

fn look_at_ten_locals(looks: i64) -> Boxed<i64> {
    look_at_locals!(looks, A B C D E F G H I J)
}

async fn sleeps(count: i64) -> i64 {
    let sleeping: Vec<_> =
        (0..count).map(|_| tokio::spawn(tokio::time::sleep(std::time::Duration::from_millis(10)))).collect();
    for each in sleeping {
        each.await.unwrap();
    }
    count
}

struct Parked {
    event: Notify,
    arrived: AtomicI64,
    woken: AtomicI64,
}

async fn park(parked: Arc<Parked>) {
    parked.arrived.fetch_add(1, Ordering::Relaxed);
    parked.event.notified().await;
    parked.woken.fetch_add(1, Ordering::Relaxed);
}

fn measure_parked(h: &Harness, runtime: &Runtime) {
    let m = Measurement { name: "ParkedTask", size: MILLION, operations: MILLION, right_answer: MILLION };
    if !h.wants(m.name) {
        return;
    }
    let all = Arc::new(Parked { event: Notify::new(), arrived: AtomicI64::new(0), woken: AtomicI64::new(0) });
    let parked = all.clone();
    let root = runtime.spawn(async move {
        let bytes_before = resident_bytes();
        let begin = Instant::now();
        let mut set = JoinSet::new();
        for _ in 0..MILLION {
            set.spawn(park(parked.clone()));
        }
        while parked.arrived.load(Ordering::Relaxed) < MILLION {
            yield_now().await;
        }
        let nanos = begin.elapsed().as_nanos();
        let bytes = resident_bytes() - bytes_before;
        while parked.woken.load(Ordering::Relaxed) < MILLION {
            parked.event.notify_waiters(); // again for those that had arrived, but did not wait yet
            yield_now().await;
        }
        while set.join_next().await.is_some() {}
        (nanos, bytes)
    });
    let (nanos, bytes) = runtime.block_on(root).unwrap();
    m.check(all.woken.load(Ordering::Relaxed));
    h.print(&m, nanos, &format!(",\"bytes_per_thread\":{:.1}", bytes as f64 / MILLION as f64));
}

fn main() {
    let h = Harness::new();
    let runtime = Builder::new_multi_thread().worker_threads(h.threads).enable_time().build().unwrap();
    // As a task of its own, on a worker; block_on() itself runs on the calling thread.
    let run = |task: Boxed<i64>| runtime.block_on(runtime.spawn(task)).unwrap();
    // Alone, before anything else has used memory.
    measure_parked(&h, &runtime);
    h.measure(
        Measurement {
            name: "FibAll",
            size: FIB as i64,
            operations: 2 * fib_value(FIB + 1) - 1,
            right_answer: fib_value(FIB),
        },
        || run(fib(FIB)),
    );
    h.measure(
        Measurement { name: "Skynet", size: MILLION, operations: 1_111_111, right_answer: 499_999_500_000 },
        || run(skynet(0, MILLION)),
    );
    h.measure(
        Measurement { name: "Nqueens", size: QUEENS as i64, operations: 166_926, right_answer: 2_680 },
        || run(nqueens(0, Board::default())),
    );
    if h.wants("Matmul") {
        let matrices = RefCell::new(Matrices::new(MATRIX));
        let leaves = matrices.borrow().leaves();
        h.measure_between(
            Measurement { name: "Matmul", size: MATRIX as i64, operations: leaves, right_answer: right_checksum(MATRIX) },
            || matrices.borrow_mut().begin(),
            |product| runtime.block_on(runtime.spawn(matmul(product))).unwrap(),
            |_| matrices.borrow().checksum(),
        );
    }
    h.measure(
        Measurement { name: "ForkJoinMillion", size: MILLION, operations: MILLION, right_answer: MILLION },
        || run(Box::pin(fork_and_join(MILLION))),
    );
    h.measure(
        Measurement { name: "Yield", size: MILLION, operations: MILLION, right_answer: MILLION },
        || run(Box::pin(yields(MILLION))),
    );
    h.measure(
        Measurement { name: "PingPong", size: ROUNDS, operations: 2 * ROUNDS, right_answer: 2 * ROUNDS },
        || run(Box::pin(ping_pong())),
    );
    h.measure(
        // A permit is what a Notify has.
        Measurement { name: "ParkUnpark", size: ROUNDS, operations: 2 * ROUNDS, right_answer: 2 * ROUNDS },
        || run(Box::pin(ping_pong())),
    );
    measure_channels(&h, run);
    measure_locks(&h, run);
    h.measure(
        Measurement { name: "StartJoin10", size: 10, operations: MILLION, right_answer: MILLION },
        || run(Box::pin(start_and_join(10, 100_000))),
    );
    h.measure(
        Measurement { name: "StartJoin1000", size: 1_000, operations: MILLION, right_answer: MILLION },
        || run(Box::pin(start_and_join(1_000, 1_000))),
    );
    h.measure(
        Measurement { name: "SubmitGet", size: 1_000, operations: 200_000, right_answer: 200 * 499_500 },
        || run(Box::pin(submit_and_get(1_000, 200))),
    );
    h.measure(
        Measurement { name: "BlockingCall", size: 20_000, operations: 20_000, right_answer: 20_000 },
        || run(Box::pin(blocking_calls(20_000))),
    );
    h.measure(
        Measurement { name: "ThreadLocalGet1", size: MILLION, operations: MILLION, right_answer: MILLION },
        || run(Box::pin(look_at_local(MILLION))),
    );
    h.measure(
        Measurement { name: "ThreadLocalGet10", size: MILLION, operations: MILLION, right_answer: MILLION },
        || run(look_at_ten_locals(MILLION)),
    );
    h.measure(
        Measurement { name: "SleepVirtual", size: 10_000, operations: 10_000, right_answer: 10_000 },
        || run(Box::pin(sleeps(10_000))),
    );
}
