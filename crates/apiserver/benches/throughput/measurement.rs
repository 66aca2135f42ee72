//! What was measured, and how it is printed.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::target::Target;

/// What was promised.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Nothing.
    None,
    /// At least this many times the real server's rate.
    AtLeast(f64),
}

/// One server under one workload, over all rounds.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    latencies: Vec<Duration>,
    count: usize,
    elapsed: Duration,
    server: Duration,
    client: Duration,
}

/// Clocks at the beginning of a round.
pub(crate) struct Round<'a> {
    target: &'a Target,
    started: Instant,
    server: Duration,
    client: Duration,
}

impl<'a> Round<'a> {
    pub(crate) fn start(target: &'a Target) -> Self {
        let (server, client) = (processor_time(&target.pids), own_processor_time());
        Self { target, started: Instant::now(), server, client }
    }

    /// Adds what happened since to `measured`; `per_latency` things were done in the time of each latency.
    pub(crate) fn finish(self, measured: &mut Measured, latencies: Vec<Duration>, per_latency: usize) {
        measured.elapsed += self.started.elapsed();
        measured.server += processor_time(&self.target.pids).saturating_sub(self.server);
        measured.client += own_processor_time().saturating_sub(self.client);
        measured.count += latencies.len() * per_latency;
        measured.latencies.extend(latencies);
    }
}

impl Measured {
    fn rate(&self) -> f64 {
        as_f64(self.count) / self.elapsed.as_secs_f64()
    }

    fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() - 1) * percent / 100]
    }

    /// Microseconds of processor time for one thing.
    fn each(&self, total: Duration) -> f64 {
        total.as_secs_f64() * 1e6 / as_f64(self.count)
    }

    fn client_share(&self) -> f64 {
        self.client.as_secs_f64() / (self.client + self.server).as_secs_f64()
    }

    /// How much of one processor the client's thread had.
    fn client_busy(&self) -> f64 {
        self.client.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// Both servers under one workload.
pub(crate) struct Comparison {
    pub(crate) what: String,
    pub(crate) goal: Goal,
    /// The embedded server, the real one.
    pub(crate) measured: [Measured; 2],
}

impl Comparison {
    fn ratio(&self) -> f64 {
        self.measured[0].rate() / self.measured[1].rate()
    }

    /// A row of the table that `cargo xtask bench` gathers: what, measured, goal.
    pub(crate) fn print_row(&self) {
        let [ours, real] = &self.measured;
        let goal = match self.goal {
            Goal::None => String::new(),
            Goal::AtLeast(ratio) if self.ratio() >= ratio => format!("≥ {ratio:.0}x"),
            Goal::AtLeast(ratio) => format!("MISSED: ≥ {ratio:.0}x"),
        };
        println!(
            "| API server: {} | {:.0}/s, {:.1}x kube-apiserver's {:.0}/s | {goal} |",
            self.what,
            ours.rate(),
            self.ratio(),
            real.rate()
        );
    }
}

/// All numbers, one line for each server and workload.
pub(crate) fn print_details(comparisons: &[Comparison]) {
    println!(
        "Embedded server, and below it kube-apiserver with etcd; both over HTTP/2 and TLS, with the same client."
    );
    println!(
        "\"processor\" is the time that one takes on a processor: of the server's processes, and of the client."
    );
    println!();
    println!(
        "{:<30} {:>9} {:>10} {:>10} {:>10} {:>10} {:>7} {:>6}",
        "", "rate", "p50", "p99", "processor", "client", "share", "busy"
    );
    for comparison in comparisons {
        let [ours, real] = &comparison.measured;
        print_line(&comparison.what, ours);
        print_line("  kube-apiserver, etcd", real);
        let times = |ours: f64, real: f64| format!("{:.1}x", real / ours);
        let (p50, p99) = (|m: &Measured| m.percentile(50), |m: &Measured| m.percentile(99));
        println!(
            "{:<30} {:>9} {:>10} {:>10} {:>10}",
            "  ratio",
            format!("{:.1}x", comparison.ratio()),
            times(p50(ours).as_secs_f64(), p50(real).as_secs_f64()),
            times(p99(ours).as_secs_f64(), p99(real).as_secs_f64()),
            times(ours.each(ours.server), real.each(real.server)),
        );
    }
    println!();
    println!(
        "share: the client's part of all processor time. busy: how much of a processor its one thread had; near"
    );
    println!("100 % it is the client that was measured, and the ratio is at least that.");
}

fn print_line(what: &str, measured: &Measured) {
    let micros = |duration: Duration| format!("{:.0} µs", duration.as_secs_f64() * 1e6);
    println!(
        "{what:<30} {:>9} {:>10} {:>10} {:>10} {:>10} {:>7} {:>6}",
        format!("{:.0}/s", measured.rate()),
        micros(measured.percentile(50)),
        micros(measured.percentile(99)),
        format!("{:.1} µs", measured.each(measured.server)),
        format!("{:.1} µs", measured.each(measured.client)),
        format!("{:.0} %", 100.0 * measured.client_share()),
        format!("{:.0} %", 100.0 * measured.client_busy()),
    );
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// Processor time of this thread, to the nanosecond: the first number of Linux' `schedstat`.
pub(crate) fn own_processor_time() -> Duration {
    schedstat("/proc/thread-self/schedstat")
}

/// Processor time of all threads of all these processes.
fn processor_time(pids: &[u32]) -> Duration {
    let threads = pids.iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).unwrap());
    threads.map(|thread| schedstat(&format!("{}/schedstat", thread.unwrap().path().display()))).sum()
}

/// Zero for a thread that has ended.
fn schedstat(path: &str) -> Duration {
    let text = fs::read_to_string(path).unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().map_or(0, |nanos| nanos.parse().unwrap()))
}

/// Memory that this process holds, from the kernel.
pub(crate) fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
