//! `certmesh inspect`: what a Secret or a PEM file holds, whether it belongs together, and what is wrong with it.
//!
//! ```text
//!   CLUSTER/NS/NAME ─┐
//!   Secret as YAML  ─┼─▶ Source ─▶ Contents ─┬─▶ Report ─▶ text, JSON, YAML
//!   PEM file        ─┘  (bytes)   (parsed)   └─▶ lints ─▶ findings
//! ```
//!
//! Private keys are read to see whom they belong to. What is printed of one is its kind and the fingerprint of its public
//! half.

mod contents;
mod lint;
mod report;
mod source;
mod target;
mod text;

use jiff::Timestamp;

use crate::{
    exit::Exit,
    failure::Failure,
    kube_access::KubeOptions,
    output::{self, OutputFormat},
    shutdown,
};
use contents::Contents;
use lint::Severity;
use report::Report;
use source::Source;
use target::Target;

/// Show what a Secret or a PEM file holds, whether it belongs together, and what is wrong with it
///
/// Reads certificates, signing requests and keys; of a private key only its kind and whom it belongs to is shown.
/// Exits with 0 when the target could be read, whatever is found; see --fail-on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// A file (PEM, or a Secret as YAML or JSON), `-` for stdin, or a live Secret as [CLUSTER/]NAMESPACE/NAME
    ///
    /// CLUSTER is a context of the kubeconfig. What exists as a file is read as one.
    #[arg(value_name = "TARGET")]
    target: String,
    /// Exit with 3 for warnings and 4 for critical findings, of this severity or worse
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,
    /// Form of the result
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    kube: KubeOptions,
}

const EXAMPLES: &str = "Examples:\n  \
    certmesh inspect cluster-1/istio-system/cacerts\n  \
    certmesh inspect root-cert.pem --fail-on warning\n  \
    kubectl get secret cacerts -n istio-system -o yaml | certmesh inspect - -o json";

/// From which severity on the exit code tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Warnings (exit code 3) and critical findings (4).
    Warning,
    /// Critical findings (4).
    Critical,
}

pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    let source = match Target::parse(&options.target)? {
        Target::Stdin => Source::from_stdin()?,
        Target::File(path) => Source::from_file(&path)?,
        Target::Live(secret) => shutdown::run(|_| Source::from_cluster(&secret, &options.kube))?,
    };
    let now = Timestamp::now();
    let contents = Contents::read(&source);
    let findings = lint::run(&contents, now);
    let report = Report::new(&source, &contents, findings, now);
    let worst = report.severity();
    output::print_data(options.output, &report, text::render)?;
    Ok(exit(worst, options.fail_on))
}

fn exit(worst: Option<Severity>, fail_on: Option<FailOn>) -> Exit {
    match (worst, fail_on) {
        (Some(Severity::Critical), Some(_)) => Exit::Critical,
        (Some(Severity::Warning), Some(FailOn::Warning)) => Exit::Warning,
        _ => Exit::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_only_what_was_asked_for() {
        use Severity::{Critical, Info, Warning};
        for (worst, fail_on, expected) in [
            (None, Some(FailOn::Warning), Exit::Done),
            (Some(Info), Some(FailOn::Warning), Exit::Done),
            (Some(Warning), Some(FailOn::Warning), Exit::Warning),
            (Some(Warning), Some(FailOn::Critical), Exit::Done),
            (Some(Critical), Some(FailOn::Warning), Exit::Critical),
            (Some(Critical), Some(FailOn::Critical), Exit::Critical),
            (Some(Critical), None, Exit::Done),
        ] {
            assert_eq!(exit(worst, fail_on), expected, "{worst:?} {fail_on:?}");
        }
    }
}
