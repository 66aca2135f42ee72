//! The product's decisions as a table: asked once, for all that a state of the model can ask for.

use std::sync::LazyLock;
use std::time::Duration;

use certmesh_workflow::lease::{Decision, Observed, Record, Sighting, Timing, Uptime, decide};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use super::{DURATION, NOW, OLD, RENEW_DEADLINE, RETRY_PERIOD, Replica, Stored};

/// What the product decides, as far as a state shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decided {
    Write { creates: bool },
    Wait,
    StepDown,
}

/// Who holds the record, to the replica that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    Itself,
    Another,
}

/// Every answer of the product that a state can ask for: by age of what was seen, age of the last renewal, holder.
static DECISIONS: LazyLock<Vec<Decided>> = LazyLock::new(|| {
    let ages = || 0..=OLD;
    let renewals = || std::iter::once(None).chain(ages().map(Some));
    let holders = [Holder::Nobody, Holder::Itself, Holder::Another];
    let all = ages().flat_map(|seen| renewals().map(move |renewed| (seen, renewed)));
    all.flat_map(|(seen, renewed)| holders.map(|holder| ask(seen, renewed, holder))).collect()
});

/// What the product decides for this replica when it finds this record.
pub(super) fn decided(replica: &Replica, record: Stored) -> Decided {
    let renewed = replica.leads.map_or(0, |leading| usize::from(leading.renewed_age) + 1);
    let holder = match record {
        Stored::Absent => Holder::Nobody,
        Stored::HeldBy(holder) if holder == replica.identity => Holder::Itself,
        Stored::HeldBy(_) => Holder::Another,
    };
    let row = usize::from(replica.seen_age) * (usize::from(OLD) + 2) + renewed;
    DECISIONS[row * 3 + holder as usize]
}

/// Asks the product.
fn ask(seen_age: u8, renewed_age: Option<u8>, holder: Holder) -> Decided {
    let lease = match holder {
        Holder::Nobody => None,
        Holder::Itself => Some(lease_of("issuer-a")),
        Holder::Another => Some(lease_of("issuer-b")),
    };
    let record = lease.as_ref().map_or(Record::Absent, Record::Present);
    let mut sighting = Sighting::default();
    sighting.observe(ago(seen_age), record);
    let observed = Observed {
        identity: "issuer-a",
        timing: &timing(),
        record,
        sighting: &sighting,
        renewed_at: renewed_age.map(ago),
    };
    match decide(ago(0), &observed) {
        Decision::Acquire(claim) | Decision::Renew(claim) => Decided::Write { creates: claim.is_new() },
        Decision::Wait { .. } => Decided::Wait,
        Decision::StepDown(_) => Decided::StepDown,
    }
}

fn timing() -> Timing {
    let seconds = |count: u8| Duration::from_secs(u64::from(count));
    Timing::new(seconds(DURATION), seconds(RENEW_DEADLINE), seconds(RETRY_PERIOD))
        .expect("times in the proportions of the default's")
}

fn ago(age: u8) -> Uptime {
    Uptime(Duration::from_secs(NOW - u64::from(age)))
}

fn lease_of(holder: &str) -> Lease {
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(i32::from(DURATION)),
        ..LeaseSpec::default()
    };
    Lease { spec: Some(spec), ..Lease::default() }
}
