//! `format` of strings and numbers (kube-openapi `pkg/validation/strfmt`).
//!
//! Unknown formats are ignored, as the real server ignores them; so are `isbn`, `creditcard`, `ssn`, `rgbcolor` and
//! `bsonobjectid`, which it knows and nobody uses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::Value;

/// Whether a string is of this format; unknown formats accept everything.
pub(super) fn admits(format: &str, text: &str) -> bool {
    // `date-time` and `datetime` are one format.
    match format.replace('-', "").as_str() {
        "byte" => STANDARD.decode(text).is_ok(),
        "datetime" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "date" => chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok() && text.len() == 10,
        "duration" => parse_duration(text).is_some(),
        "uri" => URI.is_match(text) || text.starts_with('/'),
        "email" => EMAIL.is_match(text),
        "hostname" => is_hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => MAC.is_match(text),
        "uuid" => UUID.is_match(text),
        "uuid3" => UUID.is_match(text) && uuid_version(text) == Some('3'),
        "uuid4" => UUID.is_match(text) && uuid_version(text) == Some('4'),
        "uuid5" => UUID.is_match(text) && uuid_version(text) == Some('5'),
        "hexcolor" => HEX_COLOR.is_match(text),
        _ => true,
    }
}

/// A format of numbers that bounds their range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IntegerFormat {
    Int32,
    Int64,
    UInt32,
    UInt64,
}

impl IntegerFormat {
    pub(super) fn parse(format: &str) -> Option<Self> {
        Some(match format {
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "uint32" => Self::UInt32,
            "uint64" => Self::UInt64,
            _ => return None,
        })
    }

    /// Whether this number fits.
    pub(super) fn admits(self, number: &Value) -> bool {
        let Some(whole) = whole_number(number) else { return false };
        match self {
            Self::Int32 => i32::try_from(whole).is_ok(),
            Self::Int64 => i64::try_from(whole).is_ok(),
            Self::UInt32 => u32::try_from(whole).is_ok(),
            Self::UInt64 => u64::try_from(whole).is_ok(),
        }
    }
}

fn whole_number(number: &Value) -> Option<i128> {
    if let Some(n) = number.as_i64() {
        return Some(n.into());
    }
    if let Some(n) = number.as_u64() {
        return Some(n.into());
    }
    let n = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "in range and whole, by the check")]
    (n.fract() == 0.0 && n.abs() < 1e30).then_some(n as i128)
}

/// Go's `time.ParseDuration`: `1h30m`, `1.5s`, `-2ms`, `0`. Nanoseconds.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let count: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, nanoseconds) = [
            ("ns", 1.0),
            ("us", 1e3),
            ("\u{b5}s", 1e3),
            ("\u{3bc}s", 1e3),
            ("ms", 1e6),
            ("s", 1e9),
            ("m", 60e9),
            ("h", 3600e9),
        ]
        .into_iter()
        .find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total += count * nanoseconds;
    }
    if total > 9.2e18 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 2^63, by the check")]
    let total = total as i64;
    Some(if negative { -total } else { total })
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

static URI: LazyLock<Regex> = LazyLock::new(|| regex(r"^[a-zA-Z][a-zA-Z0-9+.-]*:[^\s]+$"));
static EMAIL: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:[^<>]*<)?[^\s@<>]+@[^\s@<>]+>?$"));
static MAC: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?i)(?:[0-9a-f]{2}([:-]))(?:[0-9a-f]{2}[:-]){4,18}[0-9a-f]{2}$|^(?i)(?:[0-9a-f]{4}\.){2,9}[0-9a-f]{4}$",
    )
});
static UUID: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"));
static HEX_COLOR: LazyLock<Regex> = LazyLock::new(|| regex(r"^#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"));
static HOST_LABEL: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^[a-zA-Z0-9\p{S}\p{L}](?:[a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?$"));

fn uuid_version(text: &str) -> Option<char> {
    text.chars().filter(|c| *c != '-').nth(12)
}

fn is_hostname(text: &str) -> bool {
    text.len() <= 255 && text.split('.').all(|label| label.len() <= 63 && HOST_LABEL.is_match(label))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(bits) = bits.parse::<u8>() else { return false };
    (address.parse::<Ipv4Addr>().is_ok() && bits <= 32)
        || (address.parse::<Ipv6Addr>().is_ok() && bits <= 128)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn rows() {
        let rows = [
            ("byte", "aGk=", true),
            ("byte", "a b", false),
            ("byte", "", true),
            ("date-time", "2024-01-02T03:04:05Z", true),
            ("date-time", "2024-01-02T03:04:05.123+02:00", true),
            ("date-time", "2024-01-02", false),
            ("date", "2024-01-02", true),
            ("date", "2024-1-2", false),
            ("duration", "1h30m", true),
            ("duration", "1.5s", true),
            ("duration", "5", false),
            ("uri", "spiffe://a/b", true),
            ("uri", "a b", false),
            ("email", "a@b.c", true),
            ("email", "a", false),
            ("hostname", "a.b-c.d", true),
            ("hostname", "-a", false),
            ("ipv4", "1.2.3.4", true),
            ("ipv4", "1.2.3", false),
            ("ipv6", "::1", true),
            ("cidr", "10.0.0.0/8", true),
            ("cidr", "10.0.0.0/33", false),
            ("mac", "01:23:45:67:89:ab", true),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", true),
            ("uuid4", "123e4567-e89b-12d3-a456-426614174000", false),
            ("hexcolor", "#fff", true),
            ("whatever", "", true),
        ];
        for (format, text, expected) in rows {
            assert_eq!(admits(format, text), expected, "{format} {text:?}");
        }
    }

    #[test]
    fn ranges() {
        assert!(IntegerFormat::Int32.admits(&json!(2_147_483_647)));
        assert!(!IntegerFormat::Int32.admits(&json!(2_147_483_648_u64)));
        assert!(!IntegerFormat::Int64.admits(&json!(u64::MAX)));
        assert!(IntegerFormat::Int32.admits(&json!(3.0)));
        assert!(!IntegerFormat::Int32.admits(&json!(3.5)));
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1h2m3s"), Some(3_723_000_000_000));
        assert_eq!(parse_duration("-1ms"), Some(-1_000_000));
        for bad in ["", "h", "1", "1x", "1..2s", "99999999999h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC{0,30}") {
            for format in ["byte", "date-time", "date", "duration", "uri", "email", "hostname", "cidr", "mac", "uuid4"] {
                let _ = admits(format, &text);
            }
        }
    }
}
