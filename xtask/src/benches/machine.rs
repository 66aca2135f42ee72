//! What the numbers were made on: without it they mean nothing.

use std::process::Command;

/// Processor, cores and compiler in one line.
pub(super) fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok();
    let processor = processor.as_deref().and_then(model).unwrap_or("unknown processor");
    format!("{processor}, {cores} cores, {}, {}", std::env::consts::OS, compiler())
}

/// The model's name in Linux' `/proc/cpuinfo`.
fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
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
    fn the_model_is_read_from_cpuinfo() {
        let cpuinfo = "processor\t: 0\nvendor_id\t: X\nmodel name\t: Some CPU @ 2.00GHz\n";
        assert_eq!(model(cpuinfo), Some("Some CPU @ 2.00GHz"));
        assert_eq!(model("processor: 0\n"), None);
    }
}
