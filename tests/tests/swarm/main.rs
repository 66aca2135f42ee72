//! The real issuers and agents in seeded storms, by the hundred: whatever goes wrong, nothing forbidden happens, and when it
//! is over every certificate arrives, and then nobody writes any more.
//!
//! ```text
//!   CERTMESH_SWARM=17 cargo test --workspace --test swarm          replays one seed, with its trace
//!   CERTMESH_SWARM=1000..2000 cargo test --workspace --test swarm  runs others than the usual ones
//! ```
#![allow(clippy::unwrap_used, reason = "a run ends where it is surprised")]

mod crew;
mod people;
mod run;
mod verdict;

use run::{Outcome, Slot};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What is run unless the environment says otherwise.
const SEEDS: Range<u64> = 0..200;
const VARIABLE: &str = "CERTMESH_SWARM";

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var(VARIABLE) else { return SEEDS };
    let number =
        |text: &str| text.trim().parse::<u64>().unwrap_or_else(|_| panic!("{VARIABLE}={text}: no number"));
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&text)..number(&text) + 1,
    }
}

/// Runs a seed in a runtime of its own, on virtual time.
fn run(seed: u64, slot: &Slot) -> Result<Outcome, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run::run(seed, slot))));
    runtime.shutdown_background();
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })
}

fn report(seed: u64, error: &str, slot: &Slot) {
    println!("seed {seed}: {error}\nwhat happened, by the second:");
    for line in slot.trace() {
        println!("  {line}");
    }
    println!("replay it with: {VARIABLE}={seed} cargo test --workspace --test swarm -- --nocapture");
}

#[test]
fn storms_pass_and_every_certificate_is_in_place() {
    let (seeds, begin) = (seeds(), Instant::now());
    let is_replay = seeds.end - seeds.start == 1;
    let next = AtomicU64::new(seeds.start);
    let (failed, outcomes) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let slot = Slot::default();
                    match run(seed, &slot) {
                        Ok(outcome) => outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome),
                        Err(error) => {
                            report(seed, &error, &slot);
                            failed.lock().unwrap_or_else(PoisonError::into_inner).push(seed);
                        }
                    }
                    if is_replay && slot.trace().len() < 5000 {
                        slot.trace().iter().for_each(|line| println!("  {line}"));
                    }
                }
            });
        }
    });
    let (failed, outcomes) = (failed.into_inner().unwrap(), outcomes.into_inner().unwrap());
    println!("{} seeds in {:.1?}: {}", outcomes.len(), begin.elapsed(), Outcome::summary(&outcomes));
    assert!(failed.is_empty(), "seeds {failed:?} failed, see above");
    if !is_replay && outcomes.len() >= 20 {
        Outcome::check_that_something_happened(&outcomes);
    }
}

/// The same seed plans the same storm.
#[test]
fn a_seed_is_a_plan() {
    let plan = |seed| {
        let dice = certmesh_tests::Dice::of(seed, "people");
        (0..50).map(|_| dice.below(1000)).collect::<Vec<_>>()
    };
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
    let other = certmesh_tests::Dice::of(7, "agent-1 start 0");
    assert_ne!(plan(7), (0..50).map(|_| other.below(1000)).collect::<Vec<_>>(), "each has its own sequence");
}
