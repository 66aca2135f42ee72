//! All cases as tests of one server, or as recordings of it.

use crate::case::{Accepted, Case, CaseFile, Step};
use crate::client::Client;
use crate::conversation::Conversation;
use crate::differences::DIFFERENCES;
use crate::target::Target;
use libtest_mimic::{Arguments, Failed, Trial};
use similar::TextDiff;
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Cases wait more than they work.
const THREADS: usize = 8;

/// Set to record what the server answers instead of comparing it.
pub(crate) const RECORD: &str = "CONFORMANCE_RECORD";

/// Set to an accepted difference's id, besides [`RECORD`], to accept what the embedded server answers in the selected
/// cases.
const ACCEPT: &str = "CONFORMANCE_ACCEPT";

/// Which server the cases are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The embedded one: must answer what is recorded, or what is accepted instead.
    Embedded,
    /// The real one: must answer what is recorded.
    Real,
}

/// The answers of the cases that ran.
type Answers = Arc<Mutex<HashMap<String, Vec<Vec<String>>>>>;

/// Runs the cases that the command line selects.
pub fn main(mode: Mode) -> ExitCode {
    match run(mode) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mode: Mode) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let files = read_cases()?;
    let record = std::env::var_os(RECORD).is_some();
    if !record {
        check_differences(&files)?;
    }
    if arguments.list {
        let names =
            files.iter().flat_map(|(_, file)| &file.cases).map(|case| Trial::test(&case.name, || Ok(())));
        return Ok(libtest_mimic::run(&arguments, names.collect()).exit_code());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let target = match mode {
        Mode::Embedded => runtime.block_on(Target::embedded())?,
        Mode::Real => Target::real()?,
    };
    let answers = Answers::default();
    let trials = files.iter().flat_map(|(_, file)| &file.cases).map(|case| {
        let (case, client, answers) = (case.clone(), target.client().clone(), Arc::clone(&answers));
        let runtime = runtime.handle().clone();
        Trial::test(case.name.clone(), move || {
            let found = runtime.block_on(speak(&client, &case, mode))?;
            let outcome = if record { Ok(()) } else { compare(&case, &found, mode) };
            answers.lock().unwrap_or_else(PoisonError::into_inner).insert(case.name.clone(), found);
            outcome
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if record {
        let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        let accept = std::env::var(ACCEPT).ok();
        for (path, mut file) in files {
            file.cases.iter_mut().for_each(|case| update(case, &answers, mode, accept.as_deref()));
            std::fs::write(&path, file.print())?;
        }
    }
    Ok(conclusion.exit_code())
}

async fn speak(client: &Client, case: &Case, mode: Mode) -> Result<Vec<Vec<String>>, Failed> {
    // The embedded server's controllers have done their work when a write is answered.
    let patience = Duration::from_secs(if mode == Mode::Real { 30 } else { 1 });
    Conversation::new(client, case, patience).run().await.map_err(Failed::from)
}

/// The folder of this package.
pub(crate) fn package() -> PathBuf {
    // Not `CARGO_MANIFEST_DIR` as it is when this is compiled: a copied target directory may hold a stale one. Cargo sets the
    // variable when it runs tests, which may be another package's.
    let compiled = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let running = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    running.filter(|running| running.join("cases").is_dir()).unwrap_or(compiled)
}

fn read_cases() -> Result<Vec<(PathBuf, CaseFile)>, Box<dyn Error + Send + Sync>> {
    let folder = package().join("cases");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(|error| format!("reading {}: {error}", folder.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .collect();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let file = CaseFile::parse(Path::new(path.file_name().unwrap_or_default()), &text)?;
        files.push((path, file));
    }
    check_names(&files)?;
    Ok(files)
}

/// Names are namespaces, so they must differ.
fn check_names(files: &[(PathBuf, CaseFile)]) -> Result<(), String> {
    let mut seen = HashMap::new();
    for (path, case) in files.iter().flat_map(|(path, file)| file.cases.iter().map(move |case| (path, case)))
    {
        if let Some(other) = seen.insert(&case.name, path) {
            return Err(format!(
                "two cases are called {}: in {} and {}",
                case.name,
                other.display(),
                path.display()
            ));
        }
    }
    Ok(())
}

/// An accepted difference that no case shows is not known to exist.
fn check_differences(files: &[(PathBuf, CaseFile)]) -> Result<(), String> {
    let shown = |id: &str| {
        files
            .iter()
            .flat_map(|(_, file)| &file.cases)
            .flat_map(|case| &case.steps)
            .any(|step| step.accepted.as_ref().is_some_and(|accepted| accepted.difference == id))
    };
    match DIFFERENCES.iter().find(|difference| !shown(difference.id)) {
        Some(unused) => {
            Err(format!("no case shows the accepted difference {:?}; remove it from the list", unused.id))
        }
        None => Ok(()),
    }
}

/// What the server must answer to this step.
fn expected(step: &Step, mode: Mode) -> &[String] {
    match (&step.accepted, mode) {
        (Some(accepted), Mode::Embedded) => &accepted.recorded,
        _ => &step.recorded,
    }
}

fn compare(case: &Case, found: &[Vec<String>], mode: Mode) -> Result<(), Failed> {
    let differing: Vec<String> =
        case.steps.iter().zip(found).filter_map(|(step, found)| difference(step, found, mode)).collect();
    if differing.is_empty() { Ok(()) } else { Err(Failed::from(differing.concat())) }
}

/// What is wrong with the answer to a step, if anything.
fn difference(step: &Step, found: &[String], mode: Mode) -> Option<String> {
    let expected = expected(step, mode);
    let problem = if step.recorded.is_empty() {
        "  nothing is recorded; see CONTRIBUTING.md\n".to_owned()
    } else if expected != found {
        diff(expected, found)
    } else if mode == Mode::Embedded && step.accepted.is_some() && step.recorded == found {
        "  differs no more; remove the ~ lines\n".to_owned()
    } else {
        return None;
    };
    Some(format!("\n{}\n{problem}", step.title()))
}

pub(crate) fn diff(expected: &[String], found: &[String]) -> String {
    let (expected, found) = (expected.join("\n") + "\n", found.join("\n") + "\n");
    TextDiff::from_lines(&expected, &found)
        .unified_diff()
        .context_radius(3)
        .header("recorded", "answered")
        .to_string()
}

/// Records what was answered: a real server's answers, or the embedded one's where they may differ.
fn update(case: &mut Case, answers: &HashMap<String, Vec<Vec<String>>>, mode: Mode, accept: Option<&str>) {
    let Some(answers) = answers.get(&case.name) else { return };
    for (step, answer) in case.steps.iter_mut().zip(answers) {
        match (mode, &mut step.accepted) {
            (Mode::Real, _) => step.recorded.clone_from(answer),
            (Mode::Embedded, Some(_)) if step.recorded == *answer => step.accepted = None,
            (Mode::Embedded, Some(accepted)) => accepted.recorded.clone_from(answer),
            (Mode::Embedded, None) if step.recorded != *answer => {
                let recorded = answer.clone();
                step.accepted =
                    accept.map(|difference| Accepted { difference: difference.to_owned(), recorded });
            }
            (Mode::Embedded, None) => {}
        }
    }
}
