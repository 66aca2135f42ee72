//! Random conversations with both servers at once. What they answer differently is made small and printed as a case, to
//! be added to the recorded ones.
//!
//! ```text
//!   seed, number ─▶ Sequence of requests ─▶ both servers, each in a namespace of its own ─▶ compared: answers, and
//!                          ▲                                                               what watchers saw
//!                          └── made smaller as long as there is a difference ◀───────────────────┘
//! ```
//!
//! A run's seed is another each time and printed; with it the run can be repeated, and with a sequence's number that
//! sequence alone.

mod both;
mod odd;
mod requests;
mod resources;
mod scenes;
mod sequence;
mod shrink;
mod tally;

use both::{Both, Difference};
use sequence::Sequence;
use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tally::Tally;
use tokio::runtime::Handle;

/// Sequences that are spoken at a time: they wait more than they work.
const THREADS: usize = 8;
/// How many requests are sent in all, unless the environment says otherwise.
const DEFAULT_REQUESTS: u64 = 21_000;
/// Different differences after which the run ends: more would hardly be read.
const ENOUGH: usize = 8;
/// Number of requests.
const COUNT: &str = "CONFORMANCE_REQUESTS";
/// The seed of a run that is to be repeated.
const SEED: &str = "CONFORMANCE_SEED";
/// The number of the only sequence that is to be spoken.
const SEQUENCE: &str = "CONFORMANCE_SEQUENCE";

/// Holds random conversations until enough was said, or enough differences are found.
pub fn main() -> ExitCode {
    match hold_conversations() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hold_conversations() -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let seed = number(SEED)?.unwrap_or_else(fresh_seed);
    println!("random requests, {SEED}={seed}");
    let started = Instant::now();
    let runtime = tokio::runtime::Runtime::new()?;
    let run = Run {
        both: runtime.block_on(Both::start())?,
        seed,
        wanted: number(COUNT)?.unwrap_or(DEFAULT_REQUESTS),
        next: AtomicU64::default(),
        found: Mutex::default(),
    };
    if let Some(only) = number(SEQUENCE)? {
        run.one(runtime.handle(), only);
    } else {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| run.many(runtime.handle()));
            }
        });
    }
    println!("{} s", started.elapsed().as_secs());
    Ok(run.report())
}

/// What the environment says, if anything; an error names what is no number.
fn number(name: &str) -> Result<Option<u64>, String> {
    match std::env::var(name) {
        Ok(text) => text.parse().map(Some).map_err(|_| format!("{name}={text:?} is no number")),
        Err(_) => Ok(None),
    }
}

/// The standard library's hash keys are random.
fn fresh_seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// A run: what is to be said, and what came of it.
struct Run {
    both: Both,
    seed: u64,
    wanted: u64,
    /// The number of the next sequence.
    next: AtomicU64,
    found: Mutex<Found>,
}

/// What came of it.
#[derive(Default)]
struct Found {
    tally: Tally,
    /// By what differs: the number of the first sequence with it, and a case.
    differences: BTreeMap<String, (u64, Difference)>,
    /// Sequences that could not be spoken to their end.
    broken: Vec<String>,
}

impl Run {
    fn many(&self, handle: &Handle) {
        while !self.is_over() {
            self.one(handle, self.next.fetch_add(1, Ordering::SeqCst));
        }
    }

    fn is_over(&self) -> bool {
        let found = self.found();
        found.tally.requests() >= self.wanted || found.differences.len() >= ENOUGH || !found.broken.is_empty()
    }

    fn one(&self, handle: &Handle, number: u64) {
        let sequence = Sequence::generate(self.seed, number);
        let compared = handle.block_on(self.both.compare(&sequence));
        match compared {
            Err(problem) => self.found().broken.push(format!("sequence {number}: {problem}")),
            Ok(compared) => {
                self.found().tally.add(&sequence, &compared.answers);
                if let Some(difference) = compared.difference {
                    self.difference(handle, number, sequence, difference);
                }
            }
        }
    }

    /// Makes small what differs, unless it was seen before.
    fn difference(&self, handle: &Handle, number: u64, sequence: Sequence, difference: Difference) {
        if self.found().differences.contains_key(&difference.what) {
            return;
        }
        let small = handle.block_on(shrink::shrink(&self.both, sequence, difference));
        self.found().differences.entry(small.what.clone()).or_insert((number, small));
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints all that was found.
    fn report(&self) -> ExitCode {
        let found = self.found();
        for (number, difference) in found.differences.values() {
            println!("\n# sequence {number}: {SEED}={} {SEQUENCE}={number}\n{difference}", self.seed);
        }
        for broken in &found.broken {
            println!("\n# {broken}");
        }
        print!("\n{}", found.tally);
        let missing = if found.tally.requests() < self.wanted { Vec::new() } else { found.tally.missing() };
        for missing in &missing {
            println!("too few: {missing}");
        }
        println!(
            "{} random requests, {SEED}={}, {} differences",
            found.tally.requests(),
            self.seed,
            found.differences.len()
        );
        let ok = found.differences.is_empty() && found.broken.is_empty() && missing.is_empty();
        // The form in which test runners close, for whoever counts.
        let (word, passed) = if ok { ("ok", 1) } else { ("FAILED", 0) };
        println!("\ntest result: {word}. {passed} passed; {} failed; 0 ignored", 1 - passed);
        if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
