//! Stories of the agent and the issuer on clusters that are plain values.
#![allow(
    clippy::assigning_clones,
    clippy::default_trait_access,
    clippy::disallowed_methods,
    clippy::semicolon_if_nothing_returned,
    clippy::type_complexity,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests make keys and serial numbers, fail by panic, and are tables of small closures"
)]

mod answers;
mod copies;
mod crash;
mod deletion;
mod guards;
mod hostile;
mod journey;
mod lease;
mod needs;
mod never;
mod properties;
mod requests;
mod rotation;
mod world;
