//! Models of what has to hold whatever happens in which order, searched completely within stated bounds.
//!
//! ```text
//!   lease   replicas × the real workflow::lease::decide               ages instead of times: time is not bounded
//!   issue   passes × the real workflow::{issuer,agent}::decide        versions as relations: crashes are not bounded
//! ```
//!
//! A model can be built with a defect. A search that would not find it proves nothing, so there is a test for each that
//! the checker does.

pub mod issue;
pub mod lease;
