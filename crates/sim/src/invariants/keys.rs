//! Never 1: a private key outside its cluster, in a log, an event or a status.

use crate::cluster::Kind;
use crate::witness::{History, Write};

use super::ensure;

/// How a P-256 key begins: as PEM, that in base64, and SEC1 in base64, without and with its public half.
const MARKS: [&str; 4] = ["-----BEGIN EC PRIVATE", "LS0tLS1CRUdJTiBFQyBQUklW", "MDECAQEEI", "MHcCAQEEI"];

/// Only an agent's Secrets in its own cluster hold keys.
pub(crate) fn private_key_stays_in_its_cluster(write: &Write, _: &History) -> Result<(), String> {
    let at_home = write.is_by_agent() && write.kind == Kind::Secret;
    match write.body().filter(|_| write.is_ours() && !at_home) {
        Some(body) => text_holds_no_key(&body.to_string()),
        None => Ok(()),
    }
}

/// A text that leaves a process.
pub(crate) fn text_holds_no_key(text: &str) -> Result<(), String> {
    let mark = MARKS.iter().find(|mark| text.contains(**mark));
    ensure(mark.is_none(), || format!("a private key is in: {}…", text.chars().take(200).collect::<String>()))
}
