//! What the numbers were made on: without it they mean nothing.

use std::process::Command;

/// Cores and what else they had to do, memory, and compiler in one line.
pub(super) fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let load = load(&read("/proc/loadavg")).map_or(String::new(), |load| format!(" (load {load} before)"));
    let memory = gib(&read("/proc/meminfo")).map_or(String::new(), |gib| format!(", {gib} GiB"));
    format!("{cores} cores{load}{memory}, {}, {}, release profile", std::env::consts::OS, compiler())
}

/// The number of processes that were running or wanted to, over a minute.
fn load(loadavg: &str) -> Option<&str> {
    loadavg.split_whitespace().next()
}

/// All memory, from Linux' `/proc/meminfo`.
fn gib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()?.div_ceil(1 << 20))
}

fn compiler() -> String {
    let output =
        Command::new("rustc").arg("--version").output().ok().filter(|output| output.status.success());
    output.map_or_else(
        || "unknown compiler".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_and_memory_are_read_as_linux_writes_them() {
        assert_eq!(load("0.25 0.50 0.75 1/234 5678\n"), Some("0.25"));
        assert_eq!(gib("MemFree: 1 kB\nMemTotal:       24600000 kB\n"), Some(24));
        assert_eq!((load(""), gib("")), (None, None));
    }
}
