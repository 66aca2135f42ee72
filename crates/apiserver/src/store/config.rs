//! What a store is made with: time, randomness and limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

/// Gives the time. A server passes `Timestamp::now`, a simulator its virtual clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Gives 64 random bits; uids and `generateName` suffixes are made of them.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Bounds of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one object as JSON. etcd's default, 1.5 MiB.
    pub object_bytes: usize,
    /// Bytes of all objects together. etcd's default quota, 2 GiB.
    pub total_bytes: usize,
    /// Events kept per resource for watches that resume, and for paging through a list.
    pub log_events: usize,
    /// Bytes of objects held by those events, per resource.
    pub log_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { object_bytes: 3 << 19, total_bytes: 2 << 30, log_events: 10_000, log_bytes: 16 << 20 }
    }
}

/// What a store is made with.
#[derive(Clone)]
pub struct StoreConfig {
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Bounds.
    pub limits: Limits,
    /// Whether every namespace gets a ServiceAccount `default`, as on a real cluster.
    pub default_service_accounts: bool,
    /// PEM of the CA that signs the server's certificate: every namespace gets it as ConfigMap `kube-root-ca.crt`.
    pub root_ca: Option<String>,
}

impl StoreConfig {
    /// With the default limits.
    pub fn new(clock: Clock, random: Random) -> Self {
        Self { clock, random, limits: Limits::default(), default_service_accounts: true, root_ca: None }
    }
}

/// A reproducible sequence (SplitMix64) for tests and simulations. Not for secrets.
pub fn seeded_random(seed: u64) -> Random {
    let state = AtomicU64::new(seed);
    Arc::new(move || {
        let mut z = state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}
