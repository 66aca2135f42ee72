//! What fleets cost and when they renewed, in words: a table by size, a table of renewals, and what was promised.

use std::fmt::Write as _;

use super::growth::{COSTS, Row};
use super::spread::Window;
use super::{DAY, Plan};

/// Processor seconds in which a fleet of a thousand clusters is to live a year.
const LONGEST: f64 = 60.0;
/// How many times the mean of its wave the fullest day may have.
const STEEPEST: f64 = 1.5;
/// Renewals a day below which chance alone makes days differ more than that.
const FEW: f64 = 50.0;

/// All of it. `growth` is what came of comparing them.
pub(super) fn of(rows: &[Row], growth: &str) -> String {
    let Some(largest) = rows.iter().max_by_key(|row| row.plan.clusters) else { return String::new() };
    format!("{}\n{}\n{}", costs(rows), renewals(largest), promises(largest, growth))
}

/// By size: in all, and for each cluster.
fn costs(rows: &[Row]) -> String {
    let mut text = format!("{:<16}", "clusters");
    for row in rows {
        let _ = write!(text, "{:>11}{:>9}", row.plan.clusters, "each");
    }
    for cost in COSTS {
        let _ = write!(text, "\n{:<16}", cost.name);
        for row in rows {
            let _ = write!(text, "{:>11.0}{:>9.1}", cost.total(row), cost.each(row));
        }
    }
    let _ = write!(text, "\n{:<16}", "wall, s");
    for row in rows {
        let _ = write!(text, "{:>11.1}{:>9}", row.wall, "");
    }
    text.push('\n');
    text
}

/// When renewals came: each wave, and all of the time.
fn renewals(row: &Row) -> String {
    let mut text = format!(
        "{:<16}{:>17}{:>10}{:>12}{:>14}{:>12}\n",
        "renewals", "days", "number", "mean a day", "most in 24 h", "most/mean"
    );
    let mut line = |name: &str, window: &Window| {
        let days = format!("{:.1} to {:.1}", day(window.from), day(window.to));
        let Window { renewals, most_in_a_day, .. } = window;
        let (mean, ratio) = (window.mean(), window.most_over_mean());
        let _ =
            writeln!(text, "{name:<16}{days:>17}{renewals:>10}{mean:>12.1}{most_in_a_day:>14}{ratio:>12.2}");
    };
    for (number, wave) in (1..).zip(&row.spread.waves) {
        line(&format!("wave {number}"), wave);
    }
    line("all of the time", &row.spread.year);
    text
}

/// A row for each promise, as benches print them.
fn promises(row: &Row, growth: &str) -> String {
    let Plan { clusters, duration, .. } = row.plan;
    let goal = |is_met: bool, goal: String| if is_met { goal } else { format!("MISSED: {goal}") };
    let time = goal(row.processor <= LONGEST, format!("< {LONGEST} s"));
    let judged = row.spread.waves.iter().filter(|wave| wave.mean() >= FEW);
    let steepest = judged.map(Window::most_over_mean).reduce(f64::max);
    let told = steepest.map_or_else(|| "too few to tell".to_owned(), |ratio| format!("{ratio:.2}"));
    let even = goal(steepest.is_none_or(|ratio| ratio <= STEEPEST), format!("≤ {STEEPEST}"));
    format!(
        "| {clusters} clusters live {:.0} days, {} certificates | {:.1} s of processor time | {time} |\n\
         | growth with the fleet: passes, requests, watch events, memory, time | {growth} | linear |\n\
         | renewals: most in 24 h / mean a day, in the steepest wave | {told} | {even} |",
        day(duration),
        row.issued,
        row.processor,
    )
}

#[allow(clippy::cast_precision_loss, reason = "seconds of some years are exact in an f64")]
fn day(seconds: i64) -> f64 {
    seconds as f64 / DAY as f64
}
