//! What one decision costs, once its objects were examined; and what examining costs. Prints table rows:
//! `| what | measured | goal |`.
#![allow(
    clippy::assigning_clones,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "a bench reads the clock, and uses a part of what the tests use"
)]

#[path = "../tests/it/world/mod.rs"]
mod world;

use std::hint::black_box;
use std::time::{Duration, Instant};

use certmesh_api::names::annotations;
use certmesh_workflow::{agent, examine, issuer};
use world::{World, copy_name, seconds};

const SAMPLES: usize = 200;
const PER_SAMPLE: u32 = 50;

fn main() {
    for (name, world) in agent_worlds() {
        let copy = world.copy();
        let time = world.observed_by_agent(copy, |observed| {
            measure(|| drop(black_box(agent::decide(world.now, black_box(observed)))))
        });
        row(&format!("agent decides: {name}"), time, "< 20 µs");
    }
    for (name, world) in issuer_worlds() {
        let time = world.observed_by_issuer(|observed| {
            measure(|| drop(black_box(issuer::decide(world.now, black_box(observed)))))
        });
        row(&format!("issuer decides: {name}"), time.unwrap(), "< 20 µs");
    }
    examining();
}

fn agent_worlds() -> Vec<(&'static str, World)> {
    let mut first = World::new();
    first.settle_issuer();
    let asked = World::with_open_request();
    let mut answered = asked.clone();
    answered.settle_issuer();
    let mut deleted = World::finished();
    deleted.delete_intent();
    deleted.settle_issuer();
    vec![
        ("nothing to do", World::finished()),
        ("make key and request", first),
        ("wait for the answer", asked),
        ("put the answer in place", answered),
        ("clean up after a deletion", deleted),
    ]
}

fn issuer_worlds() -> Vec<(&'static str, World)> {
    let mut refused = World::with_open_request();
    refused.settings.namespace = "elsewhere".to_owned();
    let mut reported = World::with_open_request();
    reported.settle_issuer();
    reported.settle_agent();
    let mut renewed = World::finished();
    renewed.now += seconds(3600);
    renewed.annotate_intent(annotations::RENEW, "1");
    vec![
        ("nothing to do", World::finished()),
        ("write the copy", World::new()),
        ("update the copy", renewed),
        ("sign", World::with_open_request()),
        ("refuse", refused),
        ("mirror a report", reported),
    ]
}

fn examining() {
    let mut world = World::with_open_request();
    world.settle_issuer();
    let request = world.request().unwrap().clone();
    let key = world.remote.secrets.get(&copy_name()).unwrap().clone();
    let ca = world.management.secrets.iter().next().unwrap().clone();
    world.settle();
    let (issued, copy) = (world.issued().unwrap(), world.copy());
    let note = "once for each version of the object";
    row("examine an issued Secret, P-256", measure(|| drop(black_box(examine::issued(issued)))), note);
    row("examine a pending key, P-256", measure(|| drop(black_box(examine::pending_key(&key)))), note);
    row("examine a request, P-256", measure(|| drop(black_box(examine::request(&request)))), note);
    row("examine an answer, P-256", measure(|| drop(black_box(examine::answer(&request)))), note);
    row("examine a signing CA, P-256", measure(|| drop(black_box(examine::signing_ca(&ca)))), note);
    row("examine a copy", measure(|| drop(black_box(examine::copy(copy)))), note);
}

/// The median of many samples.
fn measure(mut once: impl FnMut()) -> Duration {
    let mut samples: Vec<Duration> = (0..SAMPLES)
        .map(|_| {
            let began = Instant::now();
            (0..PER_SAMPLE).for_each(|_| once());
            began.elapsed() / PER_SAMPLE
        })
        .collect();
    samples.sort_unstable();
    samples[SAMPLES / 2]
}

fn row(what: &str, time: Duration, goal: &str) {
    println!("| {what} | {:.1} µs | {goal} |", time.as_secs_f64() * 1e6);
}
