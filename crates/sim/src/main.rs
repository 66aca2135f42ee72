//! The deterministic simulator: issuer and agents as they are, in a world that is against them.
//!
//! ```text
//!   seed ──▶ faults, interleavings, people, intruders
//!              │
//!   world: real API servers' stores ◀── requests, one at a time ── real passes of issuer and agents (controllers::stepwise)
//!              │                                                      └─ real decisions (workflow), real certificates (x509)
//!              └──▶ witness: every write ──▶ invariants ──▶ violation ──▶ seed, trace, shrunk list of faults
//! ```

mod actors;
mod batch;
mod clock;
mod cluster;
mod faults;
mod fleet;
mod invariants;
mod keys;
mod machine;
mod plan;
mod port;
mod process;
#[cfg(test)]
mod regressions;
mod run;
mod shrink;
mod staff;
mod trace;
mod watch;
mod witness;
mod words;
mod world;

/// A run is half allocations, of what is soon thrown away.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::Parser;
use plan::Plan;
use run::Outcome;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;

/// Failed runs that are shrunk; shrinking takes as long as some hundred runs.
const SHRUNK: usize = 3;

/// Runs issuer and agents in a simulated world that is against them.
#[derive(Parser)]
#[command(name = "cargo xtask sim")]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
struct Arguments {
    /// Replay this seed and print what happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Replay it with nothing but the faults of these steps.
    #[arg(long, value_delimiter = ',', requires = "seed")]
    only: Option<Vec<u64>>,
    /// Run so many seeds, on all cores.
    #[arg(long, default_value_t = 1000, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run the seeds that failed once too.
    #[arg(long)]
    corpus: bool,
    /// Let nothing go wrong.
    #[arg(long)]
    calm: bool,
    /// Stop at the first failure, and print nothing but its seed and what was violated.
    #[arg(long)]
    hunt: bool,
    /// Where agents have their keys from; made ones are of all kinds, and slow.
    #[arg(long, value_enum, default_value_t = keys::KeySource::Pool)]
    keys: keys::KeySource,
    /// Print a row for the benchmarks too.
    #[arg(long, hide = true)]
    bench: bool,
    /// Remote clusters.
    #[arg(long, default_value_t = 2)]
    clusters: usize,
    /// Steps with faults.
    #[arg(long, default_value_t = plan::STEPS)]
    steps: u64,
    #[command(flatten)]
    fleet: fleet::Arguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.fleet.are_given() {
        return fleet::run(&arguments.fleet);
    }
    let is_well = match arguments.seed {
        Some(seed) => replay(&arguments, seed),
        None if arguments.hunt => hunt(&arguments),
        None => run_many(&arguments),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Arguments {
    fn plan(&self, seed: u64) -> Plan {
        let only = self.only.as_ref().map(|only| only.iter().copied().collect::<BTreeSet<u64>>());
        Plan {
            clusters: self.clusters,
            steps: self.steps,
            faulty: !self.calm,
            only,
            keys: self.keys,
            ..Plan::of(seed)
        }
    }

    fn seeds(&self) -> Vec<u64> {
        let corpus = include_str!("corpus.txt")
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok());
        let old: Vec<u64> = corpus.filter(|_| self.corpus).collect();
        old.into_iter().chain(self.from..self.from.saturating_add(self.seeds)).collect()
    }
}

/// Prints a run; a failed one with the faults that it needs to fail.
fn replay(arguments: &Arguments, seed: u64) -> bool {
    let plan = arguments.plan(seed);
    let outcome = run::run(&Plan { traced: true, ..plan.clone() });
    // Whoever reads may stop reading.
    let mut out = std::io::stdout().lock();
    for line in &outcome.trace {
        if writeln!(out, "{line}").is_err() {
            return outcome.violation.is_none();
        }
    }
    let _ = writeln!(
        out,
        "seed {seed}: {} steps, {} certificates put in place",
        outcome.steps, outcome.deliveries
    );
    drop(out);
    if outcome.violation.is_some() {
        explain(&outcome, &plan, true);
    }
    outcome.violation.is_none()
}

fn run_many(arguments: &Arguments) -> bool {
    let seeds = arguments.seeds();
    let total = seeds.len();
    let every = (total as u64 / 10).max(1000);
    let tell = |runs: u64| {
        if runs.is_multiple_of(every) && !arguments.bench {
            eprintln!("{runs} of {total} seeds");
        }
    };
    let batch = batch::batch(&seeds, &arguments.plan(0), false, tell);
    for (at, outcome) in batch.failed.iter().enumerate() {
        explain(outcome, &arguments.plan(outcome.seed), at < SHRUNK);
    }
    println!(
        "{} seeds from {}: {} failed; {} steps, {} faults, {} API requests, {} certificates put in place; {:.1} s, {:.0} seeds a second",
        batch.runs,
        arguments.from,
        batch.failed.len(),
        batch.steps,
        batch.faults,
        batch.requests,
        batch.deliveries,
        batch.time.as_secs_f64(),
        batch.rate(),
    );
    if arguments.bench {
        println!("{}", speed(&batch));
    }
    batch.failed.is_empty()
}

/// Runs a second that are promised, of 200 steps with faults in two clusters, on two cores.
const PROMISED: f64 = 200.0;

/// A row for the benchmarks: what was measured, and whether it is what was promised.
fn speed(batch: &batch::Batch) -> String {
    let on_two_cores = 2.0 * batch.rate_of_a_processor();
    let verdict = if on_two_cores >= PROMISED { "" } else { "MISSED: " };
    format!(
        "| hostile runs of two clusters, {} steps each | {on_two_cores:.0} a second on two cores by their processor time, {:.0} by the clock | {verdict}≥ {PROMISED} a second |",
        batch.steps / batch.runs.max(1),
        batch.rate(),
    )
}

/// How many seeds it takes to find a failure.
fn hunt(arguments: &Arguments) -> bool {
    let batch = batch::batch(&arguments.seeds(), &arguments.plan(0), true, |_| ());
    match batch.failed.first() {
        Some(outcome) => {
            let invariant = outcome.violation.as_ref().map_or("", |violation| violation.invariant);
            println!("{} {invariant}", outcome.seed);
            false
        }
        None => true,
    }
}

/// Why a run failed, how to see it again, and what had to go wrong for it.
fn explain(outcome: &Outcome, plan: &Plan, shrunk: bool) {
    let Some(violation) = &outcome.violation else { return };
    println!("seed {}: {}: {}", outcome.seed, violation.invariant, violation.message);
    println!("  replay: cargo xtask sim --seed {}", outcome.seed);
    if !shrunk {
        return;
    }
    let small = shrink::shrink(outcome, plan);
    let steps: Vec<String> = small.faults.iter().map(|(step, _)| step.to_string()).collect();
    println!("  of {} faults these are enough (--only {}):", outcome.faults.len(), steps.join(","));
    for (step, what) in &small.faults {
        println!("    {step:>5} {what}");
    }
}
