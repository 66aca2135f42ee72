//! What a Kubernetes API server answers: recorded from a real one, held against the embedded one.
//!
//! ```text
//!   cases/*.case     conversations: a request as one would type it, and below it the recorded answer
//!        │
//!        ▼
//!   Case ─▶ Conversation (one per case and server) ─▶ Client ─▶ server, over TLS
//!                │                                                │
//!                └── names instead of values that differ ◀── answer ── rendered, compared line by line
//! ```
//!
//! A case's file is input and expectation at once. `--record` rewrites the recorded lines from a real server; a reviewer
//! sees in the diff what changed. The embedded server must answer the same, except where a step names an accepted
//! difference (see [`DIFFERENCES`]) and shows what the embedded server answers instead. What people see through kubectl is in
//! [`transcript`]s.

mod case;
mod client;
mod conversation;
mod differences;
pub mod generator;
mod manifests;
mod normalize;
mod render;
mod suite;
mod target;
pub mod transcript;

pub use case::{Case, CaseFile, ParseError};
pub use client::{Client, ClientError};
pub use conversation::Conversation;
pub use differences::{DIFFERENCES, Difference};
pub use suite::{Mode, main};
pub use target::{Access, Target};
