//! Models of what has to hold whatever happens in which order, searched completely within stated bounds.
//!
//! ```text
//!   lease   replicas × real workflow::lease::decide      ages instead of times: unbounded time in finitely many states
//!   issue   clusters × real workflow::{agent,issuer}::decide, one write at a time; the worlds that the decisions can
//!           lead to are numbered, so that the search over several clusters is one over numbers
//! ```
//!
//! Every model can be built with a defect. A search that would not find it proves nothing, so there is a test for each
//! that the checker does.

pub mod lease;
