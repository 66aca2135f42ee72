//! Stories of the agent and the issuer on clusters that are plain values.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests make keys and serial numbers, and fail by panic"
)]

mod answers;
mod crash;
mod deletion;
mod guards;
mod journey;
mod needs;
mod rotation;
mod world;
