//! A served cluster, asked over HTTP as clients of Kubernetes ask.
#![allow(clippy::unwrap_used, reason = "what does not work fails its test")]

mod bounds;
mod discovery;
mod embedded_example;
mod fixture;
mod hostile;
mod kubectl;
#[cfg(target_os = "linux")]
mod memory;
mod reviews;
mod serving;
mod verbs;
mod watching;
