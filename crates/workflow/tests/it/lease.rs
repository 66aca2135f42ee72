//! Who leads: the decision in a table, and what the record says to people.

use std::time::Duration;

use certmesh_api::certificates::ObjectRef;
use certmesh_workflow::lease::{
    Claim, Decision, InvalidTiming, Lost, Observed, Record, Sighting, Timing, Uptime, decide, holder,
    released,
};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

const ME: &str = "issuer-a_1";
const OTHER: &str = "issuer-b_1";

fn at(milliseconds: u64) -> Uptime {
    Uptime(Duration::from_millis(milliseconds))
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + second).unwrap()
}

fn held_by(identity: Option<&str>) -> Lease {
    let mut lease = Lease::default();
    lease.metadata.name = Some("certmesh-issuer".to_owned());
    lease.metadata.resource_version = Some("7".to_owned());
    lease.spec = Some(LeaseSpec {
        holder_identity: identity.map(str::to_owned),
        lease_duration_seconds: Some(15),
        lease_transitions: Some(3),
        acquire_time: Some(MicroTime(time(-100))),
        renew_time: Some(MicroTime(time(-1))),
        ..LeaseSpec::default()
    });
    lease
}

/// Decides at `now` on a record that was first seen as it is at `seen`.
fn decided(now: u64, seen: u64, record: Option<&Lease>, renewed_at: Option<u64>) -> Decision {
    let mut sighting = Sighting::default();
    let record = record.map_or(Record::Absent, Record::Present);
    sighting.observe(at(seen), record);
    let observed = Observed {
        identity: ME,
        timing: &Timing::default(),
        record,
        sighting: &sighting,
        renewed_at: renewed_at.map(at),
    };
    decide(at(now), &observed)
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Acquire,
    Renew,
    Wait(u64),
    StepDown(Lost),
}

fn outcome(decision: Decision) -> Outcome {
    match decision {
        Decision::Acquire(_) => Outcome::Acquire,
        Decision::Renew(_) => Outcome::Renew,
        Decision::Wait { until } => Outcome::Wait(u64::try_from(until.0.as_millis()).unwrap()),
        Decision::StepDown(lost) => Outcome::StepDown(lost),
    }
}

fn claim(decision: Decision) -> Claim {
    match decision {
        Decision::Acquire(claim) | Decision::Renew(claim) => claim,
        other => panic!("no claim: {other:?}"),
    }
}

