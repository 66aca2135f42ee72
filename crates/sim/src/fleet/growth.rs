//! What a fleet costs, by its size, and whether it grows no faster than the fleet.

use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::spread::Spread;
use super::tally::Work;
use super::{Plan, life, report};
use crate::machine;

/// How many times as much of what is counted a cluster may cost in a larger fleet.
const COUNTED: f64 = 1.02;
/// The same for memory, whose pages are of the allocator's making.
const MEMORY: f64 = 1.25;
/// The same for processor time: what does not fit into the processor's caches takes longer.
const TIME: f64 = 2.0;
/// The fewest clusters that others are compared with: what does not depend on their number weighs more in fewer.
const LEAST_COMPARED: usize = 100;

/// A fleet's life in numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) plan: Plan,
    pub(super) issuer: Work,
    pub(super) agents: Work,
    /// Certificates.
    pub(super) issued: usize,
    pub(super) spread: Spread,
    /// The most bytes that were in memory, less those that were before.
    pub(super) memory: u64,
    /// Seconds on the processor.
    pub(super) processor: f64,
    /// Seconds on the clock.
    pub(super) wall: f64,
}

/// What a fleet costs, of one kind.
pub(super) struct Cost {
    pub(super) name: &'static str,
    of: fn(&Row) -> f64,
    /// How many times as much a cluster of a larger fleet may cost.
    bound: f64,
}

/// All kinds.
pub(super) const COSTS: &[Cost] = &[
    Cost { name: "issuer's passes", of: |row| whole(row.issuer.passes), bound: COUNTED },
    Cost { name: "agents' passes", of: |row| whole(row.agents.passes), bound: COUNTED },
    Cost { name: "API reads", of: |row| whole(row.both().reads), bound: COUNTED },
    Cost { name: "API writes", of: |row| whole(row.both().writes), bound: COUNTED },
    Cost { name: "Events", of: |row| whole(row.both().events), bound: COUNTED },
    Cost { name: "watch events", of: |row| whole(row.both().told), bound: COUNTED },
    Cost { name: "certificates", of: |row| whole(row.issued as u64), bound: COUNTED },
    Cost { name: "memory, kB", of: |row| whole(row.memory) / 1e3, bound: MEMORY },
    Cost { name: "processor, ms", of: |row| row.processor * 1e3, bound: TIME },
];

impl Cost {
    /// Of the whole fleet.
    pub(super) fn total(&self, row: &Row) -> f64 {
        (self.of)(row)
    }

    /// Of one cluster.
    pub(super) fn each(&self, row: &Row) -> f64 {
        self.total(row) / whole(row.plan.clusters as u64)
    }
}

impl Row {
    /// Lets a fleet live. The memory is its own only if no other fleet lived in this process before.
    fn measured(plan: &Plan) -> Result<Self, String> {
        let (begun, resident, processor) = (Instant::now(), machine::resident(), machine::processor_time());
        let tally = life::live(plan)?;
        let spent = machine::processor_time().zip(processor).map(|(now, before)| now.saturating_sub(before));
        let grown = machine::most_resident().zip(resident).map(|(now, before)| now.saturating_sub(before));
        Ok(Self {
            plan: plan.clone(),
            issuer: tally.issuer,
            agents: tally.agents,
            issued: tally.deliveries.len(),
            spread: Spread::of(&tally.deliveries, plan.duration),
            memory: grown.unwrap_or(0),
            processor: spent.unwrap_or_default().as_secs_f64(),
            wall: begun.elapsed().as_secs_f64(),
        })
    }

    /// The same, in a process of its own.
    fn measured_apart(plan: &Plan) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| format!("finding this program: {error}"))?;
        let output = Command::new(&program)
            .args(plan.arguments())
            .arg("--json")
            .output()
            .map_err(|error| format!("starting {}: {error}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!("a fleet of {}: {}: {}", plan.clusters, output.status, text.trim()));
        }
        serde_json::from_str(&text).map_err(|error| format!("a fleet of {}: {error}: {text}", plan.clusters))
    }

    fn both(&self) -> Work {
        self.issuer.and(self.agents)
    }
}

