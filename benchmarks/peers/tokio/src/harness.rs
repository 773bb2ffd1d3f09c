// As ../../harness.h: warm up, repeat, check, and print one line of JSON for each repetition.

use std::time::Instant;

pub struct Measurement {
    pub name: &'static str,
    pub size: i64,
    pub operations: i64,
    pub right_answer: i64,
}

pub struct Harness {
    pub threads: usize,
    repetitions: usize,
    names: Vec<String>,
}

impl Harness {
    pub fn new() -> Harness {
        let arguments: Vec<String> = std::env::args().collect();
        let number = |i: usize| arguments.get(i).and_then(|text| text.parse().ok()).unwrap_or(0);
        let (threads, repetitions) = (number(1), number(2));
        if threads == 0 || repetitions == 0 {
            fail(&format!("usage: {} THREADS REPETITIONS [NAME...]", arguments[0]));
        }
        Harness { threads, repetitions, names: arguments[3..].to_vec() }
    }

    pub fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }

    pub fn measure(&self, m: Measurement, work: impl Fn() -> i64) {
        self.measure_between(m, || (), |_| work(), |answer| answer)
    }

    // The same with something before and after that does not count; each gets what the one before it gave.
    pub fn measure_between<P, W>(
        &self,
        m: Measurement,
        prepare: impl Fn() -> P,
        work: impl Fn(P) -> W,
        answer: impl Fn(W) -> i64,
    ) {
        if !self.wants(m.name) {
            return;
        }
        for i in 0..=self.repetitions {
            let prepared = prepare();
            let begin = Instant::now();
            let worked = work(prepared);
            let nanos = begin.elapsed().as_nanos();
            m.check(answer(worked));
            if i > 0 {
                self.print(&m, nanos, "");
            }
        }
    }

    pub fn print(&self, m: &Measurement, nanos: u128, more: &str) {
        println!(
            "{{\"peer\":\"tokio\",\"name\":\"{}\",\"threads\":{},\"size\":{},\"operations\":{},\"ns_per_op\":{:.3},\"answer\":{}{}}}",
            m.name, self.threads, m.size, m.operations, nanos as f64 / m.operations as f64, m.right_answer, more
        );
    }
}

impl Measurement {
    pub fn check(&self, answer: i64) {
        if answer != self.right_answer {
            fail(&format!("tokio: {} of {} gives {}, and should give {}", self.name, self.size, answer, self.right_answer));
        }
    }
}

pub fn fail(sentence: &str) -> ! {
    eprintln!("{}", sentence);
    std::process::exit(1)
}

// Resident memory of this process.
pub fn resident_bytes() -> i64 {
    const PAGE_BYTES: i64 = 4096; // x86-64's
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    match statm.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()) {
        Some(pages) => pages * PAGE_BYTES,
        None => fail("/proc/self/statm cannot be read"),
    }
}
