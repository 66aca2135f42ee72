//! Our own program, running as issuer or agent.
//!
//! ```text
//!   <name>.log       what it wrote to stderr, over all its lives
//!   <name>.records   what it wrote to stdout: the issuance log
//! ```

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running issuer or agent. Killed when dropped, as by a power cut.
pub(crate) struct Program(Child);

impl Program {
    /// Starts `certmesh <command>` with the files of `name` in `directory`; `filter` is what it logs.
    pub(crate) fn start(command: &str, directory: &Path, name: &str, filter: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_certmesh"))
            .args([command, "--health-addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"])
            .args(["--log-level", filter])
            .arg("--kubeconfig")
            .arg(kubeconfig(directory, name))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(appending(&records(directory, name)))
            .stderr(appending(&log(directory, name)))
            .spawn();
        Self(child.expect("our own program"))
    }

    /// Gives it no more time, until [`Program::go_on`].
    pub(crate) fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Gives it time again.
    pub(crate) fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).expect("a process of ours that has not been waited for");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn kubeconfig(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.kubeconfig"))
}

pub(crate) fn log(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.log"))
}

pub(crate) fn records(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.records"))
}

fn appending(path: &Path) -> File {
    File::options().create(true).append(true).open(path).expect("a file in a directory of ours")
}

/// What the program serves at `/metrics`; its log says where that is.
pub(crate) fn metrics(directory: &Path, name: &str) -> String {
    let log = std::fs::read_to_string(log(directory, name)).expect("a log");
    let address = log.lines().rev().find_map(|line| {
        line.split_once("serving health and metrics address=")?.1.trim().parse::<SocketAddr>().ok()
    });
    let address = address.expect("the log says where metrics are served");
    let mut connection = TcpStream::connect(address).expect("a server");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).expect("a request is taken");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}
