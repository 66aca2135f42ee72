//! Between DER's times and numbers and ours.

use std::time::Duration;

use der::DateTime;
use jiff::Timestamp;
use x509_cert::time::Time;

/// The instant a certificate's time means.
///
/// The "no well-defined expiration" of RFC 5280 (9999-12-31T23:59:59Z) lies a day behind what [`Timestamp`] can hold, and
/// becomes [`Timestamp::MAX`] in whole seconds.
pub(crate) fn timestamp(time: Time) -> Timestamp {
    let latest = Timestamp::MAX.as_second();
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(latest).min(latest);
    Timestamp::from_second(seconds).expect("between 1970 and the maximum, by the line above")
}

/// The certificate's form of an instant, in whole seconds: UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280
/// section 4.1.2.5). Fails before 1970.
pub(crate) fn der_time(instant: Timestamp) -> der::Result<Time> {
    let seconds = u64::try_from(instant.as_second()).map_err(|_| der::ErrorKind::DateTime)?;
    Ok(DateTime::from_unix_duration(Duration::from_secs(seconds))?.into())
}

#[cfg(test)]
mod tests {
    use der::{Decode, Encode};

    use super::*;

    #[test]
    fn times_read_back_and_change_form_in_2050() {
        for (text, tag) in [
            ("1970-01-01T00:00:00Z", 0x17),
            ("2049-12-31T23:59:59Z", 0x17),
            ("2050-01-01T00:00:00Z", 0x18),
            ("9999-12-30T22:00:00Z", 0x18),
        ] {
            let instant: Timestamp = text.parse().unwrap();
            let time = der_time(instant).unwrap();
            assert_eq!(time.to_der().unwrap()[0], tag, "{text}");
            assert_eq!(timestamp(time), instant);
        }
    }

    #[test]
    fn fractions_are_cut_and_the_far_ends_are_handled() {
        let instant: Timestamp = "2026-01-01T00:00:00.999Z".parse().unwrap();
        assert_eq!(timestamp(der_time(instant).unwrap()).to_string(), "2026-01-01T00:00:00Z");
        assert!(der_time("1969-12-31T23:59:59Z".parse().unwrap()).is_err());
        let never = Time::from_der(b"\x18\x0f99991231235959Z").unwrap();
        assert_eq!(timestamp(never).as_second(), Timestamp::MAX.as_second());
    }
}
