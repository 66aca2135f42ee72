//! SHA-256 fingerprints: how certificates, keys and sets of them are named and compared.

use std::{collections::BTreeSet, fmt, str::FromStr};

use aws_lc_rs::digest::{SHA256, digest};

/// A SHA-256 digest, written as 64 lower case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut value = [0; 32];
        value.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(value)
    }

    /// One fingerprint for a set: order and doubles do not matter.
    ///
    /// The digest of the members' digests, sorted and without doubles, one after the other. The empty set has one too.
    pub fn of_set(members: impl IntoIterator<Item = Self>) -> Self {
        let sorted: BTreeSet<Self> = members.into_iter().collect();
        let bytes: Vec<u8> = sorted.iter().flat_map(|member| member.0).collect();
        Self::of(&bytes)
    }

    /// A digest made elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest itself.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hexadecimal digits, for names that people read.
    pub(crate) fn short(&self) -> String {
        let [a, b, c, d, ..] = self.0;
        format!("{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let digits = value.as_bytes();
        if digits.len() != 64 {
            return Err(InvalidFingerprint);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

/// Lower case only: a fingerprint has one spelling, so annotations can be compared as text too.
fn hex_digit(digit: u8) -> Result<u8, InvalidFingerprint> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(InvalidFingerprint),
    }
}

/// The text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 fingerprint: expected 64 lower case hexadecimal digits")]
pub struct InvalidFingerprint;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(
            Fingerprint::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(Fingerprint::of(b"abc").short(), "ba7816bf");
        assert!(format!("{:?}", Fingerprint::of(b"abc")).starts_with("Fingerprint(ba7816bf"));
    }

    #[test]
    fn a_set_has_no_order_and_no_doubles() {
        let (a, b) = (Fingerprint::of(b"a"), Fingerprint::of(b"b"));
        assert_eq!(Fingerprint::of_set([a, b]), Fingerprint::of_set([b, a, b]));
        assert_ne!(Fingerprint::of_set([a, b]), Fingerprint::of_set([a]));
        assert_ne!(Fingerprint::of_set([a]), a);
    }

    #[test]
    fn only_64_lower_case_digits_are_read() {
        let text = Fingerprint::of(b"abc").to_string();
        assert_eq!(text.parse(), Ok(Fingerprint::of(b"abc")));
        for bad in ["", &text[1..], &text.to_uppercase(), &format!("{}g", &text[1..]), &format!("{text}0")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(InvalidFingerprint), "{bad}");
        }
    }
}