/// How long we wait between two looks: the retry period, and up to a fifth of it by our name.
fn poll() -> u64 {
    let timing = Timing::default();
    let sighting = Sighting::default();
    let observed = Observed {
        identity: ME,
        timing: &timing,
        record: Record::Unread,
        sighting: &sighting,
        renewed_at: None,
    };
    match outcome(decide(at(0), &observed)) {
        Outcome::Wait(poll) => poll,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_times_are_those_of_kubernetes_own_controllers() {
    let timing = Timing::default();
    let seconds =
        [timing.duration(), timing.renew_deadline(), timing.retry_period()].map(|time| time.as_secs());
    assert_eq!(seconds, [15, 10, 2]);
    assert_eq!(Timing::new(timing.duration(), timing.renew_deadline(), timing.retry_period()), Ok(timing));
}

#[test]
fn a_follower_takes_what_nobody_holds_and_waits_for_the_rest() {
    let (mine, others, free) = (held_by(Some(ME)), held_by(Some(OTHER)), held_by(None));
    let mut unnamed = held_by(Some(""));
    unnamed.spec.as_mut().unwrap().lease_duration_seconds = None;
    for (story, now, seen, record, expected) in [
        ("there is no record", 0, 0, None, Outcome::Acquire),
        ("the last holder released it", 0, 0, Some(&free), Outcome::Acquire),
        ("nobody is named", 0, 0, Some(&unnamed), Outcome::Acquire),
        ("our write took effect, but we never heard", 100, 90, Some(&mine), Outcome::Acquire),
        ("seen just before it expires", 14_000, 0, Some(&others), Outcome::Wait(15_000)),
        ("one millisecond is left", 14_999, 0, Some(&others), Outcome::Wait(15_000)),
        ("expired", 15_000, 0, Some(&others), Outcome::Acquire),
        ("changed again a moment ago", 15_000, 14_999, Some(&others), Outcome::Wait(15_000 + poll())),
    ] {
        assert_eq!(outcome(decided(now, seen, record, None)), expected, "{story}");
    }
}

#[test]
fn a_leader_renews_in_time_or_stops() {
    let (mine, others, free) = (held_by(Some(ME)), held_by(Some(OTHER)), held_by(None));
    let taken = || Outcome::StepDown(Lost::TakenBy(OTHER.to_owned()));
    for (story, now, record, expected) in [
        ("renewed a moment ago", 1_500, Some(&mine), Outcome::Wait(3_000)),
        ("it is time", 3_000, Some(&mine), Outcome::Renew),
        ("late, but not too late", 10_999, Some(&mine), Outcome::Renew),
        ("too late, though nobody else took it", 11_000, Some(&mine), Outcome::StepDown(Lost::Deadline)),
        ("another took it", 3_000, Some(&others), taken()),
        ("somebody deleted the record", 3_000, None, Outcome::Acquire),
        ("somebody took our name out", 3_000, Some(&free), Outcome::Acquire),
        ("too late, and the record is gone", 20_000, None, Outcome::StepDown(Lost::Deadline)),
    ] {
        assert_eq!(outcome(decided(now, 1_000, record, Some(1_000))), expected, "{story}");
    }
}

#[test]
fn an_uptime_tells_how_long_it_is_until_then() {
    for (then, now, left) in [(3_000, 1_000, 2_000), (3_000, 3_000, 0), (3_000, 4_000, 0)] {
        assert_eq!(at(then).until(at(now)), Duration::from_millis(left), "{then} from {now}");
    }
}

#[test]
fn whoever_lost_the_lease_says_to_whom() {
    assert_eq!(Lost::Deadline.to_string(), "the lease could not be renewed in time");
    assert_eq!(Lost::TakenBy(OTHER.to_owned()).to_string(), "issuer-b_1 took the lease over");
}

#[test]
fn a_record_that_cannot_be_read_is_looked_at_again() {
    let sighting = Sighting::default();
    let timing = Timing::default();
    let unread = |now, renewed_at: Option<u64>| {
        let observed = Observed {
            identity: ME,
            timing: &timing,
            record: Record::Unread,
            sighting: &sighting,
            renewed_at: renewed_at.map(at),
        };
        outcome(decide(at(now), &observed))
    };
    assert_eq!(unread(3_000, Some(1_000)), Outcome::Wait(5_000));
    assert_eq!(unread(10_000, Some(1_000)), Outcome::Wait(11_000), "no later than the term ends");
    assert_eq!(unread(11_000, Some(1_000)), Outcome::StepDown(Lost::Deadline));
    assert_eq!(unread(100_000, None), Outcome::Wait(100_000 + poll()), "who cannot read does not take over");
}

#[test]
fn only_what_the_holder_writes_is_a_sign_of_life() {
    let mut sighting = Sighting::default();
    let mut lease = held_by(Some(OTHER));
    sighting.observe(at(1_000), Record::Present(&lease));
    assert_eq!(sighting.since(), at(1_000));
    sighting.observe(at(2_000), Record::Unread);
    lease.metadata.resource_version = Some("8".to_owned());
    lease.metadata.annotations = Some([("looked".to_owned(), "at".to_owned())].into());
    sighting.observe(at(3_000), Record::Present(&lease));
    assert_eq!(sighting.since(), at(1_000), "an annotation keeps no dead holder alive");
    lease.spec.as_mut().unwrap().renew_time = Some(MicroTime(time(-50)));
    sighting.observe(at(4_000), Record::Present(&lease));
    assert_eq!(sighting.since(), at(4_000), "any change counts, whatever the holder's clock says");
}

#[test]
fn the_record_says_how_long_it_holds() {
    let mut lease = held_by(Some(OTHER));
    for (said, now, expected) in [
        (Some(60), 55_000, Outcome::Wait(55_000 + poll())),
        (Some(20), 19_999, Outcome::Wait(20_000)),
        (Some(20), 20_000, Outcome::Acquire),
        (Some(1), 999, Outcome::Wait(1_000)),
        (Some(1), 1_000, Outcome::Acquire),
        // What says nothing sensible holds as long as ours would.
        (Some(0), 14_999, Outcome::Wait(15_000)),
        (Some(0), 15_000, Outcome::Acquire),
        (Some(-1), 14_999, Outcome::Wait(15_000)),
        (Some(-1), 15_000, Outcome::Acquire),
        (None, 14_999, Outcome::Wait(15_000)),
        (None, 15_000, Outcome::Acquire),
    ] {
        lease.spec.as_mut().unwrap().lease_duration_seconds = said;
        assert_eq!(outcome(decided(now, 0, Some(&lease), None)), expected, "{said:?} at {now}");
    }
}

#[test]
fn replicas_do_not_look_all_at_once() {
    let lease = held_by(Some(OTHER));
    let timing = Timing::default();
    let mut sighting = Sighting::default();
    sighting.observe(at(0), Record::Present(&lease));
    let looks: std::collections::BTreeSet<u64> = (0..20)
        .map(|number| {
            let observed = Observed {
                identity: &format!("issuer-{number}"),
                timing: &timing,
                record: Record::Present(&lease),
                sighting: &sighting,
                renewed_at: None,
            };
            match outcome(decide(at(0), &observed)) {
                Outcome::Wait(until) => until,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert!(looks.len() > 8, "{looks:?}");
    assert!(looks.iter().all(|look| (2_000..=2_400).contains(look)), "{looks:?}");
}

#[test]
fn a_claim_names_the_holder_and_counts_transitions() {
    let name = ObjectRef::new("certmesh", "certmesh-issuer");
    let first = claim(decided(0, 0, None, None));
    assert!(first.is_new());
    let record = first.record(&name, time(0));
    assert_eq!(record.metadata.namespace.as_deref(), Some("certmesh"));
    assert_eq!(record.metadata.name.as_deref(), Some("certmesh-issuer"));
    assert_eq!(record.metadata.resource_version, None);
    let spec = record.spec.as_ref().unwrap();
    assert_eq!(holder(&record), Some(ME));
    assert_eq!((spec.lease_duration_seconds, spec.lease_transitions), (Some(15), Some(0)));
    assert_eq!(spec.acquire_time, Some(MicroTime(time(0))));
    assert_eq!(spec.renew_time, Some(MicroTime(time(0))));

    let taken = claim(decided(15_000, 0, Some(&held_by(Some(OTHER))), None));
    assert!(!taken.is_new());
    let record = taken.record(&name, time(5));
    assert_eq!(record.metadata.resource_version.as_deref(), Some("7"), "on the version it was decided on");
    let spec = record.spec.as_ref().unwrap();
    assert_eq!((spec.lease_transitions, spec.acquire_time.clone()), (Some(4), Some(MicroTime(time(5)))));

    let renewed = claim(decided(3_000, 0, Some(&record), Some(1_000))).record(&name, time(7));
    let spec = renewed.spec.as_ref().unwrap();
    assert_eq!((spec.lease_transitions, spec.acquire_time.clone()), (Some(4), Some(MicroTime(time(5)))));
    assert_eq!(spec.renew_time, Some(MicroTime(time(7))));
}

#[test]
fn a_released_lease_is_free_and_only_its_holder_releases_it() {
    assert!(released(&held_by(Some(OTHER)), ME, time(0)).is_none());
    assert!(released(&held_by(None), ME, time(0)).is_none());
    let free = released(&held_by(Some(ME)), ME, time(0)).unwrap();
    assert_eq!(holder(&free), None);
    assert_eq!(free.metadata.resource_version.as_deref(), Some("7"));
    assert_eq!(free.spec.as_ref().unwrap().lease_transitions, Some(3));
    assert_eq!(outcome(decided(0, 0, Some(&free), None)), Outcome::Acquire);
}

#[test]
fn times_that_let_two_lead_are_refused() {
    let seconds = Duration::from_secs;
    let timing =
        |duration, deadline, retry| Timing::new(seconds(duration), seconds(deadline), seconds(retry));
    assert_eq!(timing(15, 10, 2), Ok(Timing::default()));
    assert_eq!(timing(0, 10, 2), Err(InvalidTiming::Duration));
    assert_eq!(timing(u64::MAX, 10, 2), Err(InvalidTiming::Duration));
    assert_eq!(
        Timing::new(Duration::from_millis(1500), seconds(1), seconds(1)),
        Err(InvalidTiming::Duration)
    );
    assert_eq!(timing(10, 10, 2), Err(InvalidTiming::RenewDeadline));
    assert_eq!(timing(15, 10, 0), Err(InvalidTiming::RetryPeriod));
    assert_eq!(timing(15, 10, 9), Err(InvalidTiming::RetryPeriod), "1.2 × 9 s is more than 10 s");
}
