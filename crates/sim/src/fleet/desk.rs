//! A fleet's issuer: as in production one view of the management cluster, and a driver for each cluster.

use std::collections::BTreeMap;

use certmesh_controllers::stepwise::SteppedIssuer;

use crate::clock::VirtualClock;
use crate::cluster::Cluster;
use crate::port::Outbox;
use crate::process::{Actor, Engine, Inbox, Process};
use crate::staff::{self, Ledger};
use crate::watch::Watch;

/// The issuer's view of the management cluster, which the drivers of all clusters share.
pub(super) struct Desk {
    pub(super) issuer: SteppedIssuer,
    pub(super) watches: [Watch; 2],
    pub(super) inbox: Inbox,
    outbox: Outbox,
}

impl Desk {
    /// An issuer that has just started.
    pub(super) fn new(clock: &VirtualClock, ledger: &Ledger) -> Self {
        let (inbox, outbox) = (Inbox::default(), Outbox::default());
        let (issuer, watches) = staff::issuer(clock, ledger, &inbox, &outbox);
        Self { issuer, watches, inbox, outbox }
    }

    /// The driver of a cluster. Its passes write through the desk's outbox, since the issuer does: one pass runs at a time.
    pub(super) fn driver(&self, site: usize, cluster: &Cluster, clock: &VirtualClock) -> Process {
        let (inbox, outbox) = (Inbox::default(), self.outbox.clone());
        let (remote, watches) = staff::connect(&self.issuer, site, &cluster.name, &inbox, &outbox);
        let remotes = BTreeMap::from([(cluster.name.clone(), remote)]);
        let engine = Engine::Issuer { issuer: self.issuer.clone(), remotes };
        Process::new(Actor::Issuer(0), clock.clone(), engine, (watches.into(), 0), (inbox, outbox))
    }
}