/// One fleet: what it cost, and when it renewed.
pub(super) fn alone(plan: &Plan, json: bool) -> Result<String, String> {
    let row = Row::measured(plan)?;
    if json {
        return serde_json::to_string(&row).map_err(|error| error.to_string());
    }
    report::of(&[row], None)
}

/// Fleets of several sizes, each in a process of its own. An error if a cluster costs more the more there are.
pub(super) fn compared(plans: &[Plan]) -> Result<String, String> {
    let rows = plans.iter().map(Row::measured_apart).collect::<Result<Vec<Row>, String>>()?;
    report::of(&rows, Some(&faster_than_the_fleet(&rows)))
}

/// The costs that grow faster than the number of clusters.
fn faster_than_the_fleet(rows: &[Row]) -> Vec<String> {
    let size = |row: &&Row| row.plan.clusters;
    let comparable = || rows.iter().filter(|row| size(row) >= LEAST_COMPARED);
    let Some((small, large)) = comparable().min_by_key(size).zip(comparable().max_by_key(size)) else {
        return vec![format!("fleets of fewer than {LEAST_COMPARED} say nothing of growth")];
    };
    let grows = |cost: &&Cost| cost.each(large) > cost.each(small) * cost.bound;
    let tell = |cost: &Cost| {
        let times = cost.each(large) / cost.each(small);
        format!(
            "{} of a cluster: {times:.2} times as much in a fleet of {} as in one of {}, at most {} is linear",
            cost.name, large.plan.clusters, small.plan.clusters, cost.bound
        )
    };
    COSTS.iter().filter(grows).map(tell).collect()
}

#[allow(clippy::cast_precision_loss, reason = "what is counted is far below 2^53")]
fn whole(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::super::DAY;
    use super::super::spread::Window;
    use super::*;

    /// A fleet of which nothing but this grows faster than it.
    fn row(clusters: u64, grows: impl FnOnce(&mut Row)) -> Row {
        let work = Work { passes: 20, reads: 70, writes: 40, events: 6, told: 60 };
        let all = (1..clusters).fold(work, |sum, _| sum.and(work));
        let size = usize::try_from(clusters).unwrap();
        let mut row = Row {
            plan: Plan { clusters: size, certificates: 1, lifetime: 1, duration: 1, installed_over: 0 },
            issuer: all,
            agents: all,
            issued: size,
            spread: Spread::of(&[], 1),
            memory: clusters * 1000,
            processor: whole(clusters) / 100.0,
            wall: 1.0,
        };
        grows(&mut row);
        row
    }

    #[test]
    fn what_grows_with_the_fleet_is_linear_and_what_grows_faster_is_told() {
        let small = || row(100, |_| ());
        let told = |large: Row| faster_than_the_fleet(&[row(10, |row| row.issued = 0), small(), large]);
        assert_eq!(told(row(1000, |_| ())), Vec::<String>::new());
        assert!(told(row(1000, |row| row.issuer.passes += 500))[0].contains("issuer's passes"));
        assert!(told(row(1000, |row| row.agents.reads *= 2))[0].contains("API reads"));
        assert!(told(row(1000, |row| row.memory *= 2))[0].contains("memory"));
        assert!(told(row(1000, |row| row.processor *= 3.0))[0].contains("processor"));
    }

    #[test]
    fn a_promise_that_was_not_kept_is_a_failure() {
        let told = |rows: &[Row]| report::of(rows, Some(&faster_than_the_fleet(rows)));
        let small = row(100, |_| ());
        assert!(told(&[small.clone(), row(1000, |_| ())]).is_ok());
        let missed = |row| told(&[small.clone(), row]).unwrap_err();
        assert!(missed(row(1000, |row| row.issued *= 2)).contains("MISSED: linear"));
        assert!(missed(row(120, |row| row.processor = 70.0)).contains("MISSED: < 60 s"));
        let uneven = Window { from: 0, to: 2 * DAY, renewals: 200, most_in_a_day: 180 };
        assert!(missed(row(120, |row| row.spread.waves.push(uneven))).contains("MISSED: ≤ 1.5"));
    }

    #[test]
    fn fleets_that_are_too_small_are_no_proof() {
        assert_eq!(faster_than_the_fleet(&[row(10, |_| ()), row(90, |_| ())]).len(), 1);
    }
}
