//! A child process that never outlives its owner.
//!
//! ```text
//!   Process ──stop──▶ keeper thread: spawned the child, polls it, asks it to end, then makes it end, and reaps it
//! ```
//!
//! The keeper spawns the child itself, because Linux sends the parent-death signal when the *thread* that spawned ends.

use crate::error::RigError;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long a child may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How much of a log is shown.
const SHOWN_LINES: usize = 15;

/// A running program, whose output goes to a log.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    pid: u32,
    log: PathBuf,
    ended: Arc<AtomicBool>,
    stop: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `program`; its output goes to `log`.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        arguments: Vec<OsString>,
        log: PathBuf,
    ) -> Result<Self, RigError> {
        let output = File::create(&log).map_err(|error| RigError::file("writing", &log, error))?;
        let errors = output.try_clone().map_err(|error| RigError::file("writing", &log, error))?;
        let mut command = dying_with_its_parent(program);
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        // A Go program would take hints of ours about its runtime as its own.
        command.env_remove("GODEBUG").env_remove("GOMAXPROCS");
        let start_error = |source| RigError::Start { program: program.to_owned(), source };

        let (stop, stopped) = channel();
        let (spawned, spawn_result) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let mark_ended = Arc::clone(&ended);
        let keeper = std::thread::Builder::new()
            .name(format!("keeper of {name}"))
            .spawn(move || keep(command.spawn(), &spawned, &stopped, &mark_ended))
            .map_err(start_error)?;
        let pid = spawn_result
            .recv()
            .unwrap_or_else(|_| Err(std::io::Error::other("its keeper ended")))
            .map_err(start_error)?;
        Ok(Self { name: name.to_owned(), pid, log, ended, stop: Some(stop), keeper: Some(keeper) })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// An error if it is not running any more.
    pub(crate) fn check(&self) -> Result<(), RigError> {
        if self.ended.load(Ordering::SeqCst) {
            let (name, log) = (self.name.clone(), self.log.clone());
            return Err(RigError::Ended { name, log, tail: self.tail() });
        }
        Ok(())
    }

    /// Asks `ready` until it is, at most for `limit`.
    pub(crate) fn wait_until(
        &self,
        limit: Duration,
        mut ready: impl FnMut() -> Result<(), String>,
    ) -> Result<(), RigError> {
        let deadline = Instant::now() + limit;
        loop {
            self.check()?;
            let Err(last) = ready() else { return Ok(()) };
            if Instant::now() >= deadline {
                let (name, log) = (self.name.clone(), self.log.clone());
                return Err(RigError::NotReady { name, after: limit, last, log, tail: self.tail() });
            }
            std::thread::sleep(5 * POLL);
        }
    }

    /// Asks it to end, without waiting.
    pub(crate) fn begin_stop(&mut self) {
        self.stop = None;
    }

    fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(keeper) = self.keeper.take() {
            // A keeper does not panic, and there would be nothing left to do.
            let _ = keeper.join();
        }
    }
}

/// On Linux, util-linux's `setpriv` has the kernel kill the program when we die without a chance to stop it. Elsewhere the
/// program itself.
fn dying_with_its_parent(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !(cfg!(target_os = "linux") && setpriv.is_file()) {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn keep(
    child: std::io::Result<Child>,
    spawned: &Sender<std::io::Result<u32>>,
    stopped: &Receiver<()>,
    ended: &AtomicBool,
) {
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            // The receiver waits for exactly this.
            let _ = spawned.send(Err(error));
            return;
        }
    };
    let _ = spawned.send(Ok(child.id()));
    while matches!(child.try_wait(), Ok(None)) {
        match stopped.recv_timeout(POLL) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                end(&mut child);
                break;
            }
        }
    }
    ended.store(true, Ordering::SeqCst);
}

/// Asks the child to end, then makes it.
fn end(child: &mut Child) {
    // Not reaped yet, so the id is still its own. An error means that it has ended.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, directory: &Path) -> Process {
        let arguments = ["-c", script].map(OsString::from).to_vec();
        Process::start("sh", Path::new("/bin/sh"), arguments, directory.join("log")).unwrap()
    }

    fn is_alive(pid: u32) -> bool {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn a_dropped_process_is_gone_and_reaped() {
        let directory = tempfile::tempdir().unwrap();
        let process = shell("exec sleep 600", directory.path());
        let pid = process.pid();
        assert!(process.check().is_ok() && is_alive(pid));
        drop(process);
        assert!(!is_alive(pid));
    }

    #[test]
    fn a_process_that_ends_by_itself_is_told_of_with_the_end_of_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let process = shell("echo no such flag >&2; exit 1", directory.path());
        let error = process.wait_until(Duration::from_secs(30), || Err("not yet".to_owned())).unwrap_err();
        assert!(matches!(&error, RigError::Ended { tail, .. } if tail == "no such flag"), "{error}");
    }

    #[test]
    fn a_process_that_does_not_become_ready_is_told_of_with_the_last_answer() {
        let directory = tempfile::tempdir().unwrap();
        let process = shell("exec sleep 600", directory.path());
        let error = process.wait_until(Duration::ZERO, || Err("connection refused".to_owned())).unwrap_err();
        assert!(error.to_string().contains("sh was not ready after 0 s: connection refused"), "{error}");
    }

    #[test]
    fn a_program_that_cannot_be_started_leaves_no_process() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("no-such-program");
        match Process::start("missing", &missing, Vec::new(), directory.path().join("log")) {
            Err(error) => assert!(matches!(error, RigError::Start { .. }), "{error}"),
            // setpriv starts, and says that the program is not there.
            Ok(process) => {
                let error = process.wait_until(Duration::from_secs(30), || Err(String::new())).unwrap_err();
                assert!(matches!(error, RigError::Ended { .. }), "{error}");
            }
        }
    }
}
