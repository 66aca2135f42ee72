//! What it costs this machine: memory and processor time, from `/proc` (proc(5)). Nothing where there is no `/proc`.

use std::time::Duration;

/// Bytes of this process that are in memory now.
pub(crate) fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// The most bytes of this process that ever were.
pub(crate) fn most_resident() -> Option<u64> {
    status("VmHWM:")
}

fn status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What the thread that asks has had of a processor so far.
pub(crate) fn processor_time() -> Option<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(statistics.split_whitespace().next()?.parse().ok()?))
}
