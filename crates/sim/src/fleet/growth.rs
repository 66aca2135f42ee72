//! What a fleet costs, by its size: a table, and whether it grows no faster than the fleet.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::spread::{Spread, Window};
use super::tally::Work;
use super::{DAY, Plan, life, machine};

/// How much more of what is counted a cluster may cost in a larger fleet.
const COUNTED: f64 = 1.02;
/// The same for memory, whose pages are of the allocator's making.
const MEMORY: f64 = 1.25;
/// The same for processor time: what does not fit into the processor's caches takes longer.
const TIME: f64 = 2.0;
/// The fewest clusters that others are compared with: what does not depend on their number weighs more in fewer.
const LEAST_COMPARED: usize = 100;

/// A fleet's life in numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    plan: Plan,
    issuer: Work,
    agents: Work,
    issued: usize,
    spread: Spread,
    /// The most bytes that were in memory, less those that were before.
    memory: u64,
    /// Seconds on the processor.
    processor: f64,
    /// Seconds on the clock.
    wall: f64,
}

/// What a cluster costs, of one kind.
struct Cost {
    name: &'static str,
    of: fn(&Row) -> f64,
    decimals: usize,
    bound: f64,
}

const COSTS: &[Cost] = &[
    Cost { name: "issuer's passes", of: |row| whole(row.issuer.passes), decimals: 1, bound: COUNTED },
    Cost { name: "agents' passes", of: |row| whole(row.agents.passes), decimals: 1, bound: COUNTED },
    Cost { name: "reads", of: |row| whole(row.both().reads), decimals: 1, bound: COUNTED },
    Cost { name: "writes", of: |row| whole(row.both().writes), decimals: 1, bound: COUNTED },
    Cost { name: "Events", of: |row| whole(row.both().events), decimals: 1, bound: COUNTED },
    Cost { name: "watch events", of: |row| whole(row.both().told), decimals: 1, bound: COUNTED },
    Cost { name: "certificates", of: |row| whole(row.issued as u64), decimals: 2, bound: COUNTED },
    Cost { name: "memory, MB", of: |row| whole(row.memory) / 1e6, decimals: 2, bound: MEMORY },
    Cost { name: "processor, ms", of: |row| row.processor * 1e3, decimals: 1, bound: TIME },
];

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
            return Err(format!("{} clusters: {text}", plan.clusters));
        }
        serde_json::from_str(&text).map_err(|error| format!("{} clusters: {error}: {text}", plan.clusters))
    }

    fn both(&self) -> Work {
        self.issuer.and(self.agents)
    }

    fn per_cluster(&self, cost: &Cost) -> f64 {
        (cost.of)(self) / whole(self.plan.clusters as u64)
    }
}

/// One fleet: what it cost, and when it renewed.
pub(super) fn alone(plan: &Plan, json: bool) -> Result<String, String> {
    let row = Row::measured(plan)?;
    if json {
        return serde_json::to_string(&row).map_err(|error| error.to_string());
    }
    Ok(format!("{}\n{}", table(std::slice::from_ref(&row)), spread(&row)))
}

/// Fleets of several sizes, each in a process of its own. An error if a cluster costs more the more there are.
pub(super) fn compared(plans: &[Plan]) -> Result<String, String> {
    let rows = plans.iter().map(Row::measured_apart).collect::<Result<Vec<Row>, String>>()?;
    let mut text = table(&rows);
    if let Some(largest) = rows.iter().max_by_key(|row| row.plan.clusters) {
        let _ = writeln!(text, "{}", spread(largest));
    }
    let faster = faster_than_the_fleet(&rows);
    if faster.is_empty() {
        let _ = write!(text, "\nlinear: a cluster costs no more the more there are");
        Ok(text)
    } else {
        Err(format!("{text}\n{}", faster.join("\n")))
    }
}

/// The costs that grow faster than the number of clusters.
fn faster_than_the_fleet(rows: &[Row]) -> Vec<String> {
    let comparable = || rows.iter().filter(|row| row.plan.clusters >= LEAST_COMPARED);
    let ends = comparable()
        .min_by_key(|row| row.plan.clusters)
        .zip(comparable().max_by_key(|row| row.plan.clusters));
    let Some((small, large)) = ends else { return Vec::new() };
    let grows = |cost: &&Cost| large.per_cluster(cost) > small.per_cluster(cost) * cost.bound;
    let tell = |cost: &Cost| {
        let Cost { name, decimals, bound, .. } = cost;
        let (few, many) = (small.per_cluster(cost), large.per_cluster(cost));
        let (small, large) = (small.plan.clusters, large.plan.clusters);
        format!(
            "not linear: {name}: {few:.decimals$} a cluster of {small}, {many:.decimals$} a cluster of {large}; at most {bound} times as much is linear"
        )
    };
    COSTS.iter().filter(grows).map(tell).collect()
}

/// Totals, and below what each cluster costs.
fn table(rows: &[Row]) -> String {
    let mut text = String::from("| clusters |");
    for cost in COSTS {
        let _ = write!(text, " {} |", cost.name);
    }
    text.push_str(" wall, s |\n|---|");
    text.push_str(&"---|".repeat(COSTS.len() + 1));
    for row in rows {
        let _ = write!(text, "\n| {} |", row.plan.clusters);
        for cost in COSTS {
            let _ = write!(text, " {:.0} |", (cost.of)(row));
        }
        let _ = write!(text, " {:.1} |\n| each |", row.wall);
        for cost in COSTS {
            let _ = write!(text, " {:.*} |", cost.decimals, row.per_cluster(cost));
        }
        text.push_str(" |");
    }
    text.push('\n');
    text
}

/// When renewals came.
fn spread(row: &Row) -> String {
    let mut text = format!(
        "renewals in a fleet of {}\n| which | days | renewals | mean a day | most in 24 h | most / mean |\n|---|---|---|---|---|---|",
        row.plan.clusters
    );
    let mut line = |name: String, window: &Window| {
        let (from, to) = (day(window.from), day(window.to));
        let (mean, ratio) = (window.mean(), window.most_over_mean());
        let Window { renewals, most_in_a_day, .. } = window;
        let _ = write!(
            text,
            "\n| {name} | {from:.1} to {to:.1} | {renewals} | {mean:.1} | {most_in_a_day} | {ratio:.2} |"
        );
    };
    for (number, wave) in (1..).zip(&row.spread.waves) {
        line(format!("wave {number}"), wave);
    }
    line("all of the time".to_owned(), &row.spread.year);
    text
}

#[allow(clippy::cast_precision_loss, reason = "a table has few digits")]
fn day(seconds: i64) -> f64 {
    seconds as f64 / DAY as f64
}

#[allow(clippy::cast_precision_loss, reason = "a table has few digits")]
fn whole(number: u64) -> f64 {
    number as f64
}
