//! When: renewal, the storm brake, the next attempt, the end of a CA.
//!
//! ```text
//!   issued                                             renewal window = ratio × lifetime
//!     │◀─ brake ─▶│                                        │◀────────────────▶│
//!     ├───────────┼─────────────────────────────┬─────────┼──────────────────┤ notAfter
//!                                               │◀ jitter ▶│
//!                                               └ renew_at, somewhere in the last fifth before the window
//! ```
//!
//! All results are whole seconds, as Kubernetes stores them: what is written reads back the same. Jitter is a stable hash of
//! the object, so that a thousand certificates of one minute do not come back in one minute, and every replica agrees.

use certmesh_api::certificates::ObjectRef;
use certmesh_x509::{Certificate, Fingerprint};
use jiff::Timestamp;

/// An answer that comes within this time leaves no trace of the waiting in a status: each status is a write on a server that
/// does a few hundred of them a second.
pub const TRANSITION_GRACE: i64 = 5;
/// How long an answer that does not fit may stay: the copy may be behind.
pub const MISMATCH_PATIENCE: i64 = 5 * MINUTE;
/// How long to wait for a certificate that is not valid yet by the local clock.
pub const SKEW_PATIENCE: i64 = HOUR;
/// How soon to look again at what nobody watches for us: ConfigMaps, other copies, objects that have our names.
pub const RECHECK: i64 = MINUTE;
/// How long an agent may say nothing at all about a new copy.
pub const AGENT_PATIENCE: i64 = 30;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
/// An issuer's certificates are valid from this long before they were made.
const BACKDATE: i64 = 5 * MINUTE;
const BRAKE: i64 = 10 * MINUTE;
const FIRST_BACK_OFF: i64 = MINUTE;
const LONGEST_BACK_OFF: i64 = HOUR;

/// This many seconds later.
pub fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at_second(at.as_second().saturating_add(seconds))
}

/// Without fractions of a second.
pub(crate) fn whole(at: Timestamp) -> Timestamp {
    at_second(at.as_second())
}

fn at_second(second: i64) -> Timestamp {
    let second = second.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// When a certificate was made, its back-dating taken off, and how many seconds it lives from then on.
fn life(certificate: &Certificate) -> (i64, i64) {
    let (begin, end) = (certificate.not_before().as_second(), certificate.not_after().as_second());
    let issued = begin.saturating_add(BACKDATE).min(end);
    (issued, end - issued)
}

/// Whether a certificate lives no longer than was asked.
pub(crate) fn lives_at_most(certificate: &Certificate, seconds: u64) -> bool {
    let (begin, end) = (certificate.not_before().as_second(), certificate.not_after().as_second());
    let longest = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_add(BACKDATE);
    end.saturating_sub(begin) <= longest
}

/// When a certificate is to be renewed. `ratio` is the part of its lifetime before its end in which it should be.
///
/// Earlier by up to a fifth of that window, but never in the first half of the time before it.
pub fn renew_at(certificate: &Certificate, ratio: f64, object: &ObjectRef) -> Timestamp {
    let (issued, lifetime) = life(certificate);
    let window = fraction(lifetime, ratio.clamp(0.0, 1.0));
    let earliest_jitter = (window / 5).min((lifetime - window) / 2);
    let jitter = fraction(earliest_jitter, share(&format!("renew {object}")));
    at_second(issued + lifetime - window - jitter)
}

/// Until when a certificate is too young to be replaced: ten minutes, or a third of its lifetime if that is less.
pub fn brake_until(certificate: &Certificate) -> Timestamp {
    let (issued, lifetime) = life(certificate);
    at_second(issued + BRAKE.min(lifetime / 3))
}

/// When to try again after the `attempts`-th failure: a minute, doubling to an hour, give or take a fifth.
pub fn retry_at(now: Timestamp, attempts: u32, object: &ObjectRef) -> Timestamp {
    let doublings = attempts.saturating_sub(1).min(10);
    let delay = (FIRST_BACK_OFF << doublings).min(LONGEST_BACK_OFF);
    let jitter = fraction(delay, 0.4 * share(&format!("retry {attempts} {object}"))) - delay / 5;
    // The part of a second that `now` loses is added again, so that the delay is never shorter.
    later(now, delay + jitter + 1)
}

/// Whether a time for the next attempt is no further off than any back-off is. One that is was set by a clock that has been
/// set back since.
pub(crate) fn is_within_back_off(now: Timestamp, due: Timestamp) -> bool {
    due <= later(now, LONGEST_BACK_OFF + LONGEST_BACK_OFF / 5)
}

/// How near the end of the CA is that a certificate ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityEnd {
    /// More than a third of its life is left; until then.
    Far {
        /// When a third is left.
        warn_at: Timestamp,
    },
    /// A third of its life is left.
    Near {
        /// When a tenth is left.
        critical_at: Timestamp,
    },
    /// A tenth of its life is left.
    Critical,
    /// It is over.
    Over,
}

