//! What fleets cost and when they renewed, in words: a table by size, a table of renewals, and what was promised.

use std::fmt::Write as _;

use super::growth::{COSTS, Row};
use super::spread::Window;
use super::{DAY, Plan};

/// Processor seconds in which a fleet of a thousand clusters is to live a year.
const LONGEST: f64 = 60.0;
/// How many times the mean of a wave the fullest day may have.
const STEEPEST: f64 = 1.5;
/// Renewals a day below which chance alone makes days differ more than that.
const FEW: f64 = 50.0;

/// Something that was promised, and what came of it.
struct Promise {
    what: String,
    measured: String,
    goal: String,
    is_kept: bool,
}

/// All of it; an error if a promise was not kept. `faster` are the costs that grow faster than the fleet, if that was
/// looked at.
pub(super) fn of(rows: &[Row], faster: Option<&[String]>) -> Result<String, String> {
    let Some(largest) = rows.iter().max_by_key(|row| row.plan.clusters) else {
        return Err("no fleet lived".to_owned());
    };
    let growth = faster.map(linear);
    let promises: Vec<Promise> = [timely(largest), even(largest)].into_iter().chain(growth).collect();
    let mut text = format!("{}\n{}", costs(rows), renewals(largest));
    for Promise { what, measured, goal, is_kept } in &promises {
        let missed = if *is_kept { "" } else { "MISSED: " };
        let _ = write!(text, "\n| {what} | {measured} | {missed}{goal} |");
    }
    if promises.iter().all(|promise| promise.is_kept) { Ok(text) } else { Err(text) }
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
    text.truncate(text.trim_end().len());
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

fn timely(row: &Row) -> Promise {
    let Plan { clusters, duration, .. } = row.plan;
    Promise {
        what: format!("{clusters} clusters live {:.0} days, {} certificates", day(duration), row.issued),
        measured: format!("{:.1} s of processor time, {:.1} s in all", row.processor, row.wall),
        goal: format!("< {LONGEST} s"),
        is_kept: row.processor < LONGEST,
    }
}

/// Waves with so few renewals that chance decides are not judged.
fn even(row: &Row) -> Promise {
    let judged = row.spread.waves.iter().filter(|wave| wave.mean() >= FEW);
    let worst = judged.map(Window::most_over_mean).reduce(f64::max);
    Promise {
        what: "renewals in the least even wave, most in 24 h / mean a day".to_owned(),
        measured: worst.map_or_else(|| "too few to tell".to_owned(), |ratio| format!("{ratio:.2}")),
        goal: format!("≤ {STEEPEST}"),
        is_kept: worst.is_none_or(|ratio| ratio <= STEEPEST),
    }
}

fn linear(faster: &[String]) -> Promise {
    Promise {
        what: "what a cluster costs in a larger fleet: passes, requests, watch events, memory, time"
            .to_owned(),
        measured: if faster.is_empty() { "no more".to_owned() } else { faster.join("; ") },
        goal: "linear".to_owned(),
        is_kept: faster.is_empty(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds of some years are exact in an f64")]
fn day(seconds: i64) -> f64 {
    seconds as f64 / DAY as f64
}
