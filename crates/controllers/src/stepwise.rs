//! Issuer and agent without watches, driver and runtime: the same passes, for a simulator that plays all three.
//!
//! ```text
//!   simulator ──Feed::take(event)──▶ cache ─┐
//!       │                                   ▼
//!       ├──pass(key)──▶ future ── observe ▸ decide ▸ apply ▸ status ──▶ Transport::send(request) ──▶ simulator
//!       └──poll──────────▶ │                                                       (pending until it says so)
//! ```
//!
//! A pass needs no runtime here: it waits for nothing but answers of its [`Transport`](crate::Transport). Whoever polls it
//! decides what happens between any two of its requests, and a pass that is dropped is a process that died there.

pub use crate::agent::stepwise::{SteppedAgent, SteppedAgentConfig};
pub use crate::issuer::stepwise::{SteppedIssuer, SteppedIssuerConfig, SteppedRemote};
