//! A fleet over time: many clusters live for a year, and nothing goes wrong.
//!
//! What hostile runs cannot show: what an installation costs as it grows, and when it renews. The parts are theirs: real
//! stores, real passes of one issuer and an agent a cluster, real signatures. The scheduler is another: everybody does at
//! once what there is to do, then time jumps to when the next pass is due.
//!
//! ```text
//!   agenda ──▶ who has something to do ──▶ told by watches ──▶ passes, each request at once ──▶ who watches what was written
//!     │ nobody                                                                                              │
//!     └──▶ time jumps to what is due next ◀──────────────────────────── wake-ups of passes ◀────────────────┘
//! ```

mod agenda;
mod audit;
mod desk;
mod growth;
mod life;
mod report;
mod spread;
mod tally;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};

/// Seconds of a day.
const DAY: i64 = 24 * 3600;

/// How a fleet is to live.
#[derive(Clone, Debug, Args)]
#[group(id = "FleetArguments")]
pub(crate) struct Arguments {
    /// Let a fleet of so many clusters live instead; several sizes (10,100,300,1000) are compared.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["seed", "only"], value_name = "CLUSTERS")]
    fleet: Vec<usize>,
    /// For so many days.
    #[arg(long, default_value_t = 365, requires = "fleet")]
    days: i64,
    /// With certificates that live so many days.
    #[arg(long, default_value_t = 90, requires = "fleet")]
    lifetime_days: u32,
    /// With so many certificates in each cluster.
    #[arg(long, default_value_t = 1, requires = "fleet")]
    certificates: usize,
    /// Installed evenly over so many days rather than at once.
    #[arg(long, default_value_t = 0, requires = "fleet")]
    installed_over_days: i64,
    /// Print what came of it as JSON.
    #[arg(long, requires = "fleet")]
    json: bool,
}

/// A fleet and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Clusters besides the management cluster.
    pub(crate) clusters: usize,
    /// Certificates in each.
    pub(crate) certificates: usize,
    /// Seconds that a certificate lives.
    pub(crate) lifetime: u32,
    /// Seconds that the fleet lives.
    pub(crate) duration: i64,
    /// Seconds over which it is installed.
    pub(crate) installed_over: i64,
}

impl Arguments {
    /// Whether a fleet is asked for.
    pub(crate) fn are_given(&self) -> bool {
        !self.fleet.is_empty()
    }

    fn plan(&self, clusters: usize) -> Plan {
        Plan {
            clusters,
            certificates: self.certificates,
            lifetime: self.lifetime_days.saturating_mul(24 * 3600),
            duration: self.days.saturating_mul(DAY),
            installed_over: self.installed_over_days.saturating_mul(DAY),
        }
    }
}

impl Plan {
    /// As a command line.
    fn arguments(&self) -> Vec<String> {
        let Self { clusters, certificates, lifetime, duration, installed_over } = self;
        [
            ("--fleet", clusters.to_string()),
            ("--certificates", certificates.to_string()),
            ("--lifetime-days", (lifetime / (24 * 3600)).to_string()),
            ("--days", (duration / DAY).to_string()),
            ("--installed-over-days", (installed_over / DAY).to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}

/// Lets the fleets live and prints what came of it.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let told = match &*arguments.fleet {
        [clusters] => growth::alone(&arguments.plan(*clusters), arguments.json),
        sizes => growth::compared(&sizes.iter().map(|size| arguments.plan(*size)).collect::<Vec<_>>()),
    };
    let (text, code) = match told {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(error) => (error, ExitCode::FAILURE),
    };
    // Whoever reads may stop reading.
    let _ = writeln!(std::io::stdout(), "{text}");
    code
}
