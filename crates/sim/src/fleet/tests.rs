//! A small fleet for a hundred days: once every certificate is renewed.

use super::spread::Spread;
use super::{DAY, Plan, audit, life};
use crate::fleet::tally::{Delivery, Tally};

fn plan(clusters: usize, installed_over: i64) -> Plan {
    Plan { clusters, certificates: 1, lifetime: 90 * 24 * 3600, duration: 100 * DAY, installed_over }
}

#[test]
fn a_fleet_renews_its_certificates_in_time_and_rests_in_between() {
    let tally = life::live(&plan(6, 0)).unwrap();
    assert_eq!((tally.deliveries.len(), tally.signed), (12, 12));
    let spread = Spread::of(&tally.deliveries, 100 * DAY);
    let [wave] = &spread.waves[..] else { panic!("{spread:?}") };
    assert_eq!(wave.renewals, 6);
    // A tenth of ninety days before the end, or up to a fifth of that earlier.
    assert!(wave.from > 79 * DAY && wave.to <= 81 * DAY, "{wave:?}");
    // Nobody does anything but install and renew: each costs as much, whenever it is.
    let passes = tally.issuer.passes + tally.agents.passes;
    assert!(passes <= 12 * 10, "{passes} passes for 12 certificates in 100 days");
    let requests = tally.agents.reads + tally.agents.writes + tally.issuer.reads + tally.issuer.writes;
    assert!(requests <= 12 * 30, "{requests} requests for 12 certificates in 100 days");
}

#[test]
fn twice_the_clusters_cost_twice_as_much() {
    let [small, large] = [2, 4].map(|clusters| life::live(&plan(clusters, 0)).unwrap());
    let twice = small.agents.and(small.agents);
    assert_eq!(large.agents, twice);
    assert_eq!(
        (large.issuer.passes, large.issuer.writes),
        (2 * small.issuer.passes, 2 * small.issuer.writes)
    );
}

#[test]
fn a_fleet_that_is_installed_over_time_renews_over_time() {
    let tally = life::live(&plan(4, 16 * DAY)).unwrap();
    let installed: Vec<i64> = tally.deliveries.iter().take(4).map(|delivery| delivery.at / DAY).collect();
    assert_eq!(installed, [0, 4, 8, 12]);
    assert_eq!(tally.deliveries.len(), 8);
}

#[test]
fn a_certificate_that_was_replaced_too_late_is_found() {
    let delivery = |left| Delivery { at: 7, site: 1, secret: "cacerts".to_owned(), left };
    let tally =
        |left| Tally { signed: 2, deliveries: vec![delivery(None), delivery(left)], ..Tally::default() };
    assert_eq!(audit::nothing_ever_expired(&tally(Some(1))), Ok(()));
    assert!(audit::nothing_ever_expired(&tally(Some(0))).is_err());
    assert!(audit::nothing_ever_expired(&Tally { signed: 3, ..tally(Some(1)) }).is_err());
}
