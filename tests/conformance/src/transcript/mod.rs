//! What people see who type `kubectl`: recorded with a real server, held against the embedded one.
//!
//! ```text
//!   transcripts/*.txt    $ command          one at a time, in a namespace called like the transcript
//!                        output             as it was recorded, without what differs from run to run
//!   transcripts/files/   what commands apply; they run in this folder
//! ```
//!
//! The embedded server is given no differences here: what kubectl prints, and how it exits, is the same to the letter.

mod file;
mod normalize;
mod shell;

use crate::suite::{Mode, RECORD, diff, package};
use crate::target::{Access, Target};
use file::Transcript;
use libtest_mimic::{Arguments, Failed, Trial};
use shell::Shell;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Transcripts wait more than they work.
const THREADS: usize = 6;
/// Applied before all of them.
const DEFINITION: &str = "widgets.yaml";

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Runs the transcripts that the command line selects against a server of this kind.
pub fn main(mode: Mode) -> ExitCode {
    let run = || {
        let runtime = tokio::runtime::Runtime::new()?;
        let target = match mode {
            Mode::Embedded => runtime.block_on(Target::embedded())?,
            Mode::Real => Target::real()?,
        };
        on(target.access(), |_| true)
    };
    exit_code(run())
}

/// Runs those of the transcripts whose names are `chosen` against a server that is there already.
pub fn main_on(access: &Access, chosen: &[&str]) -> ExitCode {
    exit_code(on(access, |name| chosen.contains(&name)))
}

fn exit_code(result: Outcome<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn on(access: &Access, is_chosen: impl Fn(&str) -> bool) -> Outcome<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let folder = package().join("transcripts");
    let directory = tempfile::Builder::new().prefix("kubectl-").tempdir()?;
    let shell = Arc::new(Shell::new(access, &folder.join("files"), directory.path())?);
    shell.prepare(&format!("apply -f {DEFINITION}"))?;
    shell.prepare("wait --for=condition=Established crd/widgets.example.com --timeout=30s")?;
    let names = names(&folder)?;
    let trials = names.into_iter().filter(|(name, _)| is_chosen(name)).map(|(name, path)| {
        let shell = Arc::clone(&shell);
        Trial::test(name.clone(), move || tell(&shell, &name, &path))
    });
    Ok(libtest_mimic::run(&arguments, trials.collect()).exit_code())
}

/// The transcripts by name.
fn names(folder: &Path) -> Outcome<Vec<(String, PathBuf)>> {
    let mut names = Vec::new();
    for entry in
        std::fs::read_dir(folder).map_err(|error| format!("reading {}: {error}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            names.push((name, path));
        }
    }
    names.sort();
    Ok(names)
}

/// Types what is in the transcript, and compares what comes back, or records it.
fn tell(shell: &Shell, name: &str, path: &Path) -> Result<(), Failed> {
    let mut transcript = Transcript::parse(&std::fs::read_to_string(path)?)?;
    let found = shell.run(name, &transcript.steps)?;
    if std::env::var_os(RECORD).is_some() {
        for (step, found) in transcript.steps.iter_mut().zip(found) {
            step.recorded = found;
        }
        std::fs::write(path, transcript.print())?;
        return Ok(());
    }
    let steps = transcript.steps.iter().zip(&found).filter(|(step, found)| step.recorded != **found);
    let differing: Vec<String> =
        steps.map(|(step, found)| format!("\n$ {}\n{}", step.command, diff(&step.recorded, found))).collect();
    if differing.is_empty() { Ok(()) } else { Err(differing.concat().into()) }
}
