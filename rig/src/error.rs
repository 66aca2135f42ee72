//! Why a rig does not run.

use std::io;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// A rig could not be started.
#[derive(Debug, Error)]
pub enum RigError {
    /// The environment names no folder of programs.
    #[error(
        "the environment variable {variable} does not say where the API server's programs are; run `cargo xtask rig \
         build`, which makes them and prints the folder"
    )]
    NotBuilt {
        /// The variable's name.
        variable: &'static str,
    },
    /// A program is not where it should be.
    #[error("{} is missing; run `cargo xtask rig build`", .path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file or folder could not be read or written.
    #[error("{doing} {}: {source}", .path.display())]
    File {
        /// What was attempted, as in "writing".
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A cluster's name is used in paths and in etcd's keys.
    #[error("{name:?} is no name for a cluster: use lower-case letters, digits and hyphens")]
    Name {
        /// The name.
        name: String,
    },
    /// No key could be made for the service accounts' tokens.
    #[error("making the key that signs service account tokens: {0}")]
    Key(#[from] certmesh_x509::KeyError),
    /// The system gave no free port, or no random bytes.
    #[error("{doing}: {source}")]
    System {
        /// What was attempted.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("starting {}: {source}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended by itself.
    #[error("{name} ended while the rig was starting; its log {} ends with:\n{tail}", .log.display())]
    Ended {
        /// The process.
        name: String,
        /// What it wrote.
        log: PathBuf,
        /// The last lines of that.
        tail: String,
    },
    /// A program did not become ready.
    #[error("{name} was not ready after {} s: {last}; its log {} ends with:\n{tail}", .after.as_secs(), .log.display())]
    NotReady {
        /// The process.
        name: String,
        /// How long it was waited for.
        after: Duration,
        /// What the last question was answered with.
        last: String,
        /// What it wrote.
        log: PathBuf,
        /// The last lines of that.
        tail: String,
    },
}

impl RigError {
    /// An operation on a file that failed.
    pub(crate) fn file(doing: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::File { doing, path: path.to_owned(), source }
    }
}
