// As ../../../channel_benchmark.cc: values through channels, and selects. A channel of Tokio's has one place at least, so
// that there is no rendezvous, and no select that waits in two of them.

use crate::harness::{Harness, Measurement};
use crate::Boxed;
use tokio::sync::mpsc;

const VALUES: i64 = 400_000;
const ROUNDS: i64 = 200_000;

async fn one_to_one(capacity: usize) -> i64 {
    let (sender, mut receiver) = mpsc::channel(capacity);
    let consumer = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(value) = receiver.recv().await {
            sum += value;
        }
        sum
    });
    let producer = tokio::spawn(async move {
        for i in 1..=VALUES {
            sender.send(i).await.unwrap();
        }
    });
    producer.await.unwrap();
    consumer.await.unwrap()
}

async fn many_to_many(capacity: usize, pairs: i64) -> i64 {
    let (sender, receiver) = async_channel::bounded(capacity);
    let mut producers = Vec::new();
    let mut consumers = Vec::new();
    for _ in 0..pairs {
        let (sender, receiver) = (sender.clone(), receiver.clone());
        consumers.push(tokio::spawn(async move {
            let mut sum = 0;
            while let Ok(value) = receiver.recv().await {
                sum += value;
            }
            sum
        }));
        producers.push(tokio::spawn(async move {
            for i in 1..=VALUES / pairs {
                sender.send(i).await.unwrap();
            }
        }));
    }
    for producer in producers {
        producer.await.unwrap();
    }
    sender.close();
    let mut sum = 0;
    for consumer in consumers {
        sum += consumer.await.unwrap();
    }
    sum
}

fn sum_of_values(pairs: i64) -> i64 {
    let each = VALUES / pairs;
    pairs * each * (each + 1) / 2
}

async fn select_of_two() -> i64 {
    let (to_a, mut a) = mpsc::channel(1);
    let (to_b, mut b) = mpsc::channel(1);
    let both = [to_a, to_b];
    let mut sum = 0;
    for i in 0..ROUNDS as usize {
        both[i % 2].try_send(1).unwrap();
        sum += tokio::select! {
            value = a.recv() => value,
            value = b.recv() => value,
        }
        .unwrap();
    }
    sum
}

async fn select_of_eight() -> i64 {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::channel(1)).unzip();
    let receivers: [mpsc::Receiver<i64>; 8] = receivers.try_into().unwrap();
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = receivers;
    let mut sum = 0;
    for i in 0..ROUNDS as usize {
        senders[i % 8].try_send(1).unwrap();
        sum += tokio::select! {
            value = a.recv() => value,
            value = b.recv() => value,
            value = c.recv() => value,
            value = d.recv() => value,
            value = e.recv() => value,
            value = f.recv() => value,
            value = g.recv() => value,
            value = h.recv() => value,
        }
        .unwrap();
    }
    sum
}

pub fn measure_channels(h: &Harness, run: impl Fn(Boxed<i64>) -> i64) {
    let values = |name, pairs| Measurement {
        name,
        size: VALUES,
        operations: VALUES,
        right_answer: sum_of_values(pairs),
    };
    h.measure(values("ChannelOneToOne", 1), || run(Box::pin(one_to_one(64))));
    h.measure(values("ChannelFourToFour", 4), || run(Box::pin(many_to_many(64, 4))));
    let selects = |name| Measurement { name, size: ROUNDS, operations: ROUNDS, right_answer: ROUNDS };
    h.measure(selects("SelectOfTwo"), || run(Box::pin(select_of_two())));
    h.measure(selects("SelectOfEight"), || run(Box::pin(select_of_eight())));
}