/// How near the end of a CA is.
pub fn authority_end(now: Timestamp, authority: &Certificate) -> AuthorityEnd {
    let (begin, end) = (authority.not_before().as_second(), authority.not_after().as_second());
    let life = end - begin;
    let (warn_at, critical_at) = (at_second(end - life / 3), at_second(end - life / 10));
    if now > authority.not_after() {
        AuthorityEnd::Over
    } else if now >= critical_at {
        AuthorityEnd::Critical
    } else if now >= warn_at {
        AuthorityEnd::Near { critical_at }
    } else {
        AuthorityEnd::Far { warn_at }
    }
}

/// A number in [0, 1) that is always the same for the same text.
pub(crate) fn share(text: &str) -> f64 {
    let [a, b, c, d, ..] = *Fingerprint::of(text.as_bytes()).as_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "seconds of a lifetime are exact in an f64 for 285 million years; fractions of a second are to be cut"
)]
fn fraction(seconds: i64, part: f64) -> i64 {
    (seconds as f64 * part) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use certmesh_x509::{CertificateAuthority, KeyAlgorithm, PrivateKey, SerialNumber};
    use proptest::prelude::*;
    use std::sync::LazyLock;
    use std::time::Duration;

    static KEY: LazyLock<PrivateKey> = LazyLock::new(key);

    #[allow(clippy::disallowed_methods, reason = "a test needs a key")]
    fn key() -> PrivateKey {
        PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
    }

    fn start() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    /// A certificate made at the start that lives this long from then on.
    fn living(seconds: u64) -> Certificate {
        let lifetime = Duration::from_secs(seconds);
        let serial = SerialNumber::from_bytes([1; 16]);
        let root = CertificateAuthority::self_signed_root(KEY.clone(), "test", lifetime, &serial, start());
        root.unwrap().certificate().clone()
    }

    fn object(number: usize) -> ObjectRef {
        ObjectRef::new("cluster-1", format!("istio-{number}"))
    }

    fn after_start(at: Timestamp) -> i64 {
        at.as_second() - start().as_second()
    }

    #[test]
    fn an_hour_is_renewed_six_minutes_before_its_end_or_a_little_earlier() {
        let certificate = living(3600);
        let times: Vec<i64> =
            (0..500).map(|number| after_start(renew_at(&certificate, 0.1, &object(number)))).collect();
        let (nominal, earliest) = (3600 - 360, 3600 - 360 - 72);
        assert!(times.iter().all(|time| (earliest..=nominal).contains(time)), "{times:?}");
        assert!(times.iter().min().unwrap() - earliest < 3 && nominal - times.iter().max().unwrap() < 3);
        let distinct: std::collections::BTreeSet<_> = times.iter().collect();
        assert!(distinct.len() > 60, "they do not renew in one minute: {distinct:?}");
    }

    #[test]
    fn a_long_window_leaves_at_least_half_of_the_time_before_it() {
        let certificate = living(3600);
        for (ratio, nominal) in [(0.9, 360), (0.99, 36), (1.0, 0)] {
            for number in 0..500 {
                let time = after_start(renew_at(&certificate, ratio, &object(number)));
                assert!((nominal / 2..=nominal).contains(&time), "{ratio}: {time}");
            }
        }
    }

    #[test]
    fn the_brake_is_ten_minutes_or_a_third() {
        for (lifetime, brake) in [(365 * 86_400, 600), (1800, 600), (900, 300), (60, 20)] {
            assert_eq!(after_start(brake_until(&living(lifetime))), brake, "{lifetime}");
        }
    }

    #[test]
    fn attempts_wait_a_minute_doubling_to_an_hour() {
        for (attempts, nominal) in
            [(1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (8, 3600), (u32::MAX, 3600)]
        {
            for number in 0..100 {
                let delay = after_start(retry_at(start(), attempts, &object(number)));
                assert!((nominal * 4 / 5..=nominal * 6 / 5 + 1).contains(&delay), "{attempts}: {delay}");
            }
        }
        let delays: std::collections::BTreeSet<i64> =
            (0..100).map(|number| after_start(retry_at(start(), 1, &object(number)))).collect();
        assert!(delays.len() > 10, "{delays:?}");
    }

    #[test]
    fn a_delay_is_anything_within_a_fifth_of_a_minute_and_never_shorter() {
        let delays: std::collections::BTreeSet<i64> =
            (0..1000).map(|number| after_start(retry_at(start(), 1, &object(number)))).collect();
        assert_eq!(
            delays,
            (49..=72).collect(),
            "48 s, and the part of a second that the start may have lost"
        );
    }

    #[test]
    fn only_what_some_attempt_may_wait_for_is_within_the_back_off() {
        let longest = (0..5000).map(|number| after_start(retry_at(start(), 7, &object(number)))).max();
        assert!((4310..=4320).contains(&longest.unwrap()), "an hour and a fifth: {longest:?}");
        for (second, expected) in [(-1, true), (0, true), (4320, true), (4321, false), (3 * 86_400, false)] {
            assert_eq!(is_within_back_off(start(), later(start(), second)), expected, "{second}");
        }
    }

    #[test]
    fn a_share_is_the_beginning_of_a_digest_that_every_replica_agrees_on() {
        // SHA-256 of nothing and of "abc", as FIPS 180 gives them.
        for (text, beginning) in [("", 0xe3b0_c442_u32), ("abc", 0xba78_16bf)] {
            let expected = f64::from(beginning) / 4_294_967_296.0;
            assert_eq!(share(text).to_bits(), expected.to_bits(), "{text:?}: {}", share(text));
        }
    }

    #[test]
    fn a_ca_warns_at_a_third_and_a_tenth_of_its_life() {
        // It lives from five minutes before the start: 9,000 s in all.
        let authority = living(8700);
        for (second, expected) in [
            (0, AuthorityEnd::Far { warn_at: later(start(), 5700) }),
            (5699, AuthorityEnd::Far { warn_at: later(start(), 5700) }),
            (5700, AuthorityEnd::Near { critical_at: later(start(), 7800) }),
            (7799, AuthorityEnd::Near { critical_at: later(start(), 7800) }),
            (7800, AuthorityEnd::Critical),
            (8700, AuthorityEnd::Critical),
            (8701, AuthorityEnd::Over),
        ] {
            assert_eq!(authority_end(later(start(), second), &authority), expected, "{second}");
        }
    }

    #[test]
    fn a_life_is_measured_from_the_issuing_and_not_from_the_backdated_beginning() {
        let certificate = living(3600);
        assert!(lives_at_most(&certificate, 3600) && !lives_at_most(&certificate, 3599));
        assert!(lives_at_most(&certificate, u64::MAX));
    }

    proptest! {
        #[test]
        fn renewal_is_always_within_the_life(lifetime in 1_u64..40_000_000, ratio in -1.0_f64..2.0, number in 0_usize..9) {
            let certificate = living(lifetime);
            let at = renew_at(&certificate, ratio, &object(number));
            prop_assert!(at <= certificate.not_after());
            prop_assert!(at >= start(), "{}", after_start(at));
            prop_assert_eq!(at, renew_at(&certificate, ratio, &object(number)));
            prop_assert!(brake_until(&certificate) <= certificate.not_after());
        }

        #[test]
        fn no_time_overflows(second in any::<i64>(), attempts in any::<u32>()) {
            let _ = later(start(), second);
            for end in [Timestamp::MIN, Timestamp::MAX] {
                let _ = later(end, second);
                let _ = retry_at(end, attempts, &object(0));
                let _ = whole(end);
            }
        }
    }
}
