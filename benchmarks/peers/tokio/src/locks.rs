// As ../../../lock_benchmark.cc: 1, 100 and 10,000 contenders, which find the lock held until all have begun. Tokio's locks
// are fair.

use crate::harness::{Harness, Measurement};
use crate::Boxed;
use std::future::Future;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use tokio::sync::{Mutex, RwLock, Semaphore};
use tokio::task::yield_now;

const VISITS_OF_ALL: i64 = 400_000;
const VISITS_FOR_A_WRITE: i64 = 10;
const PERMITS: i64 = 4;

// Spawns contender(0), contender(1), ..., drops `held` when all of them have begun, and adds up what they give.
async fn contend<Contender>(contenders: i64, held: impl Send, contender: impl Fn(i64) -> Contender) -> i64
where
    Contender: Future<Output = i64> + Send + 'static,
{
    let begun = Arc::new(AtomicI64::new(0));
    let all: Vec<_> = (0..contenders)
        .map(|number| {
            let (begun, visits) = (begun.clone(), contender(number));
            tokio::spawn(async move {
                begun.fetch_add(1, Ordering::Relaxed);
                visits.await
            })
        })
        .collect();
    while begun.load(Ordering::Relaxed) < contenders {
        yield_now().await;
    }
    drop(held);
    let mut sum = 0;
    for each in all {
        sum += each.await.unwrap();
    }
    sum
}

async fn use_mutex(contenders: i64) -> i64 {
    let mutex = Arc::new(Mutex::new(0));
    contend(contenders, mutex.lock().await, |_| {
        let mutex = mutex.clone();
        async move {
            for _ in 0..VISITS_OF_ALL / contenders {
                *mutex.lock().await += 1;
            }
            0
        }
    })
    .await;
    let sum = *mutex.lock().await;
    sum
}

#[derive(Default)]
struct Twins {
    one: i64,
    other: i64,
}

// How often it read, and found what it should.
async fn read_and_write(lock: Arc<RwLock<Twins>>, first: i64, visits: i64) -> i64 {
    let mut same = 0;
    for i in first..first + visits {
        if i % VISITS_FOR_A_WRITE == 0 {
            let mut twins = lock.write().await;
            twins.one += 1;
            twins.other += 1;
        } else {
            let twins = lock.read().await;
            same += i64::from(twins.one == twins.other);
        }
    }
    same
}

async fn use_shared_mutex(contenders: i64) -> i64 {
    let lock = Arc::new(RwLock::new(Twins::default()));
    let good = contend(contenders, lock.write().await, |number| {
        read_and_write(lock.clone(), number, VISITS_OF_ALL / contenders)
    })
    .await;
    let writes = lock.read().await.one;
    good + writes
}

struct Room {
    semaphore: Semaphore,
    inside: AtomicI64,
}

// How often there was room inside.
async fn enter_and_leave(room: Arc<Room>, visits: i64) -> i64 {
    let mut good = 0;
    for _ in 0..visits {
        let _permit = room.semaphore.acquire().await.unwrap();
        good += i64::from(room.inside.fetch_add(1, Ordering::Relaxed) < PERMITS);
        room.inside.fetch_sub(1, Ordering::Relaxed);
    }
    good
}

async fn use_semaphore(contenders: i64) -> i64 {
    let room = Arc::new(Room { semaphore: Semaphore::new(PERMITS as usize), inside: AtomicI64::new(0) });
    contend(contenders, room.semaphore.acquire_many(PERMITS as u32).await.unwrap(), |_| {
        enter_and_leave(room.clone(), VISITS_OF_ALL / contenders)
    })
    .await
}

pub fn measure_locks(h: &Harness, run: impl Fn(Boxed<i64>) -> i64) {
    let visits = |name, contenders| Measurement {
        name,
        size: contenders,
        operations: VISITS_OF_ALL,
        right_answer: VISITS_OF_ALL,
    };
    for (name, contenders) in [("Mutex1", 1), ("Mutex100", 100), ("Mutex10000", 10_000)] {
        h.measure(visits(name, contenders), || run(Box::pin(use_mutex(contenders))));
    }
    for (name, contenders) in [("SharedMutex1", 1), ("SharedMutex100", 100), ("SharedMutex10000", 10_000)] {
        h.measure(visits(name, contenders), || run(Box::pin(use_shared_mutex(contenders))));
    }
    for (name, contenders) in [("Semaphore1", 1), ("Semaphore100", 100), ("Semaphore10000", 10_000)] {
        h.measure(visits(name, contenders), || run(Box::pin(use_semaphore(contenders))));
    }
}
