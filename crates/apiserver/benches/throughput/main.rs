//! How fast the embedded API server is, beside kube-apiserver with etcd: `cargo xtask bench apiserver`.
//!
//! ```text
//!   this process: one client thread ──HTTP/2, TLS──▶ a process of its own: the embedded server
//!      │         │                  └─HTTP/2, TLS──▶ kube-apiserver ──▶ etcd          (no controllers)
//!      │         └ requests made beforehand, the same for both, in rounds that alternate
//!      └ the store by itself, without HTTP: writes a second, bytes per object
//! ```
//!
//! Each of a server's numbers comes with the processor time it took, which says the same on a busy machine, and the client's
//! share of it, which says whether it was the client that was measured. Rows whose goal is missed say MISSED.

#![allow(clippy::unwrap_used, reason = "a benchmark that does not work should stop")]

mod client;
mod embedded;
mod fan_out;
mod in_process;
mod measurement;
mod target;
mod workload;

use measurement::{Comparison, Goal};
use target::Target;

/// Writes a second over those of the real server.
const WRITES: Goal = Goal::AtLeast(5.0);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let is = |name: &str| arguments.iter().any(|argument| argument == name);
    if is(embedded::SERVE) {
        embedded::serve();
    } else if is(in_process::MEASURE_MEMORY) {
        in_process::print_memory();
    } else if is("--bench") {
        // `cargo test --all-targets` starts benchmarks too, without this argument.
        let wanted: Vec<&str> =
            arguments[1..].iter().map(String::as_str).filter(|a| !a.starts_with('-')).collect();
        if wanted.is_empty() {
            in_process::report();
        }
        compare(&wanted);
    }
}

/// Both servers, asked the same in turns: all of it, or the workloads whose names hold one of these words.
fn compare(wanted: &[&str]) {
    let is_wanted = |what: &str| wanted.is_empty() || wanted.iter().any(|word| what.contains(word));
    let directory = tempfile::tempdir().unwrap();
    let rig = target::start_rig(directory.path());
    let child = embedded::Child::start();
    // One thread: what it spends is what the client costs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let comparisons = runtime.block_on(async {
        let servers = [Target::embedded(&child).await, Target::real(&rig).await];
        for server in &servers {
            workload::prepare(server).await;
        }
        let mut comparisons = Vec::new();
        for workload in workload::all().into_iter().filter(|workload| is_wanted(workload.what)) {
            let goal = if workload.writes { WRITES } else { Goal::None };
            let measured = workload.measure(&servers).await;
            comparisons.push(Comparison { what: workload.what.to_owned(), goal, measured });
        }
        let what = format!("watch events to {} watchers", fan_out::WATCHERS);
        if is_wanted(&what) {
            let measured = fan_out::measure(&servers).await;
            comparisons.push(Comparison { what, goal: Goal::None, measured });
        }
        comparisons
    });
    comparisons.iter().for_each(Comparison::print_row);
    measurement::print_details(&comparisons);
}
