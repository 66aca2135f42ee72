//! Logs: to stderr, as text or as one JSON object a line.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For log collectors.
    Json,
}

/// What to log, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Logging (to stderr)")]
pub(crate) struct LogOptions {
    /// Form of a log line: text, or json for log collectors
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true,
        global = true
    )]
    log_format: LogFormat,
    /// What to log: off, error, warn, info, debug, trace, or a filter such as `certmesh_controllers=debug`. Wins over
    /// RUST_LOG
    #[arg(long, value_name = "FILTER", global = true)]
    log_level: Option<String>,
}

/// Starts logging; `default` applies when neither `--log-level` nor RUST_LOG says anything.
pub(crate) fn start(options: &LogOptions, default: &str) -> Result<(), Failure> {
    let filter = filter(options.log_level.as_deref(), std::env::var("RUST_LOG").ok().as_deref(), default)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match options.log_format {
        LogFormat::Text => builder.with_ansi(may_colour()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::new("starting the log").because(error))
}

fn filter(option: Option<&str>, variable: Option<&str>, default: &str) -> Result<EnvFilter, Failure> {
    let variable = variable.filter(|value| !value.trim().is_empty());
    let (source, directives) = match (option, variable) {
        (Some(directives), _) => ("--log-level", directives),
        (None, Some(directives)) => ("RUST_LOG", directives),
        (None, None) => ("the default", default),
    };
    EnvFilter::builder().parse(directives).map_err(|error| {
        Failure::new(format!("reading the log filter {directives:?} from {source}"))
            .because(error)
            .advise("use off, error, warn, info, debug or trace, or a list such as `info,kube=debug`")
            .is_usage()
    })
}

fn may_colour() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !forbidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn the_option_wins_over_the_variable_and_both_over_the_default() {
        let chosen = |option, variable| filter(option, variable, "warn").unwrap().to_string();
        assert_eq!(chosen(Some("debug"), Some("info")), "debug");
        assert_eq!(chosen(None, Some("info")), "info");
        assert_eq!(chosen(None, Some(" ")), "warn");
        assert_eq!(chosen(None, None), "warn");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_wrong_usage() {
        let failure = filter(Some("a=b=c"), None, "warn").unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().contains("--log-level"), "{failure}");
    }
}
