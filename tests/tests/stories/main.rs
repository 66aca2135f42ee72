//! Stories, one a file: what issuer and agents do together, from end to end, on embedded servers and a virtual clock.
//!
//! One binary for all of them, since linking each by itself takes longer than running it.
#![allow(clippy::unwrap_used, reason = "a story ends where it is surprised")]

mod backoff;
mod bad_input;
mod bad_registration;
mod burst;
mod crash;
mod deletion;
mod foreign_secret;
mod hostile_answer;
mod hostile_remote;
mod isolation;
mod issue;
mod leader;
mod live_root;
mod renewal;
mod rights;
mod writes;
